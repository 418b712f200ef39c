"""Benchmarks in the formats of the field, each read into one EvaluationSet. Nothing is decoded or unpacked here."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets import beir, captions, flickr_token, karpathy, pairs, trec, webdataset
from retrieval.evaluation.datasets.common import Options, empty, unreadable
from retrieval.evaluation.types import EvaluationSet

__all__ = ["FORMATS", "read", "recognise"]

FORMATS: Mapping[str, str] = {
    "captions": "captions as JSON lines",
    "karpathy": "Karpathy's JSON of COCO, Flickr30k or Flickr8k",
    "flickr_token": "a Flickr token file",
    "beir": "a BEIR folder: corpus.jsonl, queries.jsonl, qrels",
    "trec": "a folder with queries.tsv, images.tsv and qrels.txt",
    "webdataset": "a retrieval WebDataset: a tar, or a folder of tars",
    "pairs": "photos with their product: image, product_id, and products.csv beside",
}
"""The formats by name, in words."""

_READERS: Mapping[str, Callable[[Path, Options], EvaluationSet]] = {
    "captions": captions.read,
    "karpathy": karpathy.read,
    "flickr_token": flickr_token.read,
    "beir": beir.read,
    "trec": trec.read,
    "webdataset": webdataset.read,
    "pairs": pairs.read,
}
_JSON = (".jsonl", ".ndjson", ".json")
_SNIFFED = 5  # lines
_LONGEST = 1 << 20  # bytes of a line


def read(
    path: Path,
    *,
    split: str = "",
    language: str = "",
    images_dir: Path | None = None,
    allow_missing: bool = False,
) -> EvaluationSet:
    """The benchmark at `path`, whichever of FORMATS it is in; a catalogue is not one of them.

    split: the one to judge; if empty the only one, else test, else val.
    language: a BCP 47 tag; if empty the only one, else English.
    images_dir: where relative image paths start, if not at the set's own folder.
    allow_missing: leave out images that are not there, and say how many in the notes.

    Raises EvaluationError for a path that is missing or of no known format, and for content that would give wrong
    figures, with counts: missing images, images without captions, duplicate and unknown ids, empty or unknown splits
    and languages, malformed lines.
    """
    found = recognise(path)
    if found is None and path.is_file() and path.stat().st_size == 0:
        raise empty(path)
    if found is None:
        raise EvaluationError(
            f"{path} is not a benchmark in a known format", hint=f"Known are: {'; '.join(FORMATS.values())}."
        )
    if images_dir and not images_dir.is_dir():
        raise EvaluationError(
            f"--images-dir {images_dir} is not a folder", hint="Give the folder that holds the images."
        )
    return _READERS[found](path, Options(split, language, images_dir, allow_missing))


def recognise(path: Path) -> str | None:
    """The key in FORMATS of what lies at `path`; None for anything else, such as a catalogue.

    Raises EvaluationError if nothing lies there or it cannot be looked at.
    """
    try:
        if path.is_dir():
            return _folder(path)
        if not path.exists():
            raise EvaluationError(f"there is nothing at {path}", hint="Check the path.")
        return _file(path)
    except OSError as error:
        raise unreadable(path, error) from error


def _folder(path: Path) -> str | None:
    if beir.is_beir(path):
        return "beir"
    if trec.is_trec(path):
        return "trec"
    return "webdataset" if webdataset.shards(path) else None


def _file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if not path.is_file():
        return None
    if suffix == ".csv":
        return "pairs" if pairs.is_pairs(path) else None
    if suffix in _JSON:
        if any(map(_is_captions, _first_lines(path))):
            return "captions"
        return "karpathy" if suffix == ".json" else None
    if suffix == ".token" or (suffix == ".txt" and any(map(flickr_token.LINE.fullmatch, _first_lines(path)))):
        return "flickr_token"
    return "webdataset" if suffix == ".tar" else None


def _is_captions(line: str) -> bool:
    try:
        return captions.is_captions(json.loads(line))
    except (ValueError, RecursionError):  # such as the start of Karpathy's file, which is one long line
        return False


def _first_lines(path: Path) -> list[str]:
    """Several, because the first may be the malformed one that the reader is to name."""
    with path.open("rb") as file:
        found = [file.readline(_LONGEST) for _ in range(_SNIFFED)]
    return [line.decode("utf-8-sig", "replace").strip("\r\n") for line in found]
