"""Tokens that are added later are those that the index run would have kept, and nothing is embedded again for them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, select, update

from indexer.add_tokens import CHANGED, TokensAdded, add_tokens
from indexer.lock import writer_lock
from indexer.writer import open_existing
from retrieval.catalogue.engine import DATABASE
from retrieval.catalogue.schema import photo_embeddings, photo_tokens, photos, text_tokens, token_specs
from retrieval.collection import Collection
from retrieval.errors import CollectionLocked, CollectionNotFound, EncoderError, FingerprintMismatch
from retrieval.tokens.codec import pack
from retrieval.tokens.value import Tokens
from tests.fakes import ColourEncoder, PlaceEncoder
from tests.test_token_storage import paint, run, shop

__all__ = ["shop"]


def kept(folder: Path) -> dict[str, dict[int, bytes]]:
    """All tokens as they are stored, and the spec they are of."""
    with open_existing(folder) as writer, writer.engine.connect() as connection:
        rows = {
            table.name: dict(connection.execute(select(table.c.owner_id, table.c.data)).all())
            for table in (photo_tokens, text_tokens)
        }
        return rows | {"spec": dict(connection.execute(select(token_specs.c.encoder_id, token_specs.c.spec)).all())}


def execute(folder: Path, statement: object) -> None:
    with open_existing(folder) as writer, writer.engine.begin() as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def execute_raw(folder: Path, statement: str) -> list[tuple[object, ...]]:
    """Past the program, which would bring the schema up to date."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
        return connection.execute(statement).fetchall()


def rows_of(folder: Path, table: str) -> list[tuple[object, ...]]:
    return execute_raw(folder, f"SELECT * FROM {table}")


@pytest.fixture
def bare(tmp_path: Path, shop: Path) -> Path:
    """A collection without tokens."""
    run(tmp_path / "bare", shop, PlaceEncoder())
    return tmp_path / "bare"


def counts(added: TokensAdded) -> tuple[int, int, int, int]:
    return added.photos, added.texts, added.encoded, added.failed


def test_added_tokens_are_byte_for_byte_those_of_the_index_run(tmp_path: Path, shop: Path, bare: Path) -> None:
    run(tmp_path / "full", shop, PlaceEncoder(), rerank_tokens=True)
    with open_existing(bare) as writer, writer.engine.connect() as connection:
        vectors = connection.execute(select(photo_embeddings)).all()
    assert counts(add_tokens(bare, PlaceEncoder())) == (3, 3, 3, 0)
    assert kept(bare) == kept(tmp_path / "full")
    assert len(kept(bare)["photo_tokens"]) == 3
    with open_existing(bare) as writer, writer.engine.connect() as connection:
        assert connection.execute(select(photo_embeddings)).all() == vectors


def test_a_second_time_there_is_nothing_to_do(bare: Path) -> None:
    add_tokens(bare, PlaceEncoder())
    before, encoder = kept(bare), PlaceEncoder()
    assert counts(add_tokens(bare, encoder)) == (0, 0, 0, 0)
    assert (kept(bare), encoder.images_encoded) == (before, 0)


def test_later_runs_keep_them(tmp_path: Path, shop: Path, bare: Path) -> None:
    add_tokens(bare, PlaceEncoder())
    paint(tmp_path / "c.png", "cyan", "purple")
    run(bare, shop, PlaceEncoder())
    assert counts(add_tokens(bare, PlaceEncoder())) == (0, 0, 0, 0)
    assert len(kept(bare)["photo_tokens"]) == 3


def test_only_what_lacks_is_encoded_and_damage_is_mended(bare: Path) -> None:
    add_tokens(bare, PlaceEncoder())
    before = kept(bare)
    first, second, third = before["photo_tokens"]
    text_id = min(before["text_tokens"])
    execute(bare, delete(photo_tokens).where(photo_tokens.c.owner_id == first))
    cut = before["photo_tokens"][second][:-1]
    execute(bare, update(photo_tokens).where(photo_tokens.c.owner_id == second).values(data=cut))
    longer = pack(np.ones((3, 4), np.float32))  # whole, but a photo has two places
    execute(bare, update(photo_tokens).where(photo_tokens.c.owner_id == third).values(data=longer))
    execute(bare, update(text_tokens).where(text_tokens.c.owner_id == text_id).values(data=b""))
    assert counts(add_tokens(bare, PlaceEncoder())) == (3, 1, 3, 0)
    assert kept(bare) == before


