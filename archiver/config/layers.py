"""What was written, before it is checked: a `Draft`, and the file as its lowest layer.

Nothing is checked here but that each key exists. `overrides` lays the environment and `--set` over
it, `build` makes a `Config` of it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from archiver.config.keys import OF_SOURCE, PLAIN, SOURCE, TABLES
from archiver.config.wording import nearest, quoted, shown
from archiver.errors import ConfigError

MAX_FILE_BYTES: Final = 4 * 1024**2
TABLE_NAMES: Final = frozenset(table.name for table in TABLES) - {""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value was written.

    Attributes:
        label: For messages: a file, `--set`, or `$VARIABLE`.
        base_dir: What its relative paths are relative to.
        typed: Whether it has a type already (a file), or is text still (a command line).
        rank: Of the layer; a higher one wins.
    """

    label: str
    base_dir: Path
    typed: bool = True
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value as it was written."""

    value: object = field(repr=False)
    origin: Origin


@dataclass(slots=True, kw_only=True)
class Draft:
    """All that was written, the strongest layer on top.

    Attributes:
        plain: By whole name, `download.timeout`.
        sources: For each `[[source]]`, by the key's own name.
        problems: One line each, as the user will read them.
        notes: What is odd but no error.
    """

    plain: dict[str, Given] = field(default_factory=dict)
    sources: list[dict[str, Given]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def name_of(self, index: int) -> str | None:
        """Return a source's name as it was written, if it is text at all."""
        given = self.sources[index].get("name")
        return given.value if given is not None and isinstance(given.value, str) else None

    def address_of(self, index: int) -> str:
        """Return what a source's keys begin with: `source.luma`, or `source.0` without a name."""
        name = self.name_of(index)
        fits = name is not None and re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name)
        return f"{SOURCE}.{name if fits else index}"


# --- the file -----------------------------------------------------------------------------------


def read_toml(path: Path, label: str) -> dict[str, object]:
    """Read a TOML file.

    Raises:
        ConfigError: It is not there, not readable, too large, not UTF-8, or not TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{label}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{label}: is a folder; name the file in it") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a file name"
        raise ConfigError(f"{label}: cannot be read: {reason}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{label}: is over 4 MiB; that is no configuration")
    return _parse_toml(data, label)


def _parse_toml(data: bytes, label: str) -> dict[str, object]:
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(
            f"{label}: line 1, column 1: begins with a byte order mark; "
            "save it as UTF-8 without one (BOM)"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line, column = _position(data[: error.start].decode())
        raise ConfigError(
            f"{label}: line {line}, column {column}: is not UTF-8; save it as UTF-8"
        ) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_message(str(error), text, label)) from None
    except RecursionError:
        raise ConfigError(f"{label}: is nested too deeply; that is no configuration") from None
    except ValueError:
        # the one ValueError of tomllib's that is no TOMLDecodeError
        raise ConfigError(f"{label}: holds a number of thousands of digits; take it out") from None


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _syntax_message(message: str, text: str, label: str) -> str:
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    if found is None:
        return f"{label}: is not TOML: {message}"
    line, column = (found[1], found[2]) if found[1] else _position(text)
    return f"{label}: line {line}, column {column}: is not TOML: {message[: found.start()]}"


def lay_mapping(mapping: Mapping[str, object], origin: Origin) -> Draft:
    """Take a parsed file (or a program's mapping) apart into keys."""
    draft = Draft()
    _lay_table("", mapping, origin, draft)
    return draft


def _lay_table(name: str, mapping: Mapping[str, object], origin: Origin, draft: Draft) -> None:
    for key, value in mapping.items():
        # a quoted "store.url" is one odd key in TOML, not a key of [store]
        word = str(key) if "." not in str(key) else quoted(str(key)[:60])
        dotted = f"{name}.{word}" if name else word
        if dotted in PLAIN:
            draft.plain[dotted] = Given(value=value, origin=origin)
        elif dotted == SOURCE:
            _lay_sources(value, origin, draft)
        elif dotted in TABLE_NAMES:
            if isinstance(value, Mapping):
                _lay_table(dotted, value, origin, draft)
            else:
                draft.problems.append(
                    f"{origin.label}: {dotted}: {shown(value)} is not a table; write [{dotted}]"
                )
        else:
            draft.problems.append(f"{origin.label}: {unknown_key(str(key), name, name)}")


def _lay_sources(value: object, origin: Origin, draft: Draft) -> None:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        draft.problems.append(
            f"{origin.label}: {SOURCE}: must be a list of tables; "
            "write [[source]], with two brackets on each side"
        )
        return
    for index, table in enumerate(value):
        draft.sources.append({})
        if not isinstance(table, Mapping):
            draft.problems.append(
                f"{origin.label}: {SOURCE}.{index}: {shown(table)} is not a table; write [[source]]"
            )
            continue
        known = {key: item for key, item in table.items() if key in OF_SOURCE}
        draft.sources[index] = {k: Given(value=v, origin=origin) for k, v in known.items()}
        address = draft.address_of(index)
        draft.problems.extend(
            f"{origin.label}: {unknown_key(str(key), SOURCE, address)}"
            for key in table
            if key not in known
        )


def unknown_key(word: str, table: str, address: str) -> str:
    """Say that a key is not known, and which one may have been meant.

    Args:
        word: The key's own name.
        table: The table that it is in; empty at the top.
        address: The table as the user addresses it, e.g. `source.luma`.
    """
    bare = re.fullmatch(r"[A-Za-z0-9_-]{1,60}", word)
    key = word if bare else quoted(word[:60])
    message = f"{address}.{key}: unknown key" if address else f"{key}: unknown key"
    if table == SOURCE and word in ("api_key", "key", "token", "secret_key", "user_token"):
        kept = word if f"{word}_env" in OF_SOURCE else "api_key"
        return (
            f"{message}; keys are not kept in the configuration: "
            f'did you mean "{kept}_env", with the name of a variable?'
        )
    siblings = [k for k in known_names() if k.rpartition(".")[0] == table]
    likely = _likely(word, table, siblings)
    if likely is None:
        where = f"of [{table}]" if table else "at the top of the file"
        names = ", ".join(k.rpartition(".")[2] for k in siblings)
        return f"{message}; the keys {where} are {names}"
    top = " (at the top of the file, above the first [table])" if "." not in likely else ""
    return f'{message}; did you mean "{likely}"{top if table else ""}?'


def _likely(word: str, table: str, siblings: Sequence[str]) -> str | None:
    everywhere = known_names()
    by_leaf = {name.rpartition(".")[2]: name for name in reversed(everywhere)}
    leaves = {name.rpartition(".")[2]: name for name in siblings}
    close = nearest(word, leaves)
    if close is not None:
        return leaves[close]
    if word in by_leaf and by_leaf[word] != word:
        return by_leaf[word]
    if table and word in everywhere:
        return word
    far = nearest(word, by_leaf)
    return by_leaf[far] if far is not None else None


def known_names() -> list[str]:
    """Return the whole names of all keys and tables."""
    names = [table.dotted(key) for table in TABLES for key in table.keys]
    return names + sorted(TABLE_NAMES)
