"""The guard that keeps tests on this machine."""

from __future__ import annotations

import socket

import pytest

from tests.conftest import GUARD
from tests.loopback import LoopbackGuard, OutsideError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_let_through(host: str) -> None:
    """Every spelling of this machine's loopback may be connected to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        LoopbackGuard().watch("socket.connect", (sock, (host, 80)))


@pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.1", "0.0.0.0", "2001:db8::1", "example.com"])
def test_other_machines_are_refused(host: str) -> None:
    """No address but loopback may be connected to, and each attempt is remembered."""
    guard = LoopbackGuard()
    with (
        socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock,
        pytest.raises(OutsideError, match="loopback only"),
    ):
        guard.watch("socket.connect", (sock, (host, 443)))
    assert len(guard.reached) == 1


@pytest.mark.parametrize("name", ["example.com", b"example.com", "metadata.google.internal"])
def test_names_are_not_looked_up(name: str | bytes) -> None:
    """No name server is asked."""
    with pytest.raises(OutsideError, match="look-up"):
        LoopbackGuard().watch("socket.getaddrinfo", (name, 443, 0, 0, 0))


@pytest.mark.parametrize(
    "name", [None, "localhost", "x.invalid", "0x7f.1", "2130706433", "fe80::1%1"]
)
def test_what_needs_no_name_server_is_read(name: str | None) -> None:
    """Addresses in any notation, and reserved names, may be resolved."""
    LoopbackGuard().watch("socket.getaddrinfo", (name, 443, 0, 0, 0))


def test_the_guard_is_up(request: pytest.FixtureRequest) -> None:
    """A real connection of a test is stopped before a packet leaves."""
    with socket.socket() as sock, pytest.raises(OutsideError):
        sock.connect(("192.0.2.1", 9))
    reached = request.config.stash[GUARD].reached
    assert len(reached) == 1
    reached.clear()
