"""The kinds of value that keys hold: how each is read, checked and written back as TOML.

A reader raises `ConfigError` with a message that lacks the key and the file; the caller puts them
before it. Values that may be secrets (URLs, headers, names that look like keys) are never quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Any, Final

from archiver.config import units
from archiver.config.settings import Listing
from archiver.config.wording import shown
from archiver.errors import ConfigError

TomlValue = str | int | float | bool | list[str] | dict[str, str]
"""What `Kind.write` gives."""

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_OWN_HEADERS: Final = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What relative paths and `~` mean where a value was written."""

    base_dir: Path
    home: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of value.

    Attributes:
        read: From what TOML gave to what the dataclass holds.
        write: Back, for `config show`; `read` of it gives the same.
        textual: On a command line it is taken as it stands, without quotes.
        truth: On a command line `yes`, `1` and the like are understood.
    """

    read: Callable[[object, Place], Any]
    write: Callable[[Any], TomlValue]
    textual: bool = True
    truth: bool = False


def plain_text(value: object) -> str:
    """Return text on one line; a path counts as text.

    Raises:
        ConfigError: It is no text, or holds control characters.
    """
    if isinstance(value, PurePath):
        value = str(value)
    if not isinstance(value, str):
        raise ConfigError(f"{shown(value)} is not text; put it in quotes")
    if CONTROL.search(value):
        raise ConfigError("holds a line break or another control character; take it out")
    return value


def _word(value: object) -> str:
    text = plain_text(value)
    if text != text.strip():
        raise ConfigError(f"{shown(text)} begins or ends with a space; take it out")
    return text


def text() -> Kind:
    """Any text on one line."""
    return Kind(read=lambda value, _: _word(value), write=str)


def pattern(regex: str, wanted: str) -> Kind:
    """Text that matches a regular expression."""

    def read(value: object, _: Place) -> str:
        found = _word(value)
        if not re.fullmatch(regex, found):
            raise ConfigError(f"{shown(found)} is not {wanted}")
        return found

    return Kind(read=read, write=str)


def choice(*words: str) -> Kind:
    """One of a few words."""

    def read(value: object, _: Place) -> str:
        found = plain_text(value)
        if found not in words:
            raise ConfigError(
                f"{shown(found)} is not known; write {' or '.join(map(shown, words))}"
            )
        return found

    return Kind(read=read, write=str)


def integer(lowest: int, highest: int) -> Kind:
    """A whole number in a range."""

    def read(value: object, _: Place) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            hint = ", without quotes" if isinstance(value, str) else ""
            raise ConfigError(
                f"{shown(value)} is not a whole number; write one from {lowest} to {highest}{hint}"
            )
        if not lowest <= value <= highest:
            raise ConfigError(f"{shown(value)} is not from {lowest} to {highest}")
        return value

    return Kind(read=read, write=int, textual=False)


def rate(highest: float) -> Kind:
    """A finite number above zero."""

    def read(value: object, _: Place) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            hint = ", without quotes" if isinstance(value, str) else ""
            raise ConfigError(f"{shown(value)} is not a number; write e.g. 5 or 0.5{hint}")
        if not 0 < value <= highest:  # false for NaN as well
            raise ConfigError(f"{shown(value)} is not more than 0 and at most {highest:g}")
        return float(value)

    return Kind(read=read, write=_plain_number, textual=False)


def _plain_number(value: float) -> int | float:
    return int(value) if value == math.floor(value) else value


def boolean() -> Kind:
    """True or false."""

    def read(value: object, _: Place) -> bool:
        if not isinstance(value, bool):
            raise ConfigError(f"{shown(value)} is neither true nor false; write one of them")
        return value

    return Kind(read=read, write=bool, textual=False, truth=True)


def listing() -> Kind:
    """`false`, `true` or `"gateway"`."""

    def read(value: object, _: Place) -> Listing:
        if value is True:
            return Listing.PROVIDER
        if value is False:
            return Listing.OFF
        if value == Listing.GATEWAY.value:
            return Listing.GATEWAY
        raise ConfigError(f'{shown(value)} is not known; write false, true or "gateway"')

    return Kind(
        read=read,
        write=lambda value: value.value if value is Listing.GATEWAY else bool(value),
        textual=False,
        truth=True,
    )


def size(lowest: int = 0, highest: int = units.MAX_SIZE_BYTES) -> Kind:
    """A size in bytes."""

    def read(value: object, _: Place) -> int:
        found = units.parse_size(value)
        if found < lowest:
            raise ConfigError(f"{shown(value)} is less than {units.exact_size(lowest)}")
        if found > highest:
            raise ConfigError(f"{shown(value)} is more than {units.exact_size(highest)}")
        return found

    return Kind(read=read, write=units.exact_size)


def limit() -> Kind:
    """A size in bytes, or empty text for no limit."""

    def read(value: object, _: Place) -> int | None:
        if value == "":
            return None
        found = units.parse_size(value)
        if found == 0:
            raise ConfigError(f'{shown(value)} would let nothing through; write "" for no limit')
        return found

    return Kind(read=read, write=lambda value: "" if value is None else units.exact_size(value))


def seconds(highest: float) -> Kind:
    """A duration above zero, as float seconds."""

    def read(value: object, _: Place) -> float:
        found = units.parse_duration(value)
        if not 0 < found <= highest:
            most = units.exact_duration(highest)
            raise ConfigError(f"{shown(value)} is not more than 0 and at most {most}")
        return found

    return Kind(read=read, write=units.exact_duration)


def span(*, zero: bool) -> Kind:
    """A duration as a timedelta."""

    def read(value: object, _: Place) -> timedelta:
        found = units.parse_duration(value)
        if found == 0 and not zero:
            raise ConfigError(f"{shown(value)} is not more than 0")
        return timedelta(seconds=found)

    return Kind(read=read, write=lambda value: units.exact_duration(value.total_seconds()))


def share() -> Kind:
    """A share as a float from 0 to 1."""
    return Kind(read=lambda value, _: units.parse_share(value), write=units.exact_share)


def env_name() -> Kind:
    """The name of an environment variable, or empty."""

    def read(value: object, _: Place) -> str:
        found = value if isinstance(value, str) else ""
        if value != "" and not _ENV_NAME.fullmatch(found):
            # whoever writes the key itself here must not find it in a log
            raise ConfigError(
                "is not the name of an environment variable (letters, digits and _); "
                "write the variable's name here, never the key itself"
            )
        return found

    return Kind(read=read, write=str)


def words() -> Kind:
    """A list of different words."""

    def read(value: object, _: Place) -> tuple[str, ...]:
        found = tuple(_word(item) for item in items(value, '["video_raw", "url"]'))
        if "" in found or len(set(found)) < len(found):
            raise ConfigError("holds an empty word or one word twice")
        return found

    return Kind(read=read, write=list, textual=False)


def items(value: object, example: str) -> Sequence[object]:
    """Return a list's items.

    Raises:
        ConfigError: It is no list.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ConfigError(f"must be a list, e.g. {example}")
    return value


