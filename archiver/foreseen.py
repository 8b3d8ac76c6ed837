"""Answers that are at hand before a task's turn comes: from a list, a posted body, or a batch.

Each is given once: whoever asks again wants a newer one, and gets it from the API.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from archiver.contracts import Clock, Provider
from archiver.errors import PassingError, ProviderError, TaskNotFoundError, UsageError
from archiver.model import JsonValue, Rendition, Task
from archiver.pipeline import Pipeline

MOST_AT_HAND = 256
"""So many answers of a list are kept for their tasks' turn; the others are asked for."""

FRESH_FOR = timedelta(minutes=10)
"""An answer that waited longer, or one whose links are about to die, is not used."""

_FEWEST = 2
_LAST_MINUTE = timedelta(minutes=1)
_DIGEST_ID = re.compile(r"sha256-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class _AtHand:
    task: Task
    given_at: datetime
    is_posted: bool


@dataclass(slots=True)
class _Batch:
    ids: tuple[str, ...]
    lock: threading.Lock
    is_asked: bool = False


class Foreseen:
    """A provider that knows some answers already: a `contracts.Provider`, safe for many threads."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self.name = provider.name
        self.link_lifetime = provider.link_lifetime
        self.batch_size = provider.batch_size
        self.yields_to = frozenset[str](getattr(provider, "yields_to", ()))
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _AtHand] = {}
        self._batches: dict[str, _Batch] = {}

    def keep_at_hand(self, task: Task) -> None:
        """Keep a list's answer about a task for its turn, if there is room for it."""
        with self._lock:
            if len(self._known) < MOST_AT_HAND:
                self._known[task.ref.task_id] = _AtHand(task, self._clock.now(), is_posted=False)

    def take_posted(self, tasks: Iterable[Task]) -> None:
        """Keep posted answers: they are used whatever their age, since the API was not asked."""
        with self._lock:
            for task in tasks:
                self._known[task.ref.task_id] = _AtHand(task, self._clock.now(), is_posted=True)

    def plan_batches(self, task_ids: Sequence[str]) -> None:
        """Have these asked for in as few requests as can be, each when its first one's turn comes.

        Nothing is planned where the provider cannot be asked for several, and for what is at hand.
        """
        with self._lock:
            wanted = [i for i in task_ids if i not in self._known and not _DIGEST_ID.fullmatch(i)]
            size = self.batch_size
            if size < _FEWEST or len(wanted) < _FEWEST:
                return
            for start in range(0, len(wanted), size):
                part = tuple(wanted[start : start + size])
                batch = _Batch(part, threading.Lock())
                self._batches.update(dict.fromkeys(part, batch))

    # --- the socket ------------------------------------------------------------------------------

    def get_task(self, task_id: str) -> Task:
        """Return the answer at hand, else ask: see `contracts.Provider.get_task`."""
        task = self._at_hand(task_id)
        if task is None and (batch := self._batches.get(task_id)) is not None:
            self._ask_batch(batch)
            task = self._at_hand(task_id)
        if task is not None:
            return task
        if _DIGEST_ID.fullmatch(task_id):
            raise TaskNotFoundError(
                "known only from a body that was posted, which is no longer at hand"
            )
        try:
            return self._provider.get_task(task_id)
        except UsageError as error:
            raise TaskNotFoundError(f"this provider cannot be asked: {error.message}") from error

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Ask for several tasks: see `contracts.Provider.get_tasks`."""
        return self._provider.get_tasks(task_ids)

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Ask for a link: see `contracts.Provider.resolve`."""
        return self._provider.resolve(task, rendition)

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Yield the provider's list: see `contracts.Provider.list_tasks`."""
        return self._provider.list_tasks(since=since)

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a posted body: see `contracts.Provider.read_body`."""
        return self._provider.read_body(body, task_id=task_id)

    # --- what is at hand -------------------------------------------------------------------------

    def _at_hand(self, task_id: str) -> Task | None:
        with self._lock:
            found = self._known.pop(task_id, None)
        if found is None:
            return None
        now = self._clock.now()
        dies_at = found.task.expires_at
        is_stale = now - found.given_at > FRESH_FOR or (
            dies_at is not None and dies_at <= now + _LAST_MINUTE
        )
        return None if is_stale and not found.is_posted else found.task

    def _ask_batch(self, batch: _Batch) -> None:
        """Ask for a whole batch once; those left out, or all if it fails, are asked for singly."""
        with batch.lock:
            if batch.is_asked:
                return
            try:
                found = self._provider.get_tasks(batch.ids)
            except (ProviderError, PassingError) as error:
                if error.fatal:
                    raise
                found = {}
            finally:
                batch.is_asked = True
                self.batch_size = self._provider.batch_size
                with self._lock:
                    for task_id in batch.ids:
                        self._batches.pop(task_id, None)
            with self._lock:
                for task_id, task in found.items():
                    at_hand = _AtHand(task, self._clock.now(), is_posted=False)
                    self._known.setdefault(task_id, at_hand)


def with_foresight(pipeline: Pipeline, clock: Clock) -> tuple[Pipeline, Foreseen]:
    """Return a pipeline whose provider knows answers beforehand, and that provider."""
    foreseen = Foreseen(pipeline.provider, clock)
    return replace(pipeline, provider=foreseen), foreseen
