"""`catalens train heads` as people call it, with real files and towers whose right answers are knowable."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from retrieval.encoders.trained import is_trained, load_trained
from retrieval.errors import UnknownModel
from tests.command_line import Run, runner
from tests.dataset_files import as_karpathy, as_token, write_lines
from tests.fakes import COLOURS, ColourEncoder, ColourTowers, colour_model
from tests.training_data import photo, write_captions, write_catalogue

QUICK = ("--epochs", "30", "--learning-rate", "0.02", "--batch", "16", "--validation", "0.3")


class StuckTowers(ColourTowers):
    """Never comes to the end of a second batch of pictures, so that a test can stop it half-way."""

    batches = 0

    def image_features(self, pixels: "Sequence[object]") -> FloatArray:  # type: ignore[override]
        self.batches += 1
        if self.batches > 1:
            time.sleep(600)
        return super().image_features(pixels)  # type: ignore[arg-type]


def load(name: str, **_: object) -> DualEncoder:
    if is_trained(Path(name)):
        return load_trained(Path(name), load)
    if name == "unknown":
        raise UnknownModel("no model is called 'unknown'", hint="see catalens models")
    if name == "plain":
        return ColourEncoder(name)
    encoder = colour_model(name)
    if name == "stuck":
        encoder.towers = StuckTowers(name)
    return encoder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`catalens ARGUMENTS` in this process: its exit code, stdout and stderr."""
    monkeypatch.setattr("retrieval.encoders.load_encoder", load)
    monkeypatch.delenv("CATALENS_COLLECTION", raising=False)
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def test_the_whole_way(run: Run, tmp_path: Path) -> None:
    """Train on a catalogue, then evaluate, index and search with the folder as a model."""
    catalogue = write_catalogue(tmp_path, 120)
    code, out, err = run("train", "heads", catalogue, "--base", "colours", "--out", "mine", *QUICK)
    assert code == 0, err
    lines = out.splitlines()
    assert "120 pictures with 174 different texts (120 title, 27 description, 27 attributes)" in lines[0]
    assert "together: 120 pictures, " in lines[1]
    (mean,) = (line.split() for line in lines if line.startswith("mean"))
    assert float(mean[2]) > float(mean[1]) + 0.2
    assert "had the best success@1 on validation" in lines[-2]
    assert lines[-1].startswith("With only ")
    assert lines[-1].endswith(" points may be chance.")
    assert "120 pictures and 174 texts encoded" in err
    assert list((tmp_path / "cache" / "features").rglob("*.safetensors"))

    def success(model: str) -> float:
        code, out, err = run("eval", catalogue, "--queries", "attributes", "--model", model, "--json")
        assert code == 0, err
        return float(json.loads(out)["text_to_image"]["success@1"])

    assert success("mine") > success("colours") + 0.2

    assert run("index", catalogue, "--model", "mine", "--collection", "c")[0] == 0
    code, out, err = run("status", "--collection", "c", "--json")
    assert json.loads(out)["model"] == str(tmp_path / "mine")


def test_json_says_all_of_it(run: Run, tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path)
    code, out, err = run("train", "heads", catalogue, "--base", "colours", "--out", "mine", "--json", *QUICK)
    assert code == 0, err
    said = json.loads(out)
    facts = json.loads((tmp_path / "mine" / "catalens_heads.json").read_text())
    assert facts["base"] == "colours"
    assert facts["towers_hash"] == "c" * 64
    for key in ("started_from", "pictures", "settings", "best_epoch", "validation", "history", "versions"):
        assert said[key] == facts[key]
    assert said["settings"]["seed"] == 0
    assert set(said["seconds"]) == {"features", "training"}
    ((source, counts),) = facts["data"].items()
    assert source.endswith("products.csv")
    assert (counts["pictures"], counts["title texts"]) == (48, 48)
    assert {check["group"] for check in facts["validation"]["checks"]} == {"title", "description", "attributes"}
    assert "mug" in err or "together: 48 pictures" in err


