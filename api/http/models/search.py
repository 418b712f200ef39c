"""Queries and answers as JSON."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.http.models.explanation import Reasons
from api.http.models.strict import Listed, Strict
from retrieval.errors import QueryError
from retrieval.query.value import (
    MAX_DEADLINE,
    MAX_FACETS,
    MAX_K,
    MAX_OFFSET,
    MAX_PARTS,
    MAX_RERANK,
    MAX_SORTS,
    MAX_VECTOR,
    MAX_WEIGHT,
    MAX_WORDS,
)


def _says(**schema: Any) -> dict[str, Any]:
    """What the query value checks itself, with better words than a schema has: here for readers of the schema."""
    return schema


def _share(description: str) -> Any:
    return Field(None, description=description, json_schema_extra=_says(minimum=0, maximum=1))


class Base64Image(Strict):
    """The bytes of a picture's file."""

    base64: str = Field(examples=["iVBORw0KGgo..."], json_schema_extra=_says(contentEncoding="base64"))


class QueryPart(Strict):
    """One thing that hits should be like, or unlike: exactly one of words, image, item and vector."""

    words: str | None = Field(None, examples=["red dress"], json_schema_extra=_says(maxLength=MAX_WORDS))
    image: Base64Image | None = None
    item: str | None = Field(None, examples=["SKU-1"], description="The id of a stored item.")
    vector: Listed[float] | None = Field(
        None,
        description="An embedding of the collection's model; any length but zero, it is scaled to 1.",
        json_schema_extra=_says(maxItems=MAX_VECTOR),
    )
    weight: float = Field(
        1.0,
        examples=[1, -0.5],
        description="How much it counts beside the others; negative for unlike.",
        json_schema_extra=_says(minimum=-MAX_WEIGHT, maximum=MAX_WEIGHT),
    )


class QueryFields(Strict):
    """A query: what to look for, among what, and how to show it."""

    words: str | None = Field(
        None, examples=["red dress"], description="Short for one part.", json_schema_extra=_says(maxLength=MAX_WORDS)
    )
    image: Base64Image | None = Field(None, description="Short for one part.")
    item: str | None = Field(None, description="Short for one part.")
    vector: Listed[float] | None = Field(None, description="Short for one part.")
    weight: float | None = Field(None, description="Of the part that is given in short.")
    parts: Listed[QueryPart] | None = Field(
        None,
        description="All that hits should be like or unlike; none is right with a filter or a sort.",
        json_schema_extra=_says(maxItems=MAX_PARTS),
    )
    k: int | None = Field(None, description="How many hits; 10.", json_schema_extra=_says(minimum=1, maximum=MAX_K))
    offset: int | None = Field(
        None,
        description="How many of the best to leave out first.",
        json_schema_extra=_says(minimum=0, maximum=MAX_OFFSET),
    )
    by: Literal["image", "text", "lexical", "hybrid"] | None = Field(
        None,
        description="Compare with photos (`image`), titles and texts by meaning (`text`), their words (`lexical`), or "
        "all three (`hybrid`).",
    )
    filter: str | None = Field(None, examples=['price < 50 and brand in ("A", "B")'])
    sort: Listed[str] | str | None = Field(
        None, examples=[["-price"]], description="Fields to order by.", json_schema_extra=_says(maxItems=MAX_SORTS)
    )
    facets: Listed[str] | str | None = Field(
        None,
        examples=[["brand", "price:0,25,50"]],
        description="Fields to count over all that matches.",
        json_schema_extra=_says(maxItems=MAX_FACETS),
    )
    group: str | None = Field(None, description="Show the best item for each value of this field only.")
    duplicates: float | None = _share("Show one of several photos whose cosine is at least this, such as 0.97.")
    diversity: float | None = _share("0 for relevance alone to 1 for different hits.")
    min_confidence: float | None = _share("Leave out hits that are less sure.")
    rerank: int | None = Field(
        None,
        description="Have a reranker order the best so many anew.",
        json_schema_extra=_says(minimum=0, maximum=MAX_RERANK),
    )
    rerank_deadline: float | None = Field(
        None, description="Milliseconds that it may take.", json_schema_extra=_says(minimum=0, maximum=MAX_DEADLINE)
    )
    rerank_when: Literal["always", "uncertain"] | None = Field(
        None, description="`uncertain`: not where the first hit is far before the second."
    )

    def query_json(self) -> dict[str, Any]:
        """What `from_json` reads. Raises QueryError for a way to rerank where nothing is reranked."""
        for name, usual in (("rerank_deadline", None), ("rerank_when", "always")):
            if not self.rerank and getattr(self, name) not in (None, usual):
                raise QueryError(f"{name} says how to rerank, and rerank is 0", hint='add "rerank": 20', field=name)
        return self.model_dump(exclude_none=True, exclude={"explain"})


