"""One collection of a server: open, searched with its encoder, and followed wherever a writer takes it."""

import asyncio
from pathlib import Path

from api.http.encoders import Encoders
from api.http.privacy import without_paths
from retrieval.catalogue.engine import database_status
from retrieval.collection import Collection
from retrieval.errors import CollectionError
from retrieval.rerankers.base import Reranker
from retrieval.search import Searcher


class Served:
    """name: in addresses. folder: absolute, never to be told.

    searcher: follows the revisions of the collection by itself, also through its deletion and making anew; only one
    that was made anew with another model needs another searcher. Requests keep the one that they began with.
    reopening: held by the one request that sees to that.
    """

    def __init__(
        self, name: str, folder: Path, encoders: Encoders, *, runtime: str | None, reranker: Reranker | None
    ) -> None:
        """Raises what opening a collection and loading its model raise."""
        self.name, self.folder = name, folder
        self._encoders, self._runtime, self._reranker = encoders, runtime, reranker
        self.reopening = asyncio.Lock()
        self._database, self.searcher = self._opened()

    def warm(self) -> None:
        """Search once, so that the first who searches does not wait for index files and statements to be read."""
        self.searcher.search("a photo", k=1, by="hybrid")

    def close(self) -> None:
        """Close the collection."""
        self.searcher.collection.close()

    def told(self, text: str) -> str:
        """A message as it may go out: without paths of this machine."""
        return without_paths(text, {self.name: self.folder})

    def was_replaced(self) -> bool:
        """Is the database another file than the one that was opened? A few microseconds."""
        return self._identity() not in (None, self._database)

    def reopen(self) -> None:
        """Open the collection anew where it has another model now. Raises as `__init__` does, and keeps the old one.

        Called with `reopening` held.
        """
        database, searcher = self._opened()
        old, self._database = self.searcher, database
        if searcher.encoder.spec.fingerprint == old.encoder.spec.fingerprint:
            searcher.collection.close()  # the old one follows by itself, with its cache of queries
            return
        self.searcher = searcher
        searcher.search("a photo", k=1)
        old.collection.close()

    def _opened(self) -> tuple[tuple[int, int] | None, Searcher]:
        database = self._identity()
        collection = Collection.open(self.folder)
        try:
            encoder = self._encoders.of(collection.encoder.name, collection.encoder.fingerprint)
            return database, Searcher(collection, encoder, self._reranker, runtime=self._runtime)
        except BaseException:
            collection.close()
            raise

    def _identity(self) -> tuple[int, int] | None:
        """Device and inode of the database; None where there is none now, which a search says itself."""
        try:
            status = database_status(self.folder)
        except CollectionError:
            return None
        return status.st_dev, status.st_ino
