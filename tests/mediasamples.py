"""Real media for the probe's tests: the demo's factory, and forms that only a test asks for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import av

from archiver.contracts import Peek
from archiver.gateway.media import audio_bytes, image_bytes, video_bytes
from archiver.model import MediaInfo, Role
from archiver.probe import MediaProber

PROBER = MediaProber()

AAC = ("aac", "fltp", 44_100)
FLAC = ("flac", "s16", 44_100)
MP3 = ("libmp3lame", "s16p", 44_100)
OPUS = ("libopus", "s16", 48_000)
PCM = ("pcm_s16le", "s16", 44_100)


@dataclass(frozen=True)
class Sample:
    """A file, what was asked for when it was made, and what it is."""

    make: Callable[[], bytes]
    role: Role
    media_type: str
    extension: str
    size: tuple[int, int] | None = None
    duration_s: float | None = None
    codec: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


class Pipe:
    """Takes bytes in order only, as a pipe does, so that a muxer cannot mend its header."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += bytes(data)
        return len(data)


def mux(
    container: str,
    *,
    video: str | None = None,
    audio: tuple[str, str, int] | None = None,
    pipe: bool = False,
    seconds: float = 2.0,
    options: dict[str, str] | None = None,
    encoder: dict[str, str] | None = None,
) -> bytes:
    """Encode grey pictures and silence into any container, interleaved by halves of a second."""
    target: Any = Pipe() if pipe else io.BytesIO()
    settings = {"fflags": "+bitexact", **(options or {})}
    with av.open(target, mode="w", format=container, container_options=settings) as output:
        pictures = sound = None
        if video is not None:
            pictures = output.add_stream(video, rate=24, options={"g": "12", **(encoder or {})})
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        if audio is not None:
            sound = output.add_stream(audio[0], rate=audio[2], format=audio[1], layout="mono")
        done = 0
        for half in range(1, round(seconds * 2) + 1):
            for number in range((half - 1) * 12, half * 12) if pictures else ():
                frame = av.VideoFrame(64, 48, "yuv420p")
                for plane in frame.planes:
                    plane.update(bytes([128 + number % 64]) * plane.buffer_size)
                frame.pts = number
                output.mux(pictures.encode(frame))
            block = (sound.codec_context.frame_size or 1024) if sound else 1
            while sound and done + block <= half * audio[2] // 2:
                frame = av.AudioFrame(format=audio[1], layout="mono", samples=block)
                frame.planes[0].update(bytes(frame.planes[0].buffer_size))
                frame.sample_rate, frame.pts = audio[2], done
                output.mux(sound.encode(frame))
                done += block
        for stream in (pictures, sound):
            if stream is not None:
                output.mux(stream.encode(None))
    return bytes(target.data) if pipe else target.getvalue()


def _video(
    extension: str, media_type: str, codec: str, size: tuple[int, int] = (96, 64), **how: Any
) -> Sample:
    how = {"width": 96, "height": 64, "codec": codec, **how}
    return Sample(partial(video_bytes, **how), Role.VIDEO, media_type, extension, size, 1.0, codec)


def _audio(extension: str, media_type: str, codec: str, name: str = "") -> Sample:
    return Sample(
        partial(audio_bytes, codec=codec, seconds=2.0),
        Role.AUDIO,
        media_type,
        extension,
        None,
        2.0,
        name or codec,
    )


def _image(extension: str, name: str, size: tuple[int, int] = (96, 64), **how: Any) -> Sample:
    how = {"width": 96, "height": 64, "image_format": name, **how}
    media_type = "image/" + name.lower()
    return Sample(
        partial(image_bytes, **how), Role.IMAGE, media_type, extension, size, None, name.lower()
    )


