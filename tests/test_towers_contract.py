"""What all `Towers` must do, run for each of them."""

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders import load_encoder
from retrieval.encoders.heads import Heads
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers.base import Towers
from retrieval.encoders.towers.embedding import EmbeddingTowers
from retrieval.errors import EncoderError, FingerprintMismatch
from tests.fakes import ColourTowers
from tests.test_heads import a_head
from tests.test_openclip import tiny_folder

PICTURES = [
    Image.new("RGB", size, colour) for size, colour in (((300, 500), "red"), ((1, 1), "blue"), ((64, 8), "teal"))
]
TEXTS = ["a red mug", "", "紅色的馬克杯", "long " * 3000]


@pytest.fixture(scope="module", params=["colour", "embeddings", pytest.param("starter", marks=pytest.mark.model)])
def towers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Towers:
    if request.param == "colour":
        return ColourTowers()
    if request.param == "embeddings":
        return EmbeddingTowers(load_encoder(str(tiny_folder(tmp_path_factory.mktemp("model")))))
    from retrieval.encoders.starter import StarterTowers

    return StarterTowers()


def test_features_have_the_stated_shapes(towers: Towers) -> None:
    pixels = np.stack([towers.preprocess(picture) for picture in PICTURES])
    assert pixels.dtype == np.uint8
    for found, n, dimension in (
        (towers.image_features(pixels), len(PICTURES), towers.image_features_dimension),
        (towers.image_features(pixels[:0]), 0, towers.image_features_dimension),
        (towers.text_features(TEXTS), len(TEXTS), towers.text_features_dimension),
        (towers.text_features([]), 0, towers.text_features_dimension),
    ):
        assert found.shape == (n, dimension)
        assert found.dtype == np.float32
        assert np.isfinite(found.astype(np.float16)).all()  # that is how they are kept


def test_they_can_be_named(towers: Towers) -> None:
    assert towers.name
    assert len(towers.towers_hash) == 64
    assert towers.tokenizer
    assert towers.image_size > 0
    assert dict(towers.preprocessing)


def test_heads_that_fit_make_an_encoder(towers: Towers) -> None:
    encoder = ProjectedEncoder(towers, heads_for(towers), "mine")
    assert encoder.image_size == towers.image_size
    assert encoder.spec.dimension == 8
    vectors = encoder.encode_texts(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    pixels = np.stack([encoder.preprocess(picture) for picture in PICTURES])
    assert encoder.encode_images(pixels).shape == (3, 8)
    assert encoder.encode_images(pixels[:0]).shape == (0, 8)


def heads_for(towers: Towers, *, image: int = 0, hash_of: str = "") -> Heads:
    return Heads(
        image=a_head(image or towers.image_features_dimension),
        text=a_head(towers.text_features_dimension),
        towers=hash_of or towers.towers_hash,
        sha256="0" * 64,
    )


def test_heads_of_other_towers_are_refused(towers: Towers) -> None:
    with pytest.raises(FingerprintMismatch, match="of mine were trained on other towers") as caught:
        ProjectedEncoder(towers, heads_for(towers, hash_of="f" * 64), "mine")
    assert towers.name in str(caught.value)
    assert "catalens train heads" in caught.value.hint
    with pytest.raises(EncoderError, match="not 3 and"):
        ProjectedEncoder(towers, heads_for(towers, image=3), "mine")
