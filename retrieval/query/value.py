"""The query value: weighted parts, and how the answer is to be made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image

from retrieval.errors import QueryError

MAX_WORDS = 2_000  # characters: the longest product description makes sense as a query, a pasted file does not
MAX_K = 10_000
MAX_OFFSET = 1_000_000_000
MAX_PARTS = 32
MAX_SORTS = 8  # as many as one sort text may have fields
MAX_FACETS = 32  # each is counted over all matching items
MAX_VECTOR = 16_384  # numbers: four times the widest joint space of any open_clip model
MAX_WEIGHT = 1_000.0
MAX_RERANK = 1_000  # the best hundreds hold what a reranker could find; each pair costs it about 0.5 ms
MAX_DEADLINE = 3_600_000.0  # ms

_SHARE = (0, 1, "leave it out to do without")
_RANGES = {
    "k": (1, MAX_K, "10 is the usual number"),
    "offset": (0, MAX_OFFSET, "the first page has 0"),
    "duplicates": _SHARE,
    "diversity": _SHARE,
    "min_confidence": _SHARE,
    "rerank": (0, MAX_RERANK, "0 is for no reranking, 20 the usual depth"),
    "rerank_deadline": (0, MAX_DEADLINE, "give milliseconds, or leave it out to rerank all that was asked for"),
}
"""Least, most, and the hint to what lies outside."""

By = Literal["image", "text", "hybrid", "lexical"]
BY: tuple[By, ...] = get_args(By)
RerankWhen = Literal["always", "uncertain"]
RERANK_WHEN: tuple[RerankWhen, ...] = get_args(RerankWhen)

ImageQuery = Path | bytes | Image.Image


@dataclass(frozen=True)
class Part:
    """One thing that the hits should be like, or unlike: exactly one of words, image, item and vector.

    words: 1 to 2,000 characters, whichever. image: path or bytes of a photo, or a picture. item: the id of a stored
    item, which UTF-8 can write.
    vector: an embedding of the collection's own encoder; any length but zero, it is scaled to 1.
    weight: how much it counts beside the others, -1,000 to 1,000; negative for unlike.
    Raises QueryError for anything else.
    """

    words: str | None = None
    image: ImageQuery | None = None
    item: str | None = None
    vector: tuple[float, ...] | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        given = [name for name in ("words", "image", "item", "vector") if getattr(self, name) is not None]
        if len(given) != 1:
            raise QueryError(
                f"a part of the query has {' and '.join(given) or 'nothing'}",
                hint="each part is one of words, image, item and vector",
            )
        if self.words is not None:
            _check_words(self.words)
        if self.vector is not None:
            _check_vector(self.vector)
        if self.item is not None:
            check_unicode("the id of an item", self.item, field="item")
        if not abs(self.weight) <= MAX_WEIGHT:
            raise QueryError(
                f"a weight is {_number(self.weight)}; it must be between -{MAX_WEIGHT:,.0f} and {MAX_WEIGHT:,.0f}",
                hint="1 is the usual weight, 2 counts twice, -1 is for what hits should not be like",
            )


@dataclass(frozen=True)
class Query:
    """What is asked. Raises QueryError when there is nothing to ask, too much, or a field has none of its values.

    parts: at most 32; none is right with a filter or a sort: then all that matches is listed.
    k: how many items, 1 to 10,000; offset: how many of the best to leave out before them.
    by: what the query is compared with: `image` the items' photos, `text` their titles and texts, `lexical` the
    words themselves (BM25), `hybrid` all three, fused.
    filter: which items may be hits, in the filter grammar (`retrieval.filters`).
    sort: fields to order the best hits by instead of the score, the first counts most; "-price" descends. At most 8.
    facets: fields to count over all matching items, such as "category" or "price:0,25,50"; at most 32.
    group: a field of which each value is shown once, with its best item.
    duplicates: cosine from which two photos are one (0.97 is nearly the same picture); only the better hit is shown.
    diversity: 0 for relevance alone to 1 for difference alone (maximal marginal relevance).
    min_confidence: 0 to 1; hits below it are left out.
    rerank: how many of the best a reranker orders anew, at most 1,000; 0 for none. See `retrieval.stages.reranking`.
    rerank_deadline: milliseconds that it may take; those that it did not get to keep their places, and may differ from
    page to page. None: all it needs.
    rerank_when: `uncertain` leaves the order where the first is far enough before the second.
    """

    parts: tuple[Part, ...] = ()
    k: int = 10
    offset: int = 0
    by: By = "image"
    filter: str | None = None
    sort: tuple[str, ...] = ()
    facets: tuple[str, ...] = ()
    group: str | None = None
    duplicates: float | None = None
    diversity: float = 0.0
    min_confidence: float | None = None
    rerank: int = 0
    rerank_deadline: float | None = None
    rerank_when: RerankWhen = "always"

    def __post_init__(self) -> None:
        if not self.parts and self.filter is None and not self.sort:
            raise QueryError("nothing to search for", hint='give words, such as "red shoes", or a picture, or both')
        if len(self.parts) > MAX_PARTS:
            raise QueryError(
                f"the query has {len(self.parts):,} parts; at most {MAX_PARTS} are taken",
                hint="leave the least out",
                field="parts",
            )
        if self.by not in BY:
            raise QueryError(f"by is {str(self.by)[:80]!r}", hint=f"it is one of {', '.join(BY)}", field="by")
        if self.rerank_when not in RERANK_WHEN:
            raise QueryError(
                f"rerank_when is {str(self.rerank_when)[:80]!r}",
                hint=f"it is one of {', '.join(RERANK_WHEN)}",
                field="rerank_when",
            )
        if self.by == "lexical" and any(part.words is None for part in self.parts):
            raise QueryError(
                "a search by words alone has a part that is no words", hint="compare pictures by image or hybrid"
            )
        self._check_fields()
        self._check_numbers()

    def _check_fields(self) -> None:
        for name, texts, most in (("sort", self.sort, MAX_SORTS), ("facets", self.facets, MAX_FACETS)):
            if len(texts) > most:
                raise QueryError(
                    f"{name} has {len(texts):,} texts; at most {most} are taken",
                    hint="leave the least out",
                    field=name,
                )
            for text in texts:
                check_unicode(name, text)
        check_unicode("filter", self.filter or "")
        check_unicode("group", self.group or "")

    def _check_numbers(self) -> None:
        for name, (least, most, hint) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise QueryError(
                    f"{name} is {_number(value)}; it must be between {least} and {_number(most)}",
                    hint=hint,
                    field=name,
                )

    @classmethod
    def of(cls, words: str | None = None, *, image: ImageQuery | None = None, **others: Any) -> "Query":
        """A query for words, a picture, or both with equal weight; blank words count as none. others: its fields."""
        parts = [Part(words=words)] if words is not None and words.strip() else []
        if image is not None:
            parts.append(Part(image=image))
        return cls(tuple(parts), **others)

    def page(self, number: int) -> "Query":
        """The same query for its page of that number, 1 for the first."""
        return replace(self, offset=(number - 1) * self.k)

    @property
    def words(self) -> tuple[tuple[str, float], ...]:
        """The parts that are words, with their weights."""
        return tuple((part.words, part.weight) for part in self.parts if part.words is not None)


def _number(number: float) -> str:
    """As a message gives it: one of thousands of digits, which JSON may hold, cannot be written."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 10**18:
        number = int(number)
    return f"{number:,}" if isinstance(number, float) or abs(number) < 10**18 else "a number of more than 18 digits"


def check_unicode(name: str, text: str, field: str | None = None) -> None:
    """Raise QueryError for a text that UTF-8 cannot write.

    Half of a surrogate pair, which JSON can hold and a database cannot, is refused where fields are looked up.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise QueryError(f"{name} is not valid Unicode", hint="write it in UTF-8", field=field or name) from None


def _check_words(words: str) -> None:
    if not words.strip():
        raise QueryError("a part of the query has no words", hint='give words, such as "red shoes", or leave it out')
    if len(words) > MAX_WORDS:
        raise QueryError(
            f"the query has {len(words):,} characters; at most {MAX_WORDS:,} make sense",
            hint="describe what the picture shows in a sentence",
        )


def _check_vector(vector: Sequence[float]) -> None:
    if not 1 <= len(vector) <= MAX_VECTOR:
        raise QueryError(
            f"an embedding has {len(vector):,} numbers; it must have 1 to {MAX_VECTOR:,}",
            hint="give as many as the collection's model makes",
        )
    if not all(map(isfinite, vector)) or not any(vector):
        raise QueryError(
            "an embedding holds only zeros, or a number that is not finite", hint="make it with the collection's model"
        )
