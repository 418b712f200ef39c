"""The indexing benchmark runs the real command, and a failing run ends it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.indexing import run

ROOT = Path(__file__).parent.parent


def test_a_run_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    Image.new("RGB", (16, 16), "red").save(tmp_path / "red.png")
    (tmp_path / "products.csv").write_text("id,title,image\n1,hat,red.png\n")
    found = run(tmp_path / "products.csv", tmp_path)
    assert (found["new"], found["failed"], found["embedded"]) == (1, 0, 1)
    assert found["wall_s"] > 0
    assert found["cpu_s"] > 0
    assert found["peak_mb"] > 10


def test_lines_said_before_a_run_are_said_once(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from benchmarks.indexing import run; print('before')\n"
    code += "run(Path('missing.csv'), Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.stdout == "before\n"
    assert done.returncode == 1
    assert "indexing missing.csv failed" in done.stderr
