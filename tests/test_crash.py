"""A collection survives `kill -9` at any moment: readable at once, complete after the next run, search as it should be.

`make crash` runs 25 random kills for each kind of source; the suite runs fewer, and also dies once at every commit,
flush and rename, and at every write of labels, rules and calibrations, which are all there then or as they were.
"""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from indexer.add_tokens import add_tokens
from indexer.pipeline import index_sources
from indexer.sources import open_source
from indexer.summary import Summary
from indexer.tagging import tag
from retrieval.catalogue import queries
from retrieval.catalogue.engine import reading_engine
from retrieval.catalogue.rule_queries import history
from retrieval.catalogue.schema import calibrations
from retrieval.catalogue.token_queries import TOKENS
from retrieval.collection import Collection
from retrieval.confidence.nulls import KINDS
from retrieval.errors import CollectionNotFound
from retrieval.index.exact import ExactIndex
from retrieval.search import Searcher
from retrieval.tokens.codec import unpack
from tests.fakes import COLOURS, ColourEncoder, PlaceEncoder

ROUNDS = int(os.environ.get("CATALENS_CRASH_ROUNDS", "4"))
PROBES = [f"{shade}{name}" for name in COLOURS for shade in ("", "dark ", "light ")]


def paint(path: Path, seed: int) -> None:
    """A photo of one colour, different for every seed below 2**24."""
    number = seed * 7_919_777 % 2**24
    Image.new("RGB", (24, 24), (number >> 16, number >> 8 & 255, number & 255)).save(path)


class PhotoFolder:
    """Photos without words."""

    def __init__(self, path: Path, photos: int) -> None:
        self.path = path
        self._painted = 0
        path.mkdir()
        for number in range(photos):
            self._paint(path / f"photo {number:04d}.png")

    def edit(self, rng: random.Random) -> None:
        """Delete, change, rename and add some photos."""
        for path in rng.sample(sorted(self.path.iterdir()), 10):
            path.unlink()
        for path in rng.sample(sorted(self.path.iterdir()), 10):
            self._paint(path)
        for number, path in enumerate(rng.sample(sorted(self.path.iterdir()), 10)):
            path.rename(self.path / f"renamed {number}.png")
        for number in range(40):
            self._paint(self.path / f"added {number}.png")

    def items(self) -> dict[str, tuple[str, set[Path]]]:
        """What should be stored: (title, photos) by item id."""
        return {path.name: (path.stem, {path}) for path in self.path.iterdir()}

    def _paint(self, path: Path) -> None:
        self._painted += 1
        paint(path, self._painted)


class PhotoTable:
    """A catalogue of titled items with one to three photos each."""

    def __init__(self, path: Path, photos: int) -> None:
        self.path = path
        self._photos = path.parent / "pictures"
        self._photos.mkdir()
        self._painted = 0
        self._rows: dict[str, tuple[str, set[Path]]] = {}
        while self._painted < photos:
            self._add()
        self._write()

    def edit(self, rng: random.Random) -> None:
        """Delete, retitle and add items; change photos; take photos away from items and give them further ones."""
        for name in rng.sample(sorted(self._rows), 5):
            del self._rows[name]
        for name in rng.sample(sorted(self._rows), 10):
            self._rows[name] = (f"retitled {rng.choice(PROBES)}", self._rows[name][1])
        for name in rng.sample(sorted(self._rows), 10):
            title, photos = self._rows[name]
            self._rows[name] = (title, {*sorted(photos)[1:], self._paint()})
        for name in rng.sample(sorted(self._rows), 5):
            for path in self._rows[name][1]:
                path.write_bytes(self._paint().read_bytes())
        for _ in range(20):
            self._add()
        self._write()

    def items(self) -> dict[str, tuple[str, set[Path]]]:
        """What should be stored: (title, photos) by item id."""
        return dict(self._rows)

    def _add(self) -> None:
        number = self._painted
        photos = {self._paint() for _ in range(number % 3 + 1)}
        self._rows[f"item {number:04d}"] = (f"{PROBES[number % len(PROBES)]} chair {number}", photos)

    def _paint(self) -> Path:
        self._painted += 1
        path = self._photos / f"{self._painted:04d}.png"
        paint(path, 100_000 + self._painted)
        return path

    def _write(self) -> None:
        with self.path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "title", "images"])
            for name, (title, photos) in self._rows.items():
                rows.writerow([name, title, "|".join(str(path) for path in sorted(photos))])


