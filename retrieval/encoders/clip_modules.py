"""The towers of an open_clip model as torch modules from uint8 pixels and token ids. Import it lazily."""

from collections.abc import Mapping
from typing import Any

import torch

from retrieval.encoders.base import EncoderSpec
from retrieval.encoders.towers.graphs import GraphInput, GraphSource

MOST_A_SIDE = 7
TEXT_TOKENS = 40
_POOLED_AT_END = ("argmax", "eos")


def can_be_trimmed(model: Any) -> bool:
    """Whether a text's vector depends on nothing behind its end token.

    So it is where attention is causal and the vector is taken at the end token; not with attention both ways, a class
    token at the end (CoCa), the last place (SigLIP), or a tower of another library.
    """
    tower, pool, _ = _text_parts(model)
    return (
        tower is not None
        and getattr(tower, "attn_mask", None) is not None
        and getattr(tower, "cls_emb", None) is None
        and pool in _POOLED_AT_END
    )


def graph_sources(model: Any, spec: EncoderSpec, *, trimmed: bool) -> Mapping[str, GraphSource]:
    """`image`: uint8 [n, height, width, 3]; `text`: int64 [n, length] -> float32 [n, dimension], not yet unit vectors.

    trimmed: length is any up to the context; otherwise the context.
    """
    height, width = spec.preprocessing["size"]
    context = model.context_length
    text: type[torch.nn.Module] = _TrimmedText if trimmed else _WholeText
    return {
        "image": GraphSource(
            (GraphInput("uint8", (None, height, width, 3)),), lambda: _Image(model, spec.preprocessing).eval()
        ),
        "text": GraphSource((GraphInput("int64", (None, None if trimmed else context)),), lambda: text(model).eval()),
    }


def cells_source(model: Any, spec: EncoderSpec) -> GraphSource | None:
    """uint8 [n, height, width, 3] -> float32 [n, rows, columns, dimension]: what each patch says by itself.

    None for an image tower that is no vision transformer of open_clip's own, or that pools with attention: patches are
    then not in the joint space.
    """
    visual = model.visual
    if not hasattr(visual, "grid_size") or getattr(visual, "attn_pool", True) is not None or visual.proj is None:
        return None
    height, width = spec.preprocessing["size"]
    return GraphSource(
        (GraphInput("uint8", (None, height, width, 3)),), lambda: _Cells(model, spec.preprocessing).eval()
    )


def token_sources(model: Any, spec: EncoderSpec) -> Mapping[str, GraphSource] | None:
    """What `graph_sources` gives, with tokens behind each vector, flattened: of `image` those of `token_grid`, of
    `text` those of the first `TEXT_TOKENS` ids, which may be any number up to the context.

    None for an image tower that is no vision transformer of open_clip's own or pools with attention, and for a text
    tower that cannot be trimmed: where a text ends is not known of it.
    """
    if token_grid(model) is None or not can_be_trimmed(model):
        return None
    height, width = spec.preprocessing["size"]
    return {
        "image": GraphSource(
            (GraphInput("uint8", (None, height, width, 3)),), lambda: _ImageTokens(model, spec.preprocessing).eval()
        ),
        "text": GraphSource((GraphInput("int64", (None, None)),), lambda: _TextTokens(model).eval()),
    }


def token_grid(model: Any) -> tuple[int, int] | None:
    """Rows and columns of a photo's tokens: the patches, averaged to at most 7 a side; None if there are none."""
    visual = model.visual
    if not hasattr(visual, "grid_size") or getattr(visual, "attn_pool", True) is not None:
        return None
    rows, columns = visual.grid_size
    return min(rows, MOST_A_SIDE), min(columns, MOST_A_SIDE)


def token_widths(model: Any) -> tuple[int, int]:
    """Numbers in a token of a photo and of a text, before projection."""
    tower, _, _ = _text_parts(model)
    return model.visual.ln_post.normalized_shape[0], tower.ln_final.normalized_shape[0]


def _text_parts(model: Any) -> tuple[Any, str, int]:
    """The module that holds the text tower's parts, its pooling and its end token; None for a tower of another kind."""
    if hasattr(model, "transformer"):  # open_clip's CLIP holds the parts itself
        return model, model.text_pool_type, model.text_eos_id
    tower = getattr(model, "text", None)
    if tower is None or not hasattr(tower, "token_embedding"):
        return None, "", 0
    return tower, tower.pool_type, tower.eos_id


