"""What many threads may hold at once has an end."""

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import pytest
from PIL import Image

from retrieval import images
from retrieval.errors import ImageError
from retrieval.images import decode
from retrieval.room import Room


def test_who_finds_no_room_waits_and_who_finds_some_does_not() -> None:
    room, entered, go_on = Room(10), Event(), Event()

    def hold(amount: int) -> None:
        with room.held(amount):
            entered.set()
            assert go_on.wait(10)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(hold, 7)
        assert entered.wait(10)
        entered.clear()
        second = pool.submit(hold, 4)
        with room.held(3):
            assert room.free == 0
        assert not entered.wait(0.05)
        go_on.set()
        first.result(10)
        second.result(10)
    assert room.free == 10


def test_what_is_larger_than_the_room_goes_alone() -> None:
    room = Room(10)
    with room.held(1_000):
        assert room.free == 0
    assert room.free == 10


def test_large_pictures_are_unpacked_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    counting, inside, most = Lock(), 0, 0
    rgb = images._rgb

    def counted(image: Image.Image) -> Image.Image:
        nonlocal inside, most
        with counting:
            inside += 1
            most = max(most, inside)
        Event().wait(0.02)
        with counting:
            inside -= 1
        return rgb(image)

    monkeypatch.setattr(images, "_rgb", counted)
    monkeypatch.setattr(images, "UNPACKED", Room(15_000))
    data = io.BytesIO()
    Image.new("RGB", (100, 100), "red").save(data, "PNG")
    with ThreadPoolExecutor(4) as pool:
        assert {one.width for one in pool.map(decode, [data.getvalue()] * 8)} == {100}
        assert most == 1
        monkeypatch.setattr(images, "UNPACKED", Room(40_000))
        list(pool.map(decode, [data.getvalue()] * 8))
        assert most > 1


def test_a_picture_that_breaks_gives_its_room_back() -> None:
    data = io.BytesIO()
    Image.effect_noise((300, 300), 50).save(data, "PNG")
    with pytest.raises(ImageError):
        decode(data.getvalue()[:2_000])
    assert images.UNPACKED.free == images.UNPACKED.size
