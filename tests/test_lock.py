"""One writer, in whichever process; readers do not notice."""

import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from indexer.lock import HOLDER, writer_lock
from indexer.writer import open_writer
from retrieval.errors import CollectionLocked, StorageError
from retrieval.search import Searcher
from tests.listed import NoiseEncoder, fill, worded

ENCODER = NoiseEncoder()
HOLD = """
import sys
from pathlib import Path
from indexer.lock import writer_lock
with writer_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A second process that holds the lock of `tmp_path` until its input ends."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_second_writer_is_refused_soon_and_told_who_holds_it(
    tmp_path: Path, other: "subprocess.Popen[str]"
) -> None:
    started = time.perf_counter()
    with pytest.raises(CollectionLocked) as caught:
        fill(tmp_path, worded("one"))
    assert time.perf_counter() - started < 2
    assert f"process {other.pid} on {socket.gethostname()} since " in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "wait" in caught.value.hint


def test_the_lock_is_free_when_its_holder_has_finished(tmp_path: Path, other: "subprocess.Popen[str]") -> None:
    other.communicate("")
    assert other.returncode == 0
    assert not (tmp_path / HOLDER).exists()
    with writer_lock(tmp_path):
        assert json.loads((tmp_path / HOLDER).read_text())["pid"] == os.getpid()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, other: "subprocess.Popen[str]") -> None:
    other.kill()
    other.wait()
    assert (tmp_path / HOLDER).exists(), "its note is left behind"
    fill(tmp_path, worded("one"))
    assert not (tmp_path / HOLDER).exists()


def test_a_short_write_is_waited_for(tmp_path: Path, other: "subprocess.Popen[str]") -> None:
    assert other.stdin is not None
    Timer(0.2, other.stdin.close).start()
    started = time.perf_counter()
    with writer_lock(tmp_path):
        assert time.perf_counter() - started >= 0.15


def test_two_writers_in_one_process(tmp_path: Path) -> None:
    with (
        open_writer(tmp_path, ENCODER.spec),
        pytest.raises(CollectionLocked, match=f"process {os.getpid()} "),
        open_writer(tmp_path, ENCODER.spec),
    ):
        pass
    with open_writer(tmp_path, ENCODER.spec):
        pass


@pytest.mark.parametrize("note", ["", "[]", '{"pid": 1}', None])
def test_a_holder_without_a_readable_note(tmp_path: Path, note: str | None) -> None:
    with writer_lock(tmp_path):
        if note is None:
            (tmp_path / HOLDER).unlink()
        else:
            (tmp_path / HOLDER).write_text(note)
        with pytest.raises(CollectionLocked, match="another process"), writer_lock(tmp_path):
            pass


def test_a_reader_is_not_disturbed(tmp_path: Path) -> None:
    fill(tmp_path, worded("one", "two"))
    with open_writer(tmp_path, ENCODER.spec) as writer, writer.engine.begin():
        started = time.perf_counter()
        with Searcher.open(tmp_path, ENCODER) as searcher:
            assert searcher.search("two", by="text").hits[0].item_id == "two"
        assert time.perf_counter() - started < 2


def test_the_lock_goes_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writer_lock(tmp_path):
        _ = 1 / 0
    with writer_lock(tmp_path):
        pass


def test_a_disk_that_turns_read_only_does_not_hide_the_error_or_keep_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch, pytest.raises(StorageError, match="the disk is full"), writer_lock(tmp_path):
        patch.setattr(Path, "unlink", refuse)
        raise StorageError("the disk is full")
    with writer_lock(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught, open_writer(tmp_path / "file" / "collection", ENCODER.spec):
        pass
    assert caught.value.hint
