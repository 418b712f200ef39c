"""Whatever `catalens eval` reads, as training data: captions, benchmarks, and catalogues with their texts combined."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from indexer.evaluation_catalogue import COLOURS, TYPES
from indexer.evaluation_sets import open_evaluation_set
from indexer.sources import Rejected, SourceItem, open_source
from indexer.sources.table import TableSource
from retrieval.errors import TrainingError
from retrieval.evaluation import datasets
from retrieval.evaluation.datasets.builtin import BUILTIN
from retrieval.evaluation.datasets.choices import FOR_TRAINING, no_choice
from retrieval.images import read_file
from retrieval.training.data import Described, TrainingData, joined, of_evaluation_set


def read_training_data(
    names: Sequence[str],
    *,
    cache_dir: Path,
    on_message: Callable[[str], None],
    split: str = "",
    languages: Sequence[str] = (),
    images_dir: Path | None = None,
) -> TrainingData:
    """The pairs of all data sets, joined in their order.

    names: as `open_evaluation_set` takes them. cache_dir, on_message, images_dir: see there.
    split: the one to train on; if empty the only one of a set, else `train`.
    languages: of sets that have captions in several, those to train on; if empty as `datasets.read` chooses.

    Pictures that are missing are left out, and notes say how many. Raises EvaluationError or SourceError for data that
    cannot be read, TrainingError for a set without pairs of a picture and a text.
    """
    pictures: list[Described] = []
    notes: list[str] = []
    spoken: dict[str, None] = {}
    for name in dict.fromkeys(names):
        if name in BUILTIN or datasets.recognise(Path(name)):
            own: list[Described] = []
            for language in languages or ("",):
                found = open_evaluation_set(
                    name,
                    cache_dir=cache_dir,
                    on_message=on_message,
                    split=split or ("" if name in BUILTIN else FOR_TRAINING),
                    language=language,
                    images_dir=images_dir,
                    allow_missing=True,
                )
                spoken |= dict.fromkeys(text.language for text in found.texts if text.language)
                own += of_evaluation_set(found)
                notes += [f"{found.name}: {note}" for note in found.notes]
            # A set that was read once for each language has a name for each; the one it was given is unique.
            own = joined([Described(name, one.name, one.item, one.read, one.texts) for one in own])
        else:
            no_choice(split=split, language=languages[0] if languages else "", of=name)
            own, more = _catalogue(Path(name), images_dir)
            notes += more
        if not own:
            raise TrainingError(
                f"{name} has no pairs of a picture and a text",
                hint="a catalogue needs photos, a benchmark judgements between pictures and texts",
            )
        pictures += own
    return TrainingData(tuple(pictures), tuple(dict.fromkeys(notes)), tuple(spoken))


def _catalogue(path: Path, images_dir: Path | None) -> tuple[list[Described], list[str]]:
    source = open_source(path, images_dir=images_dir)
    items: list[SourceItem] = []
    rejected = refused = bare = 0
    for entry in source.items():
        if isinstance(entry, Rejected):
            rejected += 1
            continue
        items.append(entry)
        refused += len(entry.problems)
        bare += not entry.photos
    columns = {name for item in items for name in item.attributes}
    colour = next((name for name in COLOURS if name in columns), None)
    kind = next((name for name in TYPES if name in columns), None)
    described = [
        Described(str(path), str(photo), item.item_id, partial(read_file, photo), texts)
        for item in items
        if (texts := item_texts(item, colour, kind))
        for photo in item.photos
    ]
    counted = ((rejected, "entries cannot be used"), (refused, "photos are refused"), (bare, "items have no photo"))
    notes = []
    if not (isinstance(source, TableSource) and source.columns.title):
        notes.append(
            f"{path.name}: no titles; the words of {len(described):,} file names are trained on as titles, which "
            "teaches nothing unless they say what the photos show"
        )
    return described, notes + [f"{path.name}: {count:,} {what}, and were left out" for count, what in counted if count]


def item_texts(item: SourceItem, colour: str | None, kind: str | None) -> dict[str, tuple[str, ...]]:
    """What people may type to find an item, by group.

    colour, kind: the attributes with its colour and its type, if the catalogue has such.

    title: the title. description: the item's texts, alone and after `type, colour`, as a person lists what is known.
    attributes: `colour type` and `type, colour`, or the one of them that is there.
    """
    hue, sort = (_word(item.attributes, name) for name in (colour, kind))
    listed = ", ".join(filter(None, (sort, hue)))
    said = [text for text in item.texts.values() if text.strip()]
    groups = {
        "title": [item.title],
        "description": [text for one in said for text in (one, f"{listed}, {one}" if listed else "")],
        "attributes": [" ".join(filter(None, (hue, sort))), listed],
    }
    cleaned = {group: tuple(dict.fromkeys(filter(str.strip, texts))) for group, texts in groups.items()}
    return {group: texts for group, texts in cleaned.items() if texts}


def _word(attributes: Mapping[str, Any], name: str | None) -> str:
    value = attributes.get(name) if name else None
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return " ".join(value.split()) if isinstance(value, str) else ""
