"""One item on its way: checked, its photos read, its plan made."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from indexer.changes import EncodedPhoto, FinishedItem
from indexer.items.prepared import Origin, Prepared
from indexer.items.uploads import upload_path
from indexer.items.value import PutItem, as_source_item, problems_of
from indexer.observe import observe_photo
from indexer.plan import Action, ItemPlan
from indexer.state import Known, ObservedItem, ObservedPhoto


@dataclass(frozen=True)
class Draft:
    """observed: None where there are problems. uploads, origins: bytes, or where they are, by their hash.

    names: how a person knows the photos, by path.
    """

    item_id: str
    problems: tuple[str, ...] = ()
    observed: ObservedItem | None = None
    uploads: Mapping[str, bytes] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """What may have to be encoded."""
        item = self.observed.item if self.observed else None
        return [text for text in (item.title, *item.texts.values()) if text] if item else []


def drafted(folder: Path, item: PutItem) -> Draft:
    """Check an item and read its photos' files. A missing or unreadable one is a problem of the item."""
    problems = problems_of(item)
    if problems:
        return Draft(item.item_id, problems)
    observed: dict[str, ObservedPhoto] = {}
    uploads: dict[str, bytes] = {}
    origins: dict[str, Origin] = {}
    names: dict[str, str] = {}
    for number, photo in enumerate(item.photos, 1):
        if isinstance(photo, bytes):
            content_hash = hashlib.sha256(photo).hexdigest()
            one = ObservedPhoto(str(upload_path(folder, content_hash)), content_hash=content_hash)
            uploads[content_hash] = photo
        else:
            one = observe_photo(photo)
        names.setdefault(one.path, f"photo {number}")
        observed.setdefault(one.path, one)
        if one.content_hash is not None:
            origins[one.content_hash] = photo
    problems = tuple(f"{names[one.path]}: {one.problem}" for one in observed.values() if one.problem is not None)
    if problems:
        return Draft(item.item_id, problems)
    source_item = as_source_item(item, tuple(map(Path, observed)))
    return Draft(item.item_id, (), ObservedItem(source_item, tuple(observed.values())), uploads, origins, names)


@dataclass(frozen=True)
class Planned:
    """plan: what to write. gone: ledger entries of photos that the item shows no more. dropped: their paths."""

    draft: Draft
    plan: ItemPlan
    gone: tuple[int, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def unchanged(self) -> bool:
        return self.plan.settled and not self.gone

    @property
    def unencoded(self) -> dict[str, Origin]:
        """Pictures, by hash, whose bytes no stored photo has."""
        new = (photo.content_hash for photo in self.plan.photos if photo.action is Action.ENCODE)
        return {content_hash: self.draft.origins[content_hash] for content_hash in new}

    def problems(self, prepared: Prepared) -> tuple[str, ...]:
        """Why it cannot be stored after all."""
        results = (
            (photo, photo.reason if photo.action is Action.FAIL else prepared.photos.get(photo.content_hash))
            for photo in self.plan.photos
            if photo.action in (Action.FAIL, Action.ENCODE)
        )
        return tuple(f"{self.draft.names[photo.path]}: {why}" for photo, why in results if isinstance(why, str))

    def finished(self, prepared: Prepared) -> FinishedItem:
        """The plan with its results."""
        made = {photo.path: prepared.photos.get(photo.content_hash) for photo in self.plan.photos}
        texts = [prepared.texts[content] for _, content in self.plan.add_texts]
        return FinishedItem(
            self.plan,
            {path: one for path, one in made.items() if isinstance(one, EncodedPhoto)},
            text_vectors=[vector for vector, _ in texts],
            text_tokens=[data for _, data in texts],
        )


def planned(draft: Draft, plan: ItemPlan, known: Known) -> Planned:
    """The plan, and what the stored item has that the new one does not: a put replaces an item as a whole."""
    item_id = draft.item_id
    named = {photo.ledger_id for photo in plan.photos}
    gone = {path: one.ledger_id for (name, path), one in known.files.items() if name == item_id}
    gone = {path: ledger_id for path, ledger_id in gone.items() if ledger_id not in named}
    stored = known.items.get(item_id)
    if stored is None:
        return Planned(draft, plan, tuple(gone.values()))
    kept = {photo.photo_id for photo in plan.photos}
    # Rows of photos that moved to another path are still stored under the old one, whose entry moved with them.
    left = [one.photo_id for path, one in stored.photos.items() if path in gone and one.photo_id not in kept]
    drop = tuple(dict.fromkeys((*plan.drop_photos, *left)))
    paths = {photo.path for photo in plan.photos}
    dropped = tuple(path for path in stored.photos if path not in paths)
    return Planned(draft, replace(plan, drop_photos=drop), tuple(gone.values()), dropped)
