"""Every plan of a search gives min(k, m) permitted live rows with their true cosines, and is exact where it says so."""

from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from indexer.writer import open_writer
from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue.queries import Generation
from retrieval.catalogue.schema import generations
from retrieval.collection import Collection
from retrieval.encoders.base import unit_rows
from retrieval.index import faiss_index, plan
from retrieval.index.base import NO_ID, IdMask, Neighbours
from retrieval.index.exact import ExactIndex
from retrieval.index.faiss_index import TARGET_RECALL, FaissIndex, InvertedIndex
from retrieval.index.ladder import rung_for
from retrieval.index.lists import Lists
from retrieval.index.plan import Found
from retrieval.index.view import VectorView
from tests.listed import NoiseEncoder, fill, stored, worded

ROWS, NEWER, DIMENSION, CLUSTERS = 6_000, 300, 32, 60
Half = npt.NDArray[np.float16]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """ids count by twos; the last NEWER rows came after the index; clusters: of each row, and of each query."""

    ids: IdArray
    vectors: Half
    clusters: IdArray
    asked: FloatArray
    asked_clusters: IdArray
    inverted: FaissIndex
    scan: FaissIndex

    def view(self, base: FaissIndex | None, *, newer: int = 0, deleted: IdArray | None = None) -> VectorView:
        """A view of the base's rows, `newer` rows after them, and what was deleted."""
        covered = 0 if base is None else len(base)
        last = int(self.ids[covered + newer - 1])
        gone = np.empty(0, np.int64) if deleted is None else deleted
        live = np.zeros(last + 1, np.bool_)
        live[np.setdiff1d(self.ids[: covered + newer], gone)] = True
        after = slice(covered, covered + newer)
        generation = Generation(1, "image", "image-000001.faiss", "", "", covered, 2 * covered, 1, 0, 1.0)
        return VectorView(
            modality="image",
            dimension=DIMENSION,
            generation=generation if base else None,
            base=base,
            delta=ExactIndex(self.ids[after], self.vectors[after]),
            deleted=gone,
            live=IdMask(live),
            last_owner_id=last,
            newest_known=1,
        )

    def fetch(self, wanted: list[int]) -> tuple[IdArray, Half]:
        ids = np.array(sorted(set(wanted)), dtype=np.int64)
        return ids, self.vectors[ids // 2 - 1]

    def oracle(self, view: VectorView, asked: FloatArray, k: int, allowed: IdMask) -> Neighbours:
        keep = np.flatnonzero(view.live.permits(self.ids) & allowed.permits(self.ids))
        return ExactIndex(self.ids[keep], self.vectors[keep]).search(asked, k)

    def mask(self, rows: Bools) -> IdMask:
        """The rows for which this is true."""
        allowed = np.zeros(int(self.ids[-1]) + 1, np.bool_)
        allowed[self.ids[rows]] = True
        return IdMask(allowed)


def built(kind: str, ids: IdArray, vectors: Half) -> FaissIndex:
    rung = rung_for(len(ids), exact_rows=0 if kind == "inverted" else len(ids))
    index = faiss_index.empty(rung, DIMENSION, vectors.astype(np.float32))
    index.add(ids, vectors)
    return index


@pytest.fixture(scope="module")
def world() -> World:
    """Rows in clusters, as photos of products are; queries beside them, all moved the same way, as texts are."""
    generator = np.random.default_rng(0)
    centres = unit_rows(generator.normal(size=(CLUSTERS, DIMENSION)))
    moved = 0.6 * unit_rows(generator.normal(size=(1, DIMENSION)))

    def draw(count: int) -> tuple[FloatArray, IdArray]:
        clusters = generator.integers(0, CLUSTERS, count)
        own = unit_rows(generator.normal(size=(count, DIMENSION)) * np.arange(1, DIMENSION + 1) ** -0.5)
        return unit_rows(centres[clusters] + 1.2 * own), clusters

    rows, clusters = draw(ROWS)
    vectors, ids = rows.astype(np.float16), np.arange(1, ROWS + 1) * 2
    beside, asked_clusters = draw(150)
    asked = unit_rows(beside + moved)
    base = slice(0, ROWS - NEWER)
    inverted = built("inverted", ids[base], vectors[base])
    faiss_index.tune(inverted, asked[:100], ExactIndex(ids[base], vectors[base]).search(asked[:100], 10).ids)
    return World(
        ids, vectors, clusters, asked[100:], asked_clusters[100:], inverted, built("scan", ids[base], vectors[base])
    )


def check(world: World, view: VectorView, asked: FloatArray, k: int, allowed: IdMask, found: Found) -> Neighbours:
    """What every plan promises; returns the oracle's answer."""
    truth = world.oracle(view, asked, k, allowed)
    m = int((view.live.permits(world.ids) & allowed.permits(world.ids)).sum())
    assert found.plan.permitted == m
    assert found.ids.shape == found.scores.shape == (len(asked), k)
    np.testing.assert_array_equal((found.ids != NO_ID).sum(axis=1), min(k, m))
    np.testing.assert_array_equal(found.ids == NO_ID, np.isneginf(found.scores))
    for query, padded, scores in zip(asked, found.ids, found.scores, strict=True):
        owners = padded[padded != NO_ID]
        assert len(np.unique(owners)) == len(owners)
        assert (view.live.permits(owners) & allowed.permits(owners)).all()
        true = world.vectors[owners // 2 - 1].astype(np.float32) @ query
        np.testing.assert_allclose(scores[: len(owners)], true, atol=1e-6)
        assert (np.diff(scores[: len(owners)]) <= 0).all()
    if found.plan.exact:
        np.testing.assert_allclose(found.scores, truth.scores, atol=1e-6)  # ids may differ where scores are equal
        assert recall(found, truth) > 0.999
    return truth


def recall(found: Neighbours, truth: Neighbours) -> float:
    shares = [
        np.isin(wanted[wanted != NO_ID], had).mean()
        for wanted, had in zip(truth.ids, found.ids, strict=True)
        if wanted[0] != NO_ID
    ]
    return float(np.mean(shares)) if shares else 1.0


def permitting(world: World, kind: str, share: float, query: int) -> Bools:
    """A filter by chance, by clusters from the query's own on, or by clusters from the one after it on."""
    if kind == "random":
        return np.random.default_rng(query).random(ROWS) < share
    first = int(world.asked_clusters[query]) + (kind == "others")
    return np.asarray((world.clusters - first) % CLUSTERS < max(1, round(share * (CLUSTERS - 1))))


@pytest.mark.parametrize(
    ("base", "permitted", "newer", "name", "exact"),
    [
        ("scan", ROWS, 0, "exact", True),
        ("scan", ROWS, NEWER, "exact+delta", True),
        ("scan", 2_000, 0, "bitmap+exact", True),
        ("scan", 2_000, NEWER, "bitmap+exact+delta", True),
        ("inverted", ROWS, 0, "ivf", False),
        ("inverted", ROWS, NEWER, "ivf+delta", False),
        ("inverted", 2_000, 0, "ivf+bitmap", False),
        ("inverted", 2_000, NEWER, "ivf+bitmap+delta", False),
        ("inverted", 900, 0, "bitmap+exact", True),
        ("inverted", 900, NEWER, "bitmap+exact+delta", True),
        ("inverted", 100, NEWER, "bitmap+exact+delta", True),
        ("inverted", 0, NEWER, "bitmap+exact", True),
        ("none", ROWS, ROWS, "exact", True),
        ("none", 900, ROWS, "bitmap+exact", True),
    ],
)
def test_the_plan_depends_on_how_many_rows_are_permitted(
    world: World, monkeypatch: pytest.MonkeyPatch, base: str, permitted: int, newer: int, name: str, exact: bool
) -> None:
    monkeypatch.setattr(plan, "EXACT_PERMITTED", 1_000)
    view = world.view({"scan": world.scan, "inverted": world.inverted, "none": None}[base], newer=newer)
    allowed = world.mask(np.arange(ROWS) % ROWS < permitted)
    found = view.search(world.asked, 10, world.fetch, allowed)
    check(world, view, world.asked, 10, allowed, found)
    assert (found.plan.name, found.plan.exact) == (name, exact)
    assert (found.plan.nprobe > 0) is (base == "inverted" and permitted > plan.FETCHED_WHOLE)


class TestRecall:
    """Under the tuned recall no filter may fall, wherever its rows lie."""

    @pytest.mark.parametrize("share", [0.8, 0.5, 0.2, 0.05])
    @pytest.mark.parametrize("kind", ["random", "own", "others"])
    def test_ivf_with_a_bitmap(self, world: World, monkeypatch: pytest.MonkeyPatch, kind: str, share: float) -> None:
        monkeypatch.setattr(plan, "EXACT_PERMITTED", 0)
        view = world.view(world.inverted, newer=NEWER)
        shares, lists = [], []
        for query in range(len(world.asked)):
            asked = world.asked[query : query + 1]
            allowed = world.mask(permitting(world, kind, share, query))
            found = view.search(asked, 10, world.fetch, allowed)
            if found.plan.permitted > plan.FETCHED_WHOLE:
                assert found.plan.name == "ivf+bitmap+delta"
                shares.append(recall(found, check(world, view, asked, 10, allowed, found)))
                lists.append(found.plan.nprobe)
        assert len(shares) > 40
        assert np.mean(shares) >= TARGET_RECALL
        if share == 0.8 and kind != "others":
            assert np.median(lists) < world.inverted.__dict__["held"].starts.size / 2, "no scan of everything"

    @pytest.mark.parametrize("k", [1, 10, 20, 100, 1_000])
    def test_any_k(self, world: World, k: int) -> None:
        view = world.view(world.inverted)
        found = view.search(world.asked, k, world.fetch)
        truth = check(world, view, world.asked, k, world.mask(np.ones(ROWS, np.bool_)), found)
        assert found.plan.name == "ivf"
        assert recall(found, truth) >= TARGET_RECALL - 0.02

    def test_deleting_what_lies_next_to_the_query_does_not_cost_recall(self, world: World) -> None:
        own = np.isin(world.clusters, world.asked_clusters[:5])
        view = world.view(world.inverted, deleted=world.ids[own])
        asked = world.asked[:5]
        found = view.search(asked, 10, world.fetch)
        truth = check(world, view, asked, 10, world.mask(np.ones(ROWS, np.bool_)), found)
        assert recall(found, truth) >= TARGET_RECALL


class TestCertificate:
    def test_no_estimate_is_further_off_than_the_code_error(self, world: World) -> None:
        index = world.inverted
        assert isinstance(index, InvertedIndex)
        found = index.scan(world.asked, len(index))
        for query, ids, estimates in zip(world.asked, found.ids, found.scores, strict=True):
            true = world.vectors[ids // 2 - 1].astype(np.float32) @ query
            assert np.abs(true - estimates).max() <= index.code_error + plan.ROUNDING
        assert 0 < index.code_error < 0.05

    @pytest.fixture
    def alike(self) -> tuple[IdArray, Half, InvertedIndex, FloatArray]:
        """Far rows that stretch the codes' range, and 3,000 that differ by less than the codes can tell."""
        generator = np.random.default_rng(3)
        point = unit_rows(generator.normal(size=(1, DIMENSION)))
        near = unit_rows(point + 0.002 * generator.normal(size=(3_000, DIMENSION)))
        vectors = np.concatenate([near, unit_rows(generator.normal(size=(500, DIMENSION)))]).astype(np.float16)
        ids = np.arange(1, len(vectors) + 1) * 2
        index = faiss_index.empty(rung_for(1, 0), DIMENSION, vectors.astype(np.float32))
        index.add(ids, vectors)
        assert isinstance(index, InvertedIndex)
        return ids, vectors, index, unit_rows(generator.normal(size=(4, DIMENSION)) * 0.1 + point)

    @pytest.mark.parametrize(
        ("widths", "error", "exact"),
        [((512, 4_096), None, True), ((64, 128), None, False), ((512, 4_096), inf, False)],
        ids=["widened", "not wide enough", "error unknown"],
    )
    def test_exact_is_said_only_where_all_possible_rows_were_scored_again(
        self,
        alike: tuple[IdArray, Half, InvertedIndex, FloatArray],
        monkeypatch: pytest.MonkeyPatch,
        widths: tuple[int, ...],
        error: float | None,
        exact: bool,
    ) -> None:
        ids, vectors, index, asked = alike
        monkeypatch.setattr(plan, "SCANNED", widths)
        if error is not None:
            index.code_error = error
        fetched: list[int] = []

        def fetch(wanted: list[int]) -> tuple[IdArray, Half]:
            fetched.append(len(wanted))
            return np.array(wanted), vectors[np.array(wanted) // 2 - 1]

        live = IdMask(np.isin(np.arange(ids[-1] + 1), ids))
        allowed = IdMask(live.allowed & (np.arange(len(live.allowed)) != ids[7]))
        rows = plan.Rows(index, ExactIndex(ids[:0], vectors[:0]), live, whole=True)
        found = plan.search(rows, asked, 10, fetch, allowed)
        keep = ids != ids[7]
        truth = ExactIndex(ids[keep], vectors[keep]).search(asked, 10)
        assert found.plan.exact is exact
        assert (found.ids != NO_ID).all()
        if exact:
            np.testing.assert_allclose(found.scores, truth.scores, atol=1e-6)
            assert max(fetched) > 40, "more than the first candidates had to be scored again"
        else:
            assert np.abs(found.scores - truth.scores).max() > 1e-6, "the codes cannot tell them apart"
            assert max(fetched) <= 4 * 40


class TestAnything:
    @settings(max_examples=120, deadline=None)
    @given(data=st.data())
    def test_min_k_m_hits_none_forbidden_none_twice_true_scores_in_order(
        self, world: World, data: st.DataObject
    ) -> None:
        generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
        base = data.draw(st.sampled_from([world.inverted, world.scan]))
        newer = data.draw(st.sampled_from([0, 1, NEWER]))
        gone = generator.choice(world.ids, data.draw(st.sampled_from([0, 1, 40, 3_000, ROWS])), replace=False)
        view = world.view(base, newer=newer, deleted=np.sort(gone))
        share = data.draw(st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.5, 0.99, 1.0]))
        kind = data.draw(st.sampled_from(["random", "own", "others"]))
        allowed = world.mask(permitting(world, kind, share, query=0) if 0 < share < 1 else np.full(ROWS, share == 1))
        cut = data.draw(st.integers(0, len(allowed.allowed) + 1))
        allowed = IdMask(allowed.allowed[:cut] if data.draw(st.booleans()) else np.append(allowed.allowed, [True] * 9))
        asked = world.asked[: data.draw(st.integers(0, 3))]
        k = data.draw(st.sampled_from([1, 2, 10, 57, 500, ROWS + 5]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plan, "EXACT_PERMITTED", data.draw(st.sampled_from([0, 300, 20_000])))
            patch.setattr(plan, "FETCHED_WHOLE", data.draw(st.sampled_from([0, 200])))
            found = view.search(asked, k, world.fetch, allowed)
        check(world, view, asked, k, allowed, found)

    @settings(max_examples=60, deadline=None)
    @given(
        sizes=st.lists(st.integers(0, 5), min_size=1, max_size=200),
        rows=st.integers(0, 200),
        least=st.integers(0, 20),
        seed=st.integers(0, 99),
    )
    def test_lists_needed_equal_counting_one_by_one(self, sizes: list[int], rows: int, least: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        ids = generator.permutation(sum(sizes)).astype(np.int64)
        held = np.split(ids, np.cumsum(sizes)[:-1])
        lists = Lists.of(held)
        order = generator.permutation(len(sizes))
        allowed = IdMask(generator.random(sum(sizes)) < 0.5)
        expected, seen, holding = len(sizes), 0, 0
        for place, one in enumerate(order.tolist(), start=1):
            here = int(allowed.permits(held[one]).sum())
            seen, holding = seen + here, holding + (here > 0)
            if seen >= rows and holding >= least:
                expected = place
                break
        assert lists.needed(order, rows, least, allowed) == expected
        np.testing.assert_array_equal(lists.permitted(order, None), np.array(sizes)[order])
        np.testing.assert_array_equal(lists.list_of[ids], np.repeat(np.arange(len(sizes)), sizes))
        longer = IdMask(np.append(allowed.allowed, [True, True]))  # rows newer than the index
        assert lists.holding(longer).tolist() == [bool(allowed.permits(one).any()) for one in held]


def test_ids_that_were_never_given_or_died_before_the_index_was_made_do_not_count(tmp_path: Path) -> None:
    fill(tmp_path, worded(*(f"item {number}" for number in range(30))))
    fill(tmp_path, worded(*(f"item {number}" for number in range(10, 30))))
    with Collection.open(tmp_path) as collection:
        view = collection.view().text
        found = view.search(NoiseEncoder().encode_texts(["x"]), 30, never, IdMask(np.ones(500, np.bool_)))
        assert found.plan.permitted == len(view) == 20
        assert found.plan.name == "exact"


def never(wanted: list[int]) -> tuple[IdArray, Half]:
    raise AssertionError("not needed")


class TestCollections:
    """Through the real writer, index build and database."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        fill(tmp_path, worded(*(f"item {number}" for number in range(900))), exact_rows=300)
        later = [f"item {number}" for number in range(60, 900)] + [f"later {number}" for number in range(40)]
        fill(tmp_path, worded(*later), exact_rows=300)
        return tmp_path

    @pytest.mark.parametrize("limit", [0, 20_000])
    def test_filtered_base_and_delta_without_the_deleted(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, limit: int
    ) -> None:
        monkeypatch.setattr(plan, "EXACT_PERMITTED", limit)
        ids, vectors = stored(folder, "text")
        asked = NoiseEncoder().encode_texts([f"item {number}" for number in range(50, 90)])
        chosen = ids[np.random.default_rng(1).random(len(ids)) < 0.6]
        allowed = IdMask(np.isin(np.arange(2_000), chosen))
        truth = ExactIndex(chosen, vectors[np.isin(ids, chosen)]).search(asked, 10)
        with Collection.open(folder) as collection:
            view = collection.view().text
            assert len(view) == len(ids)
            found = view.search(asked, 10, lambda wanted: collection.vectors("text", wanted), allowed)
        assert found.plan.permitted == len(chosen)
        assert found.plan.name == ("bitmap+exact+delta" if limit else "ivf+bitmap+delta")
        if limit:
            assert found.plan.exact
            np.testing.assert_array_equal(found.ids, truth.ids)
        assert recall(found, truth) >= TARGET_RECALL

    def test_an_index_made_before_its_error_was_measured_is_searched_and_not_called_exact(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan, "SCANNED", (64, 128))
        with open_writer(folder, NoiseEncoder().spec) as writer, writer.engine.begin() as connection:
            connection.execute(update(generations).values(code_error=None, reach=None))
        ids, vectors = stored(folder, "text")
        allowed = IdMask(np.isin(np.arange(2_000), ids[::2]))
        asked = NoiseEncoder().encode_texts(["item 70", "item 71"])
        truth = ExactIndex(ids[::2], vectors[::2]).search(asked, 10)
        with Collection.open(folder) as collection:
            found = collection.view().text.search(asked, 10, lambda ids: collection.vectors("text", ids), allowed)
        assert found.plan.name == "bitmap+exact+delta"
        assert not found.plan.exact
        assert recall(found, truth) >= TARGET_RECALL

    def test_what_was_measured_survives_the_database(self, folder: Path) -> None:
        with Collection.open(folder) as collection:
            base = collection.view().text.base
            assert isinstance(base, InvertedIndex)
            assert 0 < base.code_error < 0.1
            assert 0 < base.reach < 1


class TestMask:
    @given(st.lists(st.booleans(), max_size=30), st.lists(st.booleans(), max_size=30))
    def test_both_allow(self, one: list[bool], other: list[bool]) -> None:
        both = IdMask(np.array(one, np.bool_)) & IdMask(np.array(other, np.bool_))
        assert both.allowed.tolist() == [a and b for a, b in zip(one, other, strict=False)]
        assert both.count == sum(both.allowed.tolist())
