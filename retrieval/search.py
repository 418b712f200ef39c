"""One query's whole way: check -> encode -> candidates -> rows -> hits."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from retrieval.catalogue.queries import Modality, OwnerRow
from retrieval.collection import Collection
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder, FloatArray, unit_rows
from retrieval.errors import FingerprintMismatch, QueryError
from retrieval.images import decode, decode_file, upright
from retrieval.index.base import NO_ID
from retrieval.records import Hit

MAX_WORDS = 2_000  # characters: the longest product description makes sense as a query, a pasted file does not
MAX_K = 10_000

ImageQuery = Path | bytes | Image.Image


@dataclass(frozen=True)
class Answer:
    """query: what was asked, as JSON values; hits: best first; took_ms: all of it, also what had to be loaded first."""

    query: dict[str, Any]
    hits: tuple[Hit, ...]
    took_ms: float


class Searcher:
    """Answers queries on one collection. Safe to use from many threads as far as the encoder is."""

    def __init__(self, collection: Collection, encoder: DualEncoder) -> None:
        """Raises FingerprintMismatch when the encoder did not make the collection's vectors."""
        made_with = collection.encoder
        if encoder.spec.fingerprint != made_with.fingerprint:
            raise FingerprintMismatch(
                f"{collection.folder} was made with {made_with.name} (fingerprint {made_with.fingerprint}), "
                f"the query's encoder is {encoder.spec.name} (fingerprint {encoder.spec.fingerprint})",
                hint="search with the model that made the collection, or index again into another --collection",
            )
        self.collection = collection
        self.encoder = encoder

    @classmethod
    def open(cls, folder: Path, encoder: DualEncoder | None = None) -> "Searcher":
        """Open a collection folder with the encoder that it names, or with the one given."""
        collection = Collection.open(folder)
        try:
            return cls(collection, encoder or load_encoder(collection.encoder.name))
        except BaseException:
            collection.close()
            raise

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.collection.close()

    def search(
        self,
        words: str | None = None,
        *,
        image: ImageQuery | None = None,
        k: int = 10,
        by: Modality = "image",
    ) -> Answer:
        """The k best items for words, a picture, or both (the mean of their two unit vectors).

        by: what the query is compared with: `image` the items' photos (text_to_image, image_to_image), `text` their
        titles and texts (text_to_text, image_to_text). An item counts once, with its best photo or text.
        Raises QueryError for an empty or oversized query or k, ImageError for a picture that cannot be read.
        """
        query = checked(words, image, k)
        words = query["words"]
        started = perf_counter()
        vector = self._encode(words, image)
        hits = self._hits(vector, k, by)
        took_ms = (perf_counter() - started) * 1000
        return Answer({**query, "by": by, "k": k}, hits, took_ms)

    def _encode(self, words: str | None, image: ImageQuery | None) -> FloatArray:
        vectors = []
        if words:
            vectors.append(self.encoder.encode_texts([words]))
        if image is not None:
            pixels = self.encoder.preprocess(_picture(image, self.encoder.image_size))
            vectors.append(self.encoder.encode_images(pixels[None]))
        return unit_rows(np.mean(vectors, axis=0))

    def _hits(self, vector: FloatArray, k: int, by: Modality) -> tuple[Hit, ...]:
        view = self.collection.view().of(by)
        wanted = k
        while True:
            # An item with several photos takes several places: ask for more until k items are found or all is seen.
            found = view.search(vector, max(1, min(wanted, len(view))), lambda ids: self.collection.vectors(by, ids))
            ids = [int(i) for i in found.ids[0] if i != NO_ID]
            rows = self.collection.rows(by, ids)
            best: dict[int, tuple[OwnerRow, float]] = {}
            for owner_id, score in zip(ids, found.scores[0], strict=False):
                row = rows.get(owner_id)
                if row is not None:
                    best.setdefault(row.item_key, (row, float(score)))
            if len(best) >= k or wanted >= len(view):
                break
            wanted *= 4
        return tuple(
            Hit(rank, row.item_id, score, row.title, row.photo, row.attributes, row.matched_text)
            for rank, (row, score) in enumerate(list(best.values())[:k], start=1)
        )


def checked(words: str | None, image: ImageQuery | None, k: int) -> dict[str, Any]:
    """The query as JSON values. Raises QueryError when there is nothing to ask, too much, or k is out of range."""
    if words is not None and not words.strip():
        words = None
    if words is None and image is None:
        raise QueryError("nothing to search for", hint='give words, such as "red shoes", or a picture, or both')
    if words is not None and len(words) > MAX_WORDS:
        raise QueryError(
            f"the query has {len(words):,} characters; at most {MAX_WORDS:,} make sense",
            hint="describe what the picture shows in a sentence",
        )
    if not 1 <= k <= MAX_K:
        raise QueryError(f"k is {k:,}; it must be between 1 and {MAX_K:,}", hint="ask for 10 with -k 10")
    query: dict[str, Any] = {"words": words}
    query["image"] = str(image) if isinstance(image, Path) else None if image is None else "(picture)"
    return query


def _picture(image: ImageQuery, target: int) -> Image.Image:
    if isinstance(image, Path):
        return decode_file(image, target=target).image
    if isinstance(image, bytes):
        return decode(image, target=target).image
    return upright(image)
