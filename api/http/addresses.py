"""Which addresses on the internet a server may be sent to: public ones, and no others by any spelling."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNICAST_6 = ipaddress.ip_network("2000::/3")  # all that is given out; the rest is loopback, local, mapped, reserved
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NEVER = tuple(
    ipaddress.ip_network(block)
    for block in (
        # Not public, but `is_global` says so, in Python 3.11 or in all:
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # protocol assignments, Teredo among them: it holds an IPv4 address
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",  # documentation
    )
)


def is_public(text: str) -> bool:
    """Is this one address, in plain notation, of a machine on the public internet?

    IPv4 inside IPv6 counts as the IPv4 address where networks translate it (NAT64, RFC 6052), and otherwise never as
    public: mapped (::ffff:127.0.0.1), compatible (::127.0.0.1), 6to4 and Teredo addresses name machines nearby, too.
    """
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address in _NAT64:
        address = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id or address not in _UNICAST_6):
        return False
    if any(address in block for block in _NEVER if block.version == address.version):
        return False
    return address.is_global and not address.is_multicast
