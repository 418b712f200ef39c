"""Confidence: a tail that never saturates, contrast with what means nothing, calibrations in a database."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from indexer.rules import apply_rules
from indexer.sources.base import SourceItem
from retrieval.arrays import FloatArray
from retrieval.catalogue.engine import DATABASE, writing_engine
from retrieval.catalogue.schema import calibrations, null_queries
from retrieval.collection import Collection
from retrieval.confidence import bank
from retrieval.confidence.calibration import Calibration, calibrate, nothing_fits
from retrieval.confidence.nulls import KINDS, null_queries_of
from retrieval.confidence.tail import TAIL_SHARE, NullDistribution
from retrieval.encoders.base import unit_rows
from retrieval.query import Part, Query
from retrieval.query.kinds import kind_of
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import fill, paint

samples = st.lists(st.floats(-10, 10), min_size=1, max_size=60).map(np.array)


class TestTail:
    @given(samples, st.lists(st.floats(-100, 100), min_size=2, max_size=30))
    @settings(deadline=None)
    def test_it_is_a_distribution(self, sample: Any, at: list[float]) -> None:
        null = NullDistribution.fitted(sample)
        found = null.share_below(np.sort(at))
        assert np.isfinite(found).all()
        assert ((found >= 0) & (found <= 1)).all()
        assert (np.diff(found) >= 0).all()

    @given(samples)
    @settings(deadline=None)
    def test_it_is_continuous_where_the_tail_begins(self, sample: Any) -> None:
        null = NullDistribution.fitted(sample)
        u = null.knots[-1]
        below, above = null.share_below(np.array([u, np.nextafter(u, np.inf)]))
        assert below == pytest.approx(1 - TAIL_SHARE)
        assert above == pytest.approx(below, abs=1e-6)

    def test_it_goes_on_rising_beyond_the_largest_value(self) -> None:
        null = NullDistribution.fitted(np.random.default_rng(1).normal(size=256))
        far = null.share_below(np.array([3.0, 4.0, 5.0, 6.0]))
        assert (np.diff(far) > 0).all()
        assert far[-1] < 1

    def test_the_share_below_a_quantile_is_that_quantile(self) -> None:
        sample = np.random.default_rng(2).normal(size=4_000)
        null = NullDistribution.fitted(sample)
        for share in (0.1, 0.5, 0.79, 0.9, 0.98, 0.995):
            assert null.share_below(np.array([np.quantile(sample, share)]))[0] == pytest.approx(share, abs=0.01)

    @pytest.mark.parametrize("shape", [0.0, 0.2, 0.4])
    def test_it_finds_the_parameters_of_a_pareto_tail(self, shape: float) -> None:
        u = np.random.default_rng(3).uniform(size=200_000)
        drawn = -np.log(u) if shape == 0 else (u**-shape - 1) / shape
        null = NullDistribution.fitted(drawn)
        assert null.shape == pytest.approx(shape, abs=0.02)
        assert null.scale == pytest.approx(1 + shape * null.knots[-1], rel=0.03)  # a Pareto tail's tail is one, too

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("knots", [2.0, 1.0]),
            ("knots", [1.0]),
            ("knots", [1.0, float("nan")]),
            ("knots", "no"),
            ("share", 1.0),
            ("share", None),
            ("scale", 0.0),
            ("scale", float("inf")),
            ("shape", -0.1),
            ("shape", 0.9),
        ],
    )
    def test_what_is_no_distribution_is_refused(self, name: str, value: Any) -> None:
        good = NullDistribution.fitted(np.arange(50.0)).to_json()
        assert NullDistribution.from_json(json.loads(json.dumps(good))).to_json() == good
        with pytest.raises((ValueError, TypeError, KeyError)):
            NullDistribution.from_json({**good, name: value})


def directions(count: int, seed: int, centre: FloatArray | None = None) -> FloatArray:
    noise = np.random.default_rng(seed).standard_normal((count, 32))
    return unit_rows(noise if centre is None else unit_rows(noise) + centre)


class TestCalibration:
    nonsense = directions(1, 10)[0]
    things = directions(1, 11)[0]
    nulls = directions(128, 12, nonsense)
    stored = directions(500, 13, things)

    def calibration(self) -> Calibration:
        return calibrate(self.nulls, (self.nulls @ self.stored.T).max(axis=1))

    def best(self, query: FloatArray) -> float:
        score = (self.stored @ query).max(keepdims=True)
        return float(self.calibration().confidence(query, score)[0])

    def test_nonsense_is_spread_over_the_whole_range(self) -> None:
        found = np.array([self.best(query) for query in directions(300, 14, self.nonsense)])
        assert np.quantile(found, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.12)
        assert np.mean([not nothing_fits(one) for one in found]) < 0.06

    def test_what_is_like_the_collection_is_certain(self) -> None:
        assert all(not nothing_fits(self.best(query)) for query in directions(100, 15, self.things))

    @given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.integers(0, 99))
    @settings(deadline=None)
    def test_in_one_answer_confidence_follows_the_score(self, scores: list[float], query: int) -> None:
        ordered = np.sort(np.array(scores, np.float32))
        found = self.calibration().confidence(directions(100, 16)[query], ordered)
        assert found.dtype == np.float32
        assert ((found >= 0) & (found <= 1)).all()
        assert (np.diff(found) >= 0).all()

    def test_no_hits_have_no_confidences(self) -> None:
        assert self.calibration().confidence(self.things, np.empty(0, np.float32)).shape == (0,)

    def test_a_score_that_is_none_has_confidence_0(self) -> None:
        found = self.calibration().confidence(self.things, np.array([np.nan, -np.inf, np.inf], np.float32))
        assert found.tolist() == [0, 0, 0]

    def test_it_survives_json(self) -> None:
        one = self.calibration()
        again = Calibration.from_json(json.loads(json.dumps(one.to_json())), self.nulls)
        scores = np.linspace(-1, 1, 50, dtype=np.float32)
        assert (again.confidence(self.things, scores) == one.confidence(self.things, scores)).all()

    @pytest.mark.parametrize(
        ("name", "value"),
        [("bank", "0"), ("score", [0.1]), ("score", [0.1, 0]), ("nearness", ["x", 1]), ("null", {}), ("null", None)],
    )
    def test_damaged_parameters_are_refused(self, name: str, value: Any) -> None:
        with pytest.raises((ValueError, TypeError, KeyError)):
            Calibration.from_json({**self.calibration().to_json(), name: value}, self.nulls)

    def test_an_encoder_that_takes_all_nonsense_for_one_thing(self) -> None:
        nulls = np.repeat(directions(1, 17), 20, axis=0)
        one = calibrate(nulls, np.full(20, 0.3, np.float32))
        assert nothing_fits(float(one.confidence(nulls[0], np.array([0.3], np.float32))[0]))


class TestBank:
    def test_it_is_the_same_everywhere(self) -> None:
        assert bank.texts() == bank.texts()
        assert len(set(bank.texts())) == bank.TEXTS
        pictures = bank.pictures()
        assert len(pictures) == bank.PICTURES
        assert [one.tobytes() for one in pictures] == [one.tobytes() for one in bank.pictures()]
        assert {one.mode for one in pictures} == {"RGB"}

    def test_it_is_encoded_once(self) -> None:
        encoder = ColourEncoder(version="nulls")
        made = null_queries_of(encoder)
        assert (encoder.texts_encoded, encoder.images_encoded) == (bank.TEXTS, bank.PICTURES)
        again = null_queries_of(encoder)
        assert (encoder.texts_encoded, encoder.images_encoded) == (bank.TEXTS, bank.PICTURES)
        for kind in KINDS:
            assert (made.of(kind) == again.of(kind)).all()
            assert np.linalg.norm(made.of(kind), axis=1) == pytest.approx(1, abs=1e-3)

    def test_a_damaged_file_is_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("CATALENS_CACHE", str(tmp_path))
        encoder = ColourEncoder()
        made = null_queries_of(encoder)
        (path,) = (tmp_path / "nulls").iterdir()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with caplog.at_level(logging.WARNING):
            assert (null_queries_of(encoder).words == made.words).all()
        assert "damaged" in caplog.text
        assert encoder.texts_encoded == 2 * bank.TEXTS
        null_queries_of(encoder)
        assert encoder.texts_encoded == 2 * bank.TEXTS

    def test_a_cache_that_cannot_be_written_is_no_matter(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "nulls").write_text("a file where the folder should be")
        monkeypatch.setenv("CATALENS_CACHE", str(tmp_path))
        assert null_queries_of(ColourEncoder()).words.shape == (bank.TEXTS, 4)


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ([Part(words="red")], "words"),
        ([Part(words="red"), Part(words="blue", weight=0.5)], "words"),
        ([Part(image=b"x")], "image"),
        ([Part(item="a"), Part(image=b"x")], "image"),
        ([Part(words="red"), Part(item="a")], "both"),
        ([Part(words="red", weight=9), Part(item="a")], "words"),
        ([Part(words="red"), Part(item="a", weight=9)], "image"),
        ([Part(vector=(1.0, 0.0))], None),
        ([Part(words="red"), Part(vector=(1.0, 0.0))], None),
        ([Part(words="red"), Part(words="blue", weight=-1)], None),
        ([Part(words="red", weight=0)], None),
    ],
)
def test_the_kind_of_a_query(parts: list[Part], kind: str | None) -> None:
    assert kind_of(Query(tuple(parts)), "image") == kind


def test_a_query_without_parts_has_no_kind() -> None:
    assert kind_of(Query((), sort=("price",)), "image") is None


def test_a_stored_item_stands_for_its_texts_among_texts() -> None:
    assert kind_of(Query((Part(item="a"),)), "text") == "words"
    assert kind_of(Query((Part(item="a"), Part(image=b"x"))), "text") == "both"


def painted(folder: Path, names: list[str]) -> list[SourceItem]:
    """One item for each name, a photo of that colour."""
    return [
        SourceItem(f"{number}-{name}", name, (paint(folder / f"{number}.png", COLOURS[name]),))
        for number, name in enumerate(names)
    ]


def best(folder: Path, words: str, modality: Any = "image") -> float | None:
    encoder = ColourEncoder()
    with Collection.open(folder) as opened:
        view = opened.view().of(modality)
        query = encoder.encode_texts([words])
        scores = view.search(query, 1, lambda ids: opened.vectors(modality, ids)).scores[0]
        one = opened.view().calibrations.get((modality, "words"))
        return None if one is None else float(one.confidence(query[0], scores)[0])


def made_at(folder: Path) -> list[tuple[str, int]]:
    engine = writing_engine(folder / DATABASE)
    with engine.connect() as connection:
        rows = connection.execute(select(calibrations.c.modality, calibrations.c.revision).distinct()).all()
    engine.dispose()
    return sorted((row[0], row[1]) for row in rows)


def spoil(folder: Path, statement: Any) -> None:
    engine = writing_engine(folder / DATABASE)
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


class TestCollections:
    def test_a_colour_fits_and_a_nonsense_word_does_not(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", painted(tmp_path, list(COLOURS)), ColourEncoder())
        for modality in ("image", "text"):
            for name in ("red", "green", "blue", "purple"):
                found = best(tmp_path / "c", name, modality)
                assert found is not None
                assert not nothing_fits(found)
            found = best(tmp_path / "c", "asdkjh qwpoe", modality)
            assert found is not None
            assert nothing_fits(found)

    def test_every_direction_has_one(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", painted(tmp_path, ["red", "blue"]), ColourEncoder())
        with Collection.open(tmp_path / "c") as opened:
            for modality in ("image", "text"):
                for kind in KINDS:
                    assert (modality, kind) in opened.view().calibrations

    @pytest.mark.parametrize("names", [["red"], ["red", "red"], ["red", "blue"], ["white"] * 12], ids=str)
    def test_small_and_uniform_collections(self, tmp_path: Path, names: list[str]) -> None:
        fill(tmp_path / "c", painted(tmp_path, names), ColourEncoder())
        for words in (names[0], "asdkjh", "dark green"):
            found = best(tmp_path / "c", words)
            assert found is not None
            assert 0 <= found <= 1

    def test_an_empty_collection_has_none(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", [], ColourEncoder())
        assert best(tmp_path / "c", "red") is None

    def test_it_is_made_again_when_a_tenth_has_changed(self, tmp_path: Path) -> None:
        names = (list(COLOURS) * 3)[:20]
        items = painted(tmp_path, names)
        fill(tmp_path / "c", items, ColourEncoder())
        first = made_at(tmp_path / "c")
        fill(tmp_path / "c", items, ColourEncoder())
        assert made_at(tmp_path / "c") == first
        two_more = [*items, *painted(tmp_path, [*names, "red", "blue"])[-2:]]
        fill(tmp_path / "c", two_more, ColourEncoder())
        assert made_at(tmp_path / "c") == first  # 2 of 20 are a tenth, not more
        fill(tmp_path / "c", two_more[1:], ColourEncoder())
        again = made_at(tmp_path / "c")
        assert all(new > old for (_, new), (_, old) in zip(again, first, strict=True))

    def test_an_open_collection_sees_a_new_one(self, tmp_path: Path) -> None:
        items = painted(tmp_path, ["red", "blue"])
        fill(tmp_path / "c", items[:1], ColourEncoder())
        with Collection.open(tmp_path / "c") as opened:
            first = opened.view().calibrations["image", "words"]
            apply_rules(tmp_path / "c", b"version: 1\n", name="rules.yaml")
            assert opened.view().calibrations["image", "words"] is first  # a new revision, but not read again
            fill(tmp_path / "c", items, ColourEncoder())
            assert opened.view().calibrations["image", "words"] is not first

    @pytest.mark.parametrize(
        "damage",
        [
            update(calibrations).values(parameters={"null": "broken"}),
            update(calibrations).where(calibrations.c.kind == "both").values(parameters=[1, 2]),
            update(null_queries).where(null_queries.c.kind == "words").values(vectors=b"\0" * 64),
            update(null_queries).values(vectors=b""),
            delete(null_queries).where(null_queries.c.kind == "image"),
            delete(calibrations),
        ],
        ids=["parameters", "one row", "vectors", "no vectors", "kind missing", "all gone"],
    )
    def test_a_damaged_one_counts_as_none_until_the_next_run(self, tmp_path: Path, damage: Any) -> None:
        items = painted(tmp_path, ["red", "blue"])
        fill(tmp_path / "c", items, ColourEncoder())
        spoil(tmp_path / "c", damage)
        assert best(tmp_path / "c", "red") is None
        fill(tmp_path / "c", items, ColourEncoder())
        found = best(tmp_path / "c", "red")
        assert found is not None
        assert not nothing_fits(found)

    def test_one_of_another_dimension_counts_as_none(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A row that another encoder left: its queries cannot be compared with these."""
        fill(tmp_path / "c", painted(tmp_path, ["red", "blue"]), ColourEncoder())
        alien = np.zeros((7, 3), "<f2").tobytes()
        values = {"vectors": alien, "sha256": hashlib.sha256(alien).hexdigest()}
        spoil(tmp_path / "c", update(null_queries).values(**values))
        with caplog.at_level(logging.WARNING):
            assert best(tmp_path / "c", "red") is None
        assert "catalens index" in caplog.text
