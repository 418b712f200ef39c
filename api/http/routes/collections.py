"""Which collections there are, and what they hold."""

from fastapi import APIRouter

from api.http.dependencies import ServedDep, ServerDep
from api.http.models.collections import CollectionDetail, Collections, CollectionSummary, FieldSummary
from api.http.privacy import model_name
from api.http.server import Served
from retrieval.field_list import fields_of

router = APIRouter(prefix="/v1/collections", tags=["collections"])


@router.get("")
async def list_collections(server: ServerDep) -> Collections:
    """List the collections that can be searched."""
    return Collections(collections=[await server.run(summary, served) for served in server.all()])


@router.get("/{name}")
async def get_collection(server: ServerDep, served: ServedDep) -> CollectionDetail:
    """Say what a collection holds, and by which fields it can be narrowed down."""
    return await server.run(detail, served)


def detail(served: Served) -> CollectionDetail:
    """A collection with its fields. Raises as `Collection.status` and `fields_of` do."""
    fields = [
        FieldSummary(name=name, type="bool" if kind == "boolean" else kind)
        for name, kind in fields_of(served.searcher).items()
    ]
    return CollectionDetail(**summary(served).model_dump(), fields=fields)


def summary(served: Served) -> CollectionSummary:
    """What a collection holds. Raises as `Collection.status` does."""
    state = served.searcher.collection.status()
    return CollectionSummary(
        name=served.name,
        items=state["items"],
        photos=state["embedded_photos"],
        texts=state["embedded_texts"],
        model=model_name(state["model"]),
        fingerprint=state["fingerprint"],
        dimension=state["dimension"],
        revision=state["revision"],
    )
