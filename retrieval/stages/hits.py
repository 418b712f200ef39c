"""Rows become hits: what is shown of each item, all of one snapshot."""

from collections.abc import Callable, Mapping

import numpy as np

from retrieval.catalogue.queries import ItemRow
from retrieval.collection import Collection
from retrieval.index.base import NO_ID
from retrieval.records import Hit
from retrieval.stages.candidates import Candidates

TouchedBy = Callable[[int], tuple[str, ...]]
"""What the rules did to the candidate at this place."""


def hits_of(
    collection: Collection, chosen: Candidates, confidences: np.ndarray, first_rank: int, touched_by: TouchedBy
) -> tuple[Hit, ...] | None:
    """The hits with all that they show; None when one of them was deleted meanwhile.

    confidences: float32 [n], NaN where it is not known.
    """
    photos, texts = (owners[owners != NO_ID].tolist() for owners in (chosen.photos, chosen.texts))
    rows, paths, contents = collection.shown(chosen.keys.tolist(), photos, texts)
    if len(rows) < len(chosen) or len(paths) < len(set(photos)) or len(contents) < len(set(texts)):
        return None
    return tuple(
        Hit(
            first_rank + i,
            row.item_id,
            _number(chosen.scores[i]),
            row.title,
            paths.get(int(chosen.photos[i]), row.photo),
            row.attributes,
            contents.get(int(chosen.texts[i])),
            cosine=_number(chosen.cosines[i]),
            confidence=_number(confidences[i]),
            legs=_legs(chosen.legs, i),
            rules=touched_by(i),
        )
        for i, row in enumerate(_in_order(chosen, rows))
    )


def _in_order(chosen: Candidates, rows: Mapping[int, ItemRow]) -> list[ItemRow]:
    return [rows[key] for key in chosen.keys.tolist()]


def _legs(legs: Mapping[str, np.ndarray], i: int) -> dict[str, dict[str, float]]:
    """Of the legs that found it: the item's rank and score there, and what they added to its score."""
    return {
        name: {"rank": int(values[i, 0]), "score": float(values[i, 1]), "added": float(values[i, 2])}
        for name, values in legs.items()
        if values[i, 0] > 0
    }


def _number(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)
