"""Attention against torch's own, and the sizes and seeds of the networks."""

from typing import Any

import pytest
import torch

from retrieval.rerankers.modules.attention import attention
from retrieval.rerankers.registry import KINDS, parameters
from retrieval.tokens.value import TokenSpec
from tests.reranked import DIMENSION, SMALL, photos_of, texts_of

STARTER_LIKE = TokenSpec("e" * 16, places=49, image_width=192, text_width=384, text_length=40, projection_hash="0" * 64)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_torchs_own(masked: bool) -> None:
    random = torch.Generator().manual_seed(3)
    query, key, value = (torch.randn(2, 3, length, 8, generator=random) for length in (5, 7, 7))
    real = torch.rand(2, 1, 5, 7, generator=random) < 0.5 if masked else None
    if real is not None:
        real[..., 0] = True
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=real)
    torch.testing.assert_close(attention(query, key, value, real), expected, rtol=1e-5, atol=1e-6)


def test_attention_does_not_look_at_masked_keys() -> None:
    query, key, value = torch.ones(1, 2, 4), torch.randn(1, 3, 4), torch.randn(1, 3, 4)
    real = torch.tensor([[[True, True, False]]])
    other_key, other_value = key.clone(), value.clone()
    other_key[:, 2], other_value[:, 2] = 1e4, -1e4
    torch.testing.assert_close(attention(query, key, value, real), attention(query, other_key, other_value, real))


def test_one_row_of_keys_goes_with_all_queries() -> None:
    query, key, value = torch.randn(4, 2, 8), torch.randn(1, 3, 8), torch.randn(1, 3, 8)
    torch.testing.assert_close(
        attention(query, key, value), attention(query, key.expand(4, 3, 8), value.expand(4, 3, 8))
    )


def test_kinds_are_about_equal_in_size_and_within_the_budget() -> None:
    sizes = {kind: parameters(build(STARTER_LIKE, 512, 0)) for kind, build in KINDS.items()}
    assert max(sizes.values()) <= 1_500_000, sizes
    assert min(sizes.values()) >= 0.8 * max(sizes.values()), sizes


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_numbers_and_leaves_the_callers_alone(kind: str) -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    first, again, other = (KINDS[kind](STARTER_LIKE, 64, seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_loss_and_every_weight_learns(kind: str) -> None:
    torch.manual_seed(0)
    module = KINDS[kind](SMALL, DIMENSION, 0)
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.1
    given = [torch.from_numpy(array) for side in (texts_of(16), photos_of(16)) for array in vars(side).values()]
    fits = torch.arange(16).float() % 2
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
    losses = []
    for _ in range(10):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(module(*given), fits)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
    assert losses[-1] < losses[0], losses
    unused = [name for name, each in module.named_parameters() if each.grad is None or not each.grad.isfinite().all()]
    assert unused == []
    assert sum(bool(each.grad.any()) for each in module.parameters()) == len(list(module.parameters()))


@pytest.mark.parametrize(("n_texts", "n_photos"), [(1, 7), (7, 1)])
def test_cross_attention_computes_a_single_row_once(n_texts: int, n_photos: int) -> None:
    module: Any = KINDS["cross_attention"](SMALL, DIMENSION, 0)
    rows: dict[str, int] = {}
    for name, part in module.named_modules():
        part.register_forward_hook(lambda _, given, __, name=name: rows.update({name: len(given[0])}))
    given = [
        torch.from_numpy(array) for side in (texts_of(n_texts), photos_of(n_photos)) for array in vars(side).values()
    ]
    assert module(*given).shape == (7,)
    assert rows["text.linear"] == rows["looks.0.query"] == n_texts
    assert rows["photo.linear"] == n_photos
    assert {rows[f"looks.{layer}.{part}"] for layer in (0, 1) for part in ("key", "value")} == {n_photos}


@pytest.mark.parametrize("kind", KINDS)
def test_all_pairs_at_once_are_what_each_pair_gets(kind: str) -> None:
    """Of cross attention without its second look and its head, which untrained say nothing."""
    module = KINDS[kind](SMALL, DIMENSION, 0).eval()
    texts, photos = (tuple(map(torch.from_numpy, vars(side).values())) for side in (texts_of(5), photos_of(7)))
    with torch.inference_mode():
        each = torch.stack([module(*(one[row : row + 1] for one in texts), *photos) for row in range(5)])
        together = module.all_pairs(texts, photos)
    assert torch.allclose(together, each, atol=1e-5)
