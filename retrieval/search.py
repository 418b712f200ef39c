"""One query's whole way: check -> encode -> candidates -> rows -> hits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np

from retrieval.candidates import Candidates, Ranking, growing, items_of_rows
from retrieval.catalogue.queries import ItemRow, Modality
from retrieval.catalogue.versions import mismatch
from retrieval.collection import Collection, CollectionView
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder, FloatArray
from retrieval.index.base import NO_ID, IdArray
from retrieval.query import ImageQuery, Query
from retrieval.query.encode import QueryEncoder
from retrieval.query.json_form import shown
from retrieval.records import Hit
from retrieval.selection import Selection

TRIES = 5  # times that a search starts anew because what it found was deleted meanwhile


@dataclass(frozen=True)
class Answer:
    """query: what was asked, as JSON values; hits: best first; took_ms: all of it, also what had to be loaded first."""

    query: dict[str, Any]
    hits: tuple[Hit, ...]
    took_ms: float


class Searcher:
    """Answers queries on one collection. Safe to use from many threads."""

    def __init__(self, collection: Collection, encoder: DualEncoder) -> None:
        """Raises FingerprintMismatch when the encoder did not make the collection's vectors."""
        if encoder.spec.fingerprint != collection.encoder.fingerprint:
            raise mismatch(collection.folder, collection.encoder, encoder.spec)
        self.collection = collection
        self.encoder = encoder
        self._queries = QueryEncoder(collection, encoder)

    @classmethod
    def open(cls, folder: Path, encoder: DualEncoder | None = None, *, runtime: str | None = None) -> "Searcher":
        """Open a collection folder with the encoder that it names, or with the one given.

        runtime: what the encoder that it names runs on, see `load_encoder`.
        """
        collection = Collection.open(folder)
        try:
            return cls(collection, encoder or load_encoder(collection.encoder.name, runtime=runtime))
        except BaseException:
            collection.close()
            raise

    def __enter__(self) -> "Searcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.collection.close()

    def search(self, words: str | None = None, *, image: ImageQuery | None = None, **others: Any) -> Answer:
        """The best items for words, a picture, or both with equal weight. others: fields of `Query`, such as k and by.

        Raises what `Query` and `answer` raise.
        """
        return self.answer(Query.of(words, image=image, **others))

    def answer(self, query: Query) -> Answer:
        """The hits of a query. An item counts once, with its best photo or text.

        Raises ImageError for a picture that cannot be read; QueryError for an unknown item or parts that cancel.
        """
        started = perf_counter()
        for _ in range(TRIES):
            view = self.collection.view()
            chosen = self._chosen(query, view)
            hits = self._hits(query, chosen)
            if hits is not None and self.collection.is_of(view):
                break  # else what was found is gone, or its ids were looked up in a collection made again meanwhile
        return Answer(shown(query), hits or (), (perf_counter() - started) * 1000)

    def _chosen(self, query: Query, view: CollectionView) -> Candidates:
        """The candidates that become hits."""
        selection = Selection(
            duplicates=query.duplicates, diversity=query.diversity, without=self._queries.named_items(query)
        )
        modality: Modality = "image" if query.by == "image" else "text"
        ranking = self._rows(view, modality, self._queries.vector(query, modality))
        end = query.offset + query.k
        chosen = selection.of(growing(ranking, query.k), end, self._looks)
        return chosen.take(np.arange(min(query.offset, len(chosen)), len(chosen)))

    def _rows(self, view: CollectionView, modality: Modality, vector: FloatArray) -> Ranking:
        """Items ranked by their best photo or text."""
        rows = view.of(modality)

        def best(n: int) -> tuple[IdArray, FloatArray]:
            found = rows.search(vector, n, lambda ids: self.collection.vectors(modality, ids))
            there = found.ids[0] != NO_ID
            return found.ids[0][there], found.scores[0][there]

        def keys_of(ids: IdArray) -> IdArray:
            keys = self.collection.item_keys(modality, ids.tolist())
            return np.fromiter((keys.get(owner, NO_ID) for owner in ids.tolist()), np.int64, len(ids))

        return items_of_rows(best, keys_of, len(rows), modality)

    def _looks(self, candidates: Candidates) -> FloatArray:
        """What each candidate looks like: its best photo's vector, or its text's where no photo was compared."""
        vectors = np.zeros((len(candidates), self.collection.encoder.dimension), np.float32)
        owners: dict[Modality, IdArray] = {"text": candidates.texts, "image": candidates.photos}
        for modality, wanted in owners.items():
            there = np.flatnonzero(wanted != NO_ID)
            ids, stored = self.collection.vectors(modality, np.unique(wanted[there]).tolist())
            if len(ids):
                at = np.clip(np.searchsorted(ids, wanted[there]), 0, len(ids) - 1)
                found = ids[at] == wanted[there]
                vectors[there[found]] = stored[at[found]]
        return vectors

    def _hits(self, query: Query, chosen: Candidates) -> tuple[Hit, ...] | None:
        """The hits with all that they show; None when one of them was deleted meanwhile."""
        photos, texts = (owners[owners != NO_ID].tolist() for owners in (chosen.photos, chosen.texts))
        rows, paths, contents = self.collection.shown(chosen.keys.tolist(), photos, texts)
        if len(rows) < len(chosen) or len(paths) < len(photos) or len(contents) < len(texts):
            return None
        return tuple(self._hit(query.offset + i + 1, chosen, i, rows, paths, contents) for i in range(len(chosen)))

    def _hit(
        self,
        rank: int,
        chosen: Candidates,
        i: int,
        rows: Mapping[int, ItemRow],
        paths: Mapping[int, str],
        contents: Mapping[int, str],
    ) -> Hit:
        row = rows[int(chosen.keys[i])]
        return Hit(
            rank,
            row.item_id,
            _number(chosen.scores[i]),
            row.title,
            paths.get(int(chosen.photos[i]), row.photo),
            row.attributes,
            contents.get(int(chosen.texts[i])),
            cosine=_number(chosen.cosines[i]),
        )


def _number(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)
