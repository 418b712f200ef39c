"""Puts and deletes survive `kill -9` at every write, flush, rename and commit: a batch is all there, or not at all."""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from sqlalchemy import select

from api.client import Client, ClientError
from indexer.items import PutItem, delete_items, put_items
from retrieval.catalogue.engine import reading_engine
from retrieval.catalogue.schema import items, photos
from retrieval.collection import Collection
from tests.fakes import ColourEncoder
from tests.http_server import colour_shop
from tests.test_crash import Driver, Shop, check_readable, driver
from tests.test_put_items import picture
from tests.test_serve import served

__all__ = ["driver"]  # the fixture

BEFORE = [("kept", "Red", [picture("red")]), ("changed", "Green", [picture("green"), picture("white")])]
PUT = [("changed", "Blue", [picture("blue"), picture("white")]), ("new", "Black", [picture("black")])]


def put(shop: Shop, given: Sequence[tuple[str, str, list[bytes]]]) -> list[str]:
    made = [PutItem(name, title, photos=tuple(data)) for name, title, data in given]
    return [one.outcome for one in put_items(shop.collection, ColourEncoder(), made).outcomes]


def stored(shop: Shop) -> dict[str, tuple[str, list[str]]]:
    """(title, hashes of the photos in order) by item id; each kept photo's file is there, whole."""
    found: dict[str, tuple[str, list[str]]] = {}
    with closing(reading_engine(shop.collection).connect()) as connection:
        columns = (items.c.item_id, items.c.title, photos.c.content_hash, photos.c.path)
        rows = select(*columns).join_from(items, photos).order_by(items.c.item_id, photos.c.position)
        for name, title, content_hash, path in connection.execute(rows):
            found.setdefault(name, (title, []))[1].append(content_hash)
            if f"/uploads/{content_hash[:2]}/" in path:
                assert Path(path).stat().st_size in map(len, every_picture())
    return found


def every_picture() -> Iterator[bytes]:
    return (data for _, _, pictures in (*BEFORE, *PUT) for data in pictures)


def kept(shop: Shop) -> set[str]:
    return {path.name for path in (shop.collection / "uploads").rglob("*") if path.is_file()}


def deaths(driver: Driver, shop: Shop, task: str, given: Sequence[Any]) -> Iterator[bool]:
    """Runs the task on a copy of the collection until it dies no more, each time one step later."""
    whole = shutil.copytree(shop.collection, shop.collection.with_name("whole"))
    number, died = 0, True
    while died:
        number += 1
        shutil.rmtree(shop.collection)
        shutil.copytree(whole, shop.collection)
        died, _ = driver.run(shop, task, die_at=number, items=given)
        check_readable(shop)
        yield died


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop.make(tmp_path, "table", 6)
    shop.index()
    put(shop, BEFORE)
    return shop


def test_a_batch_is_all_there_or_as_it_was(shop: Shop, driver: Driver) -> None:
    before = stored(shop)
    given = [(name, title, [data.hex() for data in pictures]) for name, title, pictures in PUT]
    seen = []
    for died in deaths(driver, shop, "put", given):
        state = stored(shop)
        seen.append(state)
        outcomes = put(shop, PUT)
        assert outcomes == (["updated", "added"] if state == before else ["unchanged", "unchanged"])
        assert died or state != before
        put(shop, [("kept", "Purple", [picture("red")])])
        assert len(kept(shop)) == 4, "what a death left behind goes with the next write"
    after = seen[-1]
    assert after["new"][0] == "Black"
    assert after["changed"][0] == "Blue"
    turn = seen.index(after)
    assert seen == [before] * turn + [after] * (len(seen) - turn)
    assert turn > 10, "three files with their flushes, and the rows"
    assert len(seen) - turn > 1, "the file that nobody shows goes after the commit"


def test_what_a_killed_server_had_answered_is_there(tmp_path: Path) -> None:
    collection = colour_shop(tmp_path)
    answered: list[str] = []

    def put_on(address: str, writer: int) -> None:
        client = Client(address, "shop")
        with suppress(ClientError):
            for number in range(1_000):
                name = f"{writer}-{number}"
                client.put(name, title=f"Red {name}", photos=[picture("red", 1_000 * writer + number)])
                answered.append(name)

    with served(tmp_path / "mark", "--collection", collection, "--no-access-log") as (process, address):
        with ThreadPoolExecutor(3) as pool:
            for writer in range(3):
                pool.submit(put_on, address, writer)
            while len(answered) < 20:
                sleep(0.01)
            process.kill()
        process.wait()
    with Collection.open(collection) as opened:
        status = opened.status()
        assert status["photos"] == status["embedded_photos"]
        for name in answered:
            item = opened.whole_item(name)
            assert item is not None
            assert item.title == f"Red {name}"
            [photo] = opened.item_photos(opened.item_key(name))
            assert sha256(Path(photo.path).read_bytes()).hexdigest() == photo.content_hash
        assert status["items"] - 9 - len(answered) in range(4)  # of each writer one may have been stored unanswered
    put_items(collection, ColourEncoder(), [PutItem("after", "After", photos=(picture("blue", 9),))])
    stored_files = [path for path in (collection / "uploads").rglob("*") if path.is_file()]
    assert len(stored_files) == status["items"] - 9 + 1


def test_deleted_items_are_all_gone_or_all_there(shop: Shop, driver: Driver) -> None:
    before = stored(shop)
    gone = ["changed", "kept", next(name for name in before if name.startswith("item"))]
    seen = []
    for _ in deaths(driver, shop, "delete", gone):
        seen.append(stored(shop))
        delete_items(shop.collection, gone)
        assert not stored(shop).keys() & set(gone)
        put(shop, [BEFORE[1]])
        assert len(kept(shop)) == 2
    after = {name: item for name, item in before.items() if name not in gone}
    turn = seen.index(after)
    assert seen == [before] * turn + [after] * (len(seen) - turn)
    assert turn > 5
