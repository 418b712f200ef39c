"""Which split and which language of a set is judged when it has several; what a set does not offer is refused."""

from collections.abc import Mapping

from retrieval.errors import EvaluationError

_VALIDATION = ("val", "dev", "validation")
"""Three names of one thing: Karpathy's, BEIR's and Flickr's, Hugging Face's."""


FOR_TRAINING = "(train)"
"""Asked for as a split: `train` where a set has several, never one that is there to judge by."""


def choose_split(asked: str, counts: Mapping[str, int], *, of: str) -> str:
    """The split to judge: the one asked for, else the only one, else `test`, else the validation split.

    asked: a name, `""`, or FOR_TRAINING: then it is the only one, else `train`.
    counts: entries by split; the one key `""` is a set without splits. of: the set, for messages.
    Raises EvaluationError, naming the splits there are, if the one asked for is not among them or is empty.
    """
    preferred = ("train",) if asked == FOR_TRAINING else ("test", *_VALIDATION)
    if asked and asked != FOR_TRAINING:
        same = _VALIDATION if asked in _VALIDATION else (asked,)
        found = next((name for name in (asked, *same) if name in counts), None)
        if found is None and set(counts) <= {""}:
            raise EvaluationError(f"{of} has no splits, and --split {asked} was asked for", hint="Leave out --split.")
        if found is None:
            raise EvaluationError(f"{of} has no split {asked!r}", hint=f"There are {_listed(counts)}.")
    elif len(counts) == 1:
        found = next(iter(counts))
    else:
        found = next((name for name in preferred if counts.get(name)), None)
        if found is None:
            raise EvaluationError(
                f"{of} has several splits, and none is called {' or '.join(preferred[:2])}",
                hint=f"Choose one with --split: {_listed(counts)}.",
            )
    if not counts[found]:
        raise EvaluationError(f"the split {found!r} of {of} is empty", hint=f"There are {_listed(counts)}.")
    return found


def choose_language(asked: str, counts: Mapping[str, int], *, of: str) -> tuple[str, list[str]]:
    """The language to judge, and a note where others were passed over.

    The one asked for (`zh` finds `zh-CN` if that is the only Chinese; case and `_` do not matter), else English,
    else the only one. counts: images with captions by language; the one key `""` is a set that names no languages.
    Raises EvaluationError, naming the languages there are.
    """
    if asked:
        if set(counts) <= {""}:
            raise EvaluationError(
                f"{of} does not name its languages, and --language {asked} was asked for", hint="Leave out --language."
            )
        found = _matching(asked, counts)
        if len(found) > 1:
            raise EvaluationError(
                f"{of} has several languages {asked!r}", hint=f"Choose one with --language: {', '.join(found)}."
            )
        if not found:
            raise EvaluationError(f"{of} has no captions in {asked!r}", hint=f"There are {_listed(counts)}.")
        return found[0], []
    if len(counts) == 1:
        return next(iter(counts)), []
    if "en" not in counts:
        raise EvaluationError(
            f"{of} has captions in several languages, and none is English",
            hint=f"Choose one with --language: {_listed(counts)}.",
        )
    return "en", [f"captions in en; --language chooses: {_listed(counts)}"]


def no_choice(*, split: str = "", language: str = "", of: str) -> None:
    """For a set without splits or languages: raises EvaluationError if one was asked for all the same."""
    choose_split(split, {"": 1}, of=of)
    choose_language(language, {"": 1}, of=of)


def _matching(asked: str, counts: Mapping[str, int]) -> list[str]:
    wanted = _tag(asked)
    exact = [name for name in counts if _tag(name) == wanted]
    return exact or sorted(name for name in counts if _tag(name).startswith(f"{wanted}-"))


def _tag(language: str) -> str:
    return language.replace("_", "-").casefold()


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or 'no name'} ({count:,})" for name, count in sorted(counts.items()))
