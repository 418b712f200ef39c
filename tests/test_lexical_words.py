"""Words as rows and queries compare them."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.lexical import MAX_WORD, STOP_WORDS, Term, is_beginning, phrase, terms, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Red SHOES, size 42", "red shoes size 42"),
        ("FÅTÖLJ Kraków İstanbul straße Ærø", "fatolj krakow istanbul strasse aero"),
        ("fa\u030atolj", "fatolj"),
        ("Ёлка фо\u0301то", "елка фото"),
        ("Men's women’s children", "man woman child"),
        ("kids' toys", "kids toys"),
        ("l'eau rock'n'roll", "l eau rock n roll"),
        ("T-shirt", "t shirt tshirt"),
        ("--a- 'b' - '", "a b"),
        ("\uff34\uff33\uff28\uff29\uff32\uff34 ﬁne", "tshirt fine"),
        ("红裙子", "红裙 裙子 子"),
        ("手机壳iPhone 猫", "手机 机壳 壳 iphone 猫"),
        ("赤いドレス", "赤い いド ドレ レス ス"),
        ("\uff84\uff9e\uff9a\uff7d", "ドレ レス ス"),
        ("빨간 드레스", "빨간 간 드레 레스 스"),
        ("เสื้อ", "เสื้ สื้อ อ"),
        ("लाल साड़ी", "लाल साड़ी"),
        ("فُستَان", "فستان"),
        ("a\0b \ud800c ☕", "a b c"),
        ("", ""),
        ("☕ — !?", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert " ".join(words(text)) == expected


def test_a_pasted_key_is_cut() -> None:
    assert [len(word) for word in words("x" * 5_000 + " " + "é" * 5_000)] == [MAX_WORD, MAX_WORD]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red shoes", [("red",), ("shoes",)]),
        ("red, RED", [("red",)]),
        ("a dress for the beach", [("dress",), ("beach",)]),
        ("the who", [("who",)]),
        ("to the", [("to",), ("the",)]),
        ("红裙子", [("红裙",), ("裙子",)]),
        ("猫", [("猫",)]),
        ("?!", []),
    ],
)
def test_terms(text: str, expected: list[tuple[str, ...]]) -> None:
    assert [term.alternatives for term in terms(text)] == [(words,) for words in expected]


def test_hyphens_may_be_left_out_of_a_row() -> None:
    assert terms("t-shirt", weight=0.5) == (Term((("t", "shirt"), ("tshirt",)), 0.5),)


def test_a_phrase_ends_where_its_last_word_may_go_on() -> None:
    assert phrase("dark blue") == ("dark", "blue")
    assert phrase("连衣裙") == ("连衣", "衣裙")
    assert phrase("猫") == ("猫",)
    assert phrase("红裙 xl") == ("红裙", "裙", "xl")
    assert phrase("!") == ()


def test_empty_alternatives_are_left_out() -> None:
    assert Term(((), ("red",))).alternatives == (("red",),)


@pytest.mark.parametrize(("word", "begins"), [("猫", True), ("สื้", True), ("猫猫", False), ("a", False), ("", False)])
def test_a_lone_character_without_blanks_is_a_beginning(word: str, begins: bool) -> None:
    assert is_beginning(word) is begins


ANY_TEXT = st.text(st.characters(max_codepoint=sys.maxunicode, exclude_categories=()), max_size=40)


@given(ANY_TEXT)
def test_words_hold_nothing_that_parts_words(text: str) -> None:
    for word in words(text):
        assert word
        assert not any(character in word for character in "\0\"'-*^:(){}+ \n")
        word.encode()


@given(ANY_TEXT)
def test_a_text_has_all_that_it_is_asked_for(text: str) -> None:
    """Each term of a query finds the row that is the query."""
    row = words(text)
    for term in terms(text):
        for alternative in term.alternatives[:1]:
            length = len(alternative)
            runs = [tuple(row[place : place + length]) for place in range(len(row))]
            assert alternative in runs or (length == 1 and any(word.startswith(alternative[0]) for word in row))


def test_stop_words_are_words() -> None:
    assert all(words(word) == [word] for word in STOP_WORDS)
