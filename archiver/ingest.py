"""Archive straight from posted bodies: the API is asked only where a body's links are dead.

A body is in the spool (`spool`) before anything else is done with it, and leaves it when its tasks
are archived, final, or to be had from the API by their ids.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from archiver import spool
from archiver.bookkeeping import settle
from archiver.bulk import OnOutcome, Result, closing_books, logged, make_runner
from archiver.catalog import Catalog, TaskRow
from archiver.errors import LockedError, ProviderError, UsageError
from archiver.foreseen import Foreseen, with_foresight
from archiver.model import Fault, JsonValue, Outcome, State, Task, TaskRef
from archiver.pipeline import Pipeline
from archiver.reindex import reindex
from archiver.runner import Limits, Runner
from archiver.session import Session
from archiver.spool import Posted

log = logging.getLogger("archiver")

KEPT_FOR = timedelta(days=30)
"""A body whose links say nothing of their end is kept so long."""


@dataclass(slots=True)
class _Parcel:
    """A body at work: its tasks that are not done with yet."""

    posted: Posted
    tasks: dict[TaskRef, Task]


@dataclass(slots=True)
class Bodies:
    """Takes bodies through a run and out of the spool.

    Attributes:
        is_patient: Leave tasks alone whose next attempt is not due yet.
        tried: The tasks that this run tried from a body.
        problems: Bodies that nobody can read, in plain words.
    """

    session: Session
    foreseen: Mapping[str, Foreseen]
    is_patient: bool = True
    tried: set[TaskRef] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    _parcels: dict[TaskRef, _Parcel] = field(default_factory=dict)
    _told: set[Path] = field(default_factory=set)

    def rows(self, bodies: Iterable[Posted], result: Result) -> Iterator[TaskRow]:
        """Yield the tasks of bodies that there is work for; each counts as asked for."""
        for posted in bodies:
            try:
                name = source_of(posted, self.foreseen, self.session.catalog)
                tasks = self.foreseen[name].read_body(posted.body)
            except (ProviderError, UsageError) as error:
                if posted.path not in self._told:
                    self._told.add(posted.path)
                    self.problems.append(f"spool/{posted.path.name}: {error.message}")
                continue
            parcel = _Parcel(posted, {task.ref: task for task in tasks})
            for task in tasks:
                row = self._row(task)
                if not self._is_due(row):
                    self._done(row.ref, row.state, parcel)
                    continue
                self.tried.add(row.ref)
                self._parcels[row.ref] = parcel
                self.foreseen[name].take_posted([task])
                result.tally.ask()
                yield row

    def _row(self, task: Task) -> TaskRow:
        session, now = self.session, self.session.clock.now()
        row = session.catalog.row(task.ref)
        if row is None and not session.dry_run:
            session.catalog.discover([(task.ref, task.created_at)], now=now)
            row = session.catalog.row(task.ref)
        return row or TaskRow(ref=task.ref, state=State.QUEUED, first_seen_at=now)

    def _is_due(self, row: TaskRow) -> bool:
        if row.state is State.FORGOTTEN or row.ref in self.tried:
            return False
        if row.state is State.ARCHIVED:
            return row.watermarked or row.incomplete
        waits = self.is_patient and row.state is State.RETRY and row.attempts > 0
        return not (
            waits and row.next_attempt_at and row.next_attempt_at > self.session.clock.now()
        )

    def note(self, outcome: Outcome, row: TaskRow) -> None:
        """Take notice of what became of a task; its body may go."""
        parcel = self._parcels.pop(outcome.ref, None)
        if parcel is not None:
            self._done(outcome.ref, row.state, parcel)

    def _done(self, ref: TaskRef, state: State, parcel: _Parcel) -> None:
        if self.session.dry_run:
            return
        now = self.session.clock.now()
        if state is State.RETRY and not _is_over(parcel, now):
            return
        if state is State.RETRY and ref.task_id.startswith("sha256-"):
            self._give_up(ref, now)
        parcel.tasks.pop(ref, None)
        if not parcel.tasks:
            spool.drop(parcel.posted.path)

    def _give_up(self, ref: TaskRef, now: datetime) -> None:
        """Close a task that only its body knew, and whose links are dead."""
        row = self.session.catalog.row(ref)
        if row is not None:
            words = (
                "its links ran out before it could be fetched, and nobody can be asked for new ones"
            )
            fault = Fault(code="expired", message=words)
            gone = Outcome(ref=ref, state=State.GONE, fault=fault)
            settled, what = settle(row, gone, now=now, rules=self.session.rules)
            self.session.catalog.put(settled, what=what, at=now)


def _is_over(parcel: _Parcel, now: datetime) -> bool:
    """Whether a body is of no more use: all its links are dead, or it is very old."""
    ends = [
        r.expires_at
        for task in parcel.tasks.values()
        for asset in task.assets
        for r in asset.renditions
        if r.url is not None or r.content is not None
    ]
    dated = [end for end in ends if end is not None]
    if ends and len(dated) == len(ends) and max(dated) <= now:
        return True
    return now - parcel.posted.saved_at > KEPT_FOR


def _yielding(names: Iterable[str], providers: Mapping[str, Foreseen]) -> list[str]:
    """Return the sources that leave a body to another one which takes it as well."""
    takers = {providers[name].name for name in names}
    return [name for name in names if takers & providers[name].yields_to]


def source_of(posted: Posted, providers: Mapping[str, Foreseen], catalog: Catalog) -> str:
    """Return the source whose body it is.

    Raises:
        UsageError: None, or more than one: it must be named.
    """
    if posted.source is not None:
        if posted.source not in providers:
            raise UsageError(f"no source is called {posted.source!r}")
        return posted.source
    fitting: dict[str, tuple[Task, ...]] = {}
    for name, provider in providers.items():
        try:
            fitting[name] = provider.read_body(posted.body)
        except ProviderError:
            continue
    if not fitting:
        raise UsageError(
            "no configured source has answers of this shape; is it the right file?"
            f" (configured: {', '.join(sorted(providers))})"
        )
    for name in _yielding(fitting, providers):
        del fitting[name]
    if len(fitting) > 1:
        known = [n for n, tasks in fitting.items() if any(catalog.row(t.ref) for t in tasks)]
        if len(known) == 1:
            return known[0]
        names = ", ".join(sorted(fitting))
        raise UsageError(f"the body may be of any of these sources: {names}; say --source NAME")
    return next(iter(fitting))


def spooled(session: Session, sources: Collection[str]) -> Iterator[Posted]:
    """Yield the spool's bodies that are, or may be, of these sources."""
    for path in spool.paths(session.config.state_dir):
        posted = spool.read(path)
        if posted is None:
            log.warning("%s: not a body; left as it is", path.name)
        elif posted.source is None or posted.source in sources:
            yield posted


