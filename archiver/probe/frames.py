"""Audio that is a plain row of frames: MPEG audio (MP3) and ADTS (AAC)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from archiver.errors import TruncatedError

_MPEG1_LAYER3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG1_LAYER2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_MPEG1_LAYER1 = tuple(32 * step for step in range(15))
_MPEG2_LAYER1 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_MPEG2_LAYER23 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_ADTS_RATES = 13
_SEARCHED_BYTES = 128 << 10
_ENOUGH_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame's header.

    Attributes:
        length: In bytes, header included.
        signature: What is the same in all frames of one stream.
    """

    length: int
    signature: int


FrameFormat = Callable[[bytes, int], Frame | None]
"""Reads the frame header at an offset; `None` if there is none."""


def mpeg_frame(data: bytes, at: int) -> Frame | None:
    """Read an MPEG audio frame header (layers I to III).

    Source: ISO/IEC 11172-3, 2.4.1.3, and ISO/IEC 13818-3 for the half sampling rates.
    """
    if at + 4 > len(data):
        return None
    (word,) = struct.unpack_from(">I", data, at)
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    bit_rate_index, rate_index = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4:
        return None
    if bit_rate_index in (0, 15) or rate_index == 3 or word & 3 == 2:
        return None
    rate, padding = _MPEG_RATES[version][rate_index], word >> 9 & 1
    signature = word & 0xFFFE0C00
    if version == 3:
        table = (_MPEG1_LAYER1, _MPEG1_LAYER2, _MPEG1_LAYER3)[layer - 1]
    else:
        table = _MPEG2_LAYER1 if layer == 1 else _MPEG2_LAYER23
    bits_per_second = table[bit_rate_index] * 1000
    if layer == 1:
        return Frame((12 * bits_per_second // rate + padding) * 4, signature)
    # A frame holds 1152 samples, or half of them: an eighth of that is bytes per bit and sample.
    eighth = 72 if layer == 3 and version != 3 else 144
    return Frame(eighth * bits_per_second // rate + padding, signature)


def adts_frame(data: bytes, at: int) -> Frame | None:
    """Read an ADTS frame header.

    Source: ISO/IEC 13818-7, 6.2 (adts_fixed_header, adts_variable_header).
    """
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    rate_index = data[at + 2] >> 2 & 15
    length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if rate_index >= _ADTS_RATES or length < 7:
        return None
    signature = data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3] & 0xC0
    return Frame(length, signature)


def check_row(tail: bytes, tail_at: int, frame: FrameFormat, header_bytes: int) -> None:
    """Check that the last frame of a row is whole; junk after it is not looked at.

    Args:
        tail: The last bytes of the file.
        tail_at: Where they begin.
        frame: Reads one header.
        header_bytes: How long a header is.

    Raises:
        TruncatedError: The last frame, or its header, is cut.
    """
    start = len(tail)
    first = max(0, len(tail) - _SEARCHED_BYTES)
    while (start := tail.rfind(b"\xff", first, start)) >= 0:
        end = _row_end(tail, start, frame)
        if end is None:
            continue
        missing = end - len(tail)
        if missing > 0:
            raise TruncatedError(
                f"The file is cut: its last audio frame is {missing} bytes longer than the file."
            )
        if 0 < -missing < header_bytes and tail[end] == 0xFF:
            raise TruncatedError(
                f"The file is cut in the header of an audio frame, at byte {tail_at + end}."
            )
        return


def _row_end(tail: bytes, start: int, frame: FrameFormat) -> int | None:
    """Follow frames from `start`; return where the last one ends if it is a real row."""
    first = found = frame(tail, start)
    at, count = start, 0
    while found is not None and first is not None and found.signature == first.signature:
        at, count = at + found.length, count + 1
        found = frame(tail, at)
    return at if count >= _ENOUGH_FRAMES else None


def check_mp3(head: bytes, audio_at: int, size_bytes: int) -> bool:
    """Compare the Xing or Info header of an MP3 file with the file's length.

    Args:
        head: Bytes of the file from `audio_at` on.
        audio_at: Where the first frame begins, after the ID3 tag.
        size_bytes: Of the file.

    Returns:
        Whether the header names a length at all.

    Raises:
        TruncatedError: It names more bytes than there are.

    Source: the LAME tag specification, "Info Tag revision 1"; Xing's SDK (flags 1 frames, 2 bytes).
    """
    first = mpeg_frame(head, 0)
    if first is None:
        return False
    at = max(head.find(b"Xing", 4, 64), head.find(b"Info", 4, 64))
    if at < 0 or at + 16 > len(head):
        return False
    (flags,) = struct.unpack_from(">I", head, at + 4)
    if not flags & 2:
        return False
    (declared,) = struct.unpack_from(">I", head, at + 8 + 4 * (flags & 1))
    if not declared:
        return False
    if audio_at + declared > size_bytes:
        raise TruncatedError(
            f"The file is cut: its MP3 header names {declared} bytes of sound from byte"
            f" {audio_at} on, the file ends at {size_bytes}."
        )
    return True
