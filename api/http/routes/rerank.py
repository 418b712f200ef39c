"""Documents that somebody else found, ordered by how well they fit words, for programs that speak Cohere's API."""

from uuid import uuid4

import numpy as np
from fastapi import APIRouter

from api.http.chosen import served_with
from api.http.dependencies import ServerDep
from api.http.documents import Pictures, text_of
from api.http.errors import Invalid
from api.http.models.documents import ImageInput, ImageUrlInput, ItemInput
from api.http.models.rerank import RankedDocument, RerankDocument, Reranked, RerankMeta, RerankRequest, RerankResult
from api.http.photos import item_key
from api.http.privacy import model_name
from api.http.server import Served, Server
from retrieval.judging import Document, StoredItem, judged

router = APIRouter(prefix="/v1", tags=["models"])


@router.post("/rerank", response_model_exclude_unset=True)
async def rerank(server: ServerDep, asked: RerankRequest) -> Reranked:
    """Order texts, pictures and stored items by how well they fit words.

    Pictures, and items whose collection keeps tokens, are judged by the collection's reranker, if it has one.
    """
    return await server.run(_answer, server, asked)


def _answer(server: Server, asked: RerankRequest) -> Reranked:
    served = _served(server, asked)
    pictures = Pictures(server.settings)
    documents = [_document(pictures, served, each, f"documents.{place}") for place, each in enumerate(asked.documents)]
    found = judged(served.searcher, asked.query, documents)
    best = np.argsort(-found.scores, kind="stable")[: asked.top_n].tolist()
    relevance = 1 / (1 + np.exp(-2 * found.scores.astype(np.float64)))
    spec = served.searcher.reranker.spec() if found.matched.any() else ""
    return Reranked(
        id=uuid4().hex,
        results=[
            RerankResult(index=place, relevance_score=float(relevance[place]), **_shown(served, asked, place))
            for place in best
        ],
        meta=RerankMeta(
            model=model_name(served.searcher.encoder.spec.name),
            reranker=None if isinstance(spec, str) else model_name(spec.name),
            reranked=int(found.matched.sum()),
        ),
    )


def _served(server: Server, asked: RerankRequest) -> Served:
    """The collection whose items are meant: one call is about one collection."""
    named = dict.fromkeys(each.collection for each in asked.documents if isinstance(each, ItemInput))
    chosen = [server.served(name) for name in named if name is not None]
    served = chosen[0] if chosen else served_with(server, asked.model)
    if len(chosen) > 1 or (chosen and None in named and chosen[0] is not served_with(server, asked.model)):
        raise Invalid("the documents are items of several collections", hint="make a call for each", field="documents")
    if asked.model is not None and model_name(served.searcher.encoder.spec.name) != asked.model:
        raise Invalid(
            f"the collection '{served.name}' does not use the model '{asked.model[:80]}'",
            hint="leave model out",
            field="model",
        )
    return served


def _document(pictures: Pictures, served: Served, given: RerankDocument, field: str) -> Document:
    if isinstance(given, ItemInput):
        item_key(served, given.item_id)
        return StoredItem(given.item_id)
    if isinstance(given, ImageInput | ImageUrlInput):
        return pictures.bytes_of(given, field)
    return text_of(given) or ""


def _shown(served: Served, asked: RerankRequest, place: int) -> dict[str, RankedDocument]:
    return {"document": _named(served, asked.documents[place])} if asked.return_documents else {}


def _named(served: Served, given: RerankDocument) -> RankedDocument:
    if isinstance(given, ItemInput):
        return RankedDocument(item_id=given.item_id, collection=served.name)
    text = text_of(given)
    return RankedDocument() if text is None else RankedDocument(text=text)
