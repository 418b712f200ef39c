"""What a running server has: its collections, open and with their encoders, and the threads that search them."""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from api.http.encoders import Encoders, Load
from api.http.errors import NotFound, NotReady
from api.http.settings import ServerSettings
from api.http.threads import Threads
from retrieval.collection import Collection
from retrieval.encoders import load_encoder
from retrieval.rerankers import load_reranker
from retrieval.search import Searcher

P = ParamSpec("P")
T = TypeVar("T")


class Served:
    """One collection that is served. name: in addresses; folder: absolute, never to be told."""

    def __init__(self, name: str, folder: Path, searcher: Searcher) -> None:
        self.name, self.folder, self.searcher = name, folder, searcher


class Server:
    """Opened when the app starts and closed when it ends, in `app.state.server`."""

    def __init__(self, settings: ServerSettings, load: Load | None = None) -> None:
        """load: makes an encoder of a model's name; None for `load_encoder` on the settings' runtime."""
        self.settings = settings
        self.encoders = Encoders(load or (lambda name: load_encoder(name, runtime=settings.runtime)), settings.batch_ms)
        self.threads = Threads(settings.workers, settings.queue)
        self._served: dict[str, Served] = {}
        self._is_open = False

    def open(self) -> None:
        """Open all collections and load their models. Raises what opening and loading raise."""
        reranker = self.settings.reranker
        chosen = None if reranker is None else load_reranker(reranker, runtime=self.settings.runtime)
        try:
            for name, folder in self.settings.collections.items():
                collection = Collection.open(folder.absolute())
                try:
                    encoder = self.encoders.of(collection.encoder.name)
                    searcher = Searcher(collection, encoder, chosen, runtime=self.settings.runtime)
                except BaseException:
                    collection.close()
                    raise
                self._served[name] = Served(name, folder.absolute(), searcher)
        except BaseException:
            self.close()
            raise
        self._is_open = True

    def close(self) -> None:
        """End the threads once their calls are done, and close the collections."""
        self._is_open = False
        self.threads.close()
        for served in self._served.values():
            served.searcher.collection.close()
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
        for served in self.all():
            if served.name == name:
                return served
        raise NotFound(f"there is no collection '{name[:80]}'", hint="GET /v1/collections lists them", field="name")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a blocking function returns, run on one of the threads. Raises Busy when too many calls wait."""
        return await self.threads.run(function, *args, **kwargs)
