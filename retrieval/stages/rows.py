"""The catalogue's rows of photos, texts and items that an answer shows, each read once."""

import numpy as np

from retrieval.arrays import IdArray
from retrieval.catalogue.queries import MAX_PARAMETERS, MODALITIES, ItemRow, Modality, OwnerRow
from retrieval.collection import Collection
from retrieval.index.base import NO_ID


class RowReader:
    """Reads rows for one answer.

    To find the items of a few photos it reads all that their hits will show: a statement costs 0.3 ms whether it gives
    ids or rows, and the bare search of 100,000 vectors takes 4.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self._known: dict[Modality, dict[int, OwnerRow]] = {modality: {} for modality in MODALITIES}

    def of(self, modality: Modality, owners: IdArray) -> dict[int, OwnerRow]:
        """What to show of these photos or texts; those that are gone are missing."""
        known = self._known[modality]
        missing = [owner for owner in owners.tolist() if owner != NO_ID and owner not in known]
        if missing:
            known.update(self.collection.rows(modality, missing))
        return known

    def item_keys(self, modality: Modality, owners: IdArray) -> IdArray:
        """The item of each photo or text, NO_ID for one that is gone."""
        keys: dict[int, int]
        if len(owners) <= MAX_PARAMETERS:
            rows = self.of(modality, owners)
            keys = {owner: row.item_key for owner, row in rows.items()}
        else:
            keys = self.collection.item_keys(modality, owners.tolist())
        return np.fromiter((keys.get(owner, NO_ID) for owner in owners.tolist()), np.int64, len(owners))

    def items(self, keys: IdArray) -> dict[int, ItemRow]:
        """What to show of items of which neither a photo nor a text was compared."""
        return self.collection.items(keys.tolist()) if len(keys) else {}
