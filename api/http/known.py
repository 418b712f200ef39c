"""A parameter that a route does not know is refused: `?filtre=price<5` would else answer with all that is there."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from fastapi import Request

from api.http.errors import Invalid


async def known_parameters(request: Request) -> None:
    """Raises Invalid for a name in the address or in a form that the route has no parameter for."""
    takes = request.scope["route"].dependant
    _check(request.query_params, takes.query_params, "the address takes")
    if takes.body_params and request.headers.get("content-type", "").startswith("multipart/form-data"):
        _check(await request.form(), takes.body_params, "the form takes")  # read already, and kept


def _check(given: Iterable[str], taken: Iterable[Any], said: str) -> None:
    names = [field.alias for field in taken]
    for name in given:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            more = f"did you mean {near[0]}?" if near else f"{said} {', '.join(names) or 'none'}"
            raise Invalid(f"there is no parameter {name[:80]!r}", hint=more, field=name[:80])
