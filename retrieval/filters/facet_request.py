"""What a facet is asked for, as text: `category`, `category:20`, `price:0,25,50`, `` `made in`:5 ``."""

import math
import re
from dataclasses import dataclass
from itertools import pairwise

from retrieval.errors import FilterError
from retrieval.filters.expression import BARE_NAME, checked_text, name_text, value_text

LIMIT, MAX_LIMIT = 10, 1_000  # values of one facet
RANGES = 5
MAX_EDGES = 100

# A name of any characters but a colon may stand without backticks: there are no keywords here.
_request = re.compile(r"\s*(?:`((?:``|[^`])+)`|([^:`]+?))\s*(?::(.*))?", re.DOTALL).fullmatch
_bare = re.compile(BARE_NAME).fullmatch
_HINT = "write FIELD, FIELD:LIMIT or FIELD:EDGE,EDGE,… such as category:20 or price:0,25,50"


@dataclass(frozen=True)
class FacetRequest:
    """field: whose values are counted. edges: for a field of numbers, where its ranges begin, ascending.

    limit: how many values at most, 1 to 1,000. ranges: into how many parts numbers are parted where no edges are given,
    about.
    """

    field: str
    limit: int = LIMIT
    ranges: int = RANGES
    edges: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "FacetRequest":
        """A request from `FIELD`, `FIELD:LIMIT` or `FIELD:EDGE,EDGE,…`. Raises FilterError."""
        checked_text(text)
        found = _request(text)
        if found is None:
            raise FilterError(f"the facet {text[:60]!r} cannot be read", hint=_HINT)
        quoted, bare, rest = found.groups()
        field = quoted.replace("``", "`") if quoted else bare
        if rest is None:
            return cls(field)
        numbers = [_number(part, text) for part in rest.split(",")]
        if len(numbers) == 1:
            limit = int(numbers[0])
            if limit != numbers[0] or not 1 <= limit <= MAX_LIMIT:
                raise FilterError(f"the limit of the facet {text[:60]!r} is not 1 to {MAX_LIMIT:,}", hint=_HINT)
            return cls(field, limit, ranges=limit)
        if any(low >= high for low, high in pairwise(numbers)):
            raise FilterError(f"the edges of the facet {text[:60]!r} do not ascend", hint=_HINT)
        if len(numbers) > MAX_EDGES:
            raise FilterError(f"the facet has {len(numbers)} edges; at most {MAX_EDGES} are allowed", hint=_HINT)
        return cls(field, edges=tuple(numbers))

    def __str__(self) -> str:
        name = self.field if _bare(self.field) else name_text(self.field)
        if self.edges:
            return f"{name}:{','.join(map(value_text, self.edges))}"
        return name if self.limit == LIMIT else f"{name}:{self.limit}"


def _number(part: str, text: str) -> float:
    try:
        number = float(part)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FilterError(f"{part.strip()[:30]!r} in the facet {text[:60]!r} is no number", hint=_HINT)
    return number + 0.0
