"""The heat map's colours: from dark violet over red and orange to light yellow.

Lightness rises evenly from end to end, so that the order can be read without any hue, by colour-blind people and in
print. The path is drawn in OKLCH, where equal steps look equal (Ottosson 2020, bottosson.github.io/posts/oklab).
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray

STEPS = 256
_LIGHTNESS = (0.30, 0.93)
_CHROMA = ((0.0, 0.13), (0.35, 0.19), (0.7, 0.18), (1.0, 0.14))  # the most that sRGB has room for along the way
_HUE = ((0.0, 300.0), (0.35, 365.0), (0.7, 415.0), (1.0, 465.0))  # degrees: violet, red, orange, yellow

# OKLab -> cone responses (cubed) -> linear sRGB, from the same page.
_TO_CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@lru_cache(maxsize=1)
def colour_map() -> npt.NDArray[np.uint8]:
    """uint8 [256, 3], sRGB, from the least to the most relevant."""
    at = np.linspace(0, 1, STEPS)
    lightness = _LIGHTNESS[0] + (_LIGHTNESS[1] - _LIGHTNESS[0]) * at
    chroma, hue = _along(_CHROMA, at), _along(_HUE, at)
    angle = np.deg2rad(hue)
    lab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=1)
    linear = np.clip((lab @ _TO_CONES.T) ** 3 @ _TO_RGB.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    table: npt.NDArray[np.uint8] = (encoded * 255).round().astype(np.uint8)
    table.flags.writeable = False
    return table


def _along(points: tuple[tuple[float, float], ...], at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    places, values = np.array(points).T
    between: npt.NDArray[np.float64] = np.interp(at, places, values)
    return between


def coloured(share: FloatArray) -> npt.NDArray[np.uint8]:
    """Shares in 0…1 [height, width] -> uint8 [height, width, 3]."""
    colours: npt.NDArray[np.uint8] = colour_map()[(np.clip(share, 0, 1) * (STEPS - 1)).round().astype(np.int64)]
    return colours
