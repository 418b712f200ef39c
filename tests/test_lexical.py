"""The lexical leg on real database files: what is found, in which order, and that it follows every change."""

import math
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text

from indexer.forget import forget
from indexer.pipeline import index_sources
from indexer.sources.base import SourceItem
from indexer.sources.folder import FolderSource
from retrieval.catalogue import lexical, versions
from retrieval.catalogue.engine import DATABASE, reading_engine, writing_engine
from retrieval.catalogue.lexical import Postings, lexical_matches
from retrieval.catalogue.schema import items, texts
from retrieval.catalogue.versions import upgrade
from retrieval.index.base import IdMask
from retrieval.lexical import Term, phrase, terms
from tests.listed import ListSource, NoiseEncoder, fill, paint, worded


@contextmanager
def reading(folder: Path) -> Iterator[Connection]:
    engine = reading_engine(folder)
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    finally:
        engine.dispose()


def found(folder: Path, query: str | Sequence[Term], limit: int | None = None) -> list[str]:
    """Ids of the items, best first."""
    with reading(folder) as connection:
        ids = {row.id: row.item_id for row in connection.execute(text("SELECT id, item_id FROM items"))}
        asked = terms(query) if isinstance(query, str) else query
        return [ids[key] for key in lexical_matches(connection, asked, limit).keys.tolist()]


def rows(folder: Path) -> list[tuple[int, str, str]]:
    with reading(folder) as connection:
        return [tuple(row) for row in connection.execute(text("SELECT rowid, title, body FROM lexical ORDER BY rowid"))]


def item(item_id: str, title: str = "", **others: str) -> SourceItem:
    return SourceItem(item_id=item_id, title=title, photos=(), texts=others)


SHOP = [
    item("dress", "Red summer dress", description="Made of cotton"),
    item("shirt", "Men's T-shirt", description="A red shirt for the summer, cotton"),
    item("chair", "Fåtölj POÄNG", description="Armchair with a cushion"),
    item("zh-dress", "红色连衣裙"),
    item("zh-cat", "黑猫"),
    item("ja", "赤いドレス"),
    item("th", "เสื้อสีแดง"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    fill(folder, SHOP)
    return folder


class TestWhatIsFound:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("dresses", ["dress"]),
            ("tshirt", ["shirt"]),
            ("t-shirts", ["shirt"]),
            ("man", ["shirt"]),
            ("fatolj", ["chair"]),
            ("FÅTÖLJ", ["chair"]),
            ("cushions", ["chair"]),
            ("连衣", ["zh-dress"]),
            ("红色裙子", ["zh-dress"]),
            ("猫", ["zh-cat"]),
            ("黑", ["zh-cat"]),
            ("ドレス", ["ja"]),
            ("สีแดง", ["th"]),
            ("sofa", []),
            ("the", ["shirt"]),
            ("!?", []),
            ("", []),
        ],
    )
    def test_by_words(self, shop: Path, query: str, expected: list[str]) -> None:
        assert found(shop, query) == expected

    def test_a_word_of_the_title_counts_more(self, shop: Path) -> None:
        assert found(shop, "red") == ["dress", "shirt"]
        assert found(shop, "summer shirt") == ["shirt", "dress"]

    @pytest.mark.parametrize(
        "query",
        [
            'dress" OR "shirt',
            "dress AND NOT shirt",
            "NEAR(dress chair, 2)",
            "title : dress",
            "{title body} : dress",
            "^dress*",
            "dre*",
            '"',
            "'; DROP TABLE lexical; --",
            "a\0b dress\0",
            "\ud83d dress \udc00",
            "-dress + (dress",
            "dress " * 333,
            "ab" * 1_000,
            " ".join(f"w{number}" for number in range(400)),
            "dress\\",
            "😀 dress",
        ],
    )
    def test_no_syntax_of_the_database_is_heard(self, shop: Path, query: str) -> None:
        assert set(found(shop, query)) == {name for name in ("dress", "shirt") if name in query}

    def test_alternatives_count_as_one_word(self, shop: Path) -> None:
        either = Term((phrase("armchair"), phrase("summer dress")))
        with reading(shop) as connection:
            matches = lexical_matches(connection, [either])
        assert found(shop, [either]) == ["dress", "chair"]
        n, total = 2, len(SHOP)
        assert matches.scores.max() <= 2.2 * math.log1p((total - n + 0.5) / (n + 0.5)), (
            "no rarer than they are together"
        )

    def test_a_phrase_is_words_in_order(self, shop: Path) -> None:
        assert found(shop, [Term((phrase("dress summer"),))]) == []

    def test_weights(self, shop: Path) -> None:
        assert found(shop, [*terms("red", 0.1), *terms("cushion", 1.0)]) == ["chair", "dress", "shirt"]
        assert found(shop, [*terms("red"), *terms("dress", -1.0)]) == ["shirt"]
        assert found(shop, terms("dress", -1.0)) == []
        assert found(shop, [*terms("red"), *terms("nowhere", -1.0)]) == ["dress", "shirt"]

    def test_a_filter_is_applied_before_the_limit(self, shop: Path) -> None:
        with reading(shop) as connection:
            everything = lexical_matches(connection, terms("red cotton shirt"))
            for key in everything.keys.tolist():
                allowed = np.zeros(len(SHOP) + 1, dtype=np.bool_)
                allowed[key] = True
                assert lexical_matches(connection, terms("red cotton shirt"), 1, IdMask(allowed)).keys.tolist() == [key]
            nothing = IdMask(np.zeros(0, dtype=np.bool_))
            assert len(lexical_matches(connection, terms("red"), 5, nothing).keys) == 0


