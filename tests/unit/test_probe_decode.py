"""`decode`: every frame and sample, as `verify --decode` asks for."""

from __future__ import annotations

import io
import random

import pytest

from archiver.errors import NotMediaError, RenditionError, TruncatedError
from archiver.model import Role
from tests.mediasamples import OTHERS, PROBER, SAMPLES, boxes, probe, role_of, sample


def decode(data: bytes, role: Role) -> None:
    """Decode a file in memory."""
    PROBER.decode(io.BytesIO(data), role=role)


@pytest.mark.parametrize("name", [*SAMPLES, *OTHERS])
def test_honest_media_decode_to_the_end(name: str) -> None:
    """No honest file is found damaged."""
    decode(sample(name), role_of(name))


@pytest.mark.parametrize("name", ["mp4", "webm", "mp3", "opus", "flac", "wav", "jpg", "png", "ts"])
def test_a_cut_is_found(name: str) -> None:
    """A cut file is refused before it is decoded."""
    with pytest.raises(TruncatedError):
        decode(sample(name)[:-5], role_of(name))


@pytest.mark.parametrize("name", ["mp4", "mp4-index-last", "mp4-mpeg4", "mov", "mkv", "m4a"])
def test_zeros_in_the_middle_are_found(name: str) -> None:
    """Damage that the first frame does not show is found by decoding all of them."""
    data = bytearray(sample(name))
    start, end = boxes(sample(name)).get(b"mdat", (len(data) // 4, len(data)))
    middle = (start + end) // 2
    data[middle : middle + (end - start) // 4] = bytes((end - start) // 4)
    assert probe(bytes(data), role_of(name)).kind == role_of(name).value
    with pytest.raises(NotMediaError) as caught:
        decode(bytes(data), role_of(name))
    assert caught.value.code == "undecodable"


@pytest.mark.parametrize("name", ["opus", "flac", "ts", "adts"])
def test_chance_in_the_middle_is_found(name: str) -> None:
    """Lost pages and frames are found, also where FFmpeg leaves them out without a word."""
    data = bytearray(sample(name))
    third = len(data) // 3
    data[third : 2 * third] = random.Random(5).randbytes(third)
    with pytest.raises(RenditionError):
        decode(bytes(data), role_of(name))


def test_a_wrong_checksum_in_sound_is_found() -> None:
    """FLAC frames bear a checksum, and one wrong byte is enough."""
    data = bytearray(sample("flac"))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(NotMediaError):
        decode(bytes(data), Role.AUDIO)


@pytest.mark.parametrize("name", ["png", "gif", "gif-animated", "png-animated"])
def test_damaged_pixels_are_found(name: str) -> None:
    """One wrong piece of a picture is enough."""
    data = bytearray(sample(name))
    at = len(data) * 3 // 4
    data[at : at + 200] = bytes(200)
    with pytest.raises(RenditionError):
        decode(bytes(data), role_of(name))


def test_text_is_read_to_its_end() -> None:
    """Text decodes when all of it is UTF-8."""
    decode("Ünïcödé ".encode() * 500_000, Role.TEXT)
    with pytest.raises(NotMediaError):
        decode("Ünïcödé ".encode() * 500_000 + b"\xfc", Role.TEXT)


def test_another_kind_is_refused() -> None:
    """What is kept as a video must be one."""
    with pytest.raises(NotMediaError) as caught:
        decode(sample("png"), Role.VIDEO)
    assert caught.value.code == "wrong_kind"
    with pytest.raises(NotMediaError) as caught:
        decode(b"", Role.VIDEO)
    assert caught.value.code == "empty"


def test_a_file_is_read_from_its_start() -> None:
    """Where the file stands before does not matter."""
    file = io.BytesIO(sample("mp4"))
    file.seek(999)
    PROBER.decode(file, role=Role.VIDEO)


def test_a_disk_that_fails_is_not_the_files_fault() -> None:
    """A read error comes out as it is, and the next file is judged as if nothing had been."""

    class Failing(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.reads += 1
            if self.reads > 2:
                raise OSError(5, "Input/output error")
            return super().read(size)

    for _ in range(3):
        with pytest.raises(OSError, match="Input/output"):
            PROBER.decode(Failing(sample("mp4-index-last")), role=Role.VIDEO)
        decode(sample("mp4"), Role.VIDEO)
