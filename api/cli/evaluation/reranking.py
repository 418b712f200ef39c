"""What a reranker is worth on a set, in words and figures: a table a direction within 80 columns, a plain sentence."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from api.cli.evaluation.words import DIRECTIONS
from api.cli.formats import one_line
from retrieval.evaluation.compare import Comparison
from retrieval.evaluation.reranked import CLEAR, AtDepth, RerankedDirection, Reranking
from retrieval.rerankers.base import Direction

HEADINGS = ("depth", "success@1", "change", "p", "success@5", "change", "nDCG@10", "change", "ms", "p95")


def reranking_lines(reranking: Reranking) -> Iterator[Table | Text]:
    """Head, a table and a sentence for each direction, and what to know about the reranker."""
    yield Text(one_line(heading(reranking)), style="bold")
    for direction in shown(reranking):
        found = reranking.directions[direction]
        yield Text(f"\n{DIRECTIONS[direction].capitalize()}: {first_stage(found)}")
        yield _table(found)
    yield Text("")
    if any(cell.endswith("*") for found in reranking.directions.values() for at in found.depths for cell in cells(at)):
        yield Text(f"* chance hardly explains it: p below {CLEAR}", style="dim")
    for note in notes(reranking):
        yield Text(one_line(f"note: {note}"), style="dim")
    for direction in shown(reranking):
        yield Text(verdict(direction, reranking.directions[direction]))


def heading(reranking: Reranking) -> str:
    """Which reranker, and what its figures are."""
    return f"Reranked by {reranking.reranker} ({reranking.kind}, {reranking.runtime})"


def shown(reranking: Reranking) -> list[Direction]:
    """Its directions in the order of the other tables."""
    return sorted(reranking.directions, key=list(DIRECTIONS).index)


def first_stage(found: RerankedDirection) -> str:
    """The figures that the changes start from."""
    figures = found.depths[0].figures
    said = ", ".join(f"{written(name)} {one.first:.3f}" for name, one in figures.items())
    return f"first stage {said}"


def written(measure: str) -> str:
    """As the field writes it."""
    return measure.replace("ndcg", "nDCG")


def cells(at: AtDepth) -> list[str]:
    """One for each of HEADINGS. An asterisk: chance hardly explains the change (p below 0.05)."""
    one, five, gain = (at.figures[name] for name in ("success@1", "success@5", "ndcg@10"))
    return [
        str(at.depth),
        f"{one.second:.3f}",
        change(one),
        "<.001" if one.p_value < 0.001 else f"{one.p_value:.3f}",
        f"{five.second:.3f}",
        change(five),
        f"{gain.second:.3f}",
        change(gain),
        f"{at.timing.median:.1f}" if at.timing else "–",
        f"{at.timing.p95:.1f}" if at.timing else "–",
    ]


def change(one: Comparison) -> str:
    """`+0.031*`, or 0.000."""
    size = f"{abs(one.difference):.3f}"
    sign = "" if not float(size) else "+" if one.difference > 0 else "-"
    return sign + size + ("*" if one.p_value < CLEAR and one.difference else " ")


def notes(reranking: Reranking) -> list[str]:
    """What makes the figures count for less than they say."""
    said = []
    if reranking.trained_on:
        said.append(
            f"the model or the reranker was trained on {reranking.trained_on:,} of the {reranking.images:,} pictures; "
            "the figures flatter it"
        )
    lacking, texts = max(((one.without_tokens, one.texts) for one in reranking.directions.values()), default=(0, 0))
    if lacking:
        said.append(f"{lacking:,} of {texts:,} texts have no tokens; as in a search they are not reranked")
    return said


def verdict(direction: Direction, found: RerankedDirection) -> str:
    """Whether it pays on this data, and at which depth."""
    name = DIRECTIONS[direction].capitalize()
    if not found.weight:
        return f"{name}: reranking is off; it did not help on the reranker's validation data (weight 0)."
    best = next((at for at in found.depths if at.depth == found.pays_at), None)
    if best:
        one = best.figures["success@1"]
        ms = f" for {best.timing.median:.1f} ms a query" if best.timing else ""
        return (
            f"{name}: reranking pays, best at depth {best.depth}: success@1 {one.first:.3f} -> {one.second:.3f} "
            f"(p {_p(one)}){ms}."
        )
    worse = [at.depth for at in found.depths if _clearly_worse(at)]
    if worse:
        return f"{name}: reranking does not pay; figures are clearly worse at depth {', '.join(map(str, worse))}."
    return f"{name}: reranking does not pay on this data; no depth has a clearly better success@1 (p below {CLEAR})."


def _clearly_worse(at: AtDepth) -> bool:
    return any(one.p_value < CLEAR and one.difference < 0 for one in at.figures.values())


def _p(one: Comparison) -> str:
    return "< .001" if one.p_value < 0.001 else f"{one.p_value:.3f}"


def _table(found: RerankedDirection) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in HEADINGS:
        table.add_column(title, justify="right", no_wrap=True)
    for at in found.depths:
        table.add_row(*cells(at), style="bold" if at.depth == found.pays_at else "")
    return table
