"""Thumbnails: our own bytes, never larger than the photo, kept within a bound, and of what was indexed only."""

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from api.http.thumbnails import SIZES, Thumbnails, etag, is_known, kind_for, snapped
from retrieval.catalogue.photo_queries import PhotoRow
from retrieval.errors import ImageError


def stored(path: Path) -> PhotoRow:
    """A file as the catalogue would have it."""
    with Image.open(path) as image:
        return PhotoRow(1, str(path), hashlib.sha256(path.read_bytes()).hexdigest(), *image.size)


@pytest.fixture
def photo(tmp_path: Path) -> PhotoRow:
    """A landscape with a camera's notes in it: red on the left, blue on the right."""
    picture = Image.new("RGB", (900, 300), (220, 20, 20))
    picture.paste((20, 20, 220), (450, 0, 900, 300))
    notes = Image.Exif()
    notes[0x010F] = "SECRET CAMERA"
    notes[0x8825] = {1: "N", 2: (52.0, 31.0, 0.0)}
    picture.save(tmp_path / "a.jpg", exif=notes, comment=b"SECRET COMMENT", quality=95)
    return stored(tmp_path / "a.jpg")


@pytest.mark.parametrize(("asked", "made"), [(1, 160), (160, 160), (161, 320), (700, 1280), (1280, 1280), (9999, 1280)])
def test_sizes_are_a_few_steps(asked: int, made: int) -> None:
    assert snapped(asked) == made


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/avif,image/webp,*/*;q=0.8", "webp"),
        ("IMAGE/WEBP", "webp"),
        ("image/webp; q=0.5", "webp"),
        ("image/webp;q=0", "jpeg"),
        ("image/webp;q=0.000,image/jpeg", "jpeg"),
        ("*/*", "jpeg"),
        ("", "jpeg"),
        ("application/json", "jpeg"),
        (";;,=,", "jpeg"),
    ],
)
def test_the_format_is_what_the_client_names(accept: str, kind: str) -> None:
    assert kind_for(accept) == kind


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
@pytest.mark.parametrize("size", SIZES)
def test_a_thumbnail_fits_and_keeps_the_picture(photo: PhotoRow, size: int, kind: str) -> None:
    with Image.open(io.BytesIO(Thumbnails().of(photo, size, kind))) as made:  # type: ignore[arg-type]
        assert made.format == kind.upper()
        side = min(size, 900)
        assert made.size == (side, round(side / 3))
        pixels = np.asarray(made.convert("RGB"), dtype=float)
    third = side // 3
    assert np.abs(pixels[:, :third].mean(axis=(0, 1)) - (220, 20, 20)).max() < 8
    assert np.abs(pixels[:, -third:].mean(axis=(0, 1)) - (20, 20, 220)).max() < 8


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
def test_nothing_of_the_files_own_notes_is_in_it(photo: PhotoRow, kind: str) -> None:
    made = Thumbnails().of(photo, 320, kind)  # type: ignore[arg-type]
    assert b"SECRET" in Path(photo.path).read_bytes()
    assert b"SECRET" not in made
    assert b"Exif" not in made
    with Image.open(io.BytesIO(made)) as opened:
        assert not opened.getexif()
        assert "comment" not in opened.info


def test_a_photo_that_lies_on_its_side_stands_upright(tmp_path: Path) -> None:
    notes = Image.Exif()
    notes[0x0112] = 6
    Image.new("RGB", (400, 200)).save(tmp_path / "a.jpg", exif=notes)
    with Image.open(io.BytesIO(Thumbnails().of(stored(tmp_path / "a.jpg"), 160, "jpeg"))) as made:
        assert made.size == (80, 160)


def test_a_photo_past_the_cap_that_was_indexed_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "a.png")
    monkeypatch.setattr("api.http.photo_files.MAX_PIXELS", 100)
    assert Thumbnails().of(stored(tmp_path / "a.png"), 160, "jpeg")


def test_the_second_time_no_file_is_read(photo: PhotoRow) -> None:
    thumbnails = Thumbnails()
    first = thumbnails.of(photo, 320, "webp")
    Path(photo.path).unlink()
    assert thumbnails.of(photo, 320, "webp") is first
    with pytest.raises(ImageError, match="no such file"):
        thumbnails.of(photo, 160, "webp")


def test_what_is_kept_is_bounded_and_the_longest_unused_goes_first(tmp_path: Path) -> None:
    photos, noise = [], np.random.default_rng(1)
    for number in range(6):
        Image.fromarray(noise.integers(0, 255, (160, 160, 3), np.uint8)).save(tmp_path / f"{number}.png")
        photos.append(stored(tmp_path / f"{number}.png"))
    each = len(Thumbnails().of(photos[0], 160, "jpeg"))
    thumbnails = Thumbnails(capacity=int(each * 3.5))
    first = thumbnails.of(photos[0], 160, "jpeg")
    for photo in photos[1:]:
        thumbnails.of(photo, 160, "jpeg")
        assert thumbnails.of(photos[0], 160, "jpeg") is first  # used each time, so it stays
        assert thumbnails.held <= each * 3.5
    Path(photos[1].path).unlink()
    with pytest.raises(ImageError):
        thumbnails.of(photos[1], 160, "jpeg")


def test_one_larger_than_all_that_may_be_kept_is_made_and_not_kept(photo: PhotoRow) -> None:
    thumbnails = Thumbnails(capacity=10)
    assert thumbnails.of(photo, 160, "jpeg")
    assert thumbnails.held == 0


def test_many_threads_leave_the_count_right(photo: PhotoRow) -> None:
    thumbnails = Thumbnails()
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: thumbnails.of(photo, 160, "webp"), range(32)))
    assert len(made) == 1
    assert thumbnails.held == len(made.pop())


@pytest.mark.parametrize("damage", ["gone", "cut", "other", "link", "folder", "text"])
def test_only_what_was_indexed_is_shown(photo: PhotoRow, tmp_path: Path, damage: str) -> None:
    path = Path(photo.path)
    data = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "other":
        Image.new("RGB", (9, 9)).save(path)
    elif damage == "link":
        (tmp_path / "secret.png").write_bytes(b"secret")
        path.symlink_to(tmp_path / "secret.png")
    elif damage == "folder":
        path.mkdir()
    elif damage == "text":
        path.write_text("no picture")
    with pytest.raises(ImageError):
        Thumbnails().of(photo, 160, "jpeg")


def test_an_etag_says_content_size_and_format(photo: PhotoRow) -> None:
    tag = etag(photo, 320, "webp")
    assert len({tag, etag(photo, 640, "webp"), etag(photo, 320, "jpeg")}) == 3
    assert is_known(tag, tag)
    assert is_known(tag, f'"other", W/{tag}')
    assert is_known(tag, "*")
    assert not is_known(tag, None)
    assert not is_known(tag, tag.strip('"'))
    assert not is_known(tag, etag(photo, 640, "webp"))
