"""The factory of real media."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import pytest
from PIL import Image

from archiver.gateway.media import audio_bytes, image_bytes, video_bytes

VIDEOS = [
    ("h264", "mp4", "mov,mp4,m4a,3gp,3g2,mj2"),
    ("hevc", "mp4", "mov,mp4,m4a,3gp,3g2,mj2"),
    ("av1", "mp4", "mov,mp4,m4a,3gp,3g2,mj2"),
    ("mpeg4", "mov", "mov,mp4,m4a,3gp,3g2,mj2"),
    ("vp9", "webm", "matroska,webm"),
    ("h264", "matroska", "matroska,webm"),
]


@pytest.mark.parametrize(("codec", "container", "demuxer"), VIDEOS)
def test_video_has_what_was_asked_for(codec, container, demuxer):
    """FFmpeg finds the asked size, codec, container and number of frames."""
    data = video_bytes(width=64, height=96, seconds=0.5, codec=codec, container=container)
    with av.open(io.BytesIO(data)) as opened:
        stream = opened.streams.video[0]
        frames = list(opened.decode(stream))
        assert opened.format.name == demuxer
        assert (stream.width, stream.height) == (64, 96)
        assert stream.codec_context.codec.canonical_name == codec
        assert float(stream.average_rate) == pytest.approx(24, rel=0.05)
    assert len(frames) == 12


def test_faststart_puts_the_index_first():
    """With `faststart` the index stands before the samples, without it after them."""
    first = video_bytes(width=64, height=64)
    last = video_bytes(width=64, height=64, faststart=False)
    assert first.index(b"moov") < first.index(b"mdat")
    assert last.index(b"moov") > last.index(b"mdat")


def test_fragmented_has_fragments():
    """A fragmented file has one `moof` per twelve frames."""
    data = video_bytes(width=64, height=64, seconds=1, fragmented=True)
    assert data.count(b"moof") == 2


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_clockwise(rotation):
    """FFmpeg reads the rotation back (it counts counter-clockwise)."""
    data = video_bytes(width=64, height=32, rotation=rotation)
    with av.open(io.BytesIO(data)) as opened:
        frame = next(opened.decode(video=0))
    assert -frame.rotation % 360 == rotation


def test_pixels_are_not_square_when_asked():
    """The pixel aspect ratio is in the file."""
    data = video_bytes(width=64, height=64, sample_aspect=(4, 3))
    with av.open(io.BytesIO(data)) as opened:
        assert opened.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


def test_sound_is_added():
    """A video with sound has one audio stream that decodes."""
    for container, codec in (("mp4", "aac"), ("webm", "opus")):
        data = video_bytes(
            width=64,
            height=64,
            codec="h264" if container == "mp4" else "vp9",
            container=container,
            audio=True,
        )
        with av.open(io.BytesIO(data)) as opened:
            assert opened.streams.audio[0].codec_context.codec.canonical_name == codec
            samples = sum(frame.samples for frame in opened.decode(audio=0))
        assert samples >= 44_000


def test_bit_rate_sets_the_size():
    """With a bit rate the file is about as large as the rate says."""
    data = video_bytes(width=320, height=240, seconds=1, bit_rate=8_000_000)
    assert 800_000 < len(data) < 1_200_000


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF"])
def test_image_has_what_was_asked_for(image_format):
    """Pillow finds the asked size and format."""
    with Image.open(io.BytesIO(image_bytes(width=60, height=40, image_format=image_format))) as im:
        im.load()
        assert (im.format, im.size) == (image_format, (60, 40))


def test_image_bears_its_orientation():
    """The EXIF orientation is in the file; without one there is none."""
    data = image_bytes(width=60, height=40, exif_orientation=6)
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6
    assert not Image.open(io.BytesIO(image_bytes(width=60, height=40))).getexif()


def test_animation_has_its_frames():
    """An animation has as many frames as asked for."""
    data = image_bytes(width=60, height=40, image_format="GIF", frames=3)
    assert Image.open(io.BytesIO(data)).n_frames == 3


@pytest.mark.parametrize("codec", ["mp3", "aac", "opus", "flac", "pcm"])
def test_audio_has_its_length(codec):
    """A tone is as long as asked for, give or take the codec's padding."""
    data = audio_bytes(seconds=1.5, codec=codec)
    with av.open(io.BytesIO(data)) as opened:
        frames = list(opened.decode(audio=0))
        rate = opened.streams.audio[0].rate
    assert sum(frame.samples for frame in frames) / rate == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: video_bytes(width=64, height=64, seed=seed),
        lambda seed: video_bytes(
            width=64, height=64, container="matroska", audio=True, bit_rate=100_000, seed=seed
        ),
        lambda seed: video_bytes(width=64, height=64, codec="vp9", container="webm", seed=seed),
        lambda seed: image_bytes(width=64, height=64, seed=seed),
        lambda seed: audio_bytes(seed=seed),
        lambda seed: audio_bytes(codec="opus", seed=seed),
    ],
)
def test_same_arguments_give_the_same_bytes(make):
    """The bytes depend on the arguments alone, and on the seed."""
    made = [make(seed) for seed in range(4)]
    assert made == [make(seed) for seed in range(4)]
    assert len(set(made)) == 4


def test_wrong_arguments_are_said():
    """A size or a rotation that cannot be made is an error, not another file."""
    with pytest.raises(ValueError, match="even"):
        video_bytes(width=63, height=64)
    with pytest.raises(ValueError, match="rotation"):
        video_bytes(width=64, height=64, rotation=45)
