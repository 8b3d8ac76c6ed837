"""What is kept of a file while it streams by."""

from __future__ import annotations

import threading

from archiver.contracts import Peek, Sniffed
from archiver.probe.boxwalk import BoxWalker
from archiver.probe.known import KnownBytes
from archiver.probe.matroska import MatroskaWalker
from archiver.probe.riff import RiffWalker
from archiver.probe.sniffing import sniff
from archiver.probe.streams import FlvWalker
from archiver.probe.walking import Walker

SNIFFED_BYTES = 64 << 10
HEAD_BYTES = 2 << 20
TAIL_BYTES = 256 << 10
PICTURE_BYTES = 64 << 20
LARGE_BYTES = 6 << 20
LARGE_PICTURES = 4
_WALKERS: dict[str, type[Walker]] = {
    **dict.fromkeys(
        ("mp4", "m4v", "mov", "m4a", "m4b", "3gp", "3g2", "avif", "heic", "heif", "jxl"), BoxWalker
    ),
    **dict.fromkeys(("webm", "mkv"), MatroskaWalker),
    **dict.fromkeys(("wav", "avi", "webp"), RiffWalker),
    "flv": FlvWalker,
}


class Room:
    """Who may hold a large picture just now, so that memory does not grow with the workers.

    Beyond the head that every file may keep, a few hold up to 6 MiB, and one of them more. The
    others wait, which their servers see as a slow reader. Nobody waits for what comes before what
    it has, so somebody always gets on.
    """

    def __init__(self) -> None:
        self.turns = (
            (HEAD_BYTES, threading.BoundedSemaphore(LARGE_PICTURES)),
            (LARGE_BYTES, threading.BoundedSemaphore(1)),
        )


class GatheredMedia:
    """The head, the tail, and what a walk over the structure found; pictures whole.

    Holds at most 2 MiB of head, 1 MiB of tail and 8 MiB of index; of a picture 64 MiB. It can be
    pickled, so that the judging may happen in another process.

    Args:
        room: Shared by all that are gathered at the same time; `None`: this one is alone.

    Attributes:
        size_bytes: How many bytes came.
    """

    def __init__(self, room: Room | None = None) -> None:
        self.size_bytes = 0
        self._room = room
        self._held: list[threading.BoundedSemaphore] = []
        self._head = bytearray()
        self._head_limit = HEAD_BYTES
        self._tail = bytearray()
        self._sniffed: Sniffed | None = None
        self._begun = False
        self._walker: Walker | None = None

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises nothing."""
        view = memoryview(chunk).cast("B")
        if not view:
            return
        at = self.size_bytes
        self.size_bytes += len(view)
        if not self._begun and self.size_bytes >= SNIFFED_BYTES:
            self._begin(bytes(self._head) + bytes(view[: SNIFFED_BYTES - at]))
            if self._walker is not None:
                self._walker.feed(memoryview(bytes(self._head)), 0)
        room = self._head_limit - len(self._head)
        if room > 0:
            self._wait_for_room(len(self._head) + min(room, len(view)))
            self._head += view[:room]
        if room < len(view):
            self._outgrow(view[max(0, room) :])
        if self._walker is not None:
            self._walker.feed(view, at)

    def _wait_for_room(self, size_bytes: int) -> None:
        turns = self._room.turns if self._room is not None else ()
        for limit, turn in turns[len(self._held) :]:
            if size_bytes <= limit:
                return
            turn.acquire()
            self._held.append(turn)

    def release(self) -> None:
        """Let others hold large pictures: this one is judged, or given up."""
        while self._held:
            self._held.pop().release()

    def __del__(self) -> None:
        """Release, whoever forgot to."""
        self.release()

    def __getstate__(self) -> dict[str, object]:
        """A copy for another process has a room of its own."""
        return {**self.__dict__, "_room": None, "_held": []}

    def _begin(self, head: bytes) -> None:
        self._begun = True
        self._sniffed = sniff(head)
        if self._sniffed is None:
            return
        if self._sniffed.kind == "image":
            self._head_limit = PICTURE_BYTES
        walker = _WALKERS.get(self._sniffed.extension)
        self._walker = walker() if walker is not None else None

    def _outgrow(self, rest: memoryview) -> None:
        """Keep the last of what did not fit the head; the head of a huge picture shrinks again.

        While the structure says that much more is to come, nothing can be the last.
        """
        if self._head_limit > HEAD_BYTES:
            self._head_limit = HEAD_BYTES
            self._tail += self._head[-TAIL_BYTES:]
            del self._head[HEAD_BYTES:]
            self.release()
        # Other formats may say more than there is, as a sound file does that was written to a pipe.
        walker = self._walker
        if isinstance(walker, BoxWalker) and walker.is_beyond(self.size_bytes + TAIL_BYTES):
            self._tail.clear()
            return
        if len(rest) >= TAIL_BYTES:
            self._tail[:] = rest[-TAIL_BYTES:]
            return
        self._tail += rest
        if len(self._tail) > 4 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]

    def _finish(self) -> None:
        """Begin on a file that ended before there was enough to begin."""
        if not self._begun:
            self._begin(bytes(self._head))
            if self._walker is not None:
                self._walker.feed(memoryview(bytes(self._head)), 0)

    @property
    def sniffed(self) -> Sniffed | None:
        """What the first bytes say."""
        self._finish()
        return self._sniffed

    @property
    def walker(self) -> Walker | None:
        """The walk over the file's structure, for formats that have one."""
        self._finish()
        return self._walker

    @property
    def head(self) -> bytes:
        """The first 64 KiB."""
        return bytes(self._head[:SNIFFED_BYTES])

    @property
    def is_whole(self) -> bool:
        """Whether every byte was kept."""
        return len(self._head) == self.size_bytes

    @property
    def whole(self) -> bytearray:
        """Every byte, if `is_whole`: not a copy, since it may be 64 MiB."""
        return self._head

    def known(self, peek: Peek | None) -> KnownBytes:
        """Return what is at hand, kept or to be read back."""
        pieces: list[tuple[int, bytes | bytearray]] = [(0, self._head)]
        if not self.is_whole:
            pieces.append((self.size_bytes - len(self._tail), self._tail))
        walker = self.walker
        if (
            isinstance(walker, BoxWalker)
            and walker.moov is not None
            and walker.moov_box is not None
        ):
            pieces.append((walker.moov_box.at, walker.moov))
        return KnownBytes(self.size_bytes, pieces, peek)
