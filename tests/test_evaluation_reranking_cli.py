"""`catalens eval --rerank` as people call it: tables, JSON, the report, and what it refuses."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from api.cli.evaluation.reranking import HEADINGS, change, notes, reranking_lines, shown, verdict
from retrieval.encoders.seen import digest, packed
from retrieval.encoders.starter import load_starter
from retrieval.errors import EncoderError
from retrieval.evaluation.reranked import Reranking
from retrieval.evaluation.reranking import evaluate_with_reranking
from retrieval.evaluation.trained_on import pictures_trained_on
from retrieval.rerankers.base import RerankerSpec
from retrieval.rerankers.folder import write
from retrieval.rerankers.registry import KINDS
from tests.command_line import Run, runner
from tests.fakes import ColourEncoder
from tests.halves import PAIRS, HalvesEncoder, HalvesReranker, halves, halves_set
from tests.pages import Page


def load(name: str, **_: object) -> ColourEncoder:
    return ColourEncoder(name) if name == "colour" else HalvesEncoder(name)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`catalens ARGUMENTS`, with encoders that see halves; their default reranker is named `own` and knows them."""
    monkeypatch.setattr("retrieval.encoders.load_encoder", load)
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[HalvesReranker]:
    reranker = HalvesReranker(HalvesEncoder().token_spec, name="own")
    monkeypatch.setattr("retrieval.rerankers.default_reranker", lambda fingerprint: "own" if fingerprint else None)
    monkeypatch.setattr("retrieval.rerankers.load_reranker", lambda name, **_: {"own": reranker}[name])
    yield reranker


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    lines = []
    for left, right in PAIRS:
        (tmp_path / f"{left}-{right}.png").write_bytes(halves(left, right))
        lines.append({"image": f"{left}-{right}.png", "split": "val", "en": [f"{left} {right}"]})
    path = tmp_path / "captions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def judged() -> Reranking:
    encoder = HalvesEncoder()
    made = evaluate_with_reranking(halves_set(), encoder, HalvesReranker(encoder.token_spec)).reranking
    assert made
    return made


def terminal(reranking: Reranking) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=80)
    for line in reranking_lines(reranking):
        console.print(line)
    shown = [line.rstrip() for line in out.getvalue().splitlines()]
    assert all(len(line) <= 80 for line in shown)
    assert not any("…" in line for line in shown), "cut for want of room"
    return shown


class TestCommand:
    def test_json(self, run: Run, captions: Path, own: HalvesReranker) -> None:
        code, out, _ = run("eval", captions, "--rerank", "--json")
        assert code == 0
        found = json.loads(out)
        assert found["text_to_image"]["success@1"] == 0.5  # the figures at the top are the first stage's
        told = found["reranking"]
        assert (told["reranker"], told["images_trained_on"]) == (own.spec.name, 0)
        for direction in ("text_to_image", "image_to_text"):
            assert told[direction]["pays_at"] == 5
            assert [at["depth"] for at in told[direction]["depths"]] == [5, 10, 20, 50, 72]
            assert told[direction]["depths"][0]["success@1"]["reranked"] == 1

    def test_terminal_and_report(self, run: Run, captions: Path, own: HalvesReranker, tmp_path: Path) -> None:
        code, out, err = run("eval", captions, "--rerank", "--out", tmp_path / "report")
        assert code == 0
        assert "Reranked by own (halves, numpy)" in out
        assert "Text to image: reranking pays, best at depth 5: success@1 0.500 -> 1.000 (p < .001)" in out
        assert "Reranking text to image: 72 done" in err
        assert "* chance hardly explains it: p below 0.05" in out
        assert own.pairs
        report = json.loads((tmp_path / "report" / "report.json").read_text())
        assert report["reranking"]["image_to_text"]["pays_at"] == 5
        page = Page(tmp_path / "report" / "report.html")
        page.assert_safe_and_whole()
        at = page.texts.index("Reranked by own (halves, numpy)")
        assert page.texts[at + 2].startswith("Text to image: reranking pays, best at depth 5")
        assert [tag for tag, attrs in page.elements if attrs.get("class") == "best"] == ["tr", "tr"]
        run("eval", captions, "--out", tmp_path / "plain")
        assert "Reranked" not in (tmp_path / "plain" / "report.html").read_text()

    def test_a_real_reranker_from_its_folder(
        self, run: Run, captions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokens = HalvesEncoder().token_spec
        assert tokens
        weights = {"text_to_image": 0.1, "image_to_text": 0.0}
        few = tmp_path / "few.jsonl"
        few.write_text("".join(captions.read_text().splitlines(keepends=True)[:12]))
        module = KINDS["weighted_sum"](tokens, 4, 0)
        write(tmp_path / "mine", module, RerankerSpec("new", "weighted_sum", "", tokens, weights, weights))  # type: ignore[arg-type]
        monkeypatch.setenv("CATALENS_RUNTIME", "torch")
        code, out, _ = run("eval", few, "--rerank", "--reranker", "mine", "--json")
        assert code == 0
        told = json.loads(out)["reranking"]
        assert (told["reranker"], told["runtime"]) == (str((tmp_path / "mine").resolve()), "torch")
        assert told["text_to_image"]["depths"][0]["timed_queries"] == 50
        assert told["image_to_text"]["depths"][0]["ms"] is None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--reranker", "own"], "add --rerank"),
            (["--rerank", "--collection", "shop"], "leave one of the two out"),
            (["--rerank", "--model", "colour"], "has no tokens for a reranker to read"),
            (["--rerank", "--reranker", "nowhere"], "there is no reranker 'nowhere'"),
            (["--rerank"], "no reranker belongs to the model 'starter'"),
        ],
    )
    def test_what_cannot_be_judged(self, run: Run, captions: Path, options: list[str], message: str) -> None:
        code, out, err = run("eval", captions, *options)
        assert code in (1, 2)
        assert out == ""
        assert message in " ".join(err.split())


