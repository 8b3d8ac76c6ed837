"""Making connections: name to addresses, addresses past the guard, TCP, proxy, TLS."""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from archiver.contracts import Clock
from archiver.errors import ForbiddenAddressError, PassingError
from archiver.transport import address
from archiver.transport.connection import Connection
from archiver.transport.faults import no_meaning, passing
from archiver.transport.link import Link
from archiver.transport.proxies import Proxies, Proxy
from archiver.transport.sockets import OpenSockets

Resolve = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a name and port, best first. Raises `OSError`."""

BeginConnect = Callable[[str, int], socket.socket]
"""Begins to connect to an address and port and returns the non-blocking socket. `OSError`."""

LONGEST_CONNECT_S = 15.0

_HEAD_START_S = 0.25
_SLICE_S = 0.25
_MOST_ADDRESSES = 8
_OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa", ".localdomain", ".lan")


def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def begin_connect(ip: str, port: int) -> socket.socket:
    """Begin a TCP connection."""
    family, kind, protocol, _, where = socket.getaddrinfo(
        ip, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.connect(where)
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        raise
    return sock


class Dialler:
    """Opens connections; the guard sits between the resolver and the socket.

    Args:
        allow_private: Let files be asked from any address.
        tls: Makes the TLS settings; called once, for the first https connection.
        sockets: Where sockets are registered so that `stop` finds them.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        timeout_s: float,
        allow_private: bool,
        proxies: Proxies,
        tls: Callable[[], ssl.SSLContext],
        sockets: OpenSockets,
        resolve: Resolve = resolve,
        begin_connect: BeginConnect = begin_connect,
    ) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._connect_s = min(timeout_s, LONGEST_CONNECT_S)
        self._allow_private = allow_private
        self._proxies = proxies
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._sockets = sockets
        self._resolve = resolve
        self._begin = begin_connect

    def open(self, link: Link, *, guarded: bool) -> Connection:
        """Open a connection.

        Args:
            guarded: Connect to public addresses only (unless the user allowed all): each address
                is checked, and the one that was checked is the one connected to.

        Raises:
            ForbiddenAddressError: There is no public address under this name.
            PassingError: No connection.
            StoppedError: The run was told to stop.
        """
        guarded = guarded and not self._allow_private
        proxy = self._proxies.pick(link)
        if proxy is None:
            sock = self._tcp(link.name, link.port, link.authority, guarded=guarded)
        else:
            if guarded:
                self._vet_for_proxy(link)
            sock = self._tcp(proxy.host, proxy.port, f"proxy {proxy.host}", guarded=False)
        try:
            self._sockets.add(sock)
            if link.scheme == "https":
                sock.settimeout(self._connect_s)
                if proxy is not None:
                    self._tunnel(sock, link, proxy)
                plain, sock = sock, self._wrapped(sock, link)
                self._sockets.remove(plain)
                self._sockets.add(sock)
                _shake_hands(sock, link.authority)
            return Connection(
                sock,
                peer=link.authority,
                timeout_s=self._timeout_s,
                clock=self._clock,
                proxy=proxy,
            )
        except BaseException:
            self._sockets.remove(sock)
            sock.close()
            raise

    def _tcp(self, name: str, port: int, peer: str, *, guarded: bool) -> socket.socket:
        addresses = self._addresses(name, port)
        if guarded:
            addresses = [item for item in addresses if address.is_public(address.parse(item))]
            if not addresses:
                raise ForbiddenAddressError(f"{peer} is not at a public address; it was not asked")
        return self._first_connected(addresses[:_MOST_ADDRESSES], port, peer)

    def _addresses(self, name: str, port: int) -> list[str]:
        number = address.literal(name)
        if number is not None:
            return [str(number)]
        try:
            found = list(self._resolve(name, port))
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise PassingError(f"the name {name} cannot be resolved", code="dns")
        return found

    def _first_connected(self, addresses: Sequence[str], port: int, peer: str) -> socket.socket:
        """Try the addresses in turn, each with a small head start over the next.

        Source: RFC 8305 ("Happy Eyeballs"), without its reordering.
        """
        waiting = deque(addresses)
        fault: OSError = TimeoutError()
        next_start = 0.0
        deadline = self._clock.monotonic() + self._connect_s
        with selectors.DefaultSelector() as selector, _closing_pending(selector):
            while True:
                self._clock.check_stop()
                now = self._clock.monotonic()
                if now >= deadline or not (waiting or selector.get_map()):
                    raise self._unreachable(peer, fault, late=now >= deadline)
                if waiting and (now >= next_start or not selector.get_map()):
                    next_start = now + _HEAD_START_S
                    try:
                        sock = self._begin(waiting.popleft(), port)
                    except OSError as error:
                        if error.errno in _OWN_LIMITS:
                            raise  # no word about the peer: this machine has no more to give
                        fault = error
                        continue
                    selector.register(sock, selectors.EVENT_WRITE)
                for key, _ in selector.select(min(_SLICE_S, deadline - now)):
                    selector.unregister(key.fileobj)
                    sock = cast("socket.socket", key.fileobj)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if code == 0:
                        return sock
                    sock.close()
                    fault = OSError(code, "connect")

    def _unreachable(self, peer: str, fault: OSError, *, late: bool) -> PassingError:
        if late:
            seconds = f"{self._connect_s:g} s"
            return PassingError(f"{peer} did not take the call within {seconds}", code="timeout")
        if isinstance(fault, ConnectionRefusedError):
            return PassingError(f"{peer} refuses connections", code="unreachable")
        return passing(peer, fault)

    def _vet_for_proxy(self, link: Link) -> None:
        """Refuse what is not public as far as it can be told from here.

        The proxy resolves the name once more; what it connects to is beyond our sight.
        """
        name = link.name
        number = address.literal(name)
        refusal = ForbiddenAddressError(
            f"{link.authority} is not at a public address; it was not asked"
        )
        if number is None and ("." not in name or name.endswith(_LOCAL_SUFFIXES)):
            raise refusal
        try:
            found = self._addresses(name, link.port)
        except PassingError:
            return  # behind a proxy, names of the internet often cannot be resolved
        if not all(address.is_public(address.parse(item)) for item in found):
            raise refusal

    def _tunnel(self, sock: socket.socket, link: Link, proxy: Proxy) -> None:
        peer = f"proxy {proxy.host}"
        host = f"[{link.host}]" if ":" in link.host else link.host
        headers = {"Host": f"{host}:{link.port}"}
        if proxy.authorization:
            headers["Proxy-Authorization"] = proxy.authorization
        tunnel = Connection(sock, peer=peer, timeout_s=self._connect_s, clock=self._clock)
        head = tunnel.ask("CONNECT", headers["Host"], headers)
        if not 200 <= head.status < 300:
            raise PassingError(f"{peer} answers HTTP {head.status}", code="proxy")
        if not tunnel.is_empty:
            raise no_meaning(peer, "bytes before TLS began")

    def _wrapped(self, sock: socket.socket, link: Link) -> ssl.SSLSocket:
        if self._tls is None:
            self._tls = self._make_tls()
        return self._tls.wrap_socket(sock, server_hostname=link.name, do_handshake_on_connect=False)


def _shake_hands(sock: socket.socket, peer: str) -> None:
    if isinstance(sock, ssl.SSLSocket):
        try:
            sock.do_handshake()
        except OSError as fault:
            raise passing(peer, fault) from None


@contextmanager
def _closing_pending(selector: selectors.BaseSelector) -> Iterator[None]:
    """Close what is still being connected, when another was faster or all is lost."""
    try:
        yield
    finally:
        for key in tuple(selector.get_map().values()):
            cast("socket.socket", key.fileobj).close()
