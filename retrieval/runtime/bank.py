"""Pictures and texts to compare two runtimes on, the same everywhere and at hand before anything is indexed.

The pictures are drawn: shaded surfaces, textures, edges and noise at several scales, in many sizes and colours. They
are no photos, but they find what photos find: bfloat16 for EfficientNet-Lite2 is refused on both.
"""

import json
from functools import lru_cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

PICTURES = 32
_SIZES = ((320, 240), (240, 320), (250, 250), (224, 224), (450, 150), (160, 213), (96, 64), (400, 300))


def pictures(count: int = PICTURES) -> list[Image.Image]:
    """RGB pictures drawn from a fixed seed, half a second for all."""
    return [_drawn(seed) for seed in range(count)]


def sentences() -> list[str]:
    """What people search for and what titles say, in sixteen languages, of one word to sixty."""
    return list(_texts()["sentences"])


def awkward_texts() -> list[str]:
    """Sentences, and what trips tokenizers: entities, broken encodings, emoji, controls, scripts, very long words."""
    texts = _texts()
    long = ["word " * 300, "x" * 2_000, "😀" * 100, "ab" * 500 + " end"]
    return [*texts["sentences"], *texts["awkward"], *long, *(chr(code) for code in range(0x20, 0x250))]


@lru_cache(maxsize=1)
def _texts() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(files("retrieval.runtime").joinpath("texts.json").read_text("utf-8"))
    return found


@lru_cache(maxsize=PICTURES)
def _drawn(seed: int) -> Image.Image:
    dice, size = np.random.default_rng(seed), _SIZES[seed % len(_SIZES)]
    width, height = size
    field = np.zeros((height, width, 3), dtype=np.float32)
    for scale in (2, 4, 8, 16, 32, 64):  # light and texture: noise of falling strength at rising fineness
        field += _noise(dice, scale, size) * dice.uniform(0.3, 1.2) / scale**0.5
    low, high = np.quantile(field, [0.02, 0.98])
    base = Image.fromarray((np.clip((field - low) / (high - low), 0, 1) * 255).astype(np.uint8))
    for _ in range(int(dice.integers(2, 7))):
        base = _with_a_thing(dice, base)
    grain = dice.uniform(1, 8) * dice.standard_normal((height, width, 3), dtype=np.float32)
    return Image.fromarray(np.clip(np.asarray(base) + grain, 0, 255).astype(np.uint8))


def _noise(dice: np.random.Generator, scale: int, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    coarse = dice.uniform(0, 255, (scale, scale, 3)).astype(np.uint8)
    fine = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    return fine / np.float32(255) - np.float32(0.5)


def _with_a_thing(dice: np.random.Generator, base: Image.Image) -> Image.Image:
    """A shape with a shaded face and a soft or sharp edge, anywhere on the picture."""
    width, height = base.size
    mask = Image.new("L", base.size)
    centre = dice.uniform(0.1, 0.9, 2) * (width, height)
    radius = dice.uniform(0.08, 0.45) * min(width, height)
    corners = int(dice.integers(3, 9))
    turns = np.sort(dice.uniform(0, 2 * np.pi, corners))
    points = [(float(centre[0] + radius * np.cos(t)), float(centre[1] + radius * np.sin(t))) for t in turns]
    draw = ImageDraw.Draw(mask)
    if dice.random() < 0.5:
        draw.polygon(points, fill=255)
    else:
        (x, y), aspect = centre, dice.uniform(0.4, 1.0)
        draw.ellipse([x - radius, y - radius * aspect, x + radius, y + radius * aspect], fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(float(dice.choice([0, 1, 4]))))
    shade = _noise(dice, 3, base.size).mean(axis=2, keepdims=True) * 160
    face = np.clip(dice.uniform(0, 255, 3) + shade, 0, 255).astype(np.uint8)
    return Image.composite(Image.fromarray(face), base, mask)
