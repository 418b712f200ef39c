"""Does decoding keep up with the encoder? Photos per second from JPEG files to stored vectors, against encoding alone.

    python -m benchmarks.decoding [--model NAME ...] [--runtime torch] [--data FOLDER] [--photos 256] [--rounds 3]
                                  [--torch-threads N ...] [--no-decoder] [--out benchmarks/results/decoding.jsonl]

Photos of 1,600 px at JPEG quality 90 are made in a temporary folder from the real ones below FOLDER, or from patterns
where it is not given. A round is: the encoder alone on ready pixels, then `index_sources` from files into a fresh
collection with the same encoder; loading the model is in neither. Texts get zero vectors, since encoding them is
not decoding's affair; `title_core_ms` tells what a title would add. `ratio` is the median over rounds of the second to
the first. Where both need the same cores it cannot exceed `bound`: core time of encoding / core time of encoding,
decoding and hashing. `ViT-B-32-random` is that architecture with random weights.

Before, decoding alone, file to pixels at 224: core milliseconds by margin (see `retrieval/images.py`), and photos per
second of one thread, of a thread for each core, and of a process for each core.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.environment import describe
from indexer.memory import MOST_AT_ONCE as BATCH
from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval import images
from retrieval.arrays import FloatArray
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder

RANDOM = "ViT-B-32-random"
MARGINS = {"whole": 1e9, "2": 2.0, "1.5": 1.5, "1.15": 1.15, "1": 1.0}
SIZES = ((1600, 1200), (1600, 1200), (1200, 1600))
TILE = 400  # side in pixels that a small photo is enlarged to; several make one picture
GRAIN = 1.0  # deviation of the noise on top, of 255: files get the 450 kB that cameras give at this quality


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help=f"default: starter and {RANDOM}")
    parser.add_argument("--runtime", help="torch, openvino … where load_encoder knows several")
    parser.add_argument("--data", type=Path, help="folder of real photos to make the large ones of")
    parser.add_argument("--photos", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch-threads", type=int, action="append", help="default: as torch chooses")
    parser.add_argument("--no-decoder", action="store_true", help="leave out the figures of decoding alone")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        photos = make_photos(Path(scratch) / "photos", arguments.photos, arguments.data)
        if not arguments.no_decoder:
            tell(arguments.out, {"part": "decoder", **decoder(photos)})
        for model in arguments.model or ["starter", RANDOM]:
            encoder = load(model, arguments.runtime, Path(scratch))
            pixels = np.stack([prepare(path, encoder.image_size) for path in photos])
            for threads in arguments.torch_threads or [None]:
                with torch_threads(threads):
                    figures = end_to_end(encoder, pixels, photos[0].parent, Path(scratch), arguments.rounds)
                about = {"part": "index", "model": model, "runtime": arguments.runtime or "default"}
                tell(arguments.out, {**about, "torch_threads": threads, "photos": len(photos), **figures})


def tell(out: Path | None, figures: dict[str, Any]) -> None:
    """Print one JSON line, and append it to the file. load: the machine's one-minute load average."""
    line = json.dumps({"benchmark": "decoding", **figures, "load": round(os.getloadavg()[0], 1), **describe()})
    print(line, flush=True)
    if out:
        with out.open("a") as file:
            file.write(line + "\n")


def make_photos(folder: Path, count: int, data: Path | None) -> list[Path]:
    """JPEG files of 1,600 px, all different."""
    folder.mkdir()
    generator = np.random.default_rng(7)
    small = sorted(data.rglob("*.jpg")) if data else []
    if data and not small:
        raise SystemExit(f"{data} holds no .jpg")
    paths = []
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        whole = Image.new("RGB", (width, height))
        for y in range(0, height, TILE):
            for x in range(0, width, TILE):
                whole.paste(_tile(small, generator), (x, y))
        noisy = np.asarray(whole) + generator.normal(0, GRAIN, (height, width, 1))
        paths.append(folder / f"{number:05}.jpg")
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def _tile(small: Sequence[Path], generator: np.random.Generator) -> Image.Image:
    if small:
        with Image.open(small[generator.integers(len(small))]) as file:
            return file.convert("RGB").resize((TILE, TILE), Image.Resampling.BICUBIC)
    # Noise of all scales, as in photos: coarse grids enlarged, the finer the weaker.
    layers = [
        Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((TILE, TILE), 3)
        for side in (4, 12, 36, 108)
    ]
    weighted = sum(np.asarray(layer, dtype=np.float32) * 0.5**i for i, layer in enumerate(layers))
    return Image.fromarray((weighted / 1.875).astype(np.uint8))


def load(model: str, runtime: str | None, scratch: Path) -> DualEncoder:
    """The encoder of that name; `ViT-B-32-random` is made on the spot."""
    name = str(random_model(scratch / RANDOM)) if model == RANDOM else model
    return load_encoder(name, runtime=runtime)


