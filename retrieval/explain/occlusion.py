"""Which parts of a picture an encoder's vector hangs on, found by covering them: for any encoder, exact, and slow."""

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from retrieval.explain.deletion import grey

GRID = 7
_BATCH = 16  # pictures encoded at once: 49 of them as one float32 batch would hold 30 MB beside the tower's own


def occlusion_map(
    encoder: DualEncoder,
    pixels: npt.NDArray[np.uint8],
    query: FloatArray,
    *,
    shown: tuple[slice, slice] = (slice(None), slice(None)),
    cells: int = GRID,
) -> FloatArray:
    """How much the score falls when each part of the picture is greyed out: float32 [cells, cells].

    pixels: one `preprocess` result, uint8 [height, width, 3]. query: unit vector [dimension]. shown: the rows and
    columns that show the photo; those that were filled in stay.

    Windows are twice as wide as a cell, so that neighbours overlap by half: a window that cuts through a thing says
    less than one that covers it (Zeiler & Fergus 2014, arXiv:1311.2901, slid a grey square). All have one size, those
    at the edge lie further in, since a smaller one would take less away. cells² + 1 encodings.
    """
    covered = grey(pixels)
    rows, columns = (range(side)[part] for side, part in zip(pixels.shape, shown, strict=False))
    spans = [
        (_span(row, rows, len(pixels), cells), _span(column, columns, pixels.shape[1], cells))
        for row in range(cells)
        for column in range(cells)
    ]
    whole = float(encoder.encode_images(pixels[None])[0] @ query)
    scores: list[float] = []
    for start in range(0, len(spans), _BATCH):
        some = spans[start : start + _BATCH]
        pictures = np.repeat(pixels[None], len(some), axis=0)
        for picture, span in zip(pictures, some, strict=True):
            picture[span] = covered[span]
        scores.extend(encoder.encode_images(pictures) @ query)
    return np.asarray([whole - score for score in scores], dtype=np.float32).reshape(cells, cells)


def _span(cell: int, shown: range, side: int, cells: int) -> slice:
    """Two cells wide around the middle of one, moved into what is shown."""
    wide = min(round(2 * side / cells), len(shown))
    start = round((cell + 0.5) * side / cells - wide / 2)
    start = min(max(start, shown.start), shown.stop - wide)
    return slice(start, start + wide)
