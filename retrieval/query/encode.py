"""The query's parts as one unit vector."""

from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from retrieval.catalogue.queries import Modality
from retrieval.collection import Collection
from retrieval.confidence.nulls import QueryKind
from retrieval.encoders.base import DualEncoder, FloatArray, unit_rows
from retrieval.errors import ImageError, QueryError
from retrieval.images import decode, decode_file, upright
from retrieval.index.base import IdArray
from retrieval.query.composition import composed
from retrieval.query.value import ImageQuery, Part, Query
from retrieval.query_cache import QueryCache
from retrieval.rules.ruleset import NO_RULES, RuleSet


class QueryEncoder:
    """Makes vectors of queries on one collection. Thread-safe: one picture is encoded at a time, as one text is."""

    def __init__(self, collection: Collection, encoder: DualEncoder) -> None:
        self._collection = collection
        self._encoder = encoder
        self._texts = QueryCache(encoder)
        self._encoding_images = Lock()

    def vector(self, query: Query, modality: Modality, rules: RuleSet = NO_RULES) -> FloatArray:
        """float32 unit vector [1, dimension] to compare with that modality's rows; see `composed`.

        A stored item stands for the mean of its photos where photos are searched, of its texts where texts are; one
        that has none of these, for the mean of the others. Words that have synonyms in the rules stand for the mean of
        all ways to say them.
        Raises QueryError for an unknown item, an embedding of another dimension and parts that cancel; ImageError,
        naming the file, for a picture that cannot be read.
        """
        rows = np.concatenate([self._part(part, modality, rules) for part in query.parts])
        return composed(rows, [part.weight for part in query.parts])[None]

    def named_items(self, query: Query) -> IdArray | None:
        """Keys of the items that the query names: who asks for more like one has seen it. None if it names none."""
        keys = [self._collection.item_key(part.item) for part in query.parts if part.item is not None]
        return np.asarray(keys, np.int64) if keys else None

    @staticmethod
    def kind(query: Query, modality: Modality) -> QueryKind | None:
        """What the query is like, for its confidence; None where nothing is known of such queries."""
        liked = [part for part in query.parts if part.weight > 0]
        if not liked or any(part.vector is not None for part in liked):
            return None
        # A stored item stands for its photos among photos and for its texts among texts.
        words = {part.words is not None or (part.item is not None and modality == "text") for part in liked}
        return "both" if len(words) == 2 else "words" if words == {True} else "image"

    def _part(self, part: Part, modality: Modality, rules: RuleSet) -> FloatArray:
        if part.words is not None:
            rewrites = rules.for_query(part.words).rewrites if rules else ()
            if len(rewrites) < 2:
                return self._texts.vector(part.words)
            vectors = np.concatenate([self._texts.vector(one.words) for one in rewrites])
            return composed(vectors, [one.weight for one in rewrites])[None]
        if part.image is not None:
            return self._image(part.image)
        if part.item is not None:
            return self._item(part.item, modality)
        vector = np.asarray([part.vector], np.float64)
        if vector.shape[1] != self._encoder.spec.dimension:
            raise QueryError(
                f"an embedding has {vector.shape[1]:,} numbers; those of this collection have "
                f"{self._encoder.spec.dimension:,}",
                hint=f"make it with the collection's model, {self._encoder.spec.name}",
            )
        return unit_rows(
            vector / np.abs(vector).max()
        )  # first: the squares of very large or small numbers are not finite

    def _image(self, image: ImageQuery) -> FloatArray:
        pixels = self._encoder.preprocess(_picture(image, self._encoder.image_size))
        with self._encoding_images:
            return self._encoder.encode_images(pixels[None])

    def _item(self, item_id: str, modality: Modality) -> FloatArray:
        key = self._collection.item_key(item_id)
        vectors = self._collection.item_vectors(key, modality)
        if not len(vectors):
            vectors = self._collection.item_vectors(key, "text" if modality == "image" else "image")
        if not len(vectors):
            raise QueryError(
                f"the item '{item_id}' has neither a photo nor a text that could be compared",
                hint="see why with: catalens status",
            )
        return unit_rows(vectors.astype(np.float32).mean(axis=0, keepdims=True))


def _picture(image: ImageQuery, target: int) -> Image.Image:
    if isinstance(image, Path):
        try:
            return decode_file(image, target=target).image
        except ImageError as error:
            raise ImageError(f"{image}: {error}", hint="give the path of a photo") from error
    if isinstance(image, bytes):
        return decode(image, target=target).image
    return upright(image)
