"""Texts and pictures as other services' clients send them, to be embedded or judged."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_INPUTS = 256
MAX_TEXT = 32_000  # characters; no encoder reads more than the first few hundred words

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Base64(_Strict):
    """The bytes of a picture's file."""

    base64: str = Field(min_length=1, examples=["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"])


class ImageUrl(_Strict):
    """Where a picture is."""

    url: str = Field(
        min_length=1,
        examples=["data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"],
        description="A data URL; an https URL where the server was started with --allow-url.",
    )
    detail: Literal["auto", "low", "high"] | None = Field(None, description="Taken and left aside.")


class ImageUrlInput(_Strict):
    """A picture, as OpenAI's clients name it."""

    type: Literal["image_url"]
    image_url: ImageUrl


class ImageInput(_Strict):
    """A picture."""

    image: Base64


class TextInput(_Strict):
    """A text; `type` may be left out."""

    type: Literal["text"] | None = None
    text: Text


class ItemInput(_Strict):
    """A stored item: its photos, or its texts if it has none."""

    item_id: str = Field(min_length=1, max_length=MAX_TEXT, examples=["sku-red"])
    collection: str | None = Field(None, examples=["shop"], description="By default the first that uses the model.")
