"""No more pixels are unpacked at once than there is room for."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

import pytest
from PIL import Image

from retrieval import images
from retrieval.pixel_budget import PixelBudget

STATUS = Path("/proc/self/status")


@pytest.mark.parametrize(("pixels", "at_once"), [(30, 3), (50, 2), (100, 1), (1_000, 1)])
def test_as_many_work_at_once_as_there_is_room_for(pixels: int, at_once: int) -> None:
    budget, counting, full, go_on = PixelBudget(100), Lock(), Event(), Event()
    inside = most = 0

    def work() -> None:
        nonlocal inside, most
        with budget.taken(pixels):
            with counting:
                inside += 1
                most = max(most, inside)
            if inside == at_once:
                full.set()
            assert go_on.wait(10)
            with counting:
                inside -= 1

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(work) for _ in range(6)]
        assert full.wait(10)
        go_on.set()
        for one in running:
            one.result(10)
    assert most == at_once


def test_room_is_given_back_by_what_fails() -> None:
    budget = PixelBudget(1)
    with pytest.raises(RuntimeError), budget.taken(1):
        raise RuntimeError
    with budget.taken(1):
        pass


def test_a_picture_waits_for_room_and_keeps_it_until_it_was_made_smaller() -> None:
    out = io.BytesIO()
    Image.new("RGB", (9, 9)).save(out, "PNG")
    with ThreadPoolExecutor(1) as pool, images._unpacking.taken(2 * images.MAX_PIXELS - 81):
        with images.unpacked(out.getvalue()):
            waits = pool.submit(images.decode, out.getvalue())
            with pytest.raises(TimeoutError):
                waits.result(0.1)
        assert waits.result(10).width == 9


@pytest.mark.skipif(not STATUS.exists(), reason="how much memory a process has is read as Linux says it")
def test_a_thread_keeps_nothing_of_a_large_picture() -> None:
    """Without the larger blocks each thread that unpacked one kept 350 MB for itself."""

    def resident() -> int:
        return int(STATUS.read_text().partition("VmRSS:")[2].split()[0]) * 1024

    out = io.BytesIO()
    Image.new("RGBA", (4_000, 4_000)).save(out, "PNG")
    before = resident()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: images.decode(out.getvalue()).width).result(20) == 4_000
        assert resident() - before < 30_000_000
