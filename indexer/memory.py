"""How many photos an index run holds at once: by the memory that is free, never more than pays."""

from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")

# More than 32 photos at once gain nothing on a CPU, and as many are stored in one transaction: results should not wait.
MOST_AT_ONCE = 32
BYTES_PER_PIXEL = 3  # encoders take 8-bit RGB
MOST_AHEAD = 3 * MOST_AT_ONCE  # 15 MB at 224 pixels, and the encoder never waits for one slow file
# Memory that encoding takes for each photo, in multiples of its pixels as bytes: the starter took 14.5 MB, 101 times.
# Its first layers are wide; a transformer needs less.
ACTIVATIONS = 101
SHARE_OF_ENCODING, SHARE_OF_WAITING = 0.25, 0.0625  # of the memory that is free


@dataclass(frozen=True)
class Limits:
    """at_once: photos that are encoded together; ahead: photos under way before the encoder. Both at least 1."""

    at_once: int = MOST_AT_ONCE
    ahead: int = MOST_AHEAD


def limits(photo_bytes: int, free: int | None) -> Limits:
    """What fits.

    photo_bytes: of one photo as the encoder takes it.
    free: bytes of memory that may be used; None if nobody knows, which gives the most that pays.
    """
    if free is None:
        return Limits()
    at_once = int(free * SHARE_OF_ENCODING) // (photo_bytes * ACTIVATIONS)
    ahead = int(free * SHARE_OF_WAITING) // photo_bytes
    return Limits(max(1, min(at_once, MOST_AT_ONCE)), max(1, min(ahead, MOST_AHEAD)))


def free_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> int | None:
    """Bytes that this process can take without pushing anything out: the system's, or less where a container caps it.

    None where the system does not tell (it is not Linux).
    """
    known = [_of_system(proc), *_of_containers(proc, cgroups)]
    return min((found for found in known if found is not None), default=None)


def _of_system(proc: Path) -> int | None:
    for line in _lines(proc / "meminfo"):
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) << 10
    return None


def _of_containers(proc: Path, cgroups: Path) -> list[int]:
    """What each memory group around this process has left (cgroup v2). Cached file pages count as free."""
    own = next((line[3:] for line in _lines(proc / "self" / "cgroup") if line.startswith("0::")), "/")
    folder = cgroups / own.strip("/")
    left = []
    for group in (folder, *folder.parents):
        cap, used = _lines(group / "memory.max"), _lines(group / "memory.current")
        if cap and used and cap[0].isdecimal():
            pairs = (line.split() for line in _lines(group / "memory.stat"))
            cached = next((int(value) for name, value in pairs if name == "inactive_file"), 0)
            left.append(max(0, int(cap[0]) - int(used[0]) + cached))
        if group == cgroups:
            break
    return left


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
