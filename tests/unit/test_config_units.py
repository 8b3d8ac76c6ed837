"""Sizes, durations and shares: what people write, and back."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.config import (
    exact_duration,
    exact_share,
    exact_size,
    format_duration,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)
from archiver.errors import ConfigError

HOSTILE: list[Any] = [
    None,
    True,
    False,
    [],
    {},
    b"5",
    "",
    " ",
    "-1",
    "+1",
    -1,
    "nan",
    "inf",
    math.nan,
    math.inf,
    -math.inf,
    "1e3",
    "0x10",
    "1_000",
    "١٢",
    "5\x00",
    pytest.param("9" * 5000, id="huge"),
    pytest.param(int("f" * 5000, 16), id="huge hexadecimal"),
    "1" + " " * 500 + "s",
]


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("0", 0),
        (0, 0),
        (1024, 1024),
        ("1024", 1024),
        ("1024B", 1024),
        ("100MiB", 100 * 1024**2),
        ("8 MiB", 8 * 1024**2),
        (" 8MiB ", 8 * 1024**2),
        ("8mib", 8 * 1024**2),
        ("5GB", 5 * 1000**3),
        ("5kB", 5000),
        ("10M", 10 * 1024**2),
        ("10k", 10 * 1024),
        ("2T", 2 * 1024**4),
        ("1.5GiB", 3 * 1024**3 // 2),
        ("0.1KiB", 102),
        ("1PiB", 1024**5),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_sizes_are_read(written: object, size: int) -> None:
    """A size means what rclone's users expect: bare letters are binary, `MB` is decimal."""
    assert parse_size(written) == size


@pytest.mark.parametrize("wrong", [*HOSTILE, 1.5, "5 parsecs", "5 Mi", "1.", ".5G", "5G5", "8EiB"])
def test_what_is_no_size_is_refused(wrong: object) -> None:
    """Anything else raises ConfigError that says what is right, on one short line."""
    with pytest.raises(ConfigError, match=r"is not a size; write e\.g\.|is no possible size") as e:
        parse_size(wrong)
    assert len(e.value.message) < 200
    assert e.value.message.isprintable()


def test_a_wrong_size_is_quoted() -> None:
    """The message shows what was written."""
    with pytest.raises(ConfigError) as e:
        parse_size("5 parsecs")
    assert e.value.message == '"5 parsecs" is not a size; write e.g. "100MiB", "5GB", "1024"'


@given(st.integers(0, 2**63 - 1))
def test_exact_sizes_come_back(size: int) -> None:
    """`exact_size` loses no byte."""
    assert parse_size(exact_size(size)) == size


@given(st.integers(0, 2**62))
def test_shown_sizes_come_back_nearly(size: int) -> None:
    """`format_size` is understood by `parse_size`, within one percent, and is short."""
    text = format_size(size)
    assert abs(parse_size(text) - size) <= size * 0.01
    assert len(text) <= 8


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (-5, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (1024**2 - 1, "1.00 MiB"),
        (5 * 1024**2, "5.00 MiB"),
        (12_345_678, "11.8 MiB"),
        (640 * 1024**3, "640 GiB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    """People see three digits and a binary unit, and never 1024 of the smaller one."""
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("size", "text"), [(8 * 1024**2, "8MiB"), (5 * 10**9, "5GB"), (1025, "1025"), (0, "0")]
)
def test_exact_sizes_use_the_largest_unit(size: int, text: str) -> None:
    """A file shows the round number that its author wrote."""
    assert exact_size(size) == text


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        (0, 0),
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("1.5", 1.5),
        ("30s", 30),
        ("30S", 30),
        ("10m", 600),
        ("2h", 7200),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        (" 1d12h ", 129_600),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("30 days", 30 * 86_400),
        ("10 min", 600),
        ("2 hours", 7200),
    ],
)
def test_durations_are_read(written: object, seconds: float) -> None:
    """A duration may be written as people do; a plain number is seconds."""
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "wrong", [*HOSTILE, "30 parsecs", "1h1h", "s", "5 5s", "1y", "h1", "-5m", "101 years"]
)
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    """Anything else raises ConfigError that says what is right, on one short line."""
    with pytest.raises(ConfigError, match=r"is not a duration; write e\.g\.|a hundred years") as e:
        parse_duration(wrong)
    assert len(e.value.message) < 200
    assert e.value.message.isprintable()


def test_a_century_is_the_longest_duration() -> None:
    """A duration can always be subtracted from today."""
    assert parse_duration("36525d") == 36525 * 86_400
    with pytest.raises(ConfigError, match="more than a hundred years"):
        parse_duration("36526d")


@given(st.integers(0, 36_525 * 86_400 * 1000))
def test_exact_durations_come_back(milliseconds: int) -> None:
    """`exact_duration` loses no millisecond."""
    seconds = milliseconds / 1000
    assert parse_duration(exact_duration(seconds)) == seconds


@given(st.floats(0, 36_500 * 86_400))
def test_shown_durations_come_back_nearly(seconds: float) -> None:
    """`format_duration` is understood by `parse_duration`, within half of its smaller unit."""
    back = parse_duration(format_duration(seconds))
    unit = 0.001 if seconds < 1 else 1 if seconds < 3600 else 60 if seconds < 86_400 else 3600
    assert abs(back - seconds) <= max(unit, 0.0011)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-3, "0s"),
        (0.45, "450ms"),
        (0.00001, "1ms"),
        (0.9999, "1s"),
        (42.4, "42s"),
        (59.9, "1m"),
        (90, "1m 30s"),
        (3599.9, "1h"),
        (5400, "1h 30m"),
        (86_399, "1d"),
        (273_600, "3d 4h"),
        (math.inf, "?"),
        (math.nan, "?"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    """People see two units at most, and never sixty of the smaller one."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (30, "30s"), (2_592_000, "30d"), (5400, "1h30m"), (0.25, "0.25s"), (10, "10s")],
)
def test_exact_durations_use_the_units_of_a_file(seconds: float, text: str) -> None:
    """A file shows the duration as its author would have written it."""
    assert exact_duration(seconds) == text


@pytest.mark.parametrize(
    ("written", "share"),
    [
        ("5%", 0.05),
        ("0.05", 0.05),
        (0.05, 0.05),
        ("100%", 1),
        (1, 1),
        (0, 0),
        ("0", 0),
        ("0.5 %", 0.005),
        (" 7% ", 0.07),
        (".5", 0.5),
    ],
)
def test_shares_are_read(written: object, share: float) -> None:
    """A share is a percentage or a number from 0 to 1."""
    assert parse_share(written) == share


@pytest.mark.parametrize("wrong", [*HOSTILE, "5", 5, "101%", 1.01, "%", "five", "5%%"])
def test_what_is_no_share_is_refused(wrong: object) -> None:
    """Anything else raises ConfigError that says what is right."""
    with pytest.raises(ConfigError, match='is not a share; write a percentage from "0%" to "100%"'):
        parse_share(wrong)


@given(st.integers(0, 10_000))
def test_exact_shares_come_back(basis_points: int) -> None:
    """`exact_share` gives a percentage that is read as the same number."""
    share = parse_share(f"{basis_points / 100:.2f}%")
    assert exact_share(share).endswith("%")
    assert parse_share(exact_share(share)) == share
