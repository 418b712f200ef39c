"""What the server measures, for Prometheus."""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.http.metrics import CONTENT_TYPE, Metrics

router = APIRouter(tags=["server"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Text format 0.0.4."}},
)
async def metrics(request: Request) -> Response:
    """Say how the server does, in the text format of Prometheus.

    Latencies by route and stage, requests by status, errors by type, the queue, batches, the query cache, and the size
    and revision of each collection. It waits for no thread of the server's, so a full queue does not hide itself.
    """
    own: Metrics = request.app.state.metrics
    return Response(await run_in_threadpool(own.exposition), media_type=CONTENT_TYPE)
