"""A reranker's folder: written whole, and refused in plain words when something is wrong with it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from retrieval.encoders import load_encoder
from retrieval.encoders.base import TokenEncoder
from retrieval.errors import EncoderError, QueryError, StorageError, WeightsUnavailable
from retrieval.rerankers import default_reranker, load_reranker
from retrieval.rerankers import folder as folders
from retrieval.rerankers.folder import DESCRIPTION, WEIGHTS, read, require_writable, write
from retrieval.rerankers.registry import KINDS
from retrieval.tokens.value import Tokens
from tests.reranked import DIMENSION, SMALL, spec_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "mine", module(), spec_of("maxsim"), extra={"curve.png": b"png"})
    return tmp_path / "mine"


def module(seed: int = 1) -> Any:
    return KINDS["maxsim"](SMALL, DIMENSION, seed)


def change(folder: Path, **fields: Any) -> None:
    told = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps(told | fields))


def test_what_is_told_comes_back(folder: Path) -> None:
    spec, wanted = load_reranker(str(folder), runtime="torch").spec, spec_of("maxsim")
    assert (spec.name, spec.kind, spec.tokens) == (str(folder), "maxsim", SMALL)
    assert (spec.weights, spec.margins, spec.facts) == (wanted.weights, wanted.margins, wanted.facts)
    assert spec.weights_hash == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    assert sorted(path.name for path in folder.iterdir()) == ["catalens_reranker.json", "curve.png", WEIGHTS]


def test_the_same_weights_make_the_same_file_and_others_take_its_place(folder: Path) -> None:
    first = (folder / WEIGHTS).read_bytes()
    write(folder, module(), spec_of("maxsim"))
    assert (folder / WEIGHTS).read_bytes() == first
    write(folder, module(2), spec_of("maxsim"))
    assert (folder / WEIGHTS).read_bytes() != first
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", [DESCRIPTION, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(WeightsUnavailable, match=name) as caught:
        load_reranker(str(folder))
    assert caught.value.hint


def test_weights_that_were_changed_are_refused(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(EncoderError, match=r"is not the file that catalens_reranker\.json names"):
        load_reranker(str(folder))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"format": "catalens-reranker-0"}, "does not describe a reranker of format"),
        ({"kind": "magic"}, "there is no kind 'magic'"),
        ({"kind": ["maxsim"]}, "there is no kind"),
        ({"dimension": 0}, "dimension is not a number from 1"),
        ({"dimension": True}, "dimension is not a number from 1"),
        ({"tokens": []}, "tokens is not an object"),
        ({"tokens": SMALL.to_json() | {"places": 10**9}}, "places is not a number from 1"),
        ({"tokens": SMALL.to_json() | {"encoder": 5}}, "encoder is not a word"),
        ({"weights_sha256": None}, "weights_sha256 is not a word"),
        ({"weights": {"text_to_image": 1}}, "weights has no finite number for image_to_text"),
        ({"margins": {"text_to_image": 1, "image_to_text": float("nan")}}, "margins has no finite number"),
        ({"kind": "gating"}, "do not fit the kind gating"),
        ({"dimension": DIMENSION + 1}, "do not fit the kind maxsim"),
    ],
    ids=str,
)
def test_a_damaged_description_is_refused(folder: Path, fields: dict[str, Any], complaint: str) -> None:
    change(folder, **fields)
    with pytest.raises(EncoderError, match=complaint) as caught:
        load_reranker(str(folder), runtime="torch")
    assert caught.value.hint


def test_a_description_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / DESCRIPTION).write_bytes(b"\xff{")
    with pytest.raises(EncoderError, match="is not JSON"):
        load_reranker(str(folder))


@pytest.mark.parametrize("rubbish", [b"", b"no tensors"])
def test_weights_that_are_no_tensors_are_refused(folder: Path, rubbish: bytes) -> None:
    (folder / WEIGHTS).write_bytes(rubbish)
    change(folder, weights_sha256=hashlib.sha256(rubbish).hexdigest())
    with pytest.raises(EncoderError, match="do not fit the kind maxsim"):
        load_reranker(str(folder), runtime="torch")


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["offset"].fill_(torch.nan)
    save_file(tensors, folder / WEIGHTS)
    change(folder, weights_sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())
    with pytest.raises(EncoderError, match="not all finite"):
        load_reranker(str(folder), runtime="torch")


def test_weights_that_float16_cannot_hold_are_not_written(tmp_path: Path) -> None:
    large = module()
    torch.nn.init.constant_(large.scale, 1e6)
    with pytest.raises(EncoderError, match="scale are not finite in float16"):
        write(tmp_path / "large", large, spec_of("maxsim"))
    assert not list(tmp_path.iterdir())


def test_somebodys_work_is_not_written_over(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "letter.txt").write_text("dear")
    with pytest.raises(EncoderError, match="holds no reranker"):
        require_writable(tmp_path / "theirs")
    (folder / "letter.txt").write_text("dear")
    with pytest.raises(EncoderError, match=r"letter\.txt, which is no part"):
        write(folder, module(2), spec_of("maxsim"))
    (tmp_path / "file").write_text("")
    with pytest.raises(EncoderError, match="holds no reranker"):
        require_writable(tmp_path / "file")


def test_a_disk_that_refuses_leaves_the_old_one(tmp_path: Path, folder: Path) -> None:
    before = (folder / WEIGHTS).read_bytes()
    with pytest.raises(StorageError):
        write(folder, module(2), spec_of("maxsim"), extra={"no/such/folder": b""})
    assert (folder / WEIGHTS).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_unknown_runtime_is_refused(folder: Path) -> None:
    with pytest.raises(QueryError, match="no runtime 'abacus'"):
        load_reranker(str(folder), runtime="abacus")


def test_the_built_in_one_goes_with_its_encoder_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "ASSETS", folder)
    assert default_reranker(SMALL.encoder) is None  # none is built in
    (folder / DESCRIPTION).rename(folder / "starter.json")
    (folder / WEIGHTS).rename(folder / "starter.safetensors")
    assert default_reranker(SMALL.encoder) == "starter"
    assert default_reranker("f" * 16) is None
    assert load_reranker("starter", runtime="torch").spec.name == "starter"


class TestBuiltIn:
    @pytest.mark.model
    def test_it_reads_the_starters_tokens_as_they_are_now(self) -> None:
        starter = load_encoder("starter")
        assert isinstance(starter, TokenEncoder)
        found = read("starter").spec
        assert found.tokens == starter.token_spec
        assert default_reranker(starter.spec.fingerprint) == "starter"

    def test_it_won_on_validation_in_both_directions_and_is_small(self) -> None:
        found = read("starter")
        assert len(found.weights) <= 4_000_000
        assert found.spec.kind == "cross_attention"
        for check in found.spec.facts["validation"]["checks"]:
            assert check["reranked"]["success@1"] > check["first_stage"]["success@1"] + 0.02
            assert found.spec.weights[check["direction"]] > 0

    def test_its_weights_fit_and_say_something(self) -> None:
        reranker = load_reranker("starter", runtime="torch")
        tokens = read("starter").spec.tokens
        rng = np.random.default_rng(0)

        def side(places: int, width: int) -> Tokens:
            vectors = rng.normal(size=(8, 512))
            return Tokens(
                rng.normal(size=(8, places, width)).astype(np.float32),
                np.full(8, places, dtype=np.int64),
                (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
            )

        assert reranker.match(side(9, tokens.text_width), side(tokens.places, tokens.image_width)).std() > 0.1
