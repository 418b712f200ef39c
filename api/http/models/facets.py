"""Facets as JSON."""

from pydantic import BaseModel, Field


class FacetValue(BaseModel):
    """One value and how many items have it."""

    value: str | bool = Field(examples=["Shoes"])
    count: int = Field(examples=[12])
    filter: str = Field(examples=['category = "Shoes"'], description="Leaves just these items.")


class FacetRange(BaseModel):
    """How many items have a number of at least `low` and below `high`; null where the range is open."""

    low: float | None = Field(examples=[25])
    high: float | None = Field(examples=[50])
    count: int = Field(examples=[7])
    filter: str = Field(examples=["price >= 25 and price < 50"], description="Leaves just these items.")


class Facet(BaseModel):
    """One field of the items: `values` where it is text, a list or a truth, `ranges` where it is a number."""

    field: str = Field(examples=["category"])
    kind: str = Field(examples=["text"], description="text, number, list or bool")
    missing: int = Field(examples=[3], description="Items without a value.")
    distinct: int | None = Field(None, examples=[9], description="How many different values there are in all.")
    values: list[FacetValue] | None = Field(None, description="The most frequent first.")
    low: float | None = Field(None, description="The smallest number.")
    high: float | None = Field(None, description="The largest number.")
    ranges: list[FacetRange] | None = Field(None, description="In ascending order.")


class Facets(BaseModel):
    """Counts over all items that pass the filter."""

    facets: list[Facet]
    matched: int = Field(examples=[54], description="Items that pass the filter and that no rule hides.")
    revision: int = Field(examples=[3], description="Of the collection.")
