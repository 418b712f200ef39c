"""Pictures prepared without torch against open_clip's own transform, pixel for pixel."""

import numpy as np
import pytest
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from retrieval.encoders.clip_pixels import Pixels
from retrieval.runtime import bank

SIZES = [(1, 1), (3, 2), (31, 64), (64, 31), (32, 32), (33, 32), (500, 333), (333, 500), (640, 41), (41, 640), (90, 91)]
PREPROCESSING = {
    "shortest": {},
    "shortest-bilinear": {"interpolation": "bilinear"},
    "shortest-random": {"interpolation": "random"},
    "shortest-oblong": {"size": (32, 48)},
    "shortest-oblong-bilinear": {"size": (48, 32), "interpolation": "bilinear"},
    "longest": {"resize_mode": "longest"},
    "longest-grey": {"resize_mode": "longest", "fill_color": 127},
    "longest-oblong": {"resize_mode": "longest", "size": (32, 48), "interpolation": "bilinear"},
    "squash": {"resize_mode": "squash"},
    "squash-oblong": {"resize_mode": "squash", "size": (48, 32), "interpolation": "bilinear"},
    "odd-side": {"size": 37},
}


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    dice = np.random.default_rng(5)
    noise = [Image.fromarray(dice.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in SIZES]
    return [*noise, *bank.pictures(8)]


@pytest.mark.parametrize("preprocess", PREPROCESSING.values(), ids=PREPROCESSING)
def test_pixels_are_open_clips(preprocess: dict[str, object], pictures: list[Image.Image]) -> None:
    stated = PreprocessCfg(**{"size": 32, **preprocess})  # type: ignore[arg-type]
    steps = image_transform_v2(stated, is_train=False).transforms[:-2]
    height, width = (stated.size, stated.size) if isinstance(stated.size, int) else stated.size
    ours = Pixels({**vars(stated), "size": [height, width]})
    for picture in pictures:
        expected = picture
        for step in steps:
            expected = step(expected)
        found = ours(picture)
        assert found.shape == (height, width, 3)
        np.testing.assert_array_equal(found, np.asarray(expected), err_msg=f"{picture.size}")
