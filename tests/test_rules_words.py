"""Which queries are equal, and the other ways to say one."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.rules.lookup import Lookup
from retrieval.rules.schema import parse
from retrieval.rules.synonyms import MAX_REWRITES, Synonyms
from retrieval.rules.words import QueryMatch, Words, keys


@dataclass(frozen=True)
class ForSome:
    query: QueryMatch | None


def holds(match: QueryMatch, query: str) -> bool:
    return bool(Lookup([ForSome(match)]).holding_for(keys(query)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("red dress", "  Red   DRESS\n"),
        ("red dress", "red, dress!"),
        ("t-shirt", "T shirt"),
        ("Straße", "STRASSE"),
        ("café", "cafe\u0301"),
        ("１２３ ＡＢＣ", "123 abc"),
        ("ﬁne", "fine"),
        ("赤いドレス", "赤いドレス"),
        ("红裙", "红 裙"),
        ("ＤＲＥＳＳ 红裙", "dress红裙"),
    ],
)
def test_equal(one: str, other: str) -> None:
    assert keys(one) == keys(other) != ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("red dress", "dress red"),
        ("red", "reds"),
        ("c", "c++"),
        ("c", "c#"),
        ("10%", "10"),
        ("กา", "กำ"),
        ("a b", "ab"),
    ],
)
def test_different(one: str, other: str) -> None:
    assert keys(one) != keys(other)


@pytest.mark.parametrize("text", ["", " ", "...", "-", "\n\t", "()"])
def test_no_words(text: str) -> None:
    assert keys(text) == ()
    assert not holds(QueryMatch(equal=frozenset({("a",)}), contained=(("a",),)), text)


@pytest.mark.parametrize(
    ("query", "part", "wanted"),
    [
        ("a red dress", "red dress", True),
        ("a red dress", "dress", True),
        ("redress", "dress", False),
        ("dresses", "dress", False),
        ("red summer dress", "red dress", False),
        ("dress red", "red dress", False),
        ("红裙子", "裙子", True),
        ("サマードレス", "ドレス", True),
        ("夏のdress", "dress", True),
        ("dress", "red dress", False),
    ],
)
def test_contains(query: str, part: str, wanted: bool) -> None:
    assert holds(QueryMatch(contained=(keys(part),)), query) is wanted


@settings(deadline=None)
@given(st.text())
def test_words_stand_where_they_are_said_to(text: str) -> None:
    words = Words.of(text)
    assert len(words.keys) == len(words.spans)
    assert all(words.keys)
    ends = [0, *(end for _, end in words.spans)]
    assert all(start >= end for (start, _), end in zip(words.spans, ends, strict=False))
    assert keys(words.text) == words.keys
    assert [keys(words.text[start:end]) for start, end in words.spans] == [(key,) for key in words.keys]


def synonyms(*lines: str) -> Synonyms:
    text = "version: 1\nsynonyms:\n" + "".join(f"- {line}\n" for line in lines)
    return Synonyms(parse(text.encode(), "rules.yaml").synonyms)


def rewrites(query: str, *lines: str) -> list[str]:
    return [one.words for one in synonyms(*lines).rewrites(query)]


class TestSynonyms:
    def test_each_stands_for_the_others(self) -> None:
        assert rewrites("sofa", "[sofa, couch, settee]") == ["sofa", "couch", "settee"]
        assert rewrites("settee", "[sofa, couch, settee]") == ["settee", "sofa", "couch"]

    def test_one_way(self) -> None:
        line = "{from: [trainers, gym shoes], to: [sneakers, running shoes]}"
        assert rewrites("trainers", line) == ["trainers", "sneakers", "running shoes"]
        assert rewrites("gym shoes", line) == ["gym shoes", "sneakers", "running shoes"]
        assert rewrites("sneakers", line) == ["sneakers"]

    def test_the_rest_of_the_query_stays_as_it_is(self) -> None:
        assert rewrites("A  Red SOFA, please!", "[sofa, couch]") == ["A  Red SOFA, please!", "A  Red couch, please!"]

    def test_a_query_without_synonyms_is_itself(self) -> None:
        (one,) = synonyms("[sofa, couch]").rewrites("Sofas  and chairs ")
        assert (one.words, one.weight, one.by) == ("Sofas  and chairs ", 1, ())
        assert synonyms("[sofa, couch]").terms("Sofas and chairs") == ()

    def test_whole_words_only(self) -> None:
        assert rewrites("catalogue", "[cat, kitten]") == ["catalogue"]

    def test_the_longest_term_counts_and_terms_do_not_overlap(self) -> None:
        lines = ("[shoes, boots]", "[running shoes, trainers]", "[red running, crimson]")
        assert rewrites("running shoes", *lines) == ["running shoes", "trainers"]
        assert rewrites("red running shoes", *lines)[:2] == ["red running shoes", "crimson shoes"]
        assert rewrites("red running shoes", *lines)[2:] == ["red running boots", "crimson boots"]

    def test_what_was_replaced_is_not_looked_up_again(self) -> None:
        assert rewrites("a", "{from: a, to: b}", "{from: b, to: a}") == ["a", "b"]
        assert rewrites("a", "{from: a, to: b}", "{from: b, to: c}") == ["a", "b"]
        assert rewrites("a", "{from: a, to: a b a}") == ["a", "a b a"]

    def test_two_lines_for_one_term_add_up(self) -> None:
        found = synonyms("[sofa, couch]", "{from: SOFA, to: [settee, Couch]}").rewrites("sofa")
        assert [one.words for one in found] == ["sofa", "couch", "settee"]
        assert [one.by for one in found] == [(), ("synonyms[0]",), ("synonyms[1]",)]

    def test_one_term_first_then_two(self) -> None:
        found = synonyms("[red, crimson]", "[sofa, couch]").rewrites("red sofa")
        assert [one.words for one in found] == ["red sofa", "crimson sofa", "red couch", "crimson couch"]
        assert found[3].by == ("synonyms[0]", "synonyms[1]")

    def test_rewrites_are_few_and_weigh_1_together(self) -> None:
        many = [f"{{from: {term}, to: [{', '.join(f'{term}{n}' for n in range(40))}]}}" for term in "abcdefgh"]
        found = synonyms(*many).rewrites("a b c d e f g h")
        assert len(found) == MAX_REWRITES
        assert found[0].words == "a b c d e f g h"
        assert sum(one.weight for one in found) == pytest.approx(1)
        assert len({keys(one.words) for one in found}) == MAX_REWRITES
        assert all(len(term.texts) == 20 for term in synonyms(*many).terms("a b c d e f g h"))

    def test_equal_rewrites_are_one(self) -> None:
        assert rewrites("sofa", "[sofa, Couch]", "[sofa, couch!]") == ["sofa", "Couch"]

    def test_languages_without_blanks(self) -> None:
        assert rewrites("红色沙发", "[沙发, 长沙发]") == ["红色沙发", "红色长沙发"]
        assert rewrites("白いソファー", "[ソファー, カウチ]") == ["白いソファー", "白いカウチ"]

    def test_width_and_case(self) -> None:
        assert rewrites("ＴＶ stand", "[tv, television]") == ["ＴＶ stand", "television stand"]

    def test_terms(self) -> None:
        first, second = synonyms("[red, crimson]", "[easy chair, armchair, recliner]").terms("Red, Easy  Chair!")
        assert (first.words, first.texts, first.by) == ("Red", ("crimson",), ("synonyms[0]",))
        assert (second.words, second.texts) == ("Easy  Chair", ("armchair", "recliner"))

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(["a", "b", "c", "a b", "b c", "x"]), max_size=12))
    def test_any_query_ends(self, parts: list[str]) -> None:
        found = synonyms("[a, b, a b]", "{from: [b c], to: [c b, a]}", "[x, y]").rewrites(" ".join(parts))
        assert 1 <= len(found) <= MAX_REWRITES
        assert found[0].words == " ".join(parts)


phrases = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
matches = st.none() | st.builds(
    QueryMatch, equal=st.frozensets(phrases, max_size=3), contained=st.lists(phrases).map(tuple)
)


@settings(deadline=None)
@given(st.lists(st.builds(ForSome, matches), max_size=8), st.lists(st.sampled_from("abcd"), max_size=6).map(tuple))
def test_rules_looked_up_are_those_that_match_one_by_one(rules: list[ForSome], asked: tuple[str, ...]) -> None:
    parts = {asked[start:end] for end in range(len(asked) + 1) for start in range(end)}
    wanted = [
        rule
        for rule in rules
        if rule.query is None or asked in rule.query.equal or not parts.isdisjoint(rule.query.contained)
    ]
    assert Lookup(rules).holding_for(asked) == tuple(wanted)
