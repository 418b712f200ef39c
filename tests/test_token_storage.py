"""Tokens are kept with the embeddings where a collection asks for them, and read beside them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, select, update

from indexer.add_tokens import add_tokens
from indexer.pipeline import index_sources
from indexer.sources import open_source
from indexer.summary import Summary
from indexer.writer import open_existing
from retrieval.catalogue.engine import DATABASE
from retrieval.catalogue.schema import photo_tokens, photos, text_tokens
from retrieval.collection import Collection
from retrieval.errors import EncoderError, FingerprintMismatch
from retrieval.tokens.codec import rounded
from retrieval.tokens.value import Tokens
from tests.fakes import COLOURS, ColourEncoder, PlaceEncoder


def paint(path: Path, left: str, right: str) -> Path:
    picture = Image.new("RGB", (32, 32), COLOURS[left])
    picture.paste(COLOURS[right], (16, 0, 32, 32))
    picture.save(path)
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A catalogue of three items with a photo and a title each."""
    paint(tmp_path / "a.png", "red", "blue")
    paint(tmp_path / "b.png", "green", "white")
    paint(tmp_path / "c.png", "yellow", "yellow")
    catalogue = tmp_path / "shop.csv"
    catalogue.write_text("id,image,title\n1,a.png,red and blue\n2,b.png,green\n3,c.png,yellow\n")
    return catalogue


def run(folder: Path, source: Path, encoder: ColourEncoder, *, rerank_tokens: bool = False) -> Summary:
    return index_sources(folder, [open_source(source)], encoder, rerank_tokens=rerank_tokens)


def ids(collection: Collection) -> dict[str, int]:
    """The id of each photo by its file's name."""
    with collection._engine.connect() as connection:
        return {Path(path).name: owner for owner, path in connection.execute(select(photos.c.id, photos.c.path))}


def expected(encoder: PlaceEncoder, *paths: Path) -> Tokens:
    pixels = np.stack([encoder.preprocess(Image.open(path).convert("RGB")) for path in paths])
    return rounded(encoder.encode_images_with_tokens(pixels))


def test_tokens_are_read_in_the_order_asked_for_with_their_vectors(tmp_path: Path, shop: Path) -> None:
    encoder = PlaceEncoder()
    run(tmp_path / "c", shop, encoder, rerank_tokens=True)
    with Collection.open(tmp_path / "c") as collection:
        assert collection.token_spec() == encoder.token_spec
        by_name = ids(collection)
        wanted = [by_name["b.png"], by_name["a.png"], 999, by_name["b.png"]]
        tokens, lacking = collection.tokens("image", np.array(wanted))
        assert not len(lacking)
        assert tokens.lengths.tolist() == [2, 2, 0, 2]
        made = expected(encoder, tmp_path / "b.png", tmp_path / "a.png")
        np.testing.assert_array_equal(tokens.tokens[:2], made.tokens)
        np.testing.assert_allclose(tokens.vectors[:2], made.vectors, atol=1e-3)  # stored as float16
        np.testing.assert_array_equal(tokens.tokens[3], made.tokens[0])
        assert not tokens.vectors[2].any()


def test_texts_have_tokens_too(tmp_path: Path, shop: Path) -> None:
    encoder = PlaceEncoder()
    run(tmp_path / "c", shop, encoder, rerank_tokens=True)
    with Collection.open(tmp_path / "c") as collection:
        view = collection.view()
        rows = collection.rows(
            "text", [owner for block, _ in collection.vector_blocks(view, "text") for owner in block.tolist()]
        )
        titled = {row.matched_text: owner for owner, row in rows.items()}
        tokens, lacking = collection.tokens("text", [titled["red and blue"], titled["green"]])
    assert not len(lacking)
    assert tokens.lengths.tolist() == [2, 1]
    np.testing.assert_array_equal(
        tokens.tokens, rounded(encoder.encode_texts_with_tokens(["red and blue", "green"])).tokens[:, :2]
    )


