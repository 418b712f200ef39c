"""What a reranker is worth on a set, as a section of the evaluation's page."""

from html import escape

from api.cli.evaluation.chart import series_name
from api.cli.evaluation.reranking import HEADINGS, cells, first_stage, heading, notes, shown, verdict
from api.cli.evaluation.words import DIRECTIONS
from retrieval.evaluation.reranked import Reranking

_ABOUT = (
    "The best answers of the exact search are put in the order of cosine + weight × match, to several depths. "
    "* marks a change that chance hardly explains (p below 0.05 in a paired randomisation test). "
    "ms: what matching adds to a query on one thread, median and 95th percentile."
)

STYLE = """
.reranked { overflow-x: auto; }
.reranked td, .reranked th { text-align: right; white-space: nowrap; padding-right: 12px; }
.reranked tr.best td { font-weight: 650; }
"""


def reranking_section(reranking: Reranking) -> str:
    """A section element: verdicts, then a table for each direction."""
    tables = []
    for position, direction in enumerate(shown(reranking)):
        found = reranking.directions[direction]
        heads = "".join(f"<th>{title}</th>" for title in HEADINGS)
        rows = "".join(
            ('<tr class="best">' if at.depth == found.pays_at else "<tr>")
            + "".join(f"<td>{cell}</td>" for cell in cells(at))
            + "</tr>\n"
            for at in found.depths
        )
        tables.append(
            f'<div class="{series_name(position)} reranked"><h3>{DIRECTIONS[direction].capitalize()}</h3>'
            f'<p class="about">{first_stage(found)}</p>'
            f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
        )
    said = [verdict(direction, reranking.directions[direction]) for direction in shown(reranking)]
    items = "".join(f"<li>{escape(one)}</li>" for one in [*said, *notes(reranking)])
    return (
        f'<section>\n<h2>{escape(heading(reranking))}</h2>\n<p class="about">{_ABOUT}</p>\n<ul class="notes">{items}'
        f'</ul>\n<div class="results">\n{"".join(tables)}</div>\n</section>\n'
    )
