"""Folders of trained heads: written whole or not at all, loaded like any model, refused when they do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

import retrieval.encoders
from retrieval.encoders import load_encoder
from retrieval.encoders.base import unit_rows
from retrieval.encoders.heads import save_heads
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers.embedding import EmbeddingTowers, identity_head
from retrieval.encoders.trained import CURVE, FACTS, HEADS, is_trained, load_trained, require_writable, write_trained
from retrieval.errors import CatalensError, EncoderError, FingerprintMismatch, StorageError, UnknownModel
from tests.fakes import ColourEncoder, colour_model
from tests.test_heads import a_head
from tests.test_openclip import tiny_folder


def load(name: str) -> ProjectedEncoder:
    if name != "colour-towers":
        raise UnknownModel(f"no model is called {name!r}", hint="see catalens models")
    return colour_model()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "heads")


def written(out: Path, seed: int = 0) -> Path:
    head = a_head(4, dimension=3, seed=seed)
    write_trained(out, image=head, text=head, towers=colour_model().towers, facts={"seed": seed}, extra={CURVE: b"x"})
    return out


def test_a_written_folder_loads_as_a_model(folder: Path) -> None:
    assert is_trained(folder)
    encoder = load_trained(folder, load)
    assert encoder.spec.name == str(folder)
    assert encoder.spec.dimension == 3
    assert encoder.spec.fingerprint != colour_model().spec.fingerprint
    assert encoder.encode_texts(["red"]).shape == (1, 3)
    assert (folder / CURVE).read_bytes() == b"x"
    assert json.loads((folder / FACTS).read_text())["seed"] == 0


def test_other_heads_have_another_fingerprint(tmp_path: Path) -> None:
    prints = {load_trained(written(tmp_path / str(seed), seed), load).spec.fingerprint for seed in (0, 1)}
    assert len(prints) == 2


def test_load_encoder_recognises_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = a_head(512, dimension=3)
    towers = EmbeddingTowers(load_encoder(str(tiny_folder(tmp_path / "tiny"))))
    image, text = a_head(towers.image_features_dimension), a_head(towers.text_features_dimension)
    assert head.dimension == 3
    write_trained(tmp_path / "on-clip", image=image, text=text, towers=towers, facts={}, extra={})
    monkeypatch.chdir(tmp_path)
    for name in ("on-clip", "./on-clip", str(tmp_path / "on-clip")):
        encoder = load_encoder(name)
        assert isinstance(encoder, ProjectedEncoder)
        assert encoder.spec.name == str(tmp_path / "on-clip")
        assert encoder.encode_texts(["red"]).shape == (1, 8)


def test_identity_heads_on_an_encoder_change_nothing() -> None:
    encoder = ColourEncoder()
    vectors = encoder.encode_texts(["red", "dark blue", ""])
    np.testing.assert_allclose(identity_head(4).apply(vectors), unit_rows(vectors), atol=1e-6)


def test_it_is_written_in_place_of_older_heads_only(folder: Path, tmp_path: Path) -> None:
    before = load_trained(folder, load).spec.fingerprint
    written(folder, seed=1)
    assert load_trained(folder, load).spec.fingerprint != before
    assert [path.name for path in tmp_path.iterdir()] == ["heads"]  # nothing is left beside it

    other = tmp_path / "work"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(EncoderError, match="holds no trained heads") as caught:
        written(other)
    assert "--out" in caught.value.hint
    assert (other / "thesis.txt").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(EncoderError, match="holds no trained heads"):
        require_writable(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert is_trained(written(tmp_path / "empty"))


def test_the_home_folder_is_meant_before_anything_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(EncoderError, match="holds no trained heads"):
        require_writable(Path("~/photos"))
    with pytest.raises(EncoderError, match="holds no trained heads"):
        written(Path("~/photos"))
    assert (tmp_path / "photos" / "mine.jpg").read_bytes() == b"mine"
    written(Path("~/heads"))
    assert is_trained(tmp_path / "heads")


def test_what_was_put_beside_the_heads_is_not_removed(folder: Path) -> None:
    before = load_trained(folder, load).spec.fingerprint
    (folder / "notes.txt").write_text("mine")
    (folder / "more").mkdir()
    with pytest.raises(EncoderError, match=r"holds more, which no training wrote") as caught:
        written(folder, seed=1)
    assert "--out" in caught.value.hint
    assert (folder / "notes.txt").read_text() == "mine"
    assert load_trained(folder, load).spec.fingerprint == before


def test_a_failed_write_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    before = load_trained(folder, load).spec.fingerprint
    head = a_head(4, dimension=3, seed=5)
    with pytest.raises(StorageError):  # a name with a folder that is not there: the disk refuses in the middle
        write_trained(
            folder, image=head, text=head, towers=colour_model().towers, facts={}, extra={"no/such/folder.png": b""}
        )
    assert load_trained(folder, load).spec.fingerprint == before
    assert [path.name for path in tmp_path.iterdir()] == ["heads"]


def facts_of(folder: Path, **changes: object) -> None:
    facts = json.loads((folder / FACTS).read_text()) | changes
    (folder / FACTS).write_text(json.dumps(facts))


def refused(folder: Path) -> CatalensError:
    with pytest.raises(CatalensError) as caught:
        load_trained(folder, load)
    assert caught.value.hint
    return caught.value


def test_a_base_with_other_towers_is_refused_and_both_are_named(folder: Path) -> None:
    with pytest.raises(FingerprintMismatch, match="trained on other towers") as caught:
        load_trained(folder, lambda _: colour_model(towers_hash="d" * 64))
    assert "cccccccccccc" in str(caught.value)
    assert "dddddddddddd" in str(caught.value)
    assert "catalens train heads DATA --base colour-towers" in caught.value.hint


def test_a_base_that_is_missing_is_named(folder: Path) -> None:
    facts_of(folder, base="gone")
    error = refused(folder)
    assert isinstance(error, UnknownModel)
    assert str(folder) in str(error)
    assert "gone" in str(error)


def test_heads_that_were_swapped_are_refused(folder: Path) -> None:
    save_heads(folder / HEADS, image=a_head(4, seed=9), text=a_head(4, seed=9), towers="c" * 64)
    assert "is not the file that" in str(refused(folder))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "does not describe heads"),
        ('{"format": "catalens-trained-9"}', "does not describe heads"),
        ('{"format": "catalens-trained-1"}', "lacks base, towers_hash, heads_sha256"),
    ],
)
def test_facts_that_are_no_facts_are_refused(folder: Path, content: str, said: str) -> None:
    (folder / FACTS).write_text(content)
    assert said in str(refused(folder))


def test_a_folder_without_its_heads(folder: Path) -> None:
    (folder / HEADS).unlink()
    assert "cannot read the heads" in str(refused(folder))


def test_a_folder_that_names_itself_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts_of(folder, base=str(folder))
    assert "which are heads too" in str(refused(folder))
    with pytest.raises(EncoderError, match="which are heads too"):
        retrieval.encoders.load_encoder(str(folder))
