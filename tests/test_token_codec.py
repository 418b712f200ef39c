"""Tokens as bytes: small, near what they were, and never taken when they are damaged."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from retrieval.tokens.codec import pack, pack_rows, padded, rounded, unpack
from retrieval.tokens.value import Tokens

NUMBERS = st.floats(-1000, 1000, width=32)
TOKENS = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), elements=NUMBERS)


@given(TOKENS)
def test_each_number_is_within_a_step_of_what_it_was(tokens: np.ndarray) -> None:
    found = unpack(pack(tokens), tokens.shape[1])
    assert found.dtype == np.float32 and found.shape == tokens.shape
    largest = np.abs(tokens).max(axis=1, keepdims=True)
    # Half a step, and what float16 loses of 127 of them; below 1e-5 a scale has few digits or none.
    assert np.all(np.abs(found - tokens) <= largest * (0.5 / 127 + 2**-11) + 1e-5)


@given(TOKENS)
def test_rounding_again_changes_nothing(tokens: np.ndarray) -> None:
    once = unpack(pack(tokens), tokens.shape[1])
    step = np.abs(once).max(axis=1)
    plain = (step == 0) | (step > 0.01)  # below, the scale itself has few digits
    np.testing.assert_array_equal(unpack(pack(once), tokens.shape[1])[plain], once[plain])


@given(TOKENS, st.data())
def test_a_changed_or_cut_byte_is_found_out(tokens: np.ndarray, data: st.DataObject) -> None:
    packed = bytearray(pack(tokens))
    place = data.draw(st.integers(0, len(packed) - 1))
    cut = bytes(packed[:place])
    packed[place] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(packed), cut, bytes(packed) + b"\0"):
        with pytest.raises(ValueError, match="tokens"):
            unpack(damaged, tokens.shape[1])


def test_a_photo_takes_less_than_ten_thousand_bytes() -> None:
    tokens = np.random.default_rng(0).normal(size=(49, 192)).astype(np.float32)
    assert len(pack(tokens)) == 8 + 49 * (192 + 2) < 16 * 1024


def test_no_tokens_are_tokens_too() -> None:
    assert unpack(pack(np.zeros((0, 192), dtype=np.float32)), 192).shape == (0, 192)


def test_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="3 numbers, not 4"):
        unpack(pack(np.ones((2, 3), dtype=np.float32)), 4)


def test_more_tokens_than_there_can_be_are_refused() -> None:
    packed = pack(np.ones((3, 2), dtype=np.float32))
    assert unpack(packed, 2, most=3).shape == (3, 2)
    with pytest.raises(ValueError, match="3 tokens, more than 2"):
        unpack(packed, 2, most=2)


@pytest.mark.parametrize("scale", [np.nan, np.inf])
def test_scales_that_are_no_numbers_are_refused_though_the_checksum_is_right(scale: float) -> None:
    body = np.array([1, scale], dtype="<f2").tobytes() + bytes(2 * 3)
    with pytest.raises(ValueError, match="damaged"):
        unpack(struct.pack("<HHI", 2, 3, zlib.crc32(body)) + body, 3)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e9])
def test_what_float16_cannot_say_is_refused(wrong: float) -> None:
    tokens = np.ones((2, 3), dtype=np.float32)
    tokens[1, 2] = wrong
    with pytest.raises(ValueError, match="not finite, or larger"):
        pack(tokens)
    both = Tokens(np.stack([np.ones_like(tokens), tokens]), np.array([2, 2]), np.zeros((2, 4), dtype=np.float32))
    assert [row is None for row in pack_rows(both)] == [False, True]


def test_rows_are_padded_behind_their_ends() -> None:
    rows = [np.ones((2, 3), dtype=np.float32), np.zeros((0, 3), dtype=np.float32)]
    tokens, lengths = padded(rows, 3)
    assert lengths.tolist() == [2, 0] and tokens.shape == (2, 2, 3)
    assert padded(rows[1:], 3)[0].shape == (1, 1, 3)  # nobody can attend to nothing
    assert padded([], 3)[0].shape == (0, 1, 3)


def test_rounded_is_what_is_stored_and_read() -> None:
    dice = np.random.default_rng(1)
    given_tokens, lengths = padded([dice.normal(size=(n, 5)).astype(np.float32) for n in (3, 0, 1)], 5)
    tokens = Tokens(given_tokens, lengths, np.ones((3, 2), dtype=np.float32))
    found = rounded(tokens)
    np.testing.assert_array_equal(found.tokens[0], unpack(pack(given_tokens[0]), 5))
    assert not found.tokens[1].any() and not found.tokens[2, 1:].any()
    assert found.lengths.tolist() == [3, 0, 1] and found.vectors is tokens.vectors
    tokens.tokens[0, 1, 2] = np.nan  # would not be stored, and so not be read
    found = rounded(tokens)
    assert found.lengths.tolist() == [0, 0, 1] and not found.tokens[0].any()
