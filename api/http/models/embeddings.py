"""Embeddings in the shape of OpenAI's API."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.http.models.documents import MAX_INPUTS, ImageInput, ImageUrlInput, Text, TextInput
from api.http.models.given import Given

EmbeddingInput = Text | TextInput | ImageUrlInput | ImageInput


class EmbeddingsRequest(Given):
    """What to embed, and with which model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "starter", "input": ["red shoes", "a wooden chair"], "encoding_format": "float"}]
        },
    )

    model: str | None = Field(
        None, examples=["starter"], description="A model that a collection uses; by default the first collection's."
    )
    input: EmbeddingInput | Annotated[list[EmbeddingInput], Field(min_length=1, max_length=MAX_INPUTS)] = Field(
        description="A text, a picture, or a list of them."
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="`base64` is of float32 numbers, little-endian."
    )
    dimensions: int | None = Field(None, ge=1, description="If given, it must be what the model has.")
    user: str | None = Field(None, description="Taken and left aside.")


class Embedding(BaseModel):
    """One input as a unit vector in the joint space."""

    object: Literal["embedding"]
    index: int = Field(examples=[0], description="Its place in `input`.")
    embedding: list[float] | str = Field(examples=[[0.12, -0.03, 0.99]])


class Usage(BaseModel):
    """Nothing is charged; clients expect these numbers."""

    prompt_tokens: int = Field(examples=[5], description="Words, parted at blanks; a picture counts as none.")
    total_tokens: int = Field(examples=[5])


class Embeddings(BaseModel):
    """One embedding for each input, in their order. Texts and pictures can be compared with each other."""

    object: Literal["list"]
    data: list[Embedding]
    model: str = Field(examples=["starter"])
    usage: Usage
