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

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers.graphs import IMAGE_TOKENS, Graph
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.types import EvaluationSet
from retrieval.images import decode
from retrieval.runtime import bank, store
from retrieval.runtime.export import SIDES, vectors
from retrieval.runtime.gate import INT8, INT8_LOSS, Agreement, agreement
from retrieval.runtime.openvino_graph import OpenVinoGraph, quantise
from retrieval.runtime.reopen import LazyGraph, made
from retrieval.runtime.store import BANK, Export

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

    Raises ExportError without the package nncf or while another process exports, EvaluationError for a set that cannot
    judge.
    """
    tell(f"success@1 on {dataset.name} in torch")
    before = _success(dataset, encoder)
    aside = export.folder.with_name(f".{export.folder.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    with store.locked(export.folder.name, encoder.spec.name):
        return _try_aside(export, encoder, dataset, before, aside, tell)


def _try_aside(
    export: Export,
    encoder: DualEncoder,
    dataset: EvaluationSet,
    before: Mapping[str, float],
    aside: Path,
    tell: Callable[[str], None],
) -> tuple[Export, dict[str, Trial]]:
    from safetensors.numpy import load_file, save_file

    # What is about the files or the vectors that were there is not true of the new ones.
    shutil.copytree(export.folder, aside, ignore=shutil.ignore_patterns("seen.json", store.MANIFEST, "passed-*"))
    try:
        trials: dict[str, Trial] = {}
        taken: dict[str, Graph] = {}
        rows = load_file(export.file(BANK))
        gates = dict(export.manifest["gates"])
        for side in SIDES:  # the second is judged with the first as it will be
            # What gives tokens stays as it was judged: the sets judge vectors only.
            mine = [name for name in export.manifest["graphs"] if name.partition(".")[0] == side]
            names = [name for name in mine if name != IMAGE_TOKENS]
            if not names:
                continue
            tell(f"{side} tower in int8")
            graphs = _quantised(export, aside, side, names, _rows(dataset, encoder, side))
            features = _features(export, side, taken | graphs)
            reference = rows[f"{side}.torch"][: len(features)]
            cosines = agreement(vectors(encoder, side, reference), vectors(encoder, side, features))
            trials[side] = Trial(cosines, _lost(export, encoder, dataset, taken | graphs, before))
            if trials[side].passed:
                taken |= _take(aside, graphs)
                rows |= {f"{side}.torch": reference, f"{side}.exported": features}
                gates[side] = {"int8": cosines.to_json()}
        if not taken:
            return export, trials
        save_file(rows, aside / BANK)
        manifest = {name: value for name, value in export.manifest.items() if name not in ("files", "format")}
        manifest["graphs"] = manifest["graphs"] | {name: {"precision": "int8"} for name in taken}
        manifest["gates"] = gates
        manifest["int8"] = {
            side: {"lowest": one.cosines.lowest, "lost": dict(one.lost)} for side, one in trials.items()
        }
        done = store.commit(aside, export.folder.name, manifest)
        done.note_passed(encoder.spec.fingerprint)  # other heads pass the gate of float, or run in torch
        return done, trials
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


def _towers(export: Export, graphs: Mapping[str, Graph]) -> Any:
    """The export's towers with these graphs in place of its own."""
    held: dict[str, Graph] = {name: LazyGraph(export, name) for name in export.manifest["graphs"]}
    return made(export.manifest["kind"], export.manifest["recipe"], held | dict(graphs), export.folder / "unpacked")


def _features(export: Export, side: str, graphs: Mapping[str, Graph]) -> FloatArray:
    """Of the bank's own pictures or texts: an export may know more, which the user gave."""
    towers = _towers(export, graphs)
    if side == "text":
        return np.asarray(towers.text_features(bank.sentences()))
    pixels = np.stack([towers.preprocess(picture) for picture in bank.pictures()])
    return np.asarray(towers.image_features(pixels))


def _lost(
    export: Export,
    encoder: DualEncoder,
    dataset: EvaluationSet,
    graphs: Mapping[str, Graph],
    before: Mapping[str, float],
) -> dict[str, float]:
    towers = _towers(export, graphs)
    judged = ProjectedEncoder(towers, encoder.heads, "int8") if isinstance(encoder, ProjectedEncoder) else towers
    after = _success(dataset, judged)
    return {direction: before[direction] - after[direction] for direction in before}


def _success(dataset: EvaluationSet, encoder: DualEncoder) -> dict[str, float]:
    results = evaluate(dataset, encoder, measures=["success@1"]).results
    return {direction: result.figures["success@1"] for direction, result in results.items()}


def _take(aside: Path, graphs: Mapping[str, OpenVinoGraph]) -> dict[str, Graph]:
    """Put them in place; the same graphs, opened there."""
    for name, graph in graphs.items():
        (aside / "graphs" / f"{name}.blob").write_bytes(graph.compiled_bytes())
        for suffix in ("xml", "bin"):
            (aside / "graphs" / f"{name}-int8.{suffix}").replace(aside / "graphs" / f"{name}.{suffix}")
    return {name: OpenVinoGraph(aside / "graphs" / f"{name}.xml", "int8") for name in graphs}
