"""How often a request is tried, and with what pauses in between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager

import tenacity

from archiver.contracts import Clock
from archiver.errors import PassingError, RateLimitedError
from archiver.transport.pace import LONGEST_PAUSE_S

SPREAD_S = 30.0
"""The pauses between the attempts of one request add up to at most this."""

_LONGEST_S = 8.0


def pause_caps(max_attempts: int) -> tuple[float, ...]:
    """Return the longest pause after each failed attempt but the last, in seconds.

    They double from one second up to eight, and shrink together where their sum would pass
    `SPREAD_S`.
    """
    caps = [min(2.0 ** min(number, 10), _LONGEST_S) for number in range(max_attempts - 1)]
    scale = min(1.0, SPREAD_S / sum(caps)) if caps else 1.0
    return tuple(cap * scale for cap in caps)


class Retries:
    """Makes the attempts of requests; one for all threads."""

    def __init__(self, *, clock: Clock, rng: random.Random, max_attempts: int) -> None:
        self._clock = clock
        self._rng = rng
        self._max_attempts = max(1, max_attempts)
        self._caps = (*pause_caps(self._max_attempts), 0.0)

    def attempts(self) -> Iterator[AbstractContextManager[None, bool | None]]:
        """Yield the attempts of one request.

        A `PassingError` inside one is followed by a pause and the next; what ends the last
        attempt is raised, and so is at once every other error and a pause of over five minutes.

        Raises:
            ArchiverError: What the last attempt raised.
            StoppedError: The run was told to stop.
        """
        # A generator, so that the caller's `break` ends the loop without an attempt unaccounted.
        yield from tenacity.Retrying(
            sleep=self._clock.sleep,
            stop=tenacity.stop_after_attempt(self._max_attempts),
            wait=self._pause_s,
            retry=tenacity.retry_if_exception(_may_pass),
            reraise=True,
        )

    def _pause_s(self, state: tenacity.RetryCallState) -> float:
        fault = state.outcome.exception() if state.outcome else None
        if isinstance(fault, RateLimitedError) and fault.retry_after_s is not None:
            return 0.0  # the pause of the whole host is waited for before the next request
        return self._rng.uniform(0.0, self._caps[state.attempt_number - 1])


def _may_pass(fault: BaseException) -> bool:
    if not isinstance(fault, PassingError):
        return False
    return fault.retry_after_s is None or fault.retry_after_s <= LONGEST_PAUSE_S
