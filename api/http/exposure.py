"""Whom an address lets in, and what follows from it: which names are answered to, and whether to warn."""

import ipaddress
from collections.abc import Sequence

from api.http.middleware.hosts import LOOPBACK


def is_loopback(address: str) -> bool:
    """Is this an address that only programs on this machine reach?"""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.is_loopback


def hosts_of(address: str, named: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """The names that a server on an address answers to, without ports; none for any.

    On loopback its names and the one given, `named`; elsewhere nobody can know by what names people come, so any unless
    `more` says which. more: further names.
    """
    if not is_loopback(address) and not more:
        return ()
    return tuple(dict.fromkeys((*LOOPBACK, *(f"[{one}]" if ":" in one else one for one in (address, named, *more)))))


def warning(address: str, *, keys: bool) -> str | None:
    """What to tell who starts a server that lets others in without asking who they are."""
    if keys or is_loopback(address):
        return None
    return (
        "warning: whoever reaches this machine may search, change and delete items\n"
        "  there is no --api-key-file; catalens api-key --scope read --file keys.txt\n"
        "  makes one"
    )
