"""Which null distribution a query belongs to."""

from retrieval.catalogue.queries import Modality
from retrieval.confidence.nulls import QueryKind
from retrieval.query import Query

ALMOST_ALL = 0.75  # of the weight: between words three times as heavy as pictures and the reverse lies `both`


def kind_of(query: Query, modality: Modality) -> QueryKind | None:
    """`words`, `image` or `both`, by what the query's vector is mostly made of.

    A stored item stands for its photos where photos are searched, and for its texts where texts are.

    None where nothing is known of what nonsense would score: queries with an embedding of the caller's, which may come
    from anywhere, with a negative weight, which may leave any direction over, or without parts.
    """
    if any(part.vector is not None or part.weight < 0 for part in query.parts):
        return None
    words = sum(
        part.weight for part in query.parts if part.words is not None or (part.item is not None and modality == "text")
    )
    total = sum(part.weight for part in query.parts)
    if not total:
        return None
    share = words / total
    return "words" if share >= ALMOST_ALL else "image" if share <= 1 - ALMOST_ALL else "both"
