"""Is the server there, and can it answer?"""

from pydantic import BaseModel, Field


class Health(BaseModel):
    """The process runs."""

    status: str = Field(examples=["ok"])
