"""A reranker in torch."""

from typing import TYPE_CHECKING

from retrieval.arrays import FloatArray
from retrieval.encoders.towers.graphs import GraphInput, GraphSource, torch_graph
from retrieval.rerankers.base import RerankerSpec
from retrieval.rerankers.pairs import matched
from retrieval.tokens.value import Tokens

if TYPE_CHECKING:
    from torch import nn

    from retrieval.rerankers.modules.pair import PairModule


class TorchReranker:
    """module: as `KINDS` builds it. dimension: of the joint vectors."""

    runtime = "torch"

    def __init__(self, module: "PairModule", spec: RerankerSpec, dimension: int) -> None:
        self.spec = spec
        self._dimension = dimension
        self._run = torch_graph(graph_source(module, spec, dimension))

    def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
        """See `Reranker.match`."""
        return matched(self._run, self.spec, self._dimension, texts, photos)


def graph_source(module: "PairModule", spec: RerankerSpec, dimension: int) -> GraphSource:
    """The module as a graph: its inputs, and logits [n, 1]."""
    tokens = spec.tokens

    def build() -> "nn.Module":
        from retrieval.rerankers.modules.pair import AsGraph

        return AsGraph(module).eval()

    return GraphSource(
        inputs=(
            GraphInput("float32", (None, None, tokens.text_width)),
            GraphInput("int64", (None,)),
            GraphInput("float32", (None, dimension)),
            GraphInput("float32", (None, tokens.places, tokens.image_width)),
            GraphInput("int64", (None,)),
            GraphInput("float32", (None, dimension)),
        ),
        module=build,
    )
