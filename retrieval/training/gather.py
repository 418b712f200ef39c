"""Described pictures -> features on both sides, each picture's part, and what could not be read."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.ahead import ahead
from retrieval.arrays import FloatArray
from retrieval.encoders.towers.base import Towers
from retrieval.errors import CatalensError, EncoderError, ImageError, TrainingError
from retrieval.images import MAX_PIXELS, decode
from retrieval.training.data import Described
from retrieval.training.features import FeatureCache, cached_features
from retrieval.training.parts import parts_of
from retrieval.training.splits import Part

BATCH = 32
TEXT_BATCH = 256
WINDOW = 3 * BATCH  # pictures decoded ahead
OnProgress = Callable[[str, int, int], None]
"""Called with (stage, done, total); a stage is `images`, `texts` or `epochs`."""


@dataclass(frozen=True)
class Gathered:
    """pictures: those that could be read, equal bytes once; row i of `images` is picture i.

    digests: hex SHA-256 of each picture's bytes. groups: for each picture its texts by group, in the spelling of
    `texts`: texts that are the same but for case and blanks are one. parts: for each picture train or validation.
    images: float32 [pictures, d_image]. texts: text -> row of text_features, float32 [texts, d_text].
    unreadable: (name, reason). equal: pictures whose bytes another one had. encoded: pictures and texts that the cache
    did not have. seen: pictures that the base was trained on.
    """

    pictures: tuple[Described, ...]
    digests: tuple[str, ...]
    groups: tuple[dict[str, tuple[str, ...]], ...]
    parts: tuple[Part, ...]
    images: FloatArray
    texts: dict[str, int]
    text_features: FloatArray
    unreadable: tuple[tuple[str, str], ...]
    equal: int
    encoded: tuple[int, int]
    seen: int = 0


def gather(
    described: Sequence[Described],
    towers: Towers,
    *,
    validation: float,
    cache: Path | None,
    seen: frozenset[bytes] = frozenset(),
    on_progress: OnProgress | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Gathered:
    """Read every picture, encode what the cache lacks, and split by content.

    validation: share of the pictures, 0…1. Which ones is decided by content (`parts_of`), so a picture stays in its
    part when other items are added.
    seen: pictures that the base was trained on, as `read_seen` gives them. They train again, with their items.

    Raises TrainingError if no picture can be read, EncoderError if a tower fails or gives NaN, StorageError.
    """
    digests, unreadable, kept = _pictures(described, towers, cache, on_progress, max_pixels)
    readable = [(one, digest) for one, digest in zip(described, digests, strict=True) if digest]
    part_of_digest = parts_of(
        [(one.source, one.item) for one, _ in readable],
        [digest for _, digest in readable],
        validation=validation,
        seen=seen,
    )
    first: dict[str, int] = {}
    spelling: dict[str, str] = {}
    pictures: list[Described] = []
    groups: list[dict[str, list[str]]] = []
    keys: list[str] = []
    for one, digest in readable:
        row = first.setdefault(digest, len(pictures))
        if row == len(pictures):
            pictures.append(one)
            groups.append({})
            keys.append(digest)
        for group, texts in one.texts.items():
            own = groups[row].setdefault(group, [])
            said = (" ".join(text.split()) for text in texts)
            own += [spelling.setdefault(text.casefold(), text) for text in said if text]
    if not pictures:
        examples = "; ".join(f"{name}: {reason}" for name, reason in unreadable[:3])
        raise TrainingError(
            f"none of the {len(described):,} pictures can be read ({examples})",
            hint="if the paths are wrong, name their folder with --images-dir",
        )
    fixed = tuple({group: tuple(dict.fromkeys(texts)) for group, texts in own.items() if texts} for own in groups)
    numbers = {text: row for row, text in enumerate(dict.fromkeys(t for own in fixed for g in own.values() for t in g))}
    encoded = 0

    def encode(batch: Sequence[str]) -> FloatArray:
        nonlocal encoded
        with _explained(towers, "texts", encoded):
            features = towers.text_features(batch)
        encoded += len(batch)
        return features

    text_features = cached_features(
        list(numbers),
        list(numbers),
        encode,
        tower=f"text\0{towers.towers_hash}\0{towers.tokenizer}\0{towers.runtime}",
        cache=cache,
        batch=TEXT_BATCH,
        on_progress=(lambda done, total: on_progress("texts", done, total)) if on_progress else None,
    )
    return Gathered(
        pictures=tuple(pictures),
        digests=tuple(keys),
        groups=fixed,
        parts=tuple(part_of_digest[key] for key in keys),
        images=kept.get(keys),
        texts=numbers,
        text_features=text_features,
        unreadable=tuple(unreadable),
        equal=len(described) - len(unreadable) - len(pictures),
        encoded=(kept.added, encoded),
        seen=sum(bytes.fromhex(key[:16]) in seen for key in keys),
    )


def _pictures(
    described: Sequence[Described],
    towers: Towers,
    cache: Path | None,
    on_progress: OnProgress | None,
    max_pixels: int,
) -> tuple[list[str | None], list[tuple[str, str]], FeatureCache]:
    """Each picture's SHA-256 (None if it cannot be read), the reasons why not, and the cache that has all others."""
    preprocessing = json.dumps(dict(towers.preprocessing), sort_keys=True)
    kept = FeatureCache(cache, f"image\0{towers.towers_hash}\0{preprocessing}\0{towers.runtime}")
    digests: list[str | None] = []
    unreadable: list[tuple[str, str]] = []
    waiting: dict[str, npt.NDArray[Any]] = {}

    def prepare(one: Described) -> tuple[str, npt.NDArray[Any] | None] | str:
        """The digest, with the pixels if they are needed; or why there are none."""
        try:
            data = one.read()
            digest = hashlib.sha256(data).hexdigest()
            if digest in kept:
                return digest, None
            picture = decode(data, target=towers.image_size, max_pixels=max_pixels)
        except ImageError as error:
            return str(error)
        except Exception as error:  # reading from a disk or an archive may raise anything
            return f"cannot be read: {error}"
        return digest, towers.preprocess(picture.image)

    def encode() -> None:
        if waiting:
            with _explained(towers, "pictures", kept.added):
                features = towers.image_features(np.stack(list(waiting.values())))
            kept.add(list(waiting), features)
            waiting.clear()

    with (
        ThreadPoolExecutor(max_workers=os.cpu_count()) as pool,
        closing(ahead(described, prepare, pool, WINDOW)) as prepared,
    ):
        for one, found in prepared:
            if isinstance(found, str):
                digests.append(None)
                unreadable.append((one.name, found))
            else:
                digests.append(found[0])
                if found[1] is not None and found[0] not in kept:
                    waiting[found[0]] = found[1]
            if len(waiting) == BATCH:
                encode()
            if on_progress:
                on_progress("images", len(digests), len(described))
        encode()
    return digests, unreadable, kept


@contextmanager
def _explained(towers: Towers, what: str, done: int) -> Iterator[None]:
    """Whatever a tower raises becomes an EncoderError that says how far it got."""
    try:
        yield
    except CatalensError:
        raise
    except Exception as error:  # torch and its like raise what they like
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EncoderError(
            f"the model '{towers.name}' failed after {done:,} new {what}: {reason}",
            hint="the features computed so far are kept: run the same command again to go on from there",
        ) from error
