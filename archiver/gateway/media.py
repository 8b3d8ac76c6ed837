"""Small real media, made on the spot: what the demo gateway serves and the tests archive.

Every function is deterministic: the same arguments give the same bytes (with the same FFmpeg and
Pillow), and another `seed` gives other bytes.
"""

from __future__ import annotations

import io
import math
import os
import random
import struct
from array import array
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, cast

import av
import av.logging

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container.output import OutputContainer
    from av.video.stream import VideoStream

VideoCodec = Literal["h264", "hevc", "av1", "vp9", "mpeg4"]
VideoContainer = Literal["mp4", "mov", "webm", "matroska"]
AudioCodec = Literal["mp3", "aac", "opus", "flac", "pcm"]
ImageFormat = Literal["JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF"]

_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "ultrafast", "threads": "1"}),
    "hevc": (
        "libx265",
        {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1"},
    ),
    "av1": ("libsvtav1", {"preset": "13", "svtav1-params": "lp=1"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "threads": "1"}),
    "mpeg4": ("mpeg4", {"threads": "1"}),
}
_AUDIO_ENCODERS: dict[str, tuple[str, str, str, int]] = {
    "mp3": ("libmp3lame", "mp3", "s16p", 44_100),
    "aac": ("aac", "ipod", "fltp", 44_100),
    "opus": ("libopus", "ogg", "s16", 48_000),
    "flac": ("flac", "flac", "s16", 44_100),
    "pcm": ("pcm_s16le", "wav", "s16", 44_100),
}
_GOP_FRAMES = 12
_MATRICES: dict[int, tuple[int, int, int, int]] = {
    0: (1, 0, 0, 1),
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
}


def video_bytes(
    *,
    width: int,
    height: int,
    seconds: float = 1.0,
    fps: int = 24,
    codec: VideoCodec = "h264",
    container: VideoContainer = "mp4",
    faststart: bool = True,
    fragmented: bool = False,
    rotation: int = 0,
    sample_aspect: tuple[int, int] = (1, 1),
    audio: bool = False,
    seed: int = 0,
    bit_rate: int | None = None,
) -> bytes:
    """Encode a moving pattern.

    Args:
        width: Coded width in pixels, even, before rotation and pixel aspect ratio.
        height: Coded height in pixels, likewise.
        seconds: Length.
        fps: Frames per second.
        codec: Of the picture.
        container: Of the file.
        faststart: MP4 and MOV: the index (`moov`) before the samples.
        fragmented: MP4 and MOV: one fragment (`moof`) per 12 frames, and no sample tables.
        rotation: MP4 and MOV: clockwise degrees that a player turns the picture by; 0, 90, 180
            or 270.
        sample_aspect: Width and height of one pixel, where codec or container carry it (VP9 in
            WebM does not).
        audio: Add a tone (AAC, or Opus in WebM).
        seed: Another pattern for another number.
        bit_rate: Bits per second of the picture. It is filled with noise, so that the rate is met
            and the file has about `seconds * bit_rate / 8` bytes.

    Returns:
        The file's bytes.

    Raises:
        ValueError: An odd size, or a rotation that is not a quarter turn.
    """
    if width % 2 or height % 2:
        raise ValueError(f"width and height must be even, not {width}x{height}")
    if rotation not in _MATRICES:
        raise ValueError(f"rotation must be 0, 90, 180 or 270, not {rotation}")
    if codec == "av1":
        # SVT-AV1 prints a banner to stderr, and this variable is the only way to stop it.
        os.environ.setdefault("SVT_LOG", "0")
    frames = max(1, round(seconds * fps))
    options = {"fflags": "+bitexact"}
    if container in ("mp4", "mov"):
        if fragmented:
            options["movflags"] = "frag_keyframe+empty_moov+default_base_moof"
        elif faststart:
            # The `faststart` flag reads its own output again, which a memory file does not allow.
            options["moov_size"] = str(4096 + frames * 32 + int(seconds * 1000))
    target = io.BytesIO()
    with av.open(target, mode="w", format=container, container_options=options) as output:
        video = _add_video(output, codec, fps, width, height, sample_aspect, bit_rate)
        sound = _add_tone(output, container) if audio else None
        for frame in _pictures(width, height, frames, seed, noisy=bit_rate is not None):
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if sound is not None:
            _encode_tone(output, sound, seconds, seed)
    data = target.getvalue()
    return _rotated(data, rotation) if rotation else data


def image_bytes(
    *,
    width: int,
    height: int,
    image_format: ImageFormat = "JPEG",
    exif_orientation: int | None = None,
    frames: int = 1,
    seed: int = 0,
) -> bytes:
    """Encode a soft coloured pattern.

    Args:
        width: Stored width in pixels, before `exif_orientation` is applied.
        height: Stored height in pixels, likewise.
        image_format: Pillow's name of the format.
        exif_orientation: 1 to 8; 5 to 8 make a viewer exchange width and height.
        frames: More than 1 makes an animation (GIF, WebP, PNG, AVIF).
        seed: Another pattern for another number.
    """
    from PIL import Image

    pictures = []
    for number in range(frames):
        grain = random.Random(f"{seed}/{number}").randbytes(12 * 12 * 3)
        tile = Image.frombytes("RGB", (12, 12), grain)
        pictures.append(tile.resize((width, height), Image.Resampling.BICUBIC))
    exif = Image.Exif()
    if exif_orientation is not None:
        exif[0x0112] = exif_orientation
    target = io.BytesIO()
    more = {"save_all": True, "append_images": pictures[1:], "duration": 100} if frames > 1 else {}
    if exif_orientation is not None:
        more["exif"] = exif.tobytes()
    pictures[0].save(target, format=image_format, **more)
    return target.getvalue()