MP4 = ("mp4", "video/mp4")
SAMPLES = {
    "mp4": _video(*MP4, "h264", audio=True),
    "mp4-index-last": _video(*MP4, "h264", faststart=False, audio=True),
    "mp4-fragmented": _video(*MP4, "h264", fragmented=True),
    "mp4-rotated-90": _video(*MP4, "h264", (64, 96), rotation=90),
    "mp4-rotated-180": _video(*MP4, "h264", rotation=180),
    "mp4-rotated-270": _video(*MP4, "h264", (64, 128), rotation=270, sample_aspect=(4, 3)),
    "mp4-wide-pixels": _video(*MP4, "h264", (128, 64), sample_aspect=(4, 3)),
    "mp4-hevc": _video(*MP4, "hevc"),
    "mp4-av1": _video(*MP4, "av1"),
    "mp4-mpeg4": _video(*MP4, "mpeg4"),
    "mov": _video("mov", "video/quicktime", "h264", container="mov"),
    "webm": _video("webm", "video/webm", "vp9", container="webm"),
    "mkv": _video("mkv", "video/matroska", "h264", container="matroska"),
    "mp3": _audio("mp3", "audio/mpeg", "mp3"),
    "m4a": _audio("m4a", "audio/mp4", "aac"),
    "opus": _audio("opus", "audio/ogg", "opus"),
    "flac": _audio("flac", "audio/flac", "flac"),
    "wav": _audio("wav", "audio/wav", "pcm", "pcm_s16le"),
    "jpg": _image("jpg", "JPEG"),
    "jpg-orientation-6": _image("jpg", "JPEG", (64, 96), exif_orientation=6),
    "jpg-orientation-3": _image("jpg", "JPEG", exif_orientation=3),
    "png": _image("png", "PNG"),
    "webp": _image("webp", "WEBP"),
    "webp-orientation-8": _image("webp", "WEBP", (64, 96), exif_orientation=8),
    "webp-animated": _image("webp", "WEBP", frames=3),
    "gif": _image("gif", "GIF"),
    "gif-animated": _image("gif", "GIF", frames=3),
    "avif": _image("avif", "AVIF"),
    "avif-orientation-6": _image("avif", "AVIF", (64, 96), exif_orientation=6),
    "bmp": _image("bmp", "BMP"),
    "tiff": _image("tiff", "TIFF"),
}
"""Files whose own structure tells their length, so that every cut must be noticed."""

