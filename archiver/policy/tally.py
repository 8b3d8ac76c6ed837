"""A run in numbers, and what they say when it ends.

`Tally` is the one mutable type of its layer: one driver counts a run's outcomes in it, so that
memory does not grow with their number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from archiver.model import Fault, Outcome, Role, State
from archiver.policy.exits import ExitCode

WATERMARKED_ONLY = "watermarked_only"
"""Code of a task whose only copy is marked, under `--require-unwatermarked`."""

CRASHES_DECODER = "crashes_decoder"
"""Code of a file that killed two runs, and the process that then probed it alone."""

OLD_AFTER = timedelta(hours=24)
"""From this age on a nightly run counts a task that is still `retry`."""


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
    not_renewed: int = 0
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
        self.not_renewed += outcome.fault is not None
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
        others += tally.not_renewed
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