def audio_bytes(*, seconds: float = 1.0, codec: AudioCodec = "mp3", seed: int = 0) -> bytes:
    """Encode a tone in the container that is usual for the codec.

    Args:
        seconds: Length.
        codec: `mp3` (MP3 with a Xing header), `aac` (M4A), `opus` (Ogg), `flac` or `pcm` (WAV).
        seed: Another pitch for another number.
    """
    encoder, container, layout, rate = _AUDIO_ENCODERS[codec]
    target = io.BytesIO()
    options = {"fflags": "+bitexact"}
    with av.open(target, mode="w", format=container, container_options=options) as output:
        stream = output.add_stream(encoder, rate=rate, format=layout, layout="mono")
        _encode_tone(output, cast("AudioStream", stream), seconds, seed)
    return target.getvalue()


def _add_video(
    output: OutputContainer,
    codec: VideoCodec,
    fps: int,
    width: int,
    height: int,
    sample_aspect: tuple[int, int],
    bit_rate: int | None,
) -> VideoStream:
    encoder, options = _ENCODERS[codec]
    options = {**options, "g": str(_GOP_FRAMES), "aspect": f"{sample_aspect[0]}:{sample_aspect[1]}"}
    if bit_rate is not None:
        options["b"] = str(bit_rate)
        if codec == "h264":
            options |= {"maxrate": str(bit_rate), "bufsize": str(bit_rate // 4)}
            options["x264-params"] = "nal-hrd=cbr"
    stream = cast("VideoStream", output.add_stream(encoder, rate=fps, options=options))
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.time_base = Fraction(1, fps)
    return stream


def _add_tone(output: OutputContainer, container: VideoContainer) -> AudioStream:
    if container == "webm":
        return output.add_stream("libopus", rate=48_000, format="s16", layout="mono")
    return output.add_stream("aac", rate=44_100, format="fltp", layout="mono")


def _pictures(
    width: int, height: int, frames: int, seed: int, *, noisy: bool
) -> Iterator[av.VideoFrame]:
    """Yield frames of slanting bars that move, in a colour that changes slowly."""
    chance = random.Random(seed)
    phase, step, hue = chance.randrange(512), chance.randrange(3, 11), chance.randrange(40, 200)
    for number in range(frames):
        frame = av.VideoFrame(width, height, "yuv420p")
        luma, *chroma = frame.planes
        if noisy:
            luma.update(chance.randbytes(luma.buffer_size))
        else:
            luma.update(_bars(phase + step * number, luma.line_size, luma.height))
        for plane in chroma:
            plane.update(bytes([(hue + number // 4) % 256]) * plane.buffer_size)
        frame.pts = number
        yield frame


def _bars(phase: int, line_bytes: int, lines: int) -> bytes:
    """Return brightness that goes up and down once in 512 pixels, each line one pixel further."""
    period = bytes(32 + abs((position + phase) % 512 - 256) // 2 for position in range(512))
    strip = period * (line_bytes // 512 + 3)
    return b"".join(strip[line % 512 : line % 512 + line_bytes] for line in range(lines))


def _encode_tone(output: OutputContainer, stream: AudioStream, seconds: float, seed: int) -> None:
    rate = stream.codec_context.sample_rate
    total = max(1, round(seconds * rate))
    chance = random.Random(seed)
    period, loudness = chance.randrange(60, 220), chance.randrange(4000, 12000)
    wave = array("h", (int(loudness * math.sin(2 * math.pi * n / period)) for n in range(period)))
    samples = (wave * (total // period + 1))[:total]
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
    block = stream.codec_context.frame_size or 1024
    for start in range(0, total, block):
        part = samples[start : start + block]
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(part))
        frame.planes[0].update(part.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts = rate, start
        frame.time_base = Fraction(1, rate)
        for converted in resampler.resample(frame):
            output.mux(stream.encode(converted))
    output.mux(stream.encode(None))


def _rotated(data: bytes, rotation: int) -> bytes:
    """Write a quarter turn into the matrix of the first (video) track's header.

    Source: ISO/IEC 14496-12, 8.3.2 (`tkhd`): the matrix is 36 bytes, 8 before the end of the box.
    """
    start = data.index(b"tkhd") - 4
    (size,) = struct.unpack_from(">I", data, start)
    a, b, c, d = (value << 16 for value in _MATRICES[rotation])
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    place = start + size - 8 - len(matrix)
    return data[:place] + matrix + data[place + len(matrix) :]
