"""Bodies in an answer: one, or several in a list, each without its envelopes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from archiver.answers.envelopes import Envelope, Opened, unwrap
from archiver.answers.scalars import ident_of
from archiver.errors import ProviderError
from archiver.model import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What an answer, or one entry of a list, says of one task.

    Attributes:
        raw: The answer or entry as it came.
        value: What was inside the envelopes: an object, a list (Suno's clips), or `None` when a
            gateway has nothing yet.
        envelope: What the wrapping said.
    """

    raw: JsonValue = field(repr=False)
    value: JsonValue = field(repr=False)
    envelope: Envelope

    @property
    def object(self) -> JsonObject:
        """Return the object inside, also out of a list of one; an empty one if there is none."""
        value = self.value
        if isinstance(value, list) and len(value) == 1:
            value = unwrap(value[0]).value
        return value if isinstance(value, dict) else {}

    def ids(self, *names: str) -> tuple[str, ...]:
        """Return the ids that it bears, the gateway's first.

        Args:
            names: What the body calls its id, best first.
        """
        found = (self.envelope.task_id, *(ident_of(self.object.get(name)) for name in names))
        return tuple(dict.fromkeys(id_ for id_ in found if id_ is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """All that an answer holds.

    Attributes:
        found: The bodies.
        unread: How many entries of the list are no bodies.
        listed: Whether it is a list; a body alone may come in one as well.
        around: The object that holds the list and says more about it (`has_more`), or an empty one.
    """

    found: tuple[Body, ...]
    unread: int = 0
    listed: bool = False
    around: JsonObject = field(default_factory=dict, repr=False)


def bodies_of(answer: JsonValue, *list_names: str) -> Bodies:
    """Read one body, a list of bodies, or a page of a list, whatever is wrapped around them.

    A list inside a row that has a state or an id of its own is that one task's.

    Args:
        list_names: What an object calls the list that it holds (`generations`, `items`).

    Raises:
        ProviderError: No object and no list, or wrapped too often.
    """
    opened = unwrap(answer)
    value, envelope = opened.value, opened.envelope
    around = value if isinstance(value, dict) else {}
    page = next((name for name in list_names if name in around), None)
    if page is not None:
        return _listed(around[page] or [], around=around)
    if isinstance(value, list) and envelope.status is None and envelope.task_id is None:
        listed = _listed(value, around={})
        if len(value) == 1 and len(listed.found) == 1:
            only = listed.found[0]
            return Bodies(
                found=(Body(raw=answer, value=only.value, envelope=only.envelope),), listed=True
            )
        return listed
    if value is None and envelope == Envelope():
        return Bodies(found=())
    return Bodies(found=(_body(answer, opened),))


def body_of(answer: JsonValue, task_id: str, *id_names: str) -> Body:
    """Read the one body of an answer; of several, the one with this id.

    Raises:
        ProviderError: There is none.
    """
    found = bodies_of(answer).found
    body = found[0] if len(found) == 1 else first_with(found, (task_id,), *id_names)
    if body is None:
        raise ProviderError(f"the answer holds {len(found)} tasks, none with the id asked for")
    return body


def first_with(bodies: Sequence[Body], ids: Iterable[str], *id_names: str) -> Body | None:
    """Return the first body that bears one of these ids."""
    wanted = set(ids)
    return next((b for b in bodies if not wanted.isdisjoint(b.ids(*id_names))), None)


def _listed(entries: JsonValue, *, around: JsonObject) -> Bodies:
    found: list[Body] = []
    values = entries if isinstance(entries, list) else [entries]
    for entry in values:
        try:
            found.append(_body(entry, unwrap(entry)))
        except ProviderError:
            continue  # counted below: one bad entry costs no other
    return Bodies(found=tuple(found), unread=len(values) - len(found), listed=True, around=around)


def _body(raw: JsonValue, opened: Opened) -> Body:
    value, envelope = opened.value, opened.envelope
    if isinstance(value, dict) or (isinstance(value, list) and envelope != Envelope()):
        return Body(raw=raw, value=value, envelope=envelope)
    if value in (None, "") and envelope != Envelope():
        return Body(raw=raw, value=None, envelope=envelope)
    raise ProviderError("the answer is JSON, but nothing that describes a task")
