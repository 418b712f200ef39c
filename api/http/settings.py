"""What a server serves and what it allows, and the names of its collections."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from api.defaults import DEFAULT_COLLECTION
from retrieval.errors import CollectionError

UPLOAD_LIMIT = 20 * 2**20
QUEUE = 64
WORKERS = 16  # threads: those that wait for the text tower together are one batch, so more than there are cores
BATCH_MS = 3.0

_NAMED = re.compile(r"([A-Za-z0-9_-]+)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class ServerSettings:
    """All that `create_app` needs to know.

    collections: folders by the name that addresses have. runtime: what encoders run on, see `load_encoder`.
    reranker: `starter` or a folder; None for the one built in for each encoder.
    api_key_file: who may read and write; None lets everybody. upload_limit: bytes of a request's body.
    allow_url: whether pictures may be named by URL, which the server then fetches.
    cors: origins whose pages may call, such as `https://shop.example`. rate_limit: requests a minute and client.
    hosts: names that a request may call the server by, without port; none lets any pass.
    image_roots: folders in which a request may name photos by path.
    queue: calls that may wait for one of the `workers` threads; one more is refused.
    batch_ms: how long a text waits for others to be encoded with.
    """

    collections: Mapping[str, Path]
    runtime: str | None = None
    reranker: str | None = None
    api_key_file: Path | None = None
    upload_limit: int = UPLOAD_LIMIT
    allow_url: bool = False
    cors: tuple[str, ...] = ()
    rate_limit: float | None = None
    hosts: tuple[str, ...] = ()
    image_roots: tuple[Path, ...] = ()
    queue: int = QUEUE
    workers: int = WORKERS
    batch_ms: float = BATCH_MS


def named(folders: Iterable[Path]) -> dict[str, Path]:
    """Absolute folders by their names; `NAME=DIR` names one itself.

    Raises CollectionError for two folders of one name.
    """
    found: dict[str, Path] = {}
    for given in folders:
        chosen = None if given.exists() else _NAMED.fullmatch(str(given))
        folder = (Path(chosen[2]) if chosen else given).absolute()
        name = name_of(Path(chosen[1]) if chosen else folder)
        if found.setdefault(name, folder) != folder:
            raise CollectionError(
                f"two collections have the name '{name}': {found[name]} and {folder}",
                hint=f"give one a name of its own: --collection other-name={folder}",
            )
    return found


def name_of(folder: Path) -> str:
    """The name of a collection in addresses: its folder's, of `.catalens` that of the folder it lies in.

    Letters, digits, `-` and `_` in ASCII, lower case.
    """
    name = folder.absolute().parent.name if folder.name == DEFAULT_COLLECTION.name else folder.name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9_-]+", "-", plain.lower()).strip("-") or "collection"
