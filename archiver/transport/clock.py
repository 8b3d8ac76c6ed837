"""Real time, and the one place where a run learns that it has to stop."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from archiver.errors import StoppedError

_SLICE_S = 0.2


class SystemClock:
    """The machine's clocks, with a switch that ends every sleep.

    It has no lock on purpose: `stop` may be called from a signal handler, which could interrupt
    the very thread that holds a lock (a `threading.Event` has one inside). Sleepers look at the
    switch five times a second instead.
    """

    def __init__(self) -> None:
        self._reason: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether the run was told to stop."""
        return self._reason is not None

    def stop(self, reason: str) -> None:
        """Tell everyone to stop; the first reason stays.

        Args:
            reason: For people, e.g. `stopped by SIGTERM`.
        """
        if self._reason is None:
            self._reason = reason

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, never going back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; at most a fifth of a second longer than the moment of `stop`.

        Raises:
            StoppedError: The run was told to stop before or meanwhile.
        """
        end = time.monotonic() + seconds
        self.check_stop()
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_S))
            self.check_stop()

    def check_stop(self) -> None:
        """Do nothing, unless the run was told to stop.

        Raises:
            StoppedError: It was.
        """
        if self._reason is not None:
            raise StoppedError(self._reason)
