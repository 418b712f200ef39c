"""Graphs in int8: smaller and often faster, and another encoder unless two gates say that it is still the same.

Each vector of the bank must have a cosine of at least 0.999 with torch's, and on labelled data of the user's own no
direction may lose more than 0.3 points of success@1. What does not pass is refused, and the export stays as it was.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.encoders.base import DualEncoder, FloatArray
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers.graphs import Graph
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.types import EvaluationSet
from retrieval.images import decode
from retrieval.runtime import bank, store
from retrieval.runtime.export import SIDES, vectors
from retrieval.runtime.gate import INT8, INT8_LOSS, Agreement, agreement
from retrieval.runtime.openvino_graph import OpenVinoGraph, quantise
from retrieval.runtime.reopen import LazyGraph, made
from retrieval.runtime.store import Export

CALIBRATION = 200
"""Pictures or texts of the set that decide where int8 cuts off."""


@dataclass(frozen=True)
class Trial:
    """How one side did in int8. lost: success@1 by direction, torch's less int8's; negative where int8 did better."""

    cosines: Agreement
    lost: Mapping[str, float]

    @property
    def passed(self) -> bool:
        """Both gates."""
        return self.cosines.reaches(INT8) and max(self.lost.values()) <= INT8_LOSS


def try_int8(
    export: Export, encoder: DualEncoder, dataset: EvaluationSet, tell: Callable[[str], None] = lambda _: None
) -> tuple[Export, dict[str, Trial]]:
    """Try each side of an export in int8; what passes takes the place of what was there.

    encoder: the one that was exported, in torch. dataset: labelled, with its pictures.

    Raises ExportError without the package nncf, EvaluationError for a set that cannot judge.
    """
    tell(f"success@1 on {dataset.name} in torch")
    before = _success(dataset, encoder)
    aside = export.folder.with_name(f".{export.folder.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(export.folder, aside, ignore=shutil.ignore_patterns("seen.json"))
    try:
        trials: dict[str, Trial] = {}
        precisions: dict[str, dict[str, str]] = {}
        for side in SIDES:
            names = [name for name in export.manifest["graphs"] if name.partition(".")[0] == side]
            if not names:
                continue
            tell(f"{side} tower in int8")
            graphs = _quantised(export, aside, side, names, _rows(dataset, encoder, side))
            trials[side] = _trial(export, encoder, dataset, side, graphs, before)
            if trials[side].passed:
                _take(aside, graphs)
                precisions |= {name: {"precision": "int8"} for name in names}
        if not precisions:
            return export, trials
        manifest = {name: value for name, value in export.manifest.items() if name not in ("files", "format")}
        manifest["graphs"] = manifest["graphs"] | precisions
        manifest["int8"] = {
            side: {"lowest": one.cosines.lowest, "lost": dict(one.lost)} for side, one in trials.items()
        }
        return store.commit(aside, export.folder.name, manifest), trials
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _rows(dataset: EvaluationSet, encoder: DualEncoder, side: str) -> Any:
    """What a side is calibrated on: pictures as pixels, or texts, of the set and of the bank."""
    if side == "text":
        return [text.text for text in dataset.texts[:CALIBRATION]] + bank.sentences()
    step = max(1, len(dataset.images) // CALIBRATION)
    spread = dataset.images[::step][:CALIBRATION]
    pictures = [decode(image.read(), target=encoder.image_size).image for image in spread] + bank.pictures()
    return np.stack([encoder.preprocess(picture) for picture in pictures])


class _Watched:
    """A graph that remembers what it was given, a row at a time."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.given = graph, list[tuple[Any, ...]]()

    def __call__(self, *inputs: Any) -> FloatArray:
        self.given += [tuple(one[row : row + 1] for one in inputs) for row in range(len(inputs[0]))]
        return self.graph(*inputs)


def _quantised(export: Export, aside: Path, side: str, names: Sequence[str], rows: Any) -> dict[str, OpenVinoGraph]:
    watched = {name: _Watched(LazyGraph(export, name)) for name in names}
    towers = made(export.manifest["kind"], export.manifest["recipe"], dict(watched), export.folder / "unpacked")
    _ = towers.image_features(rows) if side == "image" else towers.text_features(rows)
    found = {}
    for name in names:
        path = aside / "graphs" / f"{name}-int8.xml"
        quantise(aside / "graphs" / f"{name}.xml", path, watched[name].given)
        found[name] = OpenVinoGraph(path, "int8")
    return found


def _trial(
    export: Export,
    encoder: DualEncoder,
    dataset: EvaluationSet,
    side: str,
    graphs: Mapping[str, Graph],
    before: Mapping[str, float],
) -> Trial:
    from safetensors.numpy import load_file

    held: dict[str, Graph] = {name: LazyGraph(export, name) for name in export.manifest["graphs"]}
    towers: Any = made(
        export.manifest["kind"], export.manifest["recipe"], held | dict(graphs), export.folder / "unpacked"
    )
    if side == "image":
        given = np.stack([towers.preprocess(picture) for picture in bank.pictures()])
        features = towers.image_features(given)
    else:
        features = towers.text_features(bank.sentences())
    reference = load_file(export.file("bank.safetensors"))[f"{side}.torch"][: len(features)]
    cosines = agreement(vectors(encoder, side, reference), vectors(encoder, side, features))
    judged = ProjectedEncoder(towers, encoder.heads, "int8") if isinstance(encoder, ProjectedEncoder) else towers
    after = _success(dataset, judged)
    return Trial(cosines, {direction: before[direction] - after[direction] for direction in before})


def _success(dataset: EvaluationSet, encoder: DualEncoder) -> dict[str, float]:
    results = evaluate(dataset, encoder, measures=["success@1"]).results
    return {direction: result.figures["success@1"] for direction, result in results.items()}


def _take(aside: Path, graphs: Mapping[str, OpenVinoGraph]) -> None:
    for name, graph in graphs.items():
        (aside / "graphs" / f"{name}.blob").write_bytes(graph.compiled_bytes())
        for suffix in ("xml", "bin"):
            (aside / "graphs" / f"{name}-int8.{suffix}").replace(aside / "graphs" / f"{name}.{suffix}")
