"""`catalens rules` as people use it: what goes to which stream, exit codes, and a whole round from file to history."""

import json
import shutil
from pathlib import Path

import pytest

from api.cli.rules.page import write_page
from indexer.sources.base import SourceItem
from retrieval.collection import Collection
from retrieval.rules.preview import Change, Preview, QueryPreview, Seen
from retrieval.search import Searcher
from tests.command_line import Run, runner
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import fill, paint

RULES = """\
version: 1
boosts:
  - {when: colour = "green", add: 0.5, query: thing}   # spring
pins:
  - {query: red, items: [sku-blue]}
hides:
  - items: [sku-black]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One item of each colour; the title says it, and an attribute too."""
    folder = tmp_path_factory.mktemp("shop")
    items = [
        SourceItem(
            f"sku-{name}", f"A {name} thing", (paint(folder / f"{name}.png", colour),), attributes={"colour": name}
        )
        for name, colour in COLOURS.items()
    ]
    fill(folder / "collection", items, ColourEncoder())
    return folder


@pytest.fixture
def collection(shop: Path, tmp_path: Path) -> Path:
    return shutil.copytree(shop / "collection", tmp_path / "collection")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


@pytest.fixture
def run(collection: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("CATALENS_COLLECTION", str(collection))

    def load(name: str, **_: object) -> ColourEncoder:
        return ColourEncoder(name)

    monkeypatch.setattr("retrieval.encoders.load_encoder", load)
    monkeypatch.setattr("retrieval.search.load_encoder", load)
    return runner(monkeypatch, capsys)


def test_a_whole_round(run: Run, file: Path, collection: Path) -> None:
    assert run("rules", "show") == (0, "", "The collection has no rules. Write some and: catalens rules apply FILE\n")
    assert run("rules", "check", file) == (0, "", f"{file}: 1 boost, 1 pin, 1 hide; no doubts\n")
    code, out, err = run("rules", "apply", file, "--note", "spring")
    assert (code, out) == (0, "")
    assert err == "catalens rules: version 1 holds now (1 boost, 1 pin, 1 hide)\n"
    code, out, err = run("rules", "show")
    assert (code, out) == (0, RULES)
    assert err.startswith("version 1, applied 2")
    assert err.endswith(": spring\n")
    assert "version 1 holds already; nothing was changed" in run("rules", "apply", file)[2]
    file.write_text("version: 1")
    assert "version 2 holds now (no rules)" in run("rules", "apply", file)[2]
    assert run("rules", "show")[1] == "version: 1\n"
    assert "version 3 holds now; it is version 1" in run("rules", "revert", "1")[2]
    assert run("rules", "show", "--version", "2")[1] == "version: 1\n"
    code, out, _ = run("rules", "history")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["version", "3", "2", "1"]
    assert "back to version 1" in out
    with Collection.open(collection) as opened:
        assert opened.view().rules.version == 3


def test_history_for_programs(run: Run, file: Path) -> None:
    assert json.loads(run("rules", "history", "--json")[1]) == {"versions": []}
    assert "has no rules" in run("rules", "history")[2]
    run("rules", "apply", file, "--note", "[bold]ä")
    (one,) = json.loads(run("rules", "history", "--json")[1])["versions"]
    assert (one["version"], one["note"]) == (1, "[bold]ä")
    assert "[bold]ä" in run("rules", "history")[1], "notes are no markup"


class TestMistakes:
    def test_a_file_that_cannot_be_read(self, run: Run, file: Path, collection: Path) -> None:
        file.write_text("version: 1\nboosts:\n- {add: x(}\n- {ad: 1}\n")
        for command in ("check", "apply"):
            code, out, err = run("rules", command, file)
            assert (code, out) == (1, "")
            assert err.startswith(f"error: {file} has 2 mistakes:\n  line 3, boosts[0]")
        with Collection.open(collection) as opened:
            assert opened.stored_rules() is None

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["rules", "check", "nowhere.yaml"], 1, "nowhere.yaml cannot be read: No such file or directory"),
            (["rules", "check", "."], 1, "cannot be read: Is a directory"),
            (["rules", "revert", "7"], 1, "has no version 7 of its rules"),
            (["rules", "show", "--version", "7"], 1, "has no version 7 of its rules"),
            (["rules", "revert", "0"], 2, "greater than or equal to 1"),
            (["rules", "history", "--collection", "nowhere"], 1, "there is no collection at nowhere"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_arguments(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        found, out, err = run(*arguments)
        assert (found, out) == (code, "")
        assert said in err


class TestDoubts:
    DOUBTFUL = "version: 1\nhides:\n- {items: [sku-red, sku-pink]}\n- {when: color = 'red'}\n"

    def test_in_words(self, run: Run, file: Path) -> None:
        file.write_text(self.DOUBTFUL)
        code, out, err = run("rules", "check", file)
        assert code == 0
        assert out.splitlines()[0] == "line 3, hides[0]: there is no item sku-pink"
        assert out.splitlines()[1].startswith("line 4, hides[1]: no item has a field color (did you mean colour?)")
        assert err == f"{file}: 2 hides; 2 doubts\n"

    def test_strict(self, run: Run, file: Path) -> None:
        file.write_text(self.DOUBTFUL)
        code, out, err = run("rules", "check", file, "--strict")
        assert code == 1
        assert len(out.splitlines()) == 2
        assert "has 2 doubts" in err

    def test_for_programs(self, run: Run, file: Path) -> None:
        file.write_text(self.DOUBTFUL)
        found = json.loads(run("rules", "check", file, "--json")[1])
        assert found["rules"] == {"synonyms": 0, "boosts": 0, "pins": 0, "hides": 2}
        assert found["doubts"][0] == {"line": 3, "path": "hides[0]", "message": "there is no item sku-pink"}

    def test_they_do_not_keep_rules_from_being_applied(self, run: Run, file: Path) -> None:
        file.write_text(self.DOUBTFUL)
        code, _, err = run("rules", "apply", file)
        assert code == 0
        assert "doubtful: line 3, hides[0]: there is no item sku-pink" in err
        assert "version 1 holds now" in err


def test_one_rule_with_many_items_is_counted_once(run: Run, file: Path) -> None:
    file.write_text("version: 1\nsynonyms: [[a, b, c]]\npins: [{query: a, items: [sku-red, sku-blue]}]")
    assert run("rules", "check", file)[2] == f"{file}: 1 synonym, 1 pin; no doubts\n"


def test_help_of_every_command_fits_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in ("show", "check", "preview", "apply", "history", "revert"):
        code, out, _ = run("rules", command, "--help")
        assert code == 0
        assert max(map(len, out.splitlines())) <= 80


class TestPreview:
    @pytest.fixture
    def queries(self, tmp_path: Path) -> Path:
        path = tmp_path / "queries.txt"
        path.write_text("# what people ask\nred\n\nblue\nthing\nred\n")
        return path

    def test_in_words(self, run: Run, file: Path, queries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        code, out, _ = run("rules", "preview", file, "--queries", queries, "-k", "3")
        assert code == 0
        lines = out.splitlines()
        assert lines[0] == "2 of 3 queries change (first 3 hits)."
        assert lines[1] == "Change none of these answers: hides[0] (line 7)"
        assert lines[3] == "red"
        assert lines[4].split() == ["1", "new", "sku-blue", "A", "blue", "thing", "pins[0]"]
        assert "boosts[0] +0.5" in out
        assert max(map(len, lines)) <= 80

    def test_nothing_is_changed_on_disk(self, run: Run, file: Path, queries: Path, collection: Path) -> None:
        def content() -> dict[str, bytes]:
            return {str(path): path.read_bytes() for path in collection.rglob("*") if path.is_file()}

        run("search", "red")  # which makes what readers leave beside the database
        before = content()
        assert run("rules", "preview", file, "--queries", queries)[0] == 0
        assert content() == before

    def test_for_programs(self, run: Run, file: Path, queries: Path) -> None:
        found = json.loads(run("rules", "preview", file, "--queries", queries, "-k", "2", "--json")[1])
        assert (found["queries"], found["changed"], found["never_fire"]) == (3, 2, ["hides[0]"])
        first = found["changes"][0]
        assert first["query"] == "red"
        assert first["items"][0] == {
            "item_id": "sku-blue",
            "title": "A blue thing",
            "change": "entered",
            "before": None,
            "after": 1,
            "rules": ["pins[0]"],
        }

    def test_against_the_rules_that_hold(self, run: Run, file: Path, queries: Path) -> None:
        run("rules", "apply", file)
        assert "0 of 3 queries change" in run("rules", "preview", file, "--queries", queries)[1]
        file.write_text("version: 1")
        _, out, _ = run("rules", "preview", file, "--queries", queries, "-k", "3")
        assert "2 of 3 queries change" in out
        assert "no more pins[0]" in out

    def test_a_page_with_pictures(self, run: Run, file: Path, queries: Path, tmp_path: Path) -> None:
        file.write_text(RULES.replace("sku-black", "sku-red"))
        page = tmp_path / "<page>.html"
        assert run("rules", "preview", file, "--queries", queries, "-k", "3", "--html", page)[0] == 0
        text = page.read_text()
        assert "2 of 3 queries change" in text
        assert '<li class="entered"><div class="photo"><img alt=""' in text
        assert "No longer among them" in text
        assert "hides[0]" in text
        assert "<script" not in text

    def test_a_page_survives_photos_that_are_gone_and_titles_that_are_markup(self, tmp_path: Path) -> None:
        item = Seen("a", "<b>&", photo=str(tmp_path / "gone.jpg"))
        change = Change(item, 1, None, ("hides[0]",))
        found = Preview(3, (QueryPreview("<q>", (item,), (), frozenset(), (), (change,)),), ())
        write_page(tmp_path / "page.html", "<r>.yaml", found)
        text = (tmp_path / "page.html").read_text()
        assert "&lt;b&gt;&amp;" in text
        assert "&lt;q&gt;" in text
        assert "no photo" in text
        assert "Nothing is left." in text
        assert "Every rule changes one." in text

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "has no queries"),
            (b"# none\n\n", "has no queries"),
            (b"\xff\xfe", "is not UTF-8"),
            (None, "cannot be read"),
        ],
    )
    def test_queries_that_cannot_be_read(
        self, run: Run, file: Path, tmp_path: Path, content: bytes | None, said: str
    ) -> None:
        path = tmp_path / "asked.txt"
        if content is not None:
            path.write_bytes(content)
        code, out, err = run("rules", "preview", file, "--queries", path)
        assert (code, out) == (2, "")
        assert said in err

    def test_a_file_that_cannot_be_read(self, run: Run, file: Path, queries: Path) -> None:
        file.write_text("version: 1\nboost: []")
        code, out, err = run("rules", "preview", file, "--queries", queries)
        assert (code, out) == (1, "")
        assert "did you mean boosts?" in err


