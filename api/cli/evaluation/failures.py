"""The worst failures as cards: the query, what came first, where the right one was; pictures as pictures."""

from html import escape

from api.cli.pages import NO_PHOTO, THUMBNAIL_SIDE, inline_picture
from retrieval.evaluation.outcomes import Outcome
from retrieval.evaluation.types import Direction, EvaluationImage, EvaluationSet
from retrieval.images import decode

SHOWN_TEXTS = 3
LONGEST_TEXT = 300

STYLE = """
.failures { list-style: none; padding: 0; margin-top: 18px; display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 350px), 1fr)); }
.failures li { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px;
  display: grid; grid-template-columns: 1fr 1fr; gap: 12px; break-inside: avoid; align-content: start; }
.failures li > div { min-width: 0; }
.text_to_image .query, .text_to_text li > div { grid-column: 1 / -1; }
.image_to_text .query { grid-row: span 2; }
.failures.image_to_image { grid-template-columns: repeat(auto-fill, minmax(min(100%, 520px), 1fr)); }
.image_to_image li { grid-template-columns: 1fr 1fr 1fr; }
.image_to_image .label { min-height: 2.9em; align-content: flex-start; }
.label { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 8px; font-size: 12.5px;
  color: var(--quiet); font-variant-numeric: tabular-nums; margin-bottom: 5px; }
.first-answer .label b { color: var(--wrong); } .right-answer .label b { color: var(--right); }
.tile { display: grid; place-items: center; aspect-ratio: 1; background: var(--line); color: var(--quiet);
  border-radius: 8px; overflow: hidden; font-size: 13px; }
.tile img { display: block; width: 100%; height: 100%; object-fit: contain; }
.first-answer .tile { box-shadow: 0 0 0 2px var(--wrong); } .right-answer .tile { box-shadow: 0 0 0 2px var(--right); }
.said { overflow-wrap: anywhere; } .query .said { font-size: 16px; font-weight: 600; }
.said + .said { margin-top: 6px; padding-top: 6px; border-top: 1px solid var(--line); }
.id { font-size: 11.5px; color: var(--quiet); overflow-wrap: anywhere; margin-top: 4px; }
@media (max-width: 600px) { .image_to_image .label { min-height: 4.4em; } }
:root { --wrong: #a3262a; --right: #2b7038; }
@media (prefers-color-scheme: dark) { :root { --wrong: #f2898c; --right: #86cf93; } }
"""


class FailureCards:
    """Draws failures of one set. A picture is read and shrunk once, however often it came first."""

    def __init__(self, dataset: EvaluationSet) -> None:
        self._images = {image.image_id: image for image in dataset.images}
        self._texts = {text.text_id: text for text in dataset.texts}
        self._tiles: dict[str, str] = {}

    def html(self, direction: Direction, failure: Outcome) -> str:
        """One list item."""
        asks_image, answers_image = direction.startswith("image"), direction.endswith("image")
        first = '<p class="said">nothing was found</p>'
        if failure.first_id is not None:
            first = self._entry(failure.first_id, is_image=answers_image)
        return (
            f'<li><div class="query">{_label("Query", "")}{self._entry(failure.query_id, is_image=asks_image)}</div>'
            f'<div class="first-answer">{_label("Came first", _score(failure.first_score))}{first}</div>'
            f'<div class="right-answer">{_label("Right", _where(failure))}{self._right(failure, answers_image)}</div>'
            "</li>\n"
        )

    def _right(self, failure: Outcome, is_image: bool) -> str:
        shown = failure.right_ids[: 1 if is_image else SHOWN_TEXTS]
        more = len(failure.right_ids) - len(shown)
        rest = f'<p class="id">and {more:,} more right one{"s" * (more != 1)}</p>' if more else ""
        return "".join(self._entry(one, is_image=is_image) for one in shown) + rest

    def _entry(self, entry_id: str, *, is_image: bool) -> str:
        if is_image:
            if entry_id not in self._tiles:
                self._tiles[entry_id] = _picture(self._images.get(entry_id), entry_id)
            return f'<div class="tile">{self._tiles[entry_id]}</div><p class="id">{escape(entry_id)}</p>'
        text = self._texts.get(entry_id)
        if text is None:
            return f'<p class="said">{escape(entry_id)}</p>'
        said = text.text if len(text.text) <= LONGEST_TEXT else text.text[: LONGEST_TEXT - 1] + "…"
        language = f' lang="{escape(text.language)}"' if text.language else ""
        return f'<p class="said" dir="auto"{language}>{escape(said)}</p>'


def _picture(image: EvaluationImage | None, image_id: str) -> str:
    if image is None:
        return NO_PHOTO
    try:
        picture = decode(image.read(), target=THUMBNAIL_SIDE).image
    except Exception:  # a folder or archive may have gone since; whatever it raises must not cost the figures
        return NO_PHOTO
    return inline_picture(picture, alt=image_id)


def _label(what: str, fact: str) -> str:
    return f'<p class="label"><b>{what}</b><span>{fact}</span></p>'


def _score(score: float | None) -> str:
    return "" if score is None else f"score {score:.3f}"


def _where(failure: Outcome) -> str:
    if failure.rank is None:
        return "not found"
    best = "best at " if len(failure.right_ids) > 1 else ""
    score = "" if failure.right_score is None else f", {failure.right_score:.3f}"
    return f"{best}rank {failure.rank:,}{score}"
