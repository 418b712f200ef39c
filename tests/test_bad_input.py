"""Bad input through the real command line: each case ends in a clear message or a recorded and reported skip."""

import csv
import json
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.lock import writer_lock
from tests.test_cli import Run, run
from tests.test_pipeline import paint, state_of

__all__ = ["run"]  # the fixture


@pytest.fixture
def shop(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good photo that is indexed already; it is also the working directory."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "good" / "red.png", "red")
    assert run("index", "good")[0] == 0
    return tmp_path


def stored(folder: Path) -> list[str]:
    return [item[0] for item in state_of(folder / ".catalens")]


def assert_refused(said: tuple[int, str, str], message: str, *, code: int = 1) -> None:
    """One message, and below it what to do next."""
    assert said[:2] == (code, "")
    lines = said[2].splitlines()
    assert message in lines[0]
    assert lines[0].startswith("error: ")
    assert len(lines) == 2, said[2]
    assert lines[1].startswith("  ")


def table(folder: Path, *rows: tuple[str, ...], header: tuple[str, ...] = ("id", "title", "image")) -> Path:
    with (folder / "products.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / "products.csv"


class TestSourcesThatCannotBeIndexed:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            pytest.param(lambda path: path, "there is nothing at", id="missing"),
            pytest.param(lambda path: path.mkdir() or path, "no photos in", id="empty folder"),
            pytest.param(lambda path: _file(path, "a.csv", b""), "has no rows", id="empty catalogue"),
            pytest.param(lambda path: _file(path, "a.csv", b"id,image\n"), "has no rows", id="header only"),
            pytest.param(lambda path: _file(path, "a.docx", b"x"), "not a kind of catalogue", id="unknown kind"),
            pytest.param(lambda path: _file(path, "a.csv", b"\x00\x01" * 99), "binary data", id="binary catalogue"),
        ],
    )
    def test_says_why_and_what_to_give(self, make: Callable[[Path], Path], message: str, run: Run, shop: Path) -> None:
        assert_refused(run("index", make(shop / "source")), message)
        assert stored(shop) == ["red.png"]

    def test_an_unknown_column_names_the_columns_there_are(self, run: Run, shop: Path) -> None:
        path = table(shop, ("1", "hat", "good/red.png"))
        said = run("index", path, "--image-column", "fotos")
        assert_refused(said, "no column 'fotos'; its columns are id, title, image")

    def test_one_bad_source_of_two_leaves_the_other_for_a_run_that_is_right(self, run: Run, shop: Path) -> None:
        paint(shop / "second" / "blue.png", "blue")
        assert_refused(run("index", "second", "nowhere"), "there is nothing at nowhere")
        assert stored(shop) == ["red.png"]


