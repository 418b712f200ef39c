"""How true a heat map is: does the score fall faster when what the map names is taken away first?

The deletion test of Petsiuk, Das & Saenko 2018 (RISE, arXiv:1806.07421), compared with taking away at random, so that
the figure says what the map knows and not how easily the score falls.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from retrieval.explain.geometry import resized

Cover = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]
"""From a picture, uint8 [height, width, 3], to what takes the place of its parts."""

STEPS = 10
RANDOM_ORDERS = 3
_GREY = 128
_BLUR = 20 / 224  # of the side: at 224 pixels, nothing smaller than about 40 can be told
_LEAST_RANGE = 0.02  # of cosine: below it the score hangs on no part of the photo, and there is nothing to find

DEFINITION = (
    "how much lower the score stands when the most relevant parts are greyed out first than when the same map is laid "
    "at random elsewhere, on average over ten steps, as a share of the range that the score went through: 0 is no "
    "better than chance"
)


@dataclass(frozen=True)
class Faithfulness:
    """What the deletion test says of a map.

    figure: (mean score at random - mean score by the map) / (highest score - lowest score), over all steps of all
        orders. Between -1 and 1; 0 is no better than chance, below 0 worse; few maps come above 0.4. The range stands
        where the fall from the photo to a blank picture might: for short queries a blank one often scores as well as
        the photo. None where the range is under 0.02 of cosine.
    whole, blank: score of the photo, and of it when all is grey.
    by_map, at_random: scores after 0, 1/STEPS, … all of it was greyed out; at random, the mean over several orders.
    encodings: what it cost.
    """

    figure: float | None
    whole: float
    blank: float
    by_map: tuple[float, ...]
    at_random: tuple[float, ...]
    encodings: int


def grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What a deleted part becomes. A blur would leave its colour, which is half of what people ask for in a shop."""
    return np.full_like(pixels, _GREY)


def blurred(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """uint8 [height, width, 3] without detail: another way to delete, which adds no edges, to check the first by."""
    radius = _BLUR * max(pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)), dtype=np.uint8)


def faithfulness(
    encoder: DualEncoder,
    pixels: npt.NDArray[np.uint8],
    query: FloatArray,
    relevance: FloatArray,
    *,
    orders: int = RANDOM_ORDERS,
    seed: int = 0,
    cover: Cover = grey,
) -> Faithfulness:
    """The deletion test of one map [rows, columns] over one picture, uint8 [height, width, 3].

    query: unit vector [dimension]. A random order is the map itself, moved (`_moved`): the parts that go have the same
    sizes and edges, and only where they lie differs. Orders of random numbers would make the figure hang on how finely
    they are grained: scattered patches do more harm than as much in one piece.
    Costs (orders + 1) * (STEPS - 1) + 2 encodings, 38 as it stands.
    """
    covered = cover(pixels)
    dice = np.random.default_rng(seed)
    whole, empty = (float(score) for score in encoder.encode_images(np.stack([pixels, covered])) @ query)
    maps: list[npt.NDArray[np.floating]] = [relevance, *(_moved(relevance, dice) for _ in range(orders))]
    curves = [_curve(encoder, pixels, covered, query, each, whole, empty) for each in maps]
    by_map, at_random = curves[0], np.mean(curves[1:], axis=0)
    span = float(np.max(curves) - np.min(curves))
    figure = None if span < _LEAST_RANGE else (_area(at_random) - _area(by_map)) / span
    return Faithfulness(
        figure, whole, empty, tuple(by_map), tuple(map(float, at_random)), (orders + 1) * (STEPS - 1) + 2
    )


def _moved(relevance: FloatArray, dice: np.random.Generator) -> FloatArray:
    """The map shifted by chance, with its mirror images around it so that no seam comes in."""
    rows, columns = relevance.shape
    tiled = np.block([[relevance, relevance[:, ::-1]], [relevance[::-1], relevance[::-1, ::-1]]])
    shift = int(dice.integers(2 * rows)), int(dice.integers(2 * columns))
    return np.roll(tiled, shift, axis=(0, 1))[:rows, :columns]


def _curve(
    encoder: DualEncoder,
    pixels: npt.NDArray[np.uint8],
    covered: npt.NDArray[np.uint8],
    query: FloatArray,
    relevance: npt.NDArray[np.floating],
    whole: float,
    empty: float,
) -> list[float]:
    """Scores as more and more is covered, the most relevant pixels first."""
    height, width = pixels.shape[:2]
    order = np.argsort(-resized(relevance, height, width), axis=None, kind="stable")
    pictures = np.repeat(pixels.reshape(1, -1, 3), STEPS - 1, axis=0)
    for step, picture in enumerate(pictures, start=1):
        gone = order[: len(order) * step // STEPS]
        picture[gone] = covered.reshape(-1, 3)[gone]
    scores = map(float, encoder.encode_images(pictures.reshape(-1, height, width, 3)) @ query)
    return [whole, *scores, empty]


def _area(curve: Sequence[float] | npt.NDArray[np.floating]) -> float:
    """Under a curve over 0…1, by trapezia."""
    return float(np.mean((np.asarray(curve[1:]) + np.asarray(curve[:-1])) / 2))
