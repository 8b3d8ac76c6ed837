"""`archive`: these tasks, now; and what every run shares: the tally, the queue in the store."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

from archiver import layout
from archiver.bookkeeping import settle
from archiver.catalog import TaskRow
from archiver.errors import ArchiverError, DamageError, StoppedError
from archiver.model import JsonObject, Outcome, State, Task, TaskRef, TaskRefs
from archiver.policy import CRASHES_DECODER, ExitCode, Tally, exit_code, exit_code_of, outcome_exit
from archiver.recovery import recover
from archiver.reindex import reindex
from archiver.runner import Limits, Report, Runner, Steps
from archiver.session import Session
from archiver.turns import Turns
from archiver.verdicts import archived, fault_of

log = logging.getLogger("archiver")

FIRST_POLL_S = 2.0
LONGEST_POLL_S = 30.0
STALE_AFTER = timedelta(days=2)
"""An upload to S3 begun longer ago belongs to no run that is still at work."""


@dataclass(slots=True, kw_only=True)
class Result:
    """How a command that archives went.

    Attributes:
        nightly: Which of the contract's two ways of counting holds.
        failure: What ended it before its end: the store, the catalog.
    """

    tally: Tally = field(default_factory=Tally)
    report: Report = field(default_factory=Report)
    nightly: bool = False
    failure: ArchiverError | None = None

    @property
    def exit_code(self) -> ExitCode:
        """The one code that says it all."""
        facts = set(outcome_exit(self.tally, nightly=self.nightly))
        if self.failure is not None:
            facts.add(exit_code_of(self.failure))
        if self.report.refused_keys:
            facts.add(ExitCode.KEY_REFUSED)
        if self.report.stopped_by in ("max_duration", "max_bytes"):
            facts.add(ExitCode.LIMIT)
        if self.report.bugs:
            facts.add(ExitCode.BUG)
        if self.report.damages:
            facts.add(ExitCode.DAMAGE)
        return exit_code(facts)


OnOutcome = Callable[[Outcome, TaskRow], None]


def archive(
    session: Session,
    refs: Iterable[TaskRef | TaskRefs],
    *,
    workers: int,
    limits: Limits,
    wait_s: float = 0.0,
    again: bool = False,
    on_start: Callable[[int], None] = lambda number: None,
    on_outcome: OnOutcome = lambda outcome, row: None,
) -> Result:
    """Archive these tasks; each once, however often it is named.

    Args:
        wait_s: Poll tasks that are not finished yet for so long.
        again: Fetch archived ones anew.
        on_start: Gets the number of tasks that there is work for.

    Raises:
        LockedError, StoreError, CatalogError, UsageError: Nothing, or nothing more, can be done.
    """
    catalog, result = session.catalog, Result()
    number = catalog.ask(refs)
    sources = catalog.asked_sources()
    pipelines = session.open_sources(sources)
    with session.writing(sources, adopt=reindex), logged(session, "archive", result):
        result.tally.ask(number)
        counts = catalog.asked_counts()
        if not session.dry_run and sum(counts.values()) < number:
            catalog.queue_asked(now=session.clock.now())
        result.tally.forgotten += counts.get(State.FORGOTTEN, 0)
        skip = {State.FORGOTTEN}
        if not again:
            skip.add(State.ARCHIVED)
            result.tally.already += counts.get(State.ARCHIVED, 0)
        left = number - sum(counts.get(state, 0) for state in skip)
        on_start(left)
        runner = make_runner(session, pipelines, result, workers, limits, on_outcome)
        with closing_books(session, result, sources):
            runner.run(asked_rows(session, skip) if left else iter(()))
            _wait(session, runner, result, wait_s)
    return result


@contextmanager
def logged(session: Session, command: str, result: Result) -> Iterator[None]:
    """Leave a line in the log of runs, also for a run that is killed: it has no end."""
    if session.dry_run:
        yield
        return
    number = session.catalog.begin_run(command, now=session.clock.now())
    yield
    session.catalog.end_run(
        number,
        now=session.clock.now(),
        exit_code=int(result.exit_code),
        summary=numbers_of(result.tally),
    )


def numbers_of(tally: Tally) -> JsonObject:
    """Return the numbers of a run for scripts: `asked` is the sum of the nine after it."""
    return {
        "asked": tally.asked,
        "archived": tally.archived,
        "already": tally.already,
        "queued": tally.queued,
        "waiting": tally.waiting,
        "retry": tally.retry,
        "failed": tally.failed,
        "gone": tally.gone,
        "refused": tally.refused,
        "forgotten": tally.forgotten,
        "watermarked": tally.watermarked,
        "incomplete": tally.incomplete,
        "missing_previews": tally.missing_previews,
        "stored_bytes": tally.stored_bytes,
        "fetched_bytes": tally.fetched_bytes,
        "changed": dict(tally.changed),
        "codes": dict(tally.codes),
    }


@contextmanager
def closing_books(session: Session, result: Result, sources: Collection[str]) -> Iterator[None]:
    """Whatever ends the work within: the numbers add up, and the queue is in the store."""
    try:
        yield
        recover_others(session, sources)
    except StoppedError:
        result.report.stopped_by = "signal"
    except ArchiverError as error:
        if not error.fatal:
            raise
        result.failure = error
    result.tally.leave(result.tally.asked - result.tally.answered)
    for faulty in result.report.faulty_sources.values():
        result.tally.add_source_fault(fault_of(faulty))
    if session.dry_run:
        return
    try:
        session.store.clean_stale(STALE_AFTER)
        save_queue(session)
    except ArchiverError as error:
        result.failure = result.failure or error


@dataclass(frozen=True, slots=True)
class OneLarge:
    """Steps of which one at a time has a large document at hand: it is kept at once, in its turn.

    Others wait for their turn in the midst of receiving theirs, which a server sees as a slow
    reader.
    """

    steps: Steps
    turns: Turns

    def ask(self, row: TaskRow) -> Task | Outcome:
        """Ask for a task; archive it as well if its document is large."""
        with self.turns.piece():
            found = self.steps.ask(row)
            if self.turns.has_turn and isinstance(found, Task):
                return self.steps.keep(found, row)
            return found

    def keep(self, task: Task, row: TaskRow) -> Outcome:
        """Archive what a task offers.

        No turn is taken here, should a link be renewed: who waits while it holds other things, a
        large picture for one, could wait for ever.
        """
        return self.steps.keep(task, row)


def make_runner(
    session: Session,
    pipelines: Mapping[str, Steps],
    result: Result,
    workers: int,
    limits: Limits,
    on_outcome: OnOutcome,
) -> Runner:
    """Return a runner whose outcomes are counted in the result before `on_outcome` sees them."""

    def note(outcome: Outcome, row: TaskRow) -> None:
        told = outcome if session.dry_run else replace(outcome, state=row.state)
        now = session.clock.now()
        result.tally.add(told, first_seen_at=row.first_seen_at, now=now)
        if row.ref in session.flights.deaths and CRASHES_DECODER not in told.refused:
            session.catalog.clear_deaths(row.ref)
        on_outcome(told, row)

    runner = Runner(
        pipelines={name: OneLarge(steps, session.turns) for name, steps in pipelines.items()},
        catalog=session.catalog,
        clock=session.clock,
        workers=workers,
        rules=session.rules,
        limits=limits,
        interrupt=session.interrupt,
        redact=session.redactor.text,
        on_outcome=note,
        is_suspect=session.flights.is_suspect,
        dry_run=session.dry_run,
    )
    result.report = runner.report
    return runner


def asked_rows(session: Session, skip: Iterable[State]) -> Iterator[TaskRow]:
    """Yield the asked tasks as the catalog knows them, those in some states left out."""
    now = session.clock.now()
    for ref in session.catalog.asked(skip=skip):
        row = session.catalog.row(ref)
        yield row or TaskRow(ref=ref, state=State.QUEUED, first_seen_at=now)


def _wait(session: Session, runner: Runner, result: Result, wait_s: float) -> None:
    """Poll what is waiting until it is done or the time is over."""
    clock, tally = session.clock, result.tally
    ends_s = clock.monotonic() + wait_s
    pause_s = FIRST_POLL_S
    others = [state for state in State if state is not State.WAITING]
    while tally.waiting and not result.report.stopped_by and not session.dry_run:
        left_s = ends_s - clock.monotonic()
        if left_s <= 0:
            return
        clock.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 1.5, LONGEST_POLL_S)
        waiting = list(asked_rows(session, others))
        tally.waiting -= len(waiting)
        runner.run(iter(waiting))
        if tally.asked > tally.answered:  # stopped in the middle: they wait still
            tally.waiting += tally.asked - tally.answered - tally.queued


def recover_others(session: Session, sources: Collection[str]) -> None:
    """Finish what killed runs left of tasks that this run was not asked for."""
    if session.dry_run:
        return
    for entry in session.catalog.journal():
        row = session.catalog.row(entry.ref)
        if row is None or entry.ref.source not in sources:
            continue
        now = session.clock.now()
        try:
            manifest = recover(row, session.catalog, session.store, now=now)
        except DamageError as error:
            # One that cannot be read must not keep the others; `verify` tells of it.
            log.warning("%s: what a killed run left cannot be finished: %s", row.ref, error.message)
            continue
        if manifest is not None:
            outcome = archived(row, manifest, changed="recovered", path=entry.path)
            settled, what = settle(row, outcome, now=now, rules=session.rules)
            session.catalog.put(settled, what=what, at=now)


def save_queue(session: Session) -> None:
    """Write what is not archived yet into the store, so that it survives a lost catalog."""
    chunks = session.catalog.queue_text()
    first = next(chunks, None)
    if first is None:
        session.store.delete([layout.PENDING_KEY])
        return
    folder, _, name = layout.PENDING_KEY.rpartition("/")
    upload = session.store.begin(folder, name.partition(".")[0])
    try:
        upload.restart()
        upload.identify(name, "application/jsonl", {})
        for chunk in itertools.chain([first], chunks):
            upload.write(chunk)
        upload.seal()
        upload.publish(sha256="")
    except BaseException:
        upload.discard()
        raise
