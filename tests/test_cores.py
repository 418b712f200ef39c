"""Threads of numerical libraries sleep while they wait: what a fresh process sees after an encoder was asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.settings import share_cores

SCRIPT = (
    "import sys\n"
    "from retrieval.encoders import load_encoder\n"
    "load_encoder('starter')\n"
    "assert 'torch' not in sys.modules\n"
    "import torch\n"
)


def policy() -> str:
    """What the OpenMP library says about itself when it is loaded."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"PATH": "/usr/bin:/bin", "OMP_DISPLAY_ENV": "TRUE", "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = [line for line in done.stderr.splitlines() if "OMP_WAIT_POLICY" in line]
    if not told:
        pytest.skip("this OpenMP library does not tell its wait policy")
    return told[0]


@pytest.mark.model
def test_waiting_threads_sleep() -> None:
    assert "PASSIVE" in policy()


def test_a_command_settles_it_before_numpy_is_loaded() -> None:
    script = (
        "import os, sys\n"
        "for name in ('OMP_WAIT_POLICY', 'OPENBLAS_NUM_THREADS'): os.environ.pop(name, None)\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy': seen.append(os.environ.get('OPENBLAS_NUM_THREADS'))\n"
        "seen = []\n"
        "sys.meta_path.insert(0, Watch())\n"
        "from api.cli import main\n"
        "sys.argv = ['catalens', 'search', '--collection', '/nowhere', 'red']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert seen == ['1'], seen\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1], timeout=120)


def test_who_states_a_policy_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
