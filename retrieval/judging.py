"""How well given documents fit words: what a search does with its best hits, for documents that somebody else found.

A document is judged by its cosine with the words. Those with tokens, pictures and stored photos, are judged by the
reranker too, where there is one: their score is cosine + weight * (match - the mean match of those that have one). In
a search the mean falls out, since there only the order counts. Here it keeps them beside documents without a match,
of which a match, being a logit of any height, says nothing.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.catalogue.queries import MODALITIES, Modality
from retrieval.errors import ImageError, QueryError
from retrieval.images import MAX_PIXELS, decode
from retrieval.query import Query
from retrieval.query.encode import QueryVectors
from retrieval.rerankers.base import Direction, RerankerSpec
from retrieval.search import Searcher
from retrieval.tokens.value import Tokens

DIRECTION: Direction = "text_to_image"
PIXELS = 400_000_000  # of all pictures of one call: ten of the largest, 400 of a megapixel; 5 s of a core
BATCH = 32  # pictures encoded together

_log = logging.getLogger("catalens")


@dataclass(frozen=True)
class StoredItem:
    """An item of the collection: judged by the best of its photos, by its texts if it has none."""

    item_id: str


Document = str | bytes | StoredItem
"""A text, the bytes of a picture's file, or an item."""


@dataclass(frozen=True)
class Judged:
    """scores: float32 [n], higher is better. matched: bool [n], which of them a reranker judged too."""

    scores: FloatArray
    matched: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Seen:
    """What is compared of a document: its photos, or its texts, at least one. Lengths are 0 where no tokens are."""

    modality: Modality
    rows: Tokens


def judged(searcher: Searcher, words: str, documents: Sequence[Document]) -> Judged:
    """The scores of documents for words, in the order given.

    Raises QueryError for words that are no query, an unknown item, or one without photo and text; ImageError as
    `encoded_pictures` does.
    """
    query = searcher.vectors(Query.of(words, rerank=1))
    reranker = _usable(searcher, query)
    seen = _seen(searcher, documents, with_tokens=reranker is not None)
    rules = searcher.collection.view().rules
    asked = {modality: query.of(modality, rules)[0] for modality in MODALITIES}
    scores, photos = np.zeros(len(documents), np.float32), dict[int, Tokens]()
    for place, each in seen.items():
        cosines = each.rows.vectors @ asked[each.modality]
        best = int(cosines.argmax())
        scores[place] = cosines[best]
        if each.modality == "image" and each.rows.lengths[best]:
            photos[place] = each.rows.take([best])
    matches = np.full(len(documents), np.nan, np.float32)
    if reranker is not None and photos and query.tokens().lengths[0]:
        matches[list(photos)] = _matches(searcher, query, list(photos.values()))
    has = ~np.isnan(matches)
    if reranker is not None and has.any():
        scores[has] += np.float32(reranker.weights[DIRECTION]) * (matches[has] - matches[has].mean())
    return Judged(scores, has)


def encoded_pictures(searcher: Searcher, files: Sequence[bytes], *, with_tokens: bool = False) -> Tokens:
    """The bytes of pictures' files as vectors, in the order given; without tokens their lengths are 0.

    Raises ImageError, naming its place as `picture 3`, for one that is none, and when they have more than 400
    megapixels in all.
    """
    made, pixels, left = list[Tokens](), [], PIXELS
    for number, data in enumerate(files, start=1):
        try:
            picture = decode(data, target=searcher.encoder.image_size, max_pixels=min(MAX_PIXELS, left))
        except ImageError as error:
            if left < MAX_PIXELS and "megapixels" in str(error):
                raise ImageError(
                    f"picture {number}: all pictures together have more than {PIXELS // 10**6} megapixels",
                    hint="send them in several calls",
                ) from error
            raise ImageError(f"picture {number}: {error}", hint="send the bytes of a photo's file") from error
        left -= picture.width * picture.height
        pixels.append(searcher.encoder.preprocess(picture.image))
        if len(pixels) == BATCH or number == len(files):
            made.append(searcher.encoding.pictures(np.stack(pixels), with_tokens=with_tokens))
            pixels = []
    return _stacked(made) if made else _bare(np.zeros((0, searcher.encoder.spec.dimension), np.float32))


def _usable(searcher: Searcher, query: QueryVectors) -> RerankerSpec | None:
    """Of the searcher's reranker, if it reads what the encoder gives now and helps with such queries."""
    if query.token_spec is None:
        return None
    spec = searcher.reranker.spec()
    if isinstance(spec, str) or spec.tokens.fingerprint != query.token_spec.fingerprint:
        return None
    return spec if spec.weights.get(DIRECTION) else None


def _matches(searcher: Searcher, query: QueryVectors, photos: Sequence[Tokens]) -> FloatArray:
    """float32 [n], NaN where there is none: a reranker is other people's code, and no answer may fail of it."""
    try:
        found = searcher.reranker.match(DIRECTION, query.tokens(), _stacked(photos))
    except Exception:
        _log.debug("the reranker failed", exc_info=True)
        return np.full(len(photos), np.nan, np.float32)
    return np.where(np.isfinite(found), found, np.float32(np.nan))


def _seen(searcher: Searcher, documents: Sequence[Document], *, with_tokens: bool) -> Mapping[int, _Seen]:
    """What is compared of each document, by its place; texts are encoded together, and so are pictures."""
    texts = {place: each for place, each in enumerate(documents) if isinstance(each, str)}
    files = {place: each for place, each in enumerate(documents) if isinstance(each, bytes)}
    seen = {
        place: _item(searcher, each.item_id, with_tokens=with_tokens)
        for place, each in enumerate(documents)
        if isinstance(each, StoredItem)
    }
    if texts:
        vectors = searcher.encoding.text_vectors(list(texts.values()))
        seen |= {place: _Seen("text", _bare(vectors[[row]])) for row, place in enumerate(texts)}
    if files:
        made = encoded_pictures(searcher, list(files.values()), with_tokens=with_tokens)
        seen |= {place: _Seen("image", made.take([row])) for row, place in enumerate(files)}
    return seen


def _item(searcher: Searcher, item_id: str, *, with_tokens: bool) -> _Seen:
    collection = searcher.collection
    with collection.snapshot():
        key = collection.item_key(item_id)
        for modality in MODALITIES:
            owners = collection.owners(modality, key)
            spec = collection.token_spec() if with_tokens and modality == "image" else None
            if spec is not None and owners and spec == searcher.encoding.token_spec:
                return _Seen("image", collection.tokens("image", owners)[0])
            vectors = collection.vectors(modality, owners)[1]
            if len(vectors):
                return _Seen(modality, _bare(vectors.astype(np.float32)))
    raise QueryError(
        f"the item '{item_id[:200]}' has neither a photo nor a text that could be compared",
        hint="leave it out, or send its text",
    )


def _bare(vectors: FloatArray) -> Tokens:
    return Tokens(np.zeros((len(vectors), 0, 1), np.float32), np.zeros(len(vectors), np.int64), vectors)


def _stacked(parts: Sequence[Tokens]) -> Tokens:
    """All rows below each other, padded to the longest."""
    length = max(each.tokens.shape[1] for each in parts)
    padded = [np.pad(each.tokens, ((0, 0), (0, length - each.tokens.shape[1]), (0, 0))) for each in parts]
    return Tokens(
        np.concatenate(padded),
        np.concatenate([each.lengths for each in parts]),
        np.concatenate([each.vectors for each in parts]),
    )
