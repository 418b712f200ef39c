"""Pictures whose heat map is known: one coloured thing on a background of another colour."""

import numpy as np
from PIL import Image

from retrieval.encoders.clip_pixels import Pixels
from tests.fakes import COLOURS, ColourEncoder, FloatArray
from tests.fakes import Pixels as PixelArray

Box = tuple[float, float, float, float]


def thing(colour: str, box: Box, size: tuple[int, int] = (120, 120), background: str = "blue") -> Image.Image:
    """A rectangle on a background. box: left, top, right, bottom in fractions of the picture."""
    picture = Image.new("RGB", size, COLOURS[background])
    corners = [round(at * side) for at, side in zip(box, (*size, *size), strict=True)]
    picture.paste(COLOURS[colour], tuple(corners))
    return picture


class CroppingEncoder(ColourEncoder):
    """Mean colour of what a CLIP-like preprocessing leaves: `shortest` crops, `longest` pads."""

    def __init__(self, resize_mode: str) -> None:
        super().__init__(name=f"colour-{resize_mode}")
        side = [self.image_size, self.image_size]
        given = {"size": side, "resize_mode": resize_mode, "interpolation": "bicubic", "fill_color": 0}
        self._pixels = Pixels(given)

    def preprocess(self, image: Image.Image) -> PixelArray:
        return self._pixels(image)


class GridColourEncoder(ColourEncoder):
    """Mean colour, with a grid that says each cell's own."""

    cells = 8

    def grid(self, pixels: PixelArray) -> FloatArray:
        n, side = len(pixels), self.image_size // self.cells
        tiles = pixels.reshape(n, self.cells, side, self.cells, side, 3).mean(axis=(2, 4))
        return self._embed(tiles.reshape(-1, 3)).reshape(n, self.cells, self.cells, 4)


def peak(share: FloatArray) -> tuple[float, float]:
    """Where a map over a photo is highest, as fractions (x, y): the middle of all places that reach the maximum."""
    top = np.argwhere(share >= np.nanmax(share) - 1e-6)
    y, x = top.mean(axis=0)
    return (x + 0.5) / share.shape[1], (y + 0.5) / share.shape[0]
