"""What FastAPI found wrong with a request, in our words."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request, params
from fastapi.exceptions import RequestValidationError

LONGEST_NAME = 80  # characters of a field
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


def validation_error(request: Request, error: RequestValidationError) -> tuple[int, str, str, str | None]:
    """Status (400, 415 or 422), message, hint and field of the first thing that is wrong."""
    body = error.body if isinstance(error.body, dict | list) else None  # of a form its places name no types
    place = error.errors()[0]["loc"][0]
    errors = [{**each, "loc": each["loc"][1:]} for each in error.errors() if each["loc"][0] == place]
    if errors[0]["type"] == "json_invalid":
        reason = errors[0].get("ctx", {}).get("error", "")
        return 400, f"the body is not JSON: {reason}".rstrip(": "), "send one JSON object in UTF-8", None
    if place == "body":
        given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        wanted = _wanted(request)
        fits = given in wanted or (wanted == ("application/json",) and given.endswith("+json"))
        if not fits and (given or isinstance(error.body, bytes)):  # no body at all has no type to be told of
            is_now = given[:80] or "of no type"
            return 415, f"the body is {is_now}, not {' or '.join(wanted)}", f"send it as {wanted[0]}", None
    said, field = told(errors, body if place == "body" else None)
    return 422, f"{field or 'the body'}: {said}", "see /docs for what is taken", field


def told(errors: Sequence[Mapping[str, Any]], body: Any = None) -> tuple[str, str | None]:
    """What to say of pydantic's errors, and of which field, such as `documents.0.text`.

    A value that may be of several types has an error for each, and pydantic names the types in its place. Told is what
    got furthest into the value, and rather what is wrong there than that it is of none of the types or missing.
    body: the value as JSON gave it; None where no field is of several types.
    """
    first = errors[0]
    same = [each for each in errors if each["loc"][:1] == first["loc"][:1]]
    best = max(same, key=lambda each: (len(_place(each, body)), _telling(each["type"])))
    message = str(best["msg"]).removeprefix("Value error, ")[:300]
    return message[:1].lower() + message[1:], ".".join(_place(best, body)) or None


def _telling(kind: str) -> int:
    return 0 if kind == "missing" else 1 if kind.endswith("_type") else 2


def _place(error: Mapping[str, Any], body: Any) -> list[str]:
    """Where in the body an error is, without the names of types; a name that was made up is cut short."""
    if body is None:
        return [str(part)[:LONGEST_NAME] for part in error["loc"] if part != ""]
    parts, here, last = list[str](), body, len(error["loc"]) - 1
    for number, part in enumerate(error["loc"]):
        if isinstance(here, dict) and (part in here or (number == last and error["type"] == "missing")):
            parts, here = [*parts, str(part)[:LONGEST_NAME]], here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            parts, here = [*parts, str(part)], here[part]
    return parts


def _wanted(request: Request) -> tuple[str, ...]:
    body = getattr(request.scope.get("route"), "body_field", None)
    return FORMS if body is not None and isinstance(body.field_info, params.Form) else ("application/json",)
