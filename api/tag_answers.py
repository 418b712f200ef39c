"""Labels that items got, as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.tagging import Tagged


def tagged_json(found: "Tagged", labels: Sequence[str], field: str, *, stored: bool) -> dict[str, Any]:
    """All items that got any, with theirs. without: how many items with a photo got none."""
    return {
        "field": field,
        "labels": list(labels),
        "stored": stored,
        "sharpness": round(found.sharpness, 3),
        "items": [
            {
                "item_id": found.names[key][0],
                "title": found.names[key][1],
                "tags": [{"label": one.label, "confidence": round(one.confidence, 6)} for one in tags],
            }
            for key, tags in found.tags.items()
        ],
        "without": found.items - len(found.tags),
    }
