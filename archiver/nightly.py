"""What `run` does in a night: discover, archive what is due, look after the archive, report.

locks ─▶ store tried ─▶ healthcheck /start ─▶ spool ─▶ inboxes, lists ─▶ due tasks
                                      report, metrics, healthcheck /<code> ◀─ queue ◀─ scrub
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from archiver.audit import Check, Verified, verify
from archiver.bulk import OnOutcome, Result, asked_rows, closing_books, make_runner, numbers_of
from archiver.catalog import TaskRow
from archiver.config import format_duration
from archiver.deadlines import EXPIRED, Deadlines, TimedPipeline
from archiver.discovery import Discovery, Found
from archiver.errors import ArchiverError, LockedError, StoppedError
from archiver.foreseen import Foreseen, with_foresight
from archiver.ingest import Bodies, spooled
from archiver.model import Outcome, State, TaskRef
from archiver.notify import Notifier, metrics_text
from archiver.pipeline import Pipeline
from archiver.policy import ExitCode
from archiver.reindex import reindex
from archiver.repair import Repairs
from archiver.reports import Night, report_json, save_report
from archiver.runner import Limits, Runner
from archiver.session import Session

log = logging.getLogger("archiver")

SHORT_LIFE_S = 24 * 3600.0
"""Links that live shorter than this need more than one run a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who is told while a run goes on.

    Attributes:
        on_start: Gets the number of tasks that are due.
        on_outcome: Called for each task that came to an end.
        on_damage: Called for each damaged task, and whether it is whole again.
        words_of: Makes the summary for people.
    """

    on_start: Callable[[int], None] = lambda number: None
    on_outcome: OnOutcome = lambda outcome, row: None
    on_damage: Callable[[Verified, bool], None] = lambda verified, repaired: None
    words_of: Callable[[Night], str] = lambda night: ""


def run_night(
    session: Session,
    sources: Collection[str],
    *,
    workers: int,
    limits: Limits,
    notifier: Notifier | None = None,
    listeners: Listeners | None = None,
) -> Night:
    """Do what is to be done in a night for these sources.

    Raises:
        LockedError: Another run is at work; nothing was changed, nobody was told.
        ConfigError: A key is missing.
    """
    clock = session.clock
    night = Night(started_at=clock.now(), result=Result(nightly=True))
    began_s = clock.monotonic()
    heard = None if session.dry_run else notifier
    told = listeners or Listeners()
    work = _Work(session, sources, night, told, workers, limits)
    number: int | None = None
    try:
        with session.writing(sources, adopt=reindex):
            if not session.dry_run:
                number = session.catalog.begin_run("run", now=night.started_at)
            if heard is not None:
                heard.start()
            work.do()
            night.duration_s = clock.monotonic() - began_s
            _close(session, night, heard, told, number)
    except LockedError:
        raise
    except ArchiverError as error:
        # Only the locks, the store's trial and the books themselves fail here.
        night.result.failure = night.result.failure or error
        night.duration_s = clock.monotonic() - began_s
        _close(session, night, heard, told, number)
    return night


class _Work:
    """One run's work, step by step."""

    def __init__(
        self,
        session: Session,
        sources: Collection[str],
        night: Night,
        told: Listeners,
        workers: int,
        limits: Limits,
    ) -> None:
        self._session = session
        self._sources = sources
        self._night = night
        self._told = told
        self._workers = workers
        self._result = night.result
        self._deadlines = Deadlines(session.clock)
        self._foreseen: dict[str, Foreseen] = {}
        self._pipelines: dict[str, Pipeline] = {}
        for name, opened in session.open_sources(sources).items():
            self._pipelines[name], self._foreseen[name] = with_foresight(opened, session.clock)
        timed = {
            name: TimedPipeline(pipeline, session.clock, self._deadlines, _advice(pipeline, name))
            for name, pipeline in self._pipelines.items()
        }
        self._bodies = Bodies(session, self._foreseen)
        self._runner: Runner = make_runner(
            session, timed, self._result, workers, limits, self._note
        )

    def do(self) -> None:
        """Discover, archive, scrub; whatever ends it, the books are closed."""
        with closing_books(self._session, self._result, self._sources):
            if self._session.dry_run:
                self._rehearse()
                return
            self._take_bodies()
            self._discover(self._queue)
            self._take_bodies()
            self._take_due()
            self._take_bodies()
            self._scrub()
        self._night.lost_in_queue_order = self._deadlines.lost_in_queue_order(self._workers)

    def _note(self, outcome: Outcome, row: TaskRow) -> None:
        self._bodies.note(outcome, row)
        self._night.expired += outcome.fault is not None and outcome.fault.code == EXPIRED
        self._told.on_outcome(outcome, row)

    @property
    def _is_over(self) -> bool:
        return bool(self._result.report.stopped_by)

    # --- the steps -------------------------------------------------------------------------------

    def _take_bodies(self) -> None:
        """Archive from the spool what was posted."""
        if self._is_over:
            return
        self._runner.run(self._bodies.rows(spooled(self._session, self._sources), self._result))
        for words in self._bodies.problems:
            log.warning("%s", words)
        self._bodies.problems.clear()

    def _discover(self, sink: Callable[[Iterable[Found]], int]) -> None:
        if self._is_over:
            return
        found, result = self._night.found, self._result
        for source in self._session.config.sources:
            if source.name in self._foreseen:
                foreseen = self._foreseen[source.name]
                Discovery(self._session, source, foreseen, sink, found).look()
        for problem in found.problems:
            result.tally.add_source_fault(problem.fault)
            if problem.stops is not None:
                result.report.refused_keys[problem.source] = problem.stops
            if problem.is_key:
                result.tally.note(ExitCode.KEY_REFUSED)

    def _queue(self, found: Iterable[Found]) -> int:
        return self._session.catalog.discover(found, now=self._session.clock.now())

    def _take_due(self) -> None:
        session = self._session
        lifetimes = _lifetimes(self._foreseen)
        session.catalog.ask_due(self._sources, lifetimes, now=session.clock.now())
        number = session.catalog.unask(self._bodies.tried)
        self._result.tally.ask(number)
        self._told.on_start(number)
        if not self._is_over:
            self._runner.run(self._in_batches(asked_rows(session, {State.FORGOTTEN})))

    def _rehearse(self) -> None:
        """Show what a run would do: documents are asked for, nothing is written."""
        session = self._session
        lifetimes = _lifetimes(self._foreseen)
        session.catalog.ask_due(self._sources, lifetimes, now=session.clock.now())
        self._discover(self._ask_unknown)
        number = session.catalog.unask(())
        self._result.tally.ask(number)
        self._told.on_start(number)
        self._runner.run(self._in_batches(asked_rows(session, {State.FORGOTTEN})))

    def _ask_unknown(self, found: Iterable[Found]) -> int:
        catalog = self._session.catalog
        new: list[TaskRef] = [ref for ref, _ in found if catalog.row(ref) is None]
        catalog.ask(new)
        return len(new)

    def _in_batches(self, rows: Iterator[TaskRow]) -> Iterator[TaskRow]:
        """Yield rows a few ahead of their turn, so that one request can ask for several."""
        ahead: list[TaskRow] = []
        for row in rows:
            ahead.append(row)
            if len(ahead) >= 4 * self._workers:
                yield from self._planned(ahead)
                ahead = []
        yield from self._planned(ahead)

    def _planned(self, ahead: list[TaskRow]) -> list[TaskRow]:
        by_source: dict[str, list[str]] = {}
        for row in ahead:
            if row.state in (State.QUEUED, State.WAITING):
                by_source.setdefault(row.ref.source, []).append(row.ref.task_id)
        for name, task_ids in by_source.items():
            if name in self._foreseen:
                self._foreseen[name].plan_batches(task_ids)
        return ahead

    def _scrub(self) -> None:
        """Compare a share of the archive with its manifests; fetch damaged files again."""
        session, wanted = self._session, self._session.config.run
        if self._is_over:
            return
        check = Check(full=True, max_bytes=wanted.verify_max_bytes)
        repairs = Repairs(session, self._pipelines)
        refs = session.catalog.to_check(self._sources, wanted.verify_share)
        try:
            verify(
                session,
                refs,
                check,
                repair=repairs,
                on_result=self._on_checked,
                audit=self._night.audit,
            )
        except StoppedError:
            log.info("the scrub was stopped; the next run goes on with it")
        if self._night.audit.open_damage:
            self._result.tally.note(ExitCode.DAMAGE)
        if repairs.key_refused:
            self._result.tally.note(ExitCode.KEY_REFUSED)

    def _on_checked(self, verified: Verified, repaired: bool) -> None:
        self._session.clock.check_stop()
        if verified.damages:
            self._told.on_damage(verified, repaired)


