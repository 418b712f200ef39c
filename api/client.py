"""A client of `catalens serve` on the standard library alone; the file can be copied into any program.

from api.client import Client

shop = Client("http://127.0.0.1:8000", "shop")
shop.put("sku-1", title="Red sofa", photos=["sofa.jpg"])
for hit in shop.search("red sofa", k=3)["hits"]:
    print(hit["rank"], hit["item_id"], hit["title"])
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

Photo = str | Path | bytes
"""A file here, by its path, or the bytes of one."""

Attribute = str | int | float | bool | list[str] | None


class ClientError(Exception):
    """What the server refused, or why it could not be asked.

    type: such as `query_error`, for programs; `unreachable` without an answer. message, hint: for people. field: what
    part of the request it is about. status: of HTTP, 0 without an answer. retry_after: when to try again, in seconds.
    """

    def __init__(
        self, status: int, type: str, message: str, hint: str | None, field: str | None, retry_after: float | None
    ) -> None:
        super().__init__(message)
        self.status, self.type, self.message, self.hint = status, type, message, hint
        self.field, self.retry_after = field, retry_after

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} ({self.hint})"


class Client:
    """One server, and one of its collections. Holds no connection; many threads may use one. All raise ClientError."""

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        collection: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        """collection: None for the first that the server has. timeout: seconds without a byte from the server.

        Raises ValueError for what is no address or cannot be a key. Blanks around a key, as files have, do not count.
        """
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"{address} is no address such as http://127.0.0.1:8000")
        api_key = None if api_key is None else api_key.strip()
        if api_key is not None and not (api_key and api_key.isprintable()):
            raise ValueError("the API key is empty or more than one line")  # and not which: it would stand in logs
        self.address, self.timeout = address.rstrip("/"), timeout
        self._collection, self._api_key = collection, api_key

    def collections(self) -> list[dict[str, Any]]:
        """What the server has: name, items, photos, model, revision of each."""
        return list(self._ask("GET", "/v1/collections")["collections"])

    def search(self, words: str | None = None, *, image: Photo | None = None, **query: Any) -> dict[str, Any]:
        """The answer to words, a picture, or both: `hits`, best first, `matched`, `nothing_fits`, `facets`, `notes`.

        query: any other field of a query: k, offset, by, filter, sort, facets, group, diversity, rerank, explain, and
        parts, such as `{"item": "sku-1"}` or `{"words": "stripes", "weight": -0.5}`.
        """
        parts = [*query.pop("parts", ())]
        parts += [] if words is None else [{"words": words}]
        parts += [] if image is None else [{"image": _encoded(image)}]
        return self._ask("POST", f"{self._path()}/search", {"parts": parts, **query})

    def similar(self, item_id: str, **query: Any) -> dict[str, Any]:
        """The items most like a stored one. query: k, by, filter, offset."""
        return self._ask("GET", f"{self._item(item_id)}/similar?{urlencode(query)}")

    def get(self, item_id: str) -> dict[str, Any]:
        """A stored item: title, texts, attributes, tags, photos with the addresses of their thumbnails."""
        return self._ask("GET", self._item(item_id))

    def put(
        self,
        item_id: str,
        *,
        title: str = "",
        texts: Mapping[str, str] | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        photos: Iterable[Photo] = (),
    ) -> dict[str, Any]:
        """Add an item, or replace the one of that id; the next search finds it. `outcome` says what that changed."""
        return self._ask("PUT", self._item(item_id), _item(title, texts, attributes, photos))

    def put_many(self, items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Put up to 1,000 items, each with `item_id` and what `put` takes. One that fails does so alone.

        An outcome for each, in order: `added`, `updated`, `unchanged`, or `failed` with its `problems`.
        """
        given = [
            {"item_id": one["item_id"], **_item(**{k: v for k, v in one.items() if k != "item_id"})} for one in items
        ]
        return list(self._ask("POST", f"{self._path()}/items", {"items": given})["outcomes"])

    def delete(self, item_id: str) -> dict[str, Any]:
        """Delete an item."""
        return self._ask("DELETE", self._item(item_id))

    def embeddings(self, inputs: Sequence[str | Path | bytes], *, model: str | None = None) -> list[list[float]]:
        """A unit vector for each text (str) and picture (Path or bytes), all in one space."""
        given = [each if isinstance(each, str) else {"image": _encoded(each)} for each in inputs]
        answer = self._ask("POST", "/v1/embeddings", {"input": given, "model": model})
        return [one["embedding"] for one in answer["data"]]

    def rerank(
        self, query: str, documents: Sequence[str | Path | bytes | Mapping[str, Any]], *, top_n: int | None = None
    ) -> list[dict[str, Any]]:
        """Texts, pictures (Path or bytes) and stored items (`{"item_id": …}`) by how well they fit, best first.

        Each with its `index` in `documents` and its `relevance_score`.
        """
        given = [{"image": _encoded(one)} if isinstance(one, Path | bytes) else one for one in documents]
        return list(self._ask("POST", "/v1/rerank", {"query": query, "documents": given, "top_n": top_n})["results"])

    def _path(self) -> str:
        if self._collection is None:
            found = self.collections()
            if not found:
                raise ClientError(404, "not_found", "the server has no collection", None, None, None)
            self._collection = found[0]["name"]
        return f"/v1/collections/{quote(self._collection, safe='')}"

    def _item(self, item_id: str) -> str:
        return f"{self._path()}/items/{quote(item_id, safe='')}"

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._api_key is not None:
            headers["X-API-Key"] = self._api_key.encode().decode("latin-1")  # its bytes in UTF-8
        data = None if body is None else json.dumps(body).encode()
        asked = Request(self.address + path, data, headers, method=method)  # noqa: S310 (it is http, see above)
        try:
            with _OPENER.open(asked, timeout=self.timeout) as answer:
                return dict(json.load(answer))
        except HTTPError as error:
            with error:
                raise _refused(error) from None
        except (
            OSError,
            HTTPException,
            ValueError,
            TypeError,
        ) as error:  # no server, a connection cut, an answer that is no JSON
            hint = "is catalens serve running there?"
            raise ClientError(0, "unreachable", f"no answer from {self.address}: {error}", hint, None, None) from error


class _NoRedirects(HTTPRedirectHandler):
    """The server redirects nobody; whoever does must not be sent the key."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = build_opener(_NoRedirects)


def _refused(error: HTTPError) -> ClientError:
    retry_after = error.headers.get("Retry-After", "")
    seconds = float(retry_after) if retry_after.isdecimal() else None
    try:
        said = json.load(error)["error"]
        return ClientError(error.code, said["type"], said["message"], said["hint"], said["field"], seconds)
    except (OSError, HTTPException, ValueError, KeyError, TypeError):  # a proxy's own page
        return ClientError(error.code, "http_error", f"HTTP {error.code} {error.reason}", None, None, seconds)


def _item(
    title: str = "",
    texts: Mapping[str, str] | None = None,
    attributes: Mapping[str, Attribute] | None = None,
    photos: Iterable[Photo] = (),
) -> dict[str, Any]:
    """The body of an item, but for its id."""
    return {
        "title": title,
        "texts": dict(texts or {}),
        "attributes": dict(attributes or {}),
        "photos": [_encoded(photo) for photo in photos],
    }


def _encoded(photo: Photo) -> dict[str, str]:
    data = photo if isinstance(photo, bytes) else Path(photo).read_bytes()
    return {"base64": base64.b64encode(data).decode("ascii")}