def test_without_asking_nothing_is_kept(tmp_path: Path, shop: Path) -> None:
    run(tmp_path / "c", shop, PlaceEncoder())
    with Collection.open(tmp_path / "c") as collection:
        assert collection.token_spec() is None
        owner = ids(collection)["a.png"]
        tokens, lacking = collection.tokens("image", [owner])
        assert lacking.tolist() == [owner]
        assert tokens.lengths.tolist() == [0] and tokens.tokens.shape == (1, 1, 1)
        assert np.linalg.norm(tokens.vectors[0]) == pytest.approx(1, abs=1e-3)
        assert collection.status()["tokens"] == {"fingerprint": None, "photos": 0, "texts": 0, "bytes_per_photo": 0}


def test_a_later_run_goes_on_keeping_them(tmp_path: Path, shop: Path) -> None:
    run(tmp_path / "c", shop, PlaceEncoder(), rerank_tokens=True)
    paint(tmp_path / "c.png", "cyan", "purple")
    summary = run(tmp_path / "c", shop, PlaceEncoder())
    assert not any("tokens" in note for note in summary.notes)
    with Collection.open(tmp_path / "c") as collection:
        owner = ids(collection)["c.png"]
        tokens, lacking = collection.tokens("image", [owner])
        assert not len(lacking)
        np.testing.assert_array_equal(tokens.tokens, expected(PlaceEncoder(), tmp_path / "c.png").tokens)
        told = collection.status()["tokens"]
        assert (told["photos"], told["bytes_per_photo"]) == (3, 8 + 2 * (4 + 2))  # none is left of the old photo


def test_a_copy_of_a_photo_gets_its_tokens_too(tmp_path: Path, shop: Path) -> None:
    run(tmp_path / "c", shop, PlaceEncoder(), rerank_tokens=True)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("copy.png", "again.png"):
        (other / name).write_bytes((tmp_path / "a.png").read_bytes())
    encoder = PlaceEncoder()
    run(tmp_path / "c", other, encoder)
    assert encoder.images_encoded == 0
    with Collection.open(tmp_path / "c") as collection:
        by_name = ids(collection)
        tokens, lacking = collection.tokens("image", [by_name[name] for name in ("a.png", "copy.png", "again.png")])
    assert not len(lacking)
    for row in tokens.tokens[1:]:
        np.testing.assert_array_equal(row, tokens.tokens[0])


def test_photos_from_before_are_said_to_lack_them(tmp_path: Path, shop: Path) -> None:
    run(tmp_path / "c", shop, PlaceEncoder())
    summary = run(tmp_path / "c", shop, PlaceEncoder(), rerank_tokens=True)
    assert summary.notes[-1:] == [
        "3 of 3 photos have no tokens for reranking; add them with: catalens index --add-tokens"
    ]


def test_damaged_and_missing_tokens_are_named_and_the_rest_is_read(tmp_path: Path, shop: Path) -> None:
    run(tmp_path / "c", shop, PlaceEncoder(), rerank_tokens=True)
    with Collection.open(tmp_path / "c") as collection:
        by_name = ids(collection)
    damaged, missing, whole = (by_name[name] for name in ("a.png", "b.png", "c.png"))
    with open_existing(tmp_path / "c") as writer, writer.engine.begin() as connection:
        mine = photo_tokens.c.owner_id == damaged
        data = bytearray(connection.execute(select(photo_tokens.c.data).where(mine)).scalar_one())
        data[-1] ^= 1
        connection.execute(update(photo_tokens).where(mine).values(data=bytes(data)))
        connection.execute(delete(photo_tokens).where(photo_tokens.c.owner_id == missing))
    with Collection.open(tmp_path / "c") as collection:
        tokens, lacking = collection.tokens("image", [damaged, whole, missing])
    assert lacking.tolist() == [damaged, missing]
    assert tokens.lengths.tolist() == [0, 2, 0]
    assert np.linalg.norm(tokens.vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-3)


