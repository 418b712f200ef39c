"""What `catalens api-key` does."""

import os
from pathlib import Path

from api.cli.output import err, out, print_json
from api.http.keys import ApiKey, KeyFileError, Scope, keys_in, new_key


def api_key(scope: Scope, name: str, file: Path | None, *, as_json: bool) -> None:
    """Print a new key, and its line unless that goes into a file."""
    key, kept = new_key(scope, name)
    if file is not None:
        _add(file, kept)
    if as_json:
        print_json({"key": key, "line": kept.line, "file": None if file is None else str(file)})
        return
    out.print(key, soft_wrap=True, markup=False, highlight=False)
    if file is None:
        out.print(kept.line, soft_wrap=True, markup=False, highlight=False)
        err.print("The first line is the key: keep it, it is not shown again. The second goes into the key file.")
    else:
        err.print(f"Keep it: it is not shown again. {file} holds its hash.", soft_wrap=True, markup=False)


def _add(file: Path, kept: ApiKey) -> None:
    """Append a key's line to a file, which is made for its owner alone if it is not there."""
    text = ""
    if file.exists():
        keys_in(file)  # nothing is added to what is no key file
        text = file.read_text(encoding="utf-8")
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8") as end:
            end.write(("\n" if text and not text.endswith("\n") else "") + kept.line + "\n")
    except OSError as error:
        raise _unwritten(file, error) from error


def _unwritten(file: Path, error: OSError) -> KeyFileError:
    return KeyFileError(
        f"{file} cannot be written: {error.strerror}", hint="give a file in a folder that you may write"
    )
