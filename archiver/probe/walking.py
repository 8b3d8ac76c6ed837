"""A walk over a file's elements while it streams by: skip, enter or keep each of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

TO_THE_END = 1 << 62
"""Where an element ends whose length is not told: wherever the file ends."""

ENTER = -1
"""What `Walker._visit` returns for an element whose children come next."""

SKIP = 0
"""What `Walker._visit` returns for an element of no interest."""


@dataclass(frozen=True, slots=True)
class Element:
    """The header of one element.

    Attributes:
        kind: Its type or id, as it stands in the file.
        at: Where its header begins.
        header_bytes: How long the header is.
        end: Where the element ends; `TO_THE_END` if its length is not told.
    """

    kind: bytes
    at: int
    header_bytes: int
    end: int

    @property
    def body_at(self) -> int:
        """Where its content begins."""
        return self.at + self.header_bytes


class Walker(ABC):
    """Follows the chain of element headers through chunks of any size.

    It looks at headers and at what it was told to keep, and at no other byte: its cost does not
    depend on how large the elements are. It never raises: where the chain breaks it stops and says
    where.

    Attributes:
        next_at: Where the next header begins, which is where all elements met so far end.
        stopped_at: Where the chain broke, or was of no interest any more; `None` while it goes on.
        last: The element met last.
    """

    header_bytes: ClassVar[int]
    """The longest header of this format."""

    max_elements: ClassVar[int] = 400_000
    """After so many it stops: more are in no real file, and cost time."""

    def __init__(self) -> None:
        self.next_at = 0
        self.stopped_at: int | None = None
        self.last: Element | None = None
        self._met = 0
        self._partial = b""
        self._kept = bytearray()
        self._keep_left = 0
        self._keep_from = 0

    def is_beyond(self, offset: int) -> bool:
        """Whether an element is under way that says it ends behind an offset."""
        return self.stopped_at is None and offset < self.next_at < TO_THE_END

    @property
    def partial(self) -> bytes:
        """The beginning of a header whose rest has not come."""
        return self._partial

    def feed(self, view: memoryview, at: int) -> None:
        """Take the file's next bytes, which begin at offset `at`."""
        end = at + len(view)
        while self.stopped_at is None:
            if self._keep_left and not self._keep_more(view, at):
                return
            start = self.next_at + len(self._partial)
            if start >= end:
                return
            wanted = self.header_bytes - len(self._partial)
            header = self._partial + bytes(view[start - at : start - at + wanted])
            self._partial = b""
            element = self._parse(header, self.next_at)
            if element is not None:
                self._meet(element, header)
            elif self.stopped_at is None:
                self._partial = header
                if len(header) >= self.header_bytes:
                    self._stop()

    def _meet(self, element: Element, header: bytes) -> None:
        self.last = element
        self._met += 1
        keep = self._visit(element)
        if self.stopped_at is not None or self._met > self.max_elements:
            self._stop()
            return
        self.next_at = element.body_at if keep == ENTER else element.end
        if keep > 0:
            self._kept += header[: element.header_bytes]
            self._keep_left = min(keep, element.end - element.body_at)
            self._keep_from = element.body_at
            if not self._keep_left:
                self._take_kept()

    def _keep_more(self, view: memoryview, at: int) -> bool:
        start = self._keep_from - at
        part = view[start : start + self._keep_left] if start < len(view) else view[:0]
        self._kept += part
        self._keep_from += len(part)
        self._keep_left -= len(part)
        if self._keep_left:
            return False
        self._take_kept()
        return True

    def _take_kept(self) -> None:
        data = bytes(self._kept)
        self._kept = bytearray()
        if self.last is not None:
            self._keep(self.last, data)

    def _stop(self) -> None:
        self.stopped_at = self.next_at

    @abstractmethod
    def _parse(self, header: bytes, at: int) -> Element | None:
        """Read a header from up to `header_bytes` bytes; `None` if more are needed.

        A header that can never be right is told by `_stop`.
        """

    @abstractmethod
    def _visit(self, element: Element) -> int:
        """Decide: `SKIP`, `ENTER`, or how many bytes of the content to keep."""

    @abstractmethod
    def _keep(self, element: Element, data: bytes) -> None:
        """Take the kept bytes: the whole header and the beginning of the content."""
