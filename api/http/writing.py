"""Writes of a server: to each collection one after the other, in the order in which they came."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from api.http.errors import Busy, HttpError
from api.http.served import Served
from api.http.threads import Threads
from indexer.items import upkeep
from retrieval import errors

log = logging.getLogger("catalens.http")

T = TypeVar("T")

RETRY_AFTER = 5  # seconds: an index run of a few photos takes as long


class CollectionLocked(HttpError):
    """Another process writes to the collection, such as `catalens index`."""

    status = 409


class Writing:
    """Runs what writes. A second write to a collection waits for the first without a thread of its own.

    What a request began is finished even if its client goes away: half a write would not be one, and the next would
    meet its lock.
    """

    def __init__(self, threads: Threads, most_waiting: int) -> None:
        """most_waiting: writes to one collection that may wait; one more is refused."""
        self._threads, self._most_waiting = threads, most_waiting
        self._turns: dict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)  # one folder may have two names
        self._waiting: dict[str, int] = defaultdict(int)
        self._tending: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, served: Served, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """What a blocking function that takes the writer's lock of the collection returns.

        Raises Busy when too many writes wait; CollectionLocked when another process writes.
        """
        if self._waiting[served.name] > self._most_waiting:
            raise Busy(f"{self._most_waiting:,} writes to {served.name} wait already", hint="come again in a second")
        self._waiting[served.name] += 1
        return await asyncio.shield(self._task(self._in_turn(served, lambda: function(*args, **kwargs))))

    def tend(self, served: Served) -> None:
        """Bring the collection's index and calibrations up to date soon, after the writes that wait already."""
        if served.name not in self._tending:
            self._tending.add(served.name)
            self._waiting[served.name] += 1
            self._task(self._tend(served))

    async def _in_turn(self, served: Served, function: Callable[[], T]) -> T:
        try:
            async with self._turns[served.folder]:
                return await self._threads.run(function)
        except errors.CollectionLocked:
            raise CollectionLocked(
                f"another program is writing to {served.name}, such as catalens index",
                hint="try again when it has finished",
                headers={"Retry-After": str(RETRY_AFTER)},
            ) from None
        finally:
            self._waiting[served.name] -= 1

    async def _tend(self, served: Served) -> None:
        try:
            await self._in_turn(served, lambda: upkeep(served.folder, served.searcher.encoder))
        except Exception as error:  # what was written is there and is found; the next write tries again
            log.warning("the index of %s was not brought up to date: %s", served.name, error)
        finally:
            self._tending.discard(served.name)

    def _task(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._tasks.add(task)  # asyncio itself keeps none alive
        task.add_done_callback(self._tasks.discard)
        return task