def test_scores_are_bm25(tmp_path: Path) -> None:
    """Okapi BM25 written out, with weighted frequencies (Robertson, Zaragoza and Taylor 2004)."""
    shop = [
        item("a", "red dress red", d="long dress"),
        item("b", "blue dress"),
        item("c", "cup", d="red"),
        item("d", "x"),
    ]
    fill(tmp_path, shop)
    documents = [(one.title.split(), " ".join(one.texts.values()).split()) for one in shop]
    average = sum(len(title) + len(body) for title, body in documents) / len(documents)
    expected = []
    for title, body in documents:
        score = 0.0
        for word in ("red", "dress"):
            n = sum(word in one + other for one, other in documents)
            frequency = lexical.TITLE_WEIGHT * title.count(word) + body.count(word)
            length = 1 - 0.75 + 0.75 * (len(title) + len(body)) / average
            score += math.log1p((4 - n + 0.5) / (n + 0.5)) * frequency * 2.2 / (frequency + 1.2 * length)
        expected.append(score)
    with reading(tmp_path) as connection:
        matches = lexical_matches(connection, terms("red dress"))
    order = np.argsort(-np.array(expected), kind="stable")[:3]
    assert matches.keys.tolist() == (order + 1).tolist()
    assert matches.scores == pytest.approx(np.array(expected)[order], rel=1e-5)
    assert (matches.keys.dtype, matches.scores.dtype) == (np.int64, np.float32)


def test_no_score_reaches_the_ceiling(tmp_path: Path) -> None:
    fill(tmp_path, [*worded("red " * 50, "red dress", "cup"), *worded(*map(str, range(20)))])
    with reading(tmp_path) as connection:
        red, both, unknown = (lexical_matches(connection, terms(query)) for query in ("red", "red cup", "red sofa"))
        weighted = lexical_matches(connection, terms("red", 0.5))
    assert 0.8 * red.ceiling < red.scores[0] < red.ceiling
    assert both.ceiling > red.ceiling
    assert unknown.ceiling > both.ceiling, "a word that no item has is the rarest"
    assert weighted.ceiling == pytest.approx(red.ceiling / 2)


def test_equal_scores_stand_in_the_order_of_keys_at_any_limit(tmp_path: Path) -> None:
    fill(tmp_path, [item(f"{number:02}", "red cup" if number % 3 else "cup") for number in range(40)])
    everything = found(tmp_path, "red cup")
    assert everything == sorted(everything, key=lambda name: (int(name) % 3 == 0, name))
    for limit in (1, 5, 26, 27, 39, 40, 99):
        assert found(tmp_path, "red cup", limit) == everything[:limit]


def test_words_of_most_items_are_left_out_beside_rarer_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, [*worded(*(f"cup {number}" for number in range(8))), item("plate", "plate")])
    assert len(found(tmp_path, "plate cup")) == 9
    monkeypatch.setattr(lexical, "COMMON_ROWS", 3)
    assert found(tmp_path, "plate cup") == ["plate"]
    assert len(found(tmp_path, "cup")) == 8
    assert len(found(tmp_path, "cup nowhere")) == 8


def test_the_rarest_words_of_a_pasted_text_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "MAX_TERMS", 1)
    fill(tmp_path, worded("cup red", "cup blue", "plate"))
    assert found(tmp_path, "cup plate") == ["plate"]


def statements(folder: Path, asked: Sequence[Term]) -> int:
    """How often the database is asked for one query."""
    engine = reading_engine(folder)
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    with engine.connect() as connection, connection.begin():
        assert len(lexical_matches(connection, asked).keys)
    engine.dispose()
    return len(seen)


