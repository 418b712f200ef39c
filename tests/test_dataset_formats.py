"""Captioned sets: every format gives the same set, and what a person chooses is what is judged."""

from pathlib import Path

import pytest

from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets import read, recognise
from tests.dataset_files import (
    COLOURS,
    as_beir,
    as_captions,
    as_karpathy,
    as_one_caption_a_line,
    as_tar,
    as_token,
    as_trec,
    content,
    picture,
    write_images,
    write_lines,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path, list(COLOURS))
    return tmp_path


def test_captions_ask_for_their_image_and_images_for_their_captions(folder: Path) -> None:
    found = read(as_captions(folder, COLOURS))
    assert found.name == f"{folder.name}/captions.jsonl (test, en)"
    assert [image.image_id for image in found.images] == list(COLOURS)
    assert found.texts[1].text_id == "images/red.jpg#1"
    assert found.texts[1].language == "en"
    text_to_image, image_to_text = found.tasks
    assert text_to_image.direction == "text_to_image"
    assert text_to_image.query_ids == tuple(text.text_id for text in found.texts)
    assert text_to_image.qrels["images/green.jpg#2"] == {"images/green.jpg": 1}
    assert image_to_text.direction == "image_to_text"
    assert image_to_text.document_ids == text_to_image.query_ids
    assert image_to_text.qrels["images/red.jpg"] == {"images/red.jpg#0": 1, "images/red.jpg#1": 1}
    assert found.images[0].read() == picture()
    assert found.images[0].path == folder / "images/red.jpg"


@pytest.mark.parametrize("write", [as_one_caption_a_line, as_karpathy, as_token, as_beir])
def test_every_format_gives_the_same_set(folder: Path, write) -> None:  # type: ignore[no-untyped-def]
    expected = read(as_captions(folder, COLOURS))
    found = read(write(folder, COLOURS), images_dir=folder)
    assert content(found) == content(expected)
    assert [image.read() for image in found.images] == [image.read() for image in expected.images]


def test_trec_gives_the_same_judgements(folder: Path) -> None:
    found = read(as_trec(folder, COLOURS), images_dir=folder)
    assert [task.direction for task in found.tasks] == ["text_to_image", "image_to_text"]
    assert [text.text for text in found.texts] == [text for own in COLOURS.values() for text in own]
    assert found.tasks[1].qrels["d1"] == {"d1#0": 1, "d1#1": 1, "d1#2": 1}


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (as_captions, "captions"),
        (as_one_caption_a_line, "captions"),
        (as_karpathy, "karpathy"),
        (as_token, "flickr_token"),
        (as_beir, "beir"),
        (as_trec, "trec"),
    ],
)
def test_formats_are_recognised(folder: Path, write, name: str) -> None:  # type: ignore[no-untyped-def]
    assert recognise(write(folder, COLOURS)) == name


def test_formats_are_recognised_by_content_where_the_suffix_says_little(folder: Path) -> None:
    assert recognise(as_token(folder, COLOURS).rename(folder / "Flickr8k.token.txt")) == "flickr_token"
    assert recognise(as_captions(folder, COLOURS).rename(folder / "captions.json")) == "captions"
    catalogue = write_lines(folder / "products.jsonl", [{"id": "1", "title": "Shirt", "image": "a.jpg", "tags": ["x"]}])
    assert recognise(catalogue) is None
    assert recognise(folder) is None
    with pytest.raises(EvaluationError, match="not a benchmark in a known format"):
        read(catalogue)


def test_a_malformed_first_line_does_not_hide_the_format(folder: Path) -> None:
    path = as_captions(folder, COLOURS)
    path.write_text("{oops\n" + path.read_text())
    with pytest.raises(EvaluationError, match=r"1 entry of captions\.jsonl cannot be read: line 1: not a JSON object"):
        read(path)


def splits(folder: Path, *names: str) -> Path:
    write_images(folder, [f"{name}.jpg" for name in names])
    return write_lines(
        folder / "captions.jsonl", [{"image": f"{name}.jpg", "split": name, "en": [name]} for name in names]
    )


@pytest.mark.parametrize(
    ("there", "asked", "judged"),
    [
        (["train", "val", "test"], "", "test"),
        (["train", "val"], "", "val"),
        (["train", "dev"], "", "dev"),
        (["train", "validation"], "val", "validation"),
        (["train"], "", "train"),
        (["train", "test"], "train", "train"),
    ],
)
def test_which_split_is_judged(tmp_path: Path, there: list[str], asked: str, judged: str) -> None:
    found = read(splits(tmp_path, *there), split=asked)
    assert [image.image_id for image in found.images] == [f"{judged}.jpg"]


