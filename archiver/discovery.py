"""How a run learns of tasks: inboxes, the provider's list, the gateway's list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from archiver import spool
from archiver.answers import raise_for_answer
from archiver.catalog import InboxPlace
from archiver.config import Listing, SourceConfig
from archiver.contracts import Api, Provider
from archiver.errors import (
    ArchiverError,
    KeyRefusedError,
    NoCreditError,
    PassingError,
    ProviderError,
    SourceFaultError,
    TaskNotFoundError,
    UsageError,
)
from archiver.foreseen import Foreseen
from archiver.inboxes import InboxFile, inbox_files, is_body, read_body_file
from archiver.inputs import Naming
from archiver.model import Fault, JsonObject, JsonValue, Progress, State, Task, TaskRef
from archiver.redaction import printable
from archiver.session import Session
from archiver.verdicts import fault_of

KNOWN_PAGE = 100
"""So many known tasks in a row are a page of which nothing is new."""

GATEWAY_PAGE = 100
MOST_GATEWAY_PAGES = 10_000
AT_ONCE = 500
_READ, _WHOLE, _PART = "list_read", "whole", "part"

Found = tuple[TaskRef, datetime | None]
Sink = Callable[[Iterable[Found]], int]
"""Takes tasks with their dates of creation; tells how many were new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something wrong with a source and with none of its tasks.

    Attributes:
        stops: The error after which the source is asked no more.
        is_key: Whether a credential was refused.
    """

    source: str
    fault: Fault
    stops: ArchiverError | None = None
    is_key: bool = False


@dataclass(slots=True, kw_only=True)
class Discovered:
    """What discovery found."""

    inbox_new: int = 0
    list_new: int = 0
    bodies: int = 0
    bad_lines: int = 0
    problems: list[Problem] = field(default_factory=list)


class Discovery:
    """Looks for new tasks of one source.

    Args:
        sink: Where they go.
        naming: Of all sources; bare ids are this source's.
    """

    def __init__(
        self,
        session: Session,
        source: SourceConfig,
        foreseen: Foreseen,
        sink: Sink,
        found: Discovered,
    ) -> None:
        self._session = session
        self._source = source
        self._foreseen = foreseen
        self._sink = sink
        self._found = found
        names = [other.name for other in session.config.sources]
        self._naming = Naming(names, only=source.name)

    def look(self) -> None:
        """Read the inboxes, then the list; what goes wrong with them stops nothing else."""
        for path in inbox_files(self._source.inbox):
            self._session.clock.check_stop()
            try:
                if is_body(path):
                    self._read_body(path)
                else:
                    self._read_ids(InboxFile(path, self._place(path), self._naming))
            except OSError as error:
                words = f"{printable(str(path))}: cannot be read: {error.strerror}"
                self._complain(Fault(code="inbox_unreadable", message=words))
        if self._source.list is Listing.OFF:
            return
        try:
            self._read_list()
        except (KeyRefusedError, NoCreditError) as error:
            # The user token opens the gateway's list only: the tasks are asked for with the key.
            stops = error if self._source.list is Listing.PROVIDER else None
            self._complain(fault_of(error), stops=stops, is_key=True)
        except UsageError as error:
            self._complain(Fault(code="no_list", message=f"`list`: {error.message}"))
        except (ProviderError, PassingError) as error:
            fault = fault_of(error)
            self._complain(replace(fault, message=f"its list of tasks: {fault.message}"))

    def _complain(
        self, fault: Fault, *, stops: ArchiverError | None = None, is_key: bool = False
    ) -> None:
        problem = Problem(source=self._source.name, fault=fault, stops=stops, is_key=is_key)
        self._found.problems.append(problem)

    # --- inboxes ---------------------------------------------------------------------------------

    def _place(self, path: Path) -> InboxPlace | None:
        return self._session.catalog.inbox_place(str(path))

    def _read_ids(self, inbox: InboxFile) -> None:
        self._found.inbox_new += _in_parts(((ref, None) for ref in inbox.refs()), self._sink)
        if inbox.place is not None and inbox.is_news and not self._session.dry_run:
            self._session.catalog.remember_inbox(inbox.place)
        self._found.bad_lines += inbox.bad_lines
        for bad in inbox.bad:
            self._complain(Fault(code="bad_line", message=f"{bad.where}: {bad.words}"))

    def _read_body(self, path: Path) -> None:
        session = self._session
        before = self._place(path)
        data, place = read_body_file(path, before, spool.MOST_BYTES)
        if place == before:
            return
        if session.dry_run:
            return
        try:
            body = spool.parse_body(data, printable(str(path)))
            self._foreseen.read_body(body)
            spool.save(
                session.config.state_dir, body, source=self._source.name, now=session.clock.now()
            )
            self._found.bodies += 1
        except UsageError as error:
            self._complain(Fault(code="bad_body", message=error.message))
        except ProviderError as error:
            # Told once, when it is found: in the spool it would be a complaint of every night.
            words = f"{printable(str(path))}: {error.message}; nothing was saved"
            self._complain(Fault(code="bad_body", message=words))
        session.catalog.remember_inbox(place)

    # --- lists -----------------------------------------------------------------------------------

    def _read_list(self) -> None:
        if self._source.list is Listing.GATEWAY:
            api = self._session.open_list(self._source.name)
            tasks = gateway_tasks(api, self._foreseen)
        else:
            tasks = self._foreseen.list_tasks()
        catalog, name = self._session.catalog, self._source.name
        was_whole = catalog.recall(name, _READ) == _WHOLE
        if not self._session.dry_run:
            catalog.memorise(name, _READ, _PART)
        self._found.list_new += _in_parts(self._new(tasks, may_stop=was_whole), self._sink)
        if not self._session.dry_run:
            catalog.memorise(name, _READ, _WHOLE)

    def _new(self, tasks: Iterator[Task], *, may_stop: bool) -> Iterator[Found]:
        """Yield the unknown tasks of a list, until nothing new can come any more.

        A list's end may be left out only when all before was read once, and when the list goes from
        the newest task to the oldest.
        """
        is_descending, known_in_a_row = True, 0
        last: datetime | None = None
        for task in tasks:
            self._session.clock.check_stop()
            made = task.created_at
            is_descending &= made is not None and (last is None or made <= last)
            last = made
            if self._is_known(task):
                known_in_a_row += 1
                if may_stop and is_descending and known_in_a_row >= KNOWN_PAGE:
                    return
                continue
            known_in_a_row = 0
            if task.progress is Progress.FINISHED:
                self._foreseen.keep_at_hand(task)
            yield task.ref, made

    def _is_known(self, task: Task) -> bool:
        """Tell whether the catalog has a task; one that is finished by now need not wait longer."""
        session = self._session
        row = session.catalog.row(task.ref)
        if row is None:
            return False
        if row.state in (State.QUEUED, State.WAITING) and task.progress is Progress.FINISHED:
            self._foreseen.keep_at_hand(task)
            if not session.dry_run:
                session.catalog.put(replace(row, next_attempt_at=session.clock.now()))
        return True


def _in_parts(found: Iterator[Found], sink: Sink) -> int:
    """Give tasks to a sink some hundreds at a time; what came before a fault is not lost."""
    part: list[Found] = []
    number = 0
    try:
        for one in found:
            part.append(one)
            if len(part) == AT_ONCE:
                number += sink(part)
                part = []
    finally:
        number += sink(part)
    return number


def gateway_tasks(api: Api, provider: Provider) -> Iterator[Task]:
    """Yield the tasks of one provider that a new-api gateway made for a user, newest first.

    Source: new-api, `GET /api/task/self` (`controller/task.go`), `GET /api/mj/self`.
    """
    path = "/api/mj/self" if provider.name == "midjourney" else "/api/task/self"
    seen: set[str] = set()
    received = 0
    for page in range(1, MOST_GATEWAY_PAGES + 1):
        params = {"p": str(page), "page_size": str(GATEWAY_PAGE)}
        answer = api.request("GET", path, params=params)
        try:
            raise_for_answer(answer)
        except TaskNotFoundError as error:
            raise SourceFaultError(f"the gateway has no list of tasks: {error.message}") from error
        items, total = _items(answer.body)
        tasks = [task for item in items for task in _tasks_of(provider, item)]
        # While pages are read, new tasks push the known ones down: they come twice.
        yield from (task for task in tasks if task.ref.task_id not in seen)
        seen.update(task.ref.task_id for task in tasks)
        received += len(items)
        is_last = len(items) < GATEWAY_PAGE if total is None else received >= total
        if not items or is_last:
            return


def _items(body: JsonValue) -> tuple[list[JsonValue], int | None]:
    """Return the rows of a page, and how many there are on all pages where that is said."""
    data = body.get("data") if isinstance(body, dict) else None
    if isinstance(body, dict) and body.get("success") is False:
        words = body.get("message")
        said = words if isinstance(words, str) else "no reason given"
        raise SourceFaultError(f"the gateway's list of tasks says: {printable(said)[:300]}")
    page: JsonObject = data if isinstance(data, dict) else {}
    items = data if isinstance(data, list) else page.get("items")
    if items is None and "total" in page:
        items = []
    if not isinstance(items, list):
        raise SourceFaultError("the gateway's answer is no list of tasks")
    total = page.get("total")
    return items, total if isinstance(total, int) and not isinstance(total, bool) else None


def _tasks_of(provider: Provider, item: JsonValue) -> tuple[Task, ...]:
    """Read one row; another provider's is none of ours."""
    try:
        return provider.read_body(item)
    except ProviderError:
        return ()
