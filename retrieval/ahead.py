"""Decodes photos ahead of the encoder, in order, with bounded memory."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def ahead(
    tasks: Iterable[Task], work: Callable[[Task], Result], pool: Executor, window: int
) -> Generator[tuple[Task, Result], None, None]:
    """Each task with its result, in the order of the tasks, while at most `window` further ones are under way.

    The tasks are read as the window moves, so there may be any number. An error of `work` is raised in its turn.
    Closing the generator cancels what has not begun.
    """
    waiting: deque[tuple[Task, Future[Result]]] = deque()
    try:
        for task in tasks:
            waiting.append((task, pool.submit(work, task)))
            if len(waiting) > window:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
