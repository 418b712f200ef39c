"""What `catalens search` does and prints."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from api.answers import answer_json
from api.cli.answers import facet_table, messages, outcome, tab_separated
from api.cli.hits import hits_table
from api.cli.output import err, out, print_json

if TYPE_CHECKING:
    from retrieval.query import Query


def search(
    query: "Query", collection: Path, *, runtime: str | None = None, reranker: str | None = None, as_json: bool
) -> None:
    """Search and print the hits."""
    from retrieval.search import Searcher
    from retrieval.stages.scope import Fields

    Fields.of(query)  # a filter that cannot be read is said so before a model is loaded
    with Searcher.open(collection, runtime=runtime, reranker=reranker) as searcher:
        answer = searcher.answer(query)
    if as_json:
        print_json(answer_json(answer))
    elif out.is_terminal:
        out.print(hits_table(answer.hits))
        for facet in answer.facets:
            out.print()
            out.print(facet_table(facet))
        err.print(outcome(answer), style="dim", markup=False)
    else:
        sys.stdout.writelines(tab_separated(hit) + "\n" for hit in answer.hits)
    for message in messages(answer, query, with_facets=as_json or out.is_terminal):
        err.print(message, markup=False, soft_wrap=True)
