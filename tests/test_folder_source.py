"""Folders of photos, and what is opened for which path."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from indexer.sources import Rejected, SourceItem, open_source
from indexer.sources.names import title_from_file_name
from retrieval.errors import SourceError


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), "red").save(path)
    return path


def ids(folder: Path) -> list[str]:
    return [item.item_id for item in open_source(folder).items() if isinstance(item, SourceItem)]


def test_every_photo_is_an_item_in_a_stable_order(tmp_path: Path) -> None:
    for name in ["b/z.png", "b/a.jpg", "a/deep/er/红 裙子.jpg", "c.JPG", "a b/red_dress-03.jpeg"]:
        photo(tmp_path / name)
    source = open_source(tmp_path)
    items = list(source.items())
    assert [item.item_id for item in items if isinstance(item, SourceItem)] == [
        "c.JPG",
        "a/deep/er/红 裙子.jpg",
        "a b/red_dress-03.jpeg",
        "b/a.jpg",
        "b/z.png",
    ]
    assert items == list(source.items())
    assert items[2] == SourceItem(
        item_id="a b/red_dress-03.jpeg",
        title="red dress 03",
        photos=(tmp_path / "a b/red_dress-03.jpeg",),
        where="a b/red_dress-03.jpeg",
    )
    assert (source.kind, source.location, source.count()) == ("folder", tmp_path, 5)


def test_hidden_things_the_collection_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for name in ["keep.jpg", ".hidden.jpg", ".git/a.jpg", ".catalens/a.jpg"]:
        photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "jpg").write_text("no suffix")
    assert ids(tmp_path) == ["keep.jpg"]


def test_linked_folders_are_not_followed_but_linked_photos_are(tmp_path: Path) -> None:
    photo(tmp_path / "shop/a.jpg")
    photo(tmp_path / "elsewhere/b.jpg")
    (tmp_path / "shop/circle").symlink_to(tmp_path / "shop")
    (tmp_path / "shop/away").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "shop/b.jpg").symlink_to(tmp_path / "elsewhere/b.jpg")
    assert ids(tmp_path / "shop") == ["a.jpg", "b.jpg"]


def test_what_is_no_file_is_reported_and_never_opened(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    rejected = [item for item in open_source(tmp_path).items() if isinstance(item, Rejected)]
    assert [item.where for item in rejected] == ["broken.jpg", "circle.jpg", "pipe.jpg"]
    assert all("not a file" in item.reason and not item.unreadable for item in rejected)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_not_unicode_are_reported(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    bad_folder = tmp_path / os.fsdecode(b"\xff")
    bad_folder.mkdir()
    (bad_folder / "b.jpg").write_bytes(b"")
    rejected = [item for item in open_source(tmp_path).items() if isinstance(item, Rejected)]
    assert [item.where for item in rejected] == [r"\xff", r"caf\xe9.jpg"]
    assert all("not valid Unicode" in item.reason and item.unreadable for item in rejected)
    assert ids(tmp_path) == ["a.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("what", ["folder", "file in it", "working folder", "images_dir"])
def test_a_source_whose_path_is_not_utf8_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    folder = tmp_path / os.fsdecode(b"ph\xffotos")
    photo(folder / "a.jpg")
    for place in (folder, tmp_path):
        (place / "products.csv").write_text("id,image\n1,a.jpg\n")
    monkeypatch.chdir(folder)
    path = {"folder": folder, "file in it": folder / "products.csv", "working folder": Path("products.csv")}.get(what)
    with pytest.raises(SourceError, match=r"ph\\xffotos\S* has bytes that are not UTF-8") as caught:
        open_source(path or tmp_path / "products.csv", images_dir=None if path else folder)
    assert "rename" in caught.value.hint
    str(caught.value).encode()


def test_folders_deeper_than_the_recursion_limit() -> None:
    top = Path(tempfile.mkdtemp())  # not tmp_path: its cleaning uses shutil.rmtree, which reaches the limit
    depths = [top / ("d/" * depth) for depth in range(1, 1201)]
    for folder in depths:
        folder.mkdir()
    photo = depths[-1] / "a.jpg"
    photo.write_bytes(b"")
    try:
        assert ids(top) == ["d/" * 1200 + "a.jpg"]
    finally:
        photo.unlink()
        for folder in [*reversed(depths), top]:
            folder.rmdir()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_may_not_be_listed(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    locked = photo(tmp_path / "locked/b.jpg").parent
    locked.chmod(0)
    try:
        assert [item for item in open_source(tmp_path).items() if isinstance(item, Rejected)] == [
            Rejected("locked/", "cannot list the folder: Permission denied", unreadable=True)
        ]
        with pytest.raises(SourceError, match="Permission denied"):
            open_source(locked)
    finally:
        locked.chmod(0o700)


def test_a_folder_that_vanishes_while_it_is_listed_is_reported(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    gone = photo(tmp_path / "b/b.jpg")
    items = open_source(tmp_path).items()
    next(items)
    gone.unlink()
    gone.parent.rmdir()
    assert list(items) == [Rejected("b/", "cannot list the folder: No such file or directory", unreadable=True)]


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("red_dress-03.jpg", "red dress 03"),
        ("shop\\blue+sock.png", "blue sock"),
        ("shop/2024__summer.hat.webp", "2024 summer.hat"),
        ("红裙.jpg", "红裙"),
        ("--.jpg", "--"),
    ],
)
def test_titles_from_file_names(path: str, title: str) -> None:
    assert title_from_file_name(path) == title


def test_paths_that_are_no_source(tmp_path: Path) -> None:
    cases = {
        tmp_path / "missing": "there is nothing at",
        photo(tmp_path / "one.jpg"): "is a single photo",
        tmp_path / "book.xlsx": "is not a kind of catalogue",
        tmp_path / "empty": "no photos in",
    }
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    (tmp_path / "empty/sub").mkdir(parents=True)
    for path, message in cases.items():
        with pytest.raises(SourceError, match=message) as caught:
            open_source(path)
        assert caught.value.hint
        assert str(path) in str(caught.value)


def test_a_name_that_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="File name too long"):
        open_source(tmp_path / ("x" * 5000))


@pytest.mark.parametrize("flag", ["images_dir", "id_column", "image_column", "title_column"])
def test_catalogue_flags_do_not_go_with_a_folder(tmp_path: Path, flag: str) -> None:
    photo(tmp_path / "a.jpg")
    value = tmp_path if flag == "images_dir" else "x"
    with pytest.raises(SourceError, match="is a folder"):
        open_source(tmp_path, **{flag: value})  # type: ignore[arg-type]
