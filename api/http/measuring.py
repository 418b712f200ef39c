"""What of a server the metrics tell: its threads, its towers, its collections."""

from api.http.metrics import CollectionState, Metrics
from api.http.server import Server
from retrieval.errors import CatalensError


def watch(server: Server, metrics: Metrics) -> None:
    """Have the metrics of a server, open or not yet."""
    server.threads.watchers.append(metrics)
    server.encoders.on_call = metrics.encoded
    metrics.watch_work(lambda: server.threads.waiting, lambda: server.threads.running)
    metrics.watch_collections(lambda: states(server))


def states(server: Server) -> dict[str, CollectionState]:
    """The state of each collection by name, but of those that cannot be read now. Follows writers, as a search does."""
    found = {}
    for served in server.all() if server.is_open else ():
        searcher = served.searcher
        try:
            with searcher.collection.snapshot():
                view = searcher.collection.view()
                items = searcher.collection.countable(view, ("image", "text"))
        except CatalensError:  # the others are still to be told of; what fails here fails in searches, and counts there
            continue
        cache = searcher.query_cache
        found[served.name] = CollectionState(items, view.revision, cache.hits, cache.misses)
    return found
