"""Where a server's log goes: lines of JSON about requests, and what went wrong, to one stream."""

import logging
from typing import TextIO

from api.http.middleware.access_log import logger as access


def log_to(stream: TextIO, *, requests: bool = True) -> None:
    """Write the log there. requests: also a line for each request; else only what went wrong."""
    server = logging.getLogger("catalens")
    server.setLevel(logging.INFO)
    server.propagate = access.propagate = False
    server.handlers = [_handler(stream, "%(asctime)s %(levelname)s %(message)s")]
    access.handlers = [_handler(stream, "%(message)s")]
    access.disabled = not requests


def _handler(stream: TextIO, form: str) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(form))
    return handler
