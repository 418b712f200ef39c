"""From described pictures to a pair of heads: gathering, the split, the judge, and what cannot be trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.arrays import FloatArray
from retrieval.encoders.heads import Head
from retrieval.encoders.seen import digest, packed, read_seen
from retrieval.encoders.towers.embedding import identity_head
from retrieval.encoders.trained import load_trained
from retrieval.errors import EncoderError, ImageError, TrainingError
from retrieval.training.data import Described, TrainingData
from retrieval.training.fit import Settings
from retrieval.training.gather import Gathered, gather
from retrieval.training.success import best_ranks
from retrieval.training.train_heads import SETTINGS, train_heads
from retrieval.training.validation import validation_of
from tests.fakes import COLOURS, ColourEncoder, ColourTowers, colour_model
from tests.training_data import photo

QUICK = replace(SETTINGS, epochs=40, patience=40, learning_rate=0.02, batch=16)


def described(folder: Path, n: int = 60, *, text: str = "a {} wall", source: str = "walls") -> list[Described]:
    made = []
    for at in range(n):
        colour = list(COLOURS)[at % len(COLOURS)]
        path = folder / f"{at}.png"
        photo(path, colour, at)
        made.append(Described(source, path.name, path.name, path.read_bytes, {"caption": (text.format(colour),)}))
    return made


def gathered(pictures: list[Described], **options: object) -> Gathered:
    given = {"validation": 0.3, "cache": None} | options
    return gather(pictures, ColourTowers(), **given)  # type: ignore[arg-type]


# --- gathering -----------------------------------------------------------------------------------------------


def test_a_picture_keeps_its_part_when_others_are_added(tmp_path: Path) -> None:
    all_of_them = described(tmp_path, 40)
    few, many = gathered(all_of_them[10:30]), gathered(all_of_them)
    parts = dict(zip(many.digests, many.parts, strict=True))
    assert set(many.parts) == {"train", "validation"}
    assert all(parts[one] == part for one, part in zip(few.digests, few.parts, strict=True))


def test_pictures_of_one_item_have_one_part(tmp_path: Path) -> None:
    pictures = [replace(one, item=f"item {at // 4}") for at, one in enumerate(described(tmp_path, 80))]
    found = gathered(pictures)
    by_item: dict[str, set[str]] = {}
    for one, part in zip(found.pictures, found.parts, strict=True):
        by_item.setdefault(one.item, set()).add(part)
    assert all(len(parts) == 1 for parts in by_item.values())
    assert len({part for parts in by_item.values() for part in parts}) == 2


def test_items_that_share_a_picture_have_one_part(tmp_path: Path) -> None:
    """Else the shared picture's texts would train while the rest of its other item validates."""
    pictures = [replace(one, item=f"item {at // 2}") for at, one in enumerate(described(tmp_path, 80))]
    shared = range(0, 80, 4)  # items 0 and 1, 2 and 3, … share a photo
    joined = [*pictures, *(replace(pictures[at], name=f"{at}", item=pictures[at + 2].item) for at in shared)]
    found = gathered(joined)
    parts = {one.name: part for one, part in zip(found.pictures, found.parts, strict=True)}
    assert set(parts.values()) == {"train", "validation"}
    for at in shared:
        assert len({parts[pictures[at + more].name] for more in range(4)}) == 1
    turned = gathered(joined[::-1])
    assert dict(zip(turned.digests, turned.parts, strict=True)) == dict(zip(found.digests, found.parts, strict=True))


def test_equal_bytes_are_one_picture_with_the_texts_of_all(tmp_path: Path) -> None:
    one, two = described(tmp_path, 2)
    copy = Described("shop", "copy.png", "copy", one.read, {"title": ("Paint",), "caption": ("A  RED wall", "")})
    found = gathered([one, two, copy])
    assert (len(found.pictures), found.equal, len(found.images)) == (2, 1, 2)
    assert found.groups[0] == {"caption": ("a red wall",), "title": ("Paint",)}  # equal but for case and blanks


