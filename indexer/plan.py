"""What an index run has to do about each item: a pure function of what the source says and what is stored.

The names of the outcomes are those of the summary. A photo counts as `changed` when its bytes changed or the text or
attributes of its row did; as `renamed` when known bytes have a new path; as `new` also when its bytes are known from
another photo that is still there (its vector is then copied, not computed).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from indexer.sources.base import PROGRAM_KIND, SourceItem
from indexer.state import FileStamp, Known, KnownFile, KnownItem, KnownPhoto, ObservedItem, ObservedPhoto, given_up


class Outcome(StrEnum):
    """What became of one photo, or of an item that has none."""

    NEW = "new"
    CHANGED = "changed"
    RENAMED = "renamed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"


class Action(StrEnum):
    """What to do about one photo."""

    KEEP = "keep"  # its row and vector stay
    MOVE = "move"  # its row gets a new path, perhaps a new item; the vector stays
    COPY = "copy"  # a new row with the vector of the same bytes elsewhere
    ENCODE = "encode"
    FAIL = "fail"  # what is stored of it stays
    DROP = "drop"  # its file is gone: what is stored of it goes too


@dataclass(frozen=True)
class PhotoPlan:
    """photo_id: the row that is kept or moved. replaces: the row whose file changed or failed.

    copy_of: the stored photo with the same bytes. ledger: the entry as it stands; ledger_id: the entry to write.
    """

    path: str
    action: Action
    outcome: Outcome
    position: int = 0
    stamp: FileStamp | None = None
    content_hash: str = ""
    photo_id: int | None = None
    replaces: int | None = None
    copy_of: KnownPhoto | None = None
    reordered: bool = False
    ledger: KnownFile | None = None
    ledger_id: int | None = None
    reason: str = ""

    @property
    def settled(self) -> bool:
        """Does the ledger already say all there is to say?"""
        if self.ledger is None or self.ledger.stamp != self.stamp:
            return False
        if self.action is Action.FAIL:
            return self.ledger.reason == self.reason and (self.stamp is None or given_up(self.ledger, self.stamp))
        return self.action is Action.KEEP and self.ledger.state != "failed" and not self.reordered


@dataclass(frozen=True)
class ItemPlan:
    """item_key: the stored row to change, None for a new item. rejected: why the item cannot be stored at all.

    new_id: the row is that of an item with another id, whose photo was renamed; none of its texts are known here.
    drop_photos: rows of the item that no ledger entry of this source answers for, left by the source it was taken from.
    """

    item: SourceItem
    row_hash: str
    item_key: int | None
    photos: tuple[PhotoPlan, ...] = ()
    row_changed: bool = False
    taken_over: bool = False
    new_id: bool = False
    drop_photos: tuple[int, ...] = ()
    add_texts: tuple[tuple[str, str], ...] = ()
    drop_texts: tuple[int, ...] = ()
    rejected: str = ""

    @property
    def settled(self) -> bool:
        """Is there nothing to write?"""
        changed = self.rejected or self.row_changed or self.drop_photos
        return not changed and all(photo.settled for photo in self.photos)


@dataclass(frozen=True)
class _Target:
    """The item that a photo is planned for. listed: all paths the source names for it."""

    item: SourceItem
    stored: KnownItem | None
    listed: frozenset[str]


@dataclass
class Planner:
    """Plans the items of one source, chunk by chunk.

    earlier: sources already indexed in this run, id -> location. file_exists: is there a file at this path now?
    claimed: photo rows moved so far, so that none moves twice.
    """

    source_id: int
    kind: str
    file_exists: Callable[[str], bool]
    earlier: Mapping[int, str] = field(default_factory=dict)
    claimed: set[int] = field(default_factory=set)

    def plan(self, observed: Sequence[ObservedItem], known: Known) -> list[ItemPlan]:
        """What to do about each of these items, given what is stored about them."""
        return [self._plan_item(one, known) for one in observed]

    def _plan_item(self, observed: ObservedItem, known: Known) -> ItemPlan:
        item = observed.item
        stored = known.items.get(item.item_id)
        conflict = self._conflict(item, stored)
        if conflict:
            return ItemPlan(item, "", None, rejected=conflict)
        row_hash = observed.row_hash
        text_changed = stored is not None and stored.row_hash != row_hash
        taken_over = stored is not None and stored.source_id != self.source_id
        target = _Target(item, stored, frozenset(photo.path for photo in observed.photos))
        plans = [self._plan_photo(photo, place, target, known) for place, photo in enumerate(observed.photos)]
        plans = plans or [_plan_photoless(item, known)]
        if text_changed:
            plans = [replace(p, outcome=Outcome.CHANGED) if p.outcome is Outcome.UNCHANGED else p for p in plans]
        item_key = stored.item_key if stored else None
        moved = next((p.copy_of for p in plans if p.action is Action.MOVE), None)
        if stored is None and moved is not None:
            item_key = moved.item_key
        # In a folder the photo is the item: while it fails there is no row to store, and nothing to write every run.
        hopeless = self.kind == "folder" and all(plan.action is Action.FAIL for plan in plans)
        texts = _texts(item)
        kept = stored.texts if stored else {}
        return ItemPlan(
            item,
            row_hash,
            item_key=item_key,
            new_id=stored is None and moved is not None,
            photos=tuple(plans),
            row_changed=text_changed or taken_over or (stored is None and not hopeless),
            taken_over=taken_over,
            drop_photos=_left_behind(target, plans, known),
            add_texts=tuple(text for text in texts if text not in kept),
            drop_texts=tuple(text_id for text, text_id in kept.items() if text not in texts),
        )

    def _conflict(self, item: SourceItem, stored: KnownItem | None) -> str:
        """Why this id may not be taken over from another source; empty if it may.

        A later catalogue file updates the items of an earlier one. Equal file names in two folders are different
        photos, unless the other's file is gone (then the folder was moved). Whoever wrote an item last owns it where a
        program put it, or puts it now.
        """
        if stored is None or stored.source_id == self.source_id or stored.source_kind == PROGRAM_KIND:
            return ""
        if self.kind != "folder" and stored.source_id in self.earlier:
            return f"id '{item.item_id}' already came from {self.earlier[stored.source_id]} in this run"
        alive = [path for path in stored.photos if self.file_exists(path)]
        if self.kind == "folder" and alive:
            return f"id '{item.item_id}' belongs to {alive[0]}; index the folder that holds both, or two collections"
        return ""

    def _plan_photo(self, photo: ObservedPhoto, position: int, target: _Target, known: Known) -> PhotoPlan:
        entry = known.files.get((target.item.item_id, photo.path))
        before = target.stored.photos.get(photo.path) if target.stored else None
        failed = PhotoPlan(
            photo.path,
            Action.FAIL,
            Outcome.FAILED,
            position=position,
            stamp=photo.stamp,
            content_hash=photo.content_hash or "",
            replaces=before.photo_id if before else None,
            ledger=entry,
            ledger_id=entry.ledger_id if entry else None,
        )
        if photo.problem is not None:
            drop = photo.gone and before is not None
            return replace(failed, reason=photo.problem, action=Action.DROP if drop else Action.FAIL)
        if entry is not None and entry.state == "failed" and given_up(entry, photo.stamp):
            return replace(failed, reason=entry.reason)
        if before is not None and photo.content_hash in {None, before.content_hash}:
            return replace(
                failed,
                action=Action.KEEP,
                outcome=Outcome.UNCHANGED,
                content_hash=before.content_hash,
                photo_id=before.photo_id,
                reordered=before.position != position,
                replaces=None,
            )
        same = known.contents.get(failed.content_hash, ())
        old = None if before else self._old_place(same, target, failed.content_hash)
        if old is not None:
            self.claimed.add(old.photo_id)
            old_entry = known.files.get((old.item_id, old.path))
            old_ledger_id = old_entry.ledger_id if old_entry else old.ledger_id
            return replace(
                failed,
                action=Action.MOVE,
                outcome=Outcome.RENAMED,
                photo_id=old.photo_id,
                copy_of=old,
                ledger_id=failed.ledger_id or old_ledger_id,
            )
        outcome = Outcome.CHANGED if before else Outcome.NEW
        if same:
            return replace(failed, action=Action.COPY, outcome=outcome, copy_of=same[0])
        return replace(failed, action=Action.ENCODE, outcome=outcome)

    def _old_place(self, same: Sequence[KnownPhoto], target: _Target, content_hash: str) -> KnownPhoto | None:
        """Of the stored photos with the same bytes, the one that is this photo under its old name."""
        if target.stored is not None:
            own = target.stored.photos.values()
            candidates = [other for other in own if other.content_hash == content_hash]
            return next((o for o in candidates if o.photo_id not in self.claimed and o.path not in target.listed), None)
        if self.kind != "folder":
            return None
        for other in same:  # in a folder the path is the id, so that a renamed photo comes with a new id
            free = other.photo_id not in self.claimed and other.source_kind == "folder"
            if free and not self.file_exists(other.path):
                return other
        return None


def _left_behind(target: _Target, plans: Sequence[PhotoPlan], known: Known) -> tuple[int, ...]:
    """Photos that neither this source's row nor its ledger names; kept while one of the row's own cannot be read.

    A catalogue file that was moved without its photos names only missing ones: what was stored must outlive that.
    """
    if target.stored is None or any(plan.action is Action.FAIL for plan in plans):
        return ()
    moved = {plan.photo_id for plan in plans}
    return tuple(
        photo.photo_id
        for path, photo in target.stored.photos.items()
        if path not in target.listed and photo.photo_id not in moved and (target.item.item_id, path) not in known.files
    )


def _plan_photoless(item: SourceItem, known: Known) -> PhotoPlan:
    entry = known.files.get((item.item_id, ""))
    return PhotoPlan(
        "",
        Action.KEEP,
        Outcome.SKIPPED,
        ledger=entry,
        ledger_id=entry.ledger_id if entry else None,
        reason="no photo: only its text can be found",
    )


def _texts(item: SourceItem) -> list[tuple[str, str]]:
    named = [("title", item.title), *item.texts.items()]
    return [(name, content) for name, content in named if content.strip()]