@dataclass
class Shop:
    """What is indexed, and the collection it is indexed into. exact_rows: where the approximate index begins."""

    sources: list[PhotoFolder | PhotoTable]
    collection: Path
    exact_rows: int

    @classmethod
    def make(cls, folder: Path, kind: str, photos: int, exact_rows: int = 100_000) -> "Shop":
        folder.mkdir(exist_ok=True)
        share = photos // 2 if kind == "both" else photos
        sources: list[PhotoFolder | PhotoTable] = []
        if kind in {"folder", "both"}:
            sources.append(PhotoFolder(folder / "photos", share))
        if kind in {"table", "both"}:
            sources.append(PhotoTable(folder / "catalogue.csv", share))
        return cls(sources, folder / "collection", exact_rows)

    def edit(self, seed: int) -> None:
        for source in self.sources:
            source.edit(random.Random(seed))

    def items(self) -> dict[str, tuple[str, set[Path]]]:
        return {name: item for source in self.sources for name, item in source.items().items()}

    def photos(self) -> int:
        return sum(len(photos) for _, photos in self.items().values())

    def stored_photos(self) -> int:
        try:
            with Collection.open(self.collection) as opened:
                return int(opened.status()["embedded_photos"])
        except CollectionNotFound:
            return 0

    def index(self) -> Summary:
        sources = [open_source(source.path) for source in self.sources]
        return index_sources(self.collection, sources, ColourEncoder(), exact_rows=self.exact_rows)


def check_readable(shop: Shop) -> None:
    """Either there is no collection yet, or all of it can be read and searched."""
    try:
        opened = Collection.open(shop.collection)
    except CollectionNotFound:
        return
    with opened:
        assert opened.status()["embedded_photos"] == opened.status()["photos"]
        check_search(opened)


def check_search(opened: Collection) -> None:
    """Every score is the true one of a live row. An exact index finds the best; an approximate one nearly all of them.

    Compared by score, because many rows have the same colour and any of them is a right answer.
    """
    probes = ColourEncoder().encode_texts(PROBES)
    with closing(reading_engine(opened.folder).connect()) as connection:
        view = opened.view()
        for modality in queries.MODALITIES:
            space = view.of(modality)
            ids, vectors = queries.vectors_after(connection, modality, 0, opened.encoder.dimension)
            truth = ExactIndex(ids, vectors).search(probes, 10)
            found = space.search(probes, 10, lambda ids, m=modality: opened.vectors(m, ids))
            there = np.isfinite(truth.scores)
            assert (np.isfinite(found.scores) == there).all()
            for query, (owners, scores) in enumerate(zip(found.ids, found.scores, strict=True)):
                live = owners[there[query]]
                assert len(set(live.tolist())) == len(live)
                rows = np.searchsorted(ids, live)
                assert ids[rows].tolist() == live.tolist()
                np.testing.assert_allclose(scores[there[query]], vectors[rows] @ probes[query], atol=1e-5)
            missed = (found.scores < truth.scores - 1e-5)[there]
            assert not len(missed) or missed.mean() <= (0 if space.base is None or space.base.exact else 0.1)


