"""Bodies of our own API: a field that is misspelt is told, and a body of nothing but mistakes costs no memory."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_KEYS = 2_000  # of one object; each that is unknown would be an error of its own, of 1 kB

T = TypeVar("T")

Listed = Annotated[list[T], Field(fail_fast=True)]
"""A list of which only the first mistake is told: a body of 20 MiB has room for five million, which took 6 GB."""


class Strict(BaseModel):
    """A body that takes no other fields and no other types than it names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, value: Any) -> Any:
        return few_keys(value)


def few_keys(value: Any) -> Any:
    """The value, whatever it is. Raises ValueError for an object of too many keys."""
    if isinstance(value, dict) and len(value) > MAX_KEYS:
        raise ValueError(f"an object has {len(value):,} fields, at most {MAX_KEYS:,} are looked at")
    return value
