"""`catalens index --add-tokens`: what an index run would have kept, added later; it may stop at any moment."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import event, select, update

from indexer.add_tokens import add_tokens
from indexer.pipeline import index_sources
from indexer.sources import open_source
from indexer.summary import Progress
from indexer.writer import open_existing
from retrieval.catalogue.schema import photo_embeddings, photo_tokens, text_tokens
from retrieval.collection import Collection
from retrieval.errors import CollectionNotFound, EncoderError, FingerprintMismatch
from tests.command_line import Run, runner
from tests.fakes import COLOURS, ColourEncoder
from tests.test_token_storage import paint
from tests.token_fakes import QuartersEncoder

PHOTOS = 40  # more than one batch of 32


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    colours = list(COLOURS)
    lines = ["id,image,title"]
    for number in range(PHOTOS):
        left, right = colours[number % 9], colours[number // 9]
        paint(tmp_path / f"{number}.png", left, right)
        lines.append(f"{number},{number}.png,{left} and {right}")
    (tmp_path / "shop.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "shop.csv"


def index(folder: Path, shop: Path, *, rerank_tokens: bool = False) -> Path:
    index_sources(folder, [open_source(shop)], QuartersEncoder(), rerank_tokens=rerank_tokens)
    return folder


def kept(folder: Path) -> list[list[tuple[int, bytes]]]:
    """The rows of both token tables, and of the photos' embeddings."""
    with open_existing(folder) as writer, writer.engine.connect() as connection:
        tables = ((photo_tokens, "data"), (text_tokens, "data"), (photo_embeddings, "vector"))
        return [
            [
                (owner, data)
                for owner, data in connection.execute(
                    select(table.c.owner_id, table.c[name]).order_by(table.c.owner_id)
                )
            ]
            for table, name in tables
        ]


def test_what_is_added_is_byte_for_byte_what_an_index_run_keeps(tmp_path: Path, shop: Path) -> None:
    at_once = index(tmp_path / "at once", shop, rerank_tokens=True)
    later = index(tmp_path / "later", shop)
    told: list[Progress] = []
    added = add_tokens(later, QuartersEncoder(), on_progress=told.append)
    assert (added.photos, added.texts, added.unreadable) == (PHOTOS, PHOTOS, [])
    assert kept(later) == kept(at_once)
    assert told[-1] == Progress("photo tokens", PHOTOS, PHOTOS)
    with Collection.open(later) as collection:
        assert collection.token_spec() == QuartersEncoder().token_spec


def test_a_second_run_has_nothing_to_do(tmp_path: Path, shop: Path) -> None:
    folder = index(tmp_path / "c", shop)
    add_tokens(folder, QuartersEncoder())
    encoder = QuartersEncoder()
    again = add_tokens(folder, encoder)
    assert (again.photos, again.texts, encoder.images_encoded, encoder.texts_encoded) == (0, 0, 0, 0)


def test_damaged_tokens_are_made_anew(tmp_path: Path, shop: Path) -> None:
    folder = index(tmp_path / "c", shop, rerank_tokens=True)
    whole = kept(folder)
    with open_existing(folder) as writer, writer.engine.begin() as connection:
        for table, owner in ((photo_tokens, whole[0][3][0]), (text_tokens, whole[1][5][0])):
            connection.execute(update(table).where(table.c.owner_id == owner).values(data=b"torn"))
    added = add_tokens(folder, QuartersEncoder())
    assert (added.photos, added.texts) == (1, 1)
    assert kept(folder) == whole


def test_index_runs_keep_tokens_from_then_on(tmp_path: Path, shop: Path) -> None:
    folder = index(tmp_path / "c", shop)
    add_tokens(folder, QuartersEncoder())
    paint(tmp_path / "0.png", "cyan", "purple")
    index(folder, shop)
    assert len(kept(folder)[0]) == PHOTOS


def test_photos_that_cannot_be_read_or_were_changed_are_named(tmp_path: Path, shop: Path) -> None:
    folder = index(tmp_path / "c", shop)
    (tmp_path / "3.png").unlink()
    paint(tmp_path / "5.png", "cyan", "purple")
    added = add_tokens(folder, QuartersEncoder())
    assert added.photos == PHOTOS - 2
    reasons = {Path(path).name: reason for path, reason in added.unreadable}
    assert set(reasons) == {"3.png", "5.png"}
    assert reasons["5.png"] == "changed since it was indexed; index its source again"
    assert added.to_json()["unreadable"] == 2


