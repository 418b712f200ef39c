"""What the server measures of itself, for Prometheus."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True)
class CollectionState:
    """What there is to be said of a served collection at a scrape.

    items, revision: that a search sees. hits, misses: texts that the query cache knew, or had to have encoded.
    """

    items: int
    revision: int
    hits: int
    misses: int


States = Callable[[], Mapping[str, CollectionState]]


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
        self._batches = Histogram(
            "catalens_encode_batch_texts", "Texts encoded in one call.", buckets=SIZES, registry=own
        )
        self._refused = Counter("catalens_queue_refusals", "Calls refused because too many wait.", registry=own)
        self._waited = Histogram(
            "catalens_queue_seconds", "Time that a call waited for a thread.", buckets=SECONDS, registry=own
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
        """How long a stage of a search took: encode, rerank, search (both included), write, or total."""
        self._stage_seconds.labels(name).observe(seconds)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """The time until the block ends, as that of a stage, unless it raises."""
        began = perf_counter()
        yield
        self.stage(name, perf_counter() - began)

    def encoded(self, texts: int, seconds: float) -> None:
        """One call of the text tower."""
        self._batches.observe(texts)
        self.stage("encode", seconds)

    def ran(self, waited: float, took: float, failed: bool) -> None:  # noqa: ARG002 - it is a `Watcher` of `Threads`
        """A call on a thread ended: seconds that it waited for one."""
        self._waited.observe(waited)

    def refused(self) -> None:
        """A call was refused because too many wait."""
        self._refused.inc()

    def watch_work(self, queue: Callable[[], float], busy: Callable[[], float]) -> None:
        """Where to read, at each scrape, how many calls wait and how many threads work."""
        self._queue.set_function(queue)
        self._busy.set_function(busy)

    def watch_collections(self, states: States) -> None:
        """Where to read, at each scrape, how the served collections are, by name."""
        self.registry.register(_Collections(states))

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format 0.0.4; its media type is `CONTENT_TYPE`."""
        return generate_latest(self.registry)


class _Collections(Collector):
    def __init__(self, states: States) -> None:
        self._states = states

    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterable[Metric]:
        items, revision, cache = self._families()
        for name, state in self._states().items():
            items.add_metric([name], state.items)
            revision.add_metric([name], state.revision)
            cache.add_metric([name, "hit"], state.hits)
            cache.add_metric([name, "miss"], state.misses)
        return items, revision, cache

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, CounterMetricFamily]:
        outcome = ("collection", "outcome")
        return (
            GaugeMetricFamily("catalens_index_items", "Items that a search sees.", labels=["collection"]),
            GaugeMetricFamily("catalens_index_revision", "Revision that a search sees.", labels=["collection"]),
            CounterMetricFamily(
                "catalens_query_cache", "Looked up in the query cache, often several times in a search.", labels=outcome
            ),
        )
