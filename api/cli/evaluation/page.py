"""One HTML page about an evaluation: figures, the curve of success@k, slices, the worst failures as pictures."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from api.cli.evaluation.chart import STYLE as CHART_STYLE
from api.cli.evaluation.chart import series_name, success_chart
from api.cli.evaluation.failures import STYLE as FAILURES_STYLE
from api.cli.evaluation.failures import FailureCards
from api.cli.evaluation.reranking_page import STYLE as RERANKING_STYLE
from api.cli.evaluation.reranking_page import reranking_section
from api.cli.evaluation.words import DIRECTIONS, counts, interval, number, shown_directions, spoken
from api.cli.pages import write_document
from retrieval.evaluation.curve import chance_curve, success_curve
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.outcomes import worst_failures
from retrieval.evaluation.types import TaskResult

SHOWN_FAILURES = 12
SHOWN_SLICES = 40
HEADLINES = 3

_STYLE = """
:root { --first: #b4532a; --second: #1c6c78; }
@media (prefers-color-scheme: dark) { :root { --first: #f0a27c; --second: #6fc6d2; } }
section { margin-top: 44px; }
h2 { font-size: 22px; line-height: 1.25; letter-spacing: -0.01em; }
h3 { font-size: 15px; font-weight: 600; margin-top: 22px; }
.about b, .notes b { color: var(--ink); font-weight: 600; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
.notes { color: var(--quiet); padding-left: 20px; margin-top: 12px; max-width: 80ch; }
.results { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 18px; }
.result {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 20px 14px;
  border-top: 4px solid var(--line); break-inside: avoid; margin-top: 24px;
}
.result.first { border-top-color: var(--first); } .result.second { border-top-color: var(--second); }
.big { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; margin-top: 12px; }
.big dt, .small dt { color: var(--quiet); font-size: 13px; }
.big dd { font-size: clamp(24px, 3.4vw, 36px); line-height: 1.2; font-weight: 650; letter-spacing: -0.02em; }
.first .big dd { color: var(--first); } .second .big dd { color: var(--second); }
.big dd small { font-size: .5em; font-weight: 500; letter-spacing: 0; }
.result dl .range {
  color: var(--quiet); font-size: 12.5px; font-weight: 400; line-height: 1.45; letter-spacing: 0;
  font-variant-numeric: tabular-nums; white-space: nowrap;
}
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); gap: 10px 14px; margin-top: 14px;
  border-top: 1px solid var(--line); padding-top: 12px; }
.small dd { font-weight: 600; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; margin-top: 10px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 7px 10px 7px 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
th { font-size: 13px; font-weight: 500; color: var(--quiet); }
td.name { overflow-wrap: anywhere; font-weight: 600; }
td.n { text-align: right; padding-right: 22px; color: var(--quiet); } th.n { text-align: right; padding-right: 22px; }
td.bar { width: 30%; min-width: 96px; }
td svg { display: block; width: 100%; height: 8px; margin-top: 3px; }
td rect { fill: var(--line); } .first td .reach { fill: var(--first); } .second td .reach { fill: var(--second); }
tr.all td { border-bottom: 2px solid var(--line); }
dl.terms { margin-top: 12px; max-width: 84ch; color: var(--quiet); }
dl.terms dt { color: var(--ink); font-weight: 600; margin-top: 8px; }
@media (max-width: 480px) {
  .result { padding: 14px; }
  th, td { padding-right: 8px; } td.n, th.n { padding-right: 12px; }
}
@media print { section { break-inside: auto; } }
"""


def write_page(path: Path, evaluation: Evaluation) -> None:
    """Write the report to `path`, over what was there: one file that opens offline, with no script.

    It holds at most 12 failures a direction; their pictures lie inside, about 20 kB each. A picture that can no longer
    be read shows as a grey tile. Raises StorageError when the disk refuses.
    """
    name = evaluation.dataset.name
    parts = [_head(evaluation)]
    if evaluation.results:
        parts += [_headline(evaluation), _curve(evaluation)]
        if evaluation.reranking:
            parts.append(reranking_section(evaluation.reranking))
        parts += [_slices(evaluation), _failures(evaluation), _TERMS]
    else:
        parts.append("<p>No direction was judged.</p>\n")
    style = _STYLE + CHART_STYLE + FAILURES_STYLE + (RERANKING_STYLE if evaluation.reranking else "")
    write_document(path, f"{name}: evaluation of {evaluation.model}", style, "".join(parts))


def _head(evaluation: Evaluation) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in evaluation.dataset.notes)
    return f"""<h1>{escape(evaluation.dataset.name)}</h1>
<p class="about"><b>{escape(evaluation.model)}</b> on {counts(evaluation)}; {escape(evaluation.search)} search;
{evaluation.seconds:,.1f} seconds; fingerprint <code>{escape(evaluation.fingerprint)}</code></p>
{f'<ul class="notes">{notes}</ul>' if notes else ""}
"""


def _headline(evaluation: Evaluation) -> str:
    cards = []
    for position, direction in enumerate(shown_directions(evaluation)):
        result = evaluation.results[direction]
        big = "".join(_big_figure(result, measure) for measure in _headline_measures(result))
        small = "".join(
            f"<div><dt>{escape(spoken(measure))}</dt><dd>{number(measure, value)}</dd>"
            f'<dd class="range">{interval(measure, result.intervals.get(measure))}</dd></div>'
            for measure, value in result.figures.items()
            if measure not in _headline_measures(result)
        )
        queries, documents = len(result.task.query_ids), len(result.task.document_ids)
        cards.append(
            f'<div class="result {series_name(position)}"><h2>{DIRECTIONS[direction].capitalize()}</h2>'
            f'<p class="about">{queries:,} queries, each ranked against {documents:,} answers</p>'
            f'<dl class="big">{big}</dl><dl class="small">{small}</dl></div>\n'
        )
    return f'<div class="results">\n{"".join(cards)}</div>\n'


def _headline_measures(result: TaskResult) -> list[str]:
    """The first three success@k that were asked for."""
    return [measure for measure in result.figures if measure.startswith("success@")][:HEADLINES]


def _big_figure(result: TaskResult, measure: str) -> str:
    bounds = result.intervals.get(measure)
    between = f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}" if bounds else ""
    return (
        f"<div><dt>{escape(measure)}</dt><dd>{100 * result.figures[measure]:.1f}<small> %</small></dd>"
        f'<dd class="range">{between}</dd></div>'
    )


def _curve(evaluation: Evaluation) -> str:
    directions = shown_directions(evaluation)
    curves = {direction: success_curve(evaluation.results[direction]) for direction in directions}
    chance = {direction: chance_curve(evaluation.results[direction]) for direction in directions}
    return f"<section>\n<h2>How far down the right answer is</h2>\n{success_chart(curves, chance)}</section>\n"


def _slices(evaluation: Evaluation) -> str:
    tables = [
        _slice_table(series_name(position), DIRECTIONS[direction], evaluation.results[direction], attribute)
        for position, direction in enumerate(shown_directions(evaluation))
        for attribute in evaluation.results[direction].slices
    ]
    return f'<section>\n<h2>Slices</h2>\n<div class="results">\n{"".join(tables)}</div>\n</section>\n' if tables else ""


def _slice_table(series: str, direction: str, result: TaskResult, attribute: str) -> str:
    slices = result.slices[attribute]
    largest = sorted(slices, key=lambda value: -slices[value][0])[:SHOWN_SLICES]
    known = [m for m in _headline_measures(result) if all(m in figures for _, figures in slices.values())]
    measures = list(dict.fromkeys(known[:1] + known[-1:]))  # the strictest and the mildest: two bars fit on a phone
    heads = "".join(f"<th>{measure}</th>" for measure in measures)
    largest.sort(key=lambda value: tuple(-slices[value][1][m] for m in measures))
    rows = [_slice_row("all", len(result.task.query_ids), result.figures, measures, "all")]
    rows += [_slice_row(value, *slices[value], measures, "") for value in largest]
    hidden = len(slices) - len(largest)
    more = f'<p class="about">{hidden:,} smaller slices are not shown.</p>' if hidden else ""
    return (
        f'<div class="{series}"><h3>{direction.capitalize()} by {escape(spoken(attribute))}</h3>'
        f'<table><thead><tr><th>{escape(spoken(attribute))}</th><th class="n">queries</th>{heads}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table>{more}</div>\n"
    )


def _slice_row(value: str, queries: int, figures: Mapping[str, float], measures: list[str], kind: str) -> str:
    cells = "".join(
        f'<td class="bar">{100 * figures[measure]:.1f} %'
        '<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width="100" height="8" rx="1"/>'
        f'<rect class="reach" width="{100 * figures[measure]:.1f}" height="8"/></svg></td>'
        for measure in measures
    )
    name = escape(value) or "(none)"
    return f'<tr class="{kind}"><td class="name" dir="auto">{name}</td><td class="n">{queries:,}</td>{cells}</tr>\n'


def _failures(evaluation: Evaluation) -> str:
    sections = []
    cards = FailureCards(evaluation.dataset)
    for direction in shown_directions(evaluation):
        result = evaluation.results[direction]
        worst = worst_failures(result, SHOWN_FAILURES)
        if worst:
            shown = f'<ol class="failures {direction}">\n{"".join(cards.html(direction, one) for one in worst)}</ol>'
        else:
            shown = '<p class="about">None: every query had a right answer first.</p>'
        sections.append(f"<section>\n<h2>Worst failures, {DIRECTIONS[direction]}</h2>\n{shown}\n</section>\n")
    return "".join(sections)


_TERMS = """<section>
<h2>What the figures mean</h2>
<dl class="terms">
<dt>success@k</dt><dd>The share of queries with at least one right answer among the first k. Papers on CLIP print it as
R@k or recall@k.</dd>
<dt>recall@k</dt><dd>The share of a query's right answers that are among the first k, as TREC has it.</dd>
<dt>mrr@k</dt><dd>1 / rank of the first right answer, 0 beyond rank k, on average over the queries.</dd>
<dt>ndcg@k</dt><dd>Discounted gain of the first k answers by their grades, divided by the best that was possible.</dd>
<dt>median rank</dt><dd>Half of the queries have their first right answer at this rank or before.</dd>
<dt>Ranges</dt><dd>95 % intervals by bootstrap; queries with the same right answers, such as the captions of one photo,
are drawn together. Two models whose ranges overlap may still differ: compare them query by query.</dd>
<dt>Ties</dt><dd>Equal scores stand in the order in which the set names the documents.</dd>
<dt>By chance</dt><dd>What the curve would be if the answers were shuffled.</dd>
</dl>
</section>
"""
