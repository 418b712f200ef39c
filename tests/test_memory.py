"""How many photos are held at once: what the system and its containers leave decides, up to a fixed cap."""

from pathlib import Path

import pytest

from indexer.memory import ACTIVATIONS, MOST_AHEAD, MOST_AT_ONCE, Limits, free_memory, limits

MIB = 2**20
PHOTO = 3 * 224 * 224


def test_with_room_the_caps_hold() -> None:
    assert limits(PHOTO, 8 << 30) == limits(PHOTO, None) == Limits(MOST_AT_ONCE, MOST_AHEAD) == Limits()


@pytest.mark.parametrize(("free", "at_once"), [(1024 * MIB, 17), (256 * MIB, 4), (60 * MIB, 1), (0, 1)])
def test_with_less_memory_fewer_are_encoded_together(free: int, at_once: int) -> None:
    found = limits(PHOTO, free)
    assert found.at_once == at_once
    assert at_once == 1 or at_once * PHOTO * ACTIVATIONS <= free / 4


def test_larger_photos_are_fewer() -> None:
    assert limits(3 * 1024 * 1024, 2048 * MIB) == Limits(at_once=1, ahead=42)
    assert limits(3 * 1024 * 1024, 0) == Limits(1, 1)


@pytest.mark.parametrize("pixels", [224, 384, 1024])
def test_what_waits_is_bounded_in_bytes(pixels: int) -> None:
    for free in (64 * MIB, 512 * MIB, 4096 * MIB):
        assert limits(3 * pixels**2, free).ahead * 3 * pixels**2 <= max(free / 16, 3 * pixels**2)


class Machine:
    """The files by which Linux tells: a system, and memory groups inside each other."""

    def __init__(self, folder: Path, *, available: int | None, group: str = "/") -> None:
        self.proc, self.cgroups = folder / "proc", folder / "cgroup"
        (self.proc / "self").mkdir(parents=True)
        self.cgroups.mkdir()
        if available is not None:
            (self.proc / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:   {available >> 10} kB\n")
        (self.proc / "self" / "cgroup").write_text(f"3:cpu:/other\n0::{group}\n")

    def cap(self, group: str, most: str, used: int, cached: int = 0) -> None:
        folder = self.cgroups / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\nactive_file 7\n")

    def free(self) -> int | None:
        return free_memory(self.proc, self.cgroups)


def test_without_a_container_the_system_tells(tmp_path: Path) -> None:
    assert Machine(tmp_path, available=512 * MIB).free() == 512 * MIB


def test_a_container_leaves_what_its_cap_leaves(tmp_path: Path) -> None:
    machine = Machine(tmp_path, available=512 * MIB, group="/job")
    machine.cap("job", str(300 * MIB), used=250 * MIB, cached=40 * MIB)
    assert machine.free() == 90 * MIB


def test_the_tightest_of_nested_containers_counts(tmp_path: Path) -> None:
    machine = Machine(tmp_path, available=512 * MIB, group="/outer/inner")
    machine.cap("outer", str(100 * MIB), used=90 * MIB)
    machine.cap("outer/inner", "max", used=5 * MIB)
    assert machine.free() == 10 * MIB


def test_inside_a_container_its_own_group_looks_like_the_root(tmp_path: Path) -> None:
    machine = Machine(tmp_path, available=512 * MIB)
    machine.cap(".", str(64 * MIB), used=80 * MIB)
    assert machine.free() == 0


def test_where_nobody_tells_nothing_is_known(tmp_path: Path) -> None:
    assert Machine(tmp_path, available=None).free() is None
    assert free_memory(tmp_path / "missing", tmp_path / "missing") is None


def test_this_machine_has_some() -> None:
    found = free_memory()
    assert found is None or found > 10 * MIB