def _lifetimes(foreseen: Mapping[str, Foreseen]) -> dict[str, float]:
    return {
        name: provider.link_lifetime.total_seconds()
        for name, provider in foreseen.items()
        if provider.link_lifetime is not None
    }


def _advice(pipeline: Pipeline, name: str) -> str:
    life = pipeline.provider.link_lifetime
    lives = f"; links of {name} live {format_duration(life.total_seconds())}" if life else ""
    return f"run more often (`archiver run --every`, `archiver install`){lives}"


# --- the end ----------------------------------------------------------------------------------


def _close(
    session: Session, night: Night, notifier: Notifier | None, told: Listeners, number: int | None
) -> None:
    """Write the report and the run's line, then tell who wants to hear."""
    night.signal_code = _signal(session)
    if session.dry_run:
        return
    finished_at = session.clock.now()
    code = int(night.exit_code)
    report = report_json(session, night, finished_at)
    metrics = ""
    try:
        if number is None:
            number = session.catalog.begin_run("run", now=night.started_at)
        session.catalog.end_run(
            number, now=finished_at, exit_code=code, summary=numbers_of(night.result.tally)
        )
        path = save_report(
            session.config.state_dir, report, started_at=night.started_at, number=number
        )
        night.report_path = str(path)
        metrics = metrics_text(
            session.catalog.numbers(),
            finished_at=finished_at,
            success_at=session.catalog.last_success("run"),
            duration_s=night.duration_s,
            exit_code=code,
            fetched_bytes=night.result.tally.fetched_bytes,
        )
    except OSError as error:
        log.warning("the report of this run cannot be written: %s", error.strerror)
    except ArchiverError as error:
        night.result.failure = night.result.failure or error
        code = int(night.exit_code)
    if notifier is not None:
        notifier.end(code, told.words_of(night), report, metrics)


def _signal(session: Session) -> ExitCode | None:
    """Return the exit code of the signal that stopped the run, if one did."""
    try:
        session.clock.check_stop()
    except StoppedError as stopped:
        for code in (ExitCode.SIGTERM, ExitCode.SIGINT):
            if code.name in stopped.message:
                return code
    return None