def test_tokens_of_another_kind_are_replaced(tmp_path: Path, shop: Path) -> None:
    folder = index(tmp_path / "c", shop, rerank_tokens=True)
    added = add_tokens(folder, QuartersEncoder(projection="halves"))
    assert added.replaced and added.photos == PHOTOS
    with Collection.open(folder) as collection:
        spec = collection.token_spec()
    assert spec is not None and spec.projection_hash == "halves"
    assert not add_tokens(folder, QuartersEncoder(projection="halves")).replaced


@pytest.mark.parametrize("number", range(1, 6))
def test_a_kill_leaves_whole_batches_and_the_next_run_goes_on(tmp_path: Path, shop: Path, number: int) -> None:
    folder = index(tmp_path / "c", shop)
    whole = index(tmp_path / "whole", shop, rerank_tokens=True)
    child = multiprocessing.get_context("spawn").Process(target=_die_at_write, args=(folder, number))
    child.start()
    child.join(60)
    # The spec, the texts and two batches of photos are written: the fifth write never comes.
    assert child.exitcode == (-signal.SIGKILL if number < 5 else 0)
    with Collection.open(folder) as collection:
        found = collection.status()["tokens"]
        assert len(collection.view().image) == PHOTOS
    # What is killed at its write is not there, and all before it is.
    assert found["photos"] == (0, 0, 0, 32, PHOTOS)[number - 1]
    encoder = QuartersEncoder()
    assert add_tokens(folder, encoder).photos == PHOTOS - found["photos"] == encoder.images_encoded
    assert kept(folder) == kept(whole)


def _die_at_write(folder: Path, number: int) -> None:
    from sqlalchemy import Engine

    written = 0

    def tick(_: object, __: object, statement: str, *___: object) -> None:
        nonlocal written
        written += statement.startswith("INSERT INTO")
        if written == number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", tick)  # written, and not yet committed
    add_tokens(folder, QuartersEncoder())


def test_what_stands_in_the_way_is_said(tmp_path: Path, shop: Path) -> None:
    folder = index(tmp_path / "c", shop)
    with pytest.raises(FingerprintMismatch, match="was made with quarters"):
        add_tokens(folder, QuartersEncoder("other", "2"))
    with pytest.raises(EncoderError, match="gives no places"):
        add_tokens(folder, ColourEncoder())
    with pytest.raises(CollectionNotFound):
        add_tokens(tmp_path / "nothing here", QuartersEncoder())
    assert not (tmp_path / "nothing here").exists()
    assert kept(folder)[0] == []


class TestCommandLine:
    @pytest.fixture
    def run(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
        monkeypatch.setattr("retrieval.encoders.load_encoder", lambda name, **_: QuartersEncoder(name))
        return runner(monkeypatch, capsys)

    @pytest.fixture(autouse=True)
    def collection(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("CATALENS_COLLECTION", str(tmp_path / "c"))
        return tmp_path / "c"

    def test_asked_for_at_index_time(self, run: Run, shop: Path) -> None:
        assert run("index", shop, "--rerank-tokens")[0] == 0
        assert json.loads(run("status", "--json")[1])["tokens"]["photos"] == PHOTOS
        assert f"{PHOTOS} photos, {PHOTOS} texts, 28 bytes a photo" in run("status")[1]

    def test_added_later(self, run: Run, shop: Path) -> None:
        run("index", shop)
        assert "tokens" in run("status")[1] and "bytes a photo" not in run("status")[1]
        (shop.parent / "3.png").unlink()
        code, out, err = run("index", "--add-tokens", "--json")
        assert code == 0
        counts = json.loads(out)
        assert (counts["photos"], counts["texts"], counts["unreadable"]) == (PHOTOS - 1, PHOTOS, 1)
        assert "1 failed or skipped:" in err and "3.png" in err

    def test_no_photo_is_where_it_was(self, run: Run, shop: Path) -> None:
        run("index", shop)
        for path in shop.parent.glob("*.png"):
            path.unlink()
        code, _, err = run("index", "--add-tokens")
        assert code == 1 and f"none of the {PHOTOS} photos" in err and "index their source again" in err

    def test_sources_and_none(self, run: Run, shop: Path) -> None:
        code, _, err = run("index", shop, "--add-tokens")
        assert code == 2 and "takes no source" in err
        code, _, err = run("index")
        assert code == 2 and "SOURCES" in err

    def test_no_collection(self, run: Run, collection: Path) -> None:
        code, _, err = run("index", "--add-tokens")
        assert code == 1 and "error:" in err
        assert not collection.exists()