class SearchRequest(QueryFields):
    """A query, and whether its hits are explained."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"words": "red shoes", "k": 5},
                {
                    "parts": [{"item": "SKU-1"}, {"words": "stripes", "weight": -0.5}],
                    "filter": "price < 50",
                    "facets": ["brand"],
                },
            ]
        },
    )

    explain: bool = Field(
        False, description="Say of each of the first 20 hits why it is there. Costs as much as many searches."
    )


class ExplainRequest(Strict):
    """Which item, and for which query."""

    query: QueryFields = Field(examples=[{"words": "red shoes", "k": 10}])
    item_id: str = Field(examples=["SKU-1"])


class LegScore(BaseModel):
    """What one leg of a hybrid search gave a hit."""

    rank: int
    score: float
    added: float = Field(description="What it added to the hit's score.")


class SearchHit(BaseModel):
    """One item of an answer."""

    rank: int = Field(examples=[1], description="1 is best; a later page goes on counting.")
    item_id: str = Field(examples=["SKU-1"])
    score: float | None = Field(examples=[0.2871], description="What it is ranked by; null where all is listed.")
    cosine: float | None = Field(examples=[0.2871], description="Null where only words were compared.")
    confidence: float | None = Field(examples=[0.93], description="0 to 1; null where it is not known.")
    title: str = Field(examples=["Red running shoes"])
    photo: str | None = Field(
        examples=["/v1/collections/shop/items/SKU-1/photo?photo=7"], description="Address of the photo that won."
    )
    matched_text: str | None = Field(description="The title or text that won, where texts were compared.")
    attributes: dict[str, Any] = Field(examples=[{"price": 39.9, "brand": "A"}])
    legs: dict[str, LegScore] = Field({}, description="Of a hybrid search, by leg.")
    rules: list[str] = Field([], description="What synonyms, boosts and pins did to it.")
    first_rank: int | None = Field(None, description="Where reranked: the rank before.")
    rerank_score: float | None = Field(None, description="Where reranked: how well it fits, higher is better.")
    explanation: Reasons | None = Field(None, description="Where asked for.")


class FacetValue(BaseModel):
    """One value of a field."""

    value: str | bool
    count: int = Field(description="How many items have it.")
    filter: str = Field(examples=['brand = "A"'], description="Leaves just these items.")


class FacetRange(BaseModel):
    """Numbers of at least `low` and below `high`; null where the range is open."""

    low: float | None
    high: float | None
    count: int
    filter: str = Field(examples=["price >= 25 and price < 50"])


class Facet(BaseModel):
    """Counts of one field over all that matched: `values`, or `ranges` of numbers."""

    field: str = Field(examples=["brand"])
    kind: Literal["number", "boolean", "text", "list"]
    missing: int = Field(description="Items without a value.")
    distinct: int | None = Field(None, description="How many different values there are in all.")
    values: list[FacetValue] | None = None
    low: float | None = None
    high: float | None = None
    ranges: list[FacetRange] | None = None


class Reranked(BaseModel):
    """What reranking did."""

    depth: int
    scored: int
    ms: float
    skipped: str | None = Field(description="Why none were scored.")


class SearchAnswer(BaseModel):
    """Hits, best first, and what is to be known of them."""

    query: dict[str, Any] = Field(examples=[{"parts": [{"words": "red shoes"}], "k": 5, "by": "image"}])
    hits: list[SearchHit]
    matched: int = Field(description="How many items could have been hits.")
    exact: bool = Field(description="Whether these are certainly the best.")
    plan: str = Field(examples=["exact"], description="How they were searched.")
    nothing_fits: bool | None = Field(description="Whether even the best is no better than what nonsense finds.")
    facets: list[Facet]
    notes: list[str] = Field(description="What a person would want to be told.")
    revision: int = Field(description="Of the collection.")
    took_ms: float
    reranked: Reranked | None = None
