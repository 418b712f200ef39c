"""Answers as they go out: those of the command line, with addresses of photos in place of paths."""

from typing import Any

from api.answers import answer_json
from api.http.links import photo_url
from api.http.server import Served
from retrieval.explain.why import Explanation, explain
from retrieval.index.base import NO_ID
from retrieval.query import Query
from retrieval.search import Answer, Searcher

EXPLAINED = 20  # hits of an answer that are explained at most: each costs as much as several searches


def answered(served: Served, query: Query, *, explained: bool = False) -> dict[str, Any]:
    """The answer to a query as it goes out. explained: each of the first `EXPLAINED` hits with why it is there.

    Raises what `Searcher.answer` and `explain` raise.
    """
    answer, why = _explained(served.searcher, query) if explained else (served.searcher.answer(query), ())
    value = search_json(served, answer)
    for hit, one in zip(value["hits"], why, strict=False):
        hit["explanation"] = explanation_json(served, one)
        del hit["explanation"]["query"]
    return value


def search_json(served: Served, answer: Answer) -> dict[str, Any]:
    """An answer as JSON values that name no path."""
    value = answer_json(answer)
    for shown, hit in zip(value["hits"], answer.hits, strict=True):
        shown["photo"] = None if hit.photo is None else photo_url(served.name, hit.item_id, hit.photo_id)
    value["notes"] = [served.told(note) for note in answer.notes]
    if answer.reranked is not None and isinstance(answer.reranked.get("skipped"), str):
        value["reranked"] = {**answer.reranked, "skipped": served.told(answer.reranked["skipped"])}
    return value


def explanation_json(served: Served, found: Explanation) -> dict[str, Any]:
    """An explanation as JSON values that name no path."""
    row = next((place.row for place in found.places if place.leg == "image"), NO_ID)
    photo = None if found.photo is None else photo_url(served.name, found.item_id, None if row == NO_ID else row)
    return {**found.to_json(), "photo": photo}


def _explained(searcher: Searcher, query: Query) -> tuple[Answer, list[Explanation]]:
    def read() -> tuple[Answer, list[Explanation]]:
        answer = searcher.answer(query)
        return answer, [explain(searcher, query, hit.item_id) for hit in answer.hits[:EXPLAINED]]

    return searcher.collection.at_one_revision(read)
