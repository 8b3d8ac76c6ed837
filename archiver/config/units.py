"""Sizes, durations and shares: from what people write, and back.

`parse_*` read; `format_*` round, for people; `exact_*` lose nothing, for files.
Every parser takes whatever a TOML file or a command line can hold and raises `ConfigError`; its
message has no key and no file, which the caller puts before it.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Final

from archiver.config.wording import shown
from archiver.errors import ConfigError

MAX_SIZE_BYTES: Final = 2**63 - 1
MAX_DURATION_S: Final = 36_525 * 86_400.0
"""A hundred years: more would leave the calendar when subtracted from today."""

_SIZE = re.compile(r"([0-9]{1,24})(?:\.([0-9]{1,12}))?\s{0,3}([A-Za-z]{0,3})")
_BINARY = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SIZE_UNITS: Final = {
    "": 1,
    "b": 1,
    **{unit.lower(): 1024 ** (n + 1) for n, unit in enumerate(_BINARY)},
    **{unit[0].lower(): 1024 ** (n + 1) for n, unit in enumerate(_BINARY)},
    **{unit[0].lower() + "b": 1000 ** (n + 1) for n, unit in enumerate(_BINARY)},
}

_SPAN = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?\s{0,3}([a-z]{1,7})\s{0,3}")
_SECONDS = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?")
_US: Final = 1_000_000
_UNIT_WORDS: Final = {
    1_000: "ms",
    _US: "s sec secs second seconds",
    60 * _US: "m min mins minute minutes",
    3_600 * _US: "h hr hrs hour hours",
    86_400 * _US: "d day days",
    604_800 * _US: "w week weeks",
}
_DURATION_UNITS: Final = {w: us for us, words in _UNIT_WORDS.items() for w in words.split()}

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,15})?|\.[0-9]{1,15})\s{0,3}(%?)")


def _times(whole: str, fraction: str | None, unit: int) -> int:
    """Multiply a decimal number by a unit, exactly, rounded down."""
    digits = fraction or ""
    return int(whole + digits) * unit // int(10 ** len(digits))


def parse_size(value: object) -> int:
    """Read a size in bytes: `100MiB`, `8 MiB`, `5GB`, `1.5GiB`, `10M`, `1024`, `0`.

    A bare letter is binary as in rclone: `10M` is `10MiB`; `10MB` is ten million. Case does not
    matter. A fraction of a byte is dropped.

    Raises:
        ConfigError: It is not a size.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
        unit = _SIZE_UNITS.get(match[3].lower()) if match else None
        if match is None or unit is None:
            raise ConfigError(f'{shown(value)} is not a size; write e.g. "100MiB", "5GB", "1024"')
        size = _times(match[1], match[2], unit)
    if not 0 <= size <= MAX_SIZE_BYTES:
        raise ConfigError(f"{shown(value)} is no possible size; the largest is just under 8EiB")
    return size


def format_size(size_bytes: int) -> str:
    """Return a size for people, to three digits: `5 B`, `1.50 KiB`, `12.3 MiB`, `640 GiB`."""
    size = float(max(size_bytes, 0))
    if size < 1024:
        return f"{size:.0f} B"
    for unit in _BINARY:
        size /= 1024
        # what would round to 1024 belongs to the next unit
        if size < 1023.5 or unit == _BINARY[-1]:
            break
    digits = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{size:.{digits}f} {unit}"


def exact_size(size_bytes: int) -> str:
    """Return a size that `parse_size` reads back to the byte: `8MiB`, `5GB`, `1025`."""
    if size_bytes == 0:
        return "0"
    for power in range(len(_BINARY), 0, -1):
        for unit, factor in ((_BINARY[power - 1], 1024), (_BINARY[power - 1][0] + "B", 1000)):
            if size_bytes % factor**power == 0:
                return f"{size_bytes // factor**power}{unit}"
    return str(size_bytes)


