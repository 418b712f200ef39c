"""Labels for items, as JSON."""

from typing import Annotated

from pydantic import BaseModel, Field

from api.http.models.strict import Listed, Strict
from indexer.label_file import MAX_LENGTH
from indexer.tagging import FIELD, MIN_CONFIDENCE, TOP

MAX_LABELS = 500  # each is encoded in several sentences: 2 s for so many on one core
MAX_SHOWN = 10_000
Label = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH, pattern=r"\S")]


class TagRequest(Strict):
    """Which of these labels fit each item?"""

    labels: Listed[Label] = Field(min_length=1, max_length=MAX_LABELS, examples=[["sofa", "lamp", "running shoes"]])
    field: str = Field("tags", pattern=f"^{FIELD.pattern}$", description="The attribute that keeps them, with `store`.")
    min_confidence: float = Field(MIN_CONFIDENCE, ge=0, le=1, description="The least confidence of a label.")
    top: int = Field(TOP, ge=1, le=100, description="The most labels of one item.")
    store: bool = Field(
        False, description="Keep them beside the items' attributes, in place of those that the field had."
    )
    limit: int = Field(1_000, ge=0, le=MAX_SHOWN, description="How many items to list in the answer.")


class TagAnswer(BaseModel):
    """One label of an item."""

    label: str = Field(examples=["sofa"])
    confidence: float = Field(examples=[0.93], description="From 0 to 1.")


class TaggedItem(BaseModel):
    """An item with its labels, the most confident first."""

    item_id: str = Field(examples=["sku-1"])
    title: str = Field(examples=["Red sofa"])
    tags: list[TagAnswer]


class TaggedAnswer(BaseModel):
    """What was found, and whether it was kept."""

    field: str = Field(examples=["tags"])
    labels: list[str] = Field(examples=[["sofa", "lamp"]])
    stored: bool
    sharpness: float = Field(examples=[24.5], description="What makes confidences of this collection's cosines.")
    items: list[TaggedItem] = Field(description="The first of those that got labels, up to `limit`.")
    with_labels: int = Field(examples=[51], description="How many items got labels.")
    without: int = Field(examples=[3], description="How many items with a photo got none.")


class UntaggedAnswer(BaseModel):
    """A field of labels is gone."""

    field: str = Field(examples=["tags"])
    removed_from: int = Field(examples=[51], description="How many items had some.")
