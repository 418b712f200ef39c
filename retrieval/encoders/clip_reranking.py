"""What a reranker looks at, of an open_clip model in torch. Imports neither torch nor open_clip."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.towers.graphs import Graph
from retrieval.tokens.projection import Projection, hash_of, seeded
from retrieval.tokens.value import TokenSpec


@dataclass(frozen=True)
class TokenGraphs:
    """Graphs that give each vector [dimension] with tokens behind it, flattened.

    places: tokens of a photo. image_width, text_width: numbers in a token as the towers give it. longest: of a text.
    """

    image: Graph
    text: Graph
    places: int
    image_width: int
    text_width: int
    longest: int

    def spec(self, encoder: str) -> TokenSpec:
        """Beside the vectors of an encoder with that fingerprint."""
        image, text = self._projections()
        widths = [
            own if one is None else one.width for own, one in ((self.image_width, image), (self.text_width, text))
        ]
        return TokenSpec(encoder, self.places, widths[0], widths[1], self.longest, hash_of([image, text]))

    def of_images(self, pixels: npt.NDArray[np.uint8], dimension: int) -> tuple[FloatArray, FloatArray]:
        """uint8 [n, height, width, 3], n > 0 -> vectors as the tower gives them, tokens [n, places, width]."""
        image, _ = self._projections()
        rows = self.image(pixels)
        return rows[:, :dimension], _projected(rows[:, dimension:], self.image_width, image)

    def of_texts(self, ids: npt.NDArray[np.int64], dimension: int) -> tuple[FloatArray, FloatArray]:
        """int64 [n, length], n > 0 -> vectors, tokens [n, up to `longest`, width]; those of padding mean nothing."""
        _, text = self._projections()
        rows = self.text(ids)
        return rows[:, :dimension], _projected(rows[:, dimension:], self.text_width, text)

    def _projections(self) -> tuple[Projection | None, Projection | None]:
        return seeded(self.image_width), seeded(self.text_width)


def _projected(flat: FloatArray, width: int, projection: Projection | None) -> FloatArray:
    tokens = flat.reshape(len(flat), -1, width)
    return tokens if projection is None else projection.apply(tokens)