def parse_duration(value: object) -> float:
    """Read a duration in seconds: `30s`, `10m`, `2h`, `7d`, `1h30m`, `500ms`, `0`.

    A plain number is seconds; `2 weeks`, `90 min` and the like are understood too.

    Raises:
        ConfigError: It is not a duration, or more than a hundred years.
    """
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        # an int may be too large for a float: compared first, converted after
        if not 0 <= value <= MAX_DURATION_S:
            raise _wrong_duration(value)
        seconds = float(value)
    elif isinstance(value, str) and len(value) <= 100:
        seconds = _spans(value.strip().lower())
    if seconds is None:
        raise _wrong_duration(value)
    if seconds > MAX_DURATION_S:
        raise ConfigError(f"{shown(value)} is more than a hundred years; write less")
    return seconds


def _spans(text: str) -> float | None:
    """Add up `1h 30m`; None when a part is no span or a unit comes twice."""
    plain = _SECONDS.fullmatch(text)
    if plain:
        return _times(plain[1], plain[2], _US) / _US
    total, position, seen = 0, 0, set()
    while position < len(text):
        match = _SPAN.match(text, position)
        unit = _DURATION_UNITS.get(match[3]) if match else None
        if match is None or unit is None or unit in seen:
            return None
        seen.add(unit)
        total += _times(match[1], match[2], unit)
        position = match.end()
    return total / _US if seen else None


def _wrong_duration(value: object) -> ConfigError:
    return ConfigError(f'{shown(value)} is not a duration; write e.g. "30s", "10m", "2h"')


def format_duration(seconds: float) -> str:
    """Return a duration for people, in its two largest units: `450ms`, `42s`, `1h 30m`, `3d 4h`."""
    if not math.isfinite(seconds):
        return "?"
    seconds = max(seconds, 0.0)
    if 0 < seconds < 0.9995:
        return f"{max(round(seconds * 1000), 1)}ms"
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    for (large, length), (small, step) in itertools.pairwise(units):
        # rounded to the smaller unit first, so that 59m 59.9s becomes 1h and not 60m
        steps = round(seconds / step)
        if steps * step >= length:
            count, rest = divmod(steps * step, length)
            return f"{count}{large} {rest // step}{small}" if rest else f"{count}{large}"
    return f"{round(seconds)}s"


def exact_duration(seconds: float) -> str:
    """Return a duration that `parse_duration` reads back to the microsecond: `1h30m`, `0.25s`."""
    rest_us = round(seconds * _US)
    if rest_us == 0:
        return "0"
    text = ""
    for unit, length_us in (("d", 86_400 * _US), ("h", 3_600 * _US), ("m", 60 * _US)):
        count, rest_us = divmod(rest_us, length_us)
        text += f"{count}{unit}" if count else ""
    whole, fraction = divmod(rest_us, _US)
    if whole or fraction:
        text += f"{whole}.{fraction:06d}".rstrip("0").rstrip(".") + "s"
    return text


def parse_share(value: object) -> float:
    """Read a share from 0 to 1: `5%`, `0.05`, `100%`, `1`, `0`.

    Raises:
        ConfigError: It is not a share, or not between 0 and 1.
    """
    share: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        # NaN fails the comparison as well; an int too large for a float never gets converted
        share = float(value) if 0 <= value <= 1 else None
    elif isinstance(value, str) and (match := _SHARE.fullmatch(value.strip())):
        share = float(match[1]) / (100 if match[2] else 1)
    if share is None or not 0 <= share <= 1:
        raise ConfigError(
            f'{shown(value)} is not a share; write a percentage from "0%" to "100%", '
            "or a number from 0 to 1"
        )
    return share


def exact_share(share: float) -> str:
    """Return a share that `parse_share` reads back: `5%`, `0.5%`."""
    text = f"{share * 100:.12f}".rstrip("0").rstrip(".") + "%"
    return text if parse_share(text) == share else f"{share:.15f}"
