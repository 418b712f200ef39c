"""The curve of success@k as an inline SVG that says in words what it draws."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from api.cli.evaluation.words import DIRECTIONS
from retrieval.evaluation.curve import Curve
from retrieval.evaluation.types import Direction

# In user units; the drawing is scaled to the width of the page. On a phone that is to a half, where the style doubles
# the letters: hence the wide margins.
WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 84, 738, 48, 344
MARKED = (1, 5, 10, 50, 100)
TICKS = (1, 2, 5, 10, 20, 50, 100)

STYLE = """
.chart { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px; margin-top: 18px; }
.chart svg { display: block; width: 100%; height: auto; max-width: 900px; margin: 0 auto; }
.chart text { font-size: 13px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.chart .value { font-weight: 600; paint-order: stroke; stroke: var(--card); stroke-width: 5px; }
.chart .grid { stroke: var(--line); }
.chart path { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
.chart .chance { stroke-dasharray: 3 5; stroke-width: 1.8; opacity: .8; }
.first path, .first .mark { stroke: var(--first); } .first .mark, .chart .first text { fill: var(--first); }
.second path, .second .mark { stroke: var(--second); } .second .mark, .chart .second text { fill: var(--second); }
.key { display: flex; flex-wrap: wrap; gap: 4px 22px; font-size: 14px; color: var(--quiet); margin-bottom: 6px; }
.key b { font-weight: 600; } .key .first { color: var(--first); } .key .second { color: var(--second); }
@media (max-width: 600px) {
  .chart { padding: 10px 6px; } .key { padding: 0 6px; }
  .chart text { font-size: 25px; } .chart .minor { display: none; }
}
"""


def series_name(position: int) -> str:
    """The class whose colour the series at this place has, in the chart and wherever its figures stand."""
    return "first" if position % 2 == 0 else "second"


def success_chart(curves: Mapping[Direction, Curve], chance: Mapping[Direction, Curve]) -> str:
    """A figure element: success@k over k (logarithmic, 1 … 100) for each direction, dotted what chance would reach.

    curves, chance: float64 [K] by direction, shares between 0 and 1 for k = 1 … K. Empty when there is no curve.
    """
    last = max((len(curve) for curve in curves.values()), default=0)
    if not last:
        return ""
    series = "".join(_series(series_name(i), curves, chance, direction, last) for i, direction in enumerate(curves))
    key = "".join(
        f'<span class="{series_name(i)}"><b>{"●■"[i % 2]} {DIRECTIONS[direction]}</b></span>'
        for i, direction in enumerate(curves)
    )
    return f"""<figure class="chart">
<figcaption class="key">{key}<span>··· by chance</span></figcaption>
<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="chart-title chart-words">
<title id="chart-title">success@k for k from 1 to {last}</title>
<desc id="chart-words">{escape(_in_words(curves))}</desc>
{_axes(last)}{series}</svg>
</figure>
"""


def _in_words(curves: Mapping[Direction, Curve]) -> str:
    return " ".join(
        f"{DIRECTIONS[direction].capitalize()}: "
        + ", ".join(f"{curve[k - 1]:.1%} at k = {k}" for k in MARKED if k <= len(curve))
        + "."
        for direction, curve in curves.items()
    )


def _axes(last: int) -> str:
    drawn = []
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        drawn.append(
            f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 10}" y="{y + 5:.1f}" text-anchor="end">{percent} %</text>\n'
        )
    drawn += [
        f'<text x="{_x(k, last):.1f}" y="{BOTTOM + 30}" text-anchor="middle">{k}</text>\n' for k in TICKS if k <= last
    ]
    middle = (LEFT + RIGHT) / 2
    drawn.append(
        f'<text x="{middle:.0f}" y="{HEIGHT - 14}" text-anchor="middle">k: how many answers are looked at</text>\n'
        f'<text x="4" y="20">success@k</text>\n'
    )
    return "".join(drawn)


def _series(
    name: str, curves: Mapping[Direction, Curve], chance: Mapping[Direction, Curve], direction: Direction, last: int
) -> str:
    curve = curves[direction]
    others = [other for key, other in curves.items() if key != direction]
    drawn = [f'<path class="chance" d="{_path(chance[direction], last)}"/>', f'<path d="{_path(curve, last)}"/>']
    for k in (k for k in MARKED if k <= len(curve)):
        x, y = _x(k, last), _y(curve[k - 1])
        # The lower of two lines has its figures below it, so that they do not meet.
        lower = any(k <= len(other) and other[k - 1] > curve[k - 1] for other in others)
        drawn.append(_mark(name, x, y))
        anchor = "start" if k == 1 else "end" if k == last else "middle"
        above = 30 if k == 1 else 12  # to the right of the first point the line rises into what stands above it
        minor = "" if k in (1, 10, last) else " minor"
        drawn.append(
            f'<text class="value{minor}" x="{x:.1f}" y="{y + (28 if lower else -above):.1f}" text-anchor="{anchor}">'
            f"{100 * curve[k - 1]:.1f} %</text>"
        )
    return f'<g class="{name}">{"".join(drawn)}</g>\n'


def _mark(name: str, x: float, y: float) -> str:
    if name == "first":
        return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return f'<rect class="mark" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>'


def _path(curve: Sequence[float] | Curve, last: int) -> str:
    return "M" + " L".join(f"{_x(k, last):.1f},{_y(share):.1f}" for k, share in enumerate(curve, start=1))


def _x(k: int, last: int) -> float:
    return LEFT + (RIGHT - LEFT) * math.log(k) / math.log(max(last, 2))


def _y(share: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * float(share)
