"""Is the server there, and can it answer?"""

from pydantic import BaseModel, Field


class Health(BaseModel):
    """The process runs."""

    status: str = Field(examples=["ok"])


class ReadyCollection(BaseModel):
    """A collection that can be searched."""

    name: str = Field(examples=["shop"])
    model: str = Field(examples=["starter"], description="The encoder, which is loaded.")
    revision: int = Field(examples=[3])


class Ready(BaseModel):
    """Every collection can be searched."""

    status: str = Field(examples=["ready"])
    collections: list[ReadyCollection] = Field(
        description="None are named to one without a key, if the server has keys."
    )
