"""Heat maps: the region that matched is the one that is known to, through any preprocessing; a true map is faithful."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders.base import DualEncoder
from retrieval.errors import EncoderError, QueryError
from retrieval.explain.colours import colour_map
from retrieval.explain.deletion import STEPS, blurred, faithfulness
from retrieval.explain.drawing import MAX_SIDE, MIN_WIDTH, OVERLAY_SIDE, alone, draw, shares
from retrieval.explain.geometry import Window, resized, window
from retrieval.explain.heat_map import heat_map
from retrieval.explain.occlusion import GRID, occlusion_map
from retrieval.images import decode
from tests.explained import Box, CroppingEncoder, GridColourEncoder, peak, thing
from tests.fakes import ColourEncoder

ENCODERS = {
    "squash": ColourEncoder,
    "grid": GridColourEncoder,
    "crop": lambda: CroppingEncoder("shortest"),
    "pad": lambda: CroppingEncoder("longest"),
}
SIZES = {"square": (120, 120), "landscape": (300, 130), "portrait": (110, 260)}
BOXES = {"middle": (0.4, 0.4, 0.6, 0.6), "upper left": (0.3, 0.25, 0.5, 0.45), "lower right": (0.55, 0.6, 0.72, 0.78)}


def vector(encoder: DualEncoder, words: str) -> np.ndarray:
    return encoder.encode_texts([words])[0]


def inside(at: tuple[float, float], box: Box, slack: tuple[float, float] = (0, 0)) -> bool:
    """Whether a place lies in a box, or not further beside it than slack (half a cell: no map can be finer)."""
    left, top, right, bottom = box
    return left - slack[0] <= at[0] <= right + slack[0] and top - slack[1] <= at[1] <= bottom + slack[1]


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("kind", ENCODERS)
def test_the_highest_place_lies_in_the_thing_that_was_asked_for(kind: str, size: tuple[int, int], box: Box) -> None:
    encoder = ENCODERS[kind]()
    photo = thing("red", box, size)
    made = heat_map(encoder, photo, vector(encoder, "red"), tested=False)
    assert made.method == ("grid" if kind == "grid" else "occlusion")
    rows, columns = made.relevance.shape
    half = (made.window.right - made.window.left) / columns / 2, (made.window.bottom - made.window.top) / rows / 2
    assert inside(peak(shares(made, size)), box, half)


def test_of_two_things_the_one_that_was_asked_for() -> None:
    encoder = ColourEncoder()
    left, right = (0.1, 0.3, 0.35, 0.7), (0.65, 0.3, 0.9, 0.7)
    photo = thing("red", left)
    photo.paste(thing("green", right).crop((78, 36, 108, 84)), (78, 36))
    for words, box in (("red", left), ("green", right)):
        made = heat_map(encoder, photo, vector(encoder, words), tested=False)
        assert inside(peak(shares(made, photo.size)), box), words


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_map_lies_on_the_photo_as_it_stands_upright(orientation: int) -> None:
    upright = thing("red", (0.1, 0.6, 0.35, 0.9), (160, 96))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, "JPEG", exif=exif, quality=95)
    encoder = CroppingEncoder("longest")
    photo = decode(file.getvalue()).image
    assert photo.size == upright.size
    made = heat_map(encoder, photo, vector(encoder, "red"), tested=False)
    assert inside(peak(shares(made, photo.size)), (0.1, 0.6, 0.35, 0.9), slack=(0.05, 0.05))


@pytest.mark.parametrize(
    ("mode", "size", "expected"),
    [
        ("shortest", (200, 100), (0.25, 0, 0.75, 1)),
        ("shortest", (100, 400), (0, 0.375, 1, 0.625)),
        ("longest", (200, 100), (0, -0.5, 1, 1.5)),
        ("longest", (100, 200), (-0.5, 0, 1.5, 1)),
        ("squash", (200, 100), (0, 0, 1, 1)),
        ("shortest", (6_000, 4_000), (1 / 6, 0, 5 / 6, 1)),
        ("squash", (1, 1), (0, 0, 1, 1)),
        ("longest", (1, 40), None),
        ("shortest", (3, 3_000), None),
    ],
)
def test_where_the_encoder_looks(mode: str, size: tuple[int, int], expected: Box | None) -> None:
    found = window(CroppingEncoder(mode), size)
    assert found.left < found.right and found.top < found.bottom
    if expected is not None:
        np.testing.assert_allclose((found.left, found.top, found.right, found.bottom), expected, atol=0.02)


def test_what_the_encoder_cuts_off_has_no_relevance() -> None:
    spread = Window(0.25, 0, 0.75, 1).over_photo(np.ones((7, 7), np.float32), 80, 40)
    assert np.isnan(spread[:, :20]).all() and np.isnan(spread[:, 60:]).all()
    assert (spread[:, 20:60] == 1).all()


def test_between_the_middles_of_cells_a_map_is_linear() -> None:
    ramp = np.arange(4, dtype=np.float32)[None].repeat(4, axis=0)
    spread = resized(ramp, 40, 40)
    np.testing.assert_allclose(spread[0, 5:35], (np.arange(5, 35) + 0.5) / 10 - 0.5, atol=1e-5)
    assert (spread[:, 0] == 0).all() and (spread[:, -1] == 3).all()


def test_occlusion_costs_what_it_says() -> None:
    encoder = ColourEncoder()
    pixels = encoder.preprocess(thing("red", (0.4, 0.4, 0.6, 0.6)))
    occlusion_map(encoder, pixels, vector(encoder, "red"))
    assert encoder.images_encoded == GRID**2 + 1


def test_occlusion_is_what_the_score_loses() -> None:
    encoder = ColourEncoder()
    pixels = encoder.preprocess(thing("red", (0.4, 0.4, 0.6, 0.6)))
    query = vector(encoder, "red")
    found = occlusion_map(encoder, pixels, query, cells=4)
    whole = float(encoder.encode_images(pixels[None])[0] @ query)
    assert found.shape == (4, 4)
    for cell, rows, columns in ((0, 0), slice(16), slice(16)), ((1, 2), slice(4, 20), slice(12, 28)):
        covered = pixels.copy()
        covered[rows, columns] = 128
        assert found[cell] == pytest.approx(whole - float(encoder.encode_images(covered[None])[0] @ query), abs=1e-6)


def colour_share(photo: Image.Image, cells: int = 8) -> np.ndarray:
    """The true relevance of each cell for "red": how much red it holds beyond blue."""
    small = np.asarray(photo.resize((cells, cells), Image.Resampling.BOX), dtype=np.float32)
    return small[..., 0] - small[..., 2]


@pytest.mark.parametrize("box", [(0.1, 0.1, 0.5, 0.5), (0.4, 0.2, 0.9, 0.8), (0.0, 0.5, 0.6, 1.0)], ids=str)
def test_a_true_map_is_faithful_a_random_one_is_not_and_a_reversed_one_is_worse(box: Box) -> None:
    encoder, photo = ColourEncoder(), thing("red", box)
    pixels, query = encoder.preprocess(photo), vector(encoder, "red")

    def figure(relevance: np.ndarray, seed: int) -> float:
        found = faithfulness(encoder, pixels, query, relevance.astype(np.float32), seed=seed).figure
        assert found is not None and -1 <= found <= 1
        return found

    true = colour_share(photo)
    at_random = np.mean([figure(np.random.default_rng(100 + seed).random(true.shape), seed) for seed in range(20)])
    assert abs(at_random) < 0.1
    assert np.mean([figure(true, seed) for seed in range(5)]) > at_random + 0.1
    assert np.mean([figure(-true, seed) for seed in range(5)]) < at_random - 0.1


def test_the_deletion_test_costs_what_it_says_and_starts_and_ends_where_it_must() -> None:
    encoder, photo = ColourEncoder(), thing("red", (0.3, 0.3, 0.7, 0.7))
    pixels, query = encoder.preprocess(photo), vector(encoder, "red")
    encoder.images_encoded = 0
    found = faithfulness(encoder, pixels, query, colour_share(photo))
    assert encoder.images_encoded == found.encodings == 38
    assert len(found.by_map) == len(found.at_random) == STEPS + 1
    assert found.by_map[0] == found.at_random[0] == found.whole
    assert found.by_map[-1] == pytest.approx(found.blank) and found.at_random[-1] == pytest.approx(found.blank)
    assert found == faithfulness(encoder, pixels, query, colour_share(photo))  # no chance in it


def test_where_the_score_hangs_on_nothing_there_is_no_figure() -> None:
    encoder = ColourEncoder()
    pixels = np.full((32, 32, 3), 128, dtype=np.uint8)
    query = vector(encoder, "red")
    assert faithfulness(encoder, pixels, query, np.ones((7, 7), np.float32)).figure is None


def test_another_way_to_delete() -> None:
    encoder, photo = ColourEncoder(), thing("red", (0.3, 0.3, 0.7, 0.7))
    pixels, query = encoder.preprocess(photo), vector(encoder, "red")
    found = faithfulness(encoder, pixels, query, colour_share(photo), cover=blurred)
    assert found.blank == pytest.approx(float(encoder.encode_images(blurred(pixels)[None])[0] @ query), abs=1e-6)


def test_a_method_that_does_not_exist() -> None:
    encoder = ColourEncoder()
    with pytest.raises(QueryError, match="no heat map by 'magic'"):
        heat_map(encoder, thing("red", (0, 0, 1, 1)), vector(encoder, "red"), method="magic")  # type: ignore[arg-type]


def test_a_grid_where_there_is_none() -> None:
    encoder = ColourEncoder()
    with pytest.raises(QueryError, match="colour has no grid"):
        heat_map(encoder, thing("red", (0, 0, 1, 1)), vector(encoder, "red"), method="grid")


def test_pixels_of_another_kind() -> None:
    class Floats(ColourEncoder):
        def preprocess(self, image: Image.Image) -> np.ndarray:  # type: ignore[override]
            return super().preprocess(image).astype(np.float32)

    encoder = Floats()
    with pytest.raises(EncoderError, match="needs uint8 pixels"):
        heat_map(encoder, thing("red", (0, 0, 1, 1)), vector(encoder, "red"))


@pytest.mark.parametrize("size", [(1, 1), (40, 30), (700, 500), (3_000, 400), (2, 1_500), (1_500, 2)], ids=str)
def test_a_drawing_of_any_photo(size: tuple[int, int]) -> None:
    encoder = CroppingEncoder("shortest")
    photo = thing("red", (0.4, 0.4, 0.6, 0.6), size)
    data = draw(photo, heat_map(encoder, photo, vector(encoder, "red")), "red")
    with Image.open(io.BytesIO(data)) as drawn:
        drawn.load()
        assert drawn.format == "PNG"
        assert MIN_WIDTH <= drawn.width <= MAX_SIDE
        assert drawn.height <= 4096 + 200


def test_the_drawing_is_hot_where_the_thing_is_and_keeps_the_photo_elsewhere() -> None:
    encoder, box = ColourEncoder(), (0.1, 0.1, 0.4, 0.4)
    photo = thing("red", box, (600, 600))
    with Image.open(io.BytesIO(draw(photo, heat_map(encoder, photo, vector(encoder, "red")), "red"))) as drawn:
        pixels = np.asarray(drawn.convert("RGB"), dtype=int)
    hot, cold = pixels[150, 150], pixels[500, 500]
    assert hot[0] > 200 and hot[1] > 100  # red under light yellow
    assert cold[2] > 100 and cold[2] > 2 * cold[0]  # still blue, calmer


@pytest.mark.parametrize("query", ["red shirt", "紅色的襯衫", "x" * 3000, "a\nb\tc", "", "naïve café"])
def test_the_file_says_what_was_asked_in_any_script(query: str) -> None:
    encoder, photo = ColourEncoder(), thing("red", (0.1, 0.1, 0.4, 0.4))
    made = heat_map(encoder, photo, vector(encoder, "red"))
    assert made.faithfulness is not None
    with Image.open(io.BytesIO(draw(photo, made, query))) as drawn:
        drawn.load()
        assert drawn.text["Description"].startswith(f"{query}: score {made.score:.3f}")  # type: ignore[attr-defined]
        assert f"faithfulness {round(made.faithfulness.figure, 2) + 0.0:.2f}" in drawn.text["Description"]  # type: ignore[attr-defined]


def test_colours_can_be_told_apart_without_hue() -> None:
    linear = (colour_map() / 255.0) ** 2.2
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -1e-3).all() and luminance[-1] > 10 * luminance[0]
    # Deuteranopia, the commonest: Machado, Oliveira & Fernandes 2009, severity 1.
    blind = linear @ np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]).T
    steps = np.linalg.norm(np.diff(np.clip(blind[::16], 0, 1) ** (1 / 2.2), axis=0), axis=1)
    assert steps.min() > 0.02


def test_json_holds_the_figure_and_what_it_means() -> None:
    encoder, photo = GridColourEncoder(), thing("red", (0.1, 0.1, 0.4, 0.4))
    said = heat_map(encoder, photo, vector(encoder, "red")).to_json()
    assert said["method"] == "grid" and -1 <= said["faithfulness"] <= 1
    assert "no better than chance" in said["faithfulness_means"]
    assert np.array(said["relevance"]).shape == (8, 8)


def test_a_photo_that_is_a_file(tmp_path: Path) -> None:
    """From bytes to PNG, as a program would do it."""
    thing("red", (0.6, 0.6, 0.9, 0.9), (500, 300)).save(tmp_path / "photo.png")
    encoder = ColourEncoder()
    photo = decode((tmp_path / "photo.png").read_bytes(), target=1024).image
    data = draw(photo, heat_map(encoder, photo, vector(encoder, "red")), "red")
    assert data.startswith(b"\x89PNG")


class TestAlone:
    """The map without its photo, for a page to lay over it."""

    @pytest.mark.parametrize("size", [(120, 120), (1500, 500), (300, 900), (3, 2000)])
    def test_it_has_the_shape_of_the_photo_and_is_small(self, size: tuple[int, int]) -> None:
        encoder = ColourEncoder()
        photo = thing("red", (0.4, 0.4, 0.6, 0.6), size)
        made = heat_map(encoder, photo, vector(encoder, "red"), tested=False)
        with Image.open(io.BytesIO(alone(made, size))) as drawn:
            assert drawn.mode == "RGBA"
            assert max(drawn.size) == min(OVERLAY_SIDE, max(size))
            assert drawn.width == max(1, round(drawn.height * size[0] / size[1])) or drawn.height == round(
                drawn.width * size[1] / size[0]
            )

    def test_it_is_opaque_on_the_thing_and_clear_elsewhere(self) -> None:
        encoder = GridColourEncoder()
        box = (0.25, 0.25, 0.5, 0.5)
        made = heat_map(encoder, thing("red", box), vector(encoder, "red"), tested=False)
        opacity = np.asarray(Image.open(io.BytesIO(alone(made, (120, 120)))))[..., 3]
        at = np.unravel_index(opacity.argmax(), opacity.shape)
        assert inside((at[1] / 120, at[0] / 120), box)
        assert opacity.max() > 100
        assert opacity[80:, 80:].max() == 0

    def test_where_all_is_seen_no_edge_is_dark(self) -> None:
        encoder = ColourEncoder()
        made = heat_map(encoder, thing("red", BOXES["middle"], (1600, 800)), vector(encoder, "red"), tested=False)
        opacity = np.asarray(Image.open(io.BytesIO(alone(made, (1600, 800)))))[..., 3]
        assert opacity[[0, -1]].max() == opacity[:, [0, -1]].max() == 0

    def test_what_the_encoder_cuts_off_is_dark(self) -> None:
        encoder = CroppingEncoder("shortest")
        made = heat_map(encoder, thing("red", BOXES["middle"], (300, 100)), vector(encoder, "red"), tested=False)
        drawn = np.asarray(Image.open(io.BytesIO(alone(made, (300, 100)))))
        assert drawn[50, 5].tolist() == drawn[50, 295].tolist() == [0, 0, 0, 165]
