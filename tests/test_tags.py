"""Labels for items: which fits, whether any does, and what becomes of those that are kept."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sqlalchemy import select

import retrieval.encoders
from indexer.label_file import MAX_BYTES, MAX_LABELS, MAX_LENGTH, read_labels
from indexer.lock import writer_lock
from indexer.sources.base import SourceItem
from indexer.tagging import Tagged, remove_tags, tag
from retrieval.arrays import FloatArray
from retrieval.catalogue.engine import reading_engine
from retrieval.catalogue.schema import item_tags
from retrieval.collection import Collection
from retrieval.confidence.labels import FEWEST_PAIRS, SHARPEST, Labeller, sharpness_of
from retrieval.encoders.base import unit_rows
from retrieval.errors import CollectionLocked, CollectionNotFound, FingerprintMismatch, QueryError, SourceError
from retrieval.search import Searcher
from tests.command_line import Run, runner
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import NoiseEncoder, fill, paint

NAMES = ("red", "green", "blue", "yellow", "purple", "cyan", "orange")
GREY = (128, 128, 128)  # to this encoder all that means nothing is grey


def directions(count: int, seed: int) -> FloatArray:
    return unit_rows(np.random.default_rng(seed).standard_normal((count, 16)))


class TestLabeller:
    @given(st.integers(1, 8), st.floats(1, SHARPEST), st.integers(0, 50))
    @settings(deadline=None, max_examples=50)
    def test_confidences_are_shares(self, labels: int, sharpness: float, seed: int) -> None:
        one = Labeller(tuple(map(str, range(labels))), directions(labels, seed), directions(9, 1), sharpness)
        found = one.confidences(directions(5, seed + 1))
        assert found.shape == (5, labels)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert (found.sum(axis=1) <= 1 + 1e-5).all()

    def test_it_is_the_softmax_of_the_docstring(self) -> None:
        labels, nulls, photos = directions(3, 1), directions(4, 2), directions(2, 3)
        found = Labeller(("a", "b", "c"), labels, nulls, 7.0).confidences(photos)
        for i in range(2):
            mass = [np.exp(7.0 * float(photos[i] @ rival)) for rival in (*labels, *nulls)]
            assert found[i] == pytest.approx(np.array(mass[:3]) / sum(mass), rel=1e-4)

    def test_a_photo_that_is_like_nonsense_gets_nothing(self) -> None:
        labels, nulls = directions(3, 4), directions(4, 5)
        one = Labeller(("a", "b", "c"), labels, nulls, 50.0)
        assert one.confidences(nulls).max() < 0.01
        assert np.diag(one.confidences(labels)).min() > 0.99

    def test_no_photos(self) -> None:
        assert Labeller(("a",), directions(1, 6), directions(2, 7), 10.0).confidences(directions(0, 8)).shape == (0, 1)


class TestSharpness:
    def test_titles_that_say_what_photos_show_make_it_sharp(self) -> None:
        photos = directions(60, 1)
        noise = np.random.default_rng(2).standard_normal(photos.shape)
        near, far = unit_rows(photos + 0.1 * noise), unit_rows(photos + 0.4 * noise)
        nulls = directions(20, 3)
        assert sharpness_of(photos, near, nulls) > sharpness_of(photos, far, nulls) > 3

    @pytest.mark.parametrize("titles", [directions(60, 4), None, "few"], ids=["strange", "none", "few"])
    def test_otherwise_the_spread_sets_it(self, titles: Any) -> None:
        photos, nulls = directions(60, 5), directions(20, 6)
        if isinstance(titles, str):
            photos = titles = photos[: FEWEST_PAIRS - 1]
        assert sharpness_of(photos, titles, nulls) == pytest.approx(2 / (photos @ nulls.T).std(axis=1).mean(), rel=1e-3)

    def test_it_is_finite_for_degenerate_photos(self) -> None:
        same = np.repeat(directions(1, 7), 30, axis=0)
        for photos, titles in ((same, same), (same[:1], None), (same[:0], None), (np.zeros_like(same), None)):
            assert 3 <= sharpness_of(photos, titles, same) <= SHARPEST


class TestLabelFile:
    def test_comments_blanks_and_repetitions_are_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "labels.txt"
        path.write_bytes("\ufeff# kinds\r\nred  shoes\r\n\r\n  blue hat \nred shoes\n#x\nrosé {}\n".encode())
        assert read_labels(path) == ("red shoes", "blue hat", "rosé {}")

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "no label"),
            (b"# only\n\n   \n", "no label"),
            (b"\xff\xfe\x00r", "no UTF-8"),
            (b"a\0b", "zero bytes"),
            (b"x\n" * (MAX_BYTES // 2 + 1), "MB"),
            ("\n".join(map(str, range(MAX_LABELS + 1))).encode(), "2,001 labels"),
            (b"y" * (MAX_LENGTH + 1), "201 characters"),
        ],
        ids=["empty", "comments", "binary", "zeros", "large", "many", "long"],
    )
    def test_what_is_no_list_is_refused(self, tmp_path: Path, content: bytes, said: str) -> None:
        path = tmp_path / "labels.txt"
        path.write_bytes(content)
        with pytest.raises(SourceError, match=said) as raised:
            read_labels(path)
        assert "one label a line" in raised.value.hint

    def test_a_missing_file_and_a_folder(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.txt", tmp_path):
            with pytest.raises(SourceError, match="cannot read"):
                read_labels(path)


class Shop:
    """A photo of each colour, its title the colour; one of grey that is like no label."""

    def __init__(self, folder: Path) -> None:
        self.pictures, self.folder, self.encoder = folder, folder / "collection", ColourEncoder()
        self.items = [self.item(name) for name in (*NAMES, "grey")]
        self.fill()

    def item(self, name: str, *colours: str, title: str = "") -> SourceItem:
        files = [
            paint(self.pictures / f"{name}-{colour}.png", COLOURS.get(colour, GREY)) for colour in colours or (name,)
        ]
        return SourceItem(name, title or name, tuple(files), attributes={"price": 5})

    def fill(self) -> None:
        fill(self.folder, self.items, self.encoder)

    def tag(self, *labels: str, **options: Any) -> dict[str, list[str]]:
        return labels_of(tag(self.folder, self.encoder, labels or NAMES, **options))

    def attributes(self) -> dict[str, Any]:
        with Searcher.open(self.folder, self.encoder) as searcher:
            return {hit.item_id: dict(hit.attributes) for hit in searcher.search("red", k=100).hits}

    def stored(self) -> list[tuple[str, str]]:
        engine = reading_engine(self.folder)
        with engine.connect() as connection:
            rows = connection.execute(select(item_tags.c.field, item_tags.c.label).order_by(item_tags.c.label)).all()
        engine.dispose()
        return [(row[0], row[1]) for row in rows]


def labels_of(found: Tagged) -> dict[str, list[str]]:
    return {found.names[key][0]: [one.label for one in tags] for key, tags in found.tags.items()}


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


class TestTag:
    def test_each_item_gets_its_colour_and_the_grey_one_none(self, shop: Shop) -> None:
        found = shop.tag(min_confidence=0.05, top=1)
        assert found == {name: [name] for name in NAMES}

    def test_labels_that_fit_nothing_are_given_to_nobody(self, shop: Shop) -> None:
        assert shop.tag("steam locomotive", "volcano", min_confidence=0.05) == {}

    def test_most_confident_first_and_no_more_than_asked_for(self, shop: Shop) -> None:
        fill(shop.pictures / "noise", shop.items, NoiseEncoder())
        found = tag(shop.pictures / "noise", NoiseEncoder(), NAMES, min_confidence=0, top=3)
        assert len(found.tags) == found.items == len(shop.items)
        for tags in found.tags.values():
            confidences = [one.confidence for one in tags]
            assert len(tags) == 3
            assert confidences == sorted(confidences, reverse=True)
            assert sum(confidences) <= 1

    def test_a_higher_threshold_gives_fewer(self, shop: Shop) -> None:
        fill(shop.pictures / "noise", shop.items, NoiseEncoder())
        steps = (0, 0.001, 0.01, 0.1, 0.5)
        found = [tag(shop.pictures / "noise", NoiseEncoder(), NAMES, min_confidence=least) for least in steps]
        numbers = [sum(map(len, one.tags.values())) for one in found]
        assert numbers == sorted(numbers, reverse=True)
        assert numbers[0] == 3 * len(shop.items) > numbers[-1]

    def test_an_item_counts_with_the_best_of_its_photos(self, shop: Shop) -> None:
        shop.items.append(shop.item("both", "red", "blue"))
        shop.fill()
        assert set(shop.tag(min_confidence=0.05, top=2)["both"]) == {"red", "blue"}

    def test_items_without_photos_are_not_counted(self, shop: Shop) -> None:
        shop.items.append(SourceItem("bare", "red", ()))
        shop.fill()
        found = tag(shop.folder, shop.encoder, NAMES, min_confidence=0)
        assert found.items == len(shop.items) - 1

    def test_an_empty_collection(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", [], ColourEncoder())
        assert tag(tmp_path / "c", ColourEncoder(), NAMES).tags == {}

    @pytest.mark.parametrize(
        "options",
        [
            {"field": "Tags"},
            {"field": ""},
            {"field": "title"},
            {"field": "photos"},
            {"field": "item_id"},
            {"field": "and"},
            {"field": "null"},
            {"field": "a b"},
            {"field": "x" * 65},
            {"min_confidence": 1.1},
            {"min_confidence": float("nan")},
            {"top": 0},
        ],
        ids=str,
    )
    def test_what_cannot_be_is_refused(self, shop: Shop, options: dict[str, Any]) -> None:
        with pytest.raises(QueryError):
            shop.tag(**options)

    def test_another_encoder_is_refused(self, shop: Shop) -> None:
        with pytest.raises(FingerprintMismatch):
            tag(shop.folder, NoiseEncoder(), NAMES)

    def test_no_collection(self, tmp_path: Path) -> None:
        for store in (False, True):
            with pytest.raises(CollectionNotFound):
                tag(tmp_path / "none", ColourEncoder(), NAMES, store=store)


class TestStored:
    def test_hits_carry_them_as_an_attribute(self, shop: Shop) -> None:
        shop.tag(field="colour", min_confidence=0.05, top=1, store=True)
        found = shop.attributes()
        assert found["red"] == {"price": 5, "colour": ["red"]}
        assert found["grey"] == {"price": 5}

    def test_a_filter_sees_them(self, shop: Shop) -> None:
        shop.tag(field="colour", min_confidence=0.05, top=1, store=True)
        with Searcher.open(shop.folder, shop.encoder) as searcher:
            hits = searcher.search("red", filter='colour = "blue" or colour = "cyan"', k=9).hits
        assert {hit.item_id for hit in hits} == {"blue", "cyan"}

    def test_without_store_nothing_is_kept(self, shop: Shop) -> None:
        shop.tag(min_confidence=0)
        assert shop.stored() == []

    def test_again_replaces_that_field_alone(self, shop: Shop) -> None:
        shop.tag("red", field="first", min_confidence=0.05, store=True)
        shop.tag("blue", field="second", min_confidence=0.05, store=True)
        shop.tag("green", field="first", min_confidence=0.05, top=1, store=True)
        assert set(shop.stored()) == {("second", "blue"), ("first", "green")}

    def test_an_open_collection_sees_a_new_revision(self, shop: Shop) -> None:
        with Collection.open(shop.folder) as opened:
            before = opened.view().revision
            shop.tag(min_confidence=0.05, store=True)
            assert opened.view().revision > before

    def test_an_index_run_over_unchanged_items_keeps_them(self, shop: Shop) -> None:
        shop.tag(min_confidence=0.05, top=1, store=True)
        kept = shop.stored()
        shop.items[0] = shop.item("red", title="red as it was")  # the row changed, the photo did not
        shop.fill()
        assert shop.stored() == kept
        assert shop.attributes()["red"]["tags"] == ["red"]

    def test_they_go_with_the_item_and_with_its_photo(self, shop: Shop) -> None:
        shop.tag(min_confidence=0.05, top=1, store=True)
        del shop.items[0]
        Image.new("RGB", (16, 16), COLOURS["white"]).save(shop.pictures / "green-green.png")
        shop.fill()
        assert {label for _, label in shop.stored()} == set(NAMES) - {"red", "green"}

    def test_a_field_can_be_removed(self, shop: Shop) -> None:
        shop.tag(field="a", min_confidence=0.05, top=1, store=True)
        shop.tag(field="b", min_confidence=0.05, top=1, store=True)
        assert remove_tags(shop.folder, "a") == len(NAMES)
        assert {name for name, _ in shop.stored()} == {"b"}
        with pytest.raises(QueryError) as raised:
            remove_tags(shop.folder, "a")
        assert "b" in raised.value.hint

    def test_the_catalogues_own_attribute_is_not_hidden(self, shop: Shop) -> None:
        with pytest.raises(QueryError, match="price"):
            shop.tag(field="price", store=True)
        assert shop.stored() == []

    def test_the_catalogues_own_texts_are_not_hidden(self, shop: Shop) -> None:
        shop.items[0] = replace(shop.items[0], texts={"description": "a polo"})
        shop.fill()
        with pytest.raises(QueryError, match="text field 'description'") as raised:
            shop.tag(field="description", store=True)
        assert "description_seen" in raised.value.hint
        assert shop.stored() == []

    @pytest.mark.parametrize("given", [{"attributes": {"look": "fine"}}, {"texts": {"look": "fine"}}], ids=str)
    def test_a_catalogue_that_gets_a_field_of_that_name_wins(self, shop: Shop, given: dict[str, Any]) -> None:
        for field in ("look", "other"):
            shop.tag(field=field, min_confidence=0.05, top=1, store=True)
        with Searcher.open(shop.folder, shop.encoder) as searcher:
            assert len(searcher.search("red", filter='look = "red"').hits) == 1
            shop.items[-1] = replace(shop.items[-1], **given)  # one item's row is enough
            shop.fill()
            assert searcher.search("red", filter='look = "red"').hits == ()
            assert [hit.item_id for hit in searcher.search("red", filter='look = "fine"').hits] == ["grey"]
        assert {field for field, _ in shop.stored()} == {"other"}
        assert shop.attributes()["red"].keys() & {"look", "other"} == {"other"}

    @pytest.mark.parametrize("nothing", [None, "", [], float("nan")], ids=str)
    def test_a_column_without_a_value_takes_no_name(self, shop: Shop, nothing: Any) -> None:
        shop.tag(field="look", min_confidence=0.05, top=1, store=True)
        shop.items[0] = replace(shop.items[0], attributes={"price": 6, "look": nothing})
        shop.fill()
        assert {field for field, _ in shop.stored()} == {"look"}

    def test_only_one_writes(self, shop: Shop) -> None:
        with writer_lock(shop.folder), pytest.raises(CollectionLocked):
            shop.tag(store=True)


class TestColumns:
    """Filters and facets see labels as a list of text, in a table read anew and in one that follows the changes."""

    def values(self, opened: Collection) -> dict[str, Any]:
        _, table = opened.view_with_items(["colour", "price", "item_id"])
        column, names = table.column("colour"), table.column("item_id")
        assert names is not None
        found = column.tolist() if column else [None] * len(table)
        return dict(zip(names.tolist(), found, strict=True))

    def check(self, shop: Shop, opened: Collection, expected: dict[str, Any]) -> None:
        with Collection.open(shop.folder) as fresh:
            assert self.values(opened) == self.values(fresh) == {item.item_id: None for item in shop.items} | expected
            kinds = [one.view_with_items()[1].fields().get("colour") for one in (opened, fresh)]
        assert kinds == ["list" if expected else None] * 2

    def test_they_follow_every_change(self, shop: Shop) -> None:
        options: dict[str, Any] = {"field": "colour", "min_confidence": 0.05, "top": 1, "store": True}
        with Collection.open(shop.folder) as opened:
            self.check(shop, opened, {})
            shop.tag(**options)
            self.check(shop, opened, {name: [name] for name in NAMES})
            shop.tag("red", "blue", **options)
            two = {"red": ["red"], "blue": ["blue"]}
            assert self.values(opened).items() >= two.items()
            Image.new("RGB", (16, 16), GREY).save(shop.pictures / "red-red.png")
            shop.fill()
            assert self.values(opened)["red"] is None
            assert self.values(opened)["blue"] == ["blue"]
            shop.tag("red", "blue", **options)
            remove_tags(shop.folder, "colour")
            self.check(shop, opened, {})

    def test_several_labels_stand_most_confident_first(self, shop: Shop) -> None:
        fill(shop.pictures / "noise", shop.items, NoiseEncoder())
        found = tag(shop.pictures / "noise", NoiseEncoder(), NAMES, field="colour", min_confidence=0, store=True)
        with Collection.open(shop.pictures / "noise") as opened:
            assert self.values(opened) == labels_of(found)


class TestCommand:
    @pytest.fixture
    def run(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
        monkeypatch.setattr(retrieval.encoders, "load_encoder", lambda *_, **__: ColourEncoder())
        return runner(monkeypatch, capsys)

    @pytest.fixture
    def labels(self, tmp_path: Path) -> Path:
        path = tmp_path / "labels.txt"
        path.write_text("# colours\n" + "\n".join(NAMES))
        return path

    def options(self, shop: Shop, labels: Path) -> tuple[Any, ...]:
        return ("tag", "--labels", labels, "--collection", shop.folder, "--min-confidence", 0.05, "--top", 1)

    def test_piped_it_prints_item_label_confidence(self, shop: Shop, labels: Path, run: Run) -> None:
        code, out, err = run(*self.options(shop, labels))
        rows = [line.split("\t") for line in out.splitlines()]
        assert code == 0
        assert [row[:2] for row in rows] == [[name, name] for name in NAMES]
        assert all(0.05 <= float(row[2]) <= 1 for row in rows)
        assert "7 items got labels, 1 fit none" in err

    def test_json(self, shop: Shop, labels: Path, run: Run) -> None:
        code, out, _ = run(*self.options(shop, labels), "--json", "--store", "--field", "colour")
        found = json.loads(out)
        assert code == 0
        assert (found["field"], found["stored"], found["without"]) == ("colour", True, 1)
        assert found["items"][0]["item_id"] == "red"
        assert found["items"][0]["tags"][0]["label"] == "red"
        assert shop.attributes()["red"]["colour"] == ["red"]

    def test_remove(self, shop: Shop, labels: Path, run: Run) -> None:
        run(*self.options(shop, labels), "--store")
        code, out, _ = run("tag", "--remove", "--collection", shop.folder, "--json")
        assert code == 0
        assert json.loads(out) == {"field": "tags", "removed_from": 7}
        code, _, err = run("tag", "--remove", "--collection", shop.folder)
        assert code == 2
        assert "no item has tags" in err

    def test_wrong_usage(self, shop: Shop, labels: Path, run: Run) -> None:
        assert run("tag", "--collection", shop.folder)[0] == 2
        assert run(*self.options(shop, labels), "--remove")[0] == 2
        assert run(*self.options(shop, labels), "--field", "No!")[0] == 2
        assert run("tag", "--labels", labels.parent / "none", "--collection", shop.folder)[0] == 1
