"""The seam every reranker implements."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from retrieval.arrays import FloatArray
from retrieval.tokens.value import Tokens, TokenSpec

Direction = Literal["text_to_image", "image_to_text"]


@dataclass(frozen=True)
class RerankerSpec:
    """What a reranker is, and what it reads.

    name: what loads it again, `starter` or the absolute path of a folder. kind: a name in
    `retrieval.rerankers.registry.KINDS`, such as `cross_attention`. weights_hash: hex SHA-256 of its weights.
    tokens: the only ones it reads.
    weights: by direction what a match counts beside the first stage's cosine, chosen on validation; 0 where it did not
    help.
    margins: by direction how far the first hit's cosine must be above the second's for reranking not to be worth it.
    facts: how it was trained, as JSON values.
    """

    name: str
    kind: str
    weights_hash: str
    tokens: TokenSpec
    weights: Mapping[Direction, float]
    margins: Mapping[Direction, float]
    facts: Mapping[str, Any] = field(default_factory=dict)


class Reranker(Protocol):
    """Scores pairs of a text and a photo. Instances are used by one thread at a time."""

    @property
    def spec(self) -> RerankerSpec: ...

    @property
    def runtime(self) -> str:
        """What computes it, in words: `torch`, or `openvino (f32)`."""
        ...

    def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
        """How well each text fits its photo, float32 [n], higher is better; numbers of different queries are of
        different heights.

        Both have n rows, or one of them a single row that goes with all of the other's. n may be 0. A pair of which one
        side has no tokens gets 0, which says nothing beside the others: who orders leaves it out. What a pair gets does
        not hang on the pairs beside it.
        """
        ...