def test_a_catalogue_is_described_as_people_ask(tmp_path: Path) -> None:
    from indexer.training_data import read_training_data

    data = read_training_data([str(write_catalogue(tmp_path))], cache_dir=tmp_path, on_message=print)
    first, fifth = data.pictures[0], data.pictures[4]
    assert first.texts == {
        "title": ("Mug 0 red",),
        "description": ("Holds tea and is red.", "mug, red, Holds tea and is red."),
        "attributes": ("red mug", "mug, red"),
    }
    assert fifth.texts["attributes"] == ("purple",)  # it has no type
    assert first.item == "P0"


def test_sets_are_joined(run: Run, tmp_path: Path) -> None:
    captions, catalogue = write_captions(tmp_path), write_catalogue(tmp_path)
    code, out, err = run("train", "heads", captions, catalogue, "--base", "colours", "--out", "mine", *QUICK)
    assert code == 0, err
    assert "together: 96 pictures" in out
    assert "48 had the bytes of another" in out  # the same photos, once captioned and once for sale


def test_every_format_that_eval_reads_gives_pairs(tmp_path: Path) -> None:
    from indexer.training_data import read_training_data

    captions = {f"images/{at}.png": [f"photo {at}", f"a {colour} wall"] for at, colour in enumerate(COLOURS)}
    for at, colour in enumerate(COLOURS):
        photo(tmp_path / "images" / f"{at}.png", colour, at)
    karpathy, token = as_karpathy(tmp_path, captions, split="train"), as_token(tmp_path, captions)
    lines = [{"image": name, "split": "train", "en": own, "de": ["Wand"]} for name, own in captions.items()]
    several = write_lines(tmp_path / "several.jsonl", lines)
    for path in (karpathy, token):
        data = read_training_data([str(path)], cache_dir=tmp_path, on_message=print)
        assert [one.texts for one in data.pictures] == [{"caption": tuple(own)} for own in captions.values()]
    data = read_training_data([str(several)], cache_dir=tmp_path, on_message=print, languages=["en", "de"])
    assert data.languages == ("en", "de")
    assert [one.texts for one in data.pictures] == [{"en": tuple(own), "de": ("Wand",)} for own in captions.values()]


def test_a_split_to_judge_by_is_never_trained_on(run: Run, tmp_path: Path) -> None:
    train = write_captions(tmp_path / "a", 40, split="train").read_text().replace("photos/", "a/photos/")
    test = write_captions(tmp_path / "b", 20, split="test").read_text().replace("photos/", "b/photos/")
    (tmp_path / "both.jsonl").write_text(train + test)
    assert "together: 40 pictures" in run("train", "heads", "both.jsonl", "--dry-run")[1]
    assert "together: 20 pictures" in run("train", "heads", "both.jsonl", "--dry-run", "--split", "test")[1]
    (tmp_path / "other.jsonl").write_text(train.replace('"train"', '"val"') + test)
    code, _, err = run("train", "heads", "other.jsonl", "--dry-run")
    assert code == 1
    assert "none is called train" in err


def test_a_dry_run_reads_no_picture_and_loads_no_model(run: Run, tmp_path: Path) -> None:
    captions = write_captions(tmp_path)
    for path in (tmp_path / "photos").iterdir():
        path.write_bytes(b"broken")
    code, out, err = run("train", "heads", captions, "--dry-run", "--base", "unknown", "--json")
    assert code == 0, err
    assert json.loads(out)["data"] == {str(captions): {"pictures": 48, "texts": 18, "caption texts": 18}}
    assert not (tmp_path / "cache").exists()


def test_a_second_run_encodes_nothing_and_an_added_photo_only_itself(run: Run, tmp_path: Path) -> None:
    def encoded(n: int) -> str:
        captions = write_captions(tmp_path, n)
        code, _, err = run("train", "heads", captions, "--base", "colours", "--out", "mine", "--cache", "kept", *QUICK)
        assert code == 0, err
        return next(line for line in err.splitlines() if "encoded" in line).partition(" encoded")[0]

    assert encoded(48) == "48 pictures and 18 texts"
    assert encoded(48) == "0 pictures and 0 texts"
    assert encoded(49) == "1 pictures and 0 texts"


def test_pictures_that_cannot_be_read_are_counted(run: Run, tmp_path: Path) -> None:
    captions = write_captions(tmp_path)
    (tmp_path / "photos" / "3.png").write_bytes(b"broken")
    (tmp_path / "photos" / "4.png").unlink()
    code, out, err = run("train", "heads", captions, "--base", "colours", "--out", "mine", *QUICK)
    assert code == 0, err
    assert "1 pictures could not be read and were left out" in err
    assert "photos/3.png: " in err
    assert "1 of 48 images are missing" in out


