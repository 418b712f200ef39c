"""A whole evaluation with real pictures and an encoder whose right answers are known."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.errors import EvaluationError, WeightsUnavailable
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.judge import judge
from retrieval.evaluation.measures import DEFAULT_MEASURES
from retrieval.evaluation.ranking import rank_exact
from retrieval.evaluation.types import EvaluationImage, EvaluationSet, EvaluationText, Task
from tests.fakes import COLOURS, ColourEncoder, Pixels

NAMES = tuple(COLOURS)


def picture(colour: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (40, 30), COLOURS[colour]).save(data, "PNG")
    return data.getvalue()


def image(colour: str, read: Callable[[], bytes] | None = None) -> EvaluationImage:
    return EvaluationImage(
        colour, read or (lambda: picture(colour)), attributes={"bright": str(sum(COLOURS[colour]) > 380)}
    )


def colour_set(*, wrong: Sequence[str] = (), images: Sequence[EvaluationImage] | None = None) -> EvaluationSet:
    """Two captions a colour, English and Spanish. In Spanish the `wrong` ones name another colour than their image."""
    texts, relevant = [], {}
    for colour in NAMES:
        other = NAMES[(NAMES.index(colour) + 1) % len(NAMES)] if colour in wrong else colour
        texts.append(EvaluationText(f"{colour}-en", f"a {colour} thing", language="en"))
        texts.append(EvaluationText(f"{colour}-es", f"una cosa {other}", language="es", attributes={"kind": "long"}))
        relevant[colour] = {f"{colour}-en": 1, f"{colour}-es": 1}
    ids = tuple(text.text_id for text in texts)
    owner = {text_id: colour for colour, row in relevant.items() for text_id in row}
    return EvaluationSet(
        "colours",
        tuple(images or map(image, NAMES)),
        tuple(texts),
        (
            Task("text_to_image", ids, NAMES, {text_id: {owner[text_id]: 1} for text_id in ids}),
            Task("image_to_text", NAMES, ids, relevant),
        ),
    )


def test_a_model_that_understands_the_set_reaches_the_top() -> None:
    encoder = ColourEncoder()
    told: list[tuple[str, int, int]] = []
    found = evaluate(colour_set(), encoder, on_progress=lambda *step: told.append(step))
    assert (found.model, found.fingerprint, found.search) == ("colour", encoder.spec.fingerprint, "exact")
    assert list(found.results) == ["text_to_image", "image_to_text"]
    to_image, to_text = found.results["text_to_image"], found.results["image_to_text"]
    assert tuple(to_image.figures) == DEFAULT_MEASURES
    assert to_image.figures["success@1"] == to_text.figures["success@1"] == to_text.figures["ndcg@10"] == 1
    assert to_image.figures["median_rank"] == 1
    assert to_image.intervals["success@1"] == (1, 1)
    assert [told[0], told[1], told[2], told[3]] == [
        ("images", 9, 9),
        ("texts", 18, 18),
        ("text_to_image", 18, 18),
        ("image_to_text", 9, 9),
    ]
    assert (encoder.images_encoded, encoder.texts_encoded) == (9, 18)
    assert found.seconds > 0


def test_slices_show_where_it_fails() -> None:
    result = evaluate(colour_set(wrong=NAMES[:3]), ColourEncoder(), measures=["success@1"]).results["text_to_image"]
    assert result.figures["success@1"] == pytest.approx(15 / 18)
    assert result.slices == {
        "language": {"en": (9, {"success@1": 1.0}), "es": (9, {"success@1": pytest.approx(6 / 9)})}
    }  # `kind` has one value only, which would repeat the Spanish slice
    low, high = result.intervals["success@1"]
    assert low < 15 / 18 < high


def test_small_slices_are_left_out() -> None:
    task = colour_set().tasks[1]
    ranking = evaluate(colour_set(), ColourEncoder()).results["image_to_text"].ranking
    shape = ["round"] * 5 + ["flat"] * 4
    assert judge(task, ranking, ["mrr"], attributes={"shape": shape}).slices == {}
    assert judge(task, ranking, ["mrr"], attributes={"shape": ["a", "b", "c", *[""] * 6]}).slices == {}


def test_slices_are_of_clusters_and_of_few_values() -> None:
    """Five captions of one photo are one observation, and an id for each photo is no attribute to slice by."""
    names = tuple(map(str, range(606)))
    task = Task("text_to_image", names, names, {name: {str(int(name) // 6): 1} for name in names})
    vectors = np.random.default_rng(0).standard_normal((2, 606, 8)).astype(np.float32)
    ranking = rank_exact(*vectors, task)
    photo = np.arange(606) // 6
    attributes = {
        "photo_of_few": [str(number) if number < 9 else "" for number in photo],
        "five_photos": [str(number // 5) if number < 10 else "" for number in photo],
        "hundred": [str(number) for number in np.arange(606) % 100],
        "more": [str(number) for number in np.arange(606) % 101],
    }
    found = judge(task, ranking, ["mrr"], attributes=attributes).slices
    assert list(found) == ["five_photos", "hundred"]
    assert [count for count, _ in found["five_photos"].values()] == [30, 30]


def test_the_seed_decides_the_intervals() -> None:
    names = tuple(map(str, range(60)))
    task = Task("image_to_image", names, names, {name: {name: 1} for name in names})
    vectors = np.random.default_rng(0).standard_normal((2, 60, 8)).astype(np.float32)
    ranking = rank_exact(*vectors, task)
    first, again, other = (judge(task, ranking, ["mrr"], seed=seed).intervals for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_one_cluster_has_no_interval() -> None:
    texts = (EvaluationText("a", "red"), EvaluationText("b", "a red one"))
    task = Task("text_to_image", ("a", "b"), NAMES, {"a": {"red": 1}, "b": {"red": 1}})
    result = evaluate(EvaluationSet("one", tuple(map(image, NAMES)), texts, (task,)), ColourEncoder())
    assert result.results["text_to_image"].figures["success@1"] == 1
    assert result.results["text_to_image"].intervals == {}


def test_only_what_a_task_names_is_encoded() -> None:
    """Two photos rank three others; one picture that no task names is not even read."""

    def unread() -> bytes:
        raise AssertionError("read")

    encoder = ColourEncoder()
    images = (*map(image, NAMES[:5]), image(NAMES[5], unread))
    task = Task("image_to_image", NAMES[:2], NAMES[2:5], {NAMES[0]: {NAMES[2]: 1}, NAMES[1]: {NAMES[3]: 1}})
    found = evaluate(EvaluationSet("pairs", images, (EvaluationText("t", "red"),), (task,)), encoder)
    assert (encoder.images_encoded, encoder.texts_encoded) == (5, 0)
    assert found.results["image_to_image"].ranking.top.shape == (2, 3)


def test_a_cutoff_beyond_the_usual_depth_deepens_the_ranking() -> None:
    texts = tuple(EvaluationText(f"t{row}", f"{NAMES[row % 9]} {'dark ' * (row % 2)}") for row in range(150))
    task = Task("image_to_text", ("red",), tuple(text.text_id for text in texts), {"red": {"t0": 1}})
    found = evaluate(EvaluationSet("deep", (image("red"),), texts, (task,)), ColourEncoder(), measures=["recall@120"])
    assert found.results["image_to_text"].ranking.top.shape == (1, 120)


def test_unreadable_images_are_counted_and_named_and_give_no_figure(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(picture("red")[:60])

    def gone() -> bytes:
        return (tmp_path / "gone.png").read_bytes()

    encoder = ColourEncoder()
    reads = [bad.read_bytes, gone, lambda: b"%PDF-1.4", lambda: b""]
    images = [*map(image, NAMES[:4], reads), *map(image, NAMES[4:])]
    with pytest.raises(EvaluationError) as caught:
        evaluate(colour_set(images=images), encoder)
    message = str(caught.value)
    assert message.startswith("4 of 9 images cannot be read (red: ")
    assert "green: cannot be read: [Errno 2]" in message
    assert "blue: not a picture" in message
    assert message.endswith("; and 1 more)")
    assert caught.value.hint
    assert encoder.images_encoded == 0


def test_max_pixels_is_obeyed() -> None:
    with pytest.raises(EvaluationError, match="9 of 9 images cannot be read"):
        evaluate(colour_set(), ColourEncoder(), max_pixels=1_000)


class Failing(ColourEncoder):
    """Fails at a call of its choice, in a way of its choice."""

    def __init__(self, *, after: int, outcome: Exception | FloatArray, texts: bool = False) -> None:
        super().__init__(name="frail")
        self.after, self.outcome, self.fails_at_texts = after, outcome, texts

    def encode_images(self, pixels: Pixels) -> FloatArray:
        if not self.fails_at_texts and self.images_encoded >= self.after:
            return self._fail()
        return super().encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        if self.fails_at_texts and self.texts_encoded >= self.after:
            return self._fail()
        return super().encode_texts(texts)

    def _fail(self) -> FloatArray:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def many_images(n: int) -> EvaluationSet:
    images = tuple(EvaluationImage(f"i{row}", lambda: picture("red")) for row in range(n))
    texts = tuple(EvaluationText(f"t{row}", f"red {row}") for row in range(n))
    ids = tuple(found.image_id for found in images)
    return EvaluationSet(
        "many",
        images,
        texts,
        (Task("text_to_image", tuple(found.text_id for found in texts), ids, {"t0": {"i0": 1}}),),
    )


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (
            Failing(after=32, outcome=RuntimeError("out of memory\nTried to allocate")),
            "32 of 70 images: out of memory$",
        ),
        (Failing(after=64, outcome=KeyError()), "64 of 70 images: KeyError$"),
        (Failing(after=0, outcome=RuntimeError("no"), texts=True), "0 of 70 texts: no$"),
        (Failing(after=32, outcome=np.full((32, 4), np.nan, np.float32)), "32 of 70 images: vectors hold NaN"),
        (Failing(after=64, outcome=np.zeros((6, 3), np.float32)), r"64 of 70 images: vectors of shape \(6, 3\)"),
        (Failing(after=64, outcome=np.zeros((5, 4), np.float32), texts=True), r"64 of 70 texts: vectors of shape"),
    ],
)
def test_a_model_that_fails_half_way_says_how_far_it_got(encoder: ColourEncoder, message: str) -> None:
    with pytest.raises(EvaluationError, match=f"the model 'frail' failed after {message}"):
        evaluate(many_images(70), encoder)


def test_a_model_without_weights_keeps_its_hint() -> None:
    encoder = Failing(after=0, outcome=WeightsUnavailable("not here", hint="fetch them"))
    with pytest.raises(EvaluationError, match="after 0 of 9 images: not here") as caught:
        evaluate(colour_set(), encoder)
    assert caught.value.hint == "fetch them"


def test_a_preprocessing_that_fails_is_the_models_failure() -> None:
    class Broken(ColourEncoder):
        def preprocess(self, image: Image.Image) -> Pixels:
            raise RuntimeError("bad mean")

    with pytest.raises(EvaluationError, match="the model 'colour' failed after 0 of 9 images: bad mean"):
        evaluate(colour_set(), Broken())


GOOD = colour_set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ()}, "has 0 tasks"),
        ({"tasks": (GOOD.tasks[0], GOOD.tasks[0])}, "2 tasks in 1 directions"),
        ({"images": (*GOOD.images, GOOD.images[0])}, "1 of 9 image ids occur more than once: 'red'"),
        ({"texts": (*GOOD.texts, *GOOD.texts[:2])}, "2 of 18 text ids occur more than once"),
        ({"images": GOOD.images[2:]}, "names 2 images that 'colours' does not have: 'red', 'green'"),
        ({"texts": GOOD.texts[:-4]}, "names 4 texts .*, 'white-es', 'black-en' and 1 more"),
        ({"tasks": (Task("text_to_image", (), NAMES, {}),)}, "0 queries and 9 documents"),
        ({"tasks": (Task("text_to_image", ("red-en",), (), {}),)}, "1 queries and 0 documents"),
        (
            {"tasks": (Task("text_to_image", ("red-en",), NAMES, {"red-en": {"pink": 1}}),)},
            "judgements name 1 documents .* 'pink'",
        ),
    ],
)
def test_a_set_that_is_wrong_is_refused_before_anything_is_encoded(change: dict[str, object], message: str) -> None:
    encoder = ColourEncoder()
    with pytest.raises(EvaluationError, match=message) as caught:
        evaluate(replace(GOOD, **change), encoder)
    assert caught.value.hint
    assert encoder.images_encoded == encoder.texts_encoded == 0


def test_an_unknown_measure_is_said_before_anything_is_encoded() -> None:
    encoder = ColourEncoder()
    with pytest.raises(EvaluationError, match="no measure 'recal@5'"):
        evaluate(colour_set(), encoder, measures=["recal@5"])
    assert encoder.images_encoded == 0
