"""The tasks that a gateway knows, safe from many threads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import RLock
from typing import Protocol

from archiver.gateway.dialect import Dialect
from archiver.gateway.signing import Signer
from archiver.gateway.tasks import GatewayTask, Link, LinkWriter
from archiver.model import JsonValue


class Now(Protocol):
    """The part of a clock that the gateway needs; every `contracts.Clock` has it."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        ...


@dataclass(slots=True, kw_only=True)
class TaskTable:
    """The gateway as its API modules see it (`routing.Site`)."""

    clock: Now
    dialect: Dialect
    signer: Signer
    assets_url: str
    _tasks: dict[str, GatewayTask] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _answered: dict[str, int] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock)

    def now(self) -> datetime:
        """Return the gateway's time."""
        return self.clock.now()

    def put(self, *tasks: GatewayTask) -> None:
        """Know these tasks, each in place of one with the same id."""
        with self._lock:
            for task in tasks:
                self._tasks[task.task_id] = task
                self._numbers.setdefault(task.task_id, len(self._numbers) + 1)

    def change(self, task_id: str, **changes: object) -> None:
        """Change attributes of a task, all at once.

        Raises:
            KeyError: There is no such task.
        """
        with self._lock:
            self.put(replace(self._tasks[task_id], **changes))  # type: ignore[arg-type]

    def remove(self, task_id: str) -> None:
        """Know this task no longer."""
        with self._lock:
            self._tasks.pop(task_id, None)

    def task(self, task_id: str) -> GatewayTask | None:
        """Return a task, if there is one and it is visible."""
        with self._lock:
            task = self._tasks.get(task_id)
        return task if task is not None and task.visible(self.now()) else None

    def tasks(self) -> tuple[GatewayTask, ...]:
        """Return all visible tasks in the order in which they came."""
        now = self.now()
        with self._lock:
            return tuple(task for task in self._tasks.values() if task.visible(now))

    def number(self, task_id: str) -> int:
        """Return the task's number in the gateway's own table, from 1."""
        with self._lock:
            return self._numbers[task_id]

    def document(self, task: GatewayTask) -> JsonValue:
        """Write a task's own answer, links and all; counts as one answer about it."""
        with self._lock:
            answered = self._answered.get(task.task_id, 0)
            self._answered[task.task_id] = answered + 1
        return task.document(self._writer(answered))

    def url(self, task: GatewayTask, link: Link) -> str:
        """Write one link of a task; does not count as an answer."""
        with self._lock:
            answered = self._answered.get(task.task_id, 0)
        return self._writer(answered).url(link)

    def _writer(self, answered: int) -> LinkWriter:
        return LinkWriter(
            assets_url=self.assets_url, signer=self.signer, now=self.now(), answered=answered
        )