def test_the_work_for_a_pasted_text_is_bounded(tmp_path: Path) -> None:
    fill(tmp_path, worded(" ".join(f"w{number}" for number in range(3_000)), "plate"))
    wanted = [Term(((f"w{number}",),)) for number in range(3_000)]
    unwanted = [Term(((f"w{number}",),), -0.1) for number in range(3_000)]
    synonyms = [Term(tuple((f"w{number}",) for number in range(3_000)))]
    plain = statements(tmp_path, terms("plate"))
    assert statements(tmp_path, [*terms("plate"), *unwanted[:1]]) == plain + 1
    # A phrase is counted, and looked up if its term is one of those that are.
    assert plain < statements(tmp_path, wanted) <= plain + lexical.MAX_PHRASES + lexical.MAX_TERMS
    assert statements(tmp_path, [*terms("plate"), *unwanted]) <= plain + lexical.MAX_PHRASES + lexical.MAX_TERMS
    assert statements(tmp_path, synonyms) <= plain + 2 * lexical.MAX_ALTERNATIVES
    assert statements(tmp_path, synonyms * 9) <= plain + 2 * lexical.MAX_ALTERNATIVES, "the same phrases"


def test_the_first_words_of_a_pasted_text_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, worded("cup", "plate", "bowl"))
    monkeypatch.setattr(lexical, "MAX_PHRASES", 2)
    assert found(tmp_path, "cup cup plate bowl") == ["cup", "plate"]
    assert found(tmp_path, [*terms("cup plate"), *terms("bowl cup plate", -9)]) == ["plate"]
    monkeypatch.setattr(lexical, "MAX_ALTERNATIVES", 2)
    assert found(tmp_path, [Term((("cup",), ("plate",), ("bowl",)))]) == ["cup", "plate"]


class TestChanges:
    def test_a_new_item_is_found_at_once(self, tmp_path: Path) -> None:
        fill(tmp_path, [item("a", "red")])
        fill(tmp_path, [item("a", "red"), item("b", "red")])
        assert found(tmp_path, "red") == ["a", "b"]

    def test_a_changed_title_or_text(self, tmp_path: Path) -> None:
        fill(tmp_path, [item("a", "red", description="cotton"), item("b", "cup")])
        fill(tmp_path, [item("a", "blue", description="cotton"), item("b", "cup")])
        assert (found(tmp_path, "red"), found(tmp_path, "blue cotton")) == ([], ["a"])
        fill(tmp_path, [item("a", "blue", description="silk"), item("b", "cup")])
        assert (found(tmp_path, "cotton"), found(tmp_path, "silk")) == ([], ["a"])
        fill(tmp_path, [item("a", "blue"), item("b", "cup")])
        assert found(tmp_path, "silk") == []

    def test_a_removed_item(self, tmp_path: Path) -> None:
        fill(tmp_path, [item("a", "red"), item("b", "red")])
        fill(tmp_path, [item("b", "red")])
        assert found(tmp_path, "red") == ["b"]
        assert [row[1] for row in rows(tmp_path)] == ["red"]

    def test_a_forgotten_source(self, tmp_path: Path) -> None:
        fill(tmp_path, [item("a", "red")])
        forget(tmp_path, ListSource().location)
        assert (found(tmp_path, "red"), rows(tmp_path)) == ([], [])

    def test_a_renamed_photo_of_a_folder(self, tmp_path: Path) -> None:
        photos, collection = tmp_path / "photos", tmp_path / "collection"
        photos.mkdir()
        old = paint(photos / "red_cup.png", (255, 0, 0))
        index_sources(collection, [FolderSource(photos)], NoiseEncoder())
        assert found(collection, "cup") == ["red_cup.png"]
        old.rename(photos / "blue_plate.png")
        index_sources(collection, [FolderSource(photos)], NoiseEncoder())
        assert (found(collection, "cup"), found(collection, "plate")) == ([], ["blue_plate.png"])
        assert len(rows(collection)) == 1

    def test_a_transaction_that_fails_leaves_the_words(self, tmp_path: Path) -> None:
        fill(tmp_path, [item("a", "red")])
        engine = writing_engine(tmp_path / DATABASE)
        with pytest.raises(RuntimeError, match="stop"), engine.begin() as connection:
            lexical.remove(connection, [1])
            lexical.add(connection, [lexical.row(2, "blue", ())])
            raise RuntimeError("stop")
        engine.dispose()
        assert (found(tmp_path, "red"), found(tmp_path, "blue")) == (["a"], [])

    def test_nothing_is_written_when_nothing_changed(self, tmp_path: Path) -> None:
        fill(tmp_path, SHOP)
        before = (tmp_path / DATABASE).read_bytes()
        fill(tmp_path, SHOP)
        assert (tmp_path / DATABASE).read_bytes() == before

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["red", "blue cup", ""])), max_size=4))
    def test_after_any_history_the_rows_are_those_of_a_fresh_table(
        self, tmp_path_factory: pytest.TempPathFactory, history: list[dict[str, str]]
    ) -> None:
        folder = tmp_path_factory.mktemp("history")
        fill(folder, [])
        for state in history:
            fill(folder, [item(name, title, note=f"note {title}") for name, title in state.items()])
        written = rows(folder)
        engine = writing_engine(folder / DATABASE)
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM lexical"))
            lexical.fill(connection, batch=2)
        engine.dispose()
        assert rows(folder) == written