def test_photos_of_the_same_bytes_go_through_the_model_once(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        paint(source / name, "red", "blue")
    run(tmp_path / "c", source, PlaceEncoder())
    (source / "a.png").unlink()  # the others still have its bytes
    assert counts(add_tokens(tmp_path / "c", PlaceEncoder()))[::2] == (3, 1)
    before = kept(tmp_path / "c")["photo_tokens"]
    assert len(set(before.values())) == 1
    execute(tmp_path / "c", delete(photo_tokens).where(photo_tokens.c.owner_id == min(before)))
    assert counts(add_tokens(tmp_path / "c", PlaceEncoder()))[::2] == (1, 0)
    assert kept(tmp_path / "c")["photo_tokens"] == before


def test_photos_of_the_same_bytes_far_apart_go_through_the_model_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    for name in range(9):
        paint(source / f"{name}.png", "red", ("blue", "green", "white")[name % 3])
    run(tmp_path / "c", source, PlaceEncoder())
    monkeypatch.setattr("retrieval.catalogue.queries.MAX_PARAMETERS", 2)
    (source / "0.png").unlink()  # 3.png, which is looked at later, still has its bytes
    assert counts(add_tokens(tmp_path / "c", PlaceEncoder())) == (9, 9, 3, 0)


def test_readers_see_a_new_revision_whenever_tokens_were_added(bare: Path) -> None:
    """Pages of one reranked search are parts of one order only where no tokens come between them."""

    def revision() -> int:
        with Collection.open(bare) as collection:
            return collection.view().revision

    before = revision()
    add_tokens(bare, PlaceEncoder())
    added = revision()
    assert added > before
    add_tokens(bare, PlaceEncoder())
    assert revision() == added, "nothing was added"


def test_photos_that_are_not_as_they_were_get_none_and_are_named(tmp_path: Path, bare: Path) -> None:
    paint(tmp_path / "a.png", "cyan", "cyan")
    (tmp_path / "b.png").unlink()
    added = add_tokens(bare, PlaceEncoder())
    assert counts(added) == (1, 3, 1, 2)
    assert added.problems == [(str(tmp_path / "a.png"), CHANGED), (str(tmp_path / "b.png"), "no such file")]
    assert counts(add_tokens(bare, PlaceEncoder())) == (0, 0, 0, 2)


def test_a_photo_that_was_indexed_with_a_higher_cap_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    paint(source / "a.png", "red", "blue")
    run(tmp_path / "c", source, PlaceEncoder())
    monkeypatch.setattr("indexer.add_tokens.MAX_PIXELS", 100)
    assert counts(add_tokens(tmp_path / "c", PlaceEncoder()))[0] == 1


def test_tokens_of_another_kind_are_replaced(bare: Path) -> None:
    add_tokens(bare, PlaceEncoder(projection="1" * 64))
    added = add_tokens(bare, PlaceEncoder())
    assert added.replaced and counts(added) == (3, 3, 3, 0)
    with Collection.open(bare) as collection:
        assert collection.token_spec() == PlaceEncoder().token_spec


def test_a_photo_whose_tokens_are_no_numbers_is_named(bare: Path) -> None:
    class Broken(PlaceEncoder):
        def encode_images_with_tokens(self, pixels: np.ndarray) -> Tokens:
            made = super().encode_images_with_tokens(pixels)
            made.tokens[0] = np.nan
            return made

    added = add_tokens(bare, Broken())
    assert (added.photos, added.failed) == (2, 1)
    assert added.problems[0][1] == "the model gave no usable tokens"


def test_batches_larger_than_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    for number in range(40):  # one batch is 32
        Image.new("RGB", (8, 8), (number, 0, 0)).save(source / f"{number}.png")
    run(tmp_path / "c", source, PlaceEncoder())
    monkeypatch.setattr("retrieval.catalogue.queries.MAX_PARAMETERS", 7)
    told: list[tuple[str, int, int]] = []
    added = add_tokens(
        tmp_path / "c", PlaceEncoder(), on_progress=lambda one: told.append((one.stage, one.done, one.total))
    )
    assert counts(added)[::2] == (40, 40)
    assert ("photos", 32, 40) in told and ("photos", 40, 40) in told


def test_a_model_without_places_or_another_one_is_refused(bare: Path) -> None:
    with pytest.raises(EncoderError, match="gives no places"):
        add_tokens(bare, ColourEncoder())
    other = PlaceEncoder()
    other.spec = ColourEncoder("other", "2").spec
    with pytest.raises(FingerprintMismatch, match="places"):
        add_tokens(bare, other)
    with Collection.open(bare) as collection:
        assert collection.token_spec() is None


def test_no_collection_and_one_that_is_being_written(tmp_path: Path, bare: Path) -> None:
    with pytest.raises(CollectionNotFound):
        add_tokens(tmp_path / "none", PlaceEncoder())
    with writer_lock(bare), pytest.raises(CollectionLocked):
        add_tokens(bare, PlaceEncoder())


def test_what_an_older_program_made_keeps_everything_and_can_be_given_tokens(bare: Path) -> None:
    """Schema 0006 is this one without the three tables."""
    for table in (photo_tokens, text_tokens, token_specs):
        execute_raw(bare, f"DROP TABLE {table.name}")
    execute_raw(bare, "UPDATE alembic_version SET version_num = '0006'")
    everything = "photos", "items", "texts", "photo_embeddings", "text_embeddings", "ledger", "generations"
    before = {name: rows_of(bare, name) for name in everything}
    assert counts(add_tokens(bare, PlaceEncoder())) == (3, 3, 3, 0)
    assert {name: rows_of(bare, name) for name in everything} == before
    assert all(before[name] for name in ("photos", "items", "texts", "photo_embeddings"))


def test_the_paths_are_those_of_the_index_run(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert counts(add_tokens(bare, PlaceEncoder()))[0] == 3
    with open_existing(bare) as writer, writer.engine.connect() as connection:
        assert all(Path(path).is_absolute() for path in connection.execute(select(photos.c.path)).scalars())
