"""The stamps benchmark, against an apt-get that is a script of ours and a real, tiny package where dpkg-deb is."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval import settings
from retrieval.errors import EvaluationError, StorageError
from retrieval.evaluation.datasets import stamps
from tests.dataset_files import picture

NAME = "tuxpaint-stamps-default_2030.01.01-1_all"
CAT = "A cat.\nde.utf8=Eine Katze.\npt_BR.utf8=Um gato.\nsr@latin.utf8=Mačka.\nca@valencia.utf8=Un gat.\n"
FILES = {
    "animals/cat.png": picture(),
    "animals/cat.txt": CAT.encode(),
    "animals/cartoon/cat.png": picture("blue"),
    "animals/cartoon/cat.txt": b"A  cat.\nde.utf8=Ein Kater.\nzh_CN.utf8=\n",
    "animals/dog.png": picture("green"),
    "animals/dog.txt": b"A dog.\nde.utf8=A dog.\n",
    "animals/dog_desc.ogg": b"sound",
    "animals/dog_mirror.png": picture(),
    "animals/drawn.svg": b"<svg/>",
    "animals/drawn.txt": b"Drawn.\n",
    "symbols/a.png": picture(),
    "symbols/a.txt": b"The letter A.\n",
    "town/flags/blue.png": picture(),
    "town/flags/blue.txt": b"A blue flag.\n",
}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


class FakeApt:
    """An apt-get that notes its calls, then runs a body in the folder it is called in."""

    def __init__(self, folder: Path, package: Path) -> None:
        self.calls = folder / "calls"
        self.calls.write_text("")
        self.path = folder / "apt-get"
        self.brings = f"shutil.copy({str(package)!r}, {NAME + '.deb'!r})"
        self.behave(self.brings)

    def behave(self, body: str) -> None:
        note = f"open({str(self.calls)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')"
        self.path.write_text(f"#!{sys.executable}\nimport shutil, sys, time\n{note}\n{body}\n")
        self.path.chmod(0o755)


@pytest.fixture
def apt(tmp_path: Path) -> FakeApt:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("there is no dpkg-deb on this machine")
    root = tmp_path / "root"
    write(root / "usr/share/tuxpaint/stamps", FILES)
    control = "Package: tuxpaint-stamps-default\nVersion: 2030.01.01-1\nArchitecture: all\n"
    write(root, {"DEBIAN/control": f"{control}Maintainer: A <a@example.org>\nDescription: stamps\n".encode()})
    package = tmp_path / "package.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, package], check=True, capture_output=True)
    return FakeApt(tmp_path, package)


def fetch(apt: FakeApt, cache: Path, **options: str) -> tuple[Path, list[str]]:
    said: list[str] = []
    return stamps.fetch(cache, on_message=said.append, **{"apt_get": str(apt.path), **options}), said


def test_a_package_is_fetched_once_and_only_what_is_wanted_is_kept(apt: FakeApt, tmp_path: Path) -> None:
    cache = tmp_path / "a" / "cache"
    home, said = fetch(apt, cache)
    assert home == cache / NAME
    assert len(said) == 1
    assert apt.calls.read_text() == "-qq download tuxpaint-stamps-default\n"
    kept = {file.relative_to(home).as_posix() for file in home.rglob("*") if file.is_file()}
    assert kept == {name for name in FILES if name.endswith((".png", ".txt"))}
    assert [path.name for path in cache.iterdir()] == [NAME]
    assert fetch(apt, cache, apt_get="nowhere", dpkg_deb="nowhere") == (home, [])


def test_without_package_lists_it_fetches_lists_of_its_own(apt: FakeApt, tmp_path: Path) -> None:
    apt.behave(
        "own = 'Dir::State::Lists=' in ' '.join(sys.argv)\n"
        "if not own: sys.exit('E: Unable to locate package')\n"
        f"if 'download' in sys.argv: {apt.brings}"
    )
    home, _ = fetch(apt, tmp_path / "cache")
    assert (home / "animals/cat.png").is_file()
    assert [line.split()[-1] for line in apt.calls.read_text().splitlines()] == [
        "tuxpaint-stamps-default",
        "update",
        "tuxpaint-stamps-default",
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sys.exit('W: a warning\\nE: no network\\nE: more')", "could not fetch .*: no network$"),
        ("sys.exit(3)", "exit status 3"),
        ("pass", "brought 0 files"),
        (f"open({NAME + '.deb'!r}, 'w').write('damaged')", "dpkg-deb could not"),
    ],
)
def test_an_apt_get_that_refuses_leaves_nothing_behind(apt: FakeApt, tmp_path: Path, body: str, reason: str) -> None:
    apt.behave(body)
    cache = tmp_path / "cache"
    with pytest.raises(EvaluationError, match=reason):
        fetch(apt, cache)
    assert list(cache.iterdir()) == []
    apt.behave(apt.brings)
    assert fetch(apt, cache)[0].is_dir()


def test_a_machine_without_the_programs(apt: FakeApt, tmp_path: Path) -> None:
    for options in ({"apt_get": "no-such-apt"}, {"dpkg_deb": "no-such-dpkg"}):
        with pytest.raises(EvaluationError, match=r"no-such-.*there is none on this machine") as refused:
            fetch(apt, tmp_path / "cache", **options)
        assert "Debian" in refused.value.hint


def test_a_cache_that_cannot_be_written(apt: FakeApt, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be kept"):
        fetch(apt, tmp_path / "file" / "cache")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path / NAME, {name: data for name, data in FILES.items() if name.endswith((".png", ".txt"))})
    return tmp_path / NAME


def test_english_stamps(home: Path) -> None:
    found = stamps.read(home)
    assert found.name == "stamps (en)"
    assert [image.image_id for image in found.images] == [
        "animals/cartoon/cat.png",
        "animals/cat.png",
        "animals/dog.png",
    ]
    assert found.images[0].attributes == {"category": "animals", "style": "cartoon"}
    assert found.images[1].attributes == {"category": "animals", "style": "photo"}
    assert [text.text for text in found.texts] == ["A  cat.", "A dog."]
    assert found.tasks[0].qrels == {
        "animals/cartoon/cat.png#0": {"animals/cartoon/cat.png": 1, "animals/cat.png": 1},
        "animals/dog.png#0": {"animals/dog.png": 1},
    }
    assert found.tasks[1].qrels["animals/cat.png"] == {"animals/cartoon/cat.png#0": 1}
    assert found.notes == (
        f"{NAME}: 3 pictures, 5 languages; 1 stamps drawn as SVG only were left out",
        "1 of 2 captions belong to several images, all of them relevant",
    )


@pytest.mark.parametrize(
    ("language", "tag", "captions"),
    [
        ("de", "de", ["Ein Kater.", "Eine Katze.", "A dog."]),
        ("pt", "pt-BR", ["Um gato."]),
        ("sr-Latn", "sr-Latn", ["Mačka."]),
        ("ca_valencia", "ca-valencia", ["Un gat."]),
    ],
)
def test_stamps_in_other_languages(home: Path, language: str, tag: str, captions: list[str]) -> None:
    found = stamps.read(home, language=language)
    assert [text.text for text in found.texts] == captions
    assert {text.language for text in found.texts} == {tag}
    assert len(found.tasks[0].document_ids) == 3


def test_notes_say_what_is_not_translated(home: Path) -> None:
    assert "1 captions in de are the English words, perhaps not translated" in stamps.read(home, language="de").notes
    assert (
        "2 of 3 images have no caption in pt-BR: they can be found, and ask nothing"
        in stamps.read(home, language="pt").notes
    )
    with pytest.raises(EvaluationError, match="no captions in 'zh'"):
        stamps.read(home, language="zh")


def test_a_folder_without_stamps(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no stamps"):
        stamps.read(tmp_path)


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CATALENS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert settings.cache_dir() == tmp_path / "catalens"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert settings.cache_dir() == Path.home() / ".cache" / "catalens"