def test_a_database_of_before_is_filled(tmp_path: Path) -> None:
    """One made by the first release's schema, with its rows, then opened by this program's writer."""
    engine = writing_engine(tmp_path / DATABASE)
    config = Config()
    config.set_main_option("script_location", str(Path(versions.__file__).parent / "migrations"))
    row = {"source_id": 1, "attributes": {}, "row_hash": ""}
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("INSERT INTO sources (id, kind, location) VALUES (1, 'table', 'x')"))
        titles = {1: "Red dress", 2: "", 5: "Sofa"}
        connection.execute(
            items.insert(), [{"id": key, "item_id": str(key), "title": title, **row} for key, title in titles.items()]
        )
        contents = [
            (1, "title", "Red dress"),
            (5, "description", "Three seats"),
            (1, "description", "Cotton"),
            (2, "note", "猫"),
        ]
        connection.execute(
            texts.insert(), [{"item": key, "field": name, "content": content} for key, name, content in contents]
        )
        assert not connection.dialect.has_table(connection, "lexical")
    upgrade(engine, tmp_path)
    engine.dispose()
    assert rows(tmp_path) == [(1, "red dress", "cotton"), (2, "", "猫"), (5, "sofa", "three seats")]
    assert sorted(found(tmp_path, "dresses seat")) == ["1", "5"]


class TestRemembering:
    def test_answers_are_those_without_and_a_change_is_seen(self, tmp_path: Path) -> None:
        postings = Postings()
        query = [Term((phrase("red"), phrase("blue"))), *terms("cup")]
        for titles in (["red cup", "blue"], ["red cup", "blue", "cup"], ["cup"]):
            fill(tmp_path, worded(*titles))
            for _ in range(2):
                with reading(tmp_path) as connection:
                    plain = lexical_matches(connection, query)
                    remembered = lexical_matches(connection, query, postings=postings)
                assert remembered.keys.tolist() == plain.keys.tolist()
                assert remembered.scores.tolist() == plain.scores.tolist()

    def test_nothing_is_asked_of_the_database_twice(self, tmp_path: Path) -> None:
        fill(tmp_path, worded("red cup", "red", "blue"))
        postings = Postings()
        with reading(tmp_path) as connection:
            before = lexical_matches(connection, terms("red nowhere"), postings=postings)
        engine = writing_engine(tmp_path / DATABASE)
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM lexical"))  # behind the revision's back
            again = lexical_matches(connection, terms("red nowhere"), postings=postings)
        engine.dispose()
        assert again.keys.tolist() == before.keys.tolist()

    def test_an_older_snapshot_does_not_hide_a_newer_one(self) -> None:
        postings = Postings()
        newer = lexical.Matches(np.array([1, 2]), np.ones(2, dtype=np.float32))
        postings.put(2, ("red",), newer)
        postings.put(1, ("red",), lexical.Matches(np.array([1]), np.ones(1, dtype=np.float32)))
        assert postings.get(2, ("red",)) is newer
        assert postings.get(1, ("red",)) is None

    def test_the_least_recently_used_is_forgotten(self) -> None:
        def of(rows: int) -> lexical.Matches:
            return lexical.Matches(np.arange(rows), np.ones(rows, dtype=np.float32))

        postings = Postings(capacity=2 * (lexical.ENTRY_ROWS + 4) + 2)
        for word in ("a", "b"):
            postings.put(1, (word,), of(4))
        postings.get(1, ("a",))
        postings.put(1, ("c",), of(4))
        assert [postings.get(1, (word,)) is not None for word in "abc"] == [True, False, True]
        postings.put(1, ("d",), of(lexical.ENTRY_ROWS + 11))
        assert postings.get(1, ("d",)) is None
        assert postings.get(1, ("a",)) is not None

    @pytest.mark.parametrize("rows", [None, 0, 10, 1_000])
    def test_it_takes_no_more_memory_than_its_capacity(self, rows: int | None) -> None:
        capacity = 50_000
        postings = Postings(capacity)
        tracemalloc.start()
        try:
            for number in range(2 * capacity // (1 if rows is None else lexical.ENTRY_ROWS + rows)):
                if rows is None:
                    postings.put(1, ("#", f"word {number}"), 1_000 + number)
                else:
                    found = lexical.Matches(np.zeros(rows, np.int64), np.ones(rows, np.float32))
                    postings.put(1, (f"word {number}",), found)
            held = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert held < 1.2 * 12 * capacity, "12 bytes a row; dictionaries grow in steps"
