"""What every provider does with an answer that holds tasks: find its own, and read them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from archiver.answers.bodies import Bodies, Body
from archiver.errors import ProviderError
from archiver.model import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskForm:
    """How one provider's tasks are told from others' and read.

    Attributes:
        noun: What one is called in messages: `Luma task`.
        is_task: Whether a body is one.
        ids: By which ids a body may have been asked for.
        read: Reads one; gets the id that was asked for, or `None`.
    """

    noun: str
    is_task: Callable[[Body], bool]
    ids: Callable[[Body], Iterable[str]]
    read: Callable[[Body, str | None], Task]

    def tasks(
        self, page: Bodies, task_id: str | None = None, *, called: str | None = None
    ) -> tuple[Task, ...]:
        """Return all tasks, or the one that was asked for.

        Args:
            task_id: A body alone is taken for it, whatever its id.
            called: What answers call it, if that is something else.

        Raises:
            ProviderError: There is none.
        """
        if task_id is None:
            found = self.all(page)
            if not found:
                raise ProviderError(f"the body holds no {self.noun}")
            return found
        wanted = called or task_id
        own = [body for body in page.found if len(page.found) == 1 or wanted in self.ids(body)]
        if not own or not self.is_task(own[0]):
            raise ProviderError(f"the body holds no {self.noun} with this id")
        return (self.read(own[0], task_id),)

    def all(self, page: Bodies) -> tuple[Task, ...]:
        """Return all tasks; the first one bears a warning of what is none."""
        tasks = [self.read(body, None) for body in page.found if self.is_task(body)]
        left_out = page.unread + len(page.found) - len(tasks)
        if tasks and left_out:
            warning = f"other entries of the list that are no {self.noun}s: {left_out}"
            tasks[0] = replace(tasks[0], warnings=(*tasks[0].warnings, warning))
        return tuple(tasks)

    def asked(
        self, page: Bodies, wanted: Collection[str], *, may_be: Callable[[Body], bool]
    ) -> dict[str, Task]:
        """Return the tasks of a batch by the ids that were asked for.

        Args:
            may_be: Whether a body may be a task: its id says which one already.
        """
        tasks: dict[str, Task] = {}
        for body in page.found:
            task_id = next((one for one in self.ids(body) if one in wanted), None)
            if task_id is not None and task_id not in tasks and may_be(body):
                tasks[task_id] = self.read(body, task_id)
        return tasks
