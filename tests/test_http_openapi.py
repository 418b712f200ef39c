"""Every route keeps to what /openapi.json says of it, whatever it is sent: Schemathesis makes it up from the schema."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
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

EXAMPLES = 25
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT = create_app(ServerSettings({})).openapi()
ROUTES = [
    (method.upper(), path, mode)
    for path, methods in DOCUMENT["paths"].items()
    for method, route in methods.items()
    for mode in GenerationMode
    # Of a route that takes nothing no request is wrong.
    if mode.is_positive or route.get("parameters") or "requestBody" in route
]


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> BaseSchema:
    """Of a server with one collection, to which the tests also write."""
    folder = tmp_path_factory.mktemp("openapi")
    app = create_app(ServerSettings({"shop": colour_shop(folder)}), load=lambda _: ColourEncoder())
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize(("method", "path", "mode"), ROUTES, ids=[" ".join(route) for route in ROUTES])
def test_answers_are_as_promised(schema: BaseSchema, method: str, path: str, mode: GenerationMode) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode), is_known=st.booleans())
    def check(case: Case, is_known: bool) -> None:
        if is_known:  # a name that is made up leads no further than to 404
            for name, value in (("name", "shop"), ("item_id", "sku-red")):
                if name in case.path_parameters:
                    case.path_parameters[name] = value
        case.call_and_validate(checks=CHECKS)

    check()
