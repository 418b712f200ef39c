"""What an answer says besides its hits: how many matched, whether anything fits, what rules did."""

from functools import cached_property

import numpy as np

from retrieval.arrays import IdArray
from retrieval.catalogue.queries import Modality
from retrieval.confidence.calibration import nothing_fits
from retrieval.filters.notes import notes
from retrieval.items.columns import BoolArray
from retrieval.stages.asked import LEGS, Asked
from retrieval.stages.candidates import Candidates
from retrieval.stages.hits import Moved
from retrieval.stages.legs import terms_of
from retrieval.stages.scope import positions_of


class Told:
    """Of one query. Whether anything fits is known once its page was made."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def nothing_fits(self) -> bool | None:
        """Whether even the best of all that was searched is no better than what nonsense finds; None if not known."""
        if not self._asked.calibrated or not self._asked.trace.best:
            return None
        if "lexical" in self._asked.trace.best:
            return False
        best = [
            float(calibration.confidence(vector, np.array([self._asked.trace.best[leg]], np.float32))[0])
            for leg, (calibration, vector) in self._asked.calibrated.items()
            if leg in self._asked.trace.best
        ]
        return nothing_fits(max(best)) if best else None

    @cached_property
    def words_found(self) -> IdArray:
        """Keys of all items in scope that have any of the words, ascending."""
        terms = terms_of(self._asked.query.words, self._asked.ruleset)
        return np.sort(self._asked.collection.lexical_matches(terms, None, self._asked.scope.key_mask()).keys)

    @property
    def compared(self) -> tuple[Modality, ...]:
        """What the query is compared with: the rows of these."""
        return tuple(leg for leg in LEGS[self._asked.query.by] if leg != "lexical")

    @cached_property
    def counted(self) -> BoolArray:
        """bool by item position: what matched."""
        if not self._asked.query.parts:
            return self._asked.matching
        if self._asked.query.by == "lexical":
            found = np.zeros(len(self._asked.table), np.bool_)
            at = positions_of(self._asked.table, self.words_found)
            found[at[at >= 0]] = True
            return found
        found = self._asked.matching & self._asked.table.having(self.compared[0])
        for modality in self.compared[1:]:
            found |= self._asked.matching & self._asked.table.having(modality)
        named = self._asked.vectors.named_items()
        if named is not None:
            at = positions_of(self._asked.table, named)
            found[at[at >= 0]] = False
        return found

    def matched(self) -> int:
        """How many items could have been hits."""
        if self._asked.scope.table is not None:
            return int(np.count_nonzero(self.counted))
        if self._asked.query.by == "lexical":
            return len(self.words_found)
        named = self._asked.vectors.named_items()
        keys = [] if named is None else np.unique(named).tolist()
        not_shown = sum(self._asked.collection.has_any(key, self.compared) for key in keys)
        return self._asked.collection.countable(self._asked.scope.view, self.compared) - not_shown

    def notes(self) -> tuple[str, ...]:
        """What the filter asks for that no item has, and what rules and the reranker could not do."""
        asked = self._asked
        wanted = asked.fields.filter if asked.fields else None
        missing = notes(wanted, asked.table) if wanted and not asked.matching.any() else ()
        ruled = asked.rules.notes(asked.table) if asked.rules and asked.scope.table is not None else ()
        return (*missing, *ruled, *(asked.reranking.notes if asked.reranking else ()))

    @property
    def moved(self) -> Moved:
        """What the reranker did with the items that it scored."""
        return self._asked.reranking.moved if self._asked.reranking else {}

    def touched(self, chosen: Candidates, pinned: frozenset[int], i: int) -> tuple[str, ...]:
        """Which rules touched the candidate at that place, and by how much."""
        rules, table = self._asked.rules, self._asked.scope.table
        if not rules or table is None:
            return self.synonyms
        key = chosen.keys[i : i + 1]
        at = int(positions_of(table, key)[0])
        touching = rules.touched(table, at, pinned=int(key[0]) in pinned) if at >= 0 else ()
        # Rules are looked up by all words together, vectors are made of each part's own.
        return (*self.synonyms, *(rule for rule in touching if rule not in rules.synonyms_used))

    @cached_property
    def synonyms(self) -> tuple[str, ...]:
        """Which synonyms the query is searched with."""
        rules = self._asked.ruleset
        used = (path for words, _ in self._asked.query.words for path in rules.for_query(words).synonyms_used)
        return tuple(dict.fromkeys(used)) if rules else ()
