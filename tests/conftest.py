"""No test reads or writes the user's cache: what is exported there would change what the tests run on."""

import os
import tempfile
from collections.abc import Iterator

import pytest

from retrieval.confidence.nulls import null_queries_of
from tests.fakes import ColourEncoder

_cache = tempfile.TemporaryDirectory(prefix="catalens-cache-")
os.environ["CATALENS_CACHE"] = _cache.name  # for the processes that tests start, too
os.environ.pop("CATALENS_RUNTIME", None)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests() -> Iterator[None]:
    # Once for all: tests count what an index run encodes, and the first of an encoder also encodes the null queries.
    null_queries_of(ColourEncoder())
    yield
    _cache.cleanup()
