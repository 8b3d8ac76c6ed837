"""Which addresses on the network may be asked for a file: the public ones.

Links come out of answers that others wrote, so a link must not reach what only this machine or its
network can reach. The rule is applied to the addresses that a connection is really made to, after
the name was resolved, hence any way to write an address ends here.

Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and its updates). The lists
are written out since `ipaddress.is_global` changed its mind between patch releases of Python.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_CLOSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent: public by number, local by route
        "169.254.0.0/16",  # link-local; metadata of AWS, GCP, Azure
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocols; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocols; Teredo, which hides an IPv4 address
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the open internet.

    An IPv6 address that carries an IPv4 one (mapped, NAT64, 6to4) is judged by that.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    number = int(address)
    if address in _MAPPED or address in _NAT64:
        return is_public(IPv4Address(number & 0xFFFFFFFF))
    if address in _6TO4:
        return is_public(IPv4Address(number >> 80 & 0xFFFFFFFF))
    if address not in _GLOBAL_V6 or address.scope_id is not None:
        return False
    return not any(address in network for network in _CLOSED_V6)


def is_loopback(address: Address) -> bool:
    """Tell whether an address is this machine's own loopback."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def literal(host: str) -> Address | None:
    """Read a host that is an address, in any of the forms that resolvers take; else `None`.

    IPv4 may be one to four numbers, decimal, octal or hexadecimal (`2130706433`, `0x7f.1`).

    Args:
        host: Without brackets and without a dot at the end.

    Raises:
        ValueError: It ends in a number, so that it can be no name, yet is no address.
    """
    if ":" in host:
        return IPv6Address(host)
    last = host.rpartition(".")[2]
    if not (last.isdigit() or _is_hexadecimal(last)):
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        raise ValueError("not an address") from None


def parse(text: str) -> Address:
    """Read an address as a resolver gives it (an IPv6 one may carry its interface).

    Raises:
        ValueError: It is none.
    """
    return ip_address(text)


def _is_hexadecimal(label: str) -> bool:
    if label[:2] not in ("0x", "0X"):
        return False
    return all(char in "0123456789abcdefABCDEF" for char in label[2:])
