"""What a reranker's folder says of itself, as JSON, checked field by field."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from retrieval.errors import EncoderError
from retrieval.json_fields import size, word
from retrieval.rerankers.base import Direction, RerankerSpec
from retrieval.rerankers.registry import KINDS
from retrieval.tokens.value import TokenSpec

FORMAT = "catalens-reranker-1"
_AGAIN = "copy the whole folder again, or train again: catalens train reranker"
_OWN = {"format", "kind", "dimension", "tokens", "weights_sha256", "weights", "margins"}


@dataclass(frozen=True)
class Description:
    """dimension: of the joint vectors."""

    spec: RerankerSpec
    dimension: int


def described(spec: RerankerSpec, dimension: int, weights_sha256: str) -> dict[str, Any]:
    """As JSON values; the facts stand beside the rest."""
    return {
        "format": FORMAT,
        "kind": spec.kind,
        "dimension": dimension,
        "tokens": spec.tokens.to_json(),
        "weights_sha256": weights_sha256,
        "weights": dict(spec.weights),
        "margins": dict(spec.margins),
        **{key: value for key, value in spec.facts.items() if key not in _OWN},
    }


def parsed(data: bytes, path: Path, name: str) -> Description:
    """The description in a file's bytes. path: for messages. Raises EncoderError."""
    try:
        told = json.loads(data)
    except ValueError as error:
        raise EncoderError(f"{path} is not JSON: {error}", hint=_AGAIN) from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise EncoderError(f"{path} does not describe a reranker of format {FORMAT}", hint=_AGAIN)
    kind = told.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise EncoderError(f"{path}: there is no kind {kind!r}; the kinds are {', '.join(KINDS)}", hint=_AGAIN)
    try:
        spec = RerankerSpec(
            name=name,
            kind=kind,
            weights_hash=word(told, "weights_sha256"),
            tokens=TokenSpec.from_json(told.get("tokens")),
            weights=_by_direction(told, "weights"),
            margins=_by_direction(told, "margins"),
            facts={key: value for key, value in told.items() if key not in _OWN},
        )
        return Description(spec, size(told, "dimension"))
    except ValueError as error:
        raise EncoderError(f"{path}: {error}", hint=_AGAIN) from error


def _by_direction(told: Mapping[str, Any], key: str) -> dict[Direction, float]:
    values = told.get(key)
    found: dict[Direction, float] = {}
    for direction in get_args(Direction):
        value = values.get(direction) if isinstance(values, dict) else None
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(f"{key} has no finite number for {direction}")
        found[direction] = float(value)
    return found
