"""Retrieval WebDatasets: read in place, whatever the tar holds."""

import io
import tarfile
from pathlib import Path

import pytest

from retrieval.errors import EvaluationError, ImageError
from retrieval.evaluation.datasets import read, recognise, webdataset
from tests.dataset_files import COLOURS, as_tar, picture

TEXTS = [text for own in COLOURS.values() for text in own]


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, target
    return made


def refusal(path: Path) -> str:
    with pytest.raises(EvaluationError) as refused:
        read(path)
    return str(refused.value)


def test_one_tar(tmp_path: Path) -> None:
    path = as_tar(tmp_path / "0.tar", COLOURS)
    assert recognise(path) == "webdataset"
    found = read(path)
    assert [image.image_id for image in found.images] == ["0000.jpg", "0001.jpg", "0002.jpg"]
    assert [text.text for text in found.texts] == TEXTS
    assert [text.text_id for text in found.texts][:3] == ["0000.jpg#0", "0000.jpg#1", "0001.jpg#0"]
    assert found.images[2].read() == picture()
    assert found.images[2].path is None
    assert list(tmp_path.iterdir()) == [path]


def test_shards_in_the_order_of_their_numbers_and_splits_by_folder(tmp_path: Path) -> None:
    for number in (0, 2, 10):
        as_tar(tmp_path / "test" / f"{number}.tar", {"x": [f"shard {number}"]})
    as_tar(tmp_path / "train" / "0.tar", {"x": ["training"]})
    (tmp_path / "test" / "nshards.txt").write_text("3")
    assert recognise(tmp_path) == recognise(tmp_path / "test") == "webdataset"
    found = read(tmp_path)
    assert [text.text for text in found.texts] == ["shard 0", "shard 2", "shard 10"]
    assert [image.image_id for image in found.images] == ["0.tar/0000.jpg", "2.tar/0000.jpg", "10.tar/0000.jpg"]
    assert [text.text for text in read(tmp_path, split="train").texts] == ["training"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    path = as_tar(tmp_path / "0.tar", COLOURS, entry("evil.jpg", kind, target="/etc/passwd"))
    assert "'evil.jpg' is not a plain file" in refusal(path)


def test_names_that_lead_elsewhere_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "home" / "0.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as archive:
        for name, data in (("../../evil.jpg", picture()), ("../../evil.txt", b"caption")):
            made = entry(name, size=len(data))
            archive.addfile(made, io.BytesIO(data))
    assert read(path).images[0].read() == picture()
    assert [file.name for file in tmp_path.rglob("*")] == ["home", "0.tar"]


def test_caps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    big = entry("big.txt", size=webdataset.MAX_CAPTION_BYTES + 1)
    assert "'big.txt' is larger than 1 MiB" in refusal(as_tar(tmp_path / "big.tar", COLOURS, big))
    monkeypatch.setattr(webdataset, "MAX_ENTRIES", 5)
    assert "more than 5 entries" in refusal(as_tar(tmp_path / "many.tar", COLOURS))
    for number in range(3):  # each has 2 entries, all have 6
        as_tar(tmp_path / "shards" / f"{number}.tar", {"x": ["y"]})
    assert "more than 5 entries" in refusal(tmp_path / "shards")
    monkeypatch.setattr(webdataset, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="larger than"):
        read(as_tar(tmp_path / "one.tar", {"x": ["y"]})).images[0].read()


def test_broken_tars(tmp_path: Path) -> None:
    path = as_tar(tmp_path / "0.tar", COLOURS)
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    assert "0.tar cannot be read" in refusal(path)
    path.write_bytes(b"not a tar" * 200)
    assert "not a whole, uncompressed tar" in refusal(path)
    path.write_bytes(b"")
    assert "is empty" in refusal(path)


def test_a_broken_extended_header_is_a_broken_tar(tmp_path: Path) -> None:
    """tarfile itself raises a ValueError here, and not one of its own errors."""
    odd = entry("sparse.jpg")
    odd.pax_headers = {"GNU.sparse.map": "not,numbers"}
    assert "0.tar cannot be read" in refusal(as_tar(tmp_path / "0.tar", COLOURS, odd))


def test_a_caption_ends_with_a_line_and_nowhere_else(tmp_path: Path) -> None:
    found = read(as_tar(tmp_path / "0.tar", {"x": ["one\u2028caption\r", "another", ""]}))
    assert [text.text for text in found.texts] == ["one\u2028caption", "another"]
    assert found.notes == ()


def test_samples_that_lack_a_part_are_counted(tmp_path: Path) -> None:
    assert "1 of 4 samples of 0.tar have captions and no picture: 0009" in refusal(
        as_tar(tmp_path / "0.tar", COLOURS, entry("0009.txt"))
    )
    assert "1 of 4 images of 1.tar have no caption: 0009.jpg" in refusal(
        as_tar(tmp_path / "1.tar", COLOURS, entry("0009.jpg"))
    )
    assert "two pictures for '0000'" in refusal(as_tar(tmp_path / "2.tar", COLOURS, entry("0000.png")))
    assert "two caption files for '0000'" in refusal(as_tar(tmp_path / "3.tar", COLOURS, entry("0000.txt")))
    assert "holds no pictures" in refusal(as_tar(tmp_path / "4.tar", {}, entry("readme.md")))


def test_a_tar_that_goes_away_later_is_an_image_error(tmp_path: Path) -> None:
    path = as_tar(tmp_path / "0.tar", COLOURS)
    found = read(path)
    path.unlink()
    with pytest.raises(ImageError, match="cannot be read"):
        found.images[0].read()
