"""Answers, hits and labels as JSON values, the same on the command line and over HTTP."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrieval.records import Hit

if TYPE_CHECKING:
    from indexer.tagging import Tagged
    from retrieval.search import Answer


def answer_json(answer: "Answer") -> dict[str, Any]:
    """An answer as JSON values; `reranked` is there only where it was asked for."""
    value = {
        "query": answer.query,
        "hits": [hit_json(hit) for hit in answer.hits],
        "matched": answer.matched,
        "exact": answer.exact,
        "plan": answer.plan,
        "nothing_fits": answer.nothing_fits,
        "facets": [facet.to_json() for facet in answer.facets],
        "notes": list(answer.notes),
        "revision": answer.revision,
        "took_ms": round(answer.took_ms, 3),
    }
    return value if answer.reranked is None else {**value, "reranked": answer.reranked}


def hit_json(hit: Hit) -> dict[str, Any]:
    """A hit as JSON values. Legs, rules and reranking are there only where they had a part in it."""
    value = {
        "rank": hit.rank,
        "item_id": hit.item_id,
        "score": _rounded(hit.score),
        "cosine": _rounded(hit.cosine),
        "confidence": _rounded(hit.confidence),
        "title": hit.title,
        "photo": hit.photo,
        "matched_text": hit.matched_text,
        "attributes": dict(hit.attributes),
    }
    if hit.legs:
        value["legs"] = {leg: dict(numbers) for leg, numbers in hit.legs.items()}
    if hit.rules:
        value["rules"] = list(hit.rules)
    if hit.first_rank is not None:
        value |= {"first_rank": hit.first_rank, "rerank_score": _rounded(hit.rerank_score)}
    return value


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def tagged_json(found: "Tagged", labels: Sequence[str], field: str, *, stored: bool) -> dict[str, Any]:
    """All items that got any, with theirs. without: how many items with a photo got none."""
    return {
        "field": field,
        "labels": list(labels),
        "stored": stored,
        "sharpness": round(found.sharpness, 3),
        "items": [
            {
                "item_id": found.names[key][0],
                "title": found.names[key][1],
                "tags": [{"label": one.label, "confidence": round(one.confidence, 6)} for one in tags],
            }
            for key, tags in found.tags.items()
        ],
        "without": found.items - len(found.tags),
    }
