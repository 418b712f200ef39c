"""Texts and pictures as other services' clients send them, to be embedded or judged."""

from typing import Annotated, Literal

from pydantic import Field

from api.http.models.given import Given

MAX_INPUTS = 256
MAX_TEXT = 32_000  # characters; no encoder reads more than the first few hundred words

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class Base64(Given):
    """The bytes of a picture's file."""

    base64: str = Field(min_length=1, examples=["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"])


class ImageUrl(Given):
    """Where a picture is."""

    url: str = Field(
        min_length=1,
        examples=["data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"],
        description="A data URL; an https URL where the server was started with --allow-url.",
    )
    detail: Literal["auto", "low", "high"] | None = Field(None, description="Taken and left aside.")


class ImageUrlInput(Given):
    """A picture, as OpenAI's clients name it."""

    type: Literal["image_url"]
    image_url: ImageUrl


class ImageInput(Given):
    """A picture."""

    image: Base64


class TextInput(Given):
    """A text; `type` may be left out."""

    type: Literal["text"] | None = None
    text: Text


class ItemInput(Given):
    """A stored item: its photos, or its texts if it has none."""

    item_id: str = Field(min_length=1, max_length=MAX_TEXT, examples=["sku-red"])
    collection: str | None = Field(None, examples=["shop"], description="By default the first that uses the model.")
