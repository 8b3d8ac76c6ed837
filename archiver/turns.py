"""Taking turns at what needs much memory, so that it does not grow with the workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_WAIT_S = 20.0
_TICK_S = 0.2


class Turns:
    """One thread at a time; it keeps its turn until the end of its piece of work.

    Outside of a `piece` nobody takes turns: who has no end told cannot give back.

    Args:
        longest_wait_s: After so long one goes on without a turn. Whoever has it may wait for what
            this thread holds: a request to the same host.
    """

    def __init__(self, *, longest_wait_s: float = LONGEST_WAIT_S) -> None:
        self._ticks = round(longest_wait_s / _TICK_S)
        self._lock = threading.Lock()
        self._own = _Own()

    @contextmanager
    def piece(self) -> Iterator[None]:
        """Mark a piece of work, at whose end a turn that was taken within is given back."""
        if self._own.in_piece:
            yield
            return
        self._own.in_piece = True
        try:
            yield
        finally:
            self._own.in_piece = False
            if self._own.has_turn:
                self._own.has_turn = False
                self._lock.release()

    @property
    def has_turn(self) -> bool:
        """Whether this thread has the turn."""
        return self._own.has_turn

    def take(self, check_stop: Callable[[], None]) -> None:
        """Wait for the turn, unless this thread has it.

        Args:
            check_stop: Called five times a second; what it raises ends the waiting.
        """
        if not self._own.in_piece or self._own.has_turn:
            return
        for _ in range(self._ticks):
            if self._lock.acquire(timeout=_TICK_S):
                self._own.has_turn = True
                return
            check_stop()


class _Own(threading.local):
    """What each thread knows of itself."""

    def __init__(self) -> None:
        self.in_piece = False
        self.has_turn = False
