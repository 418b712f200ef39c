"""A table of all items that is refreshed is the one that would be loaded, whatever the writer did in between."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, insert, select, text

from indexer import compaction
from indexer.forget import forget
from indexer.pipeline import index_sources
from indexer.sources.base import SourceItem
from indexer.writer import open_writer
from retrieval.catalogue import attribute_reader, item_queries, versions
from retrieval.catalogue.engine import DATABASE, reading_engine, writing_engine
from retrieval.catalogue.queries import MODALITIES
from retrieval.catalogue.schema import item_tags, items, photos, tombstones
from retrieval.collection import Collection
from retrieval.errors import CollectionChanged, CollectionDamaged, FilterError
from retrieval.filters.check import known
from retrieval.items import ItemTable
from retrieval.items import table as items_module
from retrieval.items.builder import typed
from retrieval.items.columns import Column
from tests.listed import ListSource, NoiseEncoder, compacted, fill, paint, worded

FIELDS = ("item_id", "title", "description", "price", "stock", "brand", "tags", "odd", "none", "photos", "made in")


def product(name: str, *photo_paths: Path, texts: Mapping[str, str] | None = None, **attributes: Any) -> SourceItem:
    return SourceItem(name, f"title of {name}", photo_paths, texts or {}, attributes)


def values(table: ItemTable, name: str) -> list[Any]:
    column = table.column(name)
    return [None] * len(table) if column is None else column.tolist()


def contents(table: ItemTable) -> dict[str, Any]:
    """All that a table says, as Python values."""
    return {
        "keys": table.keys.tolist(),
        "fields": table.fields(),
        "kinds": {name: column.kind for name in FIELDS if (column := table.column(name)) is not None},
        **{name: values(table, name) for name in FIELDS},
        **{
            modality: {i: int(p) for i, p in enumerate(table.items_of(modality, np.arange(400))) if p >= 0}
            for modality in MODALITIES
        },
    }


def collection_column(folder: Path, name: str) -> Column | None:
    """One column, read alone."""
    with Collection.open(folder) as fresh:
        return fresh.view_with_items()[1].column(name)


def loaded(folder: Path) -> dict[str, Any]:
    with Collection.open(folder) as fresh:
        return contents(fresh.view_with_items()[1])


def truth(folder: Path) -> dict[str, Any]:
    """The slow way: one row of the database after the other."""
    engine = reading_engine(folder)
    with engine.connect() as connection:
        rows = connection.execute(select(items).order_by(items.c.id)).all()
        count = {
            row.id: len(connection.execute(select(photos.c.id).where(photos.c.item == row.id)).all()) for row in rows
        }
    engine.dispose()
    return {
        "keys": [row.id for row in rows],
        "item_id": [row.item_id for row in rows],
        "title": [row.title or None for row in rows],
        "price": [row.attributes.get("price") for row in rows],
        "photos": [count[row.id] for row in rows],
    }


def check_message(name: str, table: ItemTable) -> str | None:
    """What is said of a field that no item has."""
    with pytest.raises(FilterError) as refused:
        known(name, table)
    return refused.value.hint


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("items")
    one, two = paint(folder / "1.png", (1, 2, 3)), paint(folder / "2.png", (4, 5, 6))
    made = [
        product("A", one, two, texts={"description": "worn once"}, price=5, tags=["x", "y"], odd="S"),
        product("B", price=7.5, stock=True, tags="y", odd=42, **{"made in": "Łódź"}),
        product("C", brand="", tags=[], price=None, odd=True),
    ]
    fill(folder / "c", made)
    return folder / "c"


class TestLoading:
    @pytest.fixture
    def table(self, three: Path) -> Iterator[ItemTable]:
        with Collection.open(three) as collection:
            yield collection.view_with_items()[1]

    @pytest.mark.parametrize(
        ("name", "kind", "expected"),
        [
            ("item_id", "text", ["A", "B", "C"]),
            ("title", "text", ["title of A", "title of B", "title of C"]),
            ("description", "text", ["worn once", None, None]),
            ("price", "number", [5.0, 7.5, None]),
            ("stock", "boolean", [None, True, None]),
            ("tags", "list", [["x", "y"], ["y"], None]),
            ("odd", "text", ["S", "42", "true"]),
            ("made in", "text", [None, "Łódź", None]),
            ("photos", "number", [2.0, 0.0, 0.0]),
        ],
    )
    def test_values_and_types(self, table: ItemTable, name: str, kind: str, expected: list[Any]) -> None:
        column = table.column(name)
        assert column is not None
        assert (column.kind, column.tolist()) == (kind, expected)
        assert column.present.tolist() == [value is not None for value in expected]
        assert table.fields()[name] == kind

    def test_a_field_that_no_item_has(self, table: ItemTable) -> None:
        assert table.column("brand") is None
        assert table.column("no such field") is None
        assert table.fields().keys() == {*FIELDS} - {"none", "brand"}

    def test_once_all_fields_are_known_nothing_is_read_for_another(
        self, table: ItemTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert check_message("prise", table) == "did you mean price?"
        monkeypatch.setattr(item_queries, "item_values", None)
        monkeypatch.setattr(item_queries, "attribute_lines", None)
        assert check_message("stok", table) == "did you mean stock?"
        with pytest.raises(TypeError):
            table.column("price")

    def test_columns_are_read_while_all_fields_are_looked_for(
        self, table: ItemTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        began, may_end = Event(), Event()
        real = item_queries.attribute_lines

        def slow(connection: Connection) -> Iterator[str]:
            began.set()
            assert may_end.wait(20)
            yield from real(connection)

        monkeypatch.setattr(item_queries, "attribute_lines", slow)
        with ThreadPoolExecutor(2) as pool:
            fields = pool.submit(table.fields)
            assert began.wait(20)
            try:
                assert pool.submit(values, table, "price").result(timeout=20) == [5.0, 7.5, None]
            finally:
                may_end.set()
            assert fields.result(timeout=20)["price"] == "number"

    def test_a_name_that_stands_nowhere_is_not_parsed_for(
        self, table: ItemTable, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attribute_reader, "parsed", None)
        assert table.column("prise") is None
        with pytest.raises(TypeError):
            table.column("price")

    @pytest.mark.parametrize("name", ["Łódź", 'a "b"', "a\\b", "a\nb", "\0", "\ud800", "🙂", "", "é\u2028"])
    @pytest.mark.parametrize("block", [1, 2, 5000])
    def test_names_of_any_characters(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, block: int
    ) -> None:
        fill(tmp_path, [product("a", **{name: 1}), product("b", price=2), product("c", **{name: 3}, price=name)])
        monkeypatch.setattr(item_queries, "BLOCK", block)
        with Collection.open(tmp_path) as collection:
            _, table = collection.view_with_items([name, "price", "nowhere"])
            assert values(table, name) == [1.0, None, 3.0]
            assert table.column("nowhere") is None
            assert table.fields()[name] == "number"

    def test_owners_and_masks(self, table: ItemTable) -> None:
        assert table.items_of("image", np.array([1, 2, 3, -1, 999])).tolist() == [0, 0, -1, -1, -1]
        photo_mask = table.mask("image", np.array([True, False, False]))
        assert photo_mask.permits(np.array([0, 1, 2, 3])).tolist() == [False, True, True, False]
        assert not table.mask("image", np.array([False, True, True])).allowed.any()
        texts = np.arange(1, len(table.text_items))
        assert sorted(table.items_of("text", texts).tolist()) == [0, 0, 1, 2], "three titles, one description"
        assert table.mask("text", np.array([True, False, False])).allowed.sum() == 2

    def test_columns_named_beforehand_are_read_in_one_pass(self, three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        passes = []
        real = item_queries.item_values
        monkeypatch.setattr(item_queries, "item_values", lambda *a: passes.append(a[1]) or real(*a))
        with Collection.open(three) as collection:
            _, table = collection.view_with_items(["price", "tags"])
            assert passes == [["price", "tags"]]
            assert values(table, "price") == [5.0, 7.5, None]
            assert collection.view_with_items(["tags"])[1] is table
            assert passes == [["price", "tags"]]

    @pytest.mark.parametrize("block", [1, 2, 3, 5])
    def test_types_that_change_from_block_to_block(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
    ) -> None:
        given = {
            "number": [1, 2.5, None, -3, 10**15, 0],
            "boolean": [True, None, False, None, True, False],
            "text": ["a", "", None, "ß", "\ud800", "a\u2028b\x00c"],
            "list": [["a", "b", "a"], None, [], ["", None, "c"], "d", ["e"]],
            "then text": [1, 2, 3, 4, "x", 5],
            "then list": ["a", "b", "c", "d", ["e"], None],
            "then mixed": [True, True, True, 1, "x", [2]],
            "late": [None, None, None, None, 1, 2],
            "odd numbers": [1, math.nan, 10**30, -0.0, 1e300, None],
            "objects": [{"a": 1}, None, "x", None, None, None],
        }
        made = [product(f"{n}", **{k: v[n] for k, v in given.items() if v[n] is not None or n % 2}) for n in range(6)]
        fill(tmp_path, made)
        monkeypatch.setattr(item_queries, "BLOCK", block)
        with Collection.open(tmp_path) as collection:
            _, table = collection.view_with_items(given)
            for name, expected in given.items():
                whole = typed(expected)
                for column in (table.column(name), collection_column(tmp_path, name)):
                    assert whole is not None and column is not None
                    assert (column.kind, column.tolist()) == (whole.kind, whole.tolist()), name
                    assert table.fields()[name] == column.kind

    @pytest.mark.parametrize("block", [1, 2, 5000])
    def test_titles_that_hold_any_character(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
        titles = ["plain", "a\x1fb", "", "two\nlines", "\x1f", "last"]
        made = [SourceItem(f"{n}", name, (), {"story": f"{name}!"}) for n, name in enumerate(titles)]
        fill(tmp_path, made)
        monkeypatch.setattr(item_queries, "BLOCK", block)
        with Collection.open(tmp_path) as collection:
            _, table = collection.view_with_items(["title", "story", "item_id"])
            assert values(table, "title") == [name or None for name in titles]
            assert values(table, "story") == [f"{name}!" for name in titles]
            assert values(table, "item_id") == list("012345")

    @pytest.mark.parametrize("block", [1, 2, 5000])
    def test_labels_stand_in_for_attributes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
        fill(tmp_path, [product(f"{n}", style="plain", price=n) for n in range(6)])
        given = [(2, "x", 0.2), (2, "y", 0.9), (5, "x", 0.5), (6, "z", 0.5)]
        with open_writer(tmp_path, NoiseEncoder().spec) as writer, writer.engine.begin() as connection:
            rows = [{"item": key, "field": "style", "label": label, "confidence": c} for key, label, c in given]
            connection.execute(insert(item_tags), rows)
        monkeypatch.setattr(item_queries, "BLOCK", block)
        with Collection.open(tmp_path) as collection:
            _, table = collection.view_with_items(["price", "style"])
            assert values(table, "style") == [["plain"], ["y", "x"], ["plain"], ["plain"], ["x"], ["z"]]
            assert values(table, "price") == [0, 1, 2, 3, 4, 5]

    def test_view_and_items_are_of_one_revision(self, three: Path) -> None:
        with Collection.open(three) as collection:
            view, table = collection.view_with_items()
            assert (view.revision, view.database) == (table.revision, table.database)
            assert view is collection.view()

    def test_the_plain_view_reads_no_items(self, three: Path) -> None:
        asked: list[str] = []
        with Collection.open(three) as collection:
            collection.view()
            event.listen(collection._engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
            collection.view()
        assert asked == [], "the revision is asked for past SQLAlchemy"

    def test_many_threads_share_one_table(self, three: Path) -> None:
        with Collection.open(three) as collection, ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda name: collection.view_with_items([name])[1], FIELDS * 3))
        assert len({id(table) for table in found}) == 1


class TestRefreshing:
    @pytest.mark.parametrize("seed", range(6))
    def test_a_random_history(self, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compaction, "MIN_DELTA", 25)
        monkeypatch.setattr(items_module, "REREAD_SHARE", 2.0 if seed % 2 else 0.3)
        monkeypatch.setattr(item_queries, "BLOCK", [1, 2, 3, 7, 100, 5000][seed])
        rng = random.Random(seed)
        shown = [paint(tmp_path / f"{n}.png", (n * 20, 255 - n * 20, n)) for n in range(12)]

        def drawn(name: str) -> SourceItem:
            given: dict[str, Any] = {
                "price": rng.choice([None, 1, 2.5, -3]),
                "stock": rng.choice([None, True, False]),
                "brand": rng.choice([None, "", "Acme", "Łódź", "acme"]),
                "tags": rng.choice([None, "x", ["x", "y"], [], "z"] if seed < 4 else [None, "x", "y"]),
                "made in": rng.choice(["here", "there"]),
            }
            if rng.random() < 0.1:
                given["odd"] = rng.choice(["M", 7, True, ["L"]])
            texts = {"description": f"about {rng.random()}"} if rng.random() < 0.3 else {}
            photo_paths = rng.sample(shown, rng.choice([0, 0, 1, 2]))
            return product(name, *photo_paths, texts=texts, **{k: v for k, v in given.items() if rng.random() < 0.8})

        alive = {f"item {n}": drawn(f"item {n}") for n in range(20)}
        fill(tmp_path / "c", list(alive.values()))
        with Collection.open(tmp_path / "c") as early:
            early.view_with_items(FIELDS[::2])
            for step in range(8):
                if rng.random() < 0.25:
                    compacted(tmp_path / "c")
                for name in rng.sample(sorted(alive), rng.choice([0, 1, 3])):
                    del alive[name]
                for name in rng.sample(sorted(alive), rng.choice([0, 1, 4])):
                    alive[name] = drawn(name)
                alive |= {f"new {step} {n}": drawn(f"new {step} {n}") for n in range(rng.choice([0, 1, 6]))}
                fill(tmp_path / "c", list(alive.values()))
                if rng.random() < 0.8:
                    _, table = early.view_with_items()
                    assert contents(table) == loaded(tmp_path / "c"), step
            found, slow = contents(early.view_with_items()[1]), truth(tmp_path / "c")
            assert found == loaded(tmp_path / "c")
        assert {name: found[name] for name in slow} == slow

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "c"

    def after(
        self, folder: Path, before: Sequence[SourceItem], then: Sequence[SourceItem], names: Sequence[str] = FIELDS
    ) -> tuple[ItemTable, ItemTable]:
        """The table before and after, checked to be as a fresh one."""
        fill(folder, before)
        with Collection.open(folder) as collection:
            _, old = collection.view_with_items(names)
            kept = {name: values(old, name) for name in names}
            fill(folder, then)
            _, new = collection.view_with_items()
            assert contents(new) == loaded(folder)
            assert {name: values(old, name) for name in names} == kept, "the old table is as it was"
        return old, new

    def test_what_did_not_change_is_not_read_again(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(folder, [product(f"{n}", price=n) for n in range(30)])
        read: list[int] = []
        real = item_queries.item_values

        def noted(*arguments: Any) -> Any:
            for keys, found in real(*arguments):
                read.append(len(keys))
                yield keys, found

        with Collection.open(folder) as collection:
            collection.view_with_items(["price", "title"])
            fill(folder, [product(f"{n}", price=n if n else 99) for n in range(32) if n != 7])
            monkeypatch.setattr(item_queries, "item_values", noted)
            _, table = collection.view_with_items(["price", "title"])
            assert read == [3], "one changed, two new"
            expected = [99.0, *(float(n) for n in range(1, 32) if n != 7)]
            assert values(table, "price") == expected

    def test_a_photo_that_moves_to_another_item(self, folder: Path, tmp_path: Path) -> None:
        (pictures := tmp_path / "photos").mkdir()
        one, two, third = (paint(pictures / f"{n}.png", (n, 50 * n, 9)) for n in (1, 2, 3))

        def index(*made: SourceItem) -> None:
            index_sources(folder, [ListSource(list(made), pictures, "folder")], NoiseEncoder())

        index(product("a", one), product("b", two), product("c", third))
        with Collection.open(folder) as collection:
            _, old = collection.view_with_items(FIELDS)
            assert values(old, "photos") == [1, 1, 1]
            moved = one.rename(pictures / "11.png"), two.rename(pictures / "12.png")
            index(product("d", *moved), product("c", third))
            _, new = collection.view_with_items()
            assert contents(new) == loaded(folder)
            assert dict(zip(values(new, "item_id"), values(new, "photos"), strict=True)) == {"d": 2, "b": 0, "c": 1}
            assert new.items_of("image", np.array([1, 2, 3])).tolist() == [0, 0, 2]
            assert old.items_of("image", np.array([1, 2, 3])).tolist() == [0, 1, 2]

    @pytest.mark.parametrize(
        ("before", "then", "kind", "expected"),
        [
            ([1, 2, None], [1, "L", None], "text", ["1", "L", None]),
            ([1, "L", None], [1, 2, None], "number", [1, 2, None]),
            (["a", "b", None], ["a", ["b", "c"], None], "list", [["a"], ["b", "c"], None]),
            (["a", ["b", "c"], None], ["a", "b", None], "text", ["a", "b", None]),
            (["a", ["b", "c"], ["c"]], ["d", ["b", "c"], None], "list", [["d"], ["b", "c"], None]),
            ([True, False, None], [True, None, True], "boolean", [True, None, True]),
            ([True, 1, None], [True, False, None], "boolean", [True, False, None]),
            (["a", None, None], [None, "b", None], "text", [None, "b", None]),
        ],
    )
    @pytest.mark.parametrize("share", [0.0, 2.0], ids=["read anew", "carried over"])
    def test_types_follow_the_values(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        before: list[Any],
        then: list[Any],
        kind: str,
        expected: list[Any],
        share: float,
    ) -> None:
        monkeypatch.setattr(items_module, "REREAD_SHARE", share)

        def made(given: list[Any]) -> list[SourceItem]:
            return [product(f"{n}", odd=value) for n, value in enumerate(given)]

        _, new = self.after(folder, made(before), made(then))
        column = new.column("odd")
        assert column is not None
        assert (column.kind, column.tolist()) == (kind, expected)

    def test_a_text_field_that_becomes_an_attribute(self, folder: Path) -> None:
        before = [product("a", texts={"brand": "of the text"}), product("b"), *worded("c", "d", "e", "f")]
        then = [product("a", texts={"brand": "of the text"}), product("b", brand="Acme"), *worded("c", "d", "e", "f")]
        old, new = self.after(folder, before, then)
        assert values(old, "brand")[:2] == ["of the text", None]
        assert values(new, "brand")[:2] == [None, "Acme"]

    def test_a_field_that_appears_and_disappears(self, folder: Path) -> None:
        others = worded("c", "d", "e", "f")
        old, new = self.after(folder, [product("a"), *others], [product("a", price=1), *others])
        assert (old.column("price"), values(new, "price")[0]) == (None, 1)
        old, new = self.after(folder, [product("a", price=1), *others], [product("a"), *others])
        assert new.column("price") is None

    def test_items_that_go_with_their_source(self, folder: Path, tmp_path: Path) -> None:
        first, second = (ListSource(worded(*"abc"), tmp_path / "1"), ListSource(worded(*"de"), tmp_path / "2"))
        index_sources(folder, [first, second], NoiseEncoder())
        with Collection.open(folder) as collection:
            collection.view_with_items(FIELDS)
            forget(folder, tmp_path / "1")
            _, table = collection.view_with_items()
            assert contents(table) == loaded(folder)
            assert values(table, "item_id") == ["d", "e"]

    def test_a_reader_that_slept_while_tombstones_were_dropped(self, folder: Path) -> None:
        fill(folder, worded(*"abcdef"))
        with Collection.open(folder) as collection:
            collection.view_with_items(FIELDS)
            fill(folder, worded(*"abc"))
            compacted(folder)
            compacted(folder)
            with collection._engine.connect() as connection:
                assert connection.execute(select(tombstones)).all() == []
            _, table = collection.view_with_items()
            assert contents(table) == loaded(folder)
            assert values(table, "item_id") == ["a", "b", "c"]

    def test_item_tombstones_are_dropped_with_the_others(self, folder: Path) -> None:
        fill(folder, worded(*"abcdef"))
        fill(folder, worded(*"abc"))
        with Collection.open(folder) as collection, collection._engine.connect() as connection:
            buried = connection.execute(select(tombstones.c.owner_id).where(tombstones.c.modality == "item"))
            assert sorted(buried.scalars()) == [4, 5, 6]

    def test_a_collection_made_again_gives_its_own_items(self, tmp_path: Path, folder: Path) -> None:
        fill(folder, worded("a", "b"))
        fill(other := tmp_path / "other", worded("x", "y"))
        with Collection.open(folder) as collection:
            _, old = collection.view_with_items()
            folder.rename(tmp_path / "gone")
            other.rename(folder)
            _, new = collection.view_with_items()
            assert values(new, "title") == ["x", "y"]
            with pytest.raises(CollectionChanged):
                old.column("title")

    def test_words_of_the_past_do_not_pile_up(self, folder: Path) -> None:
        fixed = worded(*(f"item {n}" for n in range(40)))
        fill(folder, [product("a", brand="0"), *fixed])
        with Collection.open(folder) as collection:
            collection.view_with_items(["brand"])
            for step in range(1, 4):
                fill(folder, [product("a", brand=f"{step}"), *fixed])
                _, table = collection.view_with_items(["brand"])
                column = table.column("brand")
                assert column is not None and column.kind == "text"
                assert column.tolist()[0] == f"{step}"
                assert len(column.words) == step + 1


class TestOneRevision:
    def test_a_column_read_late_is_never_of_a_newer_revision(self, tmp_path: Path) -> None:
        fill(tmp_path, [product("a", price=1), product("b", price=2)])
        with Collection.open(tmp_path) as collection:
            _, table = collection.view_with_items(["title"])
            fill(tmp_path, [product("a", price=1), product("b", price=3)])
            with pytest.raises(CollectionChanged, match="revision") as caught:
                table.column("price")
            assert caught.value.hint == "search again"
            assert values(table, "title") == ["title of a", "title of b"], "what was read stays"
            assert values(collection.view_with_items()[1], "price") == [1, 3]

    def test_a_column_read_late_is_fine_while_nothing_changed(self, tmp_path: Path) -> None:
        fill(tmp_path, [product("a", price=1)])
        with Collection.open(tmp_path) as collection:
            assert values(collection.view_with_items()[1], "price") == [1]

    def test_an_empty_collection(self, tmp_path: Path) -> None:
        with open_writer(tmp_path, NoiseEncoder().spec):
            pass
        with Collection.open(tmp_path) as collection:
            _, table = collection.view_with_items(FIELDS)
            assert len(table) == 0
            assert {name for name in FIELDS if table.column(name) is not None} == {"item_id", "title", "photos"}
            assert not len(table.mask("image", np.zeros(0, dtype=np.bool_)).allowed.nonzero()[0])
            fill(tmp_path, [product("a", price=1)])
            assert contents(collection.view_with_items()[1]) == loaded(tmp_path)


class TestUpgrade:
    def older(self, folder: Path) -> None:
        """Make a collection of the first schema, with two items."""
        config = Config()
        config.set_main_option("script_location", str(Path(versions.__file__).parent / "migrations"))
        spec = NoiseEncoder().spec
        rows: dict[str, list[dict[str, Any]]] = {
            "encoders": [
                {"fingerprint": spec.fingerprint, "name": spec.name, "dimension": spec.dimension, "spec": "{}"}
            ],
            "sources": [{"id": 1, "kind": "table", "location": "/catalogue.csv"}],
            "items": [
                {
                    "id": n,
                    "item_id": name,
                    "source_id": 1,
                    "title": name,
                    "attributes": f'{{"price": {n}}}',
                    "row_hash": "x",
                }
                for n, name in ((1, "a"), (2, "b"))
            ],
            "photos": [{"id": 7, "item": 2, "position": 0, "path": "/p", "content_hash": "h", "width": 1, "height": 1}],
            "texts": [{"id": 3, "item": 1, "field": "title", "content": "a"}],
            "counters": [{"name": name, "value": 9} for name in ("revision", "items", "photos", "texts")],
        }
        engine = writing_engine(folder / DATABASE)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            for table, made in rows.items():
                places = ", ".join(f":{name}" for name in made[0])
                connection.execute(text(f"INSERT INTO {table} ({', '.join(made[0])}) VALUES ({places})"), made)
        engine.dispose()

    def test_an_older_collection_is_brought_up_by_a_writer_and_named_to_a_reader(self, tmp_path: Path) -> None:
        self.older(tmp_path)
        with pytest.raises(CollectionDamaged, match="older Catalens") as caught:
            Collection.open(tmp_path)
        assert "catalens index" in caught.value.hint
        with open_writer(tmp_path, NoiseEncoder().spec) as writer, writer.engine.connect() as connection:
            assert connection.execute(select(items.c.revision)).scalars().all() == [0, 0]
            assert connection.execute(select(photos.c.revision)).scalars().all() == [0]
        with Collection.open(tmp_path) as collection:
            _, table = collection.view_with_items(FIELDS)
            assert (values(table, "title"), values(table, "price"), values(table, "photos")) == (
                ["a", "b"],
                [1, 2],
                [0, 1],
            )
            fill(tmp_path, [product("a", price=5), product("c")])
            _, table = collection.view_with_items()
            assert contents(table) == loaded(tmp_path)
            assert values(table, "price") == [5, 2, None], "b stands in no ledger, so it stays"


@pytest.mark.parametrize(
    ("given", "kind", "expected"),
    [
        ([1, 2.5, None], "number", [1, 2.5, None]),
        ([float("nan"), 3], "number", [None, 3]),
        ([10**30, -(10**400)], "number", [1e30, float("-inf")]),
        ([True, None], "boolean", [True, None]),
        (["b", "a", "", None], "text", ["b", "a", None, None]),
        (["\ud800x"], "text", ["?x"]),
        ([1, "1", 1.5, True], "text", ["1", "1", "1.5", "true"]),
        ([["a", 2, None, ""], "b", [None]], "list", [["a", "2"], ["b"], None]),
        ([{"a": 1}], "text", ['{"a": 1}']),
        ([None, "", [], float("nan")], None, None),
        ([], None, None),
    ],
)
def test_typed(given: list[Any], kind: str | None, expected: list[Any] | None) -> None:
    column = typed(given)
    if kind is None:
        assert column is None
    else:
        assert column is not None
        assert (column.kind, column.tolist()) == (kind, expected)
