"""What the readers of benchmark files share: lines with their numbers, pictures by name, and errors with counts."""

import json
import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from retrieval.errors import EvaluationError
from retrieval.evaluation.types import EvaluationImage
from retrieval.images import read_file
from retrieval.photo_paths import PhotoPaths, RefusedPhoto

_SHOWN = 3
_LONGEST = 300  # characters of an example: a damaged line may have millions


@dataclass(frozen=True)
class Options:
    """What a person may choose about a set; empty or None: the reader's default.

    images_dir: where relative image paths start, if not at the set's own folder.
    allow_missing: leave out images that are named but not there, and say so in the notes, in place of an error.
    """

    split: str = ""
    language: str = ""
    images_dir: Path | None = None
    allow_missing: bool = False


def some(examples: Iterable[str]) -> str:
    """`a, b, c and 1,204 more`."""
    listed = list(examples)
    rest = len(listed) - _SHOWN
    return ", ".join(example[:_LONGEST] for example in listed[:_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def set_name(path: Path, *chosen: str) -> str:
    """`flickr8k/captions.jsonl (val, en)`: a file name alone, such as `captions.jsonl`, is everybody's."""
    parts = ", ".join(filter(None, chosen))
    place = path.absolute()
    return f"{place.parent.name}/{place.name}" + (f" ({parts})" if parts else "")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of the lines that are not blank, without their ends. Raises EvaluationError."""
    found = False
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    raise malformed(path, [f"line {number}: not UTF-8"]) from error
                if text.strip():
                    found = True
                    yield number, text
    except OSError as error:
        raise unreadable(path, error) from error
    if not found:
        raise empty(path)


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of a JSON lines file. Raises EvaluationError at the end if lines were malformed."""
    bad = []
    for number, text in lines(path):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            yield number, value
        else:
            bad.append(f"line {number}: not a JSON object")
    if bad:
        raise malformed(path, bad)


def check_unique(ids: Iterable[str], what: str, path: Path) -> None:
    """Raises EvaluationError if an id stands twice. what: plural, such as `images`."""
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise EvaluationError(
            f"{len(twice):,} duplicate {'id' if len(twice) == 1 else 'ids'} of {what} in {path.name}: {some(twice)}",
            hint="Every id must name one thing; remove or rename the others.",
        )


def located(
    names: Sequence[str], path: Path, options: Options, *, total: str = "images"
) -> tuple[dict[str, EvaluationImage], list[str]]:
    """The images that the set at `path` names, by name as written, and notes on those that were left out.

    An image's id is its name as written, with `/` and without `./`. Images are not decoded.
    Raises EvaluationError for names outside the set's folder, and for missing files unless they are allowed.
    """
    paths = PhotoPaths(path if path.is_dir() else path.parent, options.images_dir)
    found: dict[str, EvaluationImage] = {}
    missing, refused = [], []
    for name in dict.fromkeys(names):
        try:
            place = paths.find(name)
        except RefusedPhoto as reason:
            refused.append(f"{name[:200]} ({reason})")
            continue
        if os.path.isfile(place):  # noqa: PTH113 (Path.is_file raises for a name that is too long)
            found[name] = image_file(image_id(name), place)
        else:
            missing.append(name)
    known = len(found) + len(missing) + len(refused)
    if refused:
        raise EvaluationError(f"{len(refused):,} of {known:,} {total} of {path.name} are refused: {some(refused)}")
    if missing and not (options.allow_missing and found):
        raise EvaluationError(
            f"{len(missing):,} of {known:,} {total} of {path.name} are missing: {some(missing)}",
            hint="Say where they lie with --images-dir, or leave them out with --allow-missing.",
        )
    notes = [f"{len(missing):,} of {known:,} {total} are missing and were left out"] if missing else []
    return found, notes


def image_file(name: str, place: Path) -> EvaluationImage:
    """An image that lies on disk; nothing is read yet."""
    return EvaluationImage(name, read=partial(read_file, place), path=place)


def image_id(name: str) -> str:
    r"""`.\images\a.jpg` and `images//a.jpg` -> `images/a.jpg`: one image has one id however it is written."""
    return posixpath.normpath(name.replace("\\", "/"))


def malformed(path: Path, examples: Sequence[str]) -> EvaluationError:
    """The error for lines or entries that cannot be read, each example with its place."""
    what = "entry" if len(examples) == 1 else "entries"
    return EvaluationError(
        f"{len(examples):,} {what} of {path.name} cannot be read: {some(examples)}",
        hint="Mend or remove them: figures over the rest would be figures of another set.",
    )


def empty(path: Path) -> EvaluationError:
    """The error for a file in which nothing stands."""
    return EvaluationError(f"{path} is empty", hint="Check that it was downloaded or written whole.")


def unreadable(path: Path, error: Exception) -> EvaluationError:
    """The error for a file that the system does not let us read."""
    reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
    return EvaluationError(f"cannot read {path}: {reason}", hint="Check that it is there, whole, and who may read it.")
