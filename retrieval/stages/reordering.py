"""The best of a ranking in a better order, as plain arithmetic: which queries, whose scores, which places."""

from dataclasses import replace

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.query import Query
from retrieval.rerankers.base import Direction
from retrieval.rerankers.order import order_of
from retrieval.stages.candidates import Candidates


def direction_of(query: Query) -> Direction | None:
    """What a reranker is asked to judge; None where it is not made for the query."""
    if why_not(query):
        return None
    return "image_to_text" if query.by == "text" else "text_to_image"


def why_not(query: Query) -> str | None:
    """Why a reranker, which judges one text with one photo, is not made for a query; None if it is."""
    if not query.parts:
        return "nothing is searched for that a candidate could be judged by"
    if query.sort:
        return "hits that are sorted by a field have no other order"
    if len(query.parts) > 1 or query.parts[0].weight <= 0:
        return "only words alone, or one picture alone, are judged with a candidate"
    part = query.parts[0]
    if part.words is not None and query.by in ("image", "hybrid"):
        return None
    if part.image is not None and query.by == "text":
        return None
    return "a text is judged with a photo only: words by image or hybrid, or a picture by text"


def reordered(candidates: Candidates, matches: FloatArray, weight: float) -> tuple[Candidates, FloatArray]:
    """Those that were scored in their new order, on the places that they had; the others where they are.

    matches, weight: see `order_of`. Second the matches in the new order.
    """
    scores = np.where(np.isnan(matches), candidates.scores, candidates.scores + np.float32(weight) * matches)
    order = order_of(candidates.scores, matches, weight)
    return replace(candidates, scores=scores).take(order), matches[order]


def scale(candidates: Candidates) -> float:
    """What a weight beside cosines is multiplied by beside these scores.

    1 where the scores are cosines. For a hybrid search the standard deviation of the fused scores, boosts left out,
    over that of the photos' cosines, both of the candidates that the photos' leg listed; 1 for fewer than two of them
    or equal cosines.
    """
    if "image" not in candidates.legs or len(candidates.legs) < 2:
        return 1.0
    photos = candidates.legs["image"]
    listed = photos[:, 0] > 0
    cosines = photos[listed, 1].astype(np.float64)
    fused = np.sum([leg[listed, 2] for leg in candidates.legs.values()], axis=0, dtype=np.float64)
    spread = float(cosines.std()) if len(cosines) > 1 else 0.0
    return float(fused.std()) / spread if spread > 0 else 1.0


def is_certain(candidates: Candidates, margin: float) -> bool:
    """Is the first one's cosine more than `margin` above the second's? False where one has none.

    For a hybrid search the cosines with photos, which are what margins are chosen beside.
    """
    if len(candidates) < 2:
        return False
    cosines = candidates.legs["image"][:, 1] if "image" in candidates.legs else candidates.cosines
    return bool(cosines[0] - cosines[1] > margin)
