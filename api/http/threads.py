"""Blocking work of requests on a bounded number of threads, with a bounded number of calls that wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from threading import Lock
from time import perf_counter
from typing import Any, ParamSpec, Protocol, TypeVar

from api.http.errors import Busy, NotReady

P = ParamSpec("P")
T = TypeVar("T")


class Watcher(Protocol):
    """Who wants to know what the threads do; called from many threads."""

    def ran(self, waited: float, took: float, failed: bool) -> None:
        """A call ended: seconds that it waited for a thread, and seconds that it took."""

    def refused(self) -> None:
        """A call was refused because too many wait."""


class Threads:
    """`workers` threads, and at most `queue` calls that wait for one."""

    def __init__(self, workers: int, queue: int) -> None:
        self.workers, self.queue = workers, queue
        self.watchers: list[Watcher] = []
        self._counting = Lock()
        self._inside = 0
        self.open()

    def open(self) -> None:
        """Have threads, anew after `close`."""
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="catalens")

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return max(0, self._inside - self.workers)

    @property
    def running(self) -> int:
        """Calls that have a thread."""
        return min(self._inside, self.workers)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns, or raises. Raises Busy at once when as many calls wait as may.

        Raises NotReady after `close`.
        """
        with self._counting:
            full = self._inside >= self.workers + self.queue
            self._inside += not full
        if full:
            for watcher in self.watchers:
                watcher.refused()
            raise Busy(f"{self.queue:,} requests wait already", hint="come again in a second")
        call = partial(copy_context().run, self._timed, perf_counter(), partial(function, *args, **kwargs))
        try:
            future = self._pool.submit(call)
        except RuntimeError:  # the server ended while this request was on its way
            self._left()
            raise NotReady("the server is ending", hint="come again in a second") from None
        future.add_done_callback(self._left)  # also of a request that was cancelled: its thread goes on
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Wait for the calls that run; those that wait are dropped."""
        self._pool.shutdown(cancel_futures=True)

    def _timed(self, asked: float, call: Callable[[], T]) -> T:
        started, failed = perf_counter(), True
        try:
            made = call()
            failed = False
            return made
        finally:
            ended = perf_counter()
            for watcher in self.watchers:
                watcher.ran(started - asked, ended - started, failed)

    def _left(self, _: "Future[Any] | None" = None) -> None:
        with self._counting:
            self._inside -= 1
