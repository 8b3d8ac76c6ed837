"""Probing in a process of its own, for files that may crash the decoder.

The child gets the prober and what was gathered, pickled; it asks back for bytes that were not kept,
and answers with what the prober returned or raised. A child that dies refuses the file.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import BinaryIO

from archiver.contracts import Gathered, Peek, Prober, Sniffed
from archiver.errors import ArchiverError, NotMediaError
from archiver.model import MediaInfo, Role
from archiver.policy import CRASHES_DECODER

_START = (
    "import sys, pickle; sys.path[:] = pickle.load(sys.stdin.buffer);"
    " from archiver.probe.apart import answer; answer()"
)


class ProberApart:
    """A prober (`contracts.Prober`) that judges each file in a new process.

    Args:
        prober: Does the work there; it can be pickled.
    """

    def __init__(self, prober: Prober) -> None:
        self._prober = prober
        self.sniff: Callable[[bytes], Sniffed | None] = prober.sniff
        self.gather: Callable[[], Gathered] = prober.gather

    def probe(self, gathered: Gathered, *, role: Role, peek: Peek | None = None) -> MediaInfo:
        """Judge a whole file; see `contracts.Prober.probe`.

        Raises:
            NotMediaError: `crashes_decoder` when the process died of it.
            ArchiverError: Whatever the prober raised.
        """
        # Nothing of this process but the path of its modules and the file's own bytes goes along.
        with subprocess.Popen(  # noqa: S603  (this interpreter, and a constant)
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child:
            try:
                return self._converse(child, (self._prober, gathered, role), peek)
            except (EOFError, BrokenPipeError):
                status = child.wait()
            except BaseException:
                child.kill()
                raise
        if status >= 0:
            raise RuntimeError(f"the process that probes apart ended with status {status}")
        raise NotMediaError(
            "the file crashes the media library: it was in flight in two runs that died, and the"
            " process that probed it alone died as well",
            code=CRASHES_DECODER,
        )

    @staticmethod
    def _converse(child: subprocess.Popen[bytes], task: object, peek: Peek | None) -> MediaInfo:
        to, back = child.stdin, child.stdout
        if to is None or back is None:
            raise EOFError
        for value in (sys.path, task):
            pickle.dump(value, to)
        to.flush()
        while True:
            word, value = pickle.load(back)  # noqa: S301  (from our own child)
            if word == "peek":
                pickle.dump(peek(*value) if peek is not None else None, to)
                to.flush()
            elif isinstance(value, ArchiverError):
                raise value
            elif isinstance(value, MediaInfo):
                return value
            else:
                raise EOFError

    def decode(self, file: BinaryIO, *, role: Role) -> None:
        """Decode every frame, in this process (`verify --decode`)."""
        self._prober.decode(file, role=role)


def answer() -> None:
    """Be the child: judge one file."""
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    prober, gathered, role = pickle.load(asked)  # noqa: S301  (from our own parent)

    def tell(word: str, value: object) -> None:
        pickle.dump((word, value), told)
        told.flush()

    def peek(offset: int, length: int) -> bytes | None:
        tell("peek", (offset, length))
        found: bytes | None = pickle.load(asked)  # noqa: S301  (from our own parent)
        return found

    try:
        info = prober.probe(gathered, role=role, peek=peek)
    except ArchiverError as error:
        tell("error", error)
    else:
        tell("info", info)
