"""Reading a rules file: what is understood, and that every mistake is named with its line and place."""

import time
from pathlib import Path

import pytest
import yaml

import retrieval.rules
from retrieval.errors import RulesError
from retrieval.rules import document
from retrieval.rules.model import Rules
from retrieval.rules.schema import MAX_ITEMS, MAX_RULES, parse
from retrieval.rules.words import QueryMatch


def rules(text: str | bytes) -> Rules:
    return parse(text.encode() if isinstance(text, str) else text, "rules.yaml")


def refused(text: str | bytes) -> str:
    with pytest.raises(RulesError) as caught:
        rules(text)
    assert caught.value.hint
    return str(caught.value)


def test_the_example_in_the_documentation() -> None:
    assert retrieval.rules.__doc__
    example = retrieval.rules.__doc__.split("```yaml\n")[1].split("```")[0]
    found = rules(example)
    assert [one.terms for one in found.synonyms] == [(("sofa",),), (("couch",),), (("settee",),), (("trainers",),)]
    assert [one.texts for one in found.synonyms[2:]] == [("sofa", "couch"), ("sneakers", "running shoes")]
    assert [one.add.text for one in found.boosts] == ["0.03", "0.01 * log1p(sold) - 0.02 * (stock = 0)"]
    assert found.boosts[0].when is not None
    assert found.boosts[0].query is None
    assert found.boosts[1].when is None
    assert found.boosts[1].query == QueryMatch(equal=frozenset({("red", "dress")}))
    assert [(one.item_id, one.place) for one in found.pins] == [("SKU-7", 1), ("SKU-9", 1), ("SKU-4", 3)]
    assert found.pins[2].query == QueryMatch(contained=(("dress",),))
    assert found.hides[0].items == ("SKU-3",)
    assert found.hides[0].query == QueryMatch(equal=frozenset({("red", "dress"), ("dress", "red")}))
    assert found.hides[1].query is None
    assert [one.path for one in (*found.boosts, *found.pins)] == [
        "boosts[0]",
        "boosts[1]",
        "pins[0]",
        "pins[0]",
        "pins[1]",
    ]
    assert found.boosts[0].line == 6


def test_a_file_without_rules() -> None:
    assert not rules("version: 1")
    assert not rules("version: 1\nboosts:\npins: []\nhides: ~\nsynonyms:\n")


def test_ids_and_words_are_taken_as_written() -> None:
    """YAML 1.1 would make 10, false, a date, 754 and infinity of these."""
    ids = ["0012", "no", "2024-01-01", "12:34", ".inf", "1e3", "1_000", "0x1F", "=", "null-1"]
    found = rules(f"version: 1\nhides:\n  - items: [{', '.join(ids)}]\n")
    assert found.hides[0].items == tuple(ids)
    assert rules("version: 1\nsynonyms: [[no, nein]]").synonyms[0].terms == (("no",),)
    assert rules("version: 1\nhides: [{items: ['null', \"~\"]}]").hides[0].items == ("null", "~")


