"""Why an item is where it is, as JSON."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class LegPlace(BaseModel):
    """An item's place in one leg of the search, by exact scores."""

    score: float = Field(examples=[0.2871])
    rank: int = Field(examples=[3], description="Among all items that this leg can compare; 1 is best.")
    of: int = Field(examples=[54], description="How many those are.")
    matching_rank: int | None = Field(
        examples=[2], description="Among those that pass the filter; null if it does not."
    )
    matching: int = Field(examples=[20], description="How many of them pass the filter.")


class FilterClause(BaseModel):
    """One part of the filter, for this item."""

    clause: str = Field(examples=["price < 50"])
    passed: bool
    values: dict[str, Any] = Field(examples=[{"price": 39.9}], description="What the item has in the fields named.")


class Outcome(BaseModel):
    """`hit`, or the first step of the search at which the item fell out; further fields say by how much."""

    model_config = ConfigDict(extra="allow")

    step: str = Field(examples=["hit"])
    said: str = Field(examples=["it is hit 3"], description="For people.")


class Reasons(BaseModel):
    """Why a hit is where it is."""

    item_id: str = Field(examples=["SKU-1"])
    title: str = Field(examples=["Red running shoes"])
    outcome: Outcome
    legs: dict[str, LegPlace] = Field(description="By `image`, `text` and `lexical`, those that were compared.")
    filter: list[FilterClause]
    items: int = Field(examples=[54], description="How many the collection has.")
    matching: int = Field(examples=[20], description="How many pass the filter.")
    confidence: float | None = Field(examples=[0.93])
    photo: str | None = Field(examples=["/v1/collections/shop/items/SKU-1/photo?photo=7"])
    matched_text: str | None = Field(examples=["Red running shoes"])
    rules: list[str] = Field(description="Those that touch the item.")


class Explanation(Reasons):
    """Why an item is where it is in the answer to a query, or where it fell out of it."""

    query: dict[str, Any] = Field(examples=[{"parts": [{"words": "red shoes"}], "k": 5, "by": "image"}])