def check_complete(shop: Shop) -> Summary:
    """After one more run every item and photo is there exactly once, with its title and its present bytes' vector."""
    summary = shop.index()
    assert summary.to_json()["failed"] == 0
    expected = shop.items()
    with Collection.open(shop.collection) as opened:
        view = opened.view()
        rows = opened.rows("image", list(range(1, view.image.last_owner_id + 1)))
        photos = [(row.item_id, row.title, row.photo) for row in rows.values()]
        assert sorted(photos) == sorted(
            (name, title, str(path)) for name, (title, paths) in expected.items() for path in paths
        )
        texts = opened.rows("text", list(range(1, view.text.last_owner_id + 1)))
        assert sorted(row.matched_text or "" for row in texts.values()) == sorted(
            title for title, _ in expected.values()
        )
        assert (len(view.image), len(view.text)) == (shop.photos(), len(expected))
        encoder = ColourEncoder()
        for owner_id, vector in zip(*opened.vectors("image", list(rows)), strict=True):
            with Image.open(rows[int(owner_id)].photo or "") as image:
                right = encoder.encode_images(encoder.preprocess(image.convert("RGB"))[None])[0]
            np.testing.assert_allclose(vector.astype(np.float32), right, atol=2e-3)
        check_search(opened)
    assert shop.index().embedded == 0
    return summary


