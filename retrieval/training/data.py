"""What a pair of heads learns from: pictures with texts, whatever they were read from."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from retrieval.evaluation.types import EvaluationSet


@dataclass(frozen=True)
class Described:
    """One picture with the texts that describe it.

    source: the data set, for reports. name: of the picture, for messages.
    item: what the picture shows, unique in its source: pictures of one item all train or all validate.
    read: gives the file's bytes; raises ImageError, or whatever a disk raises.
    texts: by group, such as a language or `title`; training draws a group first, then a text of it.
    """

    source: str
    name: str
    item: str
    read: Callable[[], bytes]
    texts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class TrainingData:
    """pictures in a stable order. notes: what a person should know, with counts. languages: that the sets name."""

    pictures: tuple[Described, ...]
    notes: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def summary(self) -> dict[str, dict[str, int]]:
        """By source: pictures, texts (each once), and texts by group as `title texts`."""
        found: dict[str, dict[str, set[str]]] = {}
        pictures: Counter[str] = Counter(picture.source for picture in self.pictures)
        for picture in self.pictures:
            groups = found.setdefault(picture.source, {})
            for group, texts in picture.texts.items():
                groups.setdefault(group, set()).update(texts)
        return {
            source: {
                "pictures": pictures[source],
                "texts": len(set().union(*groups.values())),
                **{f"{group} texts": len(texts) for group, texts in groups.items()},
            }
            for source, groups in found.items()
        }


def of_evaluation_set(dataset: EvaluationSet) -> list[Described]:
    """The set's images with the texts that its judgements pair with them; images without any are left out.

    Texts of a language are a group; where the set names none, the group is `caption`.
    """
    texts = {text.text_id: text for text in dataset.texts}
    paired: dict[str, dict[str, None]] = {}
    for task in dataset.tasks:
        for query, grades in task.qrels.items():
            for document, grade in grades.items():
                if grade >= 1 and task.direction == "text_to_image":
                    paired.setdefault(document, {})[query] = None
                elif grade >= 1 and task.direction == "image_to_text":
                    paired.setdefault(query, {})[document] = None
    described = []
    for image in dataset.images:
        groups: dict[str, list[str]] = {}
        for text_id in paired.get(image.image_id, ()):
            text = texts[text_id]
            groups.setdefault(text.language or "caption", []).append(text.text)
        if groups:
            described.append(Described(dataset.name, image.image_id, image.image_id, image.read, _fixed(groups)))
    return described


def joined(described: Sequence[Described]) -> list[Described]:
    """Pictures of one source and name once, with the texts of all: a set that was read once for each language."""
    together: dict[tuple[str, str], Described] = {}
    for one in described:
        key = (one.source, one.name)
        first = together.get(key)
        if first:
            groups = {group: list(texts) for group, texts in first.texts.items()}
            for group, texts in one.texts.items():
                groups[group] = list(dict.fromkeys([*groups.get(group, ()), *texts]))
            one = Described(first.source, first.name, first.item, first.read, _fixed(groups))  # noqa: PLW2901
        together[key] = one
    return list(together.values())


def _fixed(groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {group: tuple(texts) for group, texts in groups.items()}
