"""Every route keeps to what /openapi.json says of it, whatever it is sent: Schemathesis makes it up from the schema."""

from typing import Any, Literal, get_args

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.http.app import create_app
from api.http.settings import ServerSettings
from tests.fakes import ColourEncoder
from tests.http_server import colour_shop

EXAMPLES = 6
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SENSIBLE: dict[str, Any] = {
    "words": "red",
    "q": "dark blue",
    "item_id": "sku-red",
    "parts": [{"words": "red"}, {"item": "sku-green", "weight": -0.5}],
    "filter": "price > 20",
    "facets": ["brand", "price:0,25,50"],
    "sort": ["-price"],
    "group": "brand",
    "by": "image",
    "k": 3,
    "offset": 1,
    "model": "colour",
    "dimensions": 4,
    "input": ["red", "blue"],
    "documents": ["red", {"item_id": "sku-red"}],
    "labels": ["red", "blue"],
    "title": "a red thing",
    "texts": {"about": "red"},
    "attributes": {"price": 5, "brand": "A"},
}
DROPPED = ("image", "vector", "photos", "item", "photo", "min_confidence", "weight")
DELETED = {"known": "sku-blue", "sensible": "sku-cyan"}
NEVER = [("DELETE", "/v1/collections/{name}/tags/{field}"), ("POST", "/v1/collections/{name}/search/image")]
"""Of the first no label is there to be removed, and no picture is made up for the second."""

DOCUMENT = create_app(ServerSettings({})).openapi()
How = Literal["made up", "known", "sensible"]
"""What is made up leads no further than to errors: a name to 404, a filter to 422. So there are requests about a
collection that is there, and such that also ask for what it has."""

ROUTES: list[tuple[str, str, GenerationMode, How]] = [
    (method.upper(), path, mode, how)
    for path, methods in DOCUMENT["paths"].items()
    for method, route in methods.items()
    for mode in GenerationMode
    for how in get_args(How)
    # Of a route that takes nothing no request is wrong, and a wrong request is not sensible.
    if (mode.is_positive or route.get("parameters") or "requestBody" in route)
    and (how == "made up" or "{name}" in path or "requestBody" in route)
    and (how != "sensible" or mode.is_positive)
]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> BaseSchema:
    """Of a server with one collection, to which the tests also write."""
    folder = tmp_path_factory.mktemp("openapi")
    app = create_app(ServerSettings({"shop": colour_shop(folder)}), load=lambda _: ColourEncoder())
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def make_sensible(case: Case) -> None:
    """Put what the collection has in place of what was made up."""
    if "field" in (case.query or {}):
        case.query["field"] = ["brand"]
    body = case.body if isinstance(case.body, dict) else {}
    query = body.get("query") if case.path.endswith("/explain") else body
    if case.path.endswith(("/search", "/explain", "/heatmap")) and isinstance(query, dict):
        query["words"] = "red"
    for made in (case.query, body, query):
        if isinstance(made, dict):
            for name in DROPPED:
                made.pop(name, None)
            made.update({name: SENSIBLE[name] for name in made if name in SENSIBLE})


@pytest.mark.parametrize(("method", "path", "mode", "how"), ROUTES, ids=[" ".join(route) for route in ROUTES])
def test_answers_are_as_promised(schema: BaseSchema, method: str, path: str, mode: GenerationMode, how: How) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def check(case: Case) -> None:
        if how != "made up":
            places = {"name": "shop", "item_id": "sku-red" if method != "DELETE" else DELETED[how]}
            case.path_parameters.update({name: places[name] for name in case.path_parameters if name in places})
        if how == "sensible":
            make_sensible(case)
        statuses.add(case.call_and_validate(checks=CHECKS).status_code)

    statuses: set[int] = set()
    check()
    if how == "sensible" and (method, path) not in NEVER:
        assert any(status < 400 for status in statuses), f"only {statuses}: nothing was answered"
