"""Which region of a photo a query matches."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder, SpatialEncoder
from retrieval.errors import EncoderError, QueryError
from retrieval.explain.deletion import DEFINITION, Faithfulness, faithfulness, grey
from retrieval.explain.geometry import Window, window
from retrieval.explain.occlusion import occlusion_map

Method = Literal["auto", "grid", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class HeatMap:
    """Where in a photo a query's match lies.

    relevance: float32 [rows, columns] over the encoder's square, higher is more. Of the grid method each cell's cosine
        with the query, of occlusion what the score loses without it: compare values of one map only.
    method: `grid` or `occlusion`, whichever was used.
    window: where the encoder's square lies in the photo.
    score: cosine of the photo, as it was encoded now, with the query.
    faithfulness: what the deletion test says; None if it was not asked for.
    took_ms: making the map; testing it not counted.
    """

    relevance: FloatArray
    method: Method
    window: Window
    score: float
    faithfulness: Faithfulness | None
    took_ms: float

    def to_json(self) -> dict[str, Any]:
        """As JSON values, the definition of the figure with it."""
        tested = self.faithfulness
        return {
            "method": self.method,
            "score": round(self.score, 6),
            "relevance": [[round(float(value), 5) for value in row] for row in self.relevance],
            "window": {side: round(getattr(self.window, side), 4) for side in ("left", "top", "right", "bottom")},
            "faithfulness": None if tested is None or tested.figure is None else round(tested.figure, 4),
            "faithfulness_means": DEFINITION,
            "took_ms": round(self.took_ms, 1),
        }


def heat_map(
    encoder: DualEncoder, photo: Image.Image, query: FloatArray, *, method: Method = "auto", tested: bool = True
) -> HeatMap:
    """The map of one upright RGB photo for a query's unit vector [dimension].

    method: `grid` takes what the image tower says of each cell (one pass, for encoders that have a grid), `occlusion`
        covers one part after the other (50 passes, any encoder), `auto` the grid where there is one.
    tested: also run the deletion test, 38 passes.

    Raises QueryError for an unknown method, or for `grid` where the encoder has none; EncoderError for an encoder whose
    pixels are not uint8 [height, width, 3].
    """
    if method not in METHODS:
        raise QueryError(f"there is no heat map by {method!r}", hint=f"choose one of {', '.join(METHODS)}")
    pixels = np.asarray(encoder.preprocess(photo))
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise EncoderError(
            f"{encoder.spec.name} gives its tower {pixels.dtype} {list(pixels.shape)}; a heat map needs uint8 pixels",
            hint="explain without --heatmap",
        )
    seen = window(encoder, photo.size)
    shown = seen.shown(*pixels.shape[:2])

    def cover(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        covered = picture.copy()
        covered[shown] = grey(picture)[shown]  # what was filled in is no part of the photo
        return covered

    started = perf_counter()
    relevance = None
    if method != "occlusion" and isinstance(encoder, SpatialEncoder):
        cells = encoder.grid(pixels[None])
        relevance = None if cells is None else np.asarray(cells[0] @ query, dtype=np.float32)
    used: Method = "grid" if relevance is not None else "occlusion"
    if method == "grid" and relevance is None:
        raise QueryError(
            f"{encoder.spec.name} has no grid as it runs here", hint="leave the method out, or take occlusion"
        )
    if relevance is None:
        relevance = occlusion_map(encoder, pixels, query, shown=shown)
    took_ms = (perf_counter() - started) * 1000
    result = faithfulness(encoder, pixels, query, relevance, cover=cover) if tested else None
    score = result.whole if result else float(encoder.encode_images(pixels[None])[0] @ query)
    return HeatMap(relevance, used, seen, score, result, took_ms)
