"""The command line from outside: exit codes, what goes to which stream, JSON shapes, start-up time, 80 columns."""

import importlib.metadata
import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from api.cli import commands
from api.cli.hits import photo_link
from api.cli.progress import show_progress
from indexer.summary import Progress
from retrieval.encoders import registry
from retrieval.errors import WeightsUnavailable
from tests.command_line import Run, runner
from tests.fakes import ColourEncoder
from tests.test_pipeline import paint

# A program of its own, with the fake encoder in place of the one that a collection names.
PROGRAM = """
import sys
import retrieval.encoders
from tests.fakes import ColourEncoder
retrieval.encoders.load_encoder = lambda name, **_: ColourEncoder(name)
from api.cli import main
main()
"""
ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`catalens ARGUMENTS` in this process: its exit code, stdout and stderr."""

    def load(name: str, **_: object) -> ColourEncoder:
        return ColourEncoder(name)

    monkeypatch.setattr("retrieval.encoders.load_encoder", load)
    monkeypatch.setattr("retrieval.search.load_encoder", load)
    monkeypatch.delenv("CATALENS_COLLECTION", raising=False)
    return runner(monkeypatch, capsys)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three photos; the working directory is empty."""
    monkeypatch.chdir(tmp_path)
    for name in ("red", "green", "blue"):
        paint(tmp_path / "photos" / f"{name}_thing.png", name)
    return tmp_path / "photos"


@pytest.fixture
def collection(run: Run, photos: Path) -> Path:
    code, _, _ = run("index", photos)
    assert code == 0
    return photos.parent / ".catalens"


def program(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False, **options)