def test_splits_that_are_not_there_are_refused_by_name(tmp_path: Path) -> None:
    path = splits(tmp_path, "train", "extra")
    with pytest.raises(EvaluationError, match="several splits") as refused:
        read(path)
    assert "extra (1), train (1)" in refused.value.hint
    with pytest.raises(EvaluationError, match="no split 'val'") as refused:
        read(path, split="val")
    assert "extra (1), train (1)" in refused.value.hint
    with pytest.raises(EvaluationError, match="has no splits"):
        read(as_one_caption_a_line(tmp_path, {"train.jpg": ["x"]}), split="val")


def test_train_has_the_images_of_restval(tmp_path: Path) -> None:
    captions = {"train.jpg": ["a"], "restval.jpg": ["b"], "test.jpg": ["c"]}
    write_images(tmp_path, list(captions))
    path = as_karpathy(tmp_path, captions)
    text = path.read_text()
    for name in captions:
        split = name.removesuffix(".jpg")
        text = text.replace(f'"filename": "{name}", "split": "test"', f'"filename": "{name}", "split": "{split}"')
    path.write_text(text)
    for split, expected in {
        "train": ["train.jpg", "restval.jpg"],
        "restval": ["restval.jpg"],
        "test": ["test.jpg"],
    }.items():
        assert [image.image_id for image in read(path, split=split).images] == expected


def test_flickr8k_lists_beside_a_token_file_are_its_splits(folder: Path) -> None:
    path = as_token(folder, COLOURS)
    (folder / "Flickr_8k.trainImages.txt").write_text("images/red.jpg\nimages/green.jpg\n")
    (folder / "Flickr_8k.devImages.txt").write_text("images/dark blue.jpg\n")
    assert [image.image_id for image in read(path).images] == ["images/dark blue.jpg"]
    assert len(read(path, split="train").images) == 2


@pytest.fixture
def languages(tmp_path: Path) -> Path:
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    lines = [
        {"image": "a.jpg", "en": ["a dog"], "zh-CN": ["狗"], "ar": ["كلب"], "source": "web"},
        {"image": "b.jpg", "en": ["a cat"], "zh-CN": [], "ar": ["قط"]},
    ]
    return write_lines(tmp_path / "captions.jsonl", lines)


def test_english_is_judged_unless_another_language_is_chosen(languages: Path) -> None:
    found = read(languages)
    assert [text.text for text in found.texts] == ["a dog", "a cat"]
    assert found.notes == ("captions in en; --language chooses: ar (2), en (2), zh-CN (1)",)
    assert found.images[0].attributes == {"source": "web"}
    assert [text.language for text in read(languages, language="AR").texts] == ["ar", "ar"]


def test_an_image_without_a_caption_in_the_language_stays_to_be_found(languages: Path) -> None:
    found = read(languages, language="zh")
    assert [text.text for text in found.texts] == ["狗"]
    assert found.tasks[0].document_ids == ("a.jpg", "b.jpg")
    assert found.tasks[1].query_ids == ("a.jpg",)
    assert found.notes == ("1 of 2 images have no caption in zh-CN: they can be found, and ask nothing",)


def test_languages_that_are_not_there_are_refused_by_name(languages: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no captions in 'de'") as refused:
        read(languages, language="de")
    assert "ar (2), en (2), zh-CN (1)" in refused.value.hint
    two = write_lines(tmp_path / "two.jsonl", [{"image": "a.jpg", "de": ["Hund"], "fr": ["chien"]}])
    with pytest.raises(EvaluationError, match="none is English"):
        read(two)
    chinese = write_lines(tmp_path / "zh.jsonl", [{"image": "a.jpg", "zh-CN": ["狗"], "zh-TW": ["狗"]}])
    with pytest.raises(EvaluationError, match="several languages 'zh'"):
        read(chinese, language="zh")
    with pytest.raises(EvaluationError, match="does not name its languages"):
        read(as_tar(tmp_path / "0.tar", COLOURS), language="en")


def test_equal_captions_of_benchmarks_stay_apart(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.jpg", "b.jpg"])
    found = read(as_captions(tmp_path, {"a.jpg": ["A dog."], "b.jpg": ["A dog."]}))
    assert found.tasks[0].qrels == {"a.jpg#0": {"a.jpg": 1}, "b.jpg#0": {"b.jpg": 1}}
