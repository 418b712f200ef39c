"""Encoders on OpenVINO against torch: speed, equality, and the first search of a new process.

    python -m benchmarks.runtime [MODEL ...] [--photos FOLDER] [--out benchmarks/results/runtime.jsonl]

A MODEL is a name that `load_encoder` takes, or `ViT-B-32/random`: that architecture with random weights, which cost
the same to run, written to a folder. Exports go to a cache of their own. Both runtimes stand side by side in a process
and take turns, so that a busy machine is busy for both; figures are medians, and the ratio is the median of ratios of
turns. Core milliseconds are those of all threads. Then a collection is made, and `catalens search` runs in new
processes, in turns too. Wall time depends on what else the machine does; core time much less. Waiting threads of torch
sleep and NumPy has one: spinning, two of them on a busy machine are up to thirty times slower.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's threads cannot sleep; read when it is loaded
import numpy as np

from benchmarks.environment import describe
from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder
from retrieval.images import decode_file
from retrieval.runtime import bank
from retrieval.runtime.export import export
from retrieval.runtime.gate import agreement

RANDOM = "/random"
TURNS = {1: 11, 32: 3}
SEARCHES = 5
COMMAND = "from api.cli import main; main()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["starter", f"ViT-B-32{RANDOM}"])
    parser.add_argument("--photos", type=Path, help="photos to compare and index; otherwise drawn ones")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    for model in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["CATALENS_CACHE"] = f"{folder}/cache"
            figures = measure(model, Path(folder), arguments.photos)
        line = json.dumps({"benchmark": "runtime", "model": model, **figures, **describe()})
        print(line, flush=True)
        if arguments.out:
            with arguments.out.open("a") as out:
                out.write(line + "\n")


def measure(model: str, folder: Path, photos: Path | None) -> dict[str, object]:
    """All figures for one model."""
    name = random_model(model.removesuffix(RANDOM), folder / "model") if model.endswith(RANDOM) else model
    torchs = load_encoder(name, runtime="torch")
    started = time.perf_counter()
    done = export(torchs)
    seconds = time.perf_counter() - started
    exported = load_encoder(name, runtime="openvino")
    size = sum((done.export.folder / file).stat().st_size for file in done.export.manifest["files"])
    pictures = some_photos(photos, folder)
    pixels = np.stack([torchs.preprocess(decode_file(path, target=torchs.image_size).image) for path in pictures])
    texts = bank.sentences()
    equal = {
        "image": agreement(torchs.encode_images(pixels), exported.encode_images(pixels)).to_json(),
        "text": agreement(torchs.encode_texts(texts), exported.encode_texts(texts)).to_json(),
    }
    return {
        "export_s": round(seconds, 1),
        "export_mb": round(size / 1e6, 1),
        "precision": {graph: facts["precision"] for graph, facts in done.export.manifest["graphs"].items()},
        "gates": done.export.manifest["gates"],
        "photos": f"{len(pictures)} {'from ' + photos.name if photos else 'drawn'}",
        "cosine_to_torch": equal,
        "images": {
            f"batch_{rows}": paired(torchs.encode_images, exported.encode_images, pixels[:rows], rows) for rows in TURNS
        },
        "texts": {
            f"batch_{rows}": paired(torchs.encode_texts, exported.encode_texts, texts[:rows], rows) for rows in TURNS
        },
        "first_search": first_search(pictures, folder, torchs),
        "load": round(os.getloadavg()[0], 1),
    }


def random_model(architecture: str, folder: Path) -> str:
    """An open_clip architecture with random weights as a local folder."""
    import open_clip
    import safetensors.torch
    import torch

    torch.manual_seed(0)
    folder.mkdir()
    model = open_clip.create_model(architecture, pretrained=None)
    config = {"model_cfg": open_clip.get_model_config(architecture), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    safetensors.torch.save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return str(folder)


def some_photos(photos: Path | None, folder: Path) -> list[Path]:
    """64 files spread over a folder, or the bank's pictures as files."""
    if photos is not None:
        found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
        return found[:: max(1, len(found) // 64)][:64]
    (folder / "drawn").mkdir()
    for number, picture in enumerate(bank.pictures()):
        picture.save(folder / "drawn" / f"{number}.png")
    return sorted((folder / "drawn").iterdir())


def paired(torchs: Callable[[Any], Any], exported: Callable[[Any], Any], given: Any, rows: int) -> dict[str, float]:
    """Rows a second, and core milliseconds a row, of both, one turn each at a time."""
    given = given[:rows]
    torchs(given), exported(given)
    wall: dict[str, list[float]] = {"torch": [], "openvino": []}
    core: dict[str, list[float]] = {"torch": [], "openvino": []}
    for turn in range(TURNS[rows]):
        order = [("torch", torchs), ("openvino", exported)]
        for runtime, run in order if turn % 2 else order[::-1]:
            started, spent = time.perf_counter(), time.process_time()
            run(given)
            wall[runtime].append(time.perf_counter() - started)
            core[runtime].append(time.process_time() - spent)
    return {
        **{f"{runtime}_per_s": round(len(given) / median(times), 2) for runtime, times in wall.items()},
        **{f"{runtime}_core_ms": round(1000 * median(times) / len(given), 2) for runtime, times in core.items()},
        "times_as_fast": round(median(a / b for a, b in zip(wall["torch"], wall["openvino"], strict=True)), 2),
    }


def first_search(pictures: list[Path], folder: Path, encoder: DualEncoder) -> dict[str, object]:
    """`catalens search red shoes` in a new process: wall and CPU seconds and peak memory, medians of five turns."""
    shop = folder / "photos"
    shop.mkdir()
    for path in pictures:
        (shop / path.name).write_bytes(path.read_bytes())
    index_sources(folder / "shop", [open_source(shop)], encoder)
    found: dict[str, list[dict[str, float]]] = {"torch": [], "openvino": []}
    for _ in range(SEARCHES + 1):
        for runtime, runs in found.items():
            runs.append(one_search(folder / "shop", runtime))
    return {
        runtime: {key: round(median(run[key] for run in runs[1:]), 2) for key in runs[0]}
        for runtime, runs in found.items()
    }


def one_search(collection: Path, runtime: str) -> dict[str, float]:
    arguments = ["search", "red", "shoes", "--collection", str(collection), "--runtime", runtime]
    started = time.perf_counter()
    with Path(os.devnull).open("wb") as nowhere:
        process = subprocess.Popen([sys.executable, "-c", WATCHED, *arguments], stdout=nowhere, stderr=subprocess.PIPE)
        assert process.stderr is not None
        peak = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"search failed: {peak.decode()}")
    megabytes = int(peak.split()[-2]) / 1024
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": megabytes}


# Not ru_maxrss: a child starts with its parent's.
WATCHED = f"""
import atexit, sys
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            sys.stderr.write(line)
atexit.register(peak)
{COMMAND}
"""


if __name__ == "__main__":
    main()
