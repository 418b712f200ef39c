"""Where an item fell out of an answer: the steps of a search in their order, until one explains it."""

from collections.abc import Callable, Iterator

import numpy as np

from retrieval.explain.inquiry import Inquiry
from retrieval.explain.outcome import Outcome
from retrieval.records import Hit

LOOKS_ALIKE = 1e-3  # stored vectors are rounded to float16: a cosine this near the limit may count either way

Check = Callable[[Inquiry], Outcome | None]


def decided(inquiry: Inquiry) -> Outcome:
    """The first of the steps that explains it."""
    return next(filter(None, _outcomes(inquiry)))


def _outcomes(inquiry: Inquiry) -> Iterator[Outcome | None]:
    for check in (_a_hit, _filtered, _hidden, _asked_by, _uncomparable, _unsure, _grouped, _a_duplicate, _missed):
        yield check(inquiry)
    yield _cut(inquiry)


def _filtered(inquiry: Inquiry) -> Outcome | None:
    failed = [clause for clause in inquiry.clauses if not clause.passed]
    if not failed:
        return None
    named = " and ".join(clause.text for clause in failed)
    return Outcome("filter", f"it does not pass the filter: {named}", {"failed": [clause.text for clause in failed]})


def _hidden(inquiry: Inquiry) -> Outcome | None:
    if not inquiry.asked.rules.hidden(inquiry.table)[inquiry.position]:
        return None
    rules = [rule for rule in inquiry.rules_touching() if rule.startswith("hides")]
    return Outcome("hidden", f"a rule hides it: {', '.join(rules)}", {"rules": rules})


def _asked_by(inquiry: Inquiry) -> Outcome | None:
    if all(part.item != inquiry.item_id for part in inquiry.query.parts):
        return None
    return Outcome("asked_by", "the query asks for others like it")


def _a_hit(inquiry: Inquiry) -> Outcome | None:
    hit = inquiry.among(inquiry.hits)
    if hit is None:
        return None
    if hit.rank <= inquiry.query.offset:
        said = f"it is hit {hit.rank:,}, before the offset of {inquiry.query.offset:,}"
        return Outcome("earlier_page", said, {"rank": hit.rank})
    return Outcome("hit", f"it is hit {hit.rank:,}", {"rank": hit.rank})


def _uncomparable(inquiry: Inquiry) -> Outcome | None:
    query = inquiry.query
    if query.by in ("image", "text") and query.parts and not inquiry.places:
        kind = "photo" if query.by == "image" else "text"
        return Outcome("nothing_to_compare", f"it has no {kind} to compare with the query")
    if query.by == "lexical" and query.parts and not inquiry.places:
        return Outcome("no_words_match", "none of the words that count stands in its title or texts")
    return None


def _unsure(inquiry: Inquiry) -> Outcome | None:
    least = inquiry.query.min_confidence
    if least is None:
        return None
    if inquiry.without(min_confidence=None) is None:
        return None
    mine = inquiry.confidence
    said = "unknown" if mine is None else f"{mine:.3f}"
    facts = {"confidence": mine, "min_confidence": least}
    return Outcome("min_confidence", f"its confidence is {said}, and at least {least:g} is asked for", facts)


def _grouped(inquiry: Inquiry) -> Outcome | None:
    mine = inquiry.group_of(inquiry.position)
    if mine is None:
        return None
    for hit, position in zip(inquiry.hits, inquiry.positions(inquiry.hits), strict=True):
        if inquiry.group_of(position) == mine:
            said = f"hit {hit.rank:,} ({hit.item_id}) is shown for its group: {inquiry.query.group} is {mine}"
            return Outcome("group", said, {"behind": hit.item_id, "behind_rank": hit.rank, "group": mine})
    return None


def _a_duplicate(inquiry: Inquiry) -> Outcome | None:
    limit = inquiry.query.duplicates
    if limit is None:
        return None
    cosines = inquiry.likeness(inquiry.hits)
    if not len(cosines) or cosines.max() < limit - LOOKS_ALIKE:
        return None
    hit, cosine = inquiry.hits[int(np.argmax(cosines))], float(cosines.max())
    said = f"it looks like hit {hit.rank:,} ({hit.item_id}): their cosine is {cosine:.3f}, the limit {limit:g}"
    return Outcome("duplicate", said, {"behind": hit.item_id, "behind_rank": hit.rank, "cosine": round(cosine, 6)})


def _missed(inquiry: Inquiry) -> Outcome | None:
    """By exact scores it is within the hits asked for, and nothing else moves hits about."""
    query = inquiry.query
    if query.diversity and inquiry.without(diversity=0.0) is not None:
        return Outcome("diversity", "hits that differ more from each other were put before it")
    rank = _exact_rank(inquiry)
    if rank is None or rank > inquiry.end or query.diversity or inquiry.are_moved or inquiry.answer.exact:
        return None
    said = f"by exact scores it is number {rank:,}, but the approximate index did not find it"
    return Outcome("index_miss", said, {"rank": rank})


def _exact_rank(inquiry: Inquiry) -> int | None:
    if inquiry.query.by not in ("image", "text") or not inquiry.places:
        return None
    return inquiry.places[0].matching_rank


def _cut(inquiry: Inquiry) -> Outcome:
    last = inquiry.hits[-1] if inquiry.hits else None
    found = inquiry.among(inquiry.deep)
    rank = found.rank if found else _exact_rank(inquiry)
    score = found.score if found else inquiry.places[0].score if len(inquiry.places) == 1 else None
    facts = {"rank": rank, "score": _rounded(score)}
    named = f"it is number {rank:,}" if rank is not None else f"it is behind the first {len(inquiry.deep):,}"
    if last is None:
        return Outcome("below_cut", f"{named}, and nothing is a hit", facts)
    facts |= {"last_rank": last.rank, "last_score": _rounded(last.score)}
    behind = _behind(last, score)
    if inquiry.query.sort:
        behind = f"the hits stand in the order of {', '.join(inquiry.query.sort)}, and {last.item_id} is the last"
    said = f"{named}; {behind}"
    return Outcome("below_cut", said, facts)


def _behind(last: Hit, score: float | None) -> str:
    if score is None or last.score is None:
        return f"the last hit asked for is number {last.rank:,}"
    margin = last.score - score
    if margin < 0:
        return f"hit {last.rank:,} scores less, but a reranker or a rule put it there"
    return f"hit {last.rank:,} scores {last.score:.3f}, it {score:.3f}: {margin:.3f} too little"


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 6)
