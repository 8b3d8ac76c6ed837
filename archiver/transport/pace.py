"""How fast to go: pauses that a host asked for, requests and bytes per second."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from archiver.contracts import Clock
from archiver.errors import RateLimitedError
from archiver.transport.load import HostLoad

LONGEST_PAUSE_S = 300.0
"""A longer one is not waited for: the task is tried again by a later run."""

_OWN_PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
_SECONDS = re.compile(r"\+?([0-9]{1,12})(?:\.[0-9]{0,9})?")
_BURST_S = 0.25


def parse_http_date(text: str | None) -> datetime | None:
    """Read an HTTP date in any of its three forms; `None` for anything else, absurd years too.

    Source: RFC 9110 section 5.6.7.
    """
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return date.astimezone(UTC) if 2015 <= date.year < 2200 else None


def parse_retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Tell for how many seconds an answer asks not to come back.

    A date is measured against the answer's own `Date`, so that a wrong clock on either side does
    no harm.

    Args:
        headers: Names in lower case.
        now: The local time, used when the answer bears no date of its own.

    Returns:
        Seconds, 0 for a moment that is past; `None` when nothing legible is asked.

    Source: RFC 9110 section 10.2.3; `retry-after-ms` as Azure and OpenAI send it.
    """
    milliseconds = _SECONDS.fullmatch(headers.get("retry-after-ms", "").strip())
    if milliseconds:
        return float(milliseconds[0]) / 1000
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    date = parse_http_date(text)
    if date is None:
        return None
    return max(0.0, (date - (parse_http_date(headers.get("date")) or now)).total_seconds())


class HostPauses:
    """Until when which host is left alone, by all workers.

    Args:
        load: Is told of refusals and answers, since both mean that a host has enough or not.
    """

    def __init__(self, *, clock: Clock, rng: random.Random, load: HostLoad) -> None:
        self._load = load
        self._clock = clock
        self._rng = rng
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._strikes: dict[str, tuple[int, float]] = {}

    def wait(self, host: str) -> None:
        """Wait while the host is paused.

        Raises:
            RateLimitedError: It would take over five minutes.
            StoppedError: The run was told to stop.
        """
        while (left := self._until.get(host, 0.0) - self._clock.monotonic()) > 0:
            if left > LONGEST_PAUSE_S:
                raise RateLimitedError(
                    f"{host} asked for a long pause and is left alone for {left:.0f} s",
                    retry_after_s=left,
                )
            # Not all workers at the same instant.
            self._clock.sleep(left + self._rng.uniform(0.0, min(1.0, left / 10)))

    def pause(self, host: str, seconds: float | None, *, sent_at: float) -> float:
        """Pause a host that asked for it.

        Args:
            host: Host and port.
            seconds: For how long; `None` or 0, when it did not say: longer each time in a row.
            sent_at: When the request was sent (monotonic): many requests that were under way
                when the host began to refuse count as one refusal.

        Returns:
            The pause in seconds.
        """
        self._load.refused(host, sent_at=sent_at)
        now = self._clock.monotonic()
        with self._lock:
            if not seconds:
                strikes, since = self._strikes.get(host, (0, 0.0))
                if strikes == 0 or sent_at >= since:
                    strikes = min(strikes + 1, len(_OWN_PAUSES_S))
                    self._strikes[host] = (strikes, now)
                seconds = _OWN_PAUSES_S[strikes - 1]
            self._until[host] = max(self._until.get(host, 0.0), now + seconds)
        return seconds

    def forgive(self, host: str) -> None:
        """Begin with short pauses again: the host has answered."""
        self._load.answered(host)
        if host in self._strikes:
            with self._lock:
                self._strikes.pop(host, None)


class RequestRate:
    """At most so many requests a second, evenly spaced, whatever the number of workers."""

    def __init__(self, *, clock: Clock, per_second: float | None) -> None:
        self._clock = clock
        self._interval_s = 1 / per_second if per_second else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Wait for the next turn.

        Raises:
            StoppedError: The run was told to stop.
        """
        if not self._interval_s:
            return
        with self._lock:
            now = self._clock.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval_s
        if turn > now:
            self._clock.sleep(turn - now)


class ByteRate:
    """At most so many bytes a second over all workers, with a quarter of a second of slack.

    Attributes:
        spent_bytes: All that came so far, also without a limit.
    """

    def __init__(self, *, clock: Clock, bytes_per_second: int | None) -> None:
        self._clock = clock
        self._rate = bytes_per_second or 0
        self._lock = threading.Lock()
        self._paid_until = 0.0
        self.spent_bytes = 0

    @property
    def read_size(self) -> int | None:
        """How much to read at once so that the pauses stay short; `None` without a limit."""
        return max(1024, min(1 << 18, self._rate // 8)) if self._rate else None

    def spend(self, count: int) -> None:
        """Wait until that many bytes are within the rate.

        Raises:
            StoppedError: The run was told to stop.
        """
        with self._lock:
            self.spent_bytes += count
            if not self._rate:
                return
            now = self._clock.monotonic()
            self._paid_until = max(self._paid_until, now - _BURST_S) + count / self._rate
            wait = self._paid_until - now
        if wait > 0:
            self._clock.sleep(wait)