class TestExitCodes:
    def test_0_for_success_also_when_nothing_is_new(self, run: Run, photos: Path) -> None:
        assert run("index", photos)[0] == run("index", photos)[0] == 0

    def test_0_when_some_photos_failed(self, run: Run, photos: Path) -> None:
        (photos / "bad.png").write_bytes(b"no picture")
        code, _, err = run("index", photos)
        assert code == 0
        assert re.search(r"1 failed or skipped:\n  .*bad\.png: not a picture", err)

    def test_1_when_all_photos_failed(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "bad.png").write_bytes(b"no picture")
        code, _, err = run("index", tmp_path / "photos", "--collection", tmp_path / "c")
        assert code == 1
        assert "none of the 1 photos or rows could be indexed" in err

    def test_1_for_an_error_with_the_next_step_below_it(self, run: Run, photos: Path) -> None:
        code, out, err = run("search", "red")
        assert (code, out) == (1, "")
        assert err.splitlines() == [
            "error: there is no collection at .catalens",
            "  make one with: catalens index YOUR-FOLDER, or name another with --collection",
        ]

    @pytest.mark.parametrize(
        "arguments",
        [["search"], ["search", "red", "-k", "0"], ["search", "red", "--by", "sound"], ["search", "x" * 10_000]],
        ids=["nothing asked", "k of zero", "unknown --by", "10,000 characters"],
    )
    def test_2_for_a_query_that_cannot_be_answered(self, arguments: list[str], run: Run, collection: Path) -> None:
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 2
        assert err.startswith("error: ")

    @pytest.mark.parametrize(
        "arguments", [["fly"], ["index"], ["index", "x", "--max-pixels", "0"], ["search", "--loud"]]
    )
    def test_2_for_wrong_usage(self, arguments: list[str], run: Run) -> None:
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert "Usage" in err

    @pytest.mark.parametrize("where", ["indexer.pipeline.index_sources", "indexer.sources.open_source"])
    def test_130_for_ctrl_c(self, where: str, run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def stop(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(where, stop)
        code, out, err = run("index", photos)
        assert (code, out) == (130, "")
        assert "Traceback" not in err

    def test_version(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.metadata, "version", lambda name: f"the version of {name}")
        assert run("--version") == (0, "catalens the version of catalens\n", "")

    def test_forget(self, run: Run, photos: Path) -> None:
        stored = json.loads(run("index", photos, "--json")[1])["new"]
        assert run("forget", photos) == (0, "", f"catalens forget: removed={stored}\n")
        code, out, err = run("forget", photos)
        assert (code, out) == (1, "")
        assert "has no source" in err

    def test_a_title_links_to_its_photo(self) -> None:
        assert photo_link("/photos/red thing#1.png") == "link file:///photos/red%20thing%231.png"
        assert photo_link(None) == ""

    def test_another_model_that_cannot_be_loaded_is_not_the_matter(
        self, run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run("index", photos)

        def unreachable(name: str, **_: object) -> ColourEncoder:
            raise WeightsUnavailable(f"{name} is not here", hint="copy it")

        monkeypatch.setattr("retrieval.encoders.load_encoder", unreachable)
        code, _, err = run("index", photos, "--model", "ViT-B-32/openai")
        assert code == 1
        assert "was made with starter, not with ViT-B-32/openai" in err
        assert "leave --model out" in err

    def test_ctrl_c_while_indexing_says_that_nothing_is_lost(
        self, run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(progress: Progress) -> None:
            if progress.done:
                raise KeyboardInterrupt

        monkeypatch.setattr("api.cli.progress._plain", lambda _console, _labels: interrupt)
        code, _, err = run("index", photos)
        assert code == 130
        assert "can be searched" in err
        assert "run the same command again" in err


class TestJson:
    def test_index(self, run: Run, photos: Path) -> None:
        code, out, err = run("index", photos, "--json")
        said = json.loads(out)
        seconds = said.pop("seconds")
        assert code == 0
        assert seconds > 0
        assert said == {
            "new": 3,
            "changed": 0,
            "renamed": 0,
            "removed": 0,
            "unchanged": 0,
            "failed": 0,
            "skipped": 0,
            "embedded": 3,
            "embedded_texts": 3,
        }
        last = err.splitlines()[-1]
        assert last.startswith("catalens index: ")
        parsed = dict(pair.split("=") for pair in last.removeprefix("catalens index: ").split())
        assert {name: float(value) for name, value in parsed.items()} == {**said, "seconds": seconds}

    def test_search(self, run: Run, collection: Path, photos: Path) -> None:
        code, out, err = run("search", "red", "-k", "2", "--json")
        said = json.loads(out)
        assert (code, err) == (0, "")
        assert (said["matched"], said["exact"], said["plan"], said["notes"], said["facets"]) == (
            3,
            True,
            "exact",
            [],
            [],
        )
        assert said["query"] == {"parts": [{"words": "red"}], "by": "image", "k": 2}
        assert said["took_ms"] > 0
        assert [hit["rank"] for hit in said["hits"]] == [1, 2]
        first = said["hits"][0]
        assert 0.99 < first["score"] <= 1.001
        assert 0.9 < first["confidence"] <= 1
        assert first == {
            "rank": 1,
            "item_id": "red_thing.png",
            "score": first["score"],
            "cosine": first["score"],
            "confidence": first["confidence"],
            "title": "red thing",
            "photo": str(photos / "red_thing.png"),
            "matched_text": None,
            "attributes": {},
        }

    def test_search_has_the_attributes_typed(self, run: Run, photos: Path) -> None:
        rows = "id,name,image,price,tags\n7,Ĉapelo 帽子,red_thing.png,12.50,x\n"
        (photos / "products.csv").write_text(rows, encoding="utf-8")
        run("index", photos / "products.csv")
        hit = json.loads(run("search", "red", "--json")[1])["hits"][0]
        assert (hit["item_id"], hit["title"], hit["attributes"]) == ("7", "Ĉapelo 帽子", {"price": 12.5, "tags": "x"})

    def test_status(self, run: Run, collection: Path, photos: Path) -> None:
        (photos / "bad.png").write_bytes(b"no picture")
        run("index", photos)
        code, out, err = run("status", "--json")
        said = json.loads(out)
        assert (code, err) == (0, "")
        numbers = {name: said[name] for name in ("items", "photos", "embedded_photos", "failed", "skipped")}
        assert numbers == {"items": 3, "photos": 3, "embedded_photos": 3, "failed": 1, "skipped": 0}
        assert (said["model"], said["fingerprint"]) == ("starter", ColourEncoder().spec.fingerprint)
        assert said["revision"] >= 1
        assert said["sources"] == [str(photos)]
        assert set(said["index"]) == {"image", "text"}
        assert said["index"]["image"]["rows"] == 3
        assert [problem["where"] for problem in said["problems"]] == [str(photos / "bad.png")]
        assert said["problems"][0]["state"] == "failed"
        assert said["problems"][0]["reason"].startswith("not a picture")

    def test_status_lists_every_problem_failures_first(self, run: Run, photos: Path) -> None:
        rows = [f"{n},hat {n}," for n in range(30)] + [f"{n},hat {n},gone{n}.png" for n in range(30, 60)]
        (photos / "products.csv").write_text("id,title,image\n99,red hat,red_thing.png\n" + "\n".join(rows) + "\n")
        told = run("index", photos / "products.csv")[2]
        problems = json.loads(run("status", "--json")[1])["problems"]
        assert [problem["state"] for problem in problems] == ["failed"] * 30 + ["skipped"] * 30
        for text in (told, run("status")[1]):
            lines = text.splitlines()
            start = lines.index("60 failed or skipped:")
            assert all(line.startswith("  failed ") for line in lines[start + 1 : start + 21])
            assert lines[start + 21] == "  and 40 more; all of them: catalens status --json"

    def test_index_reports_the_problems_of_its_own_sources(self, run: Run, photos: Path) -> None:
        (photos / "bad.png").write_bytes(b"no picture")
        run("index", photos)
        paint(photos.parent / "good" / "hat.png", "red")
        assert "bad.png" not in run("index", photos.parent / "good")[2]

    def test_models(self, run: Run) -> None:
        code, out, err = run("models", "--json")
        assert (code, err) == (0, "")
        names = [model["name"] for model in json.loads(out)["models"]]
        assert names == [model.name for model in registry.models()]
        assert names[0] == "starter"

    def test_one_model_in_full(self, run: Run) -> None:
        code, out, err = run("models", "ViT-B-32/laion2b_s34b_b79k")
        assert (code, err) == (0, "")
        assert [line.split() for line in out.splitlines() if line.startswith("coco text")] == [
            ["coco", "text", "to", "image", "39.34"]
        ]
        said = json.loads(run("models", "ViT-B-32/laion2b_s34b_b79k", "--json")[1])["models"]
        assert [model["published"]["source"] for model in said] == ["open_clip, docs/openclip_retrieval_results.csv"]
        code, _, err = run("models", "ViT-B-32/laion2b")
        assert code == 1
        assert "did you mean ViT-B-32/laion2b_s34b_b79k?" in err

    def test_numbers_of_one_model_are_no_yes_and_no(self, run: Run) -> None:
        said = [run("models", name)[1] for name in ("ViT-B-32/openai", "starter")]
        clip, starter = [
            dict(line.rstrip().split("  ", 1) for line in one.splitlines() if "  " in line) for one in said
        ]
        assert clip["relative speed"].strip() == "1.0"
        assert starter["download mb"].strip() == "0"
        assert starter["available"].strip() == "yes"

    def test_models_piped_have_a_line_each(self, run: Run) -> None:
        rows = [line.split("\t") for line in run("models")[1].splitlines()]
        assert [row[0] for row in rows] == [model.name for model in registry.models()]
        assert {len(row) for row in rows} == {9}

    def test_models_fit_into_80_columns(self) -> None:
        from api.cli.models_table import list_models

        written = io.StringIO()
        list_models(Console(file=written, width=80, force_terminal=False), registry.models())
        lines = written.getvalue().splitlines()
        assert max(len(line.rstrip()) for line in lines) <= 80
        assert "…" not in written.getvalue(), "nothing was cut off"
        joined = "".join(line[:27].strip() for line in lines)
        assert all(model.name in joined for model in registry.models())


class TestStreams:
    def test_index_says_everything_on_stderr(self, run: Run, photos: Path) -> None:
        _, out, err = run("index", photos)
        assert out == ""
        assert err.startswith("catalens index: new=3 ")

    def test_search_piped_is_one_line_of_tabs_per_hit(self, run: Run, collection: Path, photos: Path) -> None:
        _, out, err = run("search", "green", "things")
        rows = [line.split("\t") for line in out.splitlines()]
        assert [(row[0], row[2], row[3]) for row in rows[:1]] == [("1", "green_thing.png", "green thing")]
        assert rows[0][4] == str(photos / "green_thing.png")
        assert [len(row) for row in rows] == [5, 5, 5]
        assert err == ""

    def test_a_title_cannot_break_the_line_or_command_the_terminal(self, run: Run, photos: Path) -> None:
        hostile = {"id": "a\tb  c\\t", "title": "red\x1b[31m [bold]hat[/nothing]!", "image": "red_thing.png"}
        (photos / "products.jsonl").write_text(json.dumps(hostile) + "\n")
        run("index", photos / "products.jsonl")
        _, out, _ = run("search", "red")
        assert out.split("\t")[2:4] == [r"a\tb  c\\t", r"red\x1b[31m [bold]hat[/nothing]!"]

    def test_a_photos_path_cannot_add_columns(self, run: Run, photos: Path) -> None:
        paint(photos / "a\tb\nc.png", "purple")
        run("index", photos)
        _, out, _ = run("search", "purple", "-k", "1")
        assert out.count("\n") == 1
        assert out.rstrip("\n").split("\t")[4] == str(photos / r"a\tb\nc.png")

    def test_an_empty_collection_says_how_to_fill_it(self, run: Run, collection: Path, photos: Path) -> None:
        for photo in photos.iterdir():
            photo.unlink()
        (photos / "bad.png").write_bytes(b"no picture")
        run("index", photos)
        code, out, err = run("search", "red")
        assert (code, out) == (0, "")
        assert "catalens index YOUR-FOLDER" in err

    def test_progress_goes_to_stderr(self, photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.cli.progress.SECONDS_BETWEEN_LINES", 0.0)
        _, out, err = run("index", photos, "--json")
        assert "Indexing photos: 3 of 3" in err
        assert "Building the index: 3 of 3" in err
        assert "Indexing" not in out


class TestWhichCollection:
    def test_the_option_wins_over_the_variable_and_that_over_the_default(
        self, run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run("index", photos)
        assert (tmp_path / ".catalens" / "catalog.db").exists()
        monkeypatch.setenv("CATALENS_COLLECTION", str(tmp_path / "from variable"))
        run("index", photos)
        assert (tmp_path / "from variable" / "catalog.db").exists()
        run("index", photos, "--collection", tmp_path / "from option")
        assert json.loads(run("status", "--json")[1])["collection"] == str(tmp_path / "from variable")
        said = run("status", "--json", "--collection", tmp_path / "from option")[1]
        assert json.loads(said)["collection"] == str(tmp_path / "from option")

    def test_an_index_run_uses_the_model_that_the_collection_was_made_with(self, run: Run, photos: Path) -> None:
        run("index", photos, "--model", "colour two")
        assert run("index", photos)[0] == 0
        assert json.loads(run("status", "--json")[1])["model"] == "colour two"

    def test_a_collection_whose_making_was_cut_short_is_made_by_the_next_run(self, run: Run, photos: Path) -> None:
        (photos.parent / ".catalens").mkdir()
        (photos.parent / ".catalens" / "catalog.db").touch()
        code, _, err = run("status")
        assert code == 1
        assert "run the same catalens index command again" in err
        assert run("index", photos)[0] == 0
        assert run("search", "red")[0] == 0


class TestAProgramOfItsOwn:
    def test_help_is_quick_and_imports_nothing_heavy(self) -> None:
        code = "import sys; sys.argv = ['catalens', '--help']\n"
        code += "import atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        code += "from api.cli import main; main()"
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
        )
        took = time.perf_counter() - started
        assert done.returncode == 0
        assert all(command in done.stdout for command in ("index", "search", "status", "models", "demo"))
        heavy = {"torch", "faiss", "open_clip", "numpy", "sqlalchemy", "PIL", "pyarrow"}
        assert heavy.isdisjoint(done.stderr.split())
        assert took < 2

    def test_models_imports_no_database_and_no_tower(self) -> None:
        code = "import sys; from api.cli import commands\n"
        code += "commands.models(as_json=True); print(*sys.modules, file=sys.stderr)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
        )
        assert {"torch", "faiss", "open_clip", "sqlalchemy", "pyarrow"}.isdisjoint(done.stderr.split())

    def test_a_reader_that_goes_away_causes_no_traceback(self, collection: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "search", "red", "--collection", str(collection)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
            check=False,
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, "")

    @pytest.mark.parametrize(
        "arguments", [["search", "red"], ["search", "red", "--json"], ["status"], ["models"], ["--help"]], ids=" ".join
    )
    def test_a_full_disk_behind_stdout_is_said(self, arguments: list[str], collection: Path) -> None:
        with Path("/dev/full").open("wb") as full:
            code = run_with_stdout(full, *arguments)
        assert code == (1, NO_SPACE)

    def test_a_large_answer_meets_the_full_disk_while_it_is_written(self, collection: Path, photos: Path) -> None:
        for number in range(200):
            (photos / f"{number}.png").write_bytes(b"no picture")
        assert program("index", photos).returncode == 0
        with Path("/dev/full").open("wb") as full:
            assert run_with_stdout(full, "status", "--json") == (1, NO_SPACE)

    def test_a_closed_stdout_is_said(self, collection: Path) -> None:
        command = shlex.join([sys.executable, "-c", PROGRAM, "search", "red"])
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["sh", "-c", f"{command} >&-"], stderr=subprocess.PIPE, text=True, env=environment, timeout=60, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("error: cannot write the results: standard output is closed\n  ")
        assert len(done.stderr.splitlines()) == 2

    def test_a_terminal_without_unicode_gets_an_answer_too(self, run: Run, photos: Path) -> None:
        (photos / "products.csv").write_text("id,name,image\n7,帽子,red_thing.png\n", encoding="utf-8")
        run("index", photos / "products.csv")
        ascii_only = {"PYTHONIOENCODING": "ascii"}
        assert "\\u5e3d\\u5b50" in program("search", "red", env=ascii_only).stdout
        assert json.loads(program("search", "red", "--json", env=ascii_only).stdout)["hits"][0]["title"] == "帽子"


NO_SPACE = (
    "error: cannot write the results: No space left on device\n"
    "  send them to a place that can take them, such as another disk\n"
)


def run_with_stdout(stdout: IO[bytes], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment, timeout=60, check=False
    )
    return done.returncode, done.stderr


class TestProgress:
    def test_the_rate_of_the_index_stage_is_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        monkeypatch.setattr("api.cli.progress.monotonic", lambda: now[0])
        shown = io.StringIO()
        with show_progress(Console(file=shown, width=200)) as on_progress:
            for seconds, progress in [
                (0, Progress("photos", 0, 1000)),
                (1000, Progress("photos", 1000, 1000)),
                (1000, Progress("index", 0, 1000)),
                (1010, Progress("index", 500, 1000)),
            ]:
                now[0] = seconds
                on_progress(progress)
        assert shown.getvalue().splitlines() == [
            "Indexing photos: 1,000 of 1,000, 1/s, 0 s left",
            "Building the index: 500 of 1,000, 50/s, 10 s left",
        ]

    def test_what_takes_seconds_each_has_no_rate_of_nought(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [0.0]
        monkeypatch.setattr("api.cli.progress.monotonic", lambda: now[0])
        shown = io.StringIO()
        with show_progress(Console(file=shown, width=200)) as on_progress:
            for seconds, done in [(0, 0), (10, 1)]:
                now[0] = seconds
                on_progress(Progress("photos", done, 4))
        assert shown.getvalue() == "Indexing photos: 1 of 4, 30 s left\n"


def on_a_terminal(*arguments: str) -> str:
    """What a terminal of 80 columns shows, without the colours and the addresses behind links."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=slave,
        stderr=slave,
        stdin=slave,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm"},
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            block = os.read(master, 4096)
        except OSError:  # the way a terminal says that its program has ended
            break
        if not block:
            break
        shown += block
    os.close(master)
    assert process.wait(30) == 0, shown.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;.*?\x1b\\", "", shown.decode()).replace("\r", "")


class TestEightyColumns:
    @pytest.fixture
    def long_names(self, run: Run, photos: Path) -> None:
        far = photos / ("a folder with a long name " * 3).strip()
        paint(far / "red.png", "red")
        row = ["sku-" + "0123456789" * 6, "a [red] 帽子 with a title " * 8, "red.png", "1234567.5"]
        (far / "products.csv").write_text("id,title,image,price\n" + ",".join(row) + "\n", encoding="utf-8")
        assert run("index", far / "products.csv")[0] == 0

    @pytest.mark.parametrize("arguments", [["search", "red"], ["status"], ["models"]], ids=" ".join)
    def test_output_fits(self, arguments: list[str], long_names: None) -> None:
        shown = on_a_terminal(*arguments)
        assert len(shown.splitlines()) >= 2
        assert max(map(cell_len, shown.splitlines())) <= 80

    def test_brackets_in_a_title_are_text_and_not_markup(self, long_names: None) -> None:
        shown = on_a_terminal("search", "red")
        first_line = r" *1 +[01]\.\d{3} +sku-0123456789.* a \[red\] 帽子.*… +1,234,567\.50"
        assert re.search(first_line, shown), "a long title must not push the other columns out"

    def test_a_bracket_that_closes_nothing_is_no_error(self, run: Run, photos: Path) -> None:
        (photos / "products.csv").write_text("id,title,image\n[/b],hat [/x],red_thing.png\n")
        run("index", photos / "products.csv")
        shown = on_a_terminal("search", "red")
        assert "[/b]" in shown
        assert "hat [/x]" in shown


def test_the_table_of_hits_is_what_a_terminal_gets(collection: Path) -> None:
    assert "red thing" in on_a_terminal("search", "red")
    assert commands.out.is_terminal is False