def test_only_what_is_new_is_encoded(tmp_path: Path) -> None:
    pictures = described(tmp_path / "photos", 12)
    cache = tmp_path / "cache"
    first = gathered(pictures[:10], cache=cache)
    again = gathered(pictures[:10], cache=cache)
    more = gathered(pictures, cache=cache)
    assert (first.encoded[0], again.encoded, more.encoded) == (10, (0, 0), (2, 0))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.images, more.images[:10])
    np.testing.assert_array_equal(first.text_features, again.text_features)


def test_features_of_another_runtime_are_not_taken(tmp_path: Path) -> None:
    towers, pictures = ColourTowers(), described(tmp_path / "photos", 4)
    for runtime, encoded in (("torch", (4, 4)), ("openvino (image f32)", (4, 4)), ("torch", (0, 0))):
        towers.runtime = runtime
        assert gather(pictures, towers, validation=0.3, cache=tmp_path / "cache").encoded == encoded


def test_what_cannot_be_read_is_named_and_left_out(tmp_path: Path) -> None:
    pictures = described(tmp_path, 4)
    (tmp_path / "1.png").write_bytes(b"not a picture")
    (tmp_path / "2.png").unlink()
    found = gathered(pictures)
    assert [one.name for one in found.pictures] == ["0.png", "3.png"]
    assert [name for name, _ in found.unreadable] == ["1.png", "2.png"]

    def refused() -> bytes:
        raise ImageError("no such file")

    with pytest.raises(TrainingError, match=r"none of the 4 pictures can be read \(0.png: no such file") as caught:
        gathered([replace(one, read=refused) for one in pictures])
    assert "--images-dir" in caught.value.hint


# --- pictures that the base was trained on -------------------------------------------------------------------


def test_validation_takes_pictures_that_the_base_never_saw(tmp_path: Path) -> None:
    pictures = described(tmp_path, 60)
    seen = frozenset(digest(one.read()) for one in pictures[:40])
    found = gathered(pictures, seen=seen)
    validating = {one.name for one, part in zip(found.pictures, found.parts, strict=True) if part == "validation"}
    assert validating
    assert not validating & {one.name for one in pictures[:40]}
    assert found.seen == 40
    assert len(validating) > sum(part == "validation" for part in gathered(pictures[40:]).parts)  # 0.3 of all 60


def test_an_item_of_which_the_base_saw_any_picture_trains(tmp_path: Path) -> None:
    pictures = [replace(one, item=f"item {at // 3}") for at, one in enumerate(described(tmp_path, 120))]
    seen = frozenset(digest(one.read()) for one in pictures[2:90:3])  # the last of three
    found = gathered(pictures, seen=seen)
    parts = {one.name: part for one, part in zip(found.pictures, found.parts, strict=True)}
    assert {parts[one.name] for one in pictures[:90]} == {"train"}
    assert "validation" in {parts[one.name] for one in pictures[90:]}


def test_a_base_that_saw_everything_is_judged_all_the_same(tmp_path: Path) -> None:
    pictures = described(tmp_path, 30)
    everything = frozenset(digest(one.read()) for one in pictures)
    found = gathered(pictures, seen=everything)
    assert (found.seen, found.parts) == (30, gathered(pictures).parts)


def test_the_file_of_seen_pictures(tmp_path: Path) -> None:
    path = tmp_path / "x.seen"
    assert read_seen(path) == read_seen(None) == frozenset()
    path.write_bytes(packed([digest(b"b"), digest(b"a"), digest(b"b")]))
    assert read_seen(path) == {digest(b"a"), digest(b"b")}
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(EncoderError, match="cut off"):
        read_seen(path)


# --- the judge -----------------------------------------------------------------------------------------------