def test_a_base_that_is_never_beaten_is_kept_and_said(run: Run, tmp_path: Path) -> None:
    captions = write_captions(tmp_path)
    code, out, err = run("train", "heads", captions, "--base", "plain", "--out", "mine", *QUICK)
    assert code == 0, err
    assert "Training did not beat plain on validation" in out
    assert not json.loads((tmp_path / "mine" / "catalens_heads.json").read_text())["improved"]


@pytest.mark.parametrize(
    ("arguments", "code", "said", "hint"),
    [
        (["captions.jsonl"], 2, "--out DIR", ""),
        (["captions.jsonl", "--out", "mine", "--loss", "l2"], 2, "--loss", ""),
        (["captions.jsonl", "--out", "mine", "--validation", "1"], 2, "--validation", ""),
        (["captions.jsonl", "--out", "mine", "--base", "unknown"], 1, "no model is called 'unknown'", "models"),
        (["captions.jsonl", "--out", "photos"], 1, "holds no trained heads", "--out"),
        (["nowhere.csv", "--out", "mine"], 1, "there is nothing at nowhere.csv", "path"),
        (["captions.jsonl", "--out", "mine", "--split", "test"], 1, "no splits", "--split"),
        (["same.csv", "--out", "mine"], 1, "have the same text", "text"),
        (["few.csv", "--out", "mine"], 1, "at least 8 are needed", "--validation"),
        (["textless.csv", "--out", "mine"], 1, "textless.csv", "photo"),
    ],
)
def test_what_goes_wrong_is_said(
    run: Run, tmp_path: Path, arguments: list[str], code: int, said: str, hint: str
) -> None:
    write_captions(tmp_path)
    rows = [f"P{at},Mug,photos/{at}.png\n" for at in range(48)]
    (tmp_path / "same.csv").write_text("sku,name,image\n" + "".join(rows))
    (tmp_path / "few.csv").write_text("sku,name,image\n" + "".join(rows[:6]))
    (tmp_path / "textless.csv").write_text("sku,name,image\nP1,Mug,\n")
    found, _, err = run("train", "heads", *arguments, *(("--base", "colours") if "--base" not in arguments else ()))
    assert found == code, err
    assert said in " ".join(err.split())
    assert hint in err.splitlines()[-1]
    assert not (tmp_path / "mine").exists()


def test_ctrl_c_keeps_the_features_and_writes_no_folder(tmp_path: Path) -> None:
    captions = write_captions(tmp_path, 150)
    program = """
import signal, sys, retrieval.encoders
from api.cli import main
from tests.test_training_cli import load
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background may have it ignored
retrieval.encoders.load_encoder = load
main()
"""
    arguments = ["train", "heads", str(captions), "--base", "stuck", "--out", "mine", "--cache", "kept"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "kept").rglob("*.safetensors")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "No heads were written" in err
    assert not [path for path in tmp_path.iterdir() if "mine" in path.name]
    assert list((tmp_path / "kept").rglob("*.safetensors"))
    assert not list((tmp_path / "kept").rglob("*.part"))


def test_the_help_names_the_real_defaults(run: Run) -> None:
    from retrieval.training.train_heads import SETTINGS, VALIDATION

    said = " ".join(run("train", "heads", "--help")[1].split())
    for option, value in {
        "--epochs": SETTINGS.epochs,
        "--batch": f"{SETTINGS.batch:,}",
        "--learning-rate": SETTINGS.learning_rate,
        "--validation": VALIDATION,
    }.items():
        assert f"otherwise {value}." in said.partition(option)[2].partition("--")[0], option


# --- fingerprints --------------------------------------------------------------------------------------------


@pytest.fixture
def trained(run: Run, tmp_path: Path) -> Path:
    """A folder of heads, and a collection that was indexed with it."""
    captions = write_captions(tmp_path)
    assert run("train", "heads", captions, "--base", "colours", "--out", "mine", *QUICK)[0] == 0
    assert run("index", tmp_path / "photos", "--model", "mine", "--collection", "c")[0] == 0
    return tmp_path / "mine"


