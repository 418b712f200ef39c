"""How a key is shown, in /openapi.json: clients that are made from it then ask for one."""

from typing import Any

from fastapi import FastAPI

from api.http.middleware.api_keys import OPEN

TELLS_MORE = "/ready"  # to who shows a key, though it needs none

SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def describe_keys(app: FastAPI) -> None:
    """Have the app's description say that keys are asked for, either way, but for what is open to all."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        schema = plain()
        schema["components"]["securitySchemes"] = SCHEMES
        schema["security"] = [{name: []} for name in SCHEMES]
        for path in OPEN & schema["paths"].keys():
            for operation in schema["paths"][path].values():
                operation["security"] = [{}, *schema["security"]] if path == TELLS_MORE else []
        return schema

    app.openapi = described  # type: ignore[method-assign]
