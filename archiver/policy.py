"""What is good enough, when to try again, and what an exit code says: decisions without effects.

Every function is pure: what it needs to know, the time included, is passed in. `Tally` alone can
change: one driver counts a run's outcomes in it, so that memory does not grow with their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Protocol, TypeGuard

from archiver.errors import (
    ArchiverError,
    CatalogError,
    DamageError,
    KeyRefusedError,
    LockedError,
    NoCreditError,
    PassingError,
    ProviderError,
    StoreError,
    StoreFullError,
    UsageError,
)
from archiver.model import (
    Asset,
    Dimensions,
    Duration,
    Fault,
    Outcome,
    Rendition,
    Role,
    State,
)

WATERMARKED_ONLY = "watermarked_only"
"""Code of a task whose only copy is marked, under `--require-unwatermarked`."""

LONGEST_PAUSE = timedelta(hours=24)
"""No task waits longer for its next look."""

SHORTEST_PAUSE = timedelta(minutes=1)
"""First pause after a passing fault."""

SECOND_LOOK_AFTER = timedelta(hours=24)
"""How far apart two looks must be before a verdict about a task stands."""

FRESH_FOR = timedelta(hours=1)
"""How long a gateway's "no such task" may mean that the task is not there yet."""

OLD_AFTER = timedelta(hours=24)
"""From this age on a nightly run counts a task that is still `retry`."""

_EPSILON = 1e-9


# --- renditions and media -----------------------------------------------------------------------


class Marked(Protocol):
    """Anything that is watermarked or not: a rendition, an asset's record."""

    @property
    def watermarked(self) -> bool:
        """Whether the provider marks it."""
        ...


def rank(asset: Asset, prefer: Sequence[str]) -> tuple[Rendition, ...]:
    """Return an asset's renditions, the one to fetch first in front.

    Clean goes before marked whatever the order says; then the position in `prefer`; names that are
    not in it come after, as the provider ordered them.
    """
    place = {name: number for number, name in reversed(list(enumerate(prefer)))}
    return tuple(
        sorted(asset.renditions, key=lambda r: (r.watermarked, place.get(r.name, len(prefer))))
    )


def is_better(new: Marked, old: Marked) -> bool:
    """Whether a copy is worth replacing what is stored: a clean one for a marked one."""
    return old.watermarked and not new.watermarked


def may_replace(new: Marked, old: Marked) -> bool:
    """Whether other bytes may take the place of what is stored: never a marked for a clean one."""
    return old.watermarked or not new.watermarked


def compare_dimensions(
    declared_width_px: int | None,
    declared_height_px: int | None,
    actual_width_px: int | None,
    actual_height_px: int | None,
) -> Dimensions:
    """Compare declared with actual width and height.

    `scaled` is the same shape within rounding: with the longer side as the measure, the other is
    within one pixel or 1 % of where it should be. Half a declaration is none.
    """
    sides = (declared_width_px, declared_height_px, actual_width_px, actual_height_px)
    known = [side for side in sides if side is not None and side > 0]
    if len(known) < len(sides):
        return Dimensions.UNDECLARED
    width, height, actual_width, actual_height = known
    if (width, height) == (actual_width, actual_height):
        return Dimensions.MATCH
    if (width, height) == (actual_height, actual_width):
        return Dimensions.SWAPPED
    if actual_width >= actual_height:
        other, measure, actual_other, actual_measure = height, width, actual_height, actual_width
    else:
        other, measure, actual_other, actual_measure = width, height, actual_width, actual_height
    # In whole numbers, multiplied by `measure` and 100: a hostile declaration overflows a float.
    expected = other * actual_measure
    off = abs(actual_other * measure - expected)
    if off <= measure or off * 100 <= expected:
        return Dimensions.SCALED
    return Dimensions.MISMATCH


def compare_duration(declared_s: float | None, actual_s: float | None) -> Duration:
    """Compare declared with actual duration: `match` within 0.5 s or 5 % of the declared one."""
    if not (_is_length(declared_s) and _is_length(actual_s)):
        return Duration.UNDECLARED
    off = abs(declared_s - actual_s)
    allowed = max(0.5, 0.05 * declared_s)
    return Duration.MATCH if off <= allowed + _EPSILON else Duration.MISMATCH


def _is_length(value: float | None) -> TypeGuard[float]:
    return value is not None and 0 < value < math.inf


