"""The bank's queries as one encoder sees them: encoded once, kept in the user's cache folder."""

import hashlib
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.confidence import bank
from retrieval.encoders.base import DualEncoder, unit_rows
from retrieval.settings import cache_dir

log = logging.getLogger(__name__)

QueryKind = Literal["words", "image", "both"]
KINDS: tuple[QueryKind, ...] = get_args(QueryKind)

BATCH = 32
_HEX = 32  # digits of a file's SHA-256 in its name


@dataclass(frozen=True, eq=False)
class NullQueries:
    """words [256, dimension], image [56, dimension]: float32 unit rows, rounded to float16 as they are stored."""

    words: FloatArray
    image: FloatArray

    def of(self, kind: QueryKind) -> FloatArray:
        """The queries of a kind; `both` are means of a text and a picture, as a query of words and a picture is."""
        if kind == "both":
            pictures = self.image[np.arange(len(self.words)) % len(self.image)]
            return _rounded(unit_rows(self.words + pictures))
        return self.words if kind == "words" else self.image


def null_queries_of(encoder: DualEncoder) -> NullQueries:
    """The bank encoded, from the cache folder if it was encoded before. Where the cache is no use, nothing is kept."""
    folder = cache_dir() / "nulls"
    stem = f"{encoder.spec.fingerprint}-{bank.VERSION}"
    for path in sorted(folder.glob(f"{stem}-*.safetensors")):
        if (known := _read(path, encoder.spec.dimension)) is not None:
            return known
    made = _encoded(encoder)
    with suppress(OSError):
        _write(folder, stem, made)
    return made


def _encoded(encoder: DualEncoder) -> NullQueries:
    texts, pictures = bank.texts(), bank.pictures()
    words = [encoder.encode_texts(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
    pixels = [
        np.stack([encoder.preprocess(one) for one in pictures[i : i + BATCH]]) for i in range(0, len(pictures), BATCH)
    ]
    image = [encoder.encode_images(batch) for batch in pixels]
    return NullQueries(_rounded(np.concatenate(words)), _rounded(np.concatenate(image)))


def _rounded(vectors: FloatArray) -> FloatArray:
    """float16 and back; what an encoder cannot place becomes zero and scores 0, as stored vectors do."""
    return np.nan_to_num(vectors, nan=0, posinf=0, neginf=0).astype("<f2").astype(np.float32)


def _read(path: Path, dimension: int) -> NullQueries | None:
    from safetensors.numpy import load

    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest()[:_HEX] != path.stem.rpartition("-")[2]:
        log.warning("%s is damaged; the queries are encoded again", path)
        with suppress(OSError):
            path.unlink()
        return None
    held = load(data)
    if {name: one.shape for name, one in held.items()} != {
        "words": (bank.TEXTS, dimension),
        "image": (bank.PICTURES, dimension),
    }:
        return None
    return NullQueries(held["words"].astype(np.float32), held["image"].astype(np.float32))


def _write(folder: Path, stem: str, made: NullQueries) -> None:
    """Written aside and named by the hash of its bytes: one that is damaged or half written is not read."""
    from safetensors.numpy import save

    data = save({"words": made.words.astype("<f2"), "image": made.image.astype("<f2")})
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{os.getpid()}.part"
    try:
        aside.write_bytes(data)
        aside.replace(folder / f"{stem}-{hashlib.sha256(data).hexdigest()[:_HEX]}.safetensors")
    finally:
        aside.unlink(missing_ok=True)
