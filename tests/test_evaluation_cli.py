"""`catalens eval` and `catalens doctor` as people call them, with real files and a fake whose answers are knowable."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from api import cli
from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.arrays import FloatArray
from retrieval.errors import UnknownModel
from retrieval.evaluation.trec import read_run
from tests.command_line import Run, runner
from tests.fakes import COLOURS, ColourEncoder

NAMES = ("red", "green", "blue", "yellow", "purple", "cyan")
SHARES = ("success@1", "success@5", "success@10", "recall@10", "mrr@10", "ndcg@10")


class Forgetful(ColourEncoder):
    """Knows fewer colours: every blue is green to it."""

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return super().encode_texts([text.replace("blue", "green") for text in texts])


class Failing(ColourEncoder):
    """Its text tower breaks down after the first batch."""

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        if self.texts_encoded:
            raise RuntimeError("out of memory")
        return super().encode_texts(texts)


def load(name: str, **_: object) -> ColourEncoder:
    """At module level, so that a rehearsal's process can load it too."""
    if name == "unknown":
        raise UnknownModel("no model is called 'unknown'", hint="see catalens models")
    if name == "forgetful":
        return Forgetful(name, version="2")
    return Failing(name) if name == "failing" else ColourEncoder(name)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`catalens ARGUMENTS` in this process: its exit code, stdout and stderr."""
    monkeypatch.setattr("retrieval.encoders.load_encoder", load)
    monkeypatch.delenv("CATALENS_COLLECTION", raising=False)
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    """Six photos, each with the caption that is its colour, in English and nonsense in German."""
    lines = []
    for name in NAMES:
        Image.new("RGB", (16, 16), COLOURS[name]).save(tmp_path / f"{name}.png")
        lines.append({"image": f"{name}.png", "split": "val", "en": [f"a {name} wall"], "de": ["eine Wand"]})
    path = tmp_path / "captions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def catalogue(captions: Path) -> Path:
    """The same photos as a shop."""
    path = captions.parent / "products.csv"
    rows = [f"P{at},{name} chair,{name}.png,{name},chair\n" for at, name in enumerate(NAMES)]
    path.write_text("sku,name,image,colour,type\n" + "".join(rows))
    return path


@pytest.fixture
def collection(catalogue: Path) -> Path:
    folder = catalogue.parent / "shop"
    index_sources(folder, [open_source(catalogue)], ColourEncoder("colour"))
    return folder


class TestEval:
    def test_json_is_one_object_and_nothing_else(self, run: Run, captions: Path) -> None:
        code, out, _ = run("eval", captions, "--model", "colour", "--json")
        assert code == 0
        found = json.loads(out)
        assert (found["model"], found["search"], found["n_images"], found["n_texts"]) == ("colour", "exact", 6, 6)
        for direction in ("text_to_image", "image_to_text"):
            assert [found[direction][name] for name in SHARES] == [1.0] * 6
            assert found[direction]["median_rank"] == 1
            assert set(found["intervals"][direction]) == set(found[direction])

    def test_the_starter_is_the_default_model(self, run: Run, captions: Path) -> None:
        assert json.loads(run("eval", captions, "--json")[1])["model"] == "starter"

    def test_options_may_come_first(self, run: Run, captions: Path) -> None:
        assert run("eval", "--json", "--model", "colour", captions)[0] == 0

    def test_tables_on_the_terminal(self, run: Run, captions: Path) -> None:
        code, out, _ = run("eval", captions, "--model", "colour")
        assert code == 0
        assert "6 images, 6 texts" in out
        assert "colour, exact search" in out
        assert "text to image" in out
        assert "success@10" in out

    def test_k(self, run: Run, captions: Path) -> None:
        found = json.loads(run("eval", captions, "--k", "3,2", "--json")[1])
        assert list(found["text_to_image"]) == [
            "success@2", "success@3", "recall@3", "mrr@3", "ndcg@3", "median_rank",
        ]  # fmt: skip

    def test_language(self, run: Run, captions: Path) -> None:
        found = json.loads(run("eval", captions, "--language", "de", "--json")[1])
        assert found["text_to_image"]["success@1"] == pytest.approx(1 / 6)  # all captions are the same words
        assert run("eval", captions, "--language", "fr")[0] == 1

    def test_split(self, run: Run, captions: Path) -> None:
        assert run("eval", captions, "--split", "val")[0] == 0
        code, _, err = run("eval", captions, "--split", "train")
        assert code == 1
        assert "train" in err

    def test_images_dir(self, run: Run, captions: Path, tmp_path: Path) -> None:
        moved = tmp_path / "sets" / "captions.jsonl"
        moved.parent.mkdir()
        captions.rename(moved)
        assert run("eval", moved)[0] == 1
        assert run("eval", moved, "--images-dir", tmp_path)[0] == 0

    def test_missing_images_are_an_error_until_they_are_allowed(self, run: Run, captions: Path) -> None:
        (captions.parent / "red.png").unlink()
        code, out, err = run("eval", captions, "--json")
        assert (code, out) == (1, "")
        assert "1 of 6" in err
        assert "red.png" in err
        found = json.loads(run("eval", captions, "--allow-missing", "--json")[1])
        assert found["n_images"] == 5
        assert any("missing" in note for note in found["notes"])

    def test_queries_of_a_catalogue(self, run: Run, catalogue: Path, tmp_path: Path) -> None:
        assert "attributes" in json.loads(run("eval", catalogue, "--queries", "attributes", "--json")[1])["dataset"]
        asked = tmp_path / "asked.csv"
        asked.write_text("query,item_id\nsomething red,P0\n")
        found = json.loads(run("eval", catalogue, "--queries", asked, "--json")[1])
        assert (found["n_texts"], found["text_to_image"]["success@1"]) == (1, 1.0)

    def test_list(self, run: Run) -> None:
        code, out, _ = run("eval", "--list")
        assert code == 0
        assert "stamps" in out
        assert [one["name"] for one in json.loads(run("eval", "--list", "--json")[1])["datasets"]] == ["stamps", "demo"]

    def test_help_shows_the_options_and_the_other_commands(self, run: Run) -> None:
        code, out, _ = run("eval", "--help")
        assert code == 0
        for part in ("eval [OPTIONS] DATASET", "--fail-under", "compare", "models", "--list"):
            assert part in out

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            ([], 2, "--list"),
            (["nowhere"], 1, "nowhere"),
            (["captions.jsonl", "--model", "unknown"], 1, "no model is called 'unknown'"),
            (["captions.jsonl", "--by", "image"], 2, "--by"),
            (["captions.jsonl", "--collection", "shop", "--by", "sound"], 2, "--by"),
            (["captions.jsonl", "--collection", "no-shop"], 1, "no-shop"),
            (["captions.jsonl", "--k", "few"], 2, "--k"),
            (["captions.jsonl", "--k", "0"], 1, "success@0"),
            (["captions.jsonl", "--fail-under", "success@10"], 2, "--fail-under"),
            (["captions.jsonl", "--fail-under", "hits@10=0.5"], 1, "success@10"),
            (["captions.jsonl", "--fail-under", "sideways:success@1=0.5"], 2, "no direction 'sideways'"),
            (["captions.jsonl", "--k", "1," + "9" * 4400], 1, "no usable cutoff"),
            (["captions.jsonl", "--queries", "attributes"], 1, "--queries"),
            (["captions.jsonl", "--loud"], 2, "--loud"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_bad_input(self, arguments: list[str], code: int, said: str, run: Run, captions: Path) -> None:
        found, _, err = run("eval", *arguments)
        assert found == code
        assert said in err
        assert "Traceback" not in err

    def test_a_model_that_fails_half_way_gives_no_figure(self, run: Run, captions: Path) -> None:
        lines = [json.loads(line) for line in captions.read_text().splitlines()]
        captions.write_text("".join(json.dumps({**line, "en": [f"{line['en'][0]} {n}" for n in range(7)]}) + "\n"
                                    for line in lines))  # fmt: skip
        code, out, err = run("eval", captions, "--model", "failing", "--json")
        assert (code, out) == (1, "")
        assert "failed after 32 of 42 texts: out of memory" in err


class TestFailUnder:
    def test_reached(self, run: Run, captions: Path) -> None:
        floors = ("--fail-under", "success@10=0.6", "--fail-under", "image_to_text:median_rank=1")
        assert run("eval", captions, *floors)[0] == 0

    def test_missed_says_by_how_much_after_the_figures(self, run: Run, captions: Path) -> None:
        code, out, err = run("eval", captions, "--model", "forgetful", "--fail-under", "success@1=0.9", "--json")
        assert code == 1
        assert json.loads(out)["text_to_image"]["success@1"] == pytest.approx(5 / 6)
        assert "text_to_image success@1 is 0.8333, 0.06667 below the 0.9 asked for" in err

    def test_a_measure_that_is_not_among_the_usual_ones_is_computed(self, run: Run, captions: Path) -> None:
        code, out, _ = run("eval", captions, "--fail-under", "precision@2=0.5", "--json")
        assert code == 0
        assert json.loads(out)["text_to_image"]["precision@2"] == 0.5

    def test_a_rank_is_missed_from_above(self, run: Run, captions: Path) -> None:
        code, _, err = run("eval", captions, "--fail-under", "median_rank=0.5")
        assert code == 1
        assert "above the 0.5" in err

    def test_a_direction_that_the_set_lacks_fails_before_the_model_is_loaded(self, run: Run, captions: Path) -> None:
        code, out, err = run("eval", captions, "--model", "unknown", "--fail-under", "image_to_image:success@1=0.5")
        assert (code, out) == (1, "")
        assert "image_to_image, which is not judged" in err


class TestOut:
    def test_files(self, run: Run, captions: Path, tmp_path: Path) -> None:
        code, out, _ = run("eval", captions, "--out", "report/new", "--json")
        assert code == 0
        folder = tmp_path / "report" / "new"
        assert {path.name for path in folder.iterdir()} == {
            "report.json", "report.html", "queries.jsonl", "text_to_image.run", "text_to_image.qrels",
            "image_to_text.run", "image_to_text.qrels",
        }  # fmt: skip
        assert json.loads((folder / "report.json").read_text()) == json.loads(out)
        best = {query: next(iter(rows)) for query, rows in read_run(folder / "text_to_image.run").items()}
        judged = [line.split() for line in (folder / "text_to_image.qrels").read_text().splitlines()]
        assert {query: document for query, _, document, _ in judged} == best

    def test_ids_with_blanks_are_encoded_alike_in_run_and_qrels(self, run: Run, captions: Path, tmp_path: Path) -> None:
        (tmp_path / "red.png").rename(tmp_path / "red one.png")
        captions.write_text(captions.read_text().replace("red.png", "red one.png"))
        run("eval", captions, "--out", "report")
        documents = [line.split()[2] for line in (tmp_path / "report" / "text_to_image.qrels").read_text().splitlines()]
        assert "red%20one.png" in documents
        assert "red%20one.png" in (tmp_path / "report" / "text_to_image.run").read_text()

    def test_a_place_that_is_a_file(self, run: Run, captions: Path) -> None:
        code, _, err = run("eval", captions, "--out", captions)
        assert code == 1
        assert "cannot be written" in err


class TestCompare:
    @pytest.fixture
    def runs(self, run: Run, captions: Path) -> None:
        run("eval", captions, "--model", "forgetful", "--out", "before")
        run("eval", captions, "--model", "colour", "--out", "after")

    def test_json(self, run: Run, runs: None) -> None:
        code, out, _ = run("eval", "compare", "before", "after", "--measure", "success@1", "--json")
        assert code == 0
        found = json.loads(out)
        assert (found["before"]["model"], found["after"]["model"]) == ("forgetful", "colour")
        one = found["text_to_image"]["success@1"]
        assert one["difference"] == pytest.approx(1 / 6)
        assert (one["n_better"], one["n_worse"]) == (1, 0)
        assert [example["query"] for example in one["better"]] == ["a blue wall"]
        assert list(found["text_to_image"]) == ["success@1"]

    def test_tables_with_the_queries_that_changed(self, run: Run, runs: None) -> None:
        code, out, _ = run("eval", "compare", "before", "after")
        assert code == 0
        assert "a blue wall" in out
        assert "median rank" in out

    def test_all_measures_by_default(self, run: Run, runs: None) -> None:
        found = json.loads(run("eval", "compare", "before", "after", "--json")[1])
        assert set(found["image_to_text"]) == {*SHARES, "median_rank"}

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["before", "nowhere"], "nowhere holds no evaluation"),
            (["before", "after", "--measure", "hits@10"], "success@10"),
            (["before", "after", "--measure", "success@7"], "success@7"),
        ],
    )
    def test_bad_input(self, arguments: list[str], said: str, run: Run, runs: None) -> None:
        code, _, err = run("eval", "compare", *arguments)
        assert code == 1
        assert said in err

    def test_runs_in_different_languages(self, run: Run, runs: None, captions: Path) -> None:
        run("eval", captions, "--language", "en", "--out", "english")
        run("eval", captions, "--language", "de", "--out", "german")
        code, _, err = run("eval", "compare", "english", "german")
        assert code == 1
        assert "6 of 6 queries have the same id but different words" in err

    def test_runs_on_different_sets(self, run: Run, runs: None, catalogue: Path) -> None:
        run("eval", catalogue, "--out", "other")
        code, _, err = run("eval", "compare", "before", "other")
        assert code == 1
        assert "different queries" in err


class TestModels:
    def test_side_by_side_with_the_one_that_cannot_be_loaded(self, run: Run, captions: Path) -> None:
        code, out, _ = run("eval", "models", "colour", "unknown", captions, "--json")
        assert code == 0
        good, bad = json.loads(out)["models"]
        assert good["figures"]["text_to_image success@1"] == 1.0
        assert good["pareto"]
        assert not bad["pareto"]
        assert [bad[name] for name in ("images_per_second", "query_ms", "memory_mib")] == [None] * 3
        assert "no model is called 'unknown'" in bad["error"]

    def test_table(self, run: Run, captions: Path) -> None:
        code, out, err = run("eval", "models", "unknown", "colour", captions)
        assert code == 0
        assert "unknown could not be tried: no model is called 'unknown' (see catalens models)" in out
        assert any(line.startswith("*  colour") for line in out.splitlines())
        assert "Trying colour (2 of 2)" in err

    def test_1_when_none_could_be_tried(self, run: Run, captions: Path) -> None:
        assert run("eval", "models", "unknown", captions)[0] == 1

    def test_a_set_without_a_model(self, run: Run, captions: Path) -> None:
        code, _, err = run("eval", "models", captions)
        assert code == 2
        assert "data set" in err


class TestThroughTheCollection:
    def test_figures_and_the_name_of_the_search(self, run: Run, catalogue: Path, collection: Path) -> None:
        code, out, _ = run("eval", catalogue, "--collection", collection, "--json")
        assert code == 0
        found = json.loads(out)
        assert found["search"] == "collection (image exact-fp16, text exact-fp16)"
        assert found["model"] == "colour"
        assert found["text_to_image"]["success@1"] == found["image_to_text"]["success@1"] == 1.0

    def test_by_text(self, run: Run, catalogue: Path, collection: Path) -> None:
        asked = catalogue.parent / "asked.csv"
        asked.write_text("query,item_id\nsomething red,P0\n")
        options = ("--collection", collection, "--by", "text", "--json")
        found = json.loads(run("eval", catalogue, "--queries", asked, *options)[1])
        assert found["search"] == "collection (text exact-fp16)"

    def test_by_text_titles_would_find_themselves(self, run: Run, catalogue: Path, collection: Path) -> None:
        code, out, err = run("eval", catalogue, "--collection", collection, "--by", "text", "--json")
        assert (code, out) == (1, "")
        assert "they would find themselves: 6 of 6" in err

    def test_another_model_than_the_collection_s(self, run: Run, catalogue: Path, collection: Path) -> None:
        code, out, err = run("eval", catalogue, "--collection", collection, "--model", "forgetful")
        assert (code, out) == (1, "")
        assert "forgetful" in err
        assert "colour" in err

    def test_images_that_the_collection_lacks(self, run: Run, captions: Path, collection: Path) -> None:
        Image.new("RGB", (16, 16), "white").save(captions.parent / "white.png")
        with captions.open("a") as file:
            file.write(json.dumps({"image": "white.png", "split": "val", "en": ["white"], "de": ["weiss"]}) + "\n")
        code, out, err = run("eval", captions, "--collection", collection, "--json")
        assert (code, out) == (1, "")
        assert "1 of 7 images of the set are not in" in err
        assert "'white.png'" in err


class TestDoctor:
    def test_healthy(self, run: Run, collection: Path) -> None:
        code, out, _ = run("doctor", "--collection", collection)
        assert code == 0
        assert "nothing to change" in out

    def test_json(self, run: Run, collection: Path) -> None:
        found: dict[str, Any] = json.loads(run("doctor", "--collection", collection, "--json")[1])
        assert not found["broken"]
        assert found["index"]["image"]["recall@10"] == {
            "image_queries": {"queries": 6, "recall": 1.0},
            "text_queries": {"queries": 6, "recall": 1.0},
        }

    def test_a_flipped_bit_is_1(self, run: Run, collection: Path) -> None:
        file = next((collection / "index").glob("image-*.faiss"))
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        code, out, _ = run("doctor", "--collection", collection)
        assert code == 1
        assert f"image index: index/{file.name} is damaged; exact search" in out
        assert "catalens index" in out

    def test_the_command_that_it_names_mends_the_index(self, run: Run, catalogue: Path, collection: Path) -> None:
        next((collection / "index").glob("image-*.faiss")).unlink()
        assert run("doctor", "--collection", collection)[0] == 1
        assert run("index", catalogue, "--collection", collection)[0] == 0
        assert run("doctor", "--collection", collection)[0] == 0

    def test_no_collection(self, run: Run) -> None:
        code, _, err = run("doctor")
        assert code == 1
        assert "no collection" in err


def test_floors_apply_to_the_only_direction(run: Run, catalogue: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "asked.csv"
    pairs.write_text("query,item_id\nblue,P2\n")
    assert run("eval", catalogue, "--queries", pairs, "--fail-under", "success@1=1")[0] == 0
    assert run("eval", catalogue, "--queries", pairs, "--fail-under", "text_to_image:success@1=1.1")[0] == 1


def test_the_parser_costs_nothing_heavy() -> None:
    program = "import sys, api.cli; print(*sys.modules)"
    root = Path(cli.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert {"numpy", "torch", "faiss", "sqlalchemy", "rich", "PIL"}.isdisjoint(done.stdout.split())
