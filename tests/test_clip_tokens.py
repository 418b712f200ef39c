"""CLIP's tokenizer without torch against open_clip's own, id for id."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer, default_bpe

from retrieval.encoders.clip_export import read_tokenizer, write_tokenizer
from retrieval.encoders.clip_tokens import CLEANINGS, Tokens, write_vocabulary
from retrieval.errors import EncoderError
from retrieval.runtime.bank import awkward_texts

PUBLISHED = Path(default_bpe())


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vocabulary") / "merges.txt"
    write_vocabulary(path, PUBLISHED)
    return path


@pytest.fixture(scope="module")
def pair(vocabulary: Path) -> tuple[SimpleTokenizer, Tokens]:
    return SimpleTokenizer(), Tokens(vocabulary, context=77)


@pytest.mark.parametrize("context", [77, 16])
@pytest.mark.parametrize("cleaning", CLEANINGS)
def test_awkward_texts_have_open_clips_ids(vocabulary: Path, cleaning: str, context: int) -> None:
    texts = awkward_texts()
    expected = SimpleTokenizer(clean=cleaning, context_length=context)(texts).numpy()
    found = Tokens(vocabulary, context=context, cleaning=cleaning)(texts)
    assert found.dtype == np.int64
    different = [text for text, a, b in zip(texts, expected, found, strict=True) if not np.array_equal(a, b)]
    assert different == []


def test_the_bank_tells_the_cleanings_apart(vocabulary: Path) -> None:
    found = {Tokens(vocabulary, context=77, cleaning=each)(awkward_texts()).tobytes() for each in CLEANINGS}
    assert len(found) == len(CLEANINGS)


@given(st.lists(st.text(max_size=60), max_size=4))
@settings(max_examples=300, deadline=None)
def test_any_text_has_open_clips_ids(pair: tuple[SimpleTokenizer, Tokens], texts: list[str]) -> None:
    theirs, ours = pair
    np.testing.assert_array_equal(ours(texts), theirs(texts).numpy().reshape(len(texts), 77))


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=80))
@settings(max_examples=300, deadline=None)
def test_plain_text_needs_no_mending(pair: tuple[SimpleTokenizer, Tokens], text: str) -> None:
    """What is taken for plain skips ftfy: it must be what ftfy would leave alone."""
    theirs, ours = pair
    np.testing.assert_array_equal(ours([text]), theirs([text]).numpy())


@pytest.mark.parametrize("options", [{}, {"clean": "canonicalize"}, {"context_length": 20}], ids=str)
def test_a_tokenizer_that_was_written_is_the_same(tmp_path: Path, options: dict[str, object]) -> None:
    theirs = SimpleTokenizer(**options)
    write_tokenizer(tmp_path, theirs, PUBLISHED)
    texts = ["A Red-Mug!", "it's &amp; 紅色", ""]
    np.testing.assert_array_equal(read_tokenizer(tmp_path)(texts), theirs(texts).numpy())


def test_a_tokenizer_with_other_ids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="cannot be had without torch") as caught:
        write_tokenizer(tmp_path, SimpleTokenizer(reduction_mask="simple", context_length=8), PUBLISHED)
    assert "--runtime torch" in caught.value.hint


def test_a_cleaning_that_is_not_known(vocabulary: Path) -> None:
    with pytest.raises(EncoderError, match="'upper'"):
        Tokens(vocabulary, context=77, cleaning="upper")


@pytest.mark.parametrize("damage", ["missing", "no-json", "no-vocabulary", "other-keys"])
def test_a_damaged_folder(tmp_path: Path, damage: str) -> None:
    write_tokenizer(tmp_path, SimpleTokenizer(), PUBLISHED)
    facts = tmp_path / "tokenizer.json"
    if damage == "missing":
        facts.unlink()
    elif damage == "no-vocabulary":
        (tmp_path / "merges.txt").unlink()
    else:
        facts.write_text({"no-json": "{", "other-keys": "{}"}[damage])
    with pytest.raises(EncoderError, match="cannot read"):
        read_tokenizer(tmp_path)
