"""Many tasks at once: workers, deadlines, limits, and the one place that catches bugs.

Each worker takes the next piece of work: asking for a document while fewer than a few per worker
are at hand, else fetching the task whose links die first. So no link ages in a long queue, and the
most urgent one goes first. The driver (the thread that calls `run`) alone writes outcomes to the
catalog.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from archiver.bookkeeping import Rules, settle
from archiver.catalog import Catalog, TaskRow
from archiver.contracts import Clock
from archiver.errors import (
    ArchiverError,
    DamageError,
    KeyRefusedError,
    NoCreditError,
    SourceFaultError,
    StoppedError,
    machine_fault,
)
from archiver.model import Fault, Outcome, State, Task, TaskRef
from archiver.verdicts import fault_of

log = logging.getLogger("archiver")

WINDOW_PER_WORKER = 2
SOURCE_FAULTS = 3
PASSING_FAULTS = 20
TICK_S = 0.2
MOST_AT_ONCE = 64
GRACE_S = 10.0


@dataclass(slots=True, kw_only=True)
class Limits:
    """When to stop: seconds from the start, bytes fetched; `None`: never."""

    max_duration_s: float | None = None
    max_bytes: int | None = None


@dataclass(slots=True, kw_only=True)
class Report:
    """How a run went as a whole; what became of each task went to `on_outcome`.

    Attributes:
        stopped_by: `signal`, `max_duration`, `max_bytes` or empty.
        refused_keys: Sources that were stopped, and why.
        faulty_sources: Sources that answered nothing of use, and why.
        bugs: Tasks on which archiver itself failed.
        damages: Tasks of which something that is stored cannot be read.
    """

    stopped_by: str = ""
    refused_keys: dict[str, ArchiverError] = field(default_factory=dict)
    faulty_sources: dict[str, ArchiverError] = field(default_factory=dict)
    bugs: int = 0
    damages: int = 0
    fetched_bytes: int = 0


@dataclass(order=True, slots=True)
class _Job:
    """A document at hand, most urgent first."""

    deadline: float
    number: int
    row: TaskRow = field(compare=False)
    task: Task = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Done:
    row: TaskRow
    outcome: Outcome | None
    error: BaseException | None = None


class Steps(Protocol):
    """How one task of a source is archived, in two steps: a `Pipeline`, or what is around one."""

    def ask(self, row: TaskRow) -> Task | Outcome:
        """Ask for a task."""
        ...

    def keep(self, task: Task, row: TaskRow) -> Outcome:
        """Archive what it offers."""
        ...


class Runner:
    """Runs the pipeline over many tasks.

    Args:
        pipelines: One for each source.
        on_outcome: Called by the driver for each task that came to an end in this run, with the
            row as it is now.
        interrupt: Makes the workers' clock say "stop", so that they park what is in flight.
        redact: Takes keys and signed queries out of what others said.
        is_suspect: Tells tasks that may crash the process: they come last.
    """

    def __init__(
        self,
        *,
        pipelines: Mapping[str, Steps],
        catalog: Catalog,
        clock: Clock,
        workers: int,
        rules: Rules,
        limits: Limits,
        on_outcome: Callable[[Outcome, TaskRow], None],
        interrupt: Callable[[], None],
        redact: Callable[[str], str],
        is_suspect: Callable[[TaskRef], bool] = lambda ref: False,
        dry_run: bool = False,
    ) -> None:
        self._pipelines = pipelines
        self._catalog = catalog
        self._clock = clock
        self._workers = workers
        self._rules = rules
        self._limits = limits
        self._on_outcome = on_outcome
        self._interrupt = interrupt
        self._redact = redact
        self._is_suspect = is_suspect
        self._dry_run = dry_run
        self._started_s = clock.monotonic()
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._ready: list[_Job] = []
        self._asking = 0
        self._keeping = 0
        self._rows: Iterator[TaskRow] = iter(())
        self._broken: BaseException | None = None
        self._exhausted = True
        self._ending = False
        self._failures: dict[str, int] = {}
        self._done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
        self.report = Report()

    def run(self, rows: Iterator[TaskRow]) -> Report:
        """Take every row through its pipeline, until the end, a limit or a signal.

        Raises:
            StoreError, CatalogError: The store or the catalog failed; what was in flight is parked.
        """
        self._rows, self._exhausted, self._ending = self._suspects_last(rows), False, False
        threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            for number in range(self._workers)
        ]
        for thread in threads:
            thread.start()
        fatal: BaseException | None = None
        try:
            fatal = self._drive(threads)
        finally:
            self._end()
        if fatal is not None:
            raise fatal
        return self.report

    def _suspects_last(self, rows: Iterator[TaskRow]) -> Iterator[TaskRow]:
        suspects = []
        for row in rows:
            if self._is_suspect(row.ref):
                suspects.append(row)
            else:
                yield row
        yield from suspects

    # --- the driver -----------------------------------------------------------------------------

    def _drive(self, threads: list[threading.Thread]) -> BaseException | None:
        fatal: BaseException | None = None
        stopped_at: float | None = None
        while any(thread.is_alive() for thread in threads) or not self._done.empty():
            fatal = self._book(self._arrived()) or fatal
            if fatal is not None and not self._ending:
                self._end()
                self._interrupt()
            if fatal is None:
                self._watch_limits()
            if fatal is not None or self.report.stopped_by in ("signal", "max_duration"):
                # Real seconds: a worker that is stuck in the system must not keep the process.
                stopped_at = stopped_at or time.monotonic()
                if time.monotonic() - stopped_at > GRACE_S:
                    break
        return fatal or self._broken

    def _watch_limits(self) -> None:
        if self.report.stopped_by:
            return
        try:
            self._clock.check_stop()
        except StoppedError:
            self.report.stopped_by = "signal"
            self._end()
            self._interrupt()
            return
        longest = self._limits.max_duration_s
        if longest is not None and self._clock.monotonic() - self._started_s >= longest:
            self._stop("max_duration")
        most = self._limits.max_bytes
        if most is not None and self.report.fetched_bytes >= most:
            self._stop("max_bytes")

    def _stop(self, reason: str) -> None:
        with self._changed:
            if self._ready or self._asking or self._keeping or not self._exhausted:
                self.report.stopped_by = reason
        self._end()
        if reason == "max_duration":
            self._interrupt()

    def _end(self) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def _arrived(self) -> list[_Done]:
        """Wait for a moment; return all that workers are done with meanwhile."""
        found: list[_Done] = []
        with suppress(queue.Empty):
            found.append(self._done.get(timeout=TICK_S))
            while len(found) < MOST_AT_ONCE:
                found.append(self._done.get_nowait())
        return found

    def _book(self, batch: list[_Done]) -> BaseException | None:
        """Write outcomes down, together; give back an error that must end the run."""
        fatal, outcomes = None, list[tuple[TaskRow, Outcome]]()
        for done in batch:
            outcome, error = self._judged(done)
            fatal = fatal or error
            if outcome is not None:
                self.report.fetched_bytes += outcome.fetched_bytes
                outcomes.append((done.row, self._without_secrets(outcome)))
        try:
            rows = [row for row, _ in outcomes]
            if outcomes and not self._dry_run:
                now = self._clock.now()
                settled = [settle(row, o, now=now, rules=self._rules) for row, o in outcomes]
                self._catalog.put_all(settled, at=now)
                rows = [row for row, _ in settled]
            for row, (_, outcome) in zip(rows, outcomes, strict=True):
                self._on_outcome(outcome, row)
        except ArchiverError as failed:
            return failed
        return fatal

    def _judged(self, done: _Done) -> tuple[Outcome | None, BaseException | None]:
        """Tell what became of a task, or the error that must end the run, or neither."""
        error, row = done.error, done.row
        if isinstance(error, (KeyRefusedError, NoCreditError)):
            self.report.refused_keys.setdefault(row.ref.source, error)
            return None, None
        if isinstance(error, StoppedError):
            return None, None
        is_fatal = isinstance(error, ArchiverError) and error.fatal
        if (fatal := error if is_fatal else machine_fault(error)) is not None:
            return None, fatal
        if isinstance(error, ArchiverError):
            self.report.damages += isinstance(error, DamageError)
            return _failed(row, fault_of(error)), None
        if error is not None:
            self.report.bugs += 1
            log.error("bug in archiver at task %s", row.ref, exc_info=error)
            words = f"a bug in archiver: {type(error).__name__}"
            return _failed(row, Fault(code="bug", message=words)), None
        return done.outcome, None

    def _without_secrets(self, outcome: Outcome) -> Outcome:
        if (fault := outcome.fault) is not None:
            fault = replace(fault, message=self._redact(fault.message))
        return replace(outcome, fault=fault, notes=tuple(map(self._redact, outcome.notes)))

    # --- the workers ----------------------------------------------------------------------------

    def _work(self) -> None:
        while (piece := self._next()) is not None:
            if isinstance(piece, _Job):
                self._keep(piece)
            else:
                self._ask(piece)

    def _next(self) -> _Job | TaskRow | None:
        """Wait for and return the next piece of work; `None` when there is none any more."""
        with self._changed:
            while not self._ending:
                full = len(self._ready) + self._asking >= WINDOW_PER_WORKER * self._workers
                if not full and (row := self._next_row()) is not None:
                    self._asking += 1
                    return row
                if job := self._next_job():
                    self._keeping += 1
                    return job
                if not self._asking and self._exhausted:
                    return None
                self._changed.wait()
            return None

    def _next_job(self) -> _Job | None:
        while self._ready:
            job = heapq.heappop(self._ready)
            if job.row.ref.source not in self.report.refused_keys:
                return job
        return None

    def _next_row(self) -> TaskRow | None:
        while not self._exhausted:
            # A queue of many thousands is not read to its end for nothing.
            stopped = all(map(self._is_stopped, self._pipelines))
            row = None if stopped else self._read_row()
            if row is None:
                self._exhausted = True
                self._changed.notify_all()
            elif not self._is_stopped(row.ref.source):
                return row
        return None

    def _read_row(self) -> TaskRow | None:
        try:
            return next(self._rows, None)
        except BaseException as error:  # noqa: BLE001  (raised by the driver, whatever it is)
            self._broken = error
            return None

    def _is_stopped(self, source: str) -> bool:
        return source in self.report.refused_keys or source in self.report.faulty_sources

    def _ask(self, row: TaskRow) -> None:
        done: _Done | None = None
        job: _Job | None = None
        try:
            found = self._pipelines[row.ref.source].ask(row)
            if isinstance(found, Task):
                dies_at = found.expires_at.timestamp() if found.expires_at else float("inf")
                job = _Job(dies_at, next(self._numbers), row, found)
            else:
                done = _Done(row, found)
            self._note_health(row.ref.source, found)
        except BaseException as error:  # noqa: BLE001  (reported by the driver, whatever it is)
            done = _Done(row, None, error)
            if isinstance(error, (KeyRefusedError, NoCreditError)):
                self.report.refused_keys.setdefault(row.ref.source, error)
        with self._changed:
            self._asking -= 1
            if job is not None and not self._is_stopped(row.ref.source):
                heapq.heappush(self._ready, job)
            self._changed.notify_all()
        if done is not None:
            self._done.put(done)

    def _note_health(self, source: str, found: Task | Outcome) -> None:
        """Stop a source that answers nothing of use: the rest of its queue is for another day."""
        fault = None if isinstance(found, Task) else found.fault
        with self._changed:
            if fault is None or not fault.provider_side:
                self._failures[source] = 0
                return
            number = self._failures[source] = self._failures.get(source, 0) + 1
            most = SOURCE_FAULTS if fault.code == SourceFaultError.code else PASSING_FAULTS
            if number >= most and source not in self.report.faulty_sources:
                error = SourceFaultError(f"{number} answers of no use in a row: {fault.message}")
                self.report.faulty_sources[source] = error

    def _keep(self, job: _Job) -> None:
        try:
            outcome = self._pipelines[job.row.ref.source].keep(job.task, job.row)
            self._done.put(_Done(job.row, outcome))
        except BaseException as error:  # noqa: BLE001  (reported by the driver, whatever it is)
            if isinstance(error, (KeyRefusedError, NoCreditError)):
                self.report.refused_keys.setdefault(job.row.ref.source, error)
            self._done.put(_Done(job.row, None, error))
        with self._changed:
            self._keeping -= 1
            self._changed.notify_all()


def _failed(row: TaskRow, fault: Fault) -> Outcome:
    """Nothing became of a task: an archived one stays as it was, another is tried again."""
    is_archived = row.state is State.ARCHIVED
    state = State.ARCHIVED if is_archived else State.RETRY
    return Outcome(ref=row.ref, state=state, fault=fault, already=is_archived, path=row.path)