def _file(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir()
    (folder / name).write_bytes(content)
    return folder / name


class TestRowsThatCannotBeItems:
    """Recorded, reported, and the rest is indexed."""

    @pytest.mark.parametrize(
        ("row", "counted", "reason"),
        [
            pytest.param(("1", "cap", "good/red.png"), "skipped", "duplicate id '1', first on line 2", id="duplicate"),
            pytest.param(("2", "", ""), "skipped", "neither a title nor a photo", id="nothing in it"),
            pytest.param(("2", "cap", ""), "skipped", "no photo: only its text can be found", id="no photo"),
            pytest.param(("2", "cap", "gone.png"), "failed", "file not found", id="missing photo"),
            pytest.param(("2", "cap", "../../etc/passwd"), "failed", "outside the catalogue's folder", id="outside"),
            pytest.param(("2", "cap", "http://x/y.jpg"), "failed", "image URLs are not fetched", id="URL"),
            pytest.param(("2", "cap"), "skipped", "2 cells where the header has 3", id="too few cells"),
        ],
    )
    def test_is_reported_and_kept_in_the_ledger(
        self, row: tuple[str, ...], counted: str, reason: str, run: Run, shop: Path
    ) -> None:
        path = table(shop, ("1", "hat", "good/red.png"), row)
        code, out, err = run("index", path, "--json")
        assert code == 0
        assert (json.loads(out)["new"], json.loads(out)[counted]) == (1, 1)
        assert reason in err
        status = json.loads(run("status", "--json")[1])
        assert status[counted] == 1
        assert reason in status["problems"][0]["reason"]
        assert "1" in stored(shop)

    def test_a_row_without_a_photo_is_found_by_its_text(self, run: Run, shop: Path) -> None:
        run("index", table(shop, ("1", "blue hat", ""), ("2", "red hat", "good/red.png")))
        hits = json.loads(run("search", "blue", "--by", "text", "--json")[1])["hits"]
        assert (hits[0]["item_id"], hits[0]["photo"]) == ("1", None)


def png_bomb(width: int, height: int) -> bytes:
    """A greyscale PNG of 20 KB whose header promises width × height bytes; its data begins with 20 MB of them."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(20_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def truncated_jpeg(path: Path) -> None:
    Image.effect_noise((200, 200), 60).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:4000])


class TestPhotosThatCannotBeRead:
    @pytest.mark.parametrize(
        ("name", "make", "reason"),
        [
            pytest.param("cut.jpg", truncated_jpeg, "truncated JPEG", id="truncated JPEG"),
            pytest.param("text.jpg", lambda path: path.write_text("hello"), "like a text file", id="text as .jpg"),
            pytest.param("empty.png", lambda path: path.touch(), "the file is empty", id="empty file"),
            pytest.param("link.png", lambda path: path.symlink_to("nowhere"), "a broken link", id="broken link"),
        ],
    )
    def test_is_reported_and_the_rest_is_indexed(
        self, name: str, make: Callable[[Path], object], reason: str, run: Run, shop: Path
    ) -> None:
        make(shop / "good" / name)
        code, _, err = run("index", "good")
        assert code == 0
        assert re_line(err, name).endswith(reason + ")") or reason in re_line(err, name)
        assert reason in json.loads(run("status", "--json")[1])["problems"][0]["reason"]
        assert stored(shop) == ["red.png"]

    def test_a_small_file_that_unpacks_to_500_mb_is_refused_unread(self, run: Run, shop: Path) -> None:
        bomb = png_bomb(16_000, 32_000)
        assert len(bomb) < 25_000
        (shop / "good" / "bomb.png").write_bytes(bomb)
        code, _, err = run("index", "good")
        assert code == 0
        assert "unpacks to 512 megapixels; the cap is 40; raise it with --max-pixels" in re_line(err, "bomb.png")

    def test_max_pixels_moves_the_cap(self, run: Run, shop: Path) -> None:
        paint(shop / "good" / "blue.png", "blue")
        assert "the cap is 0.1" in run("index", "good", "--max-pixels", "100")[2]
        assert run("index", "good")[0] == 0
        assert stored(shop) == ["blue.png", "red.png"]


def re_line(text: str, name: str) -> str:
    """The report line about a file."""
    return next(line for line in text.splitlines() if name in line and line.startswith("  "))


def rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), (20, 20, 220)).save(path, exif=exif)


def animated(path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((20, 20, 220), (220, 20, 20))]
    frames[0].save(path, save_all=True, append_images=frames[1:])


class TestPhotosThatAreOnlyUnusual:
    """All of them are blue; that they are found by that word shows that they were read right."""

    @pytest.mark.parametrize(
        ("name", "make"),
        [
            pytest.param("animated.gif", animated, id="animated GIF, first frame"),
            pytest.param("cmyk.jpg", lambda p: Image.new("CMYK", (8, 8), (235, 235, 35, 0)).save(p), id="CMYK"),
            pytest.param("clear.png", lambda p: Image.new("RGBA", (8, 8), (20, 20, 220, 255)).save(p), id="alpha"),
            pytest.param("rotated.jpg", rotated, id="rotated EXIF"),
            pytest.param("with spaces 和中文字.png", lambda p: paint(p, "blue"), id="spaces and Chinese"),
            pytest.param("UPPER.PNG", lambda p: paint(p, "blue"), id="upper-case suffix"),
        ],
    )
    def test_is_found(self, name: str, make: Callable[[Path], object], run: Run, shop: Path) -> None:
        make(shop / "good" / name)
        code, _, err = run("index", "good")
        assert (code, err.splitlines()[0][:20]) == (0, "catalens index: new=")
        assert json.loads(run("search", "blue", "--json")[1])["hits"][0]["item_id"] == name

    def test_16_bit_grey_is_grey_and_not_white(self, run: Run, shop: Path) -> None:
        Image.fromarray(np.full((8, 8), 0x8000, dtype=np.uint16)).save(shop / "good" / "deep.png")
        paint(shop / "good" / "white.png", "white")
        run("index", "good")
        hits = json.loads(run("search", "something", "--json")[1])["hits"]
        assert (hits[0]["item_id"], hits[0]["score"] > 0.99) == ("deep.png", True)

    def test_what_is_transparent_is_white(self, run: Run, shop: Path) -> None:
        Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(shop / "good" / "clear.png")
        run("index", "good")
        assert json.loads(run("search", "white", "--json")[1])["hits"][0]["item_id"] == "clear.png"

    def test_a_rotated_photo_is_stored_with_its_upright_size(self, run: Run, shop: Path) -> None:
        rotated(shop / "good" / "a.jpg")
        run("index", "good")
        assert state_of(shop / ".catalens")[0][3][0][2:4] == (20, 40)


class TestCollectionsThatCannotBeUsed:
    def test_one_made_by_another_model(self, run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from tests.fakes import ColourEncoder

        for module in ("retrieval.encoders", "retrieval.search"):
            monkeypatch.setattr(f"{module}.load_encoder", lambda name, **_: ColourEncoder(name, version="2"))
        paint(shop / "good" / "blue.png", "blue")
        assert_refused(run("index", "good", "--model", "other"), "was made with starter (fingerprint")
        assert_refused(run("search", "red"), "was made with starter (fingerprint")
        assert stored(shop) == ["red.png"]

    def test_one_that_another_process_is_writing(self, run: Run, shop: Path) -> None:
        with writer_lock(shop / ".catalens"):
            assert_refused(run("index", "good"), ".catalens is being written by process")
            assert run("search", "red")[0] == 0, "readers need no lock"

    def test_one_whose_database_is_damaged(self, run: Run, shop: Path) -> None:
        (shop / ".catalens" / "catalog.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
        for arguments in (["index", "good"], ["search", "red"], ["status"]):
            assert_refused(run(*arguments), "catalog.db cannot be read")

    def test_one_that_is_a_file(self, run: Run, shop: Path) -> None:
        (shop / "file").touch()
        assert_refused(run("search", "red", "--collection", "file"), "file")
        assert_refused(run("index", "good", "--collection", "file"), "file")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, where this process may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount, "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class TestDisks:
    def test_a_full_one(self, run: Run, shop: Path, small_disk: Path) -> None:
        assert run("index", "good", "--collection", small_disk / "c")[0] == 0
        for i in range(40):
            paint(shop / "good" / f"{i}.png", "blue", i)
        ballast = small_disk / "ballast"
        with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        assert_refused(run("index", "good", "--collection", small_disk / "c"), "full")
        ballast.unlink()
        assert run("index", "good", "--collection", small_disk / "c")[0] == 0
        assert len(state_of(small_disk / "c")) == 41

    def test_a_read_only_one(self, run: Run, shop: Path, small_disk: Path) -> None:
        assert run("index", "good", "--collection", small_disk / "c")[0] == 0
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        paint(shop / "good" / "blue.png", "blue")
        assert_refused(run("index", "good", "--collection", small_disk / "c"), str(small_disk))
        assert_refused(run("index", "--add-tokens", "--collection", small_disk / "c"), str(small_disk))
        assert run("search", "red", "--collection", small_disk / "c")[0] == 0


class TestQueries:
    @pytest.mark.parametrize("words", ["", "   ", "\n\t"], ids=["empty", "blanks", "line ends"])
    def test_of_nothing(self, words: str, run: Run, shop: Path) -> None:
        assert_refused(run("search", words), "nothing to search for", code=2)

    def test_of_10_000_characters(self, run: Run, shop: Path) -> None:
        assert_refused(run("search", "red " * 2_500), "10,000 characters", code=2)

    @pytest.mark.parametrize(
        ("name", "reason"), [("nowhere.png", "no such file"), ("good", "a folder"), ("text.png", "text file")]
    )
    def test_by_a_picture_that_cannot_be_read(self, name: str, reason: str, run: Run, shop: Path) -> None:
        (shop / "text.png").write_text("hello")
        said = run("search", "--image", name)
        assert_refused(said, f"{name}: ")
        assert reason in said[2]

    @pytest.mark.parametrize("words", ["\x00", "🙂" * 500, "' OR 1=1 --", "--", "[bold]"], ids=ascii)
    def test_of_odd_characters_is_only_a_query(self, words: str, run: Run, shop: Path) -> None:
        assert json.loads(run("search", "--json", "--", words)[1])["hits"][0]["item_id"] == "red.png"
