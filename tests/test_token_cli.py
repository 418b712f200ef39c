"""`catalens index --rerank-tokens`, `catalens index --add-tokens`, and what `catalens status` says of tokens."""

import json
from pathlib import Path

import pytest

from indexer.add_tokens import CHANGED
from tests.command_line import Run, runner
from tests.fakes import ColourEncoder, PlaceEncoder
from tests.test_token_storage import paint, shop

__all__ = ["shop"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`catalens ARGUMENTS` in an empty folder, with the fake encoder; `plain` is a model without tokens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CATALENS_COLLECTION", raising=False)
    monkeypatch.setattr(
        "retrieval.encoders.load_encoder",
        lambda name, **_: ColourEncoder(name) if name == "plain" else PlaceEncoder(name),
    )
    return runner(monkeypatch, capsys)


def tokens_line(run: Run) -> str:
    return next(line for line in run("status")[1].splitlines() if line.startswith("rerank tokens")).rstrip()


def test_indexing_with_tokens_and_what_status_says(run: Run, shop: Path) -> None:
    assert run("index", shop)[0] == 0
    assert tokens_line(run).split()[2:] == ["none"]
    code, _, told = run("index", shop, "--rerank-tokens")
    assert code == 0
    assert "3 of 3 photos have no tokens for reranking; add them with: catalens index --add-tokens" in told
    assert run("index", "--add-tokens")[0] == 0
    assert tokens_line(run).endswith("3 photos, 3 texts, 20 bytes a photo")
    said = json.loads(run("status", "--json")[1])["tokens"]
    spec = PlaceEncoder("starter").token_spec
    assert spec is not None
    assert said == {"fingerprint": spec.fingerprint, "photos": 3, "texts": 3, "bytes_per_photo": 20}


def test_a_collection_may_keep_them_from_the_start(run: Run, shop: Path) -> None:
    code, _, told = run("index", shop, "--rerank-tokens")
    assert (code, "no tokens" in told) == (0, False)
    assert tokens_line(run).endswith("3 photos, 3 texts, 20 bytes a photo")


def test_adding_says_what_it_did(run: Run, shop: Path, tmp_path: Path) -> None:
    run("index", shop)
    paint(tmp_path / "a.png", "cyan", "cyan")
    code, out, err = run("index", "--add-tokens", "--json")
    said = json.loads(out)
    assert code == 0
    assert said.pop("seconds") > 0
    problem = {"where": str(tmp_path / "a.png"), "reason": CHANGED}
    counts = {"photos": 2, "texts": 3, "encoded": 2, "failed": 1, "replaced": False}
    assert said == counts | {"problems": [problem]}
    assert "1 photos got no tokens:\n" in err and f"{tmp_path / 'a.png'}: {CHANGED}" in err
    code, out, err = run("index", "--add-tokens")
    assert (code, out) == (1, ""), "nothing was added, and something should have been"
    assert "catalens index: photos=0 texts=0 encoded=0 failed=1 replaced=0 seconds=" in err, "for scripts: numbers"
    assert "error: none of the 1 photos without tokens could be read as they were indexed" in err


def test_a_model_without_tokens_is_a_clear_error(run: Run, shop: Path) -> None:
    code, _, err = run("index", shop, "--rerank-tokens", "--model", "plain")
    assert code == 1 and "error: plain gives no places of a picture, which reranking needs" in err
    assert run("index", shop, "--model", "plain")[0] == 0
    code, _, err = run("index", "--add-tokens")
    assert code == 1 and "error: plain gives no places of a picture" in err and "starter has them" in err


def test_there_must_be_a_collection(run: Run) -> None:
    code, _, err = run("index", "--add-tokens", "--collection", "nowhere")
    assert code == 1 and "nowhere" in err


@pytest.mark.parametrize(
    "further", [["shop.csv"], ["--model", "starter"], ["--rerank-tokens"], ["--retry-failed"], ["--id-column", "id"]]
)
def test_adding_takes_nothing_that_says_what_to_index(run: Run, shop: Path, further: list[str]) -> None:
    code, _, err = run("index", "--add-tokens", *further)
    assert code == 2 and "takes no sources" in err


def test_indexing_needs_a_source(run: Run) -> None:
    code, _, err = run("index")
    assert code == 2 and "name a folder or a file to index" in err and "--add-tokens" not in err
    code, _, err = run("index", "--rerank-tokens")
    assert code == 2 and "for what is indexed already: catalens index --add-tokens" in " ".join(err.split())
