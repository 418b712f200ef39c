"""Explanations as JSON."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ExplainRequest(BaseModel):
    """Which item, and for which query."""

    model_config = ConfigDict(extra="forbid")

    query: dict[str, Any] = Field(examples=[{"words": "red shoes", "k": 10}], description="As a search takes it.")
    item_id: str = Field(min_length=1, examples=["sku-red"])


class Outcome(BaseModel):
    """What became of the item; further fields say what the sentence says, for programs."""

    model_config = ConfigDict(extra="allow")

    step: str = Field(examples=["below_cut"], description="`hit`, or the step of the search at which it fell out.")
    said: str = Field(
        examples=["ranked 14 of 54; the last hit is 0.031 above it"], description="One sentence for a person."
    )


class Place(BaseModel):
    """Its place in one leg of the search, by exact scores."""

    score: float = Field(examples=[0.271])
    rank: int = Field(examples=[14], description="1 is best.")
    of: int = Field(examples=[54], description="Items that this leg can compare.")
    matching_rank: int | None = Field(examples=[9], description="Among those that pass the filter.")
    matching: int = Field(examples=[30])


class Clause(BaseModel):
    """One part of the filter that all hits must pass."""

    clause: str = Field(examples=["price < 50"])
    passed: bool
    values: dict[str, Any] = Field(examples=[{"price": 72}], description="What the item has; null for nothing.")


class Explanation(BaseModel):
    """Why an item is where it is in the answer to a query, or where it fell out of it."""

    query: dict[str, Any]
    item_id: str
    title: str
    outcome: Outcome
    legs: dict[str, Place] = Field(description="`image`, `text` and `lexical`; one without a place is missing.")
    filter: list[Clause]
    items: int = Field(description="Items of the collection.")
    matching: int = Field(description="Items that pass the filter and that no rule hides.")
    confidence: float | None = Field(description="0 to 1; null where it is not known.")
    photo: str | None = Field(
        examples=["/v1/collections/shop/items/sku-red/photo?photo=1"], description="The photo that was compared."
    )
    matched_text: str | None
    rules: list[str] = Field(description="Rules that touch the item.")
