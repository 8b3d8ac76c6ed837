"""Inboxes: files to which the user's own application appends ids; read from where left off.

The user's file is never changed. How far it was read is in the catalog, with what shows that it is
still the same file: a rotated, truncated or rewritten one is read from its beginning. A last line
without its end is left for the next run, which reads it if the file is still the same then.
"""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from archiver.catalog import InboxPlace
from archiver.errors import UsageError
from archiver.inputs import Naming, refs_of_lines
from archiver.model import TaskRef
from archiver.redaction import printable

LONGEST_LINE = 1 << 20
_SAMPLE = 4096
_FORMS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def inbox_files(patterns: tuple[str, ...]) -> list[Path]:
    """Return the files that patterns name; of a folder, the saved bodies in it."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        for name in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 (absolute)
            path = Path(name)
            inner = sorted(path.glob("*.json")) if path.is_dir() else [path]
            found.update(dict.fromkeys(inner))
    return list(found)


def is_body(path: Path) -> bool:
    """Whether an inbox's file is a saved body and no list of ids."""
    return path.suffix.lower() == ".json"


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that names no task: where, and why."""

    where: str
    words: str


class InboxFile:
    """One pass over one file.

    Args:
        place: How far it was read before.
        naming: Turns lines into references.

    Attributes:
        bad: The lines that named nothing, the first hundred.
        bad_lines: How many there were.
        place: How far it is read now; complete once `refs` has ended.
    """

    def __init__(self, path: Path, place: InboxPlace | None, naming: Naming) -> None:
        self._path = path
        self._before = place
        self._naming = naming
        self._form = _FORMS.get(path.suffix.lower(), "txt")
        self._header = ""
        self.bad: list[BadLine] = []
        self.bad_lines = 0
        self.place = place

    @property
    def is_news(self) -> bool:
        """Whether this pass came further, or saw another file, than the one before."""
        return self.place != self._before

    def refs(self) -> Iterator[TaskRef]:
        """Yield the tasks of the lines that were not read before.

        Raises:
            OSError: It cannot be read.
        """
        with _opened(self._path) as file:
            known = os.fstat(file.fileno())
            start = self._start(file, known)
            is_same = start == self._before
            self.place = start
            if is_same and start.offset_bytes == known.st_size:
                return
            if self._form == "csv" and start.offset_bytes:
                file.seek(0)
                self._header = _decoded(file.readline(LONGEST_LINE))
            file.seek(start.offset_bytes)
            yield from self._lines(file, start, reads_rest=is_same)

    def _start(self, file: BinaryIO, known: os.stat_result) -> InboxPlace:
        """Return where to begin: where the last run stopped if this is still the same file."""
        now = InboxPlace(
            path=str(self._path),
            device=known.st_dev,
            inode=known.st_ino,
            offset_bytes=0,
            lines=0,
            size_bytes=known.st_size,
            modified_ns=known.st_mtime_ns,
            digest=b"",
        )
        before = self._before
        if before is None or (before.device, before.inode) != (now.device, now.inode):
            return now
        offset = before.offset_bytes
        if offset > known.st_size or digest_of(file, offset) != before.digest:
            return now
        return replace(now, offset_bytes=offset, lines=before.lines, digest=before.digest)

    def _lines(self, file: BinaryIO, start: InboxPlace, *, reads_rest: bool) -> Iterator[TaskRef]:
        offset, number = start.offset_bytes, start.lines
        while line := file.readline(LONGEST_LINE):
            is_whole = line.endswith(b"\n")
            if not is_whole and len(line) == LONGEST_LINE:
                is_whole = _skip_line(file)
                self._complain(number + 1, "a line of more than a million bytes")
                line = b""
            elif is_whole or reads_rest:
                yield from self._refs_of(line, number + 1)
            if not is_whole:
                break
            offset, number = file.tell(), number + 1
        digest = digest_of(file, offset)
        self.place = replace(start, offset_bytes=offset, lines=number, digest=digest)

    def _refs_of(self, line: bytes, number: int) -> Iterator[TaskRef]:
        try:
            text = _decoded(line)
            if self._form == "csv" and number == 1:
                self._header = text
            lines = [self._header, text] if self._form == "csv" and number > 1 else [text]
            name = str(self._path)
            try:
                yield from refs_of_lines(lines, self._naming, name=name, form=self._form)
            except UsageError as error:
                words = error.message.removeprefix(f"{printable(name)}:{len(lines)}: ")
                self._complain(number, words)
        except UnicodeDecodeError:
            self._complain(number, "not UTF-8 text")

    def _complain(self, number: int, words: str) -> None:
        self.bad_lines += 1
        if len(self.bad) < 100:
            self.bad.append(BadLine(f"{printable(str(self._path))}:{number}", words))


def digest_of(file: BinaryIO, offset: int) -> bytes:
    """Return a digest of a file's beginning and of what is just before an offset."""
    digest = hashlib.sha256()
    file.seek(0)
    digest.update(file.read(min(_SAMPLE, offset)))
    file.seek(max(0, offset - _SAMPLE))
    digest.update(file.read(min(_SAMPLE, offset)))
    return digest.digest()


def read_body_file(
    path: Path, before: InboxPlace | None, most_bytes: int
) -> tuple[bytes, InboxPlace]:
    """Return a saved body's bytes, empty when they were read before, and what to remember.

    Raises:
        OSError: It cannot be read.
    """
    with _opened(path) as file:
        known = os.fstat(file.fileno())
        place = InboxPlace(
            path=str(path),
            device=known.st_dev,
            inode=known.st_ino,
            offset_bytes=known.st_size,
            lines=0,
            size_bytes=known.st_size,
            modified_ns=known.st_mtime_ns,
            digest=digest_of(file, known.st_size),
        )
        if place == before:
            return b"", place
        file.seek(0)
        return file.read(most_bytes + 1), place


def _opened(path: Path) -> BinaryIO:
    """Open a regular file; nobody waits for the writer of a pipe, not even to see that it is one.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file")
    return os.fdopen(descriptor, "rb")


def _skip_line(file: BinaryIO) -> bool:
    """Go to the end of an overlong line; tell whether it has one."""
    while piece := file.readline(LONGEST_LINE):
        if piece.endswith(b"\n"):
            return True
    return False


def _decoded(line: bytes) -> str:
    return line.decode("utf-8")
