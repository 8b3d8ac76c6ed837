"""What is being fetched just now, in a file that outlives the process.

A media library can crash on a file and take the process with it. What was in flight then is read
from this file by the next run; what was in flight in two runs that died is probed apart. Writing it
costs two small writes a task and no sync: it need only survive the process, not the machine.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from archiver.errors import system_error
from archiver.model import TaskRef

SUSPECT_AFTER_DEATHS = 2
_SLOT_BYTES = 4096
_MOST_BYTES = 4 << 20
_FREE = b"\n"


class Flights:
    """The tasks in flight, one file for each source; safe from several threads.

    It does nothing for a source that is not `opened` (a dry run).

    Attributes:
        deaths: In how many runs that died each task was in flight; set once, before work begins.
    """

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "locks"
        self._files: dict[str, _Slots] = {}
        self.deaths: Mapping[TaskRef, int] = {}

    def is_suspect(self, ref: TaskRef) -> bool:
        """Whether a task's files may crash whoever decodes them."""
        return self.deaths.get(ref, 0) >= SUSPECT_AFTER_DEATHS

    @contextmanager
    def opened(self, sources: Collection[str]) -> Iterator[list[TaskRef]]:
        """Open the files of these sources; yield what runs that died left in them.

        The caller holds the sources' locks, and calls `begin` once it took note of what was left.

        Raises:
            StoreError: `state_dir` cannot be used.
        """
        left: list[TaskRef] = []
        try:
            for source in sorted(sources):
                with _errors(self._folder):
                    slots = self._files[source] = _Slots(self._folder / f"{source}.in-flight")
                    left += [TaskRef(source=source, task_id=found) for found in slots.left()]
            yield left
        finally:
            for source in sources:
                if (opened := self._files.pop(source, None)) is not None:
                    opened.close()

    def begin(self) -> None:
        """Forget what was left: from now on the files tell of this run."""
        with _errors(self._folder):
            for slots in self._files.values():
                slots.clear()

    @contextmanager
    def holding(self, ref: TaskRef) -> Iterator[None]:
        """Have a task in the file while the block runs."""
        slots = self._files.get(ref.source)
        if slots is None:
            yield
            return
        with _errors(self._folder):
            number = slots.take(ref.task_id)
        try:
            yield
        finally:
            with _errors(self._folder):
                slots.give_back(number)


class _Slots:
    """A file of equal slots, each empty or with one id in JSON."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._used = 0
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def left(self) -> list[str]:
        data = os.pread(self._handle, _MOST_BYTES, 0)
        found = []
        for start in range(0, len(data), _SLOT_BYTES):
            line = data[start : start + _SLOT_BYTES].partition(b"\n")[0]
            try:
                value = json.loads(line)
            except ValueError:
                continue  # empty, or written in part by a process that died
            if isinstance(value, str):
                found.append(value)
        return found

    def clear(self) -> None:
        os.ftruncate(self._handle, 0)

    def take(self, task_id: str) -> int:
        with self._lock:
            if self._free:
                number = self._free.pop()
            else:
                number = self._used
                self._used += 1
        line = json.dumps(task_id).encode() + b"\n"
        if len(line) <= _SLOT_BYTES:  # no request can carry a longer id
            os.pwrite(self._handle, line, number * _SLOT_BYTES)
        return number

    def give_back(self, number: int) -> None:
        os.pwrite(self._handle, _FREE, number * _SLOT_BYTES)
        with self._lock:
            self._free.append(number)

    def close(self) -> None:
        os.close(self._handle)


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{folder} cannot be written"
        raise system_error(error, what, code="state_unusable") from error
