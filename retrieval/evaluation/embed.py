"""The pictures and texts of an evaluation set -> vectors: all of them, or an error that says how far it got."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.ahead import ahead
from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from retrieval.errors import CatalensError, EvaluationError, ImageError
from retrieval.evaluation.types import EvaluationImage, EvaluationText
from retrieval.images import MAX_PIXELS, decode

BATCH = 32
WINDOW = 3 * BATCH  # pictures decoded ahead: 20 MB at 260 pixels
SHOWN = 3  # unreadable pictures that the message names

OnProgress = Callable[[str, int, int], None]
"""Called with (stage, done, total); a stage is `images`, `texts` or a direction, whose queries are being ranked, or
RERANK and a direction."""
RERANK = "rerank_"


def embed_images(
    images: Sequence[EvaluationImage],
    encoder: DualEncoder,
    *,
    on_progress: OnProgress | None = None,
    max_pixels: int = MAX_PIXELS,
) -> FloatArray:
    """float32 [images, dimension], in order. Threads decode up to 96 pictures ahead of the encoder.

    Raises EvaluationError when pictures cannot be read, after all have been tried, with their number: leaving one out
    would make every other query easier. Also when the model fails, or gives vectors of a wrong shape or with NaN.
    """
    run = _Run(encoder, "images", len(images), on_progress)
    unreadable: list[tuple[str, str]] = []
    batch: list[npt.NDArray[Any]] = []
    ends = set(_bounds(len(images)))

    def prepare(image: EvaluationImage) -> npt.NDArray[Any] | str:
        """Pixels, or why there are none."""
        try:
            picture = decode(image.read(), target=encoder.image_size, max_pixels=max_pixels)
        except ImageError as error:
            return str(error)
        except Exception as error:  # reading from a disk or an archive may raise anything
            return f"cannot be read: {error}"
        return encoder.preprocess(picture.image)

    with (
        run.explained(),
        ThreadPoolExecutor(max_workers=os.cpu_count()) as pool,
        closing(ahead(images, prepare, pool, WINDOW)) as prepared,
    ):
        for image, pixels in prepared:
            if isinstance(pixels, str):
                unreadable.append((image.image_id, pixels))
            elif not unreadable:  # after the first unreadable one only their number matters
                batch.append(pixels)
                if run.done + len(batch) in ends:
                    run.take(encoder.encode_images(np.stack(batch)), len(batch))
                    batch.clear()
        if unreadable:
            raise _unreadable(unreadable, len(images))
    return run.vectors


def embed_texts(
    texts: Sequence[EvaluationText], encoder: DualEncoder, *, on_progress: OnProgress | None = None
) -> FloatArray:
    """float32 [texts, dimension], in order. Raises EvaluationError as `embed_images` does for a failing model.

    Each different text is encoded once, so that equal texts have equal vectors and score a tie. Progress counts
    different texts.
    """
    rows: dict[str, int] = {}
    expanded = [rows.setdefault(entry.text, len(rows)) for entry in texts]
    different = list(rows)
    run = _Run(encoder, "texts", len(different), on_progress)
    with run.explained():
        for start, end in pairwise(_bounds(len(different))):
            run.take(encoder.encode_texts(different[start:end]), end - start)
    return run.vectors[np.array(expanded, dtype=np.int64)]


def _bounds(n: int) -> list[int]:
    """Where batches of 32 start and end. A last one of 1 joins the one before it.

    Matrix libraries multiply a single row by another routine, whose last bits differ from those in a batch.
    """
    return [*range(0, max(n - 1, 1), BATCH), n] if n else [0]


class _Run:
    """Collects the vectors of one kind of input, and knows how far the model got when it fails."""

    def __init__(self, encoder: DualEncoder, stage: str, total: int, on_progress: OnProgress | None) -> None:
        self.spec = encoder.spec
        self.stage = stage
        self.total = total
        self.on_progress = on_progress
        self.done = 0
        self.vectors: FloatArray = np.empty((total, self.spec.dimension), dtype=np.float32)

    def take(self, vectors: FloatArray, n: int) -> None:
        """Keep the vectors of the next n inputs."""
        if vectors.shape != (n, self.spec.dimension):
            raise ValueError(f"vectors of shape {vectors.shape} instead of {(n, self.spec.dimension)}")
        if not np.isfinite(vectors).all():
            raise ValueError("vectors hold NaN or infinity")
        self.vectors[self.done : self.done + n] = vectors
        self.done += n
        if self.on_progress:
            self.on_progress(self.stage, self.done, self.total)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Whatever a model raises becomes an EvaluationError that says how far it got."""
        try:
            yield
        except EvaluationError:
            raise
        except Exception as error:
            lines = str(error).splitlines() or [type(error).__name__]
            raise EvaluationError(
                f"the model '{self.spec.name}' failed after {self.done:,} of {self.total:,} {self.stage}: {lines[0]}",
                hint=(error.hint if isinstance(error, CatalensError) else "") or "no figure was computed",
            ) from error


def _unreadable(failures: Sequence[tuple[str, str]], total: int) -> EvaluationError:
    listed = "; ".join(f"{image_id}: {reason}" for image_id, reason in failures[:SHOWN])
    more = f"; and {len(failures) - SHOWN:,} more" if len(failures) > SHOWN else ""
    return EvaluationError(
        f"{len(failures):,} of {total:,} images cannot be read ({listed}{more})",
        hint="a picture that is missing changes every figure; mend these, or take them out of the set",
    )
