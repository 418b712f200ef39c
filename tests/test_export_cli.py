"""`catalens export` and `--runtime` as people use them, and int8 behind its gates."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from safetensors.numpy import load_file

from api.cli import export_commands
from retrieval.encoders import load_encoder
from retrieval.encoders.base import unit_rows
from retrieval.errors import ExportError
from retrieval.evaluation.types import EvaluationImage, EvaluationSet, EvaluationText, Task
from retrieval.runtime import choose, int8, store
from retrieval.runtime.export import export
from retrieval.runtime.gate import EXACT, INT8, INT8_LOSS, Agreement, agreement
from retrieval.runtime.int8 import Trial, try_int8
from retrieval.runtime.openvino_graph import convert
from tests.command_line import Run, runner
from tests.test_openclip import tiny_folder
from tests.test_pipeline import paint
from tests.test_runtime import doctored, tilted


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choose, "_said", set())
    return runner(monkeypatch, capsys)


def test_export_says_what_was_measured_and_what_runs_from_now_on(run: Run, tmp_path: Path) -> None:
    model = str(tiny_folder(tmp_path / "model"))
    for number in range(3):
        paint(tmp_path / "photos" / f"{number}.png", "red")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    code, out, _ = run("export", "--model", model, "--images", str(tmp_path / "photos"), "--json")
    assert code == 0
    found = json.loads(out)
    assert found["model"] == model
    assert found["pictures"] == 3
    assert found["threshold"] == EXACT
    for side in ("image", "text"):
        assert max(one["lowest"] for one in found["gates"][side].values()) >= EXACT
    assert Path(found["folder"]).is_dir()
    assert choose.runtime_of(model).startswith("openvino")
    run("index", str(tmp_path / "photos"), "--model", model, "--collection", str(tmp_path / "shop"))
    code, out, _ = run("status", "--collection", str(tmp_path / "shop"), "--json")
    assert json.loads(out)["runtime"].startswith("openvino (image ")


def test_photos_to_compare_on_are_held_small(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (900, 600)).save(tmp_path / "photos" / "large.png")
    Image.new("RGB", (50, 20)).save(tmp_path / "photos" / "small.png")
    assert sorted(one.size for one in export_commands._pictures(tmp_path / "photos", 32)) == [(50, 20), (128, 85)]


def test_export_in_words(run: Run, tmp_path: Path) -> None:
    code, out, err = run("export", "--model", str(tiny_folder(tmp_path / "model")))
    assert code == 0
    assert "lowest cosine" in out
    assert "runs on OpenVINO from now on" in out
    assert "converting" in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["export", "--model", "startr"], 1, "no model goes by the name 'startr'"),
        (["export", "--images", "nowhere"], 1, "nowhere"),
        (["export", "--int8", "nowhere"], 1, "nowhere"),
        (["search", "red", "--runtime", "cuda"], 2, "there is no runtime 'cuda'"),
        (["index", "photos", "--runtime", "cuda"], 2, "there is no runtime 'cuda'"),
        (["eval", "photos.csv", "--runtime", "cuda"], 2, "there is no runtime 'cuda'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "photos" / "red.png", "red")
    (tmp_path / "photos.csv").write_text("id,title,image\n1,red,photos/red.png\n")
    if arguments[0] == "search":
        model = str(tiny_folder(tmp_path / "model"))
        assert run("index", "photos", "--model", model)[0] == 0
    found, _, err = run(*arguments)
    assert found == code
    assert said in err


# --- gates ---


def test_agreement_is_the_worst_vector() -> None:
    one = np.eye(3, dtype=np.float32)
    other = one.copy()
    other[1] = [0.0, 0.6, 0.8]
    assert agreement(one, other) == Agreement(pytest.approx(0.6), pytest.approx(2.6 / 3))
    assert not agreement(one, np.full((3, 3), np.nan, dtype=np.float32)).reaches(EXACT)


def test_two_vectors_of_nowhere_agree_but_not_one() -> None:
    zero, one = np.zeros((1, 3), dtype=np.float32), np.eye(3, dtype=np.float32)[:1]
    assert agreement(zero, zero).lowest == 1
    assert agreement(zero, one).lowest == 0


@pytest.mark.parametrize(
    ("lowest", "lost", "passed"),
    [
        (INT8, {"text_to_image": INT8_LOSS}, True),
        (0.9999, {"text_to_image": -0.02, "image_to_text": 0.0}, True),
        (INT8 - 1e-4, {"text_to_image": 0.0}, False),
        (0.9999, {"text_to_image": 0.0, "image_to_text": INT8_LOSS + 1e-4}, False),
        (float("nan"), {"text_to_image": 0.0}, False),
    ],
)
def test_int8_must_pass_both_gates(lowest: float, lost: dict[str, float], passed: bool) -> None:
    assert Trial(Agreement(lowest, lowest), lost).passed is passed


def a_set(folder: Path) -> EvaluationSet:
    """Twelve pictures of noise with a text each."""
    dice = np.random.default_rng(0)
    images, texts = [], []
    folder.mkdir()
    for number in range(12):
        path = folder / f"{number}.png"
        Image.fromarray(dice.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
        images.append(EvaluationImage(f"i{number}", path.read_bytes, path))
        texts.append(EvaluationText(f"t{number}", f"picture number {number}"))
    qrels = {f"t{number}": {f"i{number}": 1} for number in range(12)}
    task = Task("text_to_image", tuple(qrels), tuple(image.image_id for image in images), qrels)
    return EvaluationSet("noise", tuple(images), tuple(texts), (task,))


def test_int8_with_and_without_the_package_that_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    name = str(tiny_folder(tmp_path / "model"))
    encoder = load_encoder(name, runtime="torch")
    done = export(encoder)
    before = {path.name for path in done.export.folder.parent.iterdir()}
    if importlib.util.find_spec("nncf") is None:
        with pytest.raises(ExportError, match="needs the package nncf") as caught:
            try_int8(done.export, encoder, a_set(tmp_path / "set"))
        assert "catalens[int8]" in caught.value.hint
    else:
        exported, trials = try_int8(done.export, encoder, a_set(tmp_path / "set"))
        for side, trial in trials.items():
            assert (exported.manifest["graphs"][side]["precision"] == "int8") is trial.passed
    assert {path.name for path in done.export.folder.parent.iterdir()} == before
    assert load_encoder(name).spec == encoder.spec


def test_int8_graphs_are_judged_together_and_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With graphs a little off (1 degree) in place of quantised ones: what is kept must be about those."""
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    name = str(tiny_folder(tmp_path / "model"))
    encoder = load_encoder(name, runtime="torch")
    done = export(encoder)
    done.export.note_passed("of-other-heads")

    def off(path: Path, out: Path, _: object) -> None:
        other: Any = doctored(load_encoder(name, runtime="torch"), path.stem, tilted(1))
        convert(other.graph_sources()[path.stem], out)

    judged: list[set[str]] = []

    def lost(_export: object, _encoder: object, _dataset: object, graphs: Any, before: Any) -> dict[str, float]:
        judged.append(set(graphs))
        return dict.fromkeys(before, 0.0)

    monkeypatch.setattr(int8, "quantise", off)
    monkeypatch.setattr(int8, "_lost", lost)
    _, trials = try_int8(done.export, encoder, a_set(tmp_path / "set"))
    assert [trial.passed for trial in trials.values()] == [True, True]
    assert judged == [{"image"}, {"image", "text"}]
    reopened = store.Export(done.export.folder)
    reopened.check()
    assert not reopened.passed("of-other-heads")
    rows = load_file(reopened.file(store.BANK))
    for side in ("image", "text"):
        assert list(reopened.manifest["gates"][side]) == ["int8"]
        assert 0.9997 < agreement(unit_rows(rows[f"{side}.torch"]), unit_rows(rows[f"{side}.exported"])).mean < 0.9999
    assert choose.runtime_of(name) == "openvino (image int8, text int8)"
    assert not load_encoder(name).graph_sources()  # type: ignore[attr-defined]


def test_int8_waits_for_no_other_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    encoder = load_encoder(str(tiny_folder(tmp_path / "model")), runtime="torch")
    done = export(encoder)
    with (
        FileLock(store.exports_dir() / f".{done.export.folder.name}.lock"),
        pytest.raises(ExportError, match="another process is exporting"),
    ):
        try_int8(done.export, encoder, a_set(tmp_path / "set"))
