"""What a status means for whoever asked, the same for files and for APIs."""

from __future__ import annotations

from datetime import datetime

from archiver.errors import PassingError, RateLimitedError
from archiver.transport.message import Head
from archiver.transport.pace import HostPauses, parse_retry_after

_PASSING = frozenset({408, 425})


def raise_if_passing(
    host: str, head: Head, *, pauses: HostPauses, sent_at: float, now: datetime
) -> None:
    """Raise for a status that time mends, and pause the host if it asks for that.

    Args:
        host: Host and port.
        sent_at: When the request was sent (monotonic).
        now: The local time.

    Raises:
        RateLimitedError: 429, or a Retry-After with 408, 425 or 5xx.
        PassingError: 408, 425, 5xx; its code is `http_` and the status.
    """
    status = head.status
    if status < 500 and status != 429 and status not in _PASSING:
        pauses.forgive(host)
        return
    asked = parse_retry_after(head.headers, now=now)
    if status != 429 and not asked:
        raise PassingError(f"{host} answers HTTP {status}", code=f"http_{status}")
    seconds = pauses.pause(host, asked, sent_at=sent_at)
    raise RateLimitedError(
        f"{host} answers HTTP {status} and is left alone for {seconds:.0f} s",
        retry_after_s=seconds,
    )
