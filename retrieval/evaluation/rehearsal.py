"""Several models on one set, each measured alone in a process of its own: quality, speed, memory."""

import multiprocessing
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter

from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder
from retrieval.errors import CatalensError
from retrieval.evaluation.embed import embed_images, embed_texts
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.types import EvaluationSet, EvaluationText
from retrieval.runtime.choose import runs_on

MEASURES = ("success@1", "success@10")
TIMED_QUERIES = 50
"""Single texts that are timed; the first one before them loads the tower and is not."""

Load = Callable[[str], DualEncoder]
OpenSet = Callable[[], EvaluationSet]


@dataclass(frozen=True)
class Rehearsal:
    """One model. error: why it could not be measured, or empty; then the other figures mean nothing.

    figures: direction and measure, such as `text_to_image success@1` -> share. images_per_second: read, decoded and
    encoded. query_ms: median for one text. memory_mib: the most that its process held (resident), Python and libraries
    included. runtime: what it ran on.
    """

    model: str
    figures: Mapping[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    query_ms: float = 0.0
    memory_mib: float = 0.0
    error: str = ""
    runtime: str = ""


def rehearse(models: Sequence[str], open_set: OpenSet, *, load: Load = load_encoder) -> list[Rehearsal]:
    """Measure each model in a fresh process, one after the other, in the order given.

    open_set and load go to that process, so both must be picklable: functions of a module, or `functools.partial`s of
    them. A model that cannot be loaded, fails or dies is a row with an error; the others go on.
    """
    return [_in_a_process(model, open_set, load) for model in models]


def pareto(rehearsals: Sequence[Rehearsal]) -> list[bool]:
    """For each, is no other at least as good in all columns and better in one? False for those with an error.

    Source: the Pareto order, https://en.wikipedia.org/wiki/Pareto_front; columns are all figures, images per second,
    query time and memory.
    """
    names = sorted({name for one in rehearsals for name in one.figures})
    columns = [
        (*(one.figures.get(name, 0.0) for name in names), one.images_per_second, -one.query_ms, -one.memory_mib)
        for one in rehearsals
    ]
    alive = [column for one, column in zip(rehearsals, columns, strict=True) if not one.error]

    def beaten(column: tuple[float, ...]) -> bool:
        return any(
            other != column and all(theirs >= mine for theirs, mine in zip(other, column, strict=True))
            for other in alive
        )

    return [not one.error and not beaten(column) for one, column in zip(rehearsals, columns, strict=True)]


def measure(model: str, open_set: OpenSet, load: Load) -> Rehearsal:
    """Measure one model in this process. Raises what opening the set or the model raises."""
    dataset = open_set()
    encoder = load(model)
    texts = dataset.texts[: TIMED_QUERIES + 1] or (EvaluationText("", "a photo"),)
    warm = texts[:1]
    embed_texts(warm, encoder)
    if dataset.images:
        embed_images(dataset.images[:1], encoder)
    times = []
    for text in texts[1:] or warm:
        started = perf_counter()
        encoder.encode_texts([text.text])
        times.append(perf_counter() - started)
    done: dict[str, tuple[int, float]] = {}
    started = perf_counter()

    def on_progress(stage: str, finished: int, _: int) -> None:
        done[stage] = finished, perf_counter() - started

    evaluation = evaluate(dataset, encoder, measures=MEASURES, on_progress=on_progress)
    images, seconds = done.get("images", (0, 1.0))
    return Rehearsal(
        model=model,
        figures={
            f"{direction} {name}": value
            for direction, result in evaluation.results.items()
            for name, value in result.figures.items()
        },
        images_per_second=images / seconds,
        query_ms=1000 * median(times),
        memory_mib=peak_memory_mib(),
        runtime=runs_on(encoder),
    )


def peak_memory_mib() -> float:
    """The most this process ever held, resident, in MiB; 0 where the system does not say.

    On Linux from VmHWM: getrusage's ru_maxrss is inherited through exec, and would show a large parent's memory.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    if sys.platform == "win32":
        return 0.0
    import resource

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held / (2**20 if sys.platform == "darwin" else 2**10)


def _in_a_process(model: str, open_set: OpenSet, load: Load) -> Rehearsal:
    # spawn: a fork would count the parent's memory, and threads of torch and FAISS do not survive it
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, model, open_set, load), daemon=True)
    process.start()
    sender.close()  # so that recv ends when the child dies
    try:
        answer: Rehearsal = receiver.recv()
    except EOFError:
        process.join()
        answer = Rehearsal(model, error=f"its process ended with code {process.exitcode}; was memory short?")
    finally:
        receiver.close()
        if process.is_alive():
            process.join(timeout=10)
            process.terminate()
        process.join()
    return answer


def _child(sender: Connection, model: str, open_set: OpenSet, load: Load) -> None:
    try:
        answer = measure(model, open_set, load)
    except CatalensError as error:
        answer = Rehearsal(model, error=f"{error}{f' ({error.hint})' if error.hint else ''}")
    except Exception as error:  # a model may raise anything, and the other models still want their turn
        answer = Rehearsal(model, error=f"{type(error).__name__}: {error}")
    sender.send(answer)
    sender.close()
