"""`catalens train reranker` as people call it, with real files and an encoder whose right answers are knowable."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from api.cli.training.reranker import _print_figures
from retrieval.encoders.base import DualEncoder
from retrieval.rerankers.registry import KINDS
from tests.command_line import Run, runner
from tests.fakes import ColourEncoder, PlaceEncoder
from tests.test_train_reranker import QUICK as SHORT
from tests.test_train_reranker import places, trained

QUICK = ("--epochs", "6", "--learning-rate", "0.001", "--batch", "8", "--validation", "0.3")


def load(name: str, **_: object) -> DualEncoder:
    return ColourEncoder(name) if name == "plain" else PlaceEncoder(name, blind=name == "blind")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.setattr("retrieval.encoders.load_encoder", load)
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    lines = []
    for one in places().pictures:
        (tmp_path / f"{one.name}.png").write_bytes(one.read())
        lines.append(json.dumps({"image": f"{one.name}.png", "captions": one.texts["caption"]}) + "\n")
    (tmp_path / "data.jsonl").write_text("".join(lines))
    return runner(monkeypatch, capsys)


def test_the_folder_and_what_is_said(run: Run, tmp_path: Path) -> None:
    code, out, err = run("train", "reranker", "data.jsonl", "--base", "places", "--out", "mine", "--json", *QUICK)
    assert code == 0, err
    said = json.loads(out)
    told = json.loads((tmp_path / "mine" / "catalens_reranker.json").read_text())
    assert told["weights"] == said["weights"]
    assert told["settings"] == said["settings"]
    assert (said["settings"]["kind"], said["settings"]["epochs"]) == ("cross_attention", 6)
    assert {one["direction"] for one in said["validation"]["checks"]} == {"text_to_image", "image_to_text"}
    assert "Written to mine" in err


def test_that_it_did_not_help_is_said(run: Run) -> None:
    arguments = ("--base", "blind", "--out", "mine", "--contrast-epochs", "0", "--epochs", "1", "--validation", "0.3")
    code, out, err = run("train", "reranker", "data.jsonl", *arguments, "--learning-rate", "1e-8", "--kind", "gating")
    assert code == 0, err
    assert "first stage" in out
    assert "did not help" in out


def test_which_epoch_is_kept_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = trained(settings=replace(SHORT, contrast_epochs=5, passes=20))
    assert found.fitted.epoch
    _print_figures(found, "places")
    assert f"Epoch {found.fitted.epoch} of 5 had the best success@1" in capsys.readouterr().out
    _print_figures(replace(found, fitted=replace(found.fitted, epoch=0)), "places")
    assert (
        "No epoch of 5 beat places alone on validation; only that hubs are set back helps." in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "--out DIR"),
        (("--out", "mine", "--kind", "other"), 2, "--kind"),
        (("--out", "mine", "--base", "plain"), 1, "gives no tokens"),
        (("--out", "."), 1, "holds no reranker"),
    ],
)
def test_what_goes_wrong_is_said(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    found, _, err = run("train", "reranker", "data.jsonl", *arguments)
    assert found == code, err
    assert said in " ".join(err.split())


def test_a_dry_run_loads_nothing(run: Run, tmp_path: Path) -> None:
    code, out, err = run("train", "reranker", "data.jsonl", "--dry-run", "--json")
    assert code == 0, err
    assert json.loads(out)["data"]["data.jsonl"]["pictures"] == 216
    assert not (tmp_path / "cache").exists()


def test_the_help_names_the_real_defaults_and_kinds(run: Run) -> None:
    from api.cli.training.options import Kind
    from retrieval.training.train_reranker import SETTINGS, VALIDATION

    assert [kind.value for kind in Kind] == list(KINDS)
    said = " ".join(run("train", "reranker", "--help")[1].split())
    for option, value in {
        "--contrast-epochs": SETTINGS.contrast_epochs,
        " --epochs": SETTINGS.epochs,
        "--batch": SETTINGS.batch,
        "--views": SETTINGS.views,
        "--learning-rate": SETTINGS.learning_rate,
        "--validation": VALIDATION,
        "--depth": SETTINGS.depth,
    }.items():
        assert f"otherwise {value}." in said.partition(option)[2].partition("--")[0], option
