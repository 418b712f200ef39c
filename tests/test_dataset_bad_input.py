"""Sets with faults: a clear message with counts, never a figure over what is left."""

import json
import os
from pathlib import Path

import pytest

from retrieval.errors import EvaluationError, ImageError
from retrieval.evaluation.datasets import read
from tests.dataset_files import (
    COLOURS,
    as_beir,
    as_captions,
    as_karpathy,
    as_one_caption_a_line,
    as_token,
    as_trec,
    content,
    write_images,
    write_lines,
)

FORMS = [as_captions, as_one_caption_a_line, as_karpathy, as_token, as_beir, as_trec]


def refusal(path: Path, **options) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(EvaluationError) as refused:
        read(path, **options)
    assert refused.value.hint or "refused" in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("write", FORMS)
def test_missing_images_are_counted_and_left_out_only_if_allowed(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    write_images(tmp_path, list(COLOURS)[:1])
    path = write(tmp_path, COLOURS)
    said = refusal(path, images_dir=tmp_path)
    assert "2 of 3 images" in said
    assert "are missing: images/green.jpg, images/dark blue.jpg" in said
    found = read(path, images_dir=tmp_path, allow_missing=True)
    assert [image.path for image in found.images] == [tmp_path / "images/red.jpg"]
    assert [text.text for text in found.texts if text.text_id in found.tasks[0].query_ids] == COLOURS["images/red.jpg"]
    assert "2 of 3 images are missing and were left out" in found.notes


def test_a_set_of_which_all_images_are_missing_is_refused_anyway(tmp_path: Path) -> None:
    assert "3 of 3 images" in refusal(as_captions(tmp_path, COLOURS), allow_missing=True)


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/passwd", "link.jpg", "folder/secret.jpg", "https://x.org/a.jpg"]
)
def test_images_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    home = tmp_path / "set"
    write_images(tmp_path, ["secret.jpg"])
    write_images(home, ["a.jpg"])
    (home / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (home / "folder").symlink_to(tmp_path)
    path = as_captions(home, {"a.jpg": ["x"], name: ["y"]})
    assert "1 of 2 images of captions.jsonl are refused" in refusal(path, allow_missing=True)


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert "not a file" in refusal(as_captions(tmp_path, {"a.jpg": ["x"]}))


def test_an_image_that_goes_away_later_is_an_image_error(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg"])
    found = read(as_captions(tmp_path, {"a.jpg": ["x"]}))
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(ImageError, match="no such file"):
        found.images[0].read()


@pytest.mark.parametrize("write", [as_captions, as_karpathy])
def test_images_without_captions_are_counted(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    assert "1 of 2 images" in refusal(write(tmp_path, {"a.jpg": [], "b.jpg": ["x"]}))


def test_an_image_of_a_list_without_captions_is_counted(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg"])
    path = as_token(tmp_path, {"a.jpg": ["x"]})
    (tmp_path / "Flickr_8k.testImages.txt").write_text("a.jpg\nb.jpg\n")
    assert "1 of 2 images of results.token have no caption: b.jpg" in refusal(path)


def test_blank_captions_are_left_out_and_counted(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg"])
    found = read(as_captions(tmp_path, {"a.jpg": ["x", " ", "y"]}))
    assert [text.text_id for text in found.texts] == ["a.jpg#0", "a.jpg#2"]
    assert found.notes == ("1 of 3 captions are blank and were left out",)


def test_one_image_named_twice_is_refused_however_it_is_written(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg"])
    for path in (
        as_captions(tmp_path, {"a.jpg": ["x"], "./a.jpg": ["y"]}),
        as_karpathy(tmp_path, {"a.jpg": ["x"], "./a.jpg": ["y"]}),
    ):
        assert "1 duplicate id of images" in refusal(path)
    token = tmp_path / "x.token"
    token.write_text("a.jpg#0\tx\na.jpg#0\ty\n")
    assert "1 duplicate id of captions in x.token: a.jpg#0" in refusal(token)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1]", "not a JSON object"),
        ('{"image": 3, "en": ["x"]}', "no text in `image`"),
        ('{"image": "a.jpg", "captions": [3]}', "captions are not texts"),
        ('{"image": "a.jpg", "split": 3, "en": ["x"]}', "`split` is not a text"),
    ],
)
def test_malformed_lines_are_named_by_number(tmp_path: Path, line: str, reason: str) -> None:
    path = as_captions(tmp_path, COLOURS)
    path.write_text(path.read_text() + "\n" + line + "\n" + line + "\n")
    said = refusal(path)
    assert "2 entries of captions.jsonl cannot be read: line 5: " in said
    assert reason in said


def test_other_malformed_content_is_named_by_its_place(tmp_path: Path) -> None:
    token = tmp_path / "x.token"
    token.write_text("a.jpg#0\tx\na.jpg x\n")
    assert "line 2" in refusal(token)
    token.write_bytes(b"a.jpg#0\tx\na.jpg#1\t\xff\n")
    assert "line 2: not UTF-8" in refusal(token)
    karpathy = tmp_path / "x.json"
    karpathy.write_text('{"images": [{"filename": "a.jpg"}]}')
    assert "images[0]: KeyError 'sentences'" in refusal(karpathy)
    karpathy.write_text('{"images": [')
    assert "not JSON" in refusal(karpathy)
    karpathy.write_text(json.dumps({"annotations": []}))
    assert "no list `images`" in refusal(karpathy)


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.token", "x.tar", "x.txt"])
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "is empty" in refusal(tmp_path / name)


def test_a_path_where_nothing_lies(tmp_path: Path) -> None:
    assert "there is nothing at" in refusal(tmp_path / "nope")
    assert "is not a folder" in refusal(as_captions(tmp_path, COLOURS), images_dir=tmp_path / "nope")


def beir(tmp_path: Path) -> Path:
    write_images(tmp_path, list(COLOURS))
    return as_beir(tmp_path, COLOURS)


def add(path: Path, line: str) -> None:
    path.write_text(path.read_text() + line)


def test_judgements_of_unknown_ids_are_counted(tmp_path: Path) -> None:
    home = beir(tmp_path)
    qrels = home / "qrels" / "test.tsv"
    good = qrels.read_text()
    add(qrels, "images/red.jpg#0\tnobody.jpg\t1\n")
    assert "1 of 4 documents that beir judges do not exist: nobody.jpg" in refusal(home, images_dir=tmp_path)
    qrels.write_text(good + "q9\timages/red.jpg\t1\nq8\timages/red.jpg\t1\n")
    assert "2 of 8 queries that beir judges do not exist: q9, q8" in refusal(home, images_dir=tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("q\td\n", "line 8: not `query-id<tab>corpus-id<tab>score`"),
        ("images/red.jpg#0\timages/green.jpg\thigh\n", "line 8"),
        ("images/red.jpg#0\timages/red.jpg\t1\n", "1 duplicate id of judged pairs"),
    ],
)
def test_malformed_judgements_are_named(tmp_path: Path, line: str, reason: str) -> None:
    home = beir(tmp_path)
    add(home / "qrels" / "test.tsv", line)
    assert reason in refusal(home, images_dir=tmp_path)


def test_other_faults_of_a_beir_folder(tmp_path: Path) -> None:
    home = beir(tmp_path)
    before = content(read(home, images_dir=tmp_path))
    (home / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n")
    assert content(read(home, images_dir=tmp_path)) == before
    assert "the split 'dev' of beir is empty" in refusal(home, images_dir=tmp_path, split="dev")
    add(home / "corpus.jsonl", '{"_id": "t", "text": "no picture"}\n')
    assert "3 of 4 entries of corpus.jsonl have an image" in refusal(home, images_dir=tmp_path)
    add(home / "corpus.jsonl", '{"text": "no id"}\n')
    assert "line 5: it has no text in `_id`" in refusal(home, images_dir=tmp_path)
    write_lines(home / "queries.jsonl", [{"_id": "images/red.jpg#0", "text": ""}])
    write_lines(home / "corpus.jsonl", [{"_id": "images/red.jpg", "image": "images/red.jpg"}])
    assert "has neither a text nor an image" in refusal(home, images_dir=tmp_path)
    for file in (home / "qrels").iterdir():
        file.unlink()
    assert "has neither qrels" in refusal(home)


def test_duplicate_ids_of_a_beir_folder(tmp_path: Path) -> None:
    home = beir(tmp_path)
    add(home / "corpus.jsonl", '{"_id": "images/red.jpg", "image": "images/green.jpg"}\n')
    assert "1 duplicate id of entries in corpus.jsonl: images/red.jpg" in refusal(home, images_dir=tmp_path)


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg"])
    said = refusal(as_captions(tmp_path, {"a.jpg": ["x"], "b" * 5_000: ["y"]}))
    assert "1 of 2 images of captions.jsonl are missing" in said
    assert len(said) < 1_000


def test_text_that_is_not_unicode(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg"])
    path = tmp_path / "captions.jsonl"
    path.write_text(r'{"image": "a.jpg", "caption": "half a pair \ud800"}')
    assert "'a.jpg#0': not valid Unicode" in refusal(path)
