"""Where an item fell out of an answer, as a value and as a sentence."""

from dataclasses import dataclass, field
from typing import Any, Literal

Step = Literal[
    "hit",
    "nothing_to_compare",
    "filter",
    "hidden",
    "asked_by",
    "no_words_match",
    "min_confidence",
    "group",
    "duplicate",
    "earlier_page",
    "index_miss",
    "diversity",
    "below_cut",
]


@dataclass(frozen=True)
class Outcome:
    """What became of an item.

    step: `hit`, or the first step of the search at which it fell out:
        filter              it does not pass the filter
        hidden              a rule hides it
        nothing_to_compare  it has no photo (or text) with a vector
        no_words_match      none of the query's words stands in its title or texts
        asked_by            the query names it, and asks for others like it
        index_miss          by exact scores it belongs into the answer; the approximate index did not give it
        min_confidence      its confidence is too low
        group               a better item of its group is shown
        duplicate           a better item looks the same
        diversity           others were put before it that are less like the hits
        earlier_page        it stands before the offset
        below_cut           it is ranked behind the last hit
    said: one sentence for a person. facts: what it says, as JSON values.
    """

    step: Step
    said: str
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"step": self.step, "said": self.said, **self.facts}
