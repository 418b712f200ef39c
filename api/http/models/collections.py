"""Collections as JSON."""

from typing import Literal

from pydantic import BaseModel, Field


class CollectionSummary(BaseModel):
    """One collection: how much it holds and what made its vectors."""

    name: str = Field(examples=["shop"], description="Its name in addresses.")
    items: int = Field(examples=[54])
    photos: int = Field(examples=[108], description="Photos that can be searched.")
    texts: int = Field(examples=[54], description="Titles and descriptions that can be searched.")
    model: str = Field(examples=["starter"], description="The encoder.")
    fingerprint: str = Field(examples=["0123456789abcdef"], description="Equal where vectors can be compared.")
    dimension: int = Field(examples=[512], description="Numbers of an embedding.")
    revision: int = Field(examples=[3], description="Grows with each change.")


class Collections(BaseModel):
    """All that the server serves."""

    collections: list[CollectionSummary]


class FieldSummary(BaseModel):
    """A field of the items: filters, facets and orders may name it."""

    name: str = Field(examples=["price"])
    type: Literal["text", "number", "list", "bool"] = Field(examples=["number"])


class CollectionDetail(CollectionSummary):
    """One collection, and what its items are described by."""

    fields: list[FieldSummary] = Field(
        description="Columns of the catalogue, text fields, and item_id, title and photos (how many)."
    )