def test_an_open_searcher_follows_the_rules(run: Run, file: Path, collection: Path) -> None:
    with Searcher.open(collection, ColourEncoder()) as searcher:

        def found(words: str) -> list[str]:
            return [hit.item_id for hit in searcher.search(words, k=9).hits]

        assert found("red")[0] == "sku-red"
        assert "sku-black" in found("black")
        run("rules", "apply", file)
        assert found("red")[:2] == ["sku-blue", "sku-red"]
        assert "sku-black" not in found("black")
        assert found("thing")[0] == "sku-green"
        assert searcher.search("red").hits[0].rules == ("pins[0]",)
        assert searcher.search("thing").hits[0].rules == ("boosts[0] +0.5",)
        file.write_text("version: 1")
        run("rules", "apply", file)
        assert found("red")[0] == "sku-red"
        assert "sku-black" in found("black")


def test_a_page_is_not_written_over_a_file_of_another_kind(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("version: 1\n")
    (tmp_path / "asked.txt").write_text("red\n")
    files = [str(tmp_path / name) for name in ("rules.yaml", "asked.txt")]
    code, _, err = run("rules", "preview", files[0], "--queries", files[1], "--html", files[1])
    assert (code, (tmp_path / "asked.txt").read_text()) == (1, "red\n")
    assert "is no name for a page" in err
