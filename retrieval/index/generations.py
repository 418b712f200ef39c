"""Index files on disk: where they lie and when one may be believed."""

import hashlib
from pathlib import Path

from retrieval.catalogue.queries import Generation
from retrieval.index.base import VectorIndex

INDEX_FOLDER = "index"


def load_verified(folder: Path, generation: Generation) -> VectorIndex | None:
    """The index of a generation, or None when its file is missing, its hash is wrong, or this FAISS cannot read it.

    FAISS notices 44 of 180 flipped bits; the others give wrong answers or a crash, so a wrong hash is never loaded.
    """
    if not is_intact(folder, generation):
        return None
    from retrieval.index import faiss_index  # 0.2 s to import: only a search or a build pays for it

    try:
        index = faiss_index.load(folder / INDEX_FOLDER / generation.file, generation.code_error, generation.reach)
    except RuntimeError:  # written by a FAISS that knows more kinds of index than this one
        return None
    return index if len(index) == generation.rows else None


def is_intact(folder: Path, generation: Generation) -> bool:
    """Is the generation's file there, with the bytes that were recorded?"""
    try:
        return sha256_of(folder / INDEX_FOLDER / generation.file) == generation.sha256
    except OSError:
        return False


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