class TestWords:
    def test_tables_fit_80_columns(self, judged: Reranking) -> None:
        shown = terminal(judged)
        assert shown[0] == "Reranked by halves (halves, numpy)"
        assert shown[2].startswith("Text to image: first stage success@1 0.500, success@5 ")
        assert shown[3].split() == list(HEADINGS)
        assert shown[4].split()[:4] == ["5", "1.000", "+0.500*", "<.001"]

    def test_the_widest_figures_fit_too(self, judged: Reranking) -> None:
        direction = judged.directions["text_to_image"]
        depths = tuple(
            replace(
                at,
                depth=1000,
                figures={name: replace(one, difference=-1.0, p_value=0.01) for name, one in at.figures.items()},
                timing=at.timing and replace(at.timing, median=1234.5, p95=12345.6),
            )
            for at in direction.depths
        )
        shown = terminal(replace(judged, directions={"text_to_image": replace(direction, depths=depths)}))
        assert "-1.000*" in " ".join(shown)

    def test_what_does_not_pay_is_said(self, judged: Reranking) -> None:
        found = judged.directions["text_to_image"]
        by_chance = [{name: replace(one, p_value=0.2) for name, one in at.figures.items()} for at in found.depths]
        rows = tuple(replace(at, figures=figures) for at, figures in zip(found.depths, by_chance, strict=True))
        assert "does not pay on this data; no depth" in verdict("text_to_image", replace(found, depths=rows))
        one = found.depths[0]
        harm = replace(one, figures={**one.figures, "ndcg@10": replace(one.figures["ndcg@10"], difference=-0.1)})
        said = verdict("text_to_image", replace(found, depths=(harm,)))
        assert "does not pay; figures are clearly worse at depth 5" in said
        assert "is off" in verdict("text_to_image", replace(found, weight=0))

    def test_signs(self, judged: Reranking) -> None:
        one = judged.directions["text_to_image"].depths[0].figures["success@1"]
        cases = ((0.5, 0.001, "+0.500*"), (-0.02, 0.04, "-0.020*"), (0.02, 0.2, "+0.020 "), (0.0, 1.0, "0.000 "))
        for difference, p, said in cases:
            assert change(replace(one, difference=difference, p_value=p)) == said

    def test_notes(self, judged: Reranking) -> None:
        assert notes(judged) == []
        found = judged.directions["text_to_image"]
        poor = {"text_to_image": replace(found, without_tokens=3)}
        said = notes(replace(judged, trained_on=20, directions=poor))  # type: ignore[arg-type]
        assert said[0].startswith("the model or the reranker was trained on 20 of the 72 pictures")
        assert said[1].startswith("3 of 72 texts have no tokens")


def test_pictures_trained_on_are_listed_in_the_rerankers_folder(tmp_path: Path) -> None:
    tokens = HalvesEncoder().token_spec
    assert tokens
    (tmp_path / "seen").write_bytes(packed([digest(b"one"), digest(b"two")]))
    spec = RerankerSpec(str(tmp_path), "maxsim", "", tokens, {}, {}, {"seen": "seen"})
    assert pictures_trained_on(HalvesEncoder(), spec) == {digest(b"one"), digest(b"two")}
    for facts in ({}, {"seen": 3}, {"seen": "../seen"}, {"seen": "gone"}):
        assert pictures_trained_on(HalvesEncoder(), replace(spec, facts=facts)) == frozenset()
    (tmp_path / "seen").write_bytes(b"cut")
    with pytest.raises(EncoderError, match="is cut off"):
        pictures_trained_on(HalvesEncoder(), spec)


def test_pictures_that_the_encoder_was_trained_on_count_too(tmp_path: Path) -> None:
    tokens = HalvesEncoder().token_spec
    assert tokens
    starter = load_starter()  # the pictures of its list are not here, but there are some
    built_in = RerankerSpec("starter", "maxsim", "", tokens, {}, {}, {"seen": "reranker.seen"})
    own = pictures_trained_on(starter, built_in)
    assert len(own) > 1000
    (tmp_path / "reranker.seen").write_bytes(packed([digest(b"one")]))
    both = pictures_trained_on(starter, replace(built_in, name=str(tmp_path)))
    assert both == own | {digest(b"one")}


def test_directions_stand_as_in_the_other_tables(judged: Reranking) -> None:
    turned = replace(judged, directions=dict(reversed(judged.directions.items())))
    assert shown(turned) == ["text_to_image", "image_to_text"]
