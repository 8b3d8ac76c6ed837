"""When to look again."""

from __future__ import annotations

from datetime import datetime, timedelta

LONGEST_PAUSE = timedelta(hours=24)
"""No task waits longer for its next look."""

SHORTEST_PAUSE = timedelta(minutes=1)
"""First pause after a passing fault."""

SECOND_LOOK_AFTER = timedelta(hours=24)
"""How far apart two looks must be before a verdict about a task stands."""

FRESH_FOR = timedelta(hours=1)
"""How long a gateway's "no such task" may mean that the task is not there yet."""


def next_poll(first_seen_at: datetime, now: datetime) -> datetime:
    """Return when to look again at a task that is not finished, or lacks an output.

    At once when it was just seen, then after a quarter of the time since, at most a day.
    """
    quarter = (now - first_seen_at) / 4
    return now + min(max(quarter, timedelta()), LONGEST_PAUSE)


def backoff(attempts: int, now: datetime, retry_after_s: float | None = None) -> datetime:
    """Return when to try again after a passing fault.

    Args:
        attempts: How many in a row failed, this one included.
        now: The time of this fault.
        retry_after_s: What the server asked for; honoured where it is longer, up to a day.

    Returns:
        One minute later, doubled with each attempt, at most a day.
    """
    pause = min(SHORTEST_PAUSE * (1 << min(max(attempts - 1, 0), 12)), LONGEST_PAUSE)
    if retry_after_s is not None and retry_after_s > pause.total_seconds():
        pause = timedelta(seconds=min(retry_after_s, LONGEST_PAUSE.total_seconds()))
    return now + pause


def second_look(
    code: str, previous_code: str | None, previous_seen_at: datetime | None, now: datetime
) -> bool:
    """Whether a verdict about a task stands: it was the same at least a day ago.

    Args:
        code: Today's verdict (`gone`, `not_media`, …).
        previous_code: The verdict that was noted before, if any.
        previous_seen_at: When that one was first seen; looks in between do not move it.
        now: The time of today's verdict.
    """
    return (
        previous_seen_at is not None
        and code == previous_code
        and now - previous_seen_at >= SECOND_LOOK_AFTER
    )


def is_fresh(first_seen_at: datetime, now: datetime) -> bool:
    """Whether a gateway's `task_not_exist` may only mean that the task is not there yet."""
    return now - first_seen_at < FRESH_FOR
