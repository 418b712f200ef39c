"""The one shape of all errors, and which statuses a route may answer with."""

from typing import Any

from pydantic import BaseModel, Field


class ErrorDetail(BaseModel):
    """What went wrong, to what, and what to do next."""

    type: str = Field(examples=["query_error"], description="The kind of error, for programs.")
    message: str = Field(examples=["k is 0; it must be between 1 and 10,000"], description="For people.")
    hint: str | None = Field(examples=["10 is the usual number"], description="The next step.")
    field: str | None = Field(
        examples=["k"], description="What part of the request it is about, where one is to blame."
    )


class ErrorAnswer(BaseModel):
    """The body of every answer whose status is 400 or more."""

    error: ErrorDetail


_MEANING = {
    400: "The body cannot be read.",
    401: "No API key, or an unknown one.",
    403: "The API key does not allow this.",
    404: "No such collection, item or route.",
    405: "Not with this method.",
    408: "The body does not come to its end.",
    409: "Another process is writing, or wrote just now: try again.",
    413: "The body has too many bytes.",
    415: "The body is of another type than this route takes.",
    421: "The Host header does not name this server.",
    422: "A well-formed request that cannot be answered as asked.",
    429: "Too many requests: come again after the seconds in Retry-After.",
    500: "A fault of the server. Its log has more, under the request's id.",
    503: "Not ready, or the collection cannot be read.",
}

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": meaning} for status, meaning in _MEANING.items()
}
"""`responses=ERRORS`; `create_app` gives it to every router."""
