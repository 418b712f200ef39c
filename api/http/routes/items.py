"""Items: read, added, changed and deleted, one or many at a time. What is written, the next search finds."""

from fastapi import APIRouter, Request

from api.http.dependencies import ItemId, ServedDep, ServerDep
from api.http.errors import Invalid, NotFound
from api.http.item_bodies import put_item_of, read_item, request_body
from api.http.links import photo_url
from api.http.models.items import (
    Batch,
    BatchAnswer,
    DeleteAnswer,
    Ids,
    ItemAnswer,
    OutcomeAnswer,
    PhotoAnswer,
    PutAnswer,
)
from api.http.photo_roots import PhotoRoots
from api.http.server import Served, Server
from indexer.items import PutItem, Written, delete_items, put_items

router = APIRouter(prefix="/v1/collections/{name}/items", tags=["items"])


class ItemRefused(Invalid):
    """An item that cannot be stored as it was given."""


@router.post("")
async def put_batch(server: ServerDep, served: ServedDep, body: Batch) -> BatchAnswer:
    """Add or change up to 1,000 items. One that cannot be stored fails alone; all others are stored together."""
    return _batch(await _put(server, served, await server.run(_items, server, body)))


@router.post("/delete")
async def delete_batch(server: ServerDep, served: ServedDep, body: Ids) -> BatchAnswer:
    """Delete up to 1,000 items."""
    return _batch(await _delete(server, served, body.item_ids))


@router.get("/{item_id:path}")
async def get_item(server: ServerDep, served: ServedDep, item_id: ItemId) -> ItemAnswer:
    """Read an item."""
    return await server.run(_stored, served, item_id)


@router.put("/{item_id:path}", openapi_extra={"requestBody": request_body()})
async def put_item(server: ServerDep, served: ServedDep, item_id: ItemId, request: Request) -> PutAnswer:
    """Add an item, or change the one of that id. What it leaves out, a stored one loses.

    As JSON, or as a form with the item as JSON and photos as files. An item that came from a file is taken over; the
    file's next index run takes it back if it names the id. An answer of 422 says why nothing was changed.
    """
    body, files = await read_item(request)
    item = await server.run(put_item_of, item_id, body, _roots(server), files)
    written = await _put(server, served, [item])
    [one] = written.outcomes
    if one.outcome == "failed":
        raise ItemRefused("; ".join(one.problems)[:2_000], hint="mend it and send the whole item again")
    return PutAnswer.model_validate(
        {"item_id": one.item_id, "outcome": one.outcome, "problems": [], "revision": written.revision}
    )


@router.delete("/{item_id:path}")
async def delete_item(server: ServerDep, served: ServedDep, item_id: ItemId) -> DeleteAnswer:
    """Delete an item. One that a file names comes back with the file's next index run."""
    written = await _delete(server, served, [item_id])
    if written.outcomes[0].outcome == "not_found":
        raise _unknown(item_id)
    return DeleteAnswer(item_id=item_id, deleted=True, revision=written.revision)


def _roots(server: Server) -> PhotoRoots:
    return PhotoRoots(server.settings.image_roots)


def _items(server: Server, body: Batch) -> list[PutItem]:
    roots = _roots(server)
    return [put_item_of(item.item_id, item, roots) for item in body.items]


async def _put(server: Server, served: Served, items: list[PutItem]) -> Written:
    encoder = served.searcher.encoder
    written = await server.writing.run(
        served, put_items, served.folder, encoder, items, with_upkeep=False, create=False
    )
    if written.upkeep_due:
        server.writing.tend(served)
    return written


async def _delete(server: Server, served: Served, item_ids: list[str]) -> Written:
    written = await server.writing.run(served, delete_items, served.folder, item_ids, with_upkeep=False)
    if written.upkeep_due:
        server.writing.tend(served)
    return written


def _batch(written: Written) -> BatchAnswer:
    outcomes = [
        OutcomeAnswer(item_id=one.item_id, outcome=one.outcome, problems=list(one.problems)) for one in written.outcomes
    ]
    return BatchAnswer(outcomes=outcomes, revision=written.revision)


def _stored(served: Served, item_id: str) -> ItemAnswer:
    item = served.searcher.collection.whole_item(item_id)
    if item is None:
        raise _unknown(item_id)
    photos = [
        PhotoAnswer(id=photo.id, url=photo_url(served.name, item_id, photo.id), width=photo.width, height=photo.height)
        for photo in item.photos
    ]
    return ItemAnswer(
        item_id=item_id,
        title=item.title,
        texts=dict(item.texts),
        attributes=dict(item.attributes),
        tags=dict(item.tags),
        photos=photos,
        source=item.source,
        revision=item.revision,
    )


def _unknown(item_id: str) -> NotFound:
    return NotFound(f"there is no item '{item_id[:200]}'", hint="ids are those that a search answers with")
