"""How fast each listed model encodes pictures, relative to ViT-B-32; writes what `catalens models` shows.

    python -m benchmarks.model_speed [ARCHITECTURE ...]

Weights do not matter for speed, so image towers are built with random ones and nothing is downloaded; the starter is
the real one. Processor time for a picture, torch in float32 on one thread, best of three batches: other work on the
machine disturbs that little. Named architectures are measured again, the other figures stay.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.environment import describe
from retrieval.encoders import load_encoder
from retrieval.encoders.base import STARTER
from retrieval.encoders.registry import models

OUT = Path(__file__).parents[1] / "retrieval" / "encoders" / "model_speed.json"
BATCH = 8
SLOW_SECONDS = 1.0  # a picture that takes longer is measured alone


def main() -> None:
    import torch

    torch.set_num_threads(1)
    listed = dict.fromkeys(info.name.partition("/")[0] for info in models())
    wanted = sys.argv[1:] or list(listed)
    told = json.loads(OUT.read_text())["core_ms"] if OUT.exists() else {}
    about = {**describe(), "runtime": "torch, float32, one thread", "batch": BATCH}
    for name in wanted:
        told[name] = round(measure(_starter() if name == STARTER else _tower(name)), 1)
        print(f"{name}: {told[name]:,} ms", flush=True)
        # After each, because the largest take minutes.
        core_ms = {each: told[each] for each in listed if each in told}
        OUT.write_text(json.dumps({**about, "core_ms": core_ms}, indent=2) + "\n")


def measure(encode: Callable[[int], object]) -> float:
    """Milliseconds of processor time for one picture. encode: takes how many pictures to encode."""
    batch = 1 if _seconds(encode, 1) > SLOW_SECONDS else BATCH
    return min(_seconds(encode, batch) for _ in range(3)) / batch * 1000


def _seconds(encode: Callable[[int], object], count: int) -> float:
    started = time.process_time()
    encode(count)
    return time.process_time() - started


def _starter() -> Callable[[int], object]:
    encoder = load_encoder(STARTER, runtime="torch")
    side = encoder.image_size
    return lambda count: encoder.encode_images(np.zeros((count, side, side, 3), dtype=np.uint8))


def _tower(architecture: str) -> Callable[[int], object]:
    import open_clip
    import torch
    from open_clip.model import _build_vision_tower  # the text towers of some need a package and a download

    config = open_clip.get_model_config(architecture)
    tower = _build_vision_tower(config["embed_dim"], {**config["vision_cfg"], "timm_model_pretrained": False}).eval()
    side = config["vision_cfg"]["image_size"]

    def encode(count: int) -> object:
        with torch.inference_mode():
            return tower(torch.zeros(count, 3, side, side))

    return encode


if __name__ == "__main__":
    main()
