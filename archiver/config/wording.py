"""How a wrong value or key is shown in a message: short, on one line, harmless to a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

_MAX_SHOWN = 60
_BIG = 10**18
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_HIDDEN_NAME = re.compile(r"(?=.*[a-z])(?=.*[0-9])[A-Za-z0-9_]{20,}")


def quoted(text: str) -> str:
    """Return text in double quotes as TOML writes it, always valid UTF-8 on one line."""
    parts = []
    for char in text:
        if char in _ESCAPES:
            parts.append(_ESCAPES[char])
        elif "\ud800" <= char <= "\udfff":
            parts.append("\ufffd")
        elif char.isprintable():
            parts.append(char)
        else:
            width = 4 if ord(char) <= 0xFFFF else 8
            parts.append(f"\\{'u' if width == 4 else 'U'}{ord(char):0{width}x}")
    return '"' + "".join(parts) + '"'


def shown(value: object) -> str:
    """Return a value as a message may show it: cut at 60 characters, containers by kind only."""
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, str):
        return quoted(value if len(value) <= _MAX_SHOWN else value[:_MAX_SHOWN] + "…")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        # str() of an int with more than 4300 digits raises; a hexadecimal one gets past tomllib
        return str(value) if -_BIG < value < _BIG else "that huge number"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, Sequence):
        return "a list"
    return f"a {type(value).__name__}"


def variable(name: str) -> str:
    """Return an environment variable's name, or `***` when it looks like a key pasted there."""
    return "***" if _HIDDEN_NAME.fullmatch(name) else name


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like a word, if one is."""
    # imported here: it costs, and only an error needs it
    import difflib

    found = difflib.get_close_matches(word[:_MAX_SHOWN], list(candidates), n=1, cutoff=0.6)
    return found[0] if found else None
