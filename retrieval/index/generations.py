"""Index files on disk: where they lie and when one may be believed."""

import hashlib
from pathlib import Path

from retrieval.catalogue.queries import Generation
from retrieval.index.base import VectorIndex

INDEX_FOLDER = "index"


def load_verified(folder: Path, generation: Generation) -> VectorIndex | None:
    """The index of a generation, or None when its file is missing or its hash is wrong.

    FAISS notices 44 of 180 flipped bits; the others give wrong answers or a crash, so a wrong hash is never loaded.
    """
    path = folder / INDEX_FOLDER / generation.file
    try:
        if sha256_of(path) != generation.sha256:
            return None
    except OSError:
        return None
    from retrieval.index import faiss_index  # 0.2 s to import: only a search or a build pays for it

    index = faiss_index.load(path)
    return index if len(index) == generation.rows else None


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
