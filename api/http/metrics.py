"""What the server measures of itself, for Prometheus."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Indexes = Callable[[], Mapping[str, tuple[int, int]]]
"""For each collection by name: how many items its index holds, and which revision it has."""


class Metrics:
    """The counters of one application, in a registry of its own, so that two in one process do not mix.

    All methods are safe to call from any thread. Labels take values of bounded number only: never a path or an id.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own = self.registry
        self._requests = Counter("catalens_requests", "Requests answered.", ("method", "route", "status"), registry=own)
        self._request_seconds = Histogram(
            "catalens_request_seconds", "Time to answer.", ("route",), buckets=SECONDS, registry=own
        )
        self._stage_seconds = Histogram(
            "catalens_stage_seconds", "Time of a stage of a search.", ("stage",), buckets=SECONDS, registry=own
        )
        self._errors = Counter("catalens_errors", "Answers that were errors, by type.", ("type",), registry=own)
        self._cache = Counter("catalens_query_cache", "Texts looked up in the query cache.", ("outcome",), registry=own)
        self._batches = Histogram(
            "catalens_encode_batch_texts", "Texts encoded in one call.", buckets=SIZES, registry=own
        )
        self._queue = Gauge("catalens_queue_length", "Calls that wait for a thread.", registry=own)
        self._busy = Gauge("catalens_busy_threads", "Threads that work on a call.", registry=own)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request answered. route: the template, such as /v1/collections/{name}/search."""
        self._requests.labels(method if method in METHODS else "other", route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def error(self, kind: str) -> None:
        """One answer that was an error, by its `type`."""
        self._errors.labels(kind).inc()

    def stage(self, name: str, seconds: float) -> None:
        """How long a stage of a search took: encode, search or total."""
        self._stage_seconds.labels(name).observe(seconds)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """The time until the block ends, as that of a stage, unless it raises."""
        began = perf_counter()
        yield
        self.stage(name, perf_counter() - began)

    def cache(self, *, hit: bool) -> None:
        """One text looked up in the query cache."""
        self._cache.labels("hit" if hit else "miss").inc()

    def batch(self, texts: int) -> None:
        """One call of the text tower."""
        self._batches.observe(texts)

    def watch_work(self, queue: Callable[[], float], busy: Callable[[], float]) -> None:
        """Where to read, at each scrape, how many calls wait and how many threads work."""
        self._queue.set_function(queue)
        self._busy.set_function(busy)

    def watch_indexes(self, indexes: Indexes) -> None:
        """Where to read, at each scrape, what is served."""
        self.registry.register(_Indexes(indexes))

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format 0.0.4; its media type is `CONTENT_TYPE`."""
        return generate_latest(self.registry)


class _Indexes(Collector):
    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterable[Metric]:
        items, revision = self._families()
        for name, (count, number) in self._indexes().items():
            items.add_metric([name], count)
            revision.add_metric([name], number)
        return items, revision

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily("catalens_index_items", "Items that a search sees.", labels=["collection"]),
            GaugeMetricFamily("catalens_index_revision", "Revision that a search sees.", labels=["collection"]),
        )
