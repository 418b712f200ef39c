"""The query value, its two written forms, and the arithmetic of its parts."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from api.cli import app
from retrieval.encoders.base import unit_rows
from retrieval.errors import QueryError
from retrieval.query import BY, MAX_K, MAX_WORDS, Part, Query
from retrieval.query.composition import composed
from retrieval.query.json_form import from_json, shown, to_json
from retrieval.query.text_form import OPTIONS, PARTS, parse, parts_of, text
from retrieval.query.value import RERANK_WHEN

weights = st.floats(-1000, 1000, allow_nan=False).map(lambda weight: weight + 0.0)  # -0.0 is 0
words = st.text(min_size=1, max_size=30).filter(str.strip)
parts = st.one_of(
    st.builds(Part, words=words, weight=weights),
    st.builds(Part, item=st.text(max_size=10), weight=weights),
    st.builds(lambda b, w: Part(image=b, weight=w), st.binary(max_size=20), weights),
    st.builds(lambda p, w: Part(image=Path(p), weight=w), st.sampled_from(["a.jpg", "/x/y", "b c/d.png"]), weights),
    st.builds(
        lambda v, w: Part(vector=tuple(v), weight=w),
        st.lists(st.floats(-9, 9), min_size=1, max_size=5).filter(any),
        weights,
    ),
)
shares = st.one_of(st.none(), st.floats(0, 1))
queries = st.builds(
    Query,
    parts=st.lists(parts, min_size=1, max_size=5).map(tuple),
    k=st.integers(1, MAX_K),
    offset=st.integers(0, 10_000),
    by=st.sampled_from([by for by in BY if by != "lexical"]),
    filter=st.one_of(st.none(), st.just('price < 50 and title contains "a b"')),
    sort=st.lists(st.sampled_from(["price", "-price", "title"]), max_size=2).map(tuple),
    facets=st.lists(st.sampled_from(["category", "price:0,25,50"]), max_size=2).map(tuple),
    group=st.one_of(st.none(), st.just("brand")),
    duplicates=shares,
    diversity=st.floats(0, 1),
    min_confidence=shares,
    rerank=st.integers(0, 1000),
    rerank_deadline=st.one_of(st.none(), st.floats(0, 1000)),
    rerank_when=st.sampled_from(RERANK_WHEN),
)


class TestJson:
    @given(queries)
    def test_there_and_back(self, query: Query) -> None:
        assert from_json(to_json(query), paths=True) == query

    def test_a_plain_query_is_short(self) -> None:
        assert to_json(Query.of("red")) == {"parts": [{"words": "red"}], "k": 10, "by": "image"}

    def test_one_part_without_a_list(self) -> None:
        assert from_json({"words": "red", "k": 5}) == Query.of("red", k=5)
        assert from_json({"item": "sku", "weight": 2}) == Query((Part(item="sku", weight=2),))

    def test_pixels_come_back_as_the_same_picture(self) -> None:
        picture = Image.new("RGB", (3, 2), (1, 2, 3))
        back = from_json(to_json(Query.of(image=picture))).parts[0].image
        assert isinstance(back, bytes)
        assert Image.open(io.BytesIO(back)).tobytes() == picture.tobytes()

    def test_shown_holds_no_megabytes(self) -> None:
        query = Query((Part(image=b"x" * 1_000_000), Part(vector=(1.0,) * 512), Part(image=Path("a.jpg"))))
        assert shown(query)["parts"] == [{"image": "(picture)"}, {"vector": "(512 numbers)"}, {"image": "a.jpg"}]

    def test_no_path_is_followed_unless_it_is_allowed(self) -> None:
        with pytest.raises(QueryError, match=r"query\.image is no picture"):
            from_json({"image": "/etc/passwd"})
        assert from_json({"image": "a.jpg"}, paths=True) == Query.of(image=Path("a.jpg"))

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (None, "a query is a JSON object, not null"),
            ([], "a query is a JSON object, not a list"),
            ({}, "nothing to search for"),
            ({"wordz": "red"}, "query has no field 'wordz'; there is 'words'"),
            ({"parts": {}}, None),
            ({"parts": "red"}, "parts is a text, not a list"),
            ({"parts": ["red"]}, r"parts\[0\] is a text, not an object"),
            ({"parts": [{"words": "a", "wieght": 2}]}, r"parts\[0\] has no field 'wieght'; there is 'weight'"),
            ({"parts": [{"words": "a", "weight": "2"}]}, r"parts\[0\]\.weight is a text, not a number"),
            ({"parts": [{"words": "a", "weight": True}]}, r"parts\[0\]\.weight is true or false, not a number"),
            ({"parts": [{"words": "a", "weight": 10**400}]}, "a weight is inf"),
            ({"parts": [{"words": "a", "weight": float("nan")}]}, "a weight is nan"),
            ({"parts": [{"words": 3}]}, r"parts\[0\]\.words is a number, not a text"),
            ({"parts": [{"words": "a", "item": "b"}]}, "a part of the query has words and item"),
            ({"parts": [{"weight": 2}]}, "a part of the query has nothing"),
            ({"parts": [{"words": " "}]}, "has no words"),
            ({"parts": [{"vector": [1, "2"]}]}, r"parts\[0\]\.vector is not a list of numbers"),
            ({"parts": [{"vector": []}]}, "an embedding has 0 numbers"),
            ({"parts": [{"vector": [0, 0]}]}, "only zeros"),
            ({"parts": [{"vector": [1, float("inf")]}]}, "not finite"),
            ({"parts": [{"image": {"base64": "?"}}]}, r"parts\[0\]\.image is not base64"),
            ({"parts": [{"image": {"url": "http://x"}}]}, "is no picture"),
            ({"parts": [{"words": "a"}] * 33}, "33 parts"),
            ({"words": "a" * (MAX_WORDS + 1)}, "2,001 characters"),
            ({"words": "a", "k": 0}, "k is 0"),
            ({"words": "a", "k": 1_000_000}, "k is 1,000,000"),
            ({"words": "a", "k": 2.5}, "k is a number, not a whole number"),
            ({"words": "a", "k": True}, "k is true or false, not a whole number"),
            ({"words": "a", "offset": -1}, "offset is -1"),
            ({"words": "a", "by": "sound"}, "by is 'sound'"),
            ({"words": "a", "by": 3}, "by is a number, not a text"),
            ({"item": "a", "by": "lexical"}, "a part that is no words"),
            ({"words": "a", "sort": [1]}, "sort is not a list of texts"),
            ({"words": "a", "diversity": 2}, "diversity is 2;"),
            ({"words": "a", "duplicates": "x"}, "duplicates is a text, not a number"),
            ({"words": "a", "min_confidence": -0.1}, "min_confidence is -0.1"),
            ({"words": "a", "rerank": -1}, "rerank is -1"),
            ({"words": "a", "rerank": 1001}, "rerank is 1,001; it must be between 0 and 1,000"),
            ({"words": "a", "rerank": True}, "rerank is true or false, not a whole number"),
            ({"words": "a", "rerank_deadline": -1}, "rerank_deadline is -1"),
            ({"words": "a", "rerank_deadline": float("nan")}, "rerank_deadline is nan"),
            ({"words": "a", "rerank_deadline": "1"}, "rerank_deadline is a text, not a number"),
            ({"words": "a", "rerank_when": "maybe"}, "rerank_when is 'maybe'"),
            ({"words": "a", "rerank_when": 1}, "rerank_when is a number, not a text"),
            ({"words": "a", "sort": ["price"] * 9}, "sort has 9 texts; at most 8 are taken"),
            ({"words": "a", "facets": ["price"] * 20_000}, "facets has 20,000 texts; at most 32 are taken"),
            ({"item": "\ud800"}, "the id of an item is not valid Unicode"),
            ({"words": "a", "group": "\ud800"}, "group is not valid Unicode"),
            ({"words": "a", "filter": "a = '\udc80'"}, "filter is not valid Unicode"),
            ({"words": "a", "sort": ["price", "\ud800"]}, "sort is not valid Unicode"),
            ({"words": "a", "facets": "\ud800"}, "facets is not valid Unicode"),
            ({"words": "a", "by": "\ud800"}, r"by is '\\ud800'"),
        ],
    )
    def test_what_is_no_query(self, value: Any, said: str | None) -> None:
        with pytest.raises(QueryError, match=said):
            from_json(value)


def test_as_many_sorts_and_facets_as_are_taken() -> None:
    query = from_json({"words": "a", "sort": ["price"] * 8, "facets": ["brand"] * 32})
    assert (len(query.sort), len(query.facets)) == (8, 32)


def test_words_may_hold_half_of_a_surrogate_pair() -> None:
    assert Query.of("a\ud800").words == (("a\ud800", 1.0),)


@pytest.mark.parametrize("name", ["k", "offset", "rerank", "rerank_deadline", "diversity", "min_confidence"])
def test_numbers_of_more_digits_than_can_be_written(name: str) -> None:
    for digits in (400, 5_000):
        with pytest.raises(QueryError, match=rf"{name} is (inf|a number of more than 18 digits); it must be between"):
            from_json({"words": "a", name: 10**digits})
        with pytest.raises(QueryError, match=f"{name} is a number of more than 18 digits; it must be between"):
            Query.of("a", **{name: -(10**digits)})
        with pytest.raises(QueryError, match=r"a weight is a number of more than 18 digits; it must be between"):
            Part(words="a", weight=10**digits)


class TestText:
    @given(queries)
    def test_there_and_back_or_a_clear_no(self, query: Query) -> None:
        try:
            written = text(query)
        except QueryError as error:
            assert "cannot be written as text" in str(error)
            return
        back = parse(written)
        assert sorted(map(repr, back.parts)) == sorted(map(repr, query.parts))
        assert {**vars(back), "parts": ()} == {**vars(query), "parts": ()}

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("red shoes", [Part(words="red shoes")]),
            ('"red dress" - "stripes"', [Part(words="red dress"), Part(words="stripes", weight=-1)]),
            ("red + ./a.jpg", [Part(words="red"), Part(image=Path("a.jpg"))]),
            ('"2:leather" + "0.5:vintage"', [Part(words="leather", weight=2), Part(words="vintage", weight=0.5)]),
            ("red - 2:leather", [Part(words="red"), Part(words="leather", weight=-2)]),
            ("- stripes", [Part(words="stripes", weight=-1)]),
            ("/x/a.jpg in blue", [Part(image=Path("/x/a.jpg")), Part(words="in blue")]),
            ("2:./a.jpg", [Part(image=Path("a.jpg"), weight=2)]),
            ("ratio 16:9 poster", [Part(words="ratio 16:9 poster")]),
            ("1:16:9 poster", [Part(words="16:9 poster")]),
            ("w/o stripes", [Part(words="w/o stripes")]),
            ("a.jpg in blue", [Part(image=Path("a.jpg")), Part(words="in blue")]),
            ("'a file.jpg'", [Part(words="a file.jpg")]),  # no such file: words
            (".jpg", [Part(words=".jpg")]),
            ("t-shirt -- -5 degrees", [Part(words="t-shirt -5 degrees")]),
            ("--like A --unlike B", [Part(item="A"), Part(item="B", weight=-1)]),
            ("--image ~nosuchuser/a.jpg", [Part(image=Path("~nosuchuser/a.jpg"))]),
            ("--image a.jpg red", [Part(words="red"), Part(image=Path("a.jpg"))]),
        ],
    )
    def test_parts(self, typed: str, meant: list[Part]) -> None:
        assert list(parse(typed).parts) == meant

    def test_a_file_with_the_suffix_of_a_picture_is_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.JPG").write_bytes(b"")
        assert parse("a.JPG - red").parts == (Part(image=Path("a.JPG")), Part(words="red", weight=-1))

    def test_options(self) -> None:
        query = parse(
            "red -k 3 --offset 6 --by text --filter 'price < 5' --sort price --sort=-size --facet a --facet b"
        )
        assert (query.k, query.offset, query.by, query.filter) == (3, 6, "text", "price < 5")
        assert (query.sort, query.facets) == (("price", "-size"), ("a", "b"))

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            ('"red', "a quote is not closed"),
            ("red +", r"nothing stands after the \+"),
            ("red - + blue", "nothing stands after the -"),
            ("red --loud", "there is no option --loud"),
            ("red -k", "nothing stands after -k"),
            ("red -k many", "-k is 'many', not a whole number"),
            ("red --diversity x", "--diversity is 'x', not a number"),
            ("", "nothing to search for"),
            ("https://example.org/a.jpg", "not fetched from the network"),
        ],
    )
    def test_what_is_no_query(self, typed: str, said: str) -> None:
        with pytest.raises(QueryError, match=said):
            parse(typed)

    def test_options_are_those_of_the_command(self) -> None:
        import typer

        command = typer.main.get_command(app).commands["search"]  # type: ignore[attr-defined]
        assert {*OPTIONS, *PARTS} <= {option for parameter in command.params for option in parameter.opts}

    def test_tokens_of_a_command_line_keep_their_blanks(self) -> None:
        assert parts_of(["red  dress", "+", "2:a b"]) == (Part(words="red  dress"), Part(words="a b", weight=2))


class TestComposition:
    @given(st.lists(weights.filter(lambda w: abs(w) > 1e-3), min_size=1, max_size=4), st.integers(0, 1000))
    def test_it_is_a_unit_vector_that_does_not_hang_on_the_scale(self, ws: Sequence[float], seed: int) -> None:
        vectors = unit_rows(np.random.default_rng(seed).normal(size=(len(ws), 32)))
        one = composed(vectors, ws)
        assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
        assert np.allclose(one, composed(vectors, [w * 0.5 for w in ws]), atol=1e-4)

    def test_one_part_is_its_own_vector(self) -> None:
        vector = unit_rows(np.random.default_rng(0).normal(size=(1, 8)))
        assert np.allclose(composed(vector, [3]), vector[0], atol=1e-6)
        assert np.allclose(composed(vector, [-1]), -vector[0], atol=1e-6)

    def test_equal_weights_are_the_mean_and_a_weight_pulls(self) -> None:
        vectors = np.eye(2, dtype=np.float32)
        assert composed(vectors, [1, 1]).tolist() == pytest.approx([0.5**0.5] * 2)
        assert composed(vectors, [2, 1]).tolist() == pytest.approx([2 / 5**0.5, 1 / 5**0.5])
        assert composed(vectors, [1, -1]) @ vectors[1] < 0

    @pytest.mark.parametrize("ws", [[1, -1], [0, 0], [2, -2.0001]])
    def test_what_cancels_is_refused(self, ws: list[float]) -> None:
        vector = unit_rows(np.ones((1, 8)))
        with pytest.raises(QueryError, match="cancel to nothing"):
            composed(np.concatenate([vector, vector]), ws)


def test_pages() -> None:
    assert [Query.of("red", k=5).page(n).offset for n in (1, 2, 3)] == [0, 5, 10]


def test_base64_of_the_wrong_alphabet_is_refused() -> None:
    good = base64.b64encode(b"\xff\xfe").decode()
    assert from_json({"image": {"base64": good}}).parts[0].image == b"\xff\xfe"