def test_ranks_agree_with_the_plain_way() -> None:
    rng = np.random.default_rng(0)
    queries, gallery = (rng.integers(-1, 2, (n, 3)).astype(np.float32) for n in (50, 30))  # many ties
    relevant = [rng.choice(30, size=rng.integers(1, 6), replace=False) for _ in range(50)]
    expected = []
    for query, right in zip(queries, relevant, strict=True):
        scores = gallery @ query
        best = max(scores[i] for i in right)
        expected.append(1 + sum(scores[i] >= best for i in range(30) if i not in right))
    assert best_ranks(queries, gallery, relevant).tolist() == expected


def test_a_text_of_several_pictures_finds_any_of_them(tmp_path: Path) -> None:
    judge = validation_of(gathered(described(tmp_path, 90)))
    (check,) = judge.checks
    assert len(check.texts) == len(COLOURS) < len(check.pictures)
    right = identity_head(4)
    # The towers mix up a text's channels; a head that puts them back finds everything.
    back = replace(right, linear=right.linear[:, [2, 0, 1, 3]])
    (success,) = judge.success(right, back, ks=(1,))
    assert success == {"text_to_image": [1.0], "image_to_text": [1.0]}
    assert judge.figure(right, back) == 1.0
    assert judge.figure(right, right) < 0.7


def test_the_figure_weighs_data_sets_and_groups_evenly(tmp_path: Path) -> None:
    judge = validation_of(gathered(described(tmp_path, 60)))
    (check,) = judge.checks
    three = replace(judge, checks=(replace(check, source="a"), replace(check, source="b"), replace(check, source="b")))
    success = [{"text_to_image": [a], "image_to_text": [b]} for a, b in ((1.0, 0.5), (0.0, 0.0), (0.5, 0.5))]
    assert three.means(success) == [pytest.approx((0.75 + (0 + 0.5) / 2) / 2)]


# --- training ------------------------------------------------------------------------------------------------


