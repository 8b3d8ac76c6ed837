"""All open sockets, so that one call can wake every thread that waits on one."""

from __future__ import annotations

import contextlib
import socket
import threading

from archiver.errors import StoppedError


class OpenSockets:
    """A register of sockets that `shut` ends, whoever is reading from them."""

    def __init__(self) -> None:
        # Re-entrant: `shut` may be called by a signal handler within `add`.
        self._lock = threading.RLock()
        self._sockets: set[socket.socket] = set()
        self._shut = False

    @property
    def is_shut(self) -> bool:
        """Whether `shut` was called: no socket is opened any more."""
        return self._shut

    def add(self, sock: socket.socket) -> None:
        """Register a socket.

        Raises:
            StoppedError: `shut` was called.
        """
        with self._lock:
            self.check()
            self._sockets.add(sock)

    def check(self) -> None:
        """Do nothing, unless `shut` was called.

        Raises:
            StoppedError: It was.
        """
        if self._shut:
            raise StoppedError("stopped; no connection is used any more")

    def remove(self, sock: socket.socket) -> None:
        """Forget a socket, before it is closed."""
        with self._lock:
            self._sockets.discard(sock)

    def shut(self) -> None:
        """End all traffic: blocked readers see the end of the connection at once."""
        with self._lock:
            self._shut = True
            for sock in tuple(self._sockets):
                with contextlib.suppress(OSError):
                    # Not SSLSocket's own, which takes the TLS state away from a reading thread.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