def headers() -> Kind:
    """A table of header names and values; no value is ever quoted in a message."""

    def read(value: object, _: Place) -> tuple[tuple[str, str], ...]:
        if not isinstance(value, Mapping):
            raise ConfigError('must be a table, e.g. {"X-Team" = "films", "X-Key" = "env:KEY"}')
        names: set[str] = set()
        found = []
        for name, content in value.items():
            if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
                raise ConfigError(f"{shown(name)} is not the name of a header")
            if name.lower() in _OWN_HEADERS:
                raise ConfigError(f"{name} is set by archiver itself; take it out")
            if name.lower() in names:
                raise ConfigError(f"{name} is there twice; case does not matter in header names")
            names.add(name.lower())
            if not isinstance(content, str):
                raise ConfigError(f"the value of {name} is not text; put it in quotes")
            variable = content.removeprefix("env:")
            if variable != content and not _ENV_NAME.fullmatch(variable):
                raise ConfigError(f'the value of {name} has no variable\'s name after "env:"')
            fault = header_fault(content)
            if fault:
                raise ConfigError(f"the value of {name} {fault}")
            found.append((name, content))
        return tuple(found)

    return Kind(read=read, write=dict, textual=False)


def header_fault(value: str) -> str | None:
    """Say why a text cannot be sent in a header, without quoting it; None when it can.

    Source: RFC 9110 section 5.5 (field values).
    """
    if not value:
        return "is empty"
    if CONTROL.search(value):
        return "holds a line break or another control character"
    if value != value.strip():
        return "begins or ends with a space"
    if not value.isascii() and max(value) > "\xff":
        return "holds a character that no header can carry (not Latin-1)"
    return None