class _Image(torch.nn.Module):
    def __init__(self, model: Any, preprocessing: Mapping[str, Any]) -> None:
        super().__init__()
        self.model = model
        mean, std = (torch.tensor(preprocessing[name], dtype=torch.float32) for name in ("mean", "std"))
        self.mean, self.std = mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)

    def forward(self, pixels: torch.Tensor) -> Any:
        batch = pixels.permute(0, 3, 1, 2).float() / 255
        return self.model.encode_image((batch - self.mean) / self.std)


class _Cells(torch.nn.Module):
    """Patches in the joint space: in the last block each token attends to itself alone, so that it keeps its own place.

    After MaskCLIP (Zhou, Loy & Dai 2022, arXiv:2112.01071), whose dense features are those values behind the block.
    """

    def __init__(self, model: Any, preprocessing: Mapping[str, Any]) -> None:
        super().__init__()
        self.image = _Image(model, preprocessing)
        self.visual = model.visual

    def forward(self, pixels: torch.Tensor) -> Any:
        visual, held = self.visual, []
        if not len(pixels):  # attention cannot take none
            return torch.zeros(0, *visual.grid_size, visual.proj.shape[1])
        last = visual.transformer.resblocks[-1]
        hook = last.register_forward_pre_hook(lambda _, given: held.append(given[0]))
        try:
            self.image(pixels)
        finally:
            hook.remove()
        (tokens,) = held
        alone = torch.full((tokens.shape[1], tokens.shape[1]), -torch.inf).fill_diagonal_(0)
        patches = visual.ln_post(last(tokens, attn_mask=alone)[:, 1:])
        return (patches @ visual.proj).unflatten(1, visual.grid_size)


class _ImageTokens(torch.nn.Module):
    """The vector, and the patches behind the last block and its normalisation, averaged to at most 7 a side."""

    def __init__(self, model: Any, preprocessing: Mapping[str, Any]) -> None:
        super().__init__()
        self.image = _Image(model, preprocessing)
        self.visual, self.grid = model.visual, token_grid(model)

    def forward(self, pixels: torch.Tensor) -> Any:
        visual, held = self.visual, []
        last = visual.transformer.resblocks[-1]
        hook = last.register_forward_hook(lambda _, __, given: held.append(given))
        try:
            vectors = self.image(pixels)
        finally:
            hook.remove()
        (states,) = held
        patches = visual.ln_post(states[:, 1:]).transpose(1, 2).unflatten(2, visual.grid_size)
        pooled = torch.nn.functional.adaptive_avg_pool2d(patches, self.grid)
        return torch.cat([vectors, pooled.flatten(2).transpose(1, 2).flatten(1)], dim=1)


class _WholeText(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor) -> Any:
        return self.model.encode_text(ids)


class _TrimmedText(torch.nn.Module):
    """What `encode_text` computes, for ids of any length: positions and causal mask are cut to it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.tower, self.pool, self.end = _text_parts(model)

    def forward(self, ids: torch.Tensor) -> Any:
        return self._pooled(ids, self._states(ids))

    def _states(self, ids: torch.Tensor) -> Any:
        tower, length = self.tower, ids.shape[1]
        hidden = tower.token_embedding(ids) + tower.positional_embedding[:length]
        return tower.ln_final(tower.transformer(hidden, attn_mask=tower.attn_mask[:length, :length]))

    def _pooled(self, ids: torch.Tensor, hidden: Any) -> Any:
        # the end token has the largest id, which is where older models look; newer ones look for its id
        place = (ids if self.pool == "argmax" else (ids == self.end).int()).argmax(dim=-1)
        pooled = hidden[torch.arange(ids.shape[0]), place]
        projection = self.tower.text_projection
        if projection is None:
            return pooled
        return projection(pooled) if isinstance(projection, torch.nn.Linear) else pooled @ projection


class _TextTokens(_TrimmedText):
    """The vector, and the states of the first ids behind the last normalisation."""

    def forward(self, ids: torch.Tensor) -> Any:
        states = self._states(ids)
        return torch.cat([self._pooled(ids, states), states[:, :TEXT_TOKENS].flatten(1)], dim=1)