def prints(trained: Path) -> tuple[str, str]:
    return load("colours").spec.fingerprint, load(str(trained)).spec.fingerprint


def test_indexing_with_another_model_is_refused(run: Run, trained: Path, tmp_path: Path) -> None:
    other, own = prints(trained)
    code, _, err = run("index", tmp_path / "photos", "--model", "colours", "--collection", "c")
    assert code == 1
    assert own in err
    assert other in err
    assert "another --collection" in err


def test_evaluating_a_collection_with_another_model_is_refused(run: Run, trained: Path, tmp_path: Path) -> None:
    other, own = prints(trained)
    code, _, err = run("eval", tmp_path / "captions.jsonl", "--collection", "c", "--model", "colours")
    assert code == 1
    assert own in err
    assert other in err


def test_heads_trained_again_after_indexing_are_noticed(
    run: Run, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.search.load_encoder", load)
    assert run("search", "red", "--collection", "c")[0] == 0
    _, before = prints(trained)
    captions = tmp_path / "captions.jsonl"
    assert run("train", "heads", captions, "--base", "colours", "--out", "mine", "--seed", "5", *QUICK)[0] == 0
    _, after = prints(trained)
    assert before != after
    for command in (["search", "red"], ["index", str(tmp_path / "photos")], ["eval", str(captions)]):
        code, _, err = run(*command, "--collection", "c")
        assert code == 1, command
        assert before in err
        assert after in err
        assert "trained again" in err
        assert f"catalens index SOURCE --model {trained} --collection" in err


def test_a_collection_whose_trained_folder_is_gone_says_so(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import retrieval.encoders

    monkeypatch.undo()
    monkeypatch.chdir(trained.parent)
    trained.rename(trained.with_name("moved"))
    with pytest.raises(UnknownModel, match="there is no folder"):
        retrieval.encoders.load_encoder(str(trained))


@pytest.mark.model
def test_on_the_starter_with_a_real_catalogue(tmp_path: Path) -> None:
    """The command in a process of its own: real towers, real heads, the folder loads where it is named."""
    for at, colour in enumerate([*COLOURS] * 3):
        photo(tmp_path / "photos" / f"{at}.png", colour, at)
    with (tmp_path / "shop.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "name", "color", "type", "image"])
        writer.writerows(
            [f"P{at}", f"{colour} tile {at}", colour, "tile", f"photos/{at}.png"]
            for at, colour in enumerate([*COLOURS] * 3)
        )
    Image.new("RGB", (40, 30), "red").save(tmp_path / "asked.png")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "XDG_CACHE_HOME": str(tmp_path / "c")}

    def catalens(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from api.cli import main; main()", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = catalens("train", "heads", "shop.csv", "--out", "mine", "--epochs", "2", "--validation", "0.4", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["started_from"]["model"] == "starter"
    done = catalens("eval", "shop.csv", "--model", "mine", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == str(tmp_path / "mine")


@pytest.mark.parametrize("titled", [True, False])
def test_file_names_in_place_of_titles_are_said(tmp_path: Path, titled: bool) -> None:
    from indexer.training_data import read_training_data

    for at in range(3):
        photo(tmp_path / "shop" / f"IMG_000{at}.png", "red", at)
    rows = [f"P{at},Red {at},shop/IMG_000{at}.png" for at in range(3)]
    table = tmp_path / "products.csv"
    table.write_text("\n".join([f"sku,{'name' if titled else 'other'},image", *rows]) + "\n")
    for path in (table,) if titled else (table, tmp_path / "shop"):
        notes = read_training_data([str(path)], cache_dir=tmp_path, on_message=print).notes
        assert any("no titles; the words of 3 file names" in note for note in notes) is not titled


def test_the_runtime_is_passed_on_and_written_down(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def noted(name: str, **options: object) -> DualEncoder:
        asked.append(options)
        return load(name)

    monkeypatch.setattr("retrieval.encoders.load_encoder", noted)
    captions = write_captions(tmp_path)
    code, _, err = run("train", "heads", captions, "--base", "colours", "--out", "mine", "--runtime", "torch", *QUICK)
    assert code == 0, err
    assert asked == [{"runtime": "torch", "pictures": 48}]
    assert json.loads((tmp_path / "mine" / "catalens_heads.json").read_text())["runtime"] == "torch"
