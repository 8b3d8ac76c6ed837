"""What the endpoints of several providers have in common: ids in a body, tasks of one kind."""

from __future__ import annotations

import json
from typing import TypeVar

from archiver.gateway.routing import Site
from archiver.gateway.tasks import GatewayTask

_T = TypeVar("_T", bound=GatewayTask)


def asked_ids(body: bytes) -> set[str] | None:
    """Return the ids of a body such as `{"ids": ["…"]}`; `None` when it is another."""
    try:
        asked = json.loads(body)
    except ValueError:
        return None
    ids = asked.get("ids") if isinstance(asked, dict) else None
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        return None
    return set(ids)


def find(site: Site, task_id: str, kind: type[_T]) -> _T | None:
    """Return a task, if there is one of this kind."""
    task = site.task(task_id)
    return task if isinstance(task, kind) else None


def every(site: Site, kind: type[_T]) -> list[_T]:
    """Return all tasks of one kind, in the order in which they came."""
    return [task for task in site.tasks() if isinstance(task, kind)]
