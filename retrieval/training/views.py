"""Pictures as several views, kept on disk as maps of the part of a tower that is not trained."""

import hashlib
import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray

log = logging.getLogger(__name__)
_BATCH = 32
_ASPECT = 4 / 3


def view_of(image: Image.Image, number: int, rng: random.Random) -> Image.Image:
    """View 0 is the picture, view 1 its mirror image, any other a crop of at least 45 % of it, mirrored by half.

    A crop has 45 to 100 % of the area and 3/4 to 4/3 of the aspect, both drawn evenly (the aspect's logarithm).
    """
    if number == 0:
        return image
    if number == 1:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    width, height = image.size
    area = width * height * rng.uniform(0.45, 1.0)
    aspect = float(np.exp(rng.uniform(-np.log(_ASPECT), np.log(_ASPECT))))
    wide, high = min(width, round((area * aspect) ** 0.5)), min(height, round((area / aspect) ** 0.5))
    left, top = rng.randint(0, width - wide), rng.randint(0, height - high)
    crop = image.crop((left, top, left + wide, top + high))
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop


def maps_of_view(
    pictures: Sequence[Path],
    number: int,
    open_picture: Callable[[Path], Image.Image],
    run: Callable[[Sequence[Image.Image]], FloatArray],
    *,
    version: str,
    cache: Path,
) -> npt.NDArray[np.float16]:
    """Maps of one view of all pictures, float16 [len(pictures), d], as a memory map; made once, then kept in `cache`.

    run: upright RGB pictures -> float32 [b, d]. version: what `run` computes, such as a hash of weights.
    The crops depend on the number alone, so that a rebuilt cache has the same ones.
    """
    names = "\0".join([version, str(number), *(f"{path.parent.name}/{path.name}" for path in pictures)])
    path = cache / f"maps-{number}-{hashlib.sha256(names.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        rng = random.Random(number)  # noqa: S311 (no secret)
        maps: npt.NDArray[np.float16] | None = None
        for start in range(0, len(pictures), _BATCH):
            views = [view_of(open_picture(each), number, rng) for each in pictures[start : start + _BATCH]]
            found = run(views)
            if maps is None:
                shape = (len(pictures), found.shape[1])
                maps = np.lib.format.open_memmap(aside, mode="w+", dtype=np.float16, shape=shape)
            maps[start : start + len(found)] = found
            if start // _BATCH % 100 == 0:
                log.info("view %d: %d of %d pictures", number, start, len(pictures))
        del maps
        aside.replace(path)
    stored: npt.NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    return stored
