"""What every `DualEncoder` must do, run for each of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder
from tests.fakes import ColourEncoder
from tests.test_openclip import tiny_folder

SIZES = {"portrait": (300, 500), "landscape": (640, 200), "tiny": (3, 2), "one-pixel": (1, 1), "strip": (1, 30_000)}
TEXTS = [
    "a red mug",
    "",
    "   ",
    "紅色的馬克杯",
    "crème brûlée 🍮 – 100 % cotton",
    "a very long text " * 2000,
]


@pytest.fixture(
    scope="module",
    params=[
        "colour",
        "open_clip-tiny",
        "open_clip-tiny-on-openvino",
        pytest.param("starter", marks=pytest.mark.model),
        pytest.param("starter-on-openvino", marks=pytest.mark.model),
    ],
)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DualEncoder]:
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CATALENS_CACHE", str(folder / "cache"))  # no other test is to find these exports
        yield load(request.param, folder / "model")


def load(kind: str, folder: Path) -> DualEncoder:
    if kind == "colour":
        return ColourEncoder()
    name, _, runtime = kind.partition("-on-")
    model = "starter" if name == "starter" else str(tiny_folder(folder))
    return load_encoder(model, runtime=runtime or "torch")


def picture(name: str) -> Image.Image:
    """Noise around a colour of its own, so that no two pictures are alike."""
    width, height = SIZES[name]
    dice = np.random.default_rng(len(name))
    pixels = dice.integers(0, 80, (height, width, 3)) + dice.integers(0, 170, 3)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="module")
def pixels(encoder: DualEncoder) -> np.ndarray:
    return np.stack([encoder.preprocess(picture(name)) for name in SIZES])


def test_every_picture_preprocesses_to_one_shape(encoder: DualEncoder) -> None:
    arrays = [encoder.preprocess(picture(name)) for name in SIZES]
    assert len({(array.shape, array.dtype) for array in arrays}) == 1


def test_preprocessing_leaves_the_picture_alone(encoder: DualEncoder) -> None:
    image = picture("portrait")
    encoder.preprocess(image)
    assert image.size == SIZES["portrait"]
    assert np.array_equal(np.asarray(image), np.asarray(picture("portrait")))


def test_preprocessing_is_thread_safe(encoder: DualEncoder) -> None:
    names = list(SIZES) * 20
    expected = {name: encoder.preprocess(picture(name)) for name in SIZES}
    with ThreadPoolExecutor(8) as pool:
        for name, array in zip(names, pool.map(lambda name: encoder.preprocess(picture(name)), names), strict=True):
            assert np.array_equal(array, expected[name])


def test_pictures_become_float32_unit_vectors(encoder: DualEncoder, pixels: np.ndarray) -> None:
    vectors = encoder.encode_images(pixels)
    assert vectors.shape == (len(SIZES), encoder.spec.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_texts_become_float32_unit_vectors(encoder: DualEncoder) -> None:
    vectors = encoder.encode_texts(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.spec.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_nothing_in_nothing_out(encoder: DualEncoder, pixels: np.ndarray) -> None:
    for vectors in (encoder.encode_images(pixels[:0]), encoder.encode_texts([])):
        assert vectors.shape == (0, encoder.spec.dimension)
        assert vectors.dtype == np.float32


def test_a_batch_of_pictures_equals_one_at_a_time(encoder: DualEncoder, pixels: np.ndarray) -> None:
    singles = [encoder.encode_images(pixels[i : i + 1])[0] for i in range(len(pixels))]
    np.testing.assert_allclose(encoder.encode_images(pixels), singles, atol=1e-4)


def test_a_batch_of_texts_equals_one_at_a_time(encoder: DualEncoder) -> None:
    many = TEXTS + [f"text number {i}" for i in range(70)]
    some = [*range(len(TEXTS)), 62, 63, 64, 65, len(many) - 1]  # around the end of an inner batch of 64
    singles = [encoder.encode_texts([many[i]])[0] for i in some]
    np.testing.assert_allclose(encoder.encode_texts(many)[some], singles, atol=1e-4)


def test_the_same_twice(encoder: DualEncoder, pixels: np.ndarray) -> None:
    assert np.array_equal(encoder.encode_images(pixels), encoder.encode_images(pixels))
    assert np.array_equal(encoder.encode_texts(TEXTS), encoder.encode_texts(TEXTS))


def test_different_pictures_differ(encoder: DualEncoder, pixels: np.ndarray) -> None:
    portrait, landscape, *_ = encoder.encode_images(pixels)
    assert portrait @ landscape < 0.99999


def test_the_spec(encoder: DualEncoder) -> None:
    assert len(encoder.spec.fingerprint) == 16
    assert int(encoder.spec.fingerprint, 16) >= 0
    assert encoder.spec.to_json()["fingerprint"] == encoder.spec.fingerprint
    assert encoder.image_size > 0


def test_the_caller_may_change_what_it_was_given(encoder: DualEncoder, pixels: np.ndarray) -> None:
    encoder.encode_texts(["a red mug"])[:] = 0
    assert np.any(encoder.encode_texts(["a red mug"]))
    assert encoder.encode_images(pixels).flags.writeable
