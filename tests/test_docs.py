"""The documentation under test: commands, options, files and the Python example are those of the code."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from PIL import Image

import retrieval.encoders
from api.cli import app
from tests.fakes import COLOURS, ColourEncoder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def blocks(language: str) -> list[str]:
    fenced = re.findall(
        r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE
    )  # whole fences, or prose is taken for one
    return [text for kind, text in fenced if kind == language]


def command_lines() -> list[str]:
    joined = [re.sub(r"\n\s+\[", " [", block) for block in blocks("")]
    return [line.split("#")[0].strip() for block in joined for line in block.splitlines() if "catalens " in line]


def options_of(command: str) -> set[str]:
    """The options of a command, or of all commands of a group."""
    parts = getattr(COMMANDS[command], "commands", {"": COMMANDS[command]}).values()
    return {option for part in parts for p in part.params for option in p.opts if option.startswith("-")}


@pytest.mark.parametrize("line", command_lines())
def test_commands_in_the_readme_exist_with_their_options(line: str) -> None:
    words = shlex.split(line.replace("[", " ").replace("]", " "))
    command = words[words.index(next(word for word in words if word.endswith("catalens"))) + 1]
    assert command in COMMANDS
    named = {word for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)}
    assert named <= options_of(command)


def test_the_usage_of_index_names_every_option() -> None:
    usage = next(line for line in command_lines() if "SOURCE" in line)
    assert set(re.findall(r"--[a-z-]+", usage)) == options_of("index") - {"--help"}


def test_every_command_is_in_the_readme() -> None:
    for name in COMMANDS:
        assert f"catalens {name}" in README or f"make {name}" in README


def test_make_targets_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z]+)", " ".join(blocks("") + re.findall(r"`(make [a-z]+)`", README))))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("text", [README, ARCHITECTURE], ids=["README", "ARCHITECTURE"])
def test_files_that_are_named_exist(text: str) -> None:
    named = re.findall(r"`((?:retrieval|indexer|api|tests|benchmarks)/[\w/.]*)`", text)
    named += re.findall(r"\]\(([\w/.]+)\)", text)
    assert named
    for name in named:
        assert (ROOT / name).exists(), name


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (30, 30), COLOURS["orange"]).save(tmp_path / "1.png")
    (tmp_path / "products.csv").write_text("sku,name,image\nA-1,Orange chair,1.png\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(retrieval.encoders, "load_encoder", ColourEncoder)
    example, query_value = (block for block in blocks("python") if "api.client" not in block)
    exec(example, {})
    assert capsys.readouterr().out.startswith("1 A-1 Orange chair ")
    exec(query_value, {})
