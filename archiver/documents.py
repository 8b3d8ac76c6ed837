"""Reading and writing the small JSON documents that a store holds.

Reading is strict, since a document may have been damaged, cut or written by anybody; each document
says what it is in `schema`, e.g. `archiver.manifest/1`. Writing is deterministic.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import NoReturn, Self, TypeVar

from archiver.errors import DamageError
from archiver.model import JsonObject, JsonValue
from archiver.redaction import printable

MAX_DEPTH = 250
"""Levels of nesting that a document may have: those of a redacted answer and some."""

_Word = TypeVar("_Word", bound=StrEnum)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_SURROGATE = re.compile("[\ud800-\udfff]")


class DocumentError(DamageError):
    """A document of the store cannot be read.

    Attributes:
        is_newer: It is sound as far as can be told, but of a later version of archiver; it must
            not be overwritten.
    """

    code = "bad_document"
    noun = "document"
    """What it is about, in front of every message."""

    def __init__(self, message: str, *, is_newer: bool = False) -> None:
        super().__init__(f"{self.noun}: {message}", code="newer_document" if is_newer else None)
        self.is_newer = is_newer
        self.problem = message

    def at(self, key: str) -> Self:
        """Return the same error about the document of this key."""
        return type(self)(f"{key}: {self.problem}", is_newer=self.is_newer)


@lru_cache(maxsize=256)
def format_time(value: datetime) -> str:
    """Return a time as RFC 3339 in UTC, with a fraction only when there is one.

    Raises:
        ValueError: It has no time zone.
    """
    if value.tzinfo is None:
        raise ValueError("a time without a zone cannot be written")
    value = value.astimezone(UTC).replace(tzinfo=None)
    fine = "microseconds" if value.microsecond % 1000 else "milliseconds"
    return value.isoformat(timespec=fine if value.microsecond else "seconds") + "Z"


def parse_time(text: str) -> datetime | None:
    """Read a time that `format_time` wrote; `None` for any other text."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def finite(value: float | None) -> float | None:
    """Return a number that JSON can hold, or `None`."""
    return value if value is not None and -math.inf < value < math.inf else None


def write_document(value: JsonObject, *, compact: bool = False) -> bytes:
    """Return a document's bytes: UTF-8, two spaces of indent, names in their order, a line end.

    Args:
        compact: All in one line, for machines only: ten times as fast.

    Raises:
        ValueError: It holds NaN or an infinity.
    """
    indent = None if compact else 2
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8", "replace")


def read_document(data: bytes, schema: str, error: type[DocumentError]) -> Fields:
    """Read a document and check that it is what it should be.

    Args:
        data: The whole document.
        schema: What its `schema` must say, e.g. `archiver.manifest/1`.
        error: What to raise.

    Raises:
        DocumentError: It is no JSON object, or another document, or of a newer version.
    """
    try:
        text = data.decode("utf-8")
        value: JsonValue = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite_number
        )
    except RecursionError:
        raise error("nested too deeply") from None
    except _OutOfRangeError:
        raise error("a number is out of range") from None
    except ValueError as problem:  # also UnicodeDecodeError and JSONDecodeError
        raise error(f"not JSON in UTF-8: {printable(str(problem))[:200]}") from None
    # What no escape is in holds no half character, and few brackets nest in no deep way.
    if "\\u" in text or text.count("[") + text.count("{") > MAX_DEPTH:
        _check_values(value, error)
    fields = Fields(value, "", error)
    found = fields.text("schema")
    kind, _, version = found.rpartition("/")
    expected_kind, _, expected_version = schema.rpartition("/")
    if kind != expected_kind or not re.fullmatch("[1-9][0-9]{0,8}", version):
        fields.fail("schema", f"must be {schema}")
    if int(version) > int(expected_version):
        raise error(
            f"of a newer version ({printable(found)}; this archiver reads {schema}); "
            "it was left as it is: use a newer archiver",
            is_newer=True,
        )
    return fields


class _OutOfRangeError(ValueError):
    """A number that no float can hold."""


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _OutOfRangeError
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _check_values(value: JsonValue, error: type[DocumentError]) -> None:
    """Refuse what could be read but not be written again."""
    level: list[JsonValue] = [value]
    for _ in range(MAX_DEPTH):
        inner: list[JsonValue] = []
        for item in level:
            if isinstance(item, dict):
                inner += item
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            elif isinstance(item, str) and _SURROGATE.search(item):
                raise error("a text holds half a character (a lone surrogate)")
        level = inner
        if not level:
            return
    raise error(f"nested deeper than {MAX_DEPTH} levels")


class Fields:
    """A JSON object being read: knows its place in the document and what was not asked for."""

    __slots__ = ("_error", "_left", "_where")

    def __init__(self, value: JsonValue, where: str, error: type[DocumentError]) -> None:
        self._where = where
        self._error = error
        if not isinstance(value, dict):
            raise error(f"{where or 'all of it'} must be an object")
        self._left: JsonObject = dict(value)

    def fail(self, name: str, what: str) -> NoReturn:
        """Raise the document's error about one field."""
        where = f"{self._where}.{name}" if self._where else name
        raise self._error(f"{where} {what}")

    def value(self, name: str) -> JsonValue:
        """Take a field, whatever it is."""
        if name not in self._left:
            self.fail(name, "is missing")
        return self._left.pop(name)

    def extra(self) -> JsonObject:
        """Return the fields that nobody asked for, in their order."""
        return self._left

    def text(self, name: str) -> str:
        """Take a string."""
        value = self.value(name)
        if not isinstance(value, str):
            self.fail(name, "must be a string")
        return value

    def text_or_none(self, name: str) -> str | None:
        """Take a string or null."""
        value = self.value(name)
        if value is not None and not isinstance(value, str):
            self.fail(name, "must be a string or null")
        return value

    def flag(self, name: str) -> bool:
        """Take true or false."""
        value = self.value(name)
        if not isinstance(value, bool):
            self.fail(name, "must be true or false")
        return value

    def integer_or_none(self, name: str) -> int | None:
        """Take a whole number or null."""
        value = self.value(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            self.fail(name, "must be a whole number or null")
        return value

    def count(self, name: str) -> int:
        """Take a whole number that is not negative."""
        value = self.integer_or_none(name)
        if value is None or value < 0:
            self.fail(name, "must be a whole number, 0 or more")
        return value

    def number_or_none(self, name: str) -> float | None:
        """Take a number or null."""
        value = self.value(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            self.fail(name, "must be a number or null")
        return value

    def time(self, name: str) -> datetime:
        """Take a time."""
        value = self.time_or_none(name)
        if value is None:
            self.fail(name, "must be a time")
        return value

    def time_or_none(self, name: str) -> datetime | None:
        """Take a time or null."""
        text = self.text_or_none(name)
        if text is None:
            return None
        time = parse_time(text)
        if time is None:
            self.fail(name, "must be a time in UTC like 2024-10-15T08:56:19Z")
        return time

    def word(self, name: str, words: type[_Word]) -> _Word:
        """Take one of a fixed set of words."""
        text = self.text(name)
        try:
            return words(text)
        except ValueError:
            self.fail(name, f"must be one of {', '.join(words)}")

    def object(self, name: str) -> Fields:
        """Take an object."""
        where = f"{self._where}.{name}" if self._where else name
        return Fields(self.value(name), where, self._error)

    def objects(self, name: str) -> list[Fields]:
        """Take a list of objects."""
        value = self.value(name)
        if not isinstance(value, list):
            self.fail(name, "must be a list")
        return [Fields(v, f"{name}[{i}]", self._error) for i, v in enumerate(value)]