class Driver:
    """Index runs that may be killed, in processes apart from this one and its threads."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(
        self,
        shop: Shop,
        task: str = "index",
        *,
        kill_after: float = 0,
        die_at: int = 0,
        pause: float = 0.0,
        min_delta: int = 1_000,
        labels: Sequence[str] = (),
        rules: str = "",
        items: Sequence[Any] = (),
    ) -> tuple[bool, float]:
        """Whether the run was killed, and how many seconds it ran."""
        job = {
            "task": task,
            "labels": list(labels),
            "rules": rules,
            "items": list(items),
            "sources": [str(source.path) for source in shop.sources],
            "collection": str(shop.collection),
            "exact_rows": shop.exact_rows,
            "kill_after": kill_after,
            "die_at": die_at,
            "pause": pause,
            "min_delta": min_delta,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        result = json.loads(self._process.stdout.readline())
        assert result["code"] in {0, -signal.SIGKILL}
        return result["code"] != 0, result["seconds"]


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    command = [sys.executable, "-m", "tests.crash_driver"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Driver(process)


PHOTOS, PAUSE = 160, 0.003


@pytest.fixture(scope="module")
def full_run_seconds(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> float:
    shop = Shop.make(tmp_path_factory.mktemp("full"), "folder", PHOTOS)
    died, seconds = driver.run(shop, pause=PAUSE)
    assert not died
    return seconds


@pytest.mark.parametrize("kind", ["folder", "table", "both"])
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_at_a_random_moment(
    tmp_path: Path, driver: Driver, full_run_seconds: float, kind: str, seed: int
) -> None:
    rng = random.Random(f"{kind} {seed}")
    update, approximate = seed % 2, seed // 2 % 2
    shop = Shop.make(tmp_path, kind, PHOTOS, exact_rows=40 if approximate else 100_000)
    if update:  # kill an update of a finished collection instead of a first run
        shop.index()
        shop.edit(seed)
    latest = full_run_seconds * (0.5 if update else 1.0)
    driver.run(shop, kill_after=rng.uniform(0.001, latest), pause=PAUSE, min_delta=20)
    check_readable(shop)
    stored = shop.stored_photos()
    resumed = check_complete(shop)
    if not update:
        assert resumed.embedded == shop.photos() - stored, "what was committed is not encoded again"


@pytest.mark.parametrize(
    ("kind", "update", "exact_rows"),
    [("folder", False, 100_000), ("both", True, 40)],
    ids=["first run", "update of two sources"],
)
def test_killed_at_every_commit_flush_and_rename(
    tmp_path: Path, driver: Driver, kind: str, update: bool, exact_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.compaction.MIN_DELTA", 20)
    encoded = []
    died = True
    while died:
        shop = Shop.make(tmp_path / f"round {len(encoded)}", kind, 80, exact_rows)
        if update:
            shop.index()
            shop.edit(seed=0)
        died, _ = driver.run(shop, die_at=len(encoded) + 1, min_delta=20)
        check_readable(shop)
        encoded.append(check_complete(shop).embedded)
    assert len(encoded) > 10  # every stage was met: schema, batches, two generations
    assert encoded == sorted(encoded, reverse=True), "the later the death, the less is left to do"
    assert encoded[-2] == 0, "a run that died at its last step had encoded everything"
    if not update:
        assert encoded[0] == shop.photos()
        assert any(0 < count < shop.photos() for count in encoded), "a run that died halfway is gone on with"


def deaths(driver: Driver, shop: Shop, task: str, **given: Any) -> Iterator[bool]:
    """Runs the task until it dies no more, each time one step later. Yields after each whether it died."""
    number, died = 0, True
    while died:
        number += 1
        died, _ = driver.run(shop, task, die_at=number, **given)
        check_readable(shop)
        yield died


@pytest.fixture
def small(tmp_path: Path) -> Shop:
    shop = Shop.make(tmp_path, "both", 24)
    shop.index()
    return shop


def stored_tags(shop: Shop) -> dict[str, Any]:
    """What an opened collection says of the field `look`, by item id; the rows and the column agree."""
    with Collection.open(shop.collection) as opened:
        _, table = opened.view_with_items(["look", "item_id"])
        names, column = table.column("item_id"), table.column("look")
        assert names is not None
        values = column.tolist() if column else [None] * len(table)
        rows = opened.items(table.keys.tolist())
        assert [row.attributes.get("look") for row in rows.values()] == values
        return dict(zip(names.tolist(), values, strict=True))


def test_labels_are_all_there_or_as_they_were(small: Shop, driver: Driver) -> None:
    states = []
    for labels in (["red", "blue"], ["green", "white", "black"]):
        found = tag(small.collection, ColourEncoder(), labels, min_confidence=0, top=1)
        none: dict[str, Any] = dict.fromkeys(small.items())
        states.append(none | {found.names[key][0]: [one.label for one in tags] for key, tags in found.tags.items()})
    before, after = states
    assert before != after
    assert not driver.run(small, "tag", labels=["red", "blue"])[0]
    assert stored_tags(small) == before
    seen = [stored_tags(small) for _ in deaths(driver, small, "tag", labels=["green", "white", "black"])]
    assert len(seen) > 5, "the old labels, the new ones, the items' revision, the counters and the commit"
    assert seen == [before] * (len(seen) - 1) + [after]
    assert check_complete(small).embedded == 0
    assert stored_tags(small) == after


def test_rules_are_all_there_or_as_they_were(small: Shop, driver: Driver) -> None:
    first, second = sorted(small.items())[:2]
    hides = [f"version: 1\nhides: [{{items: [{json.dumps(name)}]}}]\n" for name in (first, second)]

    def hidden() -> tuple[set[str], int]:
        """Items that a search does not show, and how many versions of the rules there are."""
        with Searcher.open(small.collection, ColourEncoder()) as searcher:
            shown = {hit.item_id for hit in searcher.search("red", k=100).hits}
        with closing(reading_engine(small.collection).connect()) as connection:
            return small.items().keys() - shown, len(history(connection))

    assert not driver.run(small, "rules", rules=hides[0])[0]
    assert hidden() == ({first}, 1)
    seen = [hidden() for _ in deaths(driver, small, "rules", rules=hides[1])]
    assert len(seen) > 3, "the version, the counters and the commit"
    assert seen == [({first}, 1)] * (len(seen) - 1) + [({second}, 2)]
    assert check_complete(small).embedded == 0
    assert hidden() == ({second}, 2)


@pytest.mark.parametrize("update", [False, True], ids=["first run", "update"])
def test_calibrations_are_there_after_the_next_run(tmp_path: Path, driver: Driver, update: bool) -> None:
    every = {(modality, kind) for modality in queries.MODALITIES for kind in KINDS}

    def held(shop: Shop) -> tuple[set[Any], int]:
        """Directions that have a calibration, and the rows that it was made for."""
        with Collection.open(shop.collection) as opened:
            usable = set(opened.view().calibrations)
        with closing(reading_engine(shop.collection).connect()) as connection:
            rows = connection.execute(select(calibrations.c.rows).where(calibrations.c.modality == "image")).scalars()
            return usable, max(rows, default=0)

    died, number = True, 0
    while died:
        number += 1
        shop = Shop.make(tmp_path / f"round {number}", "table", 36)
        before: tuple[set[Any], int] = (set(), 0)
        if update:
            shop.index()
            before = held(shop)
            shop.edit(seed=0)
        died, _ = driver.run(shop, "calibrate", die_at=number)
        check_readable(shop)
        complete = (every, shop.photos())
        assert held(shop) == (before if died else complete)
        assert before != complete
        assert shop.index().embedded == 0, "only the calibrations were left to do"
        assert held(shop) == complete
    assert number > 5, "the old ones, the null queries, the new ones, the counters and the commit"


def kept_tokens(shop: Shop) -> dict[str, dict[int, bytes]]:
    """What is stored, whole, by photo and by text; each of an embedding that is there."""
    with closing(reading_engine(shop.collection).connect()) as connection:
        found = {}
        for modality, table in TOKENS.items():
            stored = connection.execute(select(table.c.owner_id, table.c.data))
            rows: dict[int, bytes] = {owner: data for owner, data in stored}  # noqa: C416 (a row is no pair to mypy)
            owners, _ = queries.vectors_after(connection, modality, 0, 4)
            assert rows.keys() <= set(owners.tolist())
            for data in rows.values():
                unpack(data, 4 if modality == "image" else 6)
            found[modality] = rows
        return found


def test_adding_tokens_goes_on_where_it_died(tmp_path: Path, driver: Driver) -> None:
    bare = Shop.make(tmp_path, "both", 140)  # five batches of photos, one of texts
    bare.index()

    def fresh(number: int) -> Shop:
        folder = tmp_path / f"round {number}"
        return replace(bare, collection=Path(shutil.copytree(bare.collection, folder)))

    full = fresh(0)
    add_tokens(full.collection, PlaceEncoder())
    died, number, missing = True, 0, []
    while died:
        number += 1
        shop = fresh(number)
        died, _ = driver.run(shop, "add", die_at=number)
        check_readable(shop)
        left = add_tokens(shop.collection, PlaceEncoder())
        missing.append(left.photos)
        assert (left.failed, shop.index().embedded) == (0, 0)
        assert kept_tokens(shop) == kept_tokens(full)
    assert (missing[0], missing[-1]) == (140, 0)
    assert missing == sorted(missing, reverse=True), "the later the death, the less is left to do"
    assert len(set(missing)) > 3, "a run that died halfway is gone on with"


def test_tokens_are_stored_with_their_embeddings_or_not_at_all(tmp_path: Path, driver: Driver) -> None:
    died, number, halfway = True, 0, 0
    while died:
        number += 1
        shop = Shop.make(tmp_path / f"round {number}", "table", 80)
        died, _ = driver.run(shop, "tokens", die_at=5 * number)  # each takes 0.3 s
        check_readable(shop)
        if not shop.stored_photos():
            continue
        halfway += shop.stored_photos() < 80
        with Collection.open(shop.collection) as opened:
            told = opened.status()
            assert opened.token_spec() == PlaceEncoder().token_spec
        assert (told["tokens"]["photos"], told["tokens"]["texts"]) == (told["embedded_photos"], told["embedded_texts"])
        kept_tokens(shop)
    assert halfway, "one died between two batches"
