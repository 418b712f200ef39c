"""What a running server has: its collections, open and with their encoders, and the threads that search them."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from api.http.encoders import Encoders, Load, one_at_a_time
from api.http.errors import NotFound, NotReady
from api.http.privacy import without_paths
from api.http.served import Served
from api.http.settings import ServerSettings
from api.http.threads import Threads
from api.http.thumbnails import Thumbnails
from api.http.writing import Writing
from retrieval.encoders import load_encoder
from retrieval.rerankers import load_reranker
from retrieval.rerankers.base import Reranker

__all__ = ["Served", "Server"]

P = ParamSpec("P")
T = TypeVar("T")


class Server:
    """Opened when the app starts and closed when it ends, in `app.state.server`; an app may start again."""

    def __init__(self, settings: ServerSettings, load: Load | None = None) -> None:
        """load: makes an encoder of a model's name; None for `load_encoder` on the settings' runtime."""
        self.settings = settings
        self.folders = {name: folder.absolute() for name, folder in settings.collections.items()}
        load = load or (lambda name: load_encoder(name, runtime=settings.runtime))
        self.encoders = Encoders(load, settings.batch_ms)
        self.threads = Threads(settings.workers, settings.queue)
        self.writing = Writing(self.threads, settings.queue)
        self.thumbnails = Thumbnails()
        self._served: dict[str, Served] = {}
        self._is_open = False

    def open(self) -> None:
        """Open all collections, load their models, and search once in each. Raises what that raises."""
        self.threads.open()
        try:
            reranker = self._reranker()
            for name, folder in self.folders.items():
                self._served[name] = Served(
                    name, folder, self.encoders, runtime=self.settings.runtime, reranker=reranker
                )
            for served in self._served.values():
                served.warm()
        except BaseException:
            self.close()
            raise
        self._is_open = True

    def _reranker(self) -> Reranker | None:
        name = self.settings.reranker
        return None if name is None else one_at_a_time(load_reranker(name, runtime=self.settings.runtime))

    def close(self) -> None:
        """End the threads once their calls are done, and close the collections."""
        self._is_open = False
        self.threads.close()
        for served in self._served.values():
            served.close()
        self._served.clear()
        self.encoders.close()

    @property
    def is_open(self) -> bool:
        """Are all collections open and their models loaded?"""
        return self._is_open

    def all(self) -> list[Served]:
        """All collections, in the order of the settings. Raises NotReady before they are open."""
        if not self._is_open:
            raise NotReady("the server is starting or ending", hint="come again in a second")
        return list(self._served.values())

    def served(self, name: str) -> Served:
        """The collection of that name. Raises NotFound; NotReady before it is open."""
        self.all()
        if name not in self._served:
            raise NotFound(f"there is no collection '{name[:80]}'", hint="GET /v1/collections lists them", field="name")
        return self._served[name]

    async def current(self, name: str) -> Served:
        """As `served`; one that was made again with another model is opened anew before."""
        served = self.served(name)
        if served.was_replaced():
            async with served.reopening:  # a model is loaded for seconds: one thread, however many requests wait for it
                if served.was_replaced():
                    await self.run(served.reopen)
        return served

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a blocking function returns, run on one of the threads. Raises Busy when too many calls wait."""
        return await self.threads.run(function, *args, **kwargs)

    def told(self, text: str) -> str:
        """A message as it may go out: without paths of this machine."""
        return without_paths(text, self.folders)
