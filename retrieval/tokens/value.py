"""Tokens as arrays, and the value that says which encoder and which projection made them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.json_fields import size, word

if TYPE_CHECKING:
    from retrieval.catalogue.queries import Modality


@dataclass(frozen=True)
class TokenSpec:
    """What must be equal for a reranker to read tokens.

    encoder: fingerprint of the encoder, since the vectors beside the tokens are its.
    places: tokens of a photo, row by row from the top left. image_width, text_width: numbers in a token of each side.
    text_length: a text has at most so many tokens; those behind are left out.
    projection_hash: hex SHA-256 over what brings the towers' own widths to these, and how numbers are rounded.
    """

    encoder: str
    places: int
    image_width: int
    text_width: int
    text_length: int
    projection_hash: str

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over all fields."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "encoder": self.encoder,
            "places": self.places,
            "image_width": self.image_width,
            "text_width": self.text_width,
            "text_length": self.text_length,
            "projection_hash": self.projection_hash,
        }

    @classmethod
    def from_json(cls, told: object) -> "TokenSpec":
        """What `to_json` gave. Raises ValueError for anything else."""
        if not isinstance(told, dict):
            raise ValueError("tokens is not an object")
        return cls(
            encoder=word(told, "encoder"),
            places=size(told, "places"),
            image_width=size(told, "image_width"),
            text_width=size(told, "text_width"),
            text_length=size(told, "text_length"),
            projection_hash=word(told, "projection_hash"),
        )

    def shape(self, modality: "Modality") -> tuple[int, int]:
        """The most tokens that a photo or a text has, and the numbers in one."""
        return (self.places, self.image_width) if modality == "image" else (self.text_length, self.text_width)


@dataclass(frozen=True)
class Tokens:
    """Of n photos, or of n texts.

    tokens: float32 [n, length, width], zeros behind the end of a row. lengths: int64 [n], how many of them are there; 0
    for a row without any, such as a text in a language that the tower does not know, or tokens that are damaged.
    vectors: float32 unit vectors [n, dimension] in the joint space.
    """

    tokens: FloatArray
    lengths: npt.NDArray[np.int64]
    vectors: FloatArray

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: Sequence[int] | npt.NDArray[Any] | slice) -> "Tokens":
        """Those rows, in that order."""
        return Tokens(self.tokens[rows], self.lengths[rows], self.vectors[rows])
