"""Which tokens belong to a query and to the documents that were found for it, and how well they match."""

from dataclasses import dataclass

import numpy as np

from retrieval.arrays import FloatArray, IdArray
from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluate import kinds
from retrieval.evaluation.token_keeping import KeptTokens, TokenKeeping
from retrieval.evaluation.types import EvaluationSet, Ranking, Task
from retrieval.rerankers.base import Reranker
from retrieval.tokens.value import Tokens


class Candidates:
    """Those of one task."""

    def __init__(
        self, dataset: EvaluationSet, task: Task, ranking: Ranking, keeping: TokenKeeping, reranker: Reranker
    ) -> None:
        used = {name for one in dataset.tasks for kind, names in _ids(one) if kind == "image" for name in names}
        images = [image.image_id for image in dataset.images if image.image_id in used]  # in the order of encoding
        rows = {
            "image": {name: row for row, name in enumerate(images)},
            "text": {entry.text_id: keeping.text_rows.get(entry.text, -1) for entry in dataset.texts},
        }
        kept = {"image": keeping.images, "text": keeping.texts}
        (asked, queries), (answered, documents) = _ids(task)
        self._queries = np.array([rows[asked][name] for name in queries])
        self._documents = np.array([rows[answered][name] for name in documents])
        self._asked: KeptTokens = kept[asked]
        self._answered: KeptTokens = kept[answered]
        self._top = ranking.top
        self._of_texts = asked == "text"
        self._reranker = reranker

    @property
    def text_rows(self) -> IdArray:
        """Rows of the task's texts."""
        return self._queries if self._of_texts else self._documents

    def prepared(self, query: int, depth: int) -> "Prepared":
        """The tokens of a query and of its first documents, ready to be matched."""
        own = self._asked.take([self._queries[query]])
        found = self._answered.take(self._documents[self._top[query, :depth]])
        return Prepared(self._reranker, own, found) if self._of_texts else Prepared(self._reranker, found, own)

    def match(self, query: int, depth: int) -> FloatArray:
        """float32 [depth], NaN where a side has no tokens, which a search leaves on its place.

        Raises EvaluationError when the reranker fails or gives something else.
        """
        name, pairs = self._reranker.spec.name, self.prepared(query, depth)
        try:
            found = np.asarray(pairs(), dtype=np.float32)
        except Exception as error:
            lines = str(error).splitlines() or [type(error).__name__]
            raise EvaluationError(
                f"the reranker '{name}' failed at query {query + 1:,} of {len(self._top):,}: {lines[0]}",
                hint="evaluate without it, or train it again",
            ) from error
        if found.shape != (depth,) or not np.isfinite(found).all():
            raise EvaluationError(
                f"the reranker '{name}' gave matches of shape {found.shape}, or NaN, for {depth} pairs",
                hint="its weights are broken; copy its folder again, or train it again",
            )
        return np.where((pairs.texts.lengths > 0) & (pairs.photos.lengths > 0), found, np.float32(np.nan))


@dataclass(frozen=True)
class Prepared:
    """The match of one query with its documents, all but computed."""

    reranker: Reranker
    texts: Tokens
    photos: Tokens

    def __call__(self) -> FloatArray:
        """float32 [documents]."""
        return self.reranker.match(self.texts, self.photos)


def _ids(task: Task) -> list[tuple[str, tuple[str, ...]]]:
    return list(zip(kinds(task), (task.query_ids, task.document_ids), strict=True))