@pytest.mark.parametrize("record", ["no json", "[]", '{"places": 2}', "7", None])
def test_a_damaged_record_of_what_they_are_is_as_good_as_none(tmp_path: Path, shop: Path, record: str | None) -> None:
    run(tmp_path / "c", shop, PlaceEncoder(), rerank_tokens=True)
    with closing(sqlite3.connect(tmp_path / "c" / DATABASE)) as connection, connection:
        if record is None:  # the fingerprint is of another one
            connection.execute("UPDATE token_specs SET spec = json_set(spec, '$.places', 3)")
        else:
            connection.execute("UPDATE token_specs SET spec = ?", (record,))
    *_, note = run(tmp_path / "c", shop, PlaceEncoder()).notes
    assert "record of what they are is damaged" in note and "--add-tokens" in note
    with Collection.open(tmp_path / "c") as collection:
        assert collection.token_spec() is None
        assert collection.status()["tokens"]["fingerprint"] is None
        assert len(collection.tokens("image", list(ids(collection).values()))[1]) == 3
    added = add_tokens(tmp_path / "c", PlaceEncoder())
    assert added.replaced and (added.photos, added.texts) == (3, 3)
    with Collection.open(tmp_path / "c") as collection:
        assert collection.token_spec() == PlaceEncoder().token_spec


def test_a_search_that_has_begun_sees_none_of_what_is_added_meanwhile(tmp_path: Path, shop: Path) -> None:
    run(tmp_path / "c", shop, PlaceEncoder())
    with Collection.open(tmp_path / "c") as collection:
        owners = list(ids(collection).values())
        with collection.snapshot():
            assert collection.token_spec() is None
            add_tokens(tmp_path / "c", PlaceEncoder())
            assert collection.token_spec() is None
            assert len(collection.tokens("image", owners)[1]) == 3
        assert collection.token_spec() == PlaceEncoder().token_spec
        assert not len(collection.tokens("image", owners)[1])


def test_what_is_removed_takes_its_tokens_along(tmp_path: Path, shop: Path) -> None:
    run(tmp_path / "c", shop, PlaceEncoder(), rerank_tokens=True)
    shop.write_text("id,image,title\n1,a.png,red and blue\n")
    run(tmp_path / "c", shop, PlaceEncoder())
    with open_existing(tmp_path / "c") as writer, writer.engine.connect() as connection:
        assert len(connection.execute(select(photo_tokens.c.owner_id)).all()) == 1
        assert len(connection.execute(select(text_tokens.c.owner_id)).all()) == 1


def test_a_model_without_places_is_refused_before_anything_is_made(tmp_path: Path, shop: Path) -> None:
    bare = PlaceEncoder()
    bare.token_spec = None
    for encoder in (ColourEncoder(), bare):
        with pytest.raises(EncoderError, match="gives no places of a picture") as caught:
            run(tmp_path / "c", shop, encoder, rerank_tokens=True)
        assert "starter" in caught.value.hint
    assert not (tmp_path / "c").exists()


def test_a_model_that_gives_none_any_more_still_indexes_and_says_so(tmp_path: Path, shop: Path) -> None:
    run(tmp_path / "c", shop, PlaceEncoder(), rerank_tokens=True)
    paint(tmp_path / "c.png", "cyan", "purple")
    bare = PlaceEncoder()
    bare.token_spec = None
    *_, note = run(tmp_path / "c", shop, bare).notes
    assert "places gives none on this runtime" in note and note.endswith("--add-tokens --runtime torch")
    with Collection.open(tmp_path / "c") as collection:
        assert collection.status()["tokens"]["photos"] == 2


def test_tokens_of_another_kind_are_not_mixed_in(tmp_path: Path, shop: Path) -> None:
    run(tmp_path / "c", shop, PlaceEncoder(), rerank_tokens=True)
    other = PlaceEncoder(projection="1" * 64)
    with pytest.raises(FingerprintMismatch, match="tokens of another kind") as caught:
        run(tmp_path / "c", shop, other, rerank_tokens=True)
    assert "--add-tokens" in caught.value.hint
    paint(tmp_path / "c.png", "cyan", "purple")
    *_, note = run(tmp_path / "c", shop, other).notes
    assert "this release makes others" in note


def test_a_photo_whose_tokens_are_no_numbers_is_stored_without(tmp_path: Path, shop: Path) -> None:
    class Broken(PlaceEncoder):
        def encode_images_with_tokens(self, pixels: np.ndarray) -> Tokens:
            made = super().encode_images_with_tokens(pixels)
            made.tokens[0] = np.nan
            return made

    summary = run(tmp_path / "c", shop, Broken(), rerank_tokens=True)
    assert summary.embedded == 3
    assert "1 of 3 photos have no tokens" in summary.notes[-1]
