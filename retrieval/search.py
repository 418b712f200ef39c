"""One query's whole way: check -> encode -> candidates -> rows -> hits."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from retrieval.catalogue.queries import MODALITIES, Modality, OwnerRow
from retrieval.catalogue.versions import mismatch
from retrieval.collection import Collection
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder, FloatArray, unit_rows
from retrieval.errors import QueryError
from retrieval.images import decode, decode_file, upright
from retrieval.index.base import NO_ID
from retrieval.index.view import VectorView
from retrieval.query_cache import QueryCache
from retrieval.records import Hit

MAX_WORDS = 2_000  # characters: the longest product description makes sense as a query, a pasted file does not
MAX_K = 10_000

ImageQuery = Path | bytes | Image.Image


@dataclass(frozen=True)
class Query:
    """What is asked. Raises QueryError when there is nothing to ask, too much, or k or by is not one of its values.

    words: None or at most 2,000 characters; blank ones count as None.
    image: path or bytes of a photo, or a picture.
    k: how many items, 1 to 10,000.
    by: what the query is compared with: `image` the items' photos, `text` their titles and texts.
    """

    words: str | None = None
    image: ImageQuery | None = None
    k: int = 10
    by: Modality = "image"

    def __post_init__(self) -> None:
        if self.words is not None and not self.words.strip():
            object.__setattr__(self, "words", None)
        if self.words is None and self.image is None:
            raise QueryError("nothing to search for", hint='give words, such as "red shoes", or a picture, or both')
        if self.words is not None and len(self.words) > MAX_WORDS:
            raise QueryError(
                f"the query has {len(self.words):,} characters; at most {MAX_WORDS:,} make sense",
                hint="describe what the picture shows in a sentence",
            )
        if not 1 <= self.k <= MAX_K:
            raise QueryError(f"k is {self.k:,}; it must be between 1 and {MAX_K:,}", hint="ask for 10 with -k 10")
        if self.by not in MODALITIES:
            raise QueryError(f"by is '{self.by}'", hint="compare with the items' photos (image) or texts (text)")

    def to_json(self) -> dict[str, Any]:
        """The query as JSON values; a picture that has no path is `(picture)`."""
        image = str(self.image) if isinstance(self.image, Path) else None if self.image is None else "(picture)"
        return {"words": self.words, "image": image, "by": self.by, "k": self.k}


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
        if encoder.spec.fingerprint != collection.encoder.fingerprint:
            raise mismatch(collection.folder, collection.encoder, encoder.spec)
        self.collection = collection
        self.encoder = encoder
        self._texts = QueryCache(encoder)

    @classmethod
    def open(cls, folder: Path, encoder: DualEncoder | None = None, *, runtime: str | None = None) -> "Searcher":
        """Open a collection folder with the encoder that it names, or with the one given.

        runtime: what the encoder that it names runs on, see `load_encoder`.
        """
        collection = Collection.open(folder)
        try:
            return cls(collection, encoder or load_encoder(collection.encoder.name, runtime=runtime))
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
        Raises QueryError for an empty or oversized query, k or an unknown by, ImageError for a picture that cannot be
        read.
        """
        return self.answer(Query(words, image, k, by))

    def answer(self, query: Query) -> Answer:
        """`search` for a query that was made before. Raises ImageError for a picture that cannot be read."""
        started = perf_counter()
        vector = self._encode(query.words, query.image)
        while True:
            view = self.collection.view()
            hits = self._hits(view.of(query.by), vector, query.k, query.by)
            if self.collection.is_of(view):  # else the ids were looked up in a collection made again meanwhile
                return Answer(query.to_json(), hits, (perf_counter() - started) * 1000)

    def _encode(self, words: str | None, image: ImageQuery | None) -> FloatArray:
        vectors = []
        if words:
            vectors.append(self._texts.vector(words))
        if image is not None:
            pixels = self.encoder.preprocess(_picture(image, self.encoder.image_size))
            vectors.append(self.encoder.encode_images(pixels[None]))
        return unit_rows(np.mean(vectors, axis=0))

    def _hits(self, view: VectorView, vector: FloatArray, k: int, by: Modality) -> tuple[Hit, ...]:
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


def _picture(image: ImageQuery, target: int) -> Image.Image:
    if isinstance(image, Path):
        return decode_file(image, target=target).image
    if isinstance(image, bytes):
        return decode(image, target=target).image
    return upright(image)
