"""Texts and pictures as other services' clients send them, to be embedded or judged.

Fields that are not named here are taken and left aside, as those services do: their clients send more each year.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

MAX_INPUTS = 256
MAX_TEXT = 32_000  # characters; no encoder reads more than the first few hundred words

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class Base64(BaseModel):
    """The bytes of a picture's file."""

    base64: str = Field(min_length=1, examples=["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"])


class ImageUrl(BaseModel):
    """Where a picture is."""

    url: str = Field(
        min_length=1,
        examples=["data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"],
        description="A data URL; an https URL where the server was started with --allow-url.",
    )
    detail: Literal["auto", "low", "high"] | None = Field(None, description="Taken and left aside.")


class ImageUrlInput(BaseModel):
    """A picture, as OpenAI's clients name it."""

    type: Literal["image_url"]
    image_url: ImageUrl


class ImageInput(BaseModel):
    """A picture."""

    image: Base64


class TextInput(BaseModel):
    """A text; `type` may be left out."""

    type: Literal["text"] | None = None
    text: Text


class ItemInput(BaseModel):
    """A stored item: its photos, or its texts if it has none."""

    item_id: str = Field(min_length=1, max_length=MAX_TEXT, examples=["sku-red"])
    collection: str | None = Field(None, examples=["shop"], description="By default the first that uses the model.")


KINDS = ("text", "image", "image_url", "item_id")


def _of_one_kind(value: Any) -> Any:
    """What is given, if it does not say two things at once, of which one would silently be left aside."""
    said = [kind for kind in KINDS if kind in value] if isinstance(value, dict) else []
    if len(said) > 1:
        raise ValueError(f"it has {said[0]} and {said[1]}; give one of them")
    return value


OneKind = BeforeValidator(_of_one_kind)
