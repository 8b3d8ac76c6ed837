"""`Fields`: a JSON object whose values may be of any type, read as what they should be.

A wrong type counts as absent and leaves a warning; `null` and `""` count as absent without one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from archiver.answers.links import field_url
from archiver.answers.scalars import (
    MAX_TEXT,
    flag_of,
    ident_of,
    integer_of,
    json_of,
    moment_of,
    number_of,
    pixels_of,
    plain,
    seconds_of,
    size_of,
    text_of,
)
from archiver.model import JsonObject, JsonValue

MAX_NOTES = 20
"""Most warnings that one answer may leave."""

_T = TypeVar("_T")


class Notes:
    """Collects what in an answer was not understood: plain words, each once, bounded."""

    __slots__ = ("_left_out", "_texts")

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._left_out = 0

    def add(self, text: str) -> None:
        """Keep a warning, unless it is there already."""
        if text in self._texts:
            return
        if len(self._texts) < MAX_NOTES:
            self._texts[text] = None
        else:
            self._left_out += 1

    def texts(self) -> tuple[str, ...]:
        """Return them in the order in which they came."""
        more = (f"and {self._left_out} more warnings like these",) if self._left_out else ()
        return (*self._texts, *more)


class Fields:
    """One object of an answer.

    Every reader takes several names, for an API's different spellings, and returns the first
    usable value. Reading never raises.

    Args:
        value: What should be an object; anything else is an empty one.
        notes: Where warnings go.
        where: The path of this object in the answer, for warnings.
    """

    __slots__ = ("_notes", "_object", "_where")

    def __init__(self, value: JsonValue, notes: Notes | None = None, where: str = "") -> None:
        self._notes = notes if notes is not None else Notes()
        self._where = where
        self._object: JsonObject = value if isinstance(value, dict) else {}
        if value is not None and value != "" and not isinstance(value, dict):
            self._refuse(where or "the answer", value, "an object")

    def __bool__(self) -> bool:
        return bool(self._object)

    @property
    def notes(self) -> Notes:
        """Where its warnings go."""
        return self._notes

    def has(self, *names: str) -> bool:
        """Tell whether any of these is there and not `null`."""
        return any(self._object.get(name) is not None for name in names)

    def value(self, *names: str) -> JsonValue:
        """Return the first of these that is neither `null` nor blank, as it came."""
        values = (self._object.get(name) for name in names)
        return next((value for value in values if not _is_blank(value)), None)

    def text(self, *names: str) -> str | None:
        """Return a text, at most `MAX_TEXT` characters of it, line ends and all."""
        text = self._first(names, text_of, "a text")
        if text is not None and len(text) == MAX_TEXT:
            self._notes.add(
                f"`{self._path(names[0])}` is cut after {MAX_TEXT:,} characters here; the answer "
                "itself keeps the rest"
            )
        return text

    def words(self, *names: str) -> str | None:
        """Return a text fit for a message (see `plain`)."""
        text = self._first(names, text_of, "a text")
        return plain(text) if text else None

    def ident(self, *names: str) -> str | None:
        """Return an id: a text, or a whole number as text."""
        return self._first(names, ident_of, "an id")

    def flag(self, *names: str) -> bool | None:
        """Return a yes or no."""
        return self._first(names, flag_of, "true or false")

    def number(self, *names: str) -> float | None:
        """Return a finite number."""
        return self._first(names, number_of, "a number")

    def integer(self, *names: str) -> int | None:
        """Return a whole number of at most 64 bits."""
        return self._first(names, integer_of, "a whole number")

    def pixels(self, *names: str) -> int | None:
        """Return a width or height; 0 and less are "not declared"."""
        return self._first(names, pixels_of, "a number of pixels", unset=_is_zero)

    def seconds(self, *names: str) -> float | None:
        """Return a duration in seconds; 0 and less are "not declared"."""
        return self._first(names, seconds_of, "a number of seconds", unset=_is_zero)

    def size(self, *names: str) -> tuple[int, int] | None:
        """Return width and height from one text such as `1024x768`."""
        return self._first(names, size_of, "a width and height")

    def moment(self, *names: str) -> datetime | None:
        """Return a date, aware, in UTC; zero dates are "not known"."""
        return self._first(names, moment_of, "a date", unset=_is_zero)

    def url(self, *names: str) -> str | None:
        """Return a link that can be fetched, verbatim but for spaces (see `field_url`)."""
        return self._first(names, field_url, "a link that can be fetched")

    def child(self, *names: str) -> Fields:
        """Return an object within; an empty one when there is none."""
        for name in names:
            value = self._object.get(name)
            if isinstance(value, dict):
                return Fields(value, self._notes, self._path(name))
        for name in names:
            Fields(self._object.get(name), self._notes, self._path(name))
        return Fields(None, self._notes, self._path(names[0]))

    def link(self, *names: str) -> Fields:
        """Return an object that holds its link as `url`; a bare link counts as such an object."""
        value = self.value(*names)
        if isinstance(value, str):
            return Fields({"url": value}, self._notes, self._path(names[0]))
        return self.child(*names)

    def items(self, *names: str) -> tuple[Fields, ...]:
        """Return the objects of a list; one object alone is a list of one."""
        return self._list(names, bare_links=False)

    def links(self, *names: str) -> tuple[Fields, ...]:
        """Return the objects of a list that hold their links as `url`; bare links count as such.

        One link or one object alone is a list of one; a list that came as a text is read as well.
        """
        return self._list(names, bare_links=True)

    def _list(self, names: tuple[str, ...], *, bare_links: bool) -> tuple[Fields, ...]:
        value = json_of(self.value(*names))
        where = self._path(names[0])
        if isinstance(value, dict) or (bare_links and isinstance(value, str)):
            value = [value]
        if not isinstance(value, list):
            if value is not None:
                self._refuse(where, value, "a list")
            return ()
        found = []
        for number, entry in enumerate(value):
            if bare_links and isinstance(entry, str) and entry:
                entry = {"url": entry}
            fields = Fields(entry, self._notes, f"{where}[{number}]")
            if fields:
                found.append(fields)
        return tuple(found)

    def _first(
        self,
        names: tuple[str, ...],
        read: Callable[[JsonValue], _T | None],
        wanted: str,
        *,
        unset: Callable[[JsonValue], bool] | None = None,
    ) -> _T | None:
        for name in names:
            value = self._object.get(name)
            if _is_blank(value):
                continue
            result = read(value)
            if result is not None:
                return result
            if unset is None or not unset(value):
                self._refuse(self._path(name), value, wanted)
        return None

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def _refuse(self, where: str, value: JsonValue, wanted: str) -> None:
        self._notes.add(f"`{where}` is {_kind(value)}, not {wanted}; taken as absent")


def _is_blank(value: JsonValue) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _is_zero(value: JsonValue) -> bool:
    """Tell whether a value is an API's way to say "not known": 0, or the zero date."""
    number = number_of(value)
    if number is not None:
        return number == 0
    return isinstance(value, str) and value.startswith("0001-01-01")


def _kind(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "an object" if value else "nothing"
