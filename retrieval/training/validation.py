"""What training is judged by: success@k on pictures it never saw, both directions, one check a data set and group."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.heads import Head
from retrieval.training.gather import Gathered
from retrieval.training.pairs import IntArray
from retrieval.training.success import best_ranks

DIRECTIONS = ("text_to_image", "image_to_text")


@dataclass(frozen=True)
class Check:
    """The texts of one group against all validation pictures of one data set.

    pictures, texts: rows of Validation's features. pictures_of: for each text the positions of its pictures.
    texts_of: for each picture the positions of its texts; a picture without any asks nothing.
    """

    source: str
    group: str
    pictures: IntArray
    texts: IntArray
    pictures_of: tuple[IntArray, ...]
    texts_of: tuple[IntArray, ...]


@dataclass(frozen=True)
class Validation:
    """images float32 [n, d_image], texts float32 [m, d_text]: features of the validation part."""

    images: FloatArray
    texts: FloatArray
    checks: tuple[Check, ...]

    def success(self, image: Head, text: Head, ks: Sequence[int] = (1, 10)) -> list[dict[str, list[float]]]:
        """For each check: direction -> success@k for each k. A query succeeds with any of its relevant documents."""
        pictures, words = image.apply(self.images), text.apply(self.texts)
        found = []
        for check in self.checks:
            gallery, asked = pictures[check.pictures], words[check.texts]
            asking = [row for row, own in enumerate(check.texts_of) if len(own)]
            ranks = (
                best_ranks(asked, gallery, check.pictures_of),
                best_ranks(gallery[asking], asked, [check.texts_of[row] for row in asking]),
            )
            shares = [[float((one <= k).mean()) for k in ks] for one in ranks]
            found.append(dict(zip(DIRECTIONS, shares, strict=True)))
        return found

    def figure(self, image: Head, text: Head) -> float:
        """success@1: the mean of both directions, then over the groups of a data set, then over the data sets."""
        return self.means(self.success(image, text, ks=(1,)))[0]

    def means(self, success: Sequence[dict[str, list[float]]]) -> list[float]:
        """The mean of what `success` gave, as `figure` takes it, for each k."""
        by_source: dict[str, list[npt.NDArray[np.float64]]] = {}
        for check, directions in zip(self.checks, success, strict=True):
            by_source.setdefault(check.source, []).append(np.mean(list(directions.values()), axis=0))
        means = np.mean([np.mean(groups, axis=0) for groups in by_source.values()], axis=0)
        return [float(mean) for mean in means]


def validation_of(gathered: Gathered) -> Validation:
    """The checks on the validation part. Those that could not fail (one picture, or one text for all) are left out."""
    rows = [row for row, part in enumerate(gathered.parts) if part == "validation"]
    by_source: dict[str, list[int]] = {}
    for row in rows:
        by_source.setdefault(gathered.pictures[row].source, []).append(row)
    checks: list[Check] = []
    used: dict[str, int] = {}
    place = {row: at for at, row in enumerate(rows)}
    for source, members in by_source.items():
        for group in dict.fromkeys(group for row in members for group in gathered.groups[row]):
            positions: dict[str, int] = {}
            of_text: list[list[int]] = []
            of_picture = []
            for at, row in enumerate(members):
                own = [positions.setdefault(text, len(positions)) for text in gathered.groups[row].get(group, ())]
                of_text += [[] for _ in range(len(positions) - len(of_text))]
                for position in own:
                    of_text[position].append(at)
                of_picture.append(np.array(own, dtype=np.int64))
            if len(members) < 2 or len(positions) < 2:
                continue
            checks.append(
                Check(
                    source=source,
                    group=group,
                    pictures=np.array([place[row] for row in members]),
                    texts=np.array([used.setdefault(text, len(used)) for text in positions]),
                    pictures_of=tuple(np.array(own, dtype=np.int64) for own in of_text),
                    texts_of=tuple(of_picture),
                )
            )
    return Validation(
        images=gathered.images[rows],
        texts=gathered.text_features[[gathered.texts[text] for text in used]],
        checks=tuple(checks),
    )
