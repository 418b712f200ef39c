"""API keys: what the server keeps of them, how they are made and how they are recognised.

A key is 32 random bytes, so one SHA-256 hides it as well as a slow hash would: there is nothing to guess.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from retrieval.errors import CatalensError

Scope = Literal["read", "write"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""What a key is for; write includes read."""

PREFIX = "catalens_"  # tells people, and programs that look for leaked secrets, what they have found

_HINT = "a line is SCOPE SHA256 [NAME], as `catalens api-key --file` writes it"


class KeyFileError(CatalensError):
    """A file of API keys that cannot be used."""


@dataclass(frozen=True)
class ApiKey:
    """What is kept of a key. name: what the access log calls it. digest: SHA-256 of the key, 32 bytes."""

    name: str
    scope: Scope
    digest: bytes

    @property
    def line(self) -> str:
        """Its line in a key file."""
        return f"{self.scope} {self.digest.hex()} {self.name}"


def new_key(scope: Scope, name: str = "") -> tuple[str, ApiKey]:
    """A new key and what to keep of it. The key itself is told to its owner, and nowhere else."""
    key = PREFIX + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).digest()
    return key, ApiKey(name or digest.hex()[:8], scope, digest)


class ApiKeys:
    """The keys that a server takes."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def read(cls, path: Path) -> "ApiKeys":
        """The keys of a file. Raises KeyFileError as `keys_in`, and for a file without a key."""
        keys = keys_in(path)
        if not keys:
            hint = f"add one with `catalens api-key --file {path} --scope read`"
            raise KeyFileError(f"{path} holds no API key, so nobody could ask for anything", hint=hint)
        return cls(keys)

    def find(self, given: bytes) -> ApiKey | None:
        """The key that these bytes are. It takes as long for a wrong one, however nearly right."""
        digest = hashlib.sha256(given).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found


def keys_in(path: Path) -> list[ApiKey]:
    """The keys of a file: lines `SCOPE SHA256HEX [NAME]`; empty ones and those that begin with # do not count.

    Raises KeyFileError, which names the line, for anything else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        hint = "make one with `catalens api-key --file FILE --scope read`"
        raise KeyFileError(f"the API keys in {path} cannot be read: {reason}", hint=hint) from error
    return list(_keys(path, text))


def _keys(path: Path, text: str) -> Iterator[ApiKey]:
    known: dict[bytes, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        scope, digest_hex, name = (*line.split(maxsplit=2), "", "")[:3]
        kind = next((each for each in SCOPES if each == scope), None)
        if kind is None:
            raise KeyFileError(f"{path}, line {number}: a scope is read or write", hint=_HINT)
        if not re.fullmatch(r"[0-9a-fA-F]{64}", digest_hex):
            message = f"{path}, line {number}: the second word is not the SHA-256 of a key, 64 hexadecimal digits"
            raise KeyFileError(message, hint=f"never write the key itself there; {_HINT}")
        digest = bytes.fromhex(digest_hex)
        if digest in known:
            message = f"{path}, line {number}: the key of line {known[digest]} again"
            raise KeyFileError(message, hint="keep one of the two lines")
        known[digest] = number
        yield ApiKey(name.strip() or digest_hex[:8].lower(), kind, digest)
