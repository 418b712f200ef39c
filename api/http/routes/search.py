"""Search: by a query as JSON, by a picture that is uploaded, or by words in the address."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Query, UploadFile
from starlette.responses import JSONResponse, Response

from api.http.answers import answered
from api.http.dependencies import MetricsDep, ServedDep, ServerDep
from api.http.errors import BadRequest, Invalid
from api.http.known import known_parameters
from api.http.metrics import Metrics
from api.http.models.search import SearchAnswer, SearchRequest
from api.http.server import Served
from retrieval.errors import ImageError
from retrieval.query.json_form import from_json
from retrieval.query.value import MAX_WORDS, Part

router = APIRouter(prefix="/v1/collections/{name}", tags=["search"], dependencies=[Depends(known_parameters)])

By = Literal["image", "text", "lexical", "hybrid"]
DEPTH = 20


@router.post("/search", response_model=SearchAnswer)
async def search(server: ServerDep, metrics: MetricsDep, served: ServedDep, body: SearchRequest) -> Response:
    """Find items by words, pictures, stored items and embeddings, added and taken away."""
    return await server.run(_answer, metrics, served, body.query_json(), explained=body.explain)


@router.get("/search", response_model=SearchAnswer)
async def search_words(
    server: ServerDep,
    metrics: MetricsDep,
    served: ServedDep,
    q: Annotated[str, Query(description="Words.", examples=["red shoes"])] = "",
    k: Annotated[int, Query(description="How many hits.")] = 10,
    by: Annotated[By, Query(description="What to compare with.")] = "image",
    filter: Annotated[str | None, Query(description="Only such items: `price < 50`")] = None,
    offset: Annotated[int, Query(description="How many of the best to leave out first.")] = 0,
    rerank: Annotated[int, Query(description=f"Have a reranker order the best so many anew; {DEPTH} is usual.")] = 0,
    explain: Annotated[bool, Query(description="Say why each of the first 20 hits is there.")] = False,
) -> Response:
    """Find items by words: for a quick look. `POST` takes much more."""
    value = {"words": q if q.strip() else None, "k": k, "by": by, "filter": filter, "offset": offset, "rerank": rerank}
    return await server.run(_answer, metrics, served, value, explained=explain)


@router.post("/search/image", response_model=SearchAnswer)
async def search_image(
    server: ServerDep,
    metrics: MetricsDep,
    served: ServedDep,
    image: Annotated[UploadFile, File(description="A picture's file.")],
    words: Annotated[str | None, Form(description="Words that count as much.", max_length=MAX_WORDS)] = None,
    k: Annotated[int | None, Form(description="How many hits; 10.")] = None,
    by: Annotated[By | None, Form(description="What to compare with; `image`.")] = None,
    filter: Annotated[str | None, Form(description="Only such items.")] = None,
    query: Annotated[
        str | None,
        Form(
            description="A query as `POST …/search` takes it, as JSON; the picture is one more part.", examples=["{}"]
        ),
    ] = None,
) -> Response:
    """Find items that look like a picture, with words beside it if you like."""
    value = _object(query)
    explained = value.pop("explain", False)
    if not isinstance(explained, bool):
        raise Invalid("explain is neither true nor false", hint="leave it out", field="query")
    value |= {name: given for name, given in (("k", k), ("by", by), ("filter", filter)) if given is not None}
    return await server.run(_answer, metrics, served, value, await image.read(), words, explained=explained)


def _answer(
    metrics: Metrics,
    served: Served,
    value: dict[str, Any],
    picture: bytes | None = None,
    words: str | None = None,
    *,
    explained: bool,
) -> Response:
    """On a thread: reading a query with pictures and writing an answer take as long as a search."""
    more = [] if words is None or not words.strip() else [Part(words=words)]
    more += [] if picture is None else [Part(image=picture)]
    try:
        with metrics.timed("search"):
            answer = answered(served, from_json(value, more=more), explained=explained)
    except ImageError as error:
        raise ImageError(str(error), hint=error.hint or "send the bytes of a JPEG, PNG, WebP or HEIC file") from error
    if "reranked" in answer:
        metrics.stage("rerank", answer["reranked"]["ms"] / 1000)
    with metrics.timed("write"):
        return JSONResponse(answer)


def _object(text: str | None) -> dict[str, Any]:
    if text is None or not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"query is not JSON: {str(error)[:200]}", hint="send one JSON object", field="query") from None
    if not isinstance(value, dict):
        raise Invalid("query is no JSON object", hint='such as {"words": "red shoes"}', field="query")
    return value
