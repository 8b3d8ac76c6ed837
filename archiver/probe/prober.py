"""The prober: what bytes are, by their own structure and by decoding them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, BinaryIO

from archiver.contracts import Gathered, Peek, Sniffed
from archiver.errors import NotMediaError
from archiver.model import MediaInfo, Role
from archiver.probe.gathering import SNIFFED_BYTES, GatheredMedia, Room
from archiver.probe.known import KnownBytes, SparseFile
from archiver.probe.mislabelled import looks_like
from archiver.probe.sniffing import sniff
from archiver.probe.stills import judge_picture
from archiver.probe.timed import judge_timed
from archiver.probe.words import judge_text

if TYPE_CHECKING:
    from archiver.probe.pillow_decoder import PillowDecoder

_PICTURES = frozenset((Role.IMAGE, Role.THUMBNAIL, Role.LAST_FRAME))
_CHUNK_BYTES = 1 << 20


class MediaProber:
    """Tells what bytes are (`contracts.Prober`). Many threads may use one at once.

    Pillow and FFmpeg are imported when the first file needs them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pillow: PillowDecoder | None = None
        self._room = Room()

    def __reduce__(self) -> tuple[type[MediaProber], tuple[()]]:
        """A copy for another process has its own locks."""
        return type(self), ()

    def sniff(self, head: bytes) -> Sniffed | None:
        """Tell from the first (up to 64 KiB of) bytes; `None`: nothing that is known as media."""
        return sniff(head[:SNIFFED_BYTES])

    def gather(self) -> GatheredMedia:
        """Begin to gather one file."""
        return GatheredMedia(self._room)

    def probe(self, gathered: Gathered, *, role: Role, peek: Peek | None = None) -> MediaInfo:
        """Judge a whole file from what was gathered (and from `peek`, where the store can).

        Args:
            gathered: Made by `gather`, fed with the whole file.
            role: What was asked for.
            peek: Reads bytes back that were not kept.

        Raises:
            TruncatedError: Its own structure says that bytes are missing.
            NotMediaError: `empty`, `not_media`, `wrong_kind` or `undecodable`.
            TooLargeError: More pixels than any honest picture or video has.
        """
        return self._judge(gathered, role, peek, everything=False)

    def _judge(
        self, gathered: Gathered, role: Role, peek: Peek | None, *, everything: bool
    ) -> MediaInfo:
        if not isinstance(gathered, GatheredMedia):
            raise TypeError("`gathered` must come from this prober's `gather`")
        if not gathered.size_bytes:
            raise NotMediaError("The file is empty.", code="empty")
        sniffed, known = gathered.sniffed, gathered.known(peek)
        if role is Role.TEXT:
            return judge_text(gathered, known, sniffed)
        if sniffed is None:
            raise NotMediaError(f"The file is no media: it looks like {looks_like(gathered.head)}.")
        if (sniffed.kind == "image") != (role in _PICTURES):
            raise _wrong_kind(role, sniffed.media_type)
        if sniffed.kind == "image":
            return judge_picture(gathered, known, sniffed, self._decoder(), everything=everything)
        info, has_audio = judge_timed(gathered, known, sniffed)
        if (role is Role.VIDEO and info.kind != "video") or (role is Role.AUDIO and not has_audio):
            raise _wrong_kind(role, f"{info.media_type}, {info.kind} only")
        return info

    def decode(self, file: BinaryIO, *, role: Role) -> None:
        """Decode every frame or sample (`verify --decode`).

        Args:
            file: Seekable; read from its start.
            role: What it is kept as.

        Raises:
            TruncatedError: Bytes are missing.
            NotMediaError: It does not decode to the end, or is of another kind.
            TooLargeError: More pixels than any honest picture or video has.
        """

        def peek(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        gathered = self.gather()
        file.seek(0)
        try:
            while chunk := file.read(_CHUNK_BYTES):
                gathered.feed(chunk)
            self._judge(gathered, role, peek, everything=True)
        finally:
            gathered.release()
        sniffed = gathered.sniffed
        if role is Role.TEXT or sniffed is None or sniffed.kind == "image":
            return
        from archiver.probe.ffmpeg_decoder import decode_all

        source = SparseFile(KnownBytes(gathered.size_bytes, [], peek))
        try:
            decode_all(source, sniffed)
        finally:
            source.check()

    def _decoder(self) -> PillowDecoder:
        from archiver.probe.pillow_decoder import PillowDecoder

        with self._lock:
            if self._pillow is None:
                self._pillow = PillowDecoder()
            return self._pillow


def _wrong_kind(role: Role, found: str) -> NotMediaError:
    words = {Role.VIDEO: "A video", Role.AUDIO: "Sound"}.get(role, "A picture")
    return NotMediaError(f"{words} was asked for; the file is {found}.", code="wrong_kind")
