"""Retrieval WebDatasets as CLIP_benchmark writes them: tars of `0000.jpg` beside `0000.txt` with a caption a line.

A set is one tar, a folder of tars (`0.tar`, `1.tar`, …), or a folder with a folder of tars for each split (`test/`).
Pictures are read straight out of the tar by offset; nothing is unpacked. Only plain files count: links, devices and
sparse files are refused, and what a caption file may hold and how many entries a set may have is capped.
"""

import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path, PurePosixPath

from retrieval.errors import EvaluationError, ImageError
from retrieval.evaluation.datasets.captioned import captioned_set, require_captions
from retrieval.evaluation.datasets.choices import choose_split, no_choice
from retrieval.evaluation.datasets.common import Options, empty, malformed, set_name, some, unreadable
from retrieval.evaluation.types import EvaluationImage, EvaluationSet
from retrieval.images import MAX_BYTES

MAX_ENTRIES = 2_000_000
MAX_CAPTION_BYTES = 1 << 20
_IMAGES = frozenset({".webp", ".png", ".jpg", ".jpeg"})
"""The endings that CLIP_benchmark's own reader takes."""
_CAPTIONS = ".txt"


@dataclass(frozen=True)
class _Sample:
    """What one key of a tar has; None where it lacks a part."""

    image: EvaluationImage | None = None
    captions: list[str] | None = None


def shards(path: Path) -> Mapping[str, list[Path]]:
    """The tars of a set by split, in the order of their numbers; empty if there are none."""
    if path.is_file():
        return {"": [path]} if path.suffix.lower() == ".tar" else {}
    if own := _tars(path):
        return {"": own}
    return {folder.name: tars for folder in sorted(path.iterdir()) if folder.is_dir() and (tars := _tars(folder))}


def read(path: Path, options: Options) -> EvaluationSet:
    """The set in one split. Raises EvaluationError.

    An image's id is its name in the tar, after the tar's name and `/` if the set is a folder.
    """
    no_choice(language=options.language, of=path.name)
    found = shards(path)
    # Counted in tars: their entries are not known before they are read.
    split = choose_split(options.split, {name: len(tars) for name, tars in found.items()}, of=path.name)
    samples: dict[str, _Sample] = {}
    numbers = count(1)
    for tar in found[split]:
        samples.update(_samples(tar, "" if path.is_file() else f"{tar.name}/", numbers))
    lonely = [key for key, sample in samples.items() if sample.image is None]
    if lonely:
        raise EvaluationError(
            f"{len(lonely):,} of {len(samples):,} samples of {path.name} have captions and no picture: {some(lonely)}",
            hint=f"Pictures end in {', '.join(sorted(_IMAGES))}.",
        )
    images = [sample.image for sample in samples.values() if sample.image]
    captions = {sample.image.image_id: sample.captions or [] for sample in samples.values() if sample.image}
    if not images:
        raise EvaluationError(f"{path} holds no pictures", hint=f"Pictures end in {', '.join(sorted(_IMAGES))}.")
    require_captions(captions, path)
    return captioned_set(set_name(path, split), path, images, captions)


def _samples(tar: Path, prefix: str, numbers: Iterator[int]) -> dict[str, _Sample]:
    """numbers: those of the entries, from 1 over all tars of the set."""
    samples: dict[str, _Sample] = {}
    try:
        size = tar.stat().st_size
        if size == 0:
            raise empty(tar)
        with tarfile.open(tar, "r:") as archive:
            for member in iter(archive.next, None):
                # tarfile keeps all it has seen, and 2,000,000 would fill the memory; typeshed does not know the list.
                archive.members.clear()  # type: ignore[attr-defined]
                if next(numbers) > MAX_ENTRIES:
                    raise malformed(tar, [f"the set has more than {MAX_ENTRIES:,} entries"])
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise malformed(tar, [f"{member.name[:200]!r} is not a plain file"])
                if member.offset_data + member.size > size:
                    raise malformed(tar, [f"{member.name[:200]!r} is cut off"])
                _add(samples, tar, archive, member, prefix)
    except (tarfile.TarError, ValueError, EOFError) as error:  # ValueError: numbers of extended headers
        raise malformed(tar, [f"not a whole, uncompressed tar ({error})"]) from error
    except OSError as error:
        raise unreadable(tar, error) from error
    return samples


def _add(
    samples: dict[str, _Sample], tar: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, prefix: str
) -> None:
    name = PurePosixPath(member.name)
    # As in WebDataset, a sample's key is the name up to the first dot of its last part.
    stem, suffix = re.match(r"([^.]*)(.*)", name.name, re.DOTALL).groups()  # type: ignore[union-attr]
    key = prefix + str(name.parent / stem)
    sample = samples.get(key, _Sample())
    if suffix.lower() in _IMAGES:
        if sample.image:
            raise malformed(tar, [f"two pictures for {key!r}"])
        read_member = partial(_read_member, tar, member.offset_data, member.size)
        samples[key] = _Sample(EvaluationImage(prefix + member.name, read_member), sample.captions)
    elif suffix.lower() == _CAPTIONS:
        if sample.captions is not None:
            raise malformed(tar, [f"two caption files for {key!r}"])
        samples[key] = _Sample(sample.image, _captions(tar, archive, member))


def _captions(tar: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> list[str]:
    if member.size > MAX_CAPTION_BYTES:
        raise malformed(tar, [f"{member.name[:200]!r} is larger than {MAX_CAPTION_BYTES >> 20} MiB"])
    file = archive.extractfile(member)
    try:
        text = file.read().decode("utf-8-sig") if file else ""
    except UnicodeDecodeError as error:
        raise malformed(tar, [f"{member.name[:200]!r} is not UTF-8"]) from error
    return text.removesuffix("\n").split("\n") if text else []  # splitlines would also part at U+2028


def _read_member(tar: Path, offset: int, size: int) -> bytes:
    """Raises ImageError, whatever became of the tar since it was listed."""
    if size > MAX_BYTES:
        raise ImageError(f"the file is larger than {MAX_BYTES >> 20} MiB")
    try:
        with tar.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error


def _tars(folder: Path) -> list[Path]:
    tars = [path for path in folder.iterdir() if path.suffix.lower() == ".tar" and path.is_file()]
    return sorted(tars, key=lambda path: (len(path.name), path.name))  # 2.tar before 10.tar
