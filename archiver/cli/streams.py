"""Standard streams as they may be: closed, full, read by nobody, unable to show a character."""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper
from typing import TextIO

_EXIT_FULL, _EXIT_UNWRITABLE = 13, 7


def steady() -> None:
    """Make the streams fit to be written to: what cannot be shown is escaped, `None` is nowhere."""
    # A process may be started with streams closed; they live as long as it does.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


_faults: list[OSError] = []


def write(stream: TextIO, text: str, *, flush: bool = False) -> None:
    """Write text. What the stream cannot take costs the work nothing: `end` tells of it.

    When its reader has gone, that is no fault at all.
    """
    try:
        stream.write(text)
        if flush:
            stream.flush()
    except OSError as fault:
        if not isinstance(fault, BrokenPipeError):
            _faults.append(fault)
        silence(stream)


def silence(stream: TextIO) -> None:
    """Let everything that is yet to be written to a stream go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def end(code: int) -> int:
    """Flush what is left; return the exit code, another one when results could not be written."""
    for stream in (sys.stdout, sys.stderr):
        write(stream, "", flush=True)
    if _faults:
        fault = _faults[0]
        write(sys.stderr, f"archiver: the output cannot be written: {fault.strerror}\n", flush=True)
        code = code or (_EXIT_FULL if fault.errno == errno.ENOSPC else _EXIT_UNWRITABLE)
        _faults.clear()
    return code
