"""What an open_clip model gives a reranker, as torch modules: patches of a picture and pieces of a text, made narrow.

Each module gives a row for each picture or text: the vector as `clip_modules.py` does, and behind it the tokens, flat.
"""

from collections.abc import Callable
from typing import Any

import torch

from retrieval.encoders.base import EncoderSpec
from retrieval.encoders.clip import ClipTokens
from retrieval.encoders.clip_modules import cells_source, graph_sources, text_tower
from retrieval.encoders.towers.graphs import GraphInput, GraphSource, torch_graph
from retrieval.tokens import projection
from retrieval.tokens.projection import Projection
from retrieval.tokens.value import TokenSpec

SIDE = 7  # places a side: ViT-B/16 has 14 and ViT-L/14 16, and 256 places would take 50 KB a photo
PIECES = 40  # of a context of 77: captions have 13 at the median


def clip_tokens(model: Any, spec: EncoderSpec, *, trimmed: bool) -> ClipTokens | None:
    """The tokens of a model in torch; None where `cells_source` is None, or its text tower is not open_clip's own.

    A text tower with a class token at the end (CoCa) normalises nothing but that: it has no last layer to take from.
    """
    tower = text_tower(model)
    if cells_source(model, spec) is None or tower is None or getattr(tower, "cls_emb", None) is not None:
        return None
    visual = model.visual
    rows, columns = (min(SIDE, side) for side in visual.grid_size)
    wide = int(visual.ln_post.weight.shape[0]), int(tower.ln_final.weight.shape[0])
    image, text = (projection.seeded(each) for each in wide)
    widths = [each if made is None else made.width for each, made in zip(wide, (image, text), strict=True)]
    pieces = min(PIECES, int(model.context_length))
    vectors = graph_sources(model, spec, trimmed=trimmed)
    height, width = spec.preprocessing["size"]
    return ClipTokens(
        TokenSpec(
            encoder=spec.fingerprint,
            places=rows * columns,
            image_width=widths[0],
            text_width=widths[1],
            text_length=pieces,
            projection_hash=projection.hash_of([image, text]),
        ),
        image=torch_graph(
            GraphSource(
                (GraphInput("uint8", (None, height, width, 3)),),
                lambda: _ImageTokens(vectors["image"].module(), visual, image, (rows, columns)).eval(),
            )
        ),
        text=torch_graph(
            GraphSource(
                vectors["text"].inputs,
                lambda: _TextTokens(vectors["text"].module(), tower, text, pieces).eval(),
            )
        ),
    )


class _Narrow(torch.nn.Module):
    """A projection; with None it changes nothing."""

    def __init__(self, made: Projection | None) -> None:
        super().__init__()
        self.matrix = None if made is None else torch.from_numpy(made.matrix)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens if self.matrix is None else tokens @ self.matrix


class _ImageTokens(torch.nn.Module):
    """Patches behind the last block and its norm, averaged to a few rows and columns."""

    def __init__(self, vectors: torch.nn.Module, visual: Any, made: Projection | None, places: tuple[int, int]) -> None:
        super().__init__()
        self.vectors, self.visual, self.narrow, self.places = vectors, visual, _Narrow(made), places

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        vectors, last = _with_output(self.vectors, self.visual.transformer.resblocks[-1], pixels)
        patches = self.visual.ln_post(last[:, 1:]).transpose(1, 2).unflatten(2, self.visual.grid_size)
        pooled = torch.nn.functional.adaptive_avg_pool2d(patches, self.places).flatten(2).transpose(1, 2)
        return torch.cat([vectors, self.narrow(pooled).flatten(1)], dim=1)


class _TextTokens(torch.nn.Module):
    """The first states of the last layer, behind its norm."""

    def __init__(self, vectors: torch.nn.Module, tower: Any, made: Projection | None, pieces: int) -> None:
        super().__init__()
        self.vectors, self.tower, self.narrow, self.pieces = vectors, tower, _Narrow(made), pieces

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        vectors, states = _with_output(self.vectors, self.tower.ln_final, ids)
        return torch.cat([vectors, self.narrow(states[:, : self.pieces]).flatten(1)], dim=1)


def _with_output(
    whole: Callable[[torch.Tensor], torch.Tensor], part: torch.nn.Module, given: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the whole gives, and what one of its parts gave on the way."""
    held: list[torch.Tensor] = []
    hook = part.register_forward_hook(lambda _, __, output: held.append(output))
    try:
        made = whole(given)
    finally:
        hook.remove()
    return made, held[0]
