"""Items as JSON: as they are given, as they are stored, and what became of them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from api.http.models.search import Base64Image
from api.http.models.strict import Listed, Strict, few_keys
from indexer.items.value import (
    MAX_FIELDS,
    MAX_ID,
    MAX_LIST,
    MAX_NAME,
    MAX_PHOTOS,
    MAX_TEXT,
    MAX_TITLE,
    MAX_VALUE,
)

MAX_ITEMS = 1_000

Attribute = str | int | float | bool | Listed[str] | None
Outcome = Literal["added", "updated", "unchanged", "failed"]


class ItemBody(Strict):
    """An item, whole: what it leaves out, a stored item of that id loses."""

    title: str = Field("", examples=["Red sofa"], description=f"One line of at most {MAX_TITLE:,} characters.")
    texts: Annotated[dict[str, str], BeforeValidator(few_keys)] = Field(
        {},
        examples=[{"description": "Velvet, for three."}],
        description=f"Further texts that are searched, by field; at most {MAX_TEXT:,} characters each.",
    )
    attributes: Annotated[dict[str, Attribute], BeforeValidator(few_keys)] = Field(
        {},
        examples=[{"price": 499.0, "colour": ["red"], "in_stock": True}],
        description=f"What filters and facets see, by field, of at most {MAX_NAME} characters. Texts have at most "
        f"{MAX_VALUE:,} characters, lists {MAX_LIST:,} texts; texts and attributes together at most {MAX_FIELDS} "
        "fields.",
    )
    photos: Listed[str | Base64Image] = Field(
        [],
        examples=[["sofas/red.jpg"]],
        description=f"At most {MAX_PHOTOS}, in their order: the bytes of a file, or its path inside a folder that the "
        "server takes photos from (`catalens serve --image-root`).",
    )


class BatchItem(ItemBody):
    """One item of a batch."""

    item_id: str = Field(examples=["sku-1"], description=f"Your own id, of at most {MAX_ID} characters.")


class Batch(Strict):
    """Items to add or change."""

    items: Listed[BatchItem] = Field(min_length=1, max_length=MAX_ITEMS)


class Ids(Strict):
    """Items to delete."""

    item_ids: Listed[str] = Field(min_length=1, max_length=MAX_ITEMS, examples=[["sku-1", "sku-2"]])


class PhotoAnswer(BaseModel):
    """A photo of an item."""

    id: int = Field(examples=[7], description="Never used for another photo.")
    url: str = Field(examples=["/v1/collections/shop/items/sku-1/photo?photo=7"], description="A thumbnail.")
    width: int = Field(examples=[1200])
    height: int = Field(examples=[900])


class ItemAnswer(BaseModel):
    """A stored item."""

    item_id: str = Field(examples=["sku-1"])
    title: str = Field(examples=["Red sofa"])
    texts: dict[str, str] = Field(examples=[{"description": "Velvet, for three."}])
    attributes: dict[str, Any] = Field(examples=[{"price": 499.0}], description="The item's own.")
    tags: dict[str, list[str]] = Field(
        examples=[{"tags": ["sofa"]}], description="Labels that were given to it, by field."
    )
    photos: list[PhotoAnswer]
    source: str = Field(
        examples=["program"],
        description="Who wrote it last: `program`, or an index run of a `folder` or of a `table`, a catalogue file.",
    )
    revision: int = Field(examples=[12], description="Of the collection.")


class PutAnswer(BaseModel):
    """What became of an item."""

    item_id: str = Field(examples=["sku-1"])
    outcome: Outcome
    problems: list[str] = Field(
        examples=[[]], description="Why it failed; it then keeps what was stored of it, and nothing of it is new."
    )
    revision: int = Field(examples=[12], description="Of the collection: a search that names it or a later one saw it.")


class OutcomeAnswer(BaseModel):
    """What became of one item of a batch."""

    item_id: str = Field(examples=["sku-1"])
    outcome: Outcome | Literal["deleted", "not_found"]
    problems: list[str] = Field(examples=[[]])


class BatchAnswer(BaseModel):
    """What became of each item, in the order given."""

    outcomes: list[OutcomeAnswer]
    revision: int = Field(examples=[12])


class DeleteAnswer(BaseModel):
    """The item is gone."""

    item_id: str = Field(examples=["sku-1"])
    deleted: Literal[True]
    revision: int = Field(examples=[13])
