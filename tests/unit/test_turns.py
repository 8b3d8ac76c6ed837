"""Taking turns: one at a time, to the end of a piece of work, and nobody for ever."""

from __future__ import annotations

import threading

import pytest

from archiver.errors import StoppedError
from archiver.turns import Turns


def never() -> None:
    """A run that nobody stops."""


def test_one_has_the_turn_until_its_piece_ends() -> None:
    turns = Turns()
    order: list[str] = []
    begun, may_end = threading.Event(), threading.Event()

    def first() -> None:
        with turns.piece():
            turns.take(never)
            turns.take(never)  # it has it
            with turns.piece():
                assert turns.has_turn
            assert turns.has_turn
            begun.set()
            may_end.wait(5)
            order.append("first")

    def second() -> None:
        with turns.piece():
            turns.take(never)
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert begun.wait(5)
    threads[1].start()
    threads[1].join(0.3)
    assert threads[1].is_alive()
    may_end.set()
    for thread in threads:
        thread.join(5)
    assert order == ["first", "second"]
    assert not turns.has_turn


def test_outside_of_a_piece_nobody_waits() -> None:
    """Discovery and commands have no end of a piece, so that they could not give a turn back."""
    turns = Turns()
    turns.take(never)
    assert not turns.has_turn
    with turns.piece():
        turns.take(never)
        other = threading.Thread(target=turns.take, args=(never,))
        other.start()
        other.join(5)
        assert not other.is_alive()


def test_a_fault_gives_the_turn_back() -> None:
    turns = Turns()

    def fail() -> None:
        with turns.piece():
            turns.take(never)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with turns.piece():
        turns.take(never)
        assert turns.has_turn


def test_a_stopped_run_ends_the_waiting() -> None:
    turns = Turns()
    found: list[BaseException] = []

    def stopped() -> None:
        raise StoppedError("stopped by SIGTERM")

    def waiting() -> None:
        try:
            with turns.piece():
                turns.take(stopped)
        except StoppedError as error:
            found.append(error)

    with turns.piece():
        turns.take(never)
        thread = threading.Thread(target=waiting)
        thread.start()
        thread.join(5)
    assert len(found) == 1


def test_nobody_waits_for_ever() -> None:
    """Who has the turn may wait for something that the other holds: the other goes on without."""
    turns = Turns(longest_wait_s=0.4)
    went_on: list[bool] = []

    def waiting() -> None:
        with turns.piece():
            turns.take(never)
            went_on.append(turns.has_turn)

    with turns.piece():
        turns.take(never)
        thread = threading.Thread(target=waiting)
        thread.start()
        thread.join(5)
        assert turns.has_turn
    assert went_on == [False]
