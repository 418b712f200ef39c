"""Small real training data: photos of one colour each, described by it, and a catalogue of them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fakes import COLOURS


def photo(path: Path, colour: str, seed: int) -> None:
    """A photo whose mean is the colour, with noise of its own, so that no two files are equal."""
    noise = np.random.default_rng(seed).integers(-20, 21, (24, 24, 3))
    pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_captions(folder: Path, n: int = 48, *, split: str = "") -> Path:
    """n photos in turn of every colour, two captions each; captions of one colour are equal."""
    lines = []
    for at in range(n):
        colour = list(COLOURS)[at % len(COLOURS)]
        photo(folder / "photos" / f"{at}.png", colour, at)
        line = {"image": f"photos/{at}.png", "captions": [f"a {colour} wall", f"{colour} paint"]}
        lines.append(line | ({"split": split} if split else {}))
    path = folder / "captions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_catalogue(folder: Path, n: int = 48) -> Path:
    """The same as a shop, with a colour, a type and a description, some of them missing."""
    rows = ["sku,name,colour,type,description,image"]
    for at in range(n):
        colour = list(COLOURS)[at % len(COLOURS)]
        photo(folder / "shop" / f"{at}.png", colour, at)
        kind = "" if at % 5 == 4 else "mug"
        rows.append(f"P{at},Mug {at} {colour},{colour},{kind},Holds tea and is {colour}.,shop/{at}.png")
    path = folder / "products.csv"
    path.write_text("\n".join(rows) + "\n")
    return path
