"""Rehearsing models: each in a process of its own, failures as rows, the Pareto order."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.base import DualEncoder
from retrieval.errors import WeightsUnavailable
from retrieval.evaluation.datasets import read
from retrieval.evaluation.rehearsal import Rehearsal, measure, pareto, peak_memory_mib, rehearse
from tests.dataset_files import as_captions, write_images
from tests.fakes import ColourEncoder

HELD = 300


def load(name: str) -> DualEncoder:
    """colour works; the others fail in their own ways."""
    if name == "large":
        held.append(np.ones(HELD * 2**17))  # 8 bytes each
    if name == "absent":
        raise WeightsUnavailable("the weights of absent are not here", hint="choose another")
    if name == "broken":
        raise ValueError("bad tensor")
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return ColourEncoder(name)


held: list[object] = []
CAPTIONS = {"red.jpg": ["a red wall", "red"], "second.jpg": ["a red door"]}


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    write_images(tmp_path, list(CAPTIONS))
    return as_captions(tmp_path, CAPTIONS)


def test_failures_are_rows_and_the_others_go_on(captions: Path) -> None:
    absent, broken, killed, good = rehearse(
        ["absent", "broken", "killed", "colour"], partial(read, captions), load=load
    )
    assert absent.error == "the weights of absent are not here (choose another)"
    assert broken.error == "ValueError: bad tensor"
    assert "code -9" in killed.error
    assert good.error == ""
    assert set(good.figures) == {
        f"{direction} {name}"
        for direction in ("text_to_image", "image_to_text")
        for name in ("success@1", "success@10")
    }
    assert good.figures["text_to_image success@10"] == 1
    assert good.images_per_second > 0
    assert good.query_ms > 0
    assert good.runtime == "torch"


def test_memory_is_that_of_the_model_s_own_process(captions: Path) -> None:
    ballast = np.ones(2 * HELD * 2**17)
    small, large = rehearse(["colour", "large"], partial(read, captions), load=load)
    assert large.memory_mib - small.memory_mib == pytest.approx(HELD, rel=0.3)
    assert small.memory_mib < peak_memory_mib() or len(ballast) == 0


def test_in_this_process(captions: Path) -> None:
    found = measure("colour", partial(read, captions), load)
    assert found.model == "colour"
    assert found.memory_mib > 10


def row(name: str, quality: float, speed: float, ms: float = 1.0, memory: float = 1.0, error: str = "") -> Rehearsal:
    return Rehearsal(name, {} if error else {"text_to_image success@1": quality}, speed, ms, memory, error)


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([row("a", 0.5, 10), row("b", 0.6, 5)], [True, True]),
        ([row("a", 0.5, 10), row("b", 0.6, 10)], [False, True]),
        ([row("a", 0.5, 10), row("b", 0.5, 10)], [True, True]),
        ([row("a", 0.5, 10, ms=2), row("b", 0.5, 10, ms=1)], [False, True]),
        ([row("a", 0.5, 10, memory=2), row("b", 0.4, 10, memory=1)], [True, True]),
        ([row("a", 0, 0, 0, 0, error="gone"), row("b", 0.1, 1)], [False, True]),
        ([], []),
    ],
    ids=["each better in one", "beaten", "equal", "slower queries", "less memory", "failed", "none"],
)
def test_pareto(rows: list[Rehearsal], wanted: list[bool]) -> None:
    assert pareto(rows) == wanted
