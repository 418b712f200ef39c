"""What FastAPI found wrong with a request, in our words."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request, params
from fastapi.exceptions import RequestValidationError

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


def validation_error(request: Request, error: RequestValidationError) -> tuple[int, str, str, str | None]:
    """Status (400, 415 or 422), message, hint and field of the first thing that is wrong."""
    first: dict[str, Any] = dict(error.errors()[0])
    place: Sequence[Any] = first["loc"]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        return 400, f"the body is not JSON: {reason}".rstrip(": "), "send one JSON object in UTF-8", None
    if place[:1] == ("body",):
        given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        wanted = _wanted(request)
        if given not in wanted and not (wanted == ("application/json",) and given.endswith("+json")) and given:
            return 415, f"the body is {given[:80]}, not {' or '.join(wanted)}", f"send it as {wanted[0]}", None
    field = field_of(place[1:])
    return 422, f"{field or 'the body'}: {said(first)}", "see /docs for what is taken", field


def field_of(place: Sequence[Any]) -> str | None:
    """Where in the request something is, such as `parts.0.words`; a name that the request made up is cut short."""
    return ".".join(str(part)[:80] for part in place) or None


def _wanted(request: Request) -> tuple[str, ...]:
    body = getattr(request.scope.get("route"), "body_field", None)
    return FORMS if body is not None and isinstance(body.field_info, params.Form) else ("application/json",)


def said(first: Mapping[str, Any]) -> str:
    """What pydantic says of an error, in a sentence that goes on after a colon."""
    message = str(first["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:300]
