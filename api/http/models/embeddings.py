"""Embeddings in the shape of OpenAI's API."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.http.models.documents import MAX_INPUTS, ImageInput, ImageUrlInput, OneKind, Text, TextInput

EmbeddingInput = Annotated[Text | TextInput | ImageUrlInput | ImageInput, OneKind]


def _no_token_ids(value: Any) -> Any:
    """Some clients cut texts into numbers of OpenAI's tokenizer, which mean nothing to another model."""
    first = value[0] if isinstance(value, list) and value else value
    first = first[0] if isinstance(first, list) and first else first
    if isinstance(first, int):
        raise ValueError("token ids are not taken, since each model has its own; send the text itself")
    return value


class EmbeddingsRequest(BaseModel):
    """What to embed, and with which model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "starter", "input": ["red shoes", "a wooden chair"], "encoding_format": "float"}]
        },
    )

    model: str | None = Field(
        None, examples=["starter"], description="A model that a collection uses; by default the first collection's."
    )
    input: Annotated[
        EmbeddingInput | Annotated[list[EmbeddingInput], Field(min_length=1, max_length=MAX_INPUTS)],
        BeforeValidator(_no_token_ids),
    ] = Field(description="A text, a picture, or a list of them.")
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="`float`, or `base64` of float32 numbers, little-endian; by default `float`."
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