_FRAGMENTS = "frag_keyframe+empty_moov"
OTHERS: dict[str, tuple[Role, Callable[[], bytes]]] = {
    "3gp": (Role.VIDEO, partial(mux, "3gp", video="mpeg4", audio=AAC)),
    "adts": (Role.AUDIO, partial(mux, "adts", audio=AAC)),
    "avi": (Role.VIDEO, partial(mux, "avi", video="libx264", audio=MP3)),
    "avi-pipe": (Role.VIDEO, partial(mux, "avi", video="mpeg4", audio=PCM, pipe=True)),
    "flac-pipe": (Role.AUDIO, partial(mux, "flac", audio=FLAC, pipe=True)),
    "flv": (Role.VIDEO, partial(mux, "flv", video="libx264", audio=AAC)),
    "flv-pipe": (Role.VIDEO, partial(mux, "flv", video="libx264", audio=AAC, pipe=True)),
    "m4v": (Role.VIDEO, partial(mux, "ipod", video="libx264", audio=AAC)),
    "mka": (Role.AUDIO, partial(mux, "matroska", audio=FLAC)),
    "mkv-cues-first": (
        Role.VIDEO,
        partial(mux, "matroska", video="libx264", options={"reserve_index_space": "500"}),
    ),
    "mkv-pipe": (Role.VIDEO, partial(mux, "matroska", video="libx264", audio=AAC, pipe=True)),
    "mov-pcm": (Role.VIDEO, partial(mux, "mov", video="libx264", audio=PCM)),
    "mov-hint": (
        Role.VIDEO,
        partial(mux, "mov", video="libx264", audio=AAC, options={"movflags": "rtphint"}),
    ),
    "mp2": (Role.AUDIO, partial(mux, "mp2", audio=("mp2", "s16", 44_100))),
    "mp3-id3v1": (Role.AUDIO, partial(mux, "mp3", audio=MP3, options={"write_id3v1": "1"})),
    "mp3-pipe": (Role.AUDIO, partial(mux, "mp3", audio=MP3, pipe=True)),
    "mp3-plain": (
        Role.AUDIO,
        partial(mux, "mp3", audio=MP3, options={"write_xing": "0", "id3v2_version": "0"}),
    ),
    "mp4-b-frames": (
        Role.VIDEO,
        partial(mux, "mp4", video="libx264", audio=AAC, encoder={"bf": "3"}),
    ),
    "mp4-cmaf": (
        Role.VIDEO,
        partial(mux, "mp4", video="libx264", audio=AAC, options={"movflags": f"cmaf+{_FRAGMENTS}"}),
    ),
    "mp4-dash": (
        Role.VIDEO,
        partial(mux, "mp4", video="libx264", options={"movflags": f"dash+{_FRAGMENTS}"}),
    ),
    "mp4-first-in-moov": (
        Role.VIDEO,
        partial(mux, "mp4", video="libx264", audio=AAC, options={"movflags": "frag_keyframe"}),
    ),
    "mp4-fragments-pipe": (
        Role.VIDEO,
        partial(
            mux, "mp4", video="libx264", audio=AAC, pipe=True, options={"movflags": _FRAGMENTS}
        ),
    ),
    "mp4-hybrid": (
        Role.VIDEO,
        partial(
            mux, "mp4", video="libx264", options={"movflags": "hybrid_fragmented+frag_keyframe"}
        ),
    ),
    "mp4-negative-offsets": (
        Role.VIDEO,
        partial(
            mux,
            "mp4",
            video="libx264",
            options={"movflags": "negative_cts_offsets"},
            encoder={"bf": "2"},
        ),
    ),
    "mp4-no-base": (
        Role.VIDEO,
        partial(
            mux,
            "mp4",
            video="libx264",
            audio=AAC,
            options={"movflags": f"omit_tfhd_offset+{_FRAGMENTS}"},
        ),
    ),
    "mp4-opus": (Role.VIDEO, partial(mux, "mp4", video="libvpx-vp9", audio=OPUS)),
    "ogg-flac": (Role.AUDIO, partial(mux, "ogg", audio=FLAC)),
    "opus-pipe": (Role.AUDIO, partial(mux, "ogg", audio=OPUS, pipe=True)),
    "png-animated": (
        Role.IMAGE,
        partial(image_bytes, width=96, height=64, image_format="PNG", frames=3),
    ),
    "ts": (Role.VIDEO, partial(mux, "mpegts", video="libx264", audio=AAC)),
    "wav-pipe": (Role.AUDIO, partial(mux, "wav", audio=PCM, pipe=True)),
    "wav-rf64": (Role.AUDIO, partial(mux, "wav", audio=PCM, options={"rf64": "always"})),
    "weba": (Role.AUDIO, partial(mux, "webm", audio=OPUS)),
    "webm-dash": (Role.VIDEO, partial(mux, "webm", video="libvpx-vp9", options={"dash": "1"})),
    "webm-live": (
        Role.VIDEO,
        partial(mux, "webm", video="libvpx", audio=OPUS, pipe=True, options={"live": "1"}),
    ),
}
"""Honest files as muxers write them into pipes, for players of one kind, or in old forms."""


@cache
def sample(name: str) -> bytes:
    """Return a sample's bytes, made once a run."""
    return SAMPLES[name].make() if name in SAMPLES else OTHERS[name][1]()


def role_of(name: str) -> Role:
    """Return what a sample would have been asked for as."""
    return SAMPLES[name].role if name in SAMPLES else OTHERS[name][0]


def chunks(data: bytes, size: int) -> Iterator[memoryview]:
    """Cut bytes into chunks, as they come from a network."""
    view = memoryview(data)
    for start in range(0, len(data), size):
        yield view[start : start + size]


def reader(data: bytes) -> Peek:
    """Return a `peek` that has every byte."""

    def peek(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    return peek


def probe(data: bytes, role: Role, *, chunk: int = 65_536, peek: Peek | None = None) -> MediaInfo:
    """Feed a file chunk by chunk and judge it."""
    gathered = PROBER.gather()
    for part in chunks(data, chunk):
        gathered.feed(part)
    return PROBER.probe(gathered, role=role, peek=peek)


def boxes(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Return begin and end of the first top-level box of each type."""
    found: dict[bytes, tuple[int, int]] = {}
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        found.setdefault(data[at + 4 : at + 8], (at, at + size))
        at += max(size, 8)
    return found


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box with this content."""
    content = b"".join(parts)
    return (len(content) + 8).to_bytes(4, "big") + kind + content