# --- repeats ------------------------------------------------------------------------------------


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


# --- exit codes ---------------------------------------------------------------------------------


class ExitCode(IntEnum):
    """What the process says when it ends."""

    DONE = 0
    BUG = 1
    USAGE = 2
    PARTIAL = 3
    KEY_REFUSED = 4
    PROVIDER_FAULT = 5
    WATERMARKED_ONLY = 6
    STORE = 7
    LIMIT = 10
    LOCKED = 11
    DAMAGE = 12
    FULL = 13
    SIGINT = 130
    SIGTERM = 143


_PRECEDENCE = (
    ExitCode.SIGINT,
    ExitCode.SIGTERM,
    ExitCode.BUG,
    ExitCode.USAGE,
    ExitCode.LOCKED,
    ExitCode.STORE,
    ExitCode.FULL,
    ExitCode.KEY_REFUSED,
    ExitCode.DAMAGE,
    ExitCode.PROVIDER_FAULT,
    ExitCode.LIMIT,
    ExitCode.WATERMARKED_ONLY,
    ExitCode.PARTIAL,
    ExitCode.DONE,
)

# Subclasses before their base: the first that fits counts.
_CODE_OF_ERROR: tuple[tuple[type[ArchiverError], ExitCode], ...] = (
    (UsageError, ExitCode.USAGE),
    (LockedError, ExitCode.LOCKED),
    (StoreFullError, ExitCode.FULL),
    (StoreError, ExitCode.STORE),
    (CatalogError, ExitCode.STORE),
    (KeyRefusedError, ExitCode.KEY_REFUSED),
    (NoCreditError, ExitCode.KEY_REFUSED),
    (DamageError, ExitCode.DAMAGE),
    (ProviderError, ExitCode.PROVIDER_FAULT),
    (PassingError, ExitCode.PROVIDER_FAULT),
)


def exit_code(facts: Iterable[ExitCode]) -> ExitCode:
    """Return the one code of a process of which all these are true."""
    found = frozenset(facts)
    return next((code for code in _PRECEDENCE if code in found), ExitCode.DONE)


