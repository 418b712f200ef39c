"""Exports an encoder's towers to OpenVINO: once, and only if its vectors are torch's."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder, unit_rows
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers.base import Towers
from retrieval.encoders.towers.graphs import IMAGE_TOKENS, ExportableTowers, Graph
from retrieval.errors import EncoderError, ExportError, StorageError
from retrieval.runtime import bank, names
from retrieval.runtime.gate import EXACT, Agreement, agreement
from retrieval.runtime.openvino_graph import OpenVinoGraph, convert, halve, precisions
from retrieval.runtime.reopen import made
from retrieval.runtime.store import BANK, Export, commit, exports_dir, here, key_of, locked, note_refusal
from retrieval.runtime.token_gate import TOKENS, TokenGate

SIDES = ("image", "text")
_BATCH = 16
Step = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """An export that passed. gates: by side and precision, what was measured, refused ones too.

    tokens: likewise of the graph that gives tokens, by precision; empty if there is none.
    """

    export: Export
    gates: Mapping[str, Mapping[str, Agreement]]
    tokens: Mapping[str, Agreement]


def exportable(encoder: DualEncoder) -> ExportableTowers:
    """What of an encoder is exported: its towers. Raises ExportError if they cannot be."""
    towers: Any = encoder.towers if isinstance(encoder, ProjectedEncoder) else encoder
    towers = getattr(towers, "encoder", towers)  # trained heads on a whole encoder: that is what has graphs
    if not hasattr(towers, "graph_sources"):
        raise ExportError(f"{encoder.spec.name} has nothing to export", hint="it runs as it is: --runtime torch")
    exported: ExportableTowers = towers
    return exported


def export(encoder: DualEncoder, *, pictures: Iterable[Image.Image] = (), tell: Step = lambda _: None) -> Exported:
    """Export the towers of an encoder that runs in torch, over any export there was.

    pictures: to compare on, besides those of the bank. tell: is told what is being done.

    Raises ExportError if OpenVINO lacks an operation, if vectors are not torch's (with the figure), or if another
    process is at it; StorageError where the disk refuses.
    """
    towers = exportable(encoder)
    key = key_of(towers)
    root = exports_dir()
    aside = root / f".{key}.{os.getpid()}"
    with locked(key, encoder.spec.name):
        for left in root.glob(f".{key}.*[0-9]*"):  # by a process that died
            shutil.rmtree(left, ignore_errors=True)
        try:
            done = _Exporting(encoder, towers, aside, tell).run(key, list(pictures))
            note_refusal(encoder, "")
            return done
        except EncoderError as error:
            note_refusal(encoder, str(error))
            raise
        except OSError as error:
            raise StorageError(
                f"cannot write below {root}: {error.strerror or error}", hint="check the disk"
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


class _Exporting:
    def __init__(self, encoder: DualEncoder, towers: ExportableTowers, aside: Path, tell: Step) -> None:
        self._encoder, self._towers, self._aside, self._tell = encoder, towers, aside, tell
        self._name = encoder.spec.name
        self._graphs = aside / "graphs"
        self._gates: dict[str, dict[str, Agreement]] = {}
        self._tokens: dict[str, Agreement] = {}
        self._bank: dict[str, FloatArray] = {}

    def run(self, key: str, extra: Sequence[Image.Image]) -> Exported:
        self._graphs.mkdir(parents=True)
        (self._aside / "unpacked").mkdir()
        self._recipe = self._towers.unpack(self._aside / "unpacked")
        sources = self._towers.graph_sources()
        inputs: dict[str, list[Any]] = {"image": [*bank.pictures(), *extra], "text": bank.sentences()}
        chosen: dict[str, str] = {}
        for side in SIDES:
            mine = {name: source for name, source in sources.items() if name.partition(".")[0] == side}
            self._tell(f"{side} tower in torch")
            reference = self._features(self._towers, side, inputs[side], None)
            for name, source in mine.items():
                self._tell(f"{name}: converting")
                convert(source, self._path(name))
            chosen |= self._passing(side, list(mine), inputs[side], reference)
        self._write_bank()
        files = getattr(self._towers, "files", ())
        manifest = {
            "name": self._towers.name,
            "kind": self._towers.kind,
            "recipe": self._recipe,
            "machine": here(),
            "graphs": {name: {"precision": precision} for name, precision in chosen.items()},
            "gates": {
                side: {precision: one.to_json() for precision, one in tried.items()}
                for side, tried in self._gates.items()
            },
            "token_gates": {precision: one.to_json() for precision, one in self._tokens.items()},
        }
        self._tell("writing")
        done = commit(self._aside, key, manifest)
        done.note_passed(self._encoder.spec.fingerprint)
        if files:
            names.remember(self._towers.name, files, key)
        return Exported(done, self._gates, self._tokens)

    def _passing(
        self, side: str, graphs: Sequence[str], inputs: Sequence[Any], reference: FloatArray
    ) -> dict[str, str]:
        """The fastest precision whose vectors are torch's, for each graph of a side. Raises ExportError if none is."""
        tried = self._gates.setdefault(side, {})
        pixels = token_gate = None
        if side == "image":
            pixels = self._pixels(self._towers, inputs)
            if not np.array_equal(pixels, self._pixels(self._reopened({}), inputs)):
                raise ExportError(f"{self._name}: pictures cannot be prepared as torch does", hint="--runtime torch")
            if IMAGE_TOKENS in graphs:
                token_gate = TokenGate(self._towers, pixels, lambda features: self._vectors(side, features))
        for precision in precisions() if graphs else ("f32",):
            if precision == "bf16":
                for name in graphs:
                    halve(self._path(name, f"-{precision}", made_from=self._path(name)))
            paths = {name: self._path(name, "-bf16" if precision == "bf16" else "") for name in graphs}
            compiled = {name: OpenVinoGraph(path, precision) for name, path in paths.items()}
            self._tell(f"{side} tower in {precision}: comparing {len(inputs)} vectors with torch's")
            towers = self._reopened(dict(compiled))
            features = self._features(towers, side, inputs, pixels)
            tried[precision] = agreement(self._vectors(side, reference), self._vectors(side, features))
            passed = tried[precision].reaches(EXACT)
            if passed and token_gate is not None:
                self._tokens[precision], passed = token_gate.judged(towers)
            if passed:
                self._keep(paths, compiled)
                self._bank |= {f"{side}.torch": reference, f"{side}.exported": features}
                return dict.fromkeys(graphs, precision)
        lowest = ", ".join(f"{name} {one.lowest:.5f}" for name, one in tried.items())
        if self._tokens and any(one.reaches(EXACT) for one in tried.values()):
            found = ", ".join(f"{name} {one.mean:.5f}" for name, one in self._tokens.items())
            raise ExportError(
                f"{self._name} was not exported: its tokens, or the vectors beside them, are not torch's (mean cosine "
                f"{found}; at least {TOKENS} is asked for)",
                hint="it runs in torch as before",
            )
        raise ExportError(
            f"{self._name} was not exported: its {side} vectors are not torch's (lowest cosine {lowest}; "
            f"at least {EXACT} is asked for)",
            hint="it runs in torch as before",
        )

    def _keep(self, paths: Mapping[str, Path], compiled: Mapping[str, OpenVinoGraph]) -> None:
        for name, path in paths.items():
            (self._graphs / f"{name}.blob").write_bytes(compiled[name].compiled_bytes())
            for suffix in (".xml", ".bin"):
                path.with_suffix(suffix).replace(self._path(name).with_suffix(suffix))
            half = self._path(name, "-bf16")
            for suffix in (".xml", ".bin"):
                half.with_suffix(suffix).unlink(missing_ok=True)

    def _path(self, name: str, suffix: str = "", *, made_from: Path | None = None) -> Path:
        path = self._graphs / f"{name}{suffix}.xml"
        if made_from is not None:
            for each in (".xml", ".bin"):
                shutil.copyfile(made_from.with_suffix(each), path.with_suffix(each))
        return path

    def _reopened(self, graphs: dict[str, Graph]) -> Towers:
        return made(self._towers.kind, self._recipe, graphs, self._aside / "unpacked")

    def _pixels(self, towers: Towers, pictures: Sequence[Image.Image]) -> Any:
        return np.stack([towers.preprocess(picture) for picture in pictures])

    def _features(self, towers: Towers, side: str, inputs: Sequence[Any], pixels: Any) -> FloatArray:
        given: Any = inputs
        if side == "image":
            given = self._pixels(towers, inputs) if pixels is None else pixels
        run: Any = towers.image_features if side == "image" else towers.text_features
        # One alone as well: a search has one row, and runs on a graph compiled with one thread.
        parts = [run(given[:1]), *(run(given[at : at + _BATCH]) for at in range(1, len(inputs), _BATCH))]
        return np.concatenate(parts)

    def _vectors(self, side: str, features: FloatArray) -> FloatArray:
        return vectors(self._encoder, side, features)

    def _write_bank(self) -> None:
        from safetensors.numpy import save_file

        save_file(self._bank, self._aside / BANK)


def vectors(encoder: DualEncoder, side: str, features: FloatArray) -> FloatArray:
    """The encoder's unit vectors from its towers' features."""
    if not isinstance(encoder, ProjectedEncoder):
        return unit_rows(features)
    head = encoder.heads.image if side == "image" else encoder.heads.text
    return head.apply(features)