def random_model(folder: Path, architecture: str = "ViT-B-32") -> Path:
    """A folder with an open_clip model of that architecture and random weights."""
    import open_clip
    import safetensors.torch
    import torch

    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    model = open_clip.create_model(architecture, pretrained=None, pretrained_hf=False)
    safetensors.torch.save_model(model, str(folder / "open_clip_model.safetensors"))
    config = {"model_cfg": open_clip.get_model_config(architecture), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Run with that many threads inside torch's operations; None leaves torch's own choice."""
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def prepare(path: Path, target: int) -> npt.NDArray[np.uint8]:
    """File -> uint8 [target, target, 3], as the starter takes it."""
    image = images.decode_file(path, target=target).image
    return np.asarray(image.resize((target, target), Image.Resampling.BICUBIC), dtype=np.uint8)


def decoder(paths: Sequence[Path], target: int = 224) -> dict[str, Any]:
    """Decoding alone: core milliseconds by margin, and photos per second by kind of pool."""
    few = paths[:64]
    cores = os.cpu_count() or 1
    usual, spent = images.DRAFT_MARGIN, {}
    for _ in range(3):
        for name, margin in MARGINS.items():
            images.DRAFT_MARGIN = margin
            spent.setdefault(name, []).append(core_ms(lambda: [prepare(path, target) for path in few], len(few)))
    images.DRAFT_MARGIN = usual
    hashing = core_ms(lambda: [hashlib.sha256(path.read_bytes()).digest() for path in few], len(few))
    spawn = multiprocessing.get_context("spawn")
    pools: dict[str, Callable[[], Executor]] = {
        "1 thread": lambda: ThreadPoolExecutor(1),
        f"{cores} threads": lambda: ThreadPoolExecutor(cores),
        f"{cores} processes": lambda: ProcessPoolExecutor(cores, mp_context=spawn),
    }
    rates: dict[str, list[float]] = {name: [] for name in pools}
    opened = {name: pool() for name, pool in pools.items()}
    for pool in opened.values():
        list(pool.map(partial(prepare, target=target), few[:8]))  # starts its workers
    for _ in range(3):
        for name, pool in opened.items():
            started = time.perf_counter()
            list(pool.map(partial(prepare, target=target), paths))
            rates[name].append(len(paths) / (time.perf_counter() - started))
    for pool in opened.values():
        pool.shutdown()
    return {
        "mean_kb": round(statistics.mean(path.stat().st_size for path in paths) / 1e3),
        "core_ms_by_margin": {name: round(min(took), 2) for name, took in spent.items()},
        "hash_core_ms": round(hashing, 2),
        "photos_per_s": {name: round(statistics.median(rate), 1) for name, rate in rates.items()},
    }


def core_ms(work: Callable[[], object], count: int) -> float:
    """Milliseconds of processor time for each of `count`."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / count * 1e3


class PicturesOnly:
    """An encoder whose texts cost nothing."""

    def __init__(self, encoder: DualEncoder) -> None:
        self.spec, self.image_size = encoder.spec, encoder.image_size
        self.preprocess, self.encode_images = encoder.preprocess, encoder.encode_images

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return np.zeros((len(texts), self.spec.dimension), dtype=np.float32)


def end_to_end(
    encoder: DualEncoder, pixels: npt.NDArray[np.uint8], photos: Path, scratch: Path, rounds: int
) -> dict[str, Any]:
    """The encoder alone and a whole index run in turn; rates in photos per second."""
    encoder.encode_images(pixels[:BATCH])
    encoder.encode_texts(["to load the text tower"])
    few = make_photos(scratch / f"few-{time.monotonic_ns()}", 2, None)
    index_sources(scratch / few[0].parent.name / "collection", [open_source(few[0].parent)], encoder)  # imports
    alone, whole, encode_ms, whole_ms = [], [], [], []
    for number in range(rounds):
        started, core = time.perf_counter(), time.process_time()
        for start in range(0, len(pixels), BATCH):
            encoder.encode_images(pixels[start : start + BATCH])
        alone.append(len(pixels) / (time.perf_counter() - started))
        encode_ms.append((time.process_time() - core) / len(pixels) * 1e3)
        collection = scratch / f"collection-{number}-{time.monotonic_ns()}"
        core = time.process_time()
        summary = index_sources(collection, [open_source(photos)], PicturesOnly(encoder))
        whole_ms.append((time.process_time() - core) / len(pixels) * 1e3)
        if summary.embedded != len(pixels):
            raise SystemExit(f"{summary.embedded} of {len(pixels)} photos were indexed")
        whole.append(len(pixels) / summary.seconds)
    few = sorted(photos.iterdir())[:64]
    decode_ms = min(core_ms(lambda: [_decode(path, encoder) for path in few], len(few)) for _ in range(3))
    titles = [f"a title of some words {number}" for number in range(BATCH)]
    return {
        "title_core_ms": round(core_ms(lambda: encoder.encode_texts(titles), BATCH), 2),
        "encoder_alone_per_s": round(statistics.median(alone), 1),
        "end_to_end_per_s": round(statistics.median(whole), 1),
        "ratio": round(statistics.median(e / a for e, a in zip(whole, alone, strict=True)), 3),
        "ratios": [round(e / a, 3) for e, a in zip(whole, alone, strict=True)],
        "encode_core_ms": round(min(encode_ms), 2),
        "decode_core_ms": round(decode_ms, 2),
        "whole_core_ms": round(min(whole_ms), 2),
        "bound": round(min(encode_ms) / (min(encode_ms) + decode_ms), 3),
    }


def _decode(path: Path, encoder: DualEncoder) -> object:
    hashlib.sha256(path.read_bytes()).digest()
    return encoder.preprocess(images.decode_file(path, target=encoder.image_size).image)


if __name__ == "__main__":
    main()