def work_off(runner: Runner, bodies: Bodies, posted: Iterable[Posted], result: Result) -> None:
    """Take bodies through a runner."""
    runner.run(bodies.rows(posted, result))


@dataclass(slots=True, kw_only=True)
class Ingested:
    """How `ingest` went.

    Attributes:
        saved_only: A run is at work: the bodies are in the spool, and it or the next takes them.
    """

    result: Result
    saved: int = 0
    saved_only: bool = False


def ingest(
    session: Session,
    bodies: Sequence[tuple[str, JsonValue]],
    *,
    source: str | None,
    workers: int,
    limits: Limits,
    on_outcome: OnOutcome = lambda outcome, row: None,
) -> Ingested:
    """Save these bodies, then archive what they offer.

    Args:
        bodies: Where each came from, for messages, and what it is.
        source: Whose they are; `None`: told by their shape.

    Raises:
        UsageError: A body is of no source or of several; none is kept.
        StoreError, CatalogError: The store or catalog cannot be used; the bodies are kept.
    """
    now = session.clock.now()
    posted = [_save(session, body, source, now) for _, body in bodies]
    done = Ingested(result=Result(), saved=len(posted))
    names = [source] if source else [config.name for config in session.config.sources]
    pipelines, foreseen = _open(session, names)
    try:
        names = _sources(posted, bodies, foreseen, session.catalog)
    except UsageError:
        if not session.dry_run:
            for one in posted:
                spool.drop(one.path)
        raise
    try:
        with session.writing(names, adopt=reindex), logged(session, "ingest", done.result):
            taken = Bodies(session, foreseen, is_patient=False)

            def note(outcome: Outcome, row: TaskRow) -> None:
                taken.note(outcome, row)
                on_outcome(outcome, row)

            runner = make_runner(session, pipelines, done.result, workers, limits, note)
            with closing_books(session, done.result, names):
                work_off(runner, taken, posted, done.result)
                _count_settled(session, posted, foreseen, taken, done.result)
    except LockedError:
        done.saved_only = True
    return done


def _save(session: Session, body: JsonValue, source: str | None, now: datetime) -> Posted:
    path = Path("-")
    if not session.dry_run:
        path = spool.save(session.config.state_dir, body, source=source, now=now)
    return Posted(path=path, source=source, saved_at=now, body=body)


def _open(
    session: Session, names: Collection[str]
) -> tuple[dict[str, Pipeline], dict[str, Foreseen]]:
    opened = {
        name: with_foresight(pipeline, session.clock)
        for name, pipeline in session.open_sources(names).items()
    }
    pipelines = {name: pipeline for name, (pipeline, _) in opened.items()}
    return pipelines, {name: foreseen for name, (_, foreseen) in opened.items()}


def _sources(
    posted: Sequence[Posted],
    bodies: Sequence[tuple[str, JsonValue]],
    foreseen: Mapping[str, Foreseen],
    catalog: Catalog,
) -> list[str]:
    """Return the sources of all bodies; each must be readable as its source's."""
    names = set()
    for one, (where, body) in zip(posted, bodies, strict=True):
        try:
            name = source_of(one, foreseen, catalog)
            foreseen[name].read_body(body)
        except (UsageError, ProviderError) as error:
            raise UsageError(f"{where}: {error.message}; nothing was kept") from None
        names.add(name)
    return sorted(names)


def _count_settled(
    session: Session,
    posted: Sequence[Posted],
    foreseen: Mapping[str, Foreseen],
    taken: Bodies,
    result: Result,
) -> None:
    """Count the tasks that there was nothing to do for."""
    counted = set(taken.tried)
    for one in posted:
        name = source_of(one, foreseen, session.catalog)
        for task in foreseen[name].read_body(one.body):
            row = session.catalog.row(task.ref)
            if row is None or task.ref in counted:
                continue
            counted.add(task.ref)
            result.tally.ask()
            there = Outcome(ref=row.ref, state=row.state, already=True, fault=row.fault)
            result.tally.add(there, first_seen_at=row.first_seen_at, now=session.clock.now())
