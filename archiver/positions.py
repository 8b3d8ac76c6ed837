"""Which output is which: an output keeps its position when a later answer gives another order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from archiver.manifest import AssetRecord
from archiver.model import Asset, Role, Task
from archiver.redaction import redact_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An output whose position is settled.

    Attributes:
        marks: By what it is known again: links without their queries, digests.
    """

    role: Role
    index: int
    marks: frozenset[str]


def known_outputs(items: Iterable[AssetRecord | Asset]) -> tuple[Known, ...]:
    """Return the settled outputs of a manifest, or of an earlier answer."""
    return tuple(
        Known(role=item.role, index=item.index, marks=frozenset(_marks(item))) for item in items
    )


def in_known_order(task: Task, known: Iterable[Known]) -> Task:
    """Return the task with each output at the position that it had before.

    Outputs that cannot be told apart by their links keep the answer's position where it is free, as
    a provider may give every link anew. One that is new takes a position that no other ever had.
    """
    places: dict[Role, dict[int, frozenset[str]]] = {}
    for output in known:
        places.setdefault(output.role, {})[output.index] = output.marks
    moved = {
        id(asset): index
        for role, taken in places.items()
        for asset, index in _moved([a for a in task.assets if a.role == role], taken)
    }
    if not moved:
        return task
    assets = tuple(replace(a, index=moved.get(id(a), a.index)) for a in task.assets)
    return replace(task, assets=assets)


def _moved(assets: list[Asset], taken: Mapping[int, frozenset[str]]) -> Iterable[tuple[Asset, int]]:
    """Yield the outputs of one role that have another position than the answer says."""
    left, pinned = [], set()
    for asset in assets:
        if _marks(asset).isdisjoint(taken.get(asset.index, ())):
            left.append(asset)
        else:
            pinned.add(asset.index)
    newcomers = []
    for asset in left:
        marks = _marks(asset)
        before = (i for i, own in taken.items() if i not in pinned and not marks.isdisjoint(own))
        index = next(before, None)
        if index is None:
            newcomers.append(asset)
            continue
        pinned.add(index)
        yield asset, index
    used = pinned | {a.index for a in newcomers if a.index not in pinned}
    for asset in newcomers:
        if asset.index not in pinned:
            continue
        index = next(i for i in range(len(used) + len(taken) + 1) if i not in used | taken.keys())
        used.add(index)
        yield asset, index


def _marks(item: AssetRecord | Asset) -> set[str]:
    if isinstance(item, AssetRecord):
        return {item.sha256} | ({item.url} if item.url else set())
    marks = {redact_url(form.url) for form in item.renditions if form.url}
    return marks | {hashlib.sha256(f.content).hexdigest() for f in item.renditions if f.content}
