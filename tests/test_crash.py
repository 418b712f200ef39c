"""A collection survives `kill -9` at any moment: readable at once, complete after the next run, search exact.

`make crash` runs 25 random kills; the suite runs fewer, and also dies once at every commit, flush and rename.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Engine, event

import indexer.durable
from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.catalogue import queries
from retrieval.catalogue.engine import reading_engine
from retrieval.collection import Collection
from retrieval.errors import CollectionNotFound
from retrieval.index.exact import ExactIndex
from tests.fakes import ColourEncoder

ROUNDS = int(os.environ.get("CATALENS_CRASH_ROUNDS", "4"))
PHOTOS = 160


def paint(path: Path, seed: int) -> None:
    """A photo of one colour, different for every seed."""
    rng = random.Random(seed)
    Image.new("RGB", (24, 24), (rng.randrange(256), rng.randrange(256), seed % 256)).save(path)


def photo_folder(folder: Path, count: int = PHOTOS) -> Path:
    folder.mkdir()
    for number in range(count):
        paint(folder / f"photo {number:04d}.png", number)
    return folder


def edit(folder: Path, seed: int) -> None:
    """Delete, change, rename and add some photos."""
    rng = random.Random(seed)
    paths = sorted(folder.iterdir())
    for path in rng.sample(paths, 10):
        path.unlink()
    paths = sorted(folder.iterdir())
    for path in rng.sample(paths, 10):
        paint(path, rng.randrange(10**6))
    for number, path in enumerate(rng.sample(paths, 10)):
        path.rename(folder / f"renamed {seed} {number}.png")
    for number in range(40):
        paint(folder / f"added {seed} {number}.png", rng.randrange(10**6))


def check_readable(collection: Path) -> None:
    """Either there is no collection yet, or all of it can be read and searched."""
    try:
        opened = Collection.open(collection)
    except CollectionNotFound:
        return
    with opened:
        assert opened.status()["embedded_photos"] == opened.status()["photos"]
        check_equal_to_oracle(opened)


def check_equal_to_oracle(opened: Collection) -> None:
    probes = ColourEncoder().encode_texts(["red", "dark green", "light blue", "orange", "nothing"])
    with closing(reading_engine(opened.folder).connect()) as connection:
        view = opened.view()
        for modality in queries.MODALITIES:
            ids, vectors = queries.vectors_after(connection, modality, 0, opened.encoder.dimension)
            found = view.of(modality).search(probes, 10, lambda ids, m=modality: opened.vectors(m, ids))
            truth = ExactIndex(ids, vectors).search(probes, 10)
            assert found.ids.tolist() == truth.ids.tolist()
            finite = np.isfinite(truth.scores)
            np.testing.assert_allclose(found.scores[finite], truth.scores[finite], atol=1e-5)


def check_complete(photos: Path, collection: Path) -> None:
    """Every photo is there exactly once, with the vector of its present bytes."""
    summary = index_sources(collection, [open_source(photos)], ColourEncoder())
    assert summary.to_json()["failed"] == 0
    names = sorted(path.name for path in photos.iterdir())
    with Collection.open(collection) as opened:
        view = opened.view()
        rows = opened.rows("image", list(range(1, view.image.last_owner_id + 1)))
        assert sorted(row.item_id for row in rows.values()) == names
        assert len(view.image) == len(view.text) == len(names)
        ids, vectors = opened.vectors("image", list(rows))
        encoder = ColourEncoder()
        for owner_id, vector in zip(ids.tolist(), vectors, strict=True):
            with Image.open(rows[owner_id].photo or "") as image:
                expected = encoder.encode_images(encoder.preprocess(image.convert("RGB"))[None])[0]
            np.testing.assert_allclose(vector.astype(np.float32), expected, atol=2e-3)
        check_equal_to_oracle(opened)
    again = index_sources(collection, [open_source(photos)], encoder := ColourEncoder())
    assert (again.embedded, encoder.images_encoded) == (0, 0)


def run_and_kill(photos: Path, collection: Path, after: float | None) -> float:
    """Run the driver; kill it `after` seconds of indexing. Returns how long it indexed."""
    command = [sys.executable, "-m", "tests.crash_driver", str(photos), str(collection)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        started = time.monotonic()
        try:
            process.wait(timeout=after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        return time.monotonic() - started


@pytest.fixture(scope="module")
def full_run_seconds(tmp_path_factory: pytest.TempPathFactory) -> float:
    folder = tmp_path_factory.mktemp("full")
    return run_and_kill(photo_folder(folder / "photos"), folder / "collection", None)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_at_a_random_moment(tmp_path: Path, full_run_seconds: float, seed: int) -> None:
    rng = random.Random(seed)
    photos, collection = photo_folder(tmp_path / "photos"), tmp_path / "collection"
    if seed % 2:  # kill an update of a finished collection instead of a first run
        index_sources(collection, [open_source(photos)], ColourEncoder())
        edit(photos, seed)
    run_and_kill(photos, collection, rng.uniform(0, full_run_seconds * (0.5 if seed % 2 else 1.0)))
    check_readable(collection)
    check_complete(photos, collection)


def die_at(number: int, work: Callable[[], None]) -> bool:
    """Run `work` in a child that kills itself at the number-th commit, flush or rename. True if it died."""
    child = os.fork()
    if child == 0:
        step = 0

        def tick(*_: object) -> None:
            nonlocal step
            step += 1
            if step == number:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "commit", tick)
        flush, replace = indexer.durable._flush, Path.replace

        def ticking_flush(path: Path) -> None:
            tick()
            flush(path)

        def ticking_replace(path: Path, target: Path) -> Path:
            tick()
            result = replace(path, target)
            tick()
            return result

        indexer.durable._flush = ticking_flush
        Path.replace = ticking_replace  # type: ignore[method-assign, assignment]
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


@pytest.mark.parametrize("update", [False, True], ids=["first run", "update"])
def test_killed_at_every_commit_flush_and_rename(tmp_path: Path, update: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.compaction.MIN_DELTA", 20)
    monkeypatch.setattr("indexer.pipeline.BATCH", 16)
    deaths = 0
    while True:
        folder = tmp_path / f"round {deaths}"
        folder.mkdir()
        photos, collection = photo_folder(folder / "photos", 45), folder / "collection"
        if update:
            index_sources(collection, [open_source(photos)], ColourEncoder())
            edit(photos, seed=deaths)

        def run(photos: Path = photos, collection: Path = collection) -> None:
            index_sources(collection, [open_source(photos)], ColourEncoder())

        died = die_at(deaths + 1, run)
        check_readable(collection)
        check_complete(photos, collection)
        if not died:
            break
        deaths += 1
    assert deaths > 10  # every stage was met: schema, batches, two generations
