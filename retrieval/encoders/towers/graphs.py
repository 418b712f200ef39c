"""The part of a tower that is a graph: arrays in, one array out. It runs in torch, or exported on another runtime.

A tower is Python and NumPy around one or several graphs: what cuts pictures and words into arrays, what cuts them into
batches, what puts features side by side. Only the graphs are heavy, and only they are exported, so a tower stays one
class on every runtime. To make towers exportable:

1. Give each graph a name that begins with its side, `image` or `text` (`text.minilm`), and say in `graph_sources`
   what it takes and how its torch module is built. The module takes tensors of the stated types, normalises pixels
   itself, and gives float32 [n, features]. Build it inside the function, so that naming a graph imports no torch.
2. Take `graphs` in the constructor and call `graphs[name]` where it is given, else `torch_graph(source)`. Both take
   and give NumPy arrays.
3. Keep what is left free of torch. What is slow to open (a packed vocabulary) can be written in a form that opens at
   once: `unpack(folder)` is called at export, and the constructor is given that folder as `unpacked`.
   A graph `image.tokens` gives features with tokens behind them (see `TowersWithTokens`); it is exported and judged
   with `image`, whose features it repeats, so that plain search does not pay for tokens.
4. Say in `retrieval/runtime/reopen.py` how such towers are made from an export, if a class of its own is needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.towers.base import Towers

IMAGE_TOKENS = "image.tokens"


class Graph(Protocol):
    """Runs on NumPy arrays; each input has one row for each picture or text."""

    def __call__(self, *inputs: npt.NDArray[Any]) -> FloatArray:
        """Arrays as `GraphSource.inputs` states them -> float32 [n, features]."""
        ...


@dataclass(frozen=True)
class GraphInput:
    """dtype: NumPy's name of it, `uint8` or `int64`. shape: None where any size may come; the first is always None."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class GraphSource:
    """What an exporter needs. module: builds the torch module, in evaluation mode; imports torch when called."""

    inputs: tuple[GraphInput, ...]
    module: Callable[[], Any]


class ExportableTowers(Towers, Protocol):
    """Towers whose graphs can be exported. kind: the name under which `retrieval/runtime/reopen.py` knows them."""

    kind: str

    def graph_sources(self) -> Mapping[str, GraphSource]:
        """By graph name. Free of torch until a module is built."""
        ...

    def unpack(self, folder: Path) -> Mapping[str, Any]:
        """Write what opens quickly into an empty folder; return what else is needed to make the towers, as JSON values.

        Raises ExportError if a part of them (a tokenizer) cannot do without torch.
        """
        ...


def torch_graph(source: GraphSource) -> Graph:
    """The graph in torch, as its module computes it. Imports torch and loads the weights."""
    import torch

    module = source.module()

    def run(*inputs: npt.NDArray[Any]) -> FloatArray:
        with torch.inference_mode():
            # A copy where the array is read-only, as a decoded picture is: torch warns about those.
            tensors = [torch.from_numpy(np.require(given, requirements=["C", "W"])) for given in inputs]
            features: FloatArray = module(*tensors).numpy()
        return features

    return run
