"""Retrieval probes: the queries of one source and group against all pictures of one part of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.encoders.heads import Head
from retrieval.training.pairs import IntArray
from retrieval.training.sources import Example
from retrieval.training.splits import Part
from retrieval.training.success import success_at


@dataclass(frozen=True)
class Probe:
    """Features of `pictures` [g, d_image] and `queries` [q, d_text]; query i wants picture wanted[i]."""

    name: str
    pictures: FloatArray
    queries: FloatArray
    wanted: IntArray

    def success(self, image: Head, text: Head, ks: Sequence[int] = (1, 10)) -> list[float]:
        """text_to_image success@k for each k, each in 0…1."""
        return success_at(text.apply(self.queries), image.apply(self.pictures), self.wanted, ks)


def probes_of(
    examples: Sequence[Example],
    part: Part,
    images: FloatArray,
    texts: FloatArray,
    numbers: Mapping[str, int],
) -> list[Probe]:
    """One probe for each source and group of queries that `part` has.

    images [len(examples), d_image]; texts [·, d_text], whose row numbers[t] belongs to the text t.
    """
    members: dict[str, list[int]] = {}
    asked: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for row, example in enumerate(examples):
        if example.part == part:
            gallery = members.setdefault(example.source, [])
            for group, queries in example.queries.items():
                asked.setdefault((example.source, group), []).extend((q, len(gallery)) for q in queries)
            gallery.append(row)
    return [
        Probe(
            name=f"{source} {group}",
            pictures=images[members[source]],
            queries=texts[[numbers[text] for text, _ in queries]],
            wanted=np.array([place for _, place in queries]),
        )
        for (source, group), queries in asked.items()
    ]


def mean_success_at_1(probes: Sequence[Probe], image: Head, text: Head) -> float:
    """Mean over sources of the mean over their probes, so that five captions a photo do not outvote a shop."""
    by_source: dict[str, list[float]] = {}
    for probe in probes:
        by_source.setdefault(probe.name.split()[0], []).extend(probe.success(image, text, ks=(1,)))
    return float(np.mean([np.mean(figures) for figures in by_source.values()]))
