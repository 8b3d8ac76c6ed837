"""A guard that lets tests talk to this machine and to nobody else."""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from typing import Any

LOCAL_NAMES = re.compile(r"(localhost|.*\.localhost|.*\.invalid)\.?", re.IGNORECASE)
"""Names that no name server is asked for, or that none knows (RFC 6761)."""

NUMERIC = re.compile(r"[0-9a-f]*:[0-9a-f:.]*(%.*)?|(0x[0-9a-f]+|\d+)(\.(0x[0-9a-f]+|\d+))*", re.I)
"""Addresses in any notation that the C library reads without asking anybody."""


class OutsideError(Exception):
    """A test reached for another machine. No `OSError`: product code must not catch it."""


class LoopbackGuard:
    """Judges what sockets of this process are about to do, by the interpreter's audit events.

    Attributes:
        reached: What was refused so far, oldest first.
    """

    def __init__(self) -> None:
        self.reached: list[str] = []

    def install(self) -> None:
        """Watch this process from now on; an audit hook cannot be taken off again."""
        sys.addaudithook(self.watch)

    def watch(self, event: str, args: tuple[Any, ...]) -> None:
        """Refuse a connection, a datagram or a look-up that leaves this machine.

        Raises:
            OutsideError: It does.
        """
        if not event.startswith("socket."):
            return
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            sock, address = args[0], args[1]
            internet = sock.family in (socket.AF_INET, socket.AF_INET6)
            if internet and address and not is_here(str(address[0])):
                self.refuse(f"{event} to {address}")
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            name = args[0].decode() if isinstance(args[0], bytes) else args[0]
            if name and not (LOCAL_NAMES.fullmatch(name) or NUMERIC.fullmatch(name)):
                self.refuse(f"look-up of {name}")

    def refuse(self, what: str) -> None:
        """Remember what was tried, for the test's own report, and stop it."""
        self.reached.append(what)
        raise OutsideError(f"{what}: tests talk to loopback only")


def is_here(host: str) -> bool:
    """Tell whether a socket address is this machine's own loopback."""
    if LOCAL_NAMES.fullmatch(host):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
