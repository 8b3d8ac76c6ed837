"""Video and sound through PyAV: the first frame for a probe, all of them for `verify --decode`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import av
import av.error
import av.logging
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.frame import Frame
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from archiver.contracts import Sniffed
from archiver.errors import ArchiverError, NotMediaError, TruncatedError
from archiver.probe.structure import MAX_FRAME_PIXELS, shown_size

_DEMUXERS = {
    **dict.fromkeys(("mp4", "m4v", "mov", "m4a", "m4b", "3gp", "3g2"), "mov"),
    **dict.fromkeys(("webm", "mkv"), "matroska"),
    **dict.fromkeys(("ogg", "ogv", "opus"), "ogg"),
    "avi": "avi", "ts": "mpegts", "flv": "flv", "mp3": "mp3", "aac": "aac", "wav": "wav",
    "flac": "flac",
}  # fmt: skip
_STRICT = frozenset(("mov", "matroska"))
"""Demuxers whose first packet is a whole key frame; others may begin in the middle of things."""

_SKIPPING = frozenset(("ogg", "flac"))
"""Demuxers that leave out damaged parts without a word, of files whose length is exactly known."""

_SLACK_S = 0.1
_COVERS = Disposition.attached_pic | Disposition.timed_thumbnails
_PROBED_BYTES = {"mpegts": 2 << 20, "flv": 2 << 20, "avi": 2 << 20}
"""How far FFmpeg reads to learn what the header of these does not say."""

_MAX_PACKETS = 48
_MAX_STREAMS = 100
_PATIENCE_S = 60.0
_BUFFER_BYTES = 64 << 10
_FAULTS = (
    av.error.FFmpegError, ValueError, EOFError, OSError, LookupError, ArithmeticError, MemoryError,
    RuntimeError,
)  # fmt: skip
"""What PyAV raises on bytes that are wrong."""

# PyAV's default, said once more because a line on stderr would be a mail from cron every night:
# nothing that FFmpeg logs is printed or handed to Python.
av.logging.set_level(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """What FFmpeg finds in a file; `None` where it does not know.

    Attributes:
        width_px: As a player shows it.
        height_px: Likewise.
        codec: Of the first video stream, else of the first audio stream.
    """

    has_video: bool
    has_audio: bool
    width_px: int | None
    height_px: int | None
    duration_s: float | None
    codec: str | None
    frame_rate: float | None


def undecodable(what: str) -> NotMediaError:
    """Return the error for media that cannot be played."""
    return NotMediaError(f"The file cannot be played: {what}.", code="undecodable")


def look(file: io.RawIOBase, sniffed: Sniffed, *, quarter_turn: bool) -> Streams:
    """Read the headers and decode the first frame of the main stream.

    Args:
        file: Seekable.
        sniffed: Chooses the demuxer.
        quarter_turn: What the container says of rotation: FFmpeg loses it in this way of opening.

    Raises:
        NotMediaError: There is no stream, or the first frame cannot be decoded.
    """
    try:
        with _open(file, sniffed, shallow=True) as container:
            video, audio = _main_streams(container)
            main = video or audio
            if main is None:
                raise undecodable("it has neither pictures nor sound")
            frame = _first_frame(container, main, strict=_DEMUXERS[sniffed.extension] in _STRICT)
            return _streams(container, frame, quarter_turn=quarter_turn)
    except ArchiverError:
        raise
    except _FAULTS as error:
        raise undecodable("its first frame is damaged, or its header is") from error


def decode_all(file: io.RawIOBase, sniffed: Sniffed) -> None:
    """Decode every picture and every sound to the end.

    Raises:
        NotMediaError: Something cannot be decoded, or nothing can.
        TruncatedError: The last packet is cut.
    """
    frames, sound_s = 0, 0.0
    try:
        with _open(file, sniffed, shallow=False) as container:
            streams = [stream for stream in _main_streams(container) if stream is not None]
            for stream in streams:
                _limit(stream)
                if isinstance(stream, VideoStream) or sniffed.extension == "flac":
                    stream.codec_context.options |= {"err_detect": "crccheck+explode"}
            for packet in container.demux(streams):
                # A WAV file written to a pipe has a last packet that is shorter than the others.
                if packet.is_corrupt and sniffed.extension != "wav":
                    raise TruncatedError("The file is cut: a packet of media is not whole.")
                for frame in packet.decode():
                    frames += 1
                    if isinstance(frame, Frame) and frame.is_corrupt:
                        raise undecodable(f"frame {frames} is damaged")
                    if isinstance(frame, av.AudioFrame):
                        sound_s += frame.samples / frame.sample_rate
            announced_s = (container.duration or 0) / av.time_base
    except ArchiverError:
        raise
    except _FAULTS as error:
        raise undecodable(f"what follows frame {frames} is damaged") from error
    if not frames:
        raise undecodable("it has no frame at all")
    if _DEMUXERS[sniffed.extension] in _SKIPPING and sound_s and sound_s < announced_s - _SLACK_S:
        raise undecodable(f"of {announced_s:.1f} s of sound {sound_s:.1f} s can be decoded")


def _open(file: io.RawIOBase, sniffed: Sniffed, *, shallow: bool) -> InputContainer:
    """Open a container with one demuxer, which may open nothing else.

    Args:
        file: Seekable.
        sniffed: Chooses the demuxer.
        shallow: Decode nothing yet. `max_pixels` does that, for files whose header tells the rest;
            with others, whose streams appear while they are read, PyAV 15 crashes on any option.

    Source: FFmpeg's documentation of `max_streams`, `probesize`, `max_pixels`.
    """
    demuxer = _DEMUXERS[sniffed.extension]
    return av.open(
        file,
        mode="r",
        format=demuxer,
        options={"max_pixels": "1"} if shallow and demuxer in _STRICT else {},
        container_options={
            "max_streams": str(_MAX_STREAMS),
            "probesize": str(_PROBED_BYTES.get(demuxer, 256 << 10)),
        },
        metadata_errors="replace",
        buffer_size=_BUFFER_BYTES,
        io_open=_refuse,
        timeout=_PATIENCE_S,
    )


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError("A media file may not open other files.")


def _main_streams(container: InputContainer) -> tuple[VideoStream | None, AudioStream | None]:
    """Return the first stream of pictures that is no cover art, and the first of sound."""
    videos = [s for s in container.streams.video if not s.disposition & _COVERS]
    return next(iter(videos), None), next(iter(container.streams.audio), None)


def _limit(stream: VideoStream | AudioStream) -> None:
    if stream.codec_context is None:
        raise undecodable("its codec is unknown")
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}


def _first_frame(
    container: InputContainer, stream: VideoStream | AudioStream, *, strict: bool
) -> av.VideoFrame | av.AudioFrame | None:
    """Decode until a frame comes out; `None` if FFmpeg was built without this codec.

    Raises:
        NotMediaError: None comes out.
    """
    context = stream.codec_context
    if context is None:
        return None
    _limit(stream)
    for number, packet in enumerate(_packets(container, stream)):
        try:
            frames = context.decode(packet)
            if not frames and not number and isinstance(stream, VideoStream):
                # A decoder that reorders gives its first picture only when it is flushed.
                frames = context.decode(None)
                if not frames:
                    context.flush_buffers()
                    frames = context.decode(packet)
        except av.error.InvalidDataError:
            if strict:
                raise
            continue
        if frames:
            if frames[0].is_corrupt:
                raise undecodable("its first frame is damaged")
            return frames[0]
    try:
        frames = context.decode(None)
    except EOFError:
        frames = []
    if not frames:
        raise undecodable("no frame can be decoded from its beginning")
    return frames[0]


def _packets(container: InputContainer, stream: Stream) -> Iterator[Packet[Stream]]:
    """Yield the first packets of a stream, without the empty one that stands for the end."""
    for number, packet in enumerate(container.demux(stream)):
        if number >= _MAX_PACKETS or not packet.size:
            return
        yield packet


def _streams(
    container: InputContainer,
    frame: av.VideoFrame | av.AudioFrame | None,
    *,
    quarter_turn: bool,
) -> Streams:
    width = height = rate = None
    video, audio = _main_streams(container)
    main = video or audio
    context = main.codec_context if main is not None else None
    if video is not None and context is not None:
        aspect = video.sample_aspect_ratio
        coded = frame if isinstance(frame, av.VideoFrame) else video
        if isinstance(frame, av.VideoFrame) and frame.rotation % 180 == 90:
            quarter_turn = True
        width, height = shown_size(
            coded.width,
            coded.height,
            aspect=(aspect.numerator, aspect.denominator) if aspect else (1, 1),
            quarter_turn=quarter_turn,
        )
        rate = video.average_rate or video.guessed_rate
    return Streams(
        has_video=video is not None,
        has_audio=audio is not None,
        width_px=width,
        height_px=height,
        duration_s=container.duration / av.time_base if container.duration else None,
        codec=context.codec.canonical_name if context is not None else None,
        frame_rate=float(rate) if rate else None,
    )