def exit_code_of(error: ArchiverError) -> ExitCode:
    """Return the code of a command that this error ended."""
    return next(
        (code for kind, code in _CODE_OF_ERROR if isinstance(error, kind)), ExitCode.PARTIAL
    )


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of all tasks of one run, in numbers.

    The one mutable type here: the driver alone adds to it. `asked` is counted where tasks go in,
    the others where they come out, so that `is_balanced` can fail.

    Attributes:
        asked: Tasks that the run was given.
        archived: Newly archived, completed, upgraded or repaired.
        already: Archived before; nothing was to do.
        queued: Known, but not reached.
        found_gone, found_refused: Those of `gone` and `refused` that this run found.
        old_retry: Those of `retry` first seen more than a day ago.
        provider_retry: Those of `retry` that are the provider's fault.
        watermarked_only: Those of `retry` that have only a marked copy.
        old_watermarked_only: Those of both.
        incomplete: Archived tasks of which a main output is missing.
        found_incomplete: Those of them that were not archived before.
        missing_previews: Archived tasks of which only previews are missing.
        watermarked: Archived tasks with a marked main output.
        source_faults: Faults of a whole source (its list, its base URL).
        provider_source_faults: Those of them that are the provider's.
        stored_bytes: Size of what `archived` and `already` count.
        fetched_bytes: What came over the wire.
        changed: Tasks by what this run changed (`archived`, `upgraded`, …).
        codes: Tasks by the code of their fault.
        facts: What else the exit code must tell: a refused key, a limit, a signal.
    """

    asked: int = 0
    archived: int = 0
    already: int = 0
    queued: int = 0
    waiting: int = 0
    retry: int = 0
    failed: int = 0
    gone: int = 0
    refused: int = 0
    forgotten: int = 0
    found_gone: int = 0
    found_refused: int = 0
    old_retry: int = 0
    provider_retry: int = 0
    watermarked_only: int = 0
    old_watermarked_only: int = 0
    incomplete: int = 0
    found_incomplete: int = 0
    missing_previews: int = 0
    watermarked: int = 0
    source_faults: int = 0
    provider_source_faults: int = 0
    stored_bytes: int = 0
    fetched_bytes: int = 0
    changed: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    facts: set[ExitCode] = field(default_factory=set)

    def ask(self, count: int = 1) -> None:
        """Count tasks that go in."""
        self.asked += count

    def leave(self, count: int = 1) -> None:
        """Count tasks that were not reached and stay queued."""
        self.queued += count

    def note(self, fact: ExitCode) -> None:
        """Remember what the exit code must tell besides the tasks."""
        self.facts.add(fact)

    def add_source_fault(self, fault: Fault) -> None:
        """Count a fault that concerns a whole source and none of its tasks."""
        self.source_faults += 1
        self.provider_source_faults += fault.provider_side

    def add(self, outcome: Outcome, *, first_seen_at: datetime, now: datetime) -> None:
        """Count what became of one task."""
        self.fetched_bytes += outcome.fetched_bytes
        if outcome.changed:
            self.changed[outcome.changed] = self.changed.get(outcome.changed, 0) + 1
        if outcome.fault:
            self.codes[outcome.fault.code] = self.codes.get(outcome.fault.code, 0) + 1
        match outcome.state:
            case State.ARCHIVED:
                self._add_archived(outcome)
            case State.RETRY:
                self._add_retry(outcome, is_old=now - first_seen_at > OLD_AFTER)
            case State.QUEUED:
                self.queued += 1
            case State.WAITING:
                self.waiting += 1
            case State.FAILED:
                self.failed += 1
            case State.GONE:
                self.gone += 1
                self.found_gone += not outcome.already
            case State.REFUSED:
                self.refused += 1
                self.found_refused += not outcome.already
            case State.FORGOTTEN:
                self.forgotten += 1

    def _add_archived(self, outcome: Outcome) -> None:
        self.already += outcome.already
        self.archived += not outcome.already
        self.watermarked += outcome.watermarked
        self.stored_bytes += outcome.stored_bytes
        if any(_is_main(word) for word in outcome.missing):
            self.incomplete += 1
            self.found_incomplete += not outcome.already
        elif outcome.missing:
            self.missing_previews += 1

    def _add_retry(self, outcome: Outcome, *, is_old: bool) -> None:
        self.retry += 1
        self.old_retry += is_old
        fault = outcome.fault
        self.provider_retry += fault is not None and fault.provider_side
        if fault is not None and fault.code == WATERMARKED_ONLY:
            self.watermarked_only += 1
            self.old_watermarked_only += is_old

    @property
    def answered(self) -> int:
        """How many tasks came out, in whatever state."""
        archived = self.archived + self.already + self.forgotten
        given_up = self.failed + self.gone + self.refused
        return archived + self.queued + self.waiting + self.retry + given_up

    @property
    def is_balanced(self) -> bool:
        """Whether every task that went in came out."""
        return self.asked == self.answered


def _is_main(word: str) -> bool:
    """Whether a missing output (`audio-2`, `thumbnail`) is what was asked to be generated."""
    role = word.partition("-")[0]
    return role not in {r.value for r in Role if r.is_preview}


def outcome_exit(tally: Tally, *, nightly: bool) -> frozenset[ExitCode]:
    """Return all that an exit code must tell of a run; `exit_code` picks one.

    Args:
        tally: What became of the tasks.
        nightly: `run` does not count tasks still being generated or failed upstream, counts `gone`
            and `refused` when it finds them and `retry` once it is a day old; `archive` and
            `ingest` count every task that they were asked for.
    """
    facts = set(tally.facts)
    if nightly:
        marked, retry = tally.old_watermarked_only, tally.old_retry
        others = tally.found_gone + tally.found_refused + tally.found_incomplete
    else:
        marked, retry = tally.watermarked_only, tally.retry
        others = tally.waiting + tally.failed + tally.gone + tally.refused + tally.incomplete
    open_tasks = (retry - marked) + others + tally.queued + tally.source_faults
    if marked:
        facts.add(ExitCode.WATERMARKED_ONLY)
    if open_tasks:
        facts.add(ExitCode.PARTIAL)
    if retry + tally.source_faults and _is_providers_fault(tally):
        facts.add(ExitCode.PROVIDER_FAULT)
    return frozenset(facts)


def _is_providers_fault(tally: Tally) -> bool:
    """Whether nothing is archived, and every fault is one that the provider can mend."""
    return (
        tally.archived + tally.already == 0
        and tally.failed + tally.gone + tally.waiting + tally.refused == 0
        and tally.retry == tally.provider_retry
        and tally.source_faults == tally.provider_source_faults
    )
