"""Towers made from an export. Nothing here imports torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retrieval.encoders.base import EncoderSpec
from retrieval.encoders.towers.base import Towers
from retrieval.encoders.towers.graphs import IMAGE_TOKENS, Graph
from retrieval.errors import ExportError
from retrieval.runtime.openvino_graph import OpenVinoGraph
from retrieval.runtime.store import Export


class LazyGraph:
    """A graph of an export, opened on its first call: a search by words never reads the image tower."""

    def __init__(self, export: Export, name: str) -> None:
        self._export, self._name = export, name
        self._graph: OpenVinoGraph | None = None

    def __call__(self, *inputs: Any) -> Any:
        """As the graph."""
        if self._graph is None:
            self._graph = self._opened()
        return self._graph(*inputs)

    def _opened(self) -> OpenVinoGraph:
        manifest, stem = self._export.manifest, self._export.folder / "graphs" / self._name
        precision = manifest["graphs"][self._name]["precision"]
        return OpenVinoGraph(Path(f"{stem}.xml"), precision, Path(f"{stem}.blob"))


def towers_of_export(export: Export) -> Towers:
    """The towers of an export. Raises ExportError if it is damaged, was judged elsewhere or is of an unknown kind."""
    export.check()
    graphs: dict[str, Graph] = {name: LazyGraph(export, name) for name in export.manifest["graphs"]}
    kind, recipe = export.manifest["kind"], export.manifest["recipe"]
    return made(kind, recipe, graphs, export.folder / "unpacked", runtime=in_words(export))


def in_words(export: Export) -> str:
    """What runs it, with the precision of each graph that gives vectors: `openvino (image f32, text bf16)`."""
    held = {name: facts["precision"] for name, facts in export.manifest["graphs"].items() if name != IMAGE_TOKENS}
    graphs = ", ".join(f"{name} {precision}" for name, precision in held.items())
    return f"openvino ({graphs})"


def made(
    kind: str, recipe: Mapping[str, Any], graphs: Mapping[str, Graph], unpacked: Path, *, runtime: str = "openvino"
) -> Towers:
    """Towers of a kind over the graphs given. Raises ExportError for a kind that is not known."""
    if kind == "starter":
        from retrieval.encoders.starter import StarterTowers

        return StarterTowers(graphs, unpacked, runtime=runtime)
    if kind == "clip":
        from retrieval.encoders.clip import ClipEncoder
        from retrieval.encoders.clip_export import read_tokenizer
        from retrieval.encoders.clip_pixels import Pixels

        spec = EncoderSpec(**{name: value for name, value in recipe["spec"].items() if name != "fingerprint"})
        return ClipEncoder(
            spec,
            pixels=Pixels(spec.preprocessing),
            tokens=read_tokenizer(unpacked),
            graphs=graphs,
            trimmed=recipe["trimmed"],
            runtime=runtime,
        )
    raise ExportError(f"an export of the unknown kind {kind!r}", hint="export again with this release: catalens export")
