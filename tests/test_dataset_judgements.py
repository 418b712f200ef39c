"""Judged sets: BEIR and TREC beyond captions, photos and their products."""

from pathlib import Path

import pytest

from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets import qrels, read
from tests.dataset_files import write_images, write_lines


def beir(home: Path, corpus: list[dict[str, object]], queries: list[dict[str, object]], judged: str) -> Path:
    write_lines(home / "corpus.jsonl", corpus)
    write_lines(home / "queries.jsonl", queries)
    (home / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return home


def test_grades_unjudged_and_hopeless_queries(tmp_path: Path) -> None:
    write_images(tmp_path, ["1.jpg", "2.jpg", "3.jpg"])
    corpus = [{"_id": f"d{n}", "metadata": {"image_path": f"{n}.jpg", "colour": "red"}} for n in (1, 2, 3)]
    queries = [{"_id": f"q{n}", "text": f"query {n}"} for n in (1, 2, 3)]
    found = read(beir(tmp_path, corpus, queries, "q1\td1\t2\nq1\td2\t1\nq1\td3\t0\nq2\td3\t0\n"))
    forward, backward = found.tasks
    assert forward.query_ids == ("q1",)
    assert forward.document_ids == ("d1", "d2", "d3")
    assert forward.qrels == {"q1": {"d1": 2, "d2": 1, "d3": 0}}
    assert backward.query_ids == ("d1", "d2")
    assert backward.document_ids == ("q1", "q2")
    assert backward.qrels == {"d1": {"q1": 2}, "d2": {"q1": 1}}
    assert found.notes == ("1 of 2 judged queries have nothing relevant and ask nothing",)
    assert found.images[0].attributes == {"colour": "red"}


def test_images_may_ask_for_images_and_texts_for_texts(tmp_path: Path) -> None:
    write_images(tmp_path, ["1.jpg", "2.jpg"])
    images = beir(tmp_path / "i", [{"_id": "d", "image": "1.jpg"}], [{"_id": "q", "image": "2.jpg"}], "q\td\t1\n")
    found = read(images, images_dir=tmp_path)
    assert [task.direction for task in found.tasks] == ["image_to_image"]
    assert [image.image_id for image in found.images] == ["q", "d"]
    texts = beir(tmp_path / "t", [{"_id": "d", "title": "A", "text": "b"}], [{"_id": "q", "text": "c"}], "q\td\t1\n")
    found = read(texts)
    assert [task.direction for task in found.tasks] == ["text_to_text"]
    assert [text.text for text in found.texts] == ["c", "A b"]


def test_a_set_in_which_nothing_is_relevant_is_refused(tmp_path: Path) -> None:
    home = beir(tmp_path, [{"_id": "d", "text": "a"}], [{"_id": "q", "text": "b"}], "q\td\t0\n")
    with pytest.raises(EvaluationError, match="no query with a relevant document"):
        read(home)


def test_trec_judgements(tmp_path: Path) -> None:
    path = tmp_path / "qrels.txt"
    path.write_text("q1 0 d1 2\nq1\t0\td2\t-1\n\nq2 0 d1 1\n")
    assert qrels.read_trec(path) == {"q1": {"d1": 2, "d2": -1}, "q2": {"d1": 1}}
    path.write_text("q1 0 d1 2\nq1 d2 1\n")
    with pytest.raises(
        EvaluationError, match=r"1 entry of qrels\.txt cannot be read: line 2: not `query 0 document grade`"
    ):
        qrels.read_trec(path)


@pytest.mark.parametrize("grade", ["1.5", "high", "1001", "-1001", "9" * 5_000])
def test_grades_that_no_measure_can_use(tmp_path: Path, grade: str) -> None:
    path = tmp_path / "qrels.txt"
    path.write_text(f"q1 0 d1 1000\nq1 0 d2 {grade}\n")
    with pytest.raises(EvaluationError, match="line 2"):
        qrels.read_trec(path)


def test_the_first_line_of_a_table_is_skipped_only_if_it_is_a_header(tmp_path: Path) -> None:
    path = tmp_path / "qrels.tsv"
    path.write_text("q\td\t1\n")
    assert qrels.read_beir(path) == {"q": {"d": 1}}
    path.write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    assert qrels.read_beir(path) == {"q": {"d": 1}}
    path.write_text("q\td\t1.0\nq\te\t1\n")
    with pytest.raises(EvaluationError, match="line 1: not"):
        qrels.read_beir(path)


def test_trec_splits_and_faults(tmp_path: Path) -> None:
    write_images(tmp_path, ["1.jpg"])
    (tmp_path / "images.tsv").write_text("d1\t1.jpg\n")
    (tmp_path / "queries.tsv").write_text("q1\tone\nq2\ttwo\n")
    with pytest.raises(EvaluationError, match=r"has no qrels\.txt"):
        read(tmp_path)
    (tmp_path / "qrels.dev.txt").write_text("q1 0 d1 1\n")
    (tmp_path / "qrels.train.txt").write_text("q2 0 d1 1\n")
    assert read(tmp_path).tasks[0].query_ids == ("q1",)
    assert read(tmp_path, split="train").tasks[0].query_ids == ("q2",)
    (tmp_path / "queries.tsv").write_text("q1\tone\nq1\ttwo\n")
    with pytest.raises(EvaluationError, match=r"1 duplicate id of entries in queries\.tsv: q1"):
        read(tmp_path)
    (tmp_path / "queries.tsv").write_text("q1 one\n")
    with pytest.raises(EvaluationError, match="line 1: not two fields with a tab"):
        read(tmp_path)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """Apples in two products of one title, a pear with two photos of which one is the apple's, a plum nobody saw."""
    write_images(
        tmp_path, ["images/a.jpg", "images/b.jpg", "images/p.jpg", "images/plum.jpg", "shelf/1.jpg", "shelf/2.jpg"]
    )
    (tmp_path / "products.csv").write_text(
        "id,title,image,kind\na,Apple,images/a.jpg,fruit\nb, apple ,images/b.jpg,fruit\n"
        "p,Pear,images/p.jpg|images/a.jpg,fruit\nplum,Plum,images/plum.jpg,fruit\n"
    )
    path = tmp_path / "shelf_photos.csv"
    path.write_text("image,product_id,light\nshelf/1.jpg,b,dark\nshelf/2.jpg,p,\n")
    return path


def test_shelf_photos_ask_for_product_photos_and_titles(shelf: Path) -> None:
    found = read(shelf)
    to_image, to_text = found.tasks
    assert (to_image.direction, to_text.direction) == ("image_to_image", "image_to_text")
    assert to_image.query_ids == to_text.query_ids == ("shelf/1.jpg", "shelf/2.jpg")
    assert to_image.document_ids == ("images/a.jpg", "images/b.jpg", "images/p.jpg", "images/plum.jpg")
    assert to_image.qrels == {"shelf/1.jpg": {"images/b.jpg": 1}, "shelf/2.jpg": {"images/a.jpg": 1, "images/p.jpg": 1}}
    assert to_text.document_ids == ("a", "p", "plum")
    assert to_text.qrels == {"shelf/1.jpg": {"a": 1}, "shelf/2.jpg": {"p": 1}}
    assert [image.image_id for image in found.images] == [*to_image.query_ids, *to_image.document_ids]
    assert found.images[0].attributes == {"light": "dark"}
    assert found.images[2].attributes == {"kind": "fruit"}
    assert found.notes == ("1 titles belong to several products and are one text each",)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            "shelf/1.jpg,nope,\nshelf/2.jpg,gone,\n",
            "2 of 2 products that shelf_photos.csv names are not in products.csv",
        ),
        ("shelf/1.jpg,a,\nshelf/1.jpg,b,\n", "1 duplicate id of images"),
        ("shelf/1.jpg,a,\nshelf/9.jpg,b,\n", "1 of 2 images of shelf_photos.csv are missing: shelf/9.jpg"),
        ("shelf/1.jpg,,\n", "line 2: image, product_id must all be given"),
        ("shelf/1.jpg\n", "line 2: 1 cells where the header has 3"),
        ("images/a.jpg,a,\n", "1 duplicate id of queries and documents together"),
        ("", "is empty"),
    ],
)
def test_faults_of_pairs(shelf: Path, rows: str, reason: str) -> None:
    shelf.write_text("image,product_id,light\n" + rows)
    with pytest.raises(EvaluationError) as refused:
        read(shelf)
    assert reason in str(refused.value)
