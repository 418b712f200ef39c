"""Where in a photo the encoder looks: its preprocessing may squash, crop or pad."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder

_MARK = 200  # blue of the probe; what the encoder pads with is grey, white or black, which no probed pixel is
_PROBE_SIDE = 512
_EDGE = 1 / 250  # an edge that is measured so near to the photo's own is the photo's own: twice the error
_TOLERANCE = 24  # bicubic resizing overshoots beside an edge


@dataclass(frozen=True)
class Window:
    """The encoder's square in fractions of the photo: its left edge lies at `left` of the photo's width, and so on.

    Inside 0…1 where the encoder crops; below 0 or above 1 where it pads.
    """

    left: float
    top: float
    right: float
    bottom: float

    def over_photo(self, relevance: FloatArray, width: int, height: int) -> FloatArray:
        """A map over the encoder's square [rows, columns] -> float32 [height, width], smooth; NaN where it never looks.

        Values belong to the middles of their cells; between them the map is bilinear, beyond the outermost flat.
        """
        rows, columns = relevance.shape
        y = _positions(height, self.top, self.bottom, rows)
        x = _positions(width, self.left, self.right, columns)
        smooth = _sampled(relevance, y, x)
        smooth[(y < 0) | (y > rows)] = np.nan
        smooth[:, (x < 0) | (x > columns)] = np.nan
        return smooth

    def shown(self, height: int, width: int) -> tuple[slice, slice]:
        """Which rows and columns of the encoder's height × width pixels show the photo; the others were filled in."""
        return _shown(self.top, self.bottom, height), _shown(self.left, self.right, width)


def window(encoder: DualEncoder, size: tuple[int, int]) -> Window:
    """Where the encoder's square lies in photos of this size (width, height).

    Measured, not computed: a picture whose red grows from left to right and whose green grows from top to bottom goes
    through `preprocess`, and what comes out says where each pixel came from. So it holds for any encoder whose pixels
    are uint8 [height, width, 3], to about 1/500 of the photo.
    """
    shrunk = min(1.0, _PROBE_SIDE / min(size))  # in proportion: a photo of 40 megapixels would need 120 MB
    width, height = (max(1, round(side * shrunk)) for side in size)
    probe = np.empty((height, width, 3), dtype=np.uint8)
    probe[:, :, 0] = ((np.arange(width) + 0.5) / width * 255).round()
    probe[:, :, 1] = ((np.arange(height) + 0.5) / height * 255).round()[:, None]
    probe[:, :, 2] = _MARK
    seen = np.asarray(encoder.preprocess(Image.fromarray(probe)), dtype=np.float64)
    inside = np.abs(seen[:, :, 2] - _MARK) < _TOLERANCE
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    middle_row, middle_column = rows[len(rows) // 2], columns[len(columns) // 2]
    left, right = _ends(seen[middle_row, columns, 0] / 255, columns, seen.shape[1])
    top, bottom = _ends(seen[rows, middle_column, 1] / 255, rows, seen.shape[0])
    return Window(_own(left, 0), _own(top, 0), _own(right, 1), _own(bottom, 1))


def _own(measured: float, edge: float) -> float:
    return edge if abs(measured - edge) < _EDGE else measured


def _ends(fractions: npt.NDArray[np.float64], places: npt.NDArray[np.int64], side: int) -> tuple[float, float]:
    """Where in the photo the encoder's first and last edge lie, from where some of its pixels came from."""
    at = (places + 0.5) / side
    inner = slice(len(at) // 8, max(len(at) - len(at) // 8, len(at) // 8 + 1))  # resizing is crooked at the edges
    if len(at[inner]) < 2 or np.ptp(fractions[inner]) == 0:  # a photo one pixel wide: all of it is everywhere
        first, last = places[0] / side, (places[-1] + 1) / side
        return -first / (last - first), (1 - first) / (last - first)
    slope, start = np.polyfit(at[inner], fractions[inner], 1)
    return float(start), float(start + slope)


def _shown(first: float, last: float, side: int) -> slice:
    start, stop = (round((edge - first) / (last - first) * side) for edge in (0, 1))
    return slice(max(0, start), max(min(side, stop), max(0, start) + 1))


def _positions(count: int, first: float, last: float, cells: int) -> npt.NDArray[np.float64]:
    """Of each photo pixel's middle, the place in the map, in cells from its first edge."""
    return ((np.arange(count) + 0.5) / count - first) / (last - first) * cells


def resized(relevance: npt.NDArray[np.floating], height: int, width: int) -> FloatArray:
    """A map [rows, columns] over the encoder's square -> float32 [height, width], bilinear between middles of cells."""
    rows, columns = relevance.shape
    return _sampled(relevance, _positions(height, 0, 1, rows), _positions(width, 0, 1, columns))


def _sampled(relevance: npt.NDArray[np.floating], y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> FloatArray:
    (y0, y1, fy), (x0, x1, fx) = _between(y, relevance.shape[0]), _between(x, relevance.shape[1])
    across = relevance[:, x0] * (1 - fx) + relevance[:, x1] * fx
    smooth = across[y0] * (1 - fy[:, None]) + across[y1] * fy[:, None]
    return smooth.astype(np.float32)


def _between(
    places: npt.NDArray[np.float64], cells: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The two cells whose middles lie around each place, and how far it is to the second."""
    at = np.clip(places - 0.5, 0, cells - 1)
    lower = np.floor(at).astype(np.int64)
    return lower, np.minimum(lower + 1, cells - 1), at - lower
