"""What providers share whose API gives pictures while one waits, and keeps nothing to ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from archiver.answers.pictures import PictureAnswer, picture_answers, read_pictures
from archiver.contracts import Api
from archiver.errors import ProviderError, TaskNotFoundError, UsageError
from archiver.model import JsonValue, Rendition, Task


class AtOnceProvider(ABC):
    """A provider whose answers are only ever handed over: `archiver ingest`.

    A class of its own says what its answers look like (`claims`) and what they call their id.

    Args:
        source: The source's name in the configuration.
        api: Its API, which is never asked.
    """

    name: str = ""
    title: ClassVar[str]
    batch_size = 1
    link_lifetime: timedelta | None = None

    def __init__(self, source: str, api: Api) -> None:
        self._source = source

    @classmethod
    @abstractmethod
    def claims(cls, answer: PictureAnswer) -> bool:
        """Tell whether an answer is of this API, and of no other."""

    @classmethod
    def own_id(cls, answer: PictureAnswer) -> str | None:
        """Return the id that an answer bears, if this API gives one."""
        return None

    def get_task(self, task_id: str) -> Task:
        """Refuse: there is nothing to ask for.

        Raises:
            TaskNotFoundError: Always: no later answer can be another.
        """
        raise TaskNotFoundError(self._no_way("cannot be asked for a task by its id"))

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Return nothing: there is nothing to ask for."""
        return {}

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Return the rendition: every link is in the answer."""
        return rendition

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Refuse: there is no list.

        Raises:
            UsageError: Always.
        """
        raise UsageError(self._no_way("has no list of tasks"))

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read a saved answer, or a list of them: see `contracts.Provider.read_body`."""
        found = [answer for answer in picture_answers(body) if self.claims(answer)]
        if not found or (task_id is not None and len(found) > 1):
            raise ProviderError(f"the body is no answer of {self.title}'s with pictures")
        return tuple(
            read_pictures(
                answer,
                source=self._source,
                provider=self.name,
                task_id=task_id,
                own_id=self.own_id(answer),
            )
            for answer in found
        )

    def _no_way(self, what: str) -> str:
        return (
            f"{self.title} {what}: it gives its pictures at once. Save each answer when it comes, "
            "and hand it to `archiver ingest`"
        )