def train(pictures: list[Described], settings: Settings = QUICK, **options: object):  # type: ignore[no-untyped-def]
    given = {"validation": 0.3} | options
    return train_heads(TrainingData(tuple(pictures)), colour_model(), settings, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", ["infonce", "sigmoid", "margin"])
def test_training_lifts_validation_from_the_base(tmp_path: Path, loss: str) -> None:
    trained = train(described(tmp_path, 120), replace(QUICK, loss=loss, adversarial=0.1 if loss == "margin" else 0.0))
    mean = trained.facts()["validation"]["mean"]
    assert trained.improved
    assert mean["after"]["success@1"] > mean["before"]["success@1"] + 0.2
    assert len(trained.fitted.history) == trained.settings.epochs


def test_progress_counts_every_stage(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    train(described(tmp_path, 60), replace(QUICK, epochs=3), on_progress=lambda *one: told.append(one))
    last = {stage: (done, total) for stage, done, total in told}
    assert list(last) == ["images", "texts", "epochs"]
    assert last == {"images": (60, 60), "texts": (9, 9), "epochs": (3, 3)}


def test_the_base_is_kept_when_no_epoch_is_better(tmp_path: Path) -> None:
    right = identity_head(4).as_saved()
    back = replace(right, linear=right.linear[:, [2, 0, 1, 3]])
    base = colour_model()
    base.heads = replace(base.heads, text=back)
    pictures = described(tmp_path, 60)
    trained = train_heads(TrainingData(tuple(pictures)), base, replace(QUICK, epochs=3), validation=0.3)
    assert not trained.improved
    assert trained.fitted.epoch == 0
    np.testing.assert_array_equal(trained.fitted.text.linear, back.linear)
    assert trained.before == trained.after


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    pictures = described(tmp_path / "photos", 60)

    def content(name: str, seed: int) -> dict[str, bytes]:
        trained = train(pictures, replace(QUICK, epochs=3, seed=seed), cache=tmp_path / "cache")
        trained.write(tmp_path / name)
        return {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}

    first, again, other = content("first", 1), content("again", 1), content("other", 2)
    assert first == again
    assert set(first) == {"catalens_heads.json", "heads.safetensors", "heads.seen", "curve.png"}
    assert first["curve.png"].startswith(b"\x89PNG")
    assert first["heads.safetensors"] != other["heads.safetensors"]


def test_trained_heads_are_a_base_and_remember_what_they_saw(tmp_path: Path) -> None:
    pictures = described(tmp_path / "photos", 60)
    first = train(pictures)
    first.write(tmp_path / "first")
    base = load_trained(tmp_path / "first", lambda _: colour_model())
    second = train_heads(TrainingData(tuple(pictures)), base, QUICK, validation=0.3)
    assert second.towers.name == "colour-towers"  # the heads of heads name the towers
    assert second.started_from == {"model": base.spec.name, "fingerprint": base.spec.fingerprint}
    assert second.before == first.after
    validated = {d for d, part in zip(second.gathered.digests, second.gathered.parts, strict=True) if part != "train"}
    assert validated
    assert not {bytes.fromhex(one[:16]) for one in validated} & read_seen(base.seen)


def test_a_base_without_heads_starts_as_it_is(tmp_path: Path) -> None:
    pictures = described(tmp_path, 60)
    trained = train_heads(TrainingData(tuple(pictures)), ColourEncoder(), replace(QUICK, epochs=1), validation=0.3)
    assert trained.towers.name == "colour"
    assert trained.facts()["validation"]["mean"]["before"]["success@1"] == 1.0  # ColourEncoder is right already
    assert not trained.improved


class Broken(ColourTowers):
    def image_features(self, pixels: np.ndarray) -> FloatArray:
        return super().image_features(pixels) * np.float32(np.nan)


def test_what_cannot_be_trained(tmp_path: Path) -> None:
    pictures = described(tmp_path, 40)
    with pytest.raises(TrainingError, match="of 4 different pictures are left") as few:
        train(pictures[:4], validation=0.01)
    with pytest.raises(TrainingError, match="have the same text") as same:
        train([replace(one, texts={"caption": ("thing",)}) for one in pictures])
    with pytest.raises(TrainingError, match="nothing to judge by") as unjudged:
        train(pictures, validation=0.0001)
    assert all(caught.value.hint for caught in (few, same, unjudged))
    assert "--validation" in unjudged.value.hint
    with pytest.raises(EncoderError, match="NaN or infinity"):
        gather(pictures, Broken(), validation=0.3, cache=None)


class Failing(ColourTowers):
    def image_features(self, pixels: np.ndarray) -> FloatArray:
        if self.images_encoded:
            raise RuntimeError("out of memory\nat some place")
        return super().image_features(pixels)


def test_a_tower_that_fails_is_named_and_what_it_gave_is_kept(tmp_path: Path) -> None:
    pictures = described(tmp_path / "photos", 40)
    with pytest.raises(EncoderError, match=r"'colour-towers' failed after 32 new pictures: out of memory$") as caught:
        gather(pictures, Failing(), validation=0.3, cache=tmp_path / "cache")
    assert "kept" in caught.value.hint
    assert gathered(pictures, cache=tmp_path / "cache").encoded[0] == 8


def test_the_place_is_checked_before_the_work(tmp_path: Path) -> None:
    def refused() -> bytes:
        raise AssertionError("a picture was read")

    pictures = [replace(one, read=refused) for one in described(tmp_path / "photos", 10)]
    with pytest.raises(EncoderError, match="holds no trained heads"):
        train(pictures, out=tmp_path / "photos")


def test_heads_as_saved_are_what_the_file_holds() -> None:
    head = Head(*(np.array([1 / 3], dtype=np.float32) for _ in range(7)))
    assert head.as_saved().bias.tolist() == [float(np.float16(1 / 3))]
