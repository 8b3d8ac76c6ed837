"""How many requests a host gets at a time: all that there are, fewer once it has refused some."""

from __future__ import annotations

import threading

from archiver.contracts import Clock

LONGEST_WAIT_S = 300.0
_TICK_S = 0.2
_ANSWERS_FOR_ONE_MORE = 16


class HostLoad:
    """Counts the requests under way for each host, and keeps them under what the host bears.

    A refusal (429, Retry-After) halves what is allowed, down to one; sixteen answers in a row allow
    one more. A host that never refuses has no limit.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition(threading.Lock())
        self._under_way: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._answers: dict[str, int] = {}
        self._lowered_at: dict[str, float] = {}

    def most(self, host: str) -> int | None:
        """Return how many requests a host may have at a time; `None`: as many as there are."""
        return self._most.get(host)

    def enter(self, host: str) -> None:
        """Wait until one more request may go to a host, and count it.

        It waits for at most five minutes, so that no mistake of ours can stop a run.

        Raises:
            StoppedError: The run was told to stop.
        """
        ends_s = self._clock.monotonic() + LONGEST_WAIT_S if host in self._most else 0.0
        with self._changed:
            while self._is_full(host) and self._clock.monotonic() < ends_s:
                self._changed.wait(_TICK_S)
                self._clock.check_stop()
            self._under_way[host] = self._under_way.get(host, 0) + 1

    def _is_full(self, host: str) -> bool:
        most = self._most.get(host)
        return most is not None and self._under_way.get(host, 0) >= most

    def leave(self, host: str) -> None:
        """Count a request that is over."""
        with self._changed:
            left = self._under_way[host] - 1
            if left:
                self._under_way[host] = left
            else:
                del self._under_way[host]
            if host in self._most:
                self._changed.notify()

    def refused(self, host: str, *, sent_at: float) -> None:
        """Halve what a host gets.

        Args:
            sent_at: When the request was sent (monotonic): many that were under way together when
                the host began to refuse count as one refusal.
        """
        with self._changed:
            if sent_at < self._lowered_at.get(host, 0.0):
                return
            busy = max(self._under_way.get(host, 0), 1)
            self._most[host] = max(1, min(self._most.get(host, busy), busy) // 2)
            self._answers[host] = 0
            self._lowered_at[host] = self._clock.monotonic()

    def answered(self, host: str) -> None:
        """Take note of an answer that was no refusal."""
        if host not in self._most:
            return
        with self._changed:
            self._answers[host] += 1
            if self._answers[host] >= _ANSWERS_FOR_ONE_MORE:
                self._answers[host] = 0
                self._most[host] += 1
                self._changed.notify()
