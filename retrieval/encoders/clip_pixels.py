"""Pictures as open_clip prepares them for its models, pixel for pixel, in Pillow alone: a search pays for no torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

_MAX_ASPECT = 32


class Pixels:
    """Resizes and crops as a preprocessing says: `size` (height, width), `resize_mode`, `interpolation`, `fill_color`.

    resize_mode: `shortest` brings the shorter side to size and crops the middle, `longest` the longer one and pads,
    `squash` both.
    """

    def __init__(self, preprocessing: Mapping[str, Any]) -> None:
        height, width = preprocessing["size"]
        self._size = int(height), int(width)
        self._mode = preprocessing["resize_mode"]
        bilinear = preprocessing["interpolation"] == "bilinear"  # open_clip takes every other word for bicubic
        self._filter = Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC
        self._fill = int(preprocessing["fill_color"])

    def __call__(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """One RGB picture -> uint8 [height, width, 3]. Thread-safe."""
        image = middle(image)
        height, width = self._size
        if self._mode == "squash":
            image = _resized(image, height, width, self._filter)
        elif self._mode == "longest":
            image = self._kept_ratio(image, max, self._filter)
            image = _cropped(_padded(image, height, width, self._fill), height, width)
        elif height == width:
            image = _shorter_side(image, height, self._filter)
            image = _cropped(_padded(image, height, width, 0), height, width)
        else:
            # open_clip does not hand the interpolation on here, so that it is always bicubic
            image = self._kept_ratio(image, min, Image.Resampling.BICUBIC)
            image = _cropped(_padded(image, height, width, 0), height, width)
        return np.asarray(image.convert("RGB"), dtype=np.uint8)

    def _kept_ratio(self, image: Image.Image, pick: Any, resampling: Image.Resampling) -> Image.Image:
        height, width = self._size
        ratio = pick(image.height / height, image.width / width)
        return _resized(image, round(image.height / ratio), round(image.width / ratio), resampling)


def middle(image: Image.Image) -> Image.Image:
    """The middle of a picture more than 32 times as long as wide; any other unchanged.

    Resizing the shorter side first would blow 1 × 30 000 pixels up to 224 × 6 720 000, which is 4.5 GB.
    """
    width, height = image.size
    longest = _MAX_ASPECT * min(image.size)
    if max(image.size) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, min(width, left + longest), min(height, top + longest)))


def _shorter_side(image: Image.Image, side: int, resampling: Image.Resampling) -> Image.Image:
    width, height = image.size
    if width <= height:
        return _resized(image, int(side * height / width), side, resampling)
    return _resized(image, side, int(side * width / height), resampling)


def _resized(image: Image.Image, height: int, width: int, resampling: Image.Resampling) -> Image.Image:
    return image if image.size == (width, height) else image.resize((width, height), resampling)


def _padded(image: Image.Image, height: int, width: int, fill: int) -> Image.Image:
    """At least height × width; of an odd rest, the larger half goes to the right and below."""
    right, below = max(0, width - image.width), max(0, height - image.height)
    if not right and not below:
        return image
    border = (right // 2, below // 2, right - right // 2, below - below // 2)
    return ImageOps.expand(image, border, (fill, fill, fill))


def _cropped(image: Image.Image, height: int, width: int) -> Image.Image:
    top, left = round((image.height - height) / 2), round((image.width - width) / 2)
    return image.crop((left, top, left + width, top + height))
