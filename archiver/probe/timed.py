"""Judging video and sound: whole by its own structure, then its first frame decoded by FFmpeg."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archiver.contracts import Sniffed
from archiver.errors import NotMediaError, TruncatedError
from archiver.model import MediaInfo
from archiver.probe.boxes import damaged
from archiver.probe.boxwalk import BoxWalker
from archiver.probe.flac import examine_flac
from archiver.probe.frames import adts_frame, check_mp3, check_row, mpeg_frame
from archiver.probe.gathering import TAIL_BYTES, GatheredMedia
from archiver.probe.known import KnownBytes, SparseFile
from archiver.probe.matroska import MatroskaWalker, examine_matroska
from archiver.probe.mp4 import examine_movie
from archiver.probe.riff import RiffWalker, check_riff, examine_wave
from archiver.probe.sniffing import id3_size
from archiver.probe.streams import FlvWalker, check_ogg, check_transport_stream, examine_flv
from archiver.probe.structure import Structure

if TYPE_CHECKING:
    from archiver.probe.ffmpeg_decoder import Streams

_MAX_TAGS = 100
_ONLY_SOUND = {
    "mp4": ("audio/mp4", "m4a"),
    "m4v": ("audio/mp4", "m4a"),
    "webm": ("audio/webm", "webm"),
    "mkv": ("audio/matroska", "mka"),
    "ogv": ("audio/ogg", "ogg"),
    "3gp": ("audio/3gpp", "3gp"),
    "3g2": ("audio/3gpp2", "3g2"),
}
_WITH_PICTURES = {
    "m4a": ("video/mp4", "mp4"),
    "m4b": ("video/mp4", "mp4"),
    "ogg": ("video/ogg", "ogv"),
    "opus": ("video/ogg", "ogv"),
}


def judge_timed(
    gathered: GatheredMedia, known: KnownBytes, sniffed: Sniffed
) -> tuple[MediaInfo, bool]:
    """Judge video or sound.

    Returns:
        What it is, and whether there is sound in it.

    Raises:
        TruncatedError: Its own structure says that bytes are missing.
        NotMediaError: Its first frame cannot be decoded, although its bytes are at hand.
        TooLargeError: Its pictures are larger than any real video's.
    """
    structure = _examine(gathered, known, sniffed)
    structure.check_frame()
    streams = _look(known, sniffed, structure)
    codec = (streams.codec if streams else None) or structure.codec
    if streams is not None and codec is None:
        raise damaged("its codec is unknown")
    guess = sniffed.kind == "video" if structure.has_video is None else structure.has_video
    has_video = streams.has_video if streams else guess
    media_type, extension = (_WITH_PICTURES if has_video else _ONLY_SOUND).get(
        sniffed.extension, (sniffed.media_type, sniffed.extension)
    )
    decoded = streams is not None and streams.width_px is not None
    info = MediaInfo(
        kind="video" if has_video else "audio",
        media_type=media_type,
        extension=extension,
        width_px=streams.width_px if streams and decoded else structure.width_px,
        height_px=streams.height_px if streams and decoded else structure.height_px,
        duration_s=_rounded(_duration_s(structure, streams)),
        codec=codec,
        frame_rate=_rounded(structure.frame_rate or (streams.frame_rate if streams else None))
        if has_video
        else None,
    )
    return info, streams.has_audio if streams else structure.has_audio is not False


def _duration_s(structure: Structure, streams: Streams | None) -> float | None:
    if structure.duration_s or streams is None or not structure.duration_told:
        return structure.duration_s
    return streams.duration_s


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if value is not None else None


def _look(known: KnownBytes, sniffed: Sniffed, structure: Structure) -> Streams | None:
    """Let FFmpeg look; `None`: bytes are missing, or too many, and the structure decides alone."""
    if structure.costly:
        return None
    from archiver.probe.ffmpeg_decoder import look

    file = SparseFile(known)
    try:
        streams = look(file, sniffed, quarter_turn=structure.quarter_turn)
    except NotMediaError:
        file.check()
        if file.missed:
            return None
        raise
    file.check()
    return streams


def _examine(gathered: GatheredMedia, known: KnownBytes, sniffed: Sniffed) -> Structure:
    walker, size_bytes = gathered.walker, known.size_bytes
    if isinstance(walker, BoxWalker):
        return examine_movie(walker, known)
    if isinstance(walker, MatroskaWalker):
        return examine_matroska(walker, size_bytes)
    if isinstance(walker, FlvWalker):
        return examine_flv(walker, size_bytes)
    if isinstance(walker, RiffWalker):
        if sniffed.extension == "wav":
            return examine_wave(walker, size_bytes)
        check_riff(walker, size_bytes)
        # Written to a pipe, an AVI file says 0 for all that is known only at its end.
        return Structure(duration_told=walker.outer_end > 0)
    return _examine_row(known, sniffed.extension)


def _examine_row(known: KnownBytes, extension: str) -> Structure:
    """Check formats without a chain of sizes: by their end."""
    tail_at = max(0, known.size_bytes - TAIL_BYTES)
    tail = known.read(tail_at, TAIL_BYTES)
    if extension in ("ogg", "ogv", "opus"):
        check_ogg(tail, known.size_bytes)
    elif extension == "ts":
        check_transport_stream(known.size_bytes)
    elif extension in ("mp3", "aac", "flac"):
        begin = _behind_tags(known)
        head = known.read(begin, 4096)
        if extension == "flac":
            return examine_flac(head, tail, whole=not tail_at)
        if extension == "aac":
            check_row(tail, tail_at, adts_frame, 7)
        elif not check_mp3(head, begin, known.size_bytes):
            check_row(tail, tail_at, mpeg_frame, 4)
    return Structure()


def _behind_tags(known: KnownBytes) -> int:
    """Return where the sound begins, after ID3 tags.

    Raises:
        TruncatedError: The file ends before it.
    """
    at = 0
    for _ in range(_MAX_TAGS):
        size = id3_size(known.read(at, 10))
        if not size:
            break
        at += size
        if at >= known.size_bytes:
            raise TruncatedError(
                f"The file is cut: its tag goes up to byte {at}, the file ends at"
                f" {known.size_bytes}."
            )
    return at
