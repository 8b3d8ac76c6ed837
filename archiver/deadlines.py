"""What the order of a run saved: how many links would have died in the order of the queue."""

from __future__ import annotations

import heapq
import threading
from array import array
from dataclasses import replace
from datetime import datetime, timedelta

from archiver.catalog import TaskRow
from archiver.contracts import Clock
from archiver.model import Outcome, State, Task
from archiver.pipeline import Pipeline

EXPIRED = "expired"
"""Code of a task whose links were dead before its turn, and stayed so."""

_DEAD = frozenset({"gone", "no_links", "unavailable", "not_media"})


class Deadlines:
    """Notes when each task's links die, and how long its files took.

    Three numbers a task, so that a run over very many stays small.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._started_s = clock.monotonic()
        self._keys: list[tuple[str, str]] = []
        self._first_seen = array("d")
        self._left_s = array("d")
        self._took_s = array("d")
        self._met = 0

    def note(self, row: TaskRow, left_s: float, began_s: float, took_s: float) -> None:
        """Note one task: seconds left from now until its links die, and what it took."""
        with self._lock:
            self._keys.append((row.ref.source, row.ref.task_id))
            self._first_seen.append(row.first_seen_at.timestamp())
            self._left_s.append(began_s - self._started_s + left_s)
            self._took_s.append(took_s)
            self._met += left_s >= 0

    def lost_in_queue_order(self, workers: int) -> int:
        """Return how many tasks were in time, but would not have been first come, first served."""
        if not any(left < float("inf") for left in self._left_s):
            return 0
        order = sorted(range(len(self._keys)), key=lambda i: (self._first_seen[i], self._keys[i]))
        free_s = [0.0] * max(1, workers)
        met = 0
        for index in order:
            start_s = heapq.heappop(free_s)
            met += start_s <= self._left_s[index]
            heapq.heappush(free_s, start_s + self._took_s[index])
        return max(0, self._met - met)


class TimedPipeline:
    """A pipeline whose work is timed, and which says so when links died before their turn.

    Args:
        advice: What to do about dead links, in plain words.
    """

    def __init__(self, pipeline: Pipeline, clock: Clock, deadlines: Deadlines, advice: str) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._deadlines = deadlines
        self._advice = advice

    def ask(self, row: TaskRow) -> Task | Outcome:
        """Ask for a task: see `Pipeline.ask`."""
        return self._pipeline.ask(row)

    def keep(self, task: Task, row: TaskRow) -> Outcome:
        """Archive what a task offers: see `Pipeline.keep`."""
        began_s = self._clock.monotonic()
        now = self._pipeline.parts.api.now()
        left_s = _left(task.expires_at, now)
        outcome = self._pipeline.keep(task, row)
        took_s = self._clock.monotonic() - began_s
        self._deadlines.note(row, left_s, began_s, took_s)
        fault = outcome.fault
        if outcome.state is not State.ARCHIVED and fault and left_s < 0 and fault.code in _DEAD:
            words = f"its links ran out {_ago(-left_s)} before its turn; {self._advice}"
            return replace(outcome, fault=replace(fault, code=EXPIRED, message=words))
        return outcome


def _left(expires_at: datetime | None, now: datetime) -> float:
    return (expires_at - now).total_seconds() if expires_at else float("inf")


def _ago(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
