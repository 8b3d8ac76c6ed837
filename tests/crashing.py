"""A command line whose decoder dies of marked files, for the tests of what survives that.

Use: `python -c "from tests.crashing import main; main()" SIGNAL MARK CONFIG TASK …`; a file with
the bytes MARK in it is fatal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from archiver import load_config
from archiver.app import open_session
from archiver.bulk import archive
from archiver.contracts import Gathered, Peek
from archiver.model import MediaInfo, Role, TaskRef
from archiver.probe import MediaProber
from archiver.probe.gathering import GatheredMedia
from archiver.runner import Limits


class CrashingProber(MediaProber):
    """Dies as a library does that writes where it must not."""

    def __init__(self, mark: bytes, number: int) -> None:
        super().__init__()
        self._mark = mark
        self._number = number

    def __reduce__(self) -> tuple[type[CrashingProber], tuple[bytes, int]]:  # type: ignore[override]
        return CrashingProber, (self._mark, self._number)

    def probe(self, gathered: Gathered, *, role: Role, peek: Peek | None = None) -> MediaInfo:
        assert isinstance(gathered, GatheredMedia)
        if self._mark in gathered.whole:
            # To this thread, as a fault of its own would be: it does not get any further.
            signal.pthread_kill(threading.get_ident(), self._number)
        return super().probe(gathered, role=role, peek=peek)


def main() -> None:
    """Archive tasks of the source `luma`; leave with the exit code."""
    number, mark, path, *tasks = sys.argv[1:]
    config = load_config(Path(path))
    prober = CrashingProber(bytes.fromhex(mark), int(number))
    with open_session(config, environ=os.environ, prober=prober) as session:
        refs = [TaskRef(source="luma", task_id=task) for task in tasks]
        result = archive(session, refs, workers=config.download.workers, limits=Limits())
    sys.exit(int(result.exit_code))
