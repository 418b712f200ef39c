"""Which pictures train and which validate: what belongs together stays together."""

from collections.abc import Hashable, Sequence

from retrieval.training.splits import Part, part_of


def parts_of(
    items: Sequence[Hashable], digests: Sequence[str], *, validation: float, seen: frozenset[bytes] = frozenset()
) -> dict[str, Part]:
    """The part of each digest.

    items, digests: of each picture, its item and the hex SHA-256 of its bytes. Pictures of one item, and items that
    share a picture, form one group, which has one part: otherwise one text would train and validate.
    validation: share of the pictures, 0…1. seen: pictures that the base was trained on, as `read_seen` gives them.

    A group with a picture in `seen` trains, and the share is taken from the others, as far as there are enough; unless
    there are no others. A group's part is decided by its smallest digest, whatever the order.
    """
    groups = _groups(items, digests)
    known = {group for digest, group in groups.items() if bytes.fromhex(digest[:16]) in seen}
    fresh = sum(group not in known for group in groups.values())
    if not fresh:
        known, fresh = set(), len(groups)
    share = min(1.0, validation * len(groups) / fresh) if fresh else validation
    return {
        digest: "train" if group in known else part_of("picture", group, held_out=0, validation=share)
        for digest, group in groups.items()
    }


def _groups(items: Sequence[Hashable], digests: Sequence[str]) -> dict[str, str]:
    """Digest -> the smallest digest of its group, by union-find over digests."""
    above: dict[str, str] = {}

    def smallest(digest: str) -> str:
        while above.setdefault(digest, digest) != digest:
            above[digest] = above[above[digest]]  # halves the way for the next one
            digest = above[digest]
        return digest

    first: dict[Hashable, str] = {}
    for item, digest in zip(items, digests, strict=True):
        one, other = sorted((smallest(digest), smallest(first.setdefault(item, digest))))
        above[other] = one
    return {digest: smallest(digest) for digest in above}
