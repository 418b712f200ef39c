"""TREC run files: what is written reads back, other tools' files read right, broken ones say where."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import SourceError, StorageError
from retrieval.evaluation.trec import read_run, write_qrels, write_run
from retrieval.evaluation.types import Ranking, Task


def task(queries: tuple[str, ...], documents: tuple[str, ...]) -> Task:
    return Task("text_to_image", queries, documents, {})


def ranking(top: list[list[int]], scores: list[list[float]]) -> Ranking:
    return Ranking(np.array(top, dtype=np.int64), np.array(scores, dtype=np.float32), [])


def test_writes_the_six_fields(tmp_path: Path) -> None:
    made = ranking([[1, 0], [0, -1]], [[0.5, 0.31], [-0.25, -np.inf]])
    write_run(tmp_path / "a.run", task(("q1", "q2"), ("d1", "d2")), made, "my model")
    assert (tmp_path / "a.run").read_text().splitlines() == [
        "q1 Q0 d2 1 0.5 my_model",
        "q1 Q0 d1 2 0.31 my_model",
        "q2 Q0 d1 1 -0.25 my_model",
    ]


def test_reads_back_in_order_with_the_same_float32_scores(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = np.sort(rng.normal(size=(20, 30)).astype(np.float32) / 1e3)[:, ::-1].copy()
    scores[:, 10:20] = scores[:, 10:11]  # ties
    top = np.array([rng.permutation(30) for _ in range(20)])
    queries, documents = tuple(f"q{i}" for i in range(20)), tuple(f"d{i}" for i in range(30))
    write_run(tmp_path / "a.run", task(queries, documents), Ranking(top, scores, []), "m")
    run = read_run(tmp_path / "a.run")
    assert list(run) == list(queries)
    for row, query in enumerate(queries):
        assert list(run[query]) == [documents[position] for position in top[row]]
        assert np.array_equal(np.array(list(run[query].values()), dtype=np.float32), scores[row])


def test_ids_with_blanks_are_percent_encoded_and_the_tag_says_so(tmp_path: Path) -> None:
    queries = ("a red bike", "100%25")
    documents = ("my photo.jpg", "tab\tand\nline", "caf\udce9 1.jpg", "寺 院.jpg", "plain")
    made = ranking([[0, 1, 2, 3, 4]] * 2, [[0.5, 0.4, 0.3, 0.2, 0.1]] * 2)
    write_run(tmp_path / "a.run", task(queries, documents), made, "m")
    first = (tmp_path / "a.run").read_bytes().splitlines()[0]
    assert first == b"a%20red%20bike Q0 my%20photo.jpg 1 0.5 m;ids=percent-encoded"
    run = read_run(tmp_path / "a.run")
    assert tuple(run) == queries
    assert all(tuple(run[query]) == documents for query in queries)


def test_percent_signs_of_a_run_that_is_not_encoded_stay(tmp_path: Path) -> None:
    (tmp_path / "a.run").write_text("100%25 Q0 50%20off 1 0.5 other\n")
    assert read_run(tmp_path / "a.run") == {"100%25": {"50%20off": 0.5}}
    write_run(tmp_path / "b.run", task(("100%25",), ("50%20off",)), ranking([[0]], [[0.5]]), "other")
    assert (tmp_path / "b.run").read_text() == (tmp_path / "a.run").read_text()


def test_scores_that_do_not_descend_become_one_over_rank(tmp_path: Path) -> None:
    """A reranked list: by its cosines alone another tool would undo the reranking."""
    made = ranking([[0, 1], [1, 0]], [[0.2, 0.3], [0.9, 0.8]])
    write_run(tmp_path / "a.run", task(("q1", "q2"), ("d1", "d2")), made, "m")
    assert read_run(tmp_path / "a.run") == {"q1": {"d1": 1.0, "d2": 0.5}, "q2": {"d2": 1.0, "d1": 0.5}}


def test_orders_by_score_and_equal_scores_by_rank(tmp_path: Path) -> None:
    lines = ["q Q0 low 1 0.1 t", "q\tQ0\ttied2\t3\t0.5\tt", "", "q Q0 tied1 2 0.5 t", "q Q0 high 9 7e-1 t"]
    (tmp_path / "a.run").write_text("\n".join(lines))
    assert list(read_run(tmp_path / "a.run")["q"]) == ["high", "tied1", "tied2", "low"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no run lines"),
        ("\n\n", "holds no run lines"),
        ("q Q0 d 1 0.5 t\nq 0 d 1\n", "line 2: 4 fields instead of 6"),
        ("q Q0 d 1 high t\n", "line 1: rank '1' and score 'high' are not both numbers"),
        ("q Q0 d first 0.5 t\n", "line 1: rank 'first' and score '0.5' are not both numbers"),
        ("q Q0 d 1 nan t\n", "line 1: rank '1' and score 'nan' are not both numbers"),
        ("q Q0 d 1 0.5 t\nq Q0 d 2 0.4 t\n", "query 'q' names 1 document more than once"),
    ],
    ids=["empty", "blank", "qrels", "score", "rank", "nan", "twice"],
)
def test_what_is_no_run_says_where(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.run").write_text(content)
    with pytest.raises(SourceError, match=r"a\.run") as caught:
        read_run(tmp_path / "a.run")
    assert message in str(caught.value)
    assert caught.value.hint


def test_a_missing_file_and_an_unwritable_place_say_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_run(tmp_path / "none.run")
    with pytest.raises(StorageError, match="cannot be written: No such file"):
        write_run(tmp_path / "none" / "a.run", task(("q",), ("d",)), ranking([[0]], [[1.0]]), "m")


def test_judgements_are_encoded_exactly_when_the_run_is(tmp_path: Path) -> None:
    plain = Task(
        "text_to_image", ("q1", "q%2"), ("d1", "caf\udce9"), {"q1": {"d1": 2, "caf\udce9": 0}, "q%2": {"d1": 1}}
    )
    write_qrels(tmp_path / "a.qrels", plain)
    assert (tmp_path / "a.qrels").read_bytes() == b"q1 0 d1 2\nq1 0 caf\xe9 0\nq%2 0 d1 1\n"
    write_qrels(tmp_path / "b.qrels", Task("text_to_image", ("q%2",), ("d 1", "d2"), {"q%2": {"d2": 1}}))
    assert (tmp_path / "b.qrels").read_text() == "q%252 0 d2 1\n"
    with pytest.raises(StorageError, match="cannot be written"):
        write_qrels(tmp_path, plain)
