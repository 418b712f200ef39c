"""No test reads or writes the user's cache: what is exported there would change what the tests run on."""

import os
import tempfile
from collections.abc import Iterator

import pytest

_cache = tempfile.TemporaryDirectory(prefix="catalens-cache-")
os.environ["CATALENS_CACHE"] = _cache.name  # for the processes that tests start, too
os.environ.pop("CATALENS_RUNTIME", None)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests() -> Iterator[None]:
    yield
    _cache.cleanup()
