"""Every error as JSON of one shape, with the status that fits.

CatalensError
└── HttpError              what only a server raises
    ├── BadRequest         400  a body that cannot be read
    ├── Unauthorized       401  no key, or an unknown one
    ├── Forbidden          403  a key that may not do this
    ├── NotFound           404  no such collection, item or route
    ├── MethodNotAllowed   405
    ├── TooSlow            408  a body that does not come to its end
    ├── TooLarge           413  a body of too many bytes
    ├── UnsupportedMedia   415  a body of another type
    ├── Misdirected        421  a Host header that does not name this server
    ├── Invalid            422  a well-formed body that does not fit
    ├── Busy               429  too many calls wait already
    │   └── RateLimited    429  too many calls by this client
    └── NotReady           503  models are being loaded, or the server ends
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from api.http.validation import validation_error
from retrieval.errors import (
    CatalensError,
    CollectionChanged,
    CollectionError,
    CollectionLocked,
    EncoderError,
    ImageError,
    QueryError,
    RulesError,
    SourceError,
)

log = logging.getLogger("catalens.http")

INTERNAL = "internal_error"


class HttpError(CatalensError):
    """What only a server raises. headers: sent with the answer. field: what part of the request it is about."""

    status = 500

    def __init__(
        self, message: str, *, hint: str = "", field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.field = field
        self.headers = dict(headers or {})


class BadRequest(HttpError):
    """The request cannot be read."""

    status = 400


class Unauthorized(HttpError):
    """No API key, or an unknown one."""

    status = 401


class Forbidden(HttpError):
    """The API key does not allow this."""

    status = 403


class NotFound(HttpError):
    """There is no such collection, item or route."""

    status = 404


class MethodNotAllowed(HttpError):
    """The route exists, but not with this method."""

    status = 405


class TooSlow(HttpError):
    """The body did not come in time."""

    status = 408


class TooLarge(HttpError):
    """The body has more bytes than the server takes."""

    status = 413


class UnsupportedMedia(HttpError):
    """The body has another type than the route takes."""

    status = 415


class Misdirected(HttpError):
    """The Host header names another server."""

    status = 421


class Invalid(HttpError):
    """The request is well-formed, but its values do not fit."""

    status = 422


class Busy(HttpError):
    """Too many calls wait already; the header Retry-After says in how many seconds to come again."""

    status = 429

    def __init__(self, message: str, *, hint: str = "", retry_after: int = 1) -> None:
        super().__init__(message, hint=hint, headers={"Retry-After": str(retry_after)})


class RateLimited(Busy):
    """This client calls too often."""


class NotReady(HttpError):
    """Models are being loaded, or the server ends."""

    status = 503


STATUSES: Mapping[type[CatalensError], int] = {
    QueryError: 422,
    ImageError: 422,
    RulesError: 422,
    SourceError: 422,
    CollectionLocked: 409,
    CollectionChanged: 409,
    CollectionError: 503,
    EncoderError: 503,
}
"""Of errors that are not made for HTTP; the nearest ancestor counts. Others are faults of the server: 500."""

_OF_STATUS: Mapping[int, type[HttpError]] = {
    kind.status: kind for kind in (BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, TooLarge)
}


def status_of(error: CatalensError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, HttpError):
        return error.status
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def error_type(error: CatalensError) -> str:
    """What programs tell errors apart by: `too_large` of a `TooLarge`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def error_json(error: CatalensError, told: Callable[[str], str] = str) -> dict[str, Any]:
    """The one shape of all errors. told: a message as it may go out."""
    value = {
        "type": error_type(error),
        "message": told(str(error)),
        "hint": told(error.hint) or None,
        "field": (getattr(error, "field", None) or "").removeprefix("query.") or None,
    }
    return {"error": value}


def error_response(error: CatalensError, told: Callable[[str], str] = str) -> JSONResponse:
    """The answer to a request that failed; middleware sends it too. told: a message as it may go out."""
    status = status_of(error)
    if status == 500:
        return unexpected()
    return JSONResponse(error_json(error, told), status, headers=getattr(error, "headers", None))


def unexpected() -> JSONResponse:
    """The answer to what should not have happened: nothing of the inside goes out."""
    value = {
        "type": INTERNAL,
        "message": "the server failed at this request",
        "hint": "its log has more, under the request's id (header X-Request-ID)",
        "field": None,
    }
    return JSONResponse({"error": value}, 500)


def add_handlers(app: FastAPI) -> None:
    """Have the app answer all errors in the one shape."""

    @app.exception_handler(CatalensError)
    async def _catalens(request: Request, error: CatalensError) -> JSONResponse:
        if status_of(error) >= 500:
            log.error("request %s: %s", getattr(request.state, "request_id", None), error, exc_info=error)
        return _answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
        kind, message, hint, field = validation_error(request, error)
        return _answer(request, _KINDS[kind](message, hint=hint, field=field))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        headers = error.headers
        if error.status_code == 404:
            made: HttpError = NotFound(f"there is nothing at {request.url.path[:200]}", hint="see /docs")
        elif error.status_code == 405:
            made = MethodNotAllowed(
                f"{request.method} is not possible at {request.url.path[:200]}", hint="see /docs", headers=headers
            )
        else:
            kind = _OF_STATUS.get(error.status_code, BadRequest)
            made = kind(str(error.detail), hint="see /docs", headers=headers)
        return _answer(request, made)


def _answer(request: Request, error: CatalensError) -> JSONResponse:
    request.state.error = error_type(error) if status_of(error) != 500 else INTERNAL  # for the log and the metrics
    # What was made for HTTP names addresses, which look like paths.
    return error_response(error, str if isinstance(error, HttpError) else request.app.state.server.told)


_KINDS = {400: BadRequest, 415: UnsupportedMedia, 422: Invalid}
