"""How often a request is tried, what ends the attempts, and how long the pauses are."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import (
    ArchiverError,
    DeadLinkError,
    PassingError,
    ProviderError,
    RateLimitedError,
    StoppedError,
    StoreError,
)
from archiver.transport.retry import SPREAD_S, Retries, pause_caps
from tests.transportrig import HastyClock


def run(clock: HastyClock, *faults: BaseException | None, attempts: int = 6) -> int:
    """Play one request whose attempts end in these faults; return how many were made."""
    made = 0
    for attempt in Retries(clock=clock, rng=random.Random(7), max_attempts=attempts).attempts():
        with attempt:
            made += 1
            fault = faults[min(made, len(faults)) - 1]
            if fault is not None:
                raise fault
            break
    return made


def test_success_ends_the_attempts() -> None:
    """One that succeeds is the last, without a pause."""
    clock = HastyClock()
    assert run(clock, None) == 1
    assert run(clock, PassingError("x"), PassingError("x"), None) == 3
    assert len(clock.slept) == 2


@pytest.mark.parametrize("attempts", [0, 1, 2, 6])
def test_the_last_fault_is_raised(attempts: int) -> None:
    """After `max_attempts` the last passing fault comes out as it is; at least one is made."""
    clock = HastyClock()
    faults = [PassingError(str(number)) for number in range(10)]
    with pytest.raises(PassingError) as caught:
        run(clock, *faults, attempts=attempts)
    assert caught.value is faults[max(attempts, 1) - 1]
    assert len(clock.slept) == max(attempts, 1) - 1


@pytest.mark.parametrize(
    "fault",
    [
        DeadLinkError("x"),
        ProviderError("x"),
        StoreError("x"),
        StoppedError("x"),
        ArchiverError("x"),
        ValueError("x"),
        KeyboardInterrupt(),
        RateLimitedError("x", retry_after_s=300.5),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_what_time_does_not_mend_is_raised_at_once(fault: BaseException) -> None:
    """Only a passing fault is tried again, and none whose pause is over five minutes."""
    clock = HastyClock()
    with pytest.raises(type(fault)) as caught:
        run(clock, fault)
    assert caught.value is fault
    assert clock.slept == []


def test_a_paused_host_is_not_waited_for_twice() -> None:
    """The pause of the host is all the pause there is."""
    clock = HastyClock()
    with suppress(RateLimitedError):
        run(clock, RateLimitedError("x", retry_after_s=20))
    assert set(clock.slept) == {0.0}


@given(st.integers(1, 200), st.integers())
def test_the_attempts_of_one_request_are_close_together(attempts: int, seed: int) -> None:
    """However many there are, their pauses add up to at most thirty seconds."""
    caps = pause_caps(attempts)
    assert len(caps) == attempts - 1
    assert sum(caps) <= SPREAD_S + 1e-9
    assert list(caps) == sorted(caps)
    clock = HastyClock()
    with suppress(PassingError):
        run(clock, PassingError("x"), attempts=attempts)
    assert all(0 <= slept <= cap + 1e-9 for slept, cap in zip(clock.slept, caps, strict=False))


def test_the_pauses_are_random() -> None:
    """Workers that failed together do not come back together."""
    caps = pause_caps(6)
    assert caps == (1, 2, 4, 8, 8)
    slept = []
    for seed in range(50):
        clock = HastyClock()
        retries = Retries(clock=clock, rng=random.Random(seed), max_attempts=2)
        with suppress(PassingError):
            for attempt in retries.attempts():
                with attempt:
                    raise PassingError("x")
        slept += clock.slept
    assert min(slept) < 0.2
    assert max(slept) > 0.8


def test_a_stop_ends_the_pause() -> None:
    """A run that is told to stop makes no further attempt."""
    clock = HastyClock()
    clock.stop("enough")
    with pytest.raises(StoppedError):
        run(clock, PassingError("x"))


def test_attempts_may_be_nested() -> None:
    """One request may need another (a renewed link) without losing its own count."""
    retries = Retries(clock=HastyClock(), rng=random.Random(7), max_attempts=3)
    made = []
    with suppress(PassingError):
        for outer in retries.attempts():
            with outer:
                for inner in retries.attempts():
                    with inner:
                        made.append("inner")
                        raise PassingError("x")
    assert len(made) == 9
