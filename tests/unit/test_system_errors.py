"""What an error of the operating system means."""

from __future__ import annotations

import errno

import pytest

from archiver.errors import StoreError, StoreFullError, machine_fault, system_error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_room(number: int) -> None:
    """A full disk and a used-up quota say what to do."""
    told = system_error(OSError(number, "x"), "the report cannot be written")
    assert isinstance(told, StoreFullError)
    assert told.message.startswith("the report cannot be written: ")
    assert "free some space" in told.message


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EMFILE, errno.EACCES])
def test_other_faults(number: int) -> None:
    """A broken or closed disk and used-up limits are faults of the store, not bugs."""
    told = system_error(OSError(number, "x"), "state_dir cannot be used", code="state_unusable")
    assert type(told) is StoreError
    assert told.code == "state_unusable"
    assert isinstance(machine_fault(OSError(number, "x")), StoreError)


def test_bugs_stay_bugs() -> None:
    """A file that we expected and is not there is our own mistake."""
    for error in (FileNotFoundError(errno.ENOENT, "x"), ValueError("x"), OSError("x"), None):
        assert machine_fault(error) is None


def test_a_part_that_cannot_be_loaded() -> None:
    """What is imported where it is used needs a free file descriptor."""
    told = machine_fault(ImportError("x", name="av"))
    assert told is not None
    assert "(av)" in told.message
