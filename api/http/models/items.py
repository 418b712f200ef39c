"""Items as JSON: as they are given, as they are stored, and what became of them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, WithJsonSchema

from api.http.models.given import Given
from api.http.models.search import Base64Image
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
SURPLUS = 5  # times as many of anything as an item may have are looked at, so that it fails alone in its batch
_STRICT = ConfigDict(strict=True)


def _not_far_too_many(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > SURPLUS * MAX_FIELDS:
        raise ValueError(f"there are {len(value):,} fields, at most {MAX_FIELDS} are possible")
    return value


# Of how many and which elements a list is, the item says, in one line and not in one for each.
Texts = Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "string"}})]
Attribute = str | int | float | bool | Texts | None
Few = BeforeValidator(_not_far_too_many)
Outcome = Literal["added", "updated", "unchanged", "failed"]


class ItemBody(Given):
    """An item, whole: what it leaves out, a stored item of that id loses."""

    model_config = _STRICT

    title: str = Field("", examples=["Red sofa"], description=f"One line of at most {MAX_TITLE:,} characters.")
    texts: Annotated[dict[str, str], Few] = Field(
        {},
        examples=[{"description": "Velvet, for three."}],
        description=f"Further texts that are searched, by field; at most {MAX_TEXT:,} characters each.",
    )
    attributes: Annotated[dict[str, Attribute], Few] = Field(
        {},
        examples=[{"price": 499.0, "colour": ["red"], "in_stock": True}],
        description=f"What filters and facets see, by field, of at most {MAX_NAME} characters. Texts have at most "
        f"{MAX_VALUE:,} characters, lists {MAX_LIST:,} texts; texts and attributes together at most {MAX_FIELDS} "
        "fields.",
    )
    photos: list[str | Base64Image] = Field(
        [],
        examples=[["sofas/red.jpg"]],
        max_length=SURPLUS * MAX_PHOTOS,
        description=f"At most {MAX_PHOTOS}, in their order: the bytes of a file, or its path inside a folder that the "
        "server takes photos from (`catalens serve --image-root`).",
    )


class BatchItem(ItemBody):
    """One item of a batch."""

    item_id: str = Field(examples=["sku-1"], description=f"Your own id, of at most {MAX_ID} characters.")


class Batch(Given):
    """Items to add or change."""

    model_config = _STRICT

    items: Annotated[list[BatchItem], FailFast()] = Field(min_length=1, max_length=MAX_ITEMS)


class Ids(Given):
    """Items to delete."""

    model_config = _STRICT

    item_ids: list[str] = Field(min_length=1, max_length=MAX_ITEMS, examples=[["sku-1", "sku-2"]])


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
    texts: Annotated[dict[str, str], Few] = Field(examples=[{"description": "Velvet, for three."}])
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
