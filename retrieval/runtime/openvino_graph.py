"""Graphs on OpenVINO: the only module that imports it. Import is lazy, and reports nothing to anybody."""

import contextlib
import logging
import platform
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.towers.graphs import GraphSource
from retrieval.errors import ExportError
from retrieval.settings import usable_cores

BULK = 8  # rows from which a call uses all cores; a search has one row, and one thread is best on a busy machine
_TRACED_ROWS, _TRACED_LENGTH = 2, 7
_importing = threading.Lock()
_core: Any = None


def _openvino() -> Any:
    """The package, without its telemetry, which would call home at import, and without its converter (30 ms)."""
    with _importing:
        if "openvino" not in sys.modules:
            sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what `import` then refuses
            sys.modules["openvino.tools.ovc"] = None  # type: ignore[assignment]
            try:
                import openvino
            finally:
                del sys.modules["openvino.tools.ovc"]
        import openvino
    return openvino


def _device() -> Any:
    global _core  # noqa: PLW0603  # one for the process, as OpenVINO asks for
    if _core is None:
        _core = _openvino().Core()
    return _core


def machine() -> dict[str, Any]:
    """What a compiled graph depends on, as JSON values."""
    abilities = sorted(_device().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return {"openvino": _openvino().get_version(), "processor": platform.machine(), "abilities": abilities}


def precisions() -> tuple[str, ...]:
    """What to try, fastest first: `bf16` where the processor computes it, then `f32`."""
    return ("bf16", "f32") if "BF16" in machine()["abilities"] else ("f32",)


def convert(source: GraphSource, path: Path) -> None:
    """Trace a graph's module and write it as `path` (.xml) with its weights in float32 beside it.

    Raises ExportError, which names the operation, if OpenVINO cannot take the module.
    """
    import torch

    openvino = _openvino()
    shapes = [[size if size is not None else -1 for size in given.shape] for given in source.inputs]
    examples = tuple(
        torch.zeros([_example(size, at) for at, size in enumerate(given.shape)], dtype=getattr(torch, given.dtype))
        for given in source.inputs
    )
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # tracing is deprecated in torch, and talks about constants
            from openvino.tools.ovc import convert_model

            model = convert_model(
                source.module(),
                example_input=examples if len(examples) > 1 else examples[0],
                input=[openvino.PartialShape(shape) for shape in shapes],
            )
        openvino.save_model(model, path, compress_to_fp16=False)
    except Exception as error:  # torch and OpenVINO raise what they like on what they dislike
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = next((line for line in lines if "No conversion rule" in line or "not supported" in line), lines[0])
        raise ExportError(f"OpenVINO cannot take its graph: {reason}", hint="use --runtime torch") from error
    finally:  # the converter takes logging over for the whole process, and hides every warning from then on
        root.setLevel(level)
        root.handlers[:] = handlers


def _example(size: int | None, at: int) -> int:
    if size is not None:
        return size
    return _TRACED_ROWS if at == 0 else _TRACED_LENGTH


def halve(path: Path) -> None:
    """Write a graph's weights in float16, which hold more than the bfloat16 they will be computed in."""
    model = _device().read_model(path)
    aside = path.with_name(f"half-{path.name}")
    _openvino().save_model(model, aside, compress_to_fp16=True)
    del model
    aside.with_suffix(".bin").replace(path.with_suffix(".bin"))
    aside.replace(path)


def quantise(path: Path, out: Path, rows: Sequence[tuple[npt.NDArray[Any], ...]]) -> None:
    """Write a graph with weights and activations in int8, whose ranges are those met on `rows`.

    rows: for each, the graph's inputs with one row.

    Raises ExportError without the package nncf, or if it cannot take the graph.
    """
    openvino = _openvino()
    try:
        import nncf
    except ImportError as error:
        raise ExportError("int8 needs the package nncf", hint="pip install 'catalens[int8]'") from error
    try:
        # its progress bars go to stdout, where the results of commands go
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            model = nncf.quantize(_device().read_model(path), nncf.Dataset(rows, list), subset_size=len(rows))
        openvino.save_model(model, out, compress_to_fp16=False)
    except Exception as error:  # as above: another library, which raises what it likes
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ExportError(f"the graph cannot be made int8: {reason}", hint="export without --int8") from error


class OpenVinoGraph:
    """A graph that was written, compiled on its first call: with one thread for a search, with all cores for many rows.

    Safe to use from many threads.

    path: the .xml file. precision: `bf16` or `f32`. blob: the graph compiled before on a machine like this one, which
    is mapped into memory and opens three times as fast.
    """

    def __init__(self, path: Path, precision: str, blob: Path | None = None) -> None:
        self._path, self._blob = path, blob
        self._precision = precision if precision in (*precisions(), "f32") else "f32"
        self._compiling = threading.Lock()
        self._compiled: dict[bool, Any] = {}
        self._requests = threading.local()
        self._mapped: npt.NDArray[np.uint8] | None = None

    def __call__(self, *inputs: npt.NDArray[Any]) -> FloatArray:
        """Arrays with one row each -> float32 [n, features]. Raises ExportError if OpenVINO fails."""
        bulk = len(inputs[0]) >= BULK
        requests = vars(self._requests).setdefault("held", {})
        try:
            if bulk not in requests:
                requests[bulk] = self._compile(bulk).create_infer_request()
            result = requests[bulk].infer([np.ascontiguousarray(given) for given in inputs])
        except RuntimeError as error:
            raise self._failed("run", error) from error
        return np.array(result[0], dtype=np.float32)

    def compiled_bytes(self) -> bytes:
        """The graph as compiled for this machine, to be given as `blob`. Raises ExportError."""
        try:
            exported = self._compile(False).export_model()
        except RuntimeError as error:
            raise self._failed("write what it compiled of", error) from error
        return exported if isinstance(exported, bytes) else bytes(exported.getvalue())

    def _compile(self, bulk: bool) -> Any:
        with self._compiling:
            if bulk not in self._compiled:
                self._compiled[bulk] = self._open(self._properties(bulk))
            return self._compiled[bulk]

    def _properties(self, bulk: bool) -> Mapping[str, Any]:
        return {
            "INFERENCE_PRECISION_HINT": self._precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": usable_cores() if bulk else 1,
            "ENABLE_CPU_PINNING": False,  # a pinned thread waits for its core while another is free
        }

    def _open(self, properties: Mapping[str, Any]) -> Any:
        try:
            if self._blob is not None:
                # Copy-on-write, since OpenVINO asks for memory it could write to, though it never does. It reads its
                # weights from there as long as it lives, and does not keep the memory mapped: that is for us to do.
                if self._mapped is None:
                    self._mapped = np.memmap(self._blob, dtype=np.uint8, mode="c")
                tensor = _openvino().Tensor(self._mapped, shared_memory=True)
                with contextlib.suppress(RuntimeError):  # what it compiled it may still refuse; then from the start
                    return _device().import_model(tensor, "CPU", dict(properties))
            return _device().compile_model(self._path, "CPU", dict(properties))
        except RuntimeError as error:
            raise self._failed("open", error) from error

    def _failed(self, at: str, error: RuntimeError) -> ExportError:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        return ExportError(f"OpenVINO cannot {at} {self._path}: {reason}", hint="catalens export, or --runtime torch")
