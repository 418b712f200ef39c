"""Fields of a JSON object that may be damaged: what is taken is of the right kind, or there is a ValueError."""

from collections.abc import Mapping
from typing import Any

LARGEST = 65_536
"""No width or number of tokens is above it: a damaged number must not ask for all memory."""


def word(told: Mapping[str, Any], key: str) -> str:
    """A string with something in it."""
    value = told.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is not a word")
    return value


def size(told: Mapping[str, Any], key: str) -> int:
    """A whole number from 1 to LARGEST."""
    value = told.get(key)
    if type(value) is not int or not 1 <= value <= LARGEST:
        raise ValueError(f"{key} is not a number from 1 to {LARGEST}")
    return value
