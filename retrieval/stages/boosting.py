"""Boosts on a ranking: an item far down by its score alone may belong among the first."""

from dataclasses import replace

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.items import ItemTable
from retrieval.items.columns import BoolArray
from retrieval.rules.depth import is_certain, largest
from retrieval.stages.candidates import GROWTH, Candidates, Ranking
from retrieval.stages.scope import positions_of


def boosted(ranking: Ranking, table: ItemTable, boosts: FloatArray, allowed: BoolArray | None) -> Ranking:
    """The ranking by score plus boost. It looks as deep as it must for the best n to be certain.

    boosts: float32 by item position. allowed: bool by item position, None for all.
    """

    def best(wanted: int) -> Candidates:
        depth = wanted
        while True:
            found = ranking(depth)
            at = positions_of(table, found.keys)
            raised = found.scores + np.where(at >= 0, boosts[at], 0).astype(np.float32)
            order = np.lexsort((found.keys, -raised))
            if found.complete:
                break
            kth = float(raised[order[wanted - 1]])
            if is_certain(kth, float(found.scores[-1]), largest(boosts, allowed, at[at >= 0])):
                break
            depth *= GROWTH
        first = replace(found, scores=raised).take(order[:wanted])
        return replace(first, complete=found.complete and len(found) <= wanted)

    return best
