"""`catalens rules` as people use it: what goes to which stream, exit codes, and a whole round from file to history."""

import json
import shutil
from pathlib import Path

import pytest

from indexer.sources.base import SourceItem
from retrieval.collection import Collection
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
    for command in ("show", "check", "apply", "history", "revert"):
        code, out, _ = run("rules", command, "--help")
        assert code == 0
        assert max(map(len, out.splitlines())) <= 80
