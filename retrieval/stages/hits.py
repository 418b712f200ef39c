"""Candidates become hits, with all that they show."""

from collections.abc import Callable, Mapping

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.catalogue.queries import ItemRow, OwnerRow
from retrieval.errors import CollectionDamaged
from retrieval.index.base import NO_ID
from retrieval.records import Hit
from retrieval.stages.candidates import Candidates
from retrieval.stages.rows import RowReader

Moved = Mapping[int, tuple[int, float | None]]
"""Of items by key: the rank before reranking, and the match, None for one that was not scored."""

TouchedBy = Callable[[int], tuple[str, ...]]
"""What the rules did to the candidate at this place."""


def hits_of(
    reader: RowReader,
    chosen: Candidates,
    confidences: FloatArray,
    first_rank: int,
    touched_by: TouchedBy,
    moved: Moved,
) -> tuple[Hit, ...]:
    """The hits with all that they show.

    confidences: float32 [n], NaN where it is not known. Raises CollectionDamaged where a row is missing: all is read
    in one snapshot.
    """
    photos, texts = reader.of("image", chosen.photos), reader.of("text", chosen.texts)
    bare = reader.items(chosen.keys[(chosen.photos == NO_ID) & (chosen.texts == NO_ID)])
    hits = []
    for i, (key, photo, text) in enumerate(
        zip(chosen.keys.tolist(), chosen.photos.tolist(), chosen.texts.tolist(), strict=True)
    ):
        gone = (photo != NO_ID and photo not in photos) or (text != NO_ID and text not in texts)
        row: OwnerRow | ItemRow | None = photos.get(photo) or texts.get(text) or bare.get(key)
        if gone or row is None:
            raise CollectionDamaged(
                "the collection's database lacks what its index names", hint="check the disk, and index anew"
            )
        was, match = moved.get(key, (None, None))
        hits.append(
            Hit(
                first_rank + i,
                row.item_id,
                _number(chosen.scores[i]),
                row.title,
                row.photo,
                row.attributes,
                texts[text].matched_text if text != NO_ID else None,
                cosine=_number(chosen.cosines[i]),
                confidence=_number(confidences[i]),
                legs=_legs(chosen.legs, i),
                rules=touched_by(i),
                first_rank=was,
                rerank_score=match,
                photo_id=photo if photo != NO_ID else None,
            )
        )
    return tuple(hits)


def _legs(legs: Mapping[str, FloatArray], i: int) -> dict[str, dict[str, float]]:
    """Of the legs that found it: the item's rank and score there, and what they added to its score."""
    return {
        name: {"rank": int(values[i, 0]), "score": float(values[i, 1]), "added": float(values[i, 2])}
        for name, values in legs.items()
        if values[i, 0] > 0
    }


def _number(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)
