"""Facets of a collection as JSON."""

from pydantic import BaseModel, Field

from api.http.models.search import Facet


class Facets(BaseModel):
    """Counts over all items that pass the filter."""

    facets: list[Facet]
    matched: int = Field(examples=[54], description="Items that pass the filter and that no rule hides.")
    revision: int = Field(examples=[3], description="Of the collection.")
