"""A file of labels, one a line."""

from pathlib import Path

from retrieval.errors import SourceError

MAX_LABELS = 2_000
MAX_LENGTH = 200  # characters of one label
MAX_BYTES = 1 << 20
_HINT = "write one label a line, such as: running shoes"


def read_labels(path: Path) -> tuple[str, ...]:
    """The labels in the order of the file, each once: blank lines and lines that begin with # are left out.

    Raises SourceError for a file that is missing, no text, empty, or larger than 2,000 labels, 200 characters each.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"cannot read the labels {path}: {error.strerror or error}", hint=_HINT) from error
    if len(data) > MAX_BYTES:
        raise SourceError(f"{path} has more than {MAX_BYTES >> 20} MB; it is no list of labels", hint=_HINT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is no UTF-8 text", hint=_HINT) from error
    if "\0" in text:
        raise SourceError(f"{path} is no text: it holds zero bytes", hint=_HINT)
    lines = (" ".join(line.split()) for line in text.splitlines())
    labels = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not labels:
        raise SourceError(f"{path} holds no label", hint=_HINT)
    if len(labels) > MAX_LABELS:
        raise SourceError(f"{path} holds {len(labels):,} labels; at most {MAX_LABELS:,} are taken", hint=_HINT)
    if long := next((label for label in labels if len(label) > MAX_LENGTH), None):
        raise SourceError(f"{path}: a label has {len(long)} characters, at most {MAX_LENGTH} make sense", hint=_HINT)
    return labels
