"""First run, second run and peak memory of `catalens index` on catalogues of different size.

    python -m benchmarks.indexing CATALOGUE.csv [CATALOGUE.csv ...] [--out benchmarks/results/indexing.jsonl]

Each catalogue is indexed into a fresh collection by the real command in a process of its own, then a second time with
nothing changed. Peak memory is the process's largest resident set, as the system accounts it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.environment import describe

COMMAND = "from api.cli import main; main()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogues", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    for catalogue in arguments.catalogues:
        line = json.dumps({"benchmark": "indexing", **measure(catalogue), **describe()})
        print(line)
        if arguments.out:
            with arguments.out.open("a") as out:
                out.write(line + "\n")


def measure(catalogue: Path) -> dict[str, object]:
    """Seconds, counts and peak memory of a first and a second run."""
    with tempfile.TemporaryDirectory() as folder:
        first = run(catalogue, Path(folder))
        second = run(catalogue, Path(folder))
    return {
        "catalogue": f"{catalogue.parent.name}/{catalogue.name}",
        "first": first,
        "second": second,
        "second_to_first": round(second["wall_s"] / first["wall_s"], 4),
    }


def run(catalogue: Path, folder: Path) -> dict[str, float]:
    """One index run in a child process."""
    report = folder / "report.json"
    arguments = ["index", str(catalogue), "--collection", str(folder / "collection"), "--json"]
    started = time.monotonic()
    with report.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"indexing {catalogue} failed")
    counts = json.loads(report.read_text())
    return {
        "wall_s": round(time.monotonic() - started, 2),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mb": round(usage.ru_maxrss / 1024, 1),
        **{name: counts[name] for name in ("new", "unchanged", "failed", "embedded")},
    }


if __name__ == "__main__":
    main()
