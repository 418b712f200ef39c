"""The query's parts as one unit vector, and as tokens where a reranker reads them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue.queries import Modality
from retrieval.collection import Collection
from retrieval.encoders.base import DualEncoder, TokenEncoder, unit_rows
from retrieval.errors import ImageError, QueryError
from retrieval.images import decode, decode_file, upright
from retrieval.query.cache import QueryCache, Remembered, guard_of
from retrieval.query.composition import composed
from retrieval.query.value import ImageQuery, Part, Query
from retrieval.rules.ruleset import NO_RULES, RuleSet
from retrieval.tokens.codec import rounded
from retrieval.tokens.value import Tokens, TokenSpec

TOKENS = 128  # queries whose tokens are remembered; at 40 tokens of 192 numbers each, 4 MB
TEXTS_AT_ONCE = 32


class QueryEncoder:
    """Makes vectors of the parts of queries on one collection. Thread-safe.

    One picture and one text at a time, but where the encoder takes many threads. texts: the last ones that were asked.
    """

    def __init__(self, collection: Collection, encoder: DualEncoder) -> None:
        self._collection = collection
        self._encoder = encoder
        self.texts = QueryCache(encoder)
        self._text_tokens = Remembered(self._tokens_of_words, TOKENS, self.texts.encoding)
        self._encoding_images = guard_of(encoder)

    @cached_property
    def token_spec(self) -> TokenSpec | None:
        """What tokens the encoder gives here; None if it gives none."""
        # Kept, since to say it the encoder may hash its projections each time.
        return self._encoder.token_spec if isinstance(self._encoder, TokenEncoder) else None

    def tokens(self, part: Part) -> Tokens:
        """One row, of words as they stand or of a picture, rounded as those of photos and texts are stored.

        So a reranker sees what it was trained and evaluated on. Raises ValueError where there is no `token_spec`.
        """
        if part.words is not None:
            return self._text_tokens.of(part.words)
        if part.image is None:
            raise ValueError("only words and pictures have tokens")
        pixels = self._encoder.preprocess(_picture(part.image, self._encoder.image_size))
        with self._encoding_images:
            return rounded(self._tokens_encoder().encode_images_with_tokens(pixels[None]))

    def _tokens_of_words(self, words: str) -> Tokens:
        return rounded(self._tokens_encoder().encode_texts_with_tokens([words]))

    def _tokens_encoder(self) -> TokenEncoder:
        if self.token_spec is None:
            raise ValueError("the encoder gives no tokens")
        return cast(TokenEncoder, self._encoder)

    def text_vectors(self, texts: Sequence[str]) -> FloatArray:
        """float32 [n, dimension]: of texts that are no queries; they come once, so they are not remembered.

        A few at a time, so that a query that comes meanwhile does not wait for all of them.
        """
        vectors = np.zeros((len(texts), self._encoder.spec.dimension), np.float32)
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            some = slice(start, start + TEXTS_AT_ONCE)
            with self.texts.encoding:
                vectors[some] = self._encoder.encode_texts(texts[some])
        return vectors

    def pictures(self, pixels: npt.NDArray[Any], *, with_tokens: bool = False) -> Tokens:
        """Of stacked `preprocess` results [n, …], with tokens rounded as stored ones are; without, lengths are 0."""
        with self._encoding_images:
            if with_tokens:
                return rounded(self._tokens_encoder().encode_images_with_tokens(pixels))
            vectors = self._encoder.encode_images(pixels)
        n = len(vectors)
        return Tokens(np.zeros((n, 0, 1), np.float32), np.zeros(n, np.int64), vectors)

    def words(self, words: str, rules: RuleSet) -> FloatArray:
        """float32 [1, dimension]: of words, and with synonyms the direction of all ways to say them."""
        rewrites = rules.for_query(words).rewrites if rules else ()
        if len(rewrites) < 2:
            return self.texts.vector(words)
        vectors = np.concatenate([self.texts.vector(one.words) for one in rewrites])
        return composed(vectors, [one.weight for one in rewrites])[None]

    def fixed(self, part: Part) -> FloatArray:
        """float32 [1, dimension]: of a picture or an embedding."""
        if part.image is not None:
            pixels = self._encoder.preprocess(_picture(part.image, self._encoder.image_size))
            with self._encoding_images:
                return self._encoder.encode_images(pixels[None])
        vector = np.asarray([part.vector], np.float64)
        if vector.shape[1] != self._encoder.spec.dimension:
            raise QueryError(
                f"an embedding has {vector.shape[1]:,} numbers; those of this collection have "
                f"{self._encoder.spec.dimension:,}",
                hint=f"make it with the collection's model, {self._encoder.spec.name}",
            )
        return unit_rows(vector / np.abs(vector).max())  # squares of very large or small numbers are not finite

    def item_key(self, item_id: str) -> int:
        """The key of a stored item. Raises QueryError for an unknown one."""
        return self._collection.item_key(item_id)

    def item(self, item_id: str, modality: Modality) -> FloatArray:
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


class QueryVectors:
    """One query as vectors; each picture is read and encoded once, whatever it is compared with."""

    def __init__(self, encoder: QueryEncoder, query: Query, *, with_tokens: bool = False) -> None:
        """with_tokens: whether a reranker will ask for the tokens of the only part; it then costs one pass, not two."""
        self._encoder = encoder
        self._query = query
        self._with_tokens = with_tokens
        self._tokens: Tokens | None = None
        self._fixed: dict[int, FloatArray] = {}  # by place: pictures cannot be hashed

    def of(self, modality: Modality, rules: RuleSet = NO_RULES) -> FloatArray:
        """float32 unit vector [1, dimension] to compare with that modality's rows; see `composed`.

        A stored item stands for the mean of its photos where photos are searched, of its texts where texts are; one
        that has none of these, for the mean of the others. Words that have synonyms in the rules stand for the mean of
        all ways to say them.
        Raises QueryError for an unknown item, an embedding of another dimension and parts that cancel; ImageError,
        naming the file, for a picture that cannot be read.
        """
        rows = np.concatenate([self._part(i, modality, rules) for i in range(len(self._query.parts))])
        return composed(rows, [part.weight for part in self._query.parts])[None]

    @property
    def token_spec(self) -> TokenSpec | None:
        """What tokens the encoder gives here; None if it gives none."""
        return self._encoder.token_spec

    def tokens(self) -> Tokens:
        """One row: of the first part, words as they stand or a picture. Only where there is a `token_spec`."""
        if self._tokens is None:
            self._tokens = self._encoder.tokens(self._query.parts[0])
        return self._tokens

    def named_items(self) -> IdArray | None:
        """Keys of the items that the query names: who asks for more like one has seen it. None if it names none."""
        keys = [self._encoder.item_key(part.item) for part in self._query.parts if part.item is not None]
        return np.asarray(keys, np.int64) if keys else None

    def _part(self, place: int, modality: Modality, rules: RuleSet) -> FloatArray:
        part = self._query.parts[place]
        # The mean of several ways to say something is made of vectors that nobody reads tokens of.
        if self._with_tokens and (part.words is None or not rules or len(rules.for_query(part.words).rewrites) < 2):
            try:
                return self.tokens().vectors
            except Exception:
                self._with_tokens = False  # without, it may go; if not, that says why
        if part.words is not None:
            return self._encoder.words(part.words, rules)
        if part.item is not None:
            return self._encoder.item(part.item, modality)
        if place not in self._fixed:
            self._fixed[place] = self._encoder.fixed(part)
        return self._fixed[place]


def _picture(image: ImageQuery, target: int) -> Image.Image:
    if isinstance(image, Path):
        try:
            return decode_file(image, target=target).image
        except ImageError as error:
            raise ImageError(f"{image}: {error}", hint="give the path of a photo") from error
    if isinstance(image, bytes):
        return decode(image, target=target).image
    return upright(image)