def test_one_value_stands_for_a_list_of_one() -> None:
    assert rules("version: 1\nhides: [{items: A-1}]").hides[0].items == ("A-1",)
    assert rules("version: 1\nsynonyms: [{from: a, to: b}]").synonyms[0].texts == ("b",)


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert not rules(b"\xef\xbb\xbfversion: 1\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the file is empty"),
        ("# only a comment\n", "line 1: the file is empty"),
        ("[1]", "line 1: here stands a list; wanted are the keys boosts, hides, pins, synonyms, version"),
        ("hides: []", "line 1: the key version is missing"),
        ("version: 2", "line 1, version: this program reads version 1"),
        ("version: '1'", "line 1, version: 1 is no whole number"),
        ("version: one", "line 1, version: one is no whole number"),
        ("version: 1\nversion: 1", "line 2: version stands here twice; the first is in line 1"),
        ("version: 1\n\nboost: []", "line 3, boost: there is no key boost; did you mean boosts?"),
        ("version: 1\nxylophone: []", "line 2, xylophone: there is no key xylophone; there are boosts, hides"),
        ("version: 1\n<<: {a: 1}", "line 2, <<: there is no key <<"),
        ("version: 1\nboosts: {add: 1}", "line 2, boosts: here stands a mapping; wanted is a list"),
        (
            "version: 1\nboosts:\n- 3",
            "line 3, boosts[0]: here stands the text '3'; wanted are the keys add, query, when",
        ),
        ("version: 1\nboosts:\n- {when: a = 'b'}", "line 3, boosts[0]: the key add is missing"),
        ("version: 1\nboosts:\n- {ad: 1}", "line 3, boosts[0].ad: there is no key ad; did you mean add?"),
        ("version: 1\nboosts:\n- add:", "line 3, boosts[0].add: nothing stands here"),
        ("version: 1\nboosts:\n- add: [1]", "line 3, boosts[0].add: here stands a list; wanted is a text"),
        ("version: 1\nboosts:\n- add: 1\n- add: 1 +", "line 4, boosts[1].add: it ends too early"),
        ("version: 1\nboosts:\n- add: 2 ** 3", "line 3, boosts[0].add: it cannot be read at '*'"),
        ("version: 1\nboosts:\n- add: logp(x)", "line 3, boosts[0].add: there is no function logp; there are abs"),
        (
            "version: 1\nboosts:\n- add: 1\n  when: a",
            "line 4, boosts[0].when: the filter cannot be read: expected =",
        ),
        ("version: 1\nboosts:\n- add: 1\n  query: '...'", "line 4, boosts[0].query: ... has no word in it"),
        ("version: 1\nboosts:\n- add: 1\n  query: []", "line 4, boosts[0].query: the list is empty"),
        ("version: 1\nboosts:\n- add: 1\n  query: {has: a}", "boosts[0].query.has: there is no key has"),
        (
            "version: 1\nboosts:\n- {add: 1, query: {contains: [a, {b: c}]}}",
            "line 3, boosts[0].query.contains[1]: here",
        ),
        ("version: 1\nboosts:\n- {add: min(1, 2)}", "line 3, boosts[0].2): there is no key 2); between { and } a text"),
        ("version: 1\npins:\n- items: [a]", "line 3, pins[0]: the key query is missing"),
        ("version: 1\npins:\n- {query: a}", "line 3, pins[0]: a pin has items, or id and place"),
        ("version: 1\npins:\n- {query: a, id: b}", "line 3, pins[0]: a pin has items, or id and place"),
        ("version: 1\npins:\n- {query: a, items: [b], place: 1}", "line 3, pins[0]: either items, which take"),
        ("version: 1\npins:\n- {query: a, items: [b, c, b]}", "line 3, pins[0].items: b stands here twice"),
        ("version: 1\npins:\n- {query: a, id: b, place: 0}", "line 3, pins[0].place: 0 is no place; the first is 1"),
        ("version: 1\npins:\n- {query: a, id: b, place: 1001}", "line 3, pins[0].place: 1001 is no place"),
        ("version: 1\npins:\n- {query: a, id: b, place: 1.5}", "line 3, pins[0].place: 1.5 is no whole number"),
        ("version: 1\npins:\n- {query: a, id: b, place: ²}", "line 3, pins[0].place: ² is no whole number"),
        ("version: 1\nhides:\n- {query: a}", "line 3, hides[0]: a hide has items or when"),
        ("version: 1\nhides:\n- {items: [a], when: a = 'b'}", "line 3, hides[0]: either items or when"),
        ("version: 1\nhides:\n- {items: ['  ']}", "line 3, hides[0].items[0]: nothing stands here"),
        ("version: 1\nhides:\n- {items: [a, [b]]}", "line 3, hides[0].items[1]: here stands a list; wanted is a text"),
        (f"version: 1\nhides:\n- {{items: [{'a' * 201}]}}", "hides[0].items[0]: 201 characters; at most 200 are read"),
        ("version: 1\nsynonyms:\n- sofa", "line 3, synonyms[0]: here stands the text 'sofa'; wanted is a list"),
        ("version: 1\nsynonyms:\n- [sofa]", "line 3, synonyms[0]: a synonym has two terms at least"),
        ("version: 1\nsynonyms:\n- [sofa, Sofa]", "line 3, synonyms[0]: Sofa stands here twice"),
        ("version: 1\nsynonyms:\n- {from: a}", "line 3, synonyms[0]: the key to is missing"),
        ("version: 1\nsynonyms:\n- {from: [a], to: [b, a]}", "line 3, synonyms[0]: a stands here twice"),
        ("version: 1\nsynonyms:\n- [a, '!!!']", "line 3, synonyms[0][1]: !!! has no word in it"),
        ("version: 1\n? [a]\n: b", "line 2: a key must be a word"),
        ("version: 1\n---\nversion: 1", "line 2: a second document"),
        ('version: 1\nhides:\n- when: "a" = b', "line 3: this is no YAML"),
        ("version: 1\nhides: [", "line 2: this is no YAML"),
        ("version: 1\n\t- a", "line 2: this is no YAML"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_place(text: str, said: str) -> None:
    assert said in refused(text).removeprefix("rules.yaml, ")


def test_all_mistakes_are_named_in_order() -> None:
    text = "version: 1\nhides:\n- {items: [a]}\n- {item: [a]}\npins:\n- {query: a}\n"
    text += "boosts:\n- add: x(\n- {add: 0.1, when: b}\n"
    lines = refused(text).splitlines()
    assert lines[0] == "rules.yaml has 4 mistakes:"
    assert [line.split(":")[0] for line in lines[1:]] == [
        "  line 4, hides[1].item",
        "  line 6, pins[0]",
        "  line 8, boosts[0].add",
        "  line 9, boosts[1].when",
    ]


def test_a_thousand_mistakes_are_counted() -> None:
    said = refused("version: 1\nhides:\n" + "- {item: [a]}\n" * 1_000)
    assert said.startswith("rules.yaml has 1,000 mistakes:")
    assert said.endswith("and 980 more")
    assert len(said.splitlines()) == 22


class TestLimits:
    def test_counts(self) -> None:
        assert len(rules("version: 1\nboosts:\n" + "- add: 0.1\n" * MAX_RULES["boosts"]).boosts) == MAX_RULES["boosts"]
        assert "201 entries; at most 200" in refused(
            "version: 1\nboosts:\n" + "- add: 0.1\n" * (MAX_RULES["boosts"] + 1)
        )
        ids = [f"sku-{number}" for number in range(MAX_ITEMS + 1)]
        assert "1,001 entries; at most 1,000" in refused(f"version: 1\nhides: [{{items: [{', '.join(ids)}]}}]")
        assert len(rules(f"version: 1\nhides: [{{items: [{', '.join(ids[:-1])}]}}]").hides[0].items) == MAX_ITEMS

    def test_size(self) -> None:
        fits = b"version: 1\n#".ljust(document.MAX_BYTES, b"x")
        assert not rules(fits)
        assert "has 1,000,001 bytes; at most 1,000,000" in refused(fits + b"x")


class TestHostile:
    """Nothing of this is constructed, and none of it takes long. Both of PyYAML's parsers are asked."""

    @pytest.fixture(autouse=True, params=[yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
    def _loader(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(document, "_LOADER", request.param)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "line 1, a: aliases (*) and anchors (&) are not read"),
            (b"version: 1\nhides: *all", "line 2, hides: aliases"),
            (
                b"version: 1\nhides: !!python/object/apply:os.system [touch x]",
                "line 2, hides: the tag tag:yaml.org,2002:",
            ),
            (b"version: !!int '1'", "line 1, version: the tag tag:yaml.org,2002:int is not read"),
            (b"version: 1\nhides: !mine {}", "line 2, hides: the tag !mine is not read"),
            (b"version: 1\nhides: " + b"[" * 100_000, "nest"),
            (b"version: 1\nhides: " + b"{a: " * 100_000, "nest"),
            (b"version: 1\nhides: " + b"[" * 9 + b"]" * 9, "line 2, hides[0][0][0][0][0][0][0][0]: nested more than 8"),
            (b"version: 1\n" + b"- " * 100_000, "line 2"),
            (b"version: 1\nhides: [{items: [a\0]}]", "line 2: character U+0000 has no place in YAML"),
            (b"version: 1\nhides: [{items: [\x1b]}]", "line 2: character U+001B has no place in YAML"),
            ("é".encode() * 300 + b"\x01", "line 1: character U+0001 has no place in YAML"),
            ("# é\n".encode() * 9 + b"\x7f\n\n\n", "line 10: character U+007F has no place in YAML"),
            ("# é\n\ufffe".encode() * 2, "line 2: character U+FFFE has no place in YAML"),
            (b"version: 1\nhides: [{items: [caf\xe9]}]", "line 2: the file is not UTF-8"),
            ("version: 1".encode("utf-16"), "line 1: the file is not UTF-8"),
            (b"x" * 10_000_000, "the file has 10,000,000 bytes"),
            (b"version: 1\nhides: [" + b"a," * 250_000, "more than 200,000 values"),
            (b"version: 1\npins:\n- {query: a, id: b, place: " + b"9" * 5_000 + b"}", "at most 200 are read"),
        ],
        ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else "",
    )
    def test_files(self, content: bytes, said: str) -> None:
        started = time.process_time()
        assert said in refused(content)
        assert time.process_time() - started < 20


def test_a_message_never_shows_a_file_at_length() -> None:
    assert len(refused("version: 1\nboosts: " + "x" * 100_000)) < 200


def test_the_example_in_the_readme() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    found = rules(readme.split("```yaml\n")[1].split("```")[0])
    assert found.lines.keys() == {"synonyms[0]", "synonyms[1]", "boosts[0]", "boosts[1]", "pins[0]", "hides[0]"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version: 1\nboosts:\n\t- {add: 1}\n", "indent with blanks, not with tabs"),
        (b'version: 1\nboosts: [{when: type in ("Chair", "Stool"), add: 1}]\n', "into single quotes"),
    ],
)
def test_yaml_that_is_none_says_what_to_do(content: bytes, said: str) -> None:
    with pytest.raises(RulesError, match=said):
        parse(content, "rules.yaml")
