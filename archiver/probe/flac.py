"""FLAC: whether the last frame that the header announces is there, and whole.

Source: RFC 9639, 8.2 (STREAMINFO), 9.1 (frame header, CRC-8), 9.3 (CRC-16 behind the frame).
"""

from __future__ import annotations

from dataclasses import dataclass

from archiver.errors import TruncatedError
from archiver.probe.structure import Structure

_BLOCK_SIZES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608}
_STREAMINFO_END = 42
_TRIED_FRAMES = 8


def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (bits - 1) else 0)
            value &= (1 << bits) - 1
        table.append(value)
    return tuple(table)


_CRC8 = _crc_table(0x07, 8)
_CRC16 = _crc_table(0x8005, 16)


@dataclass(frozen=True, slots=True)
class _Header:
    """A frame's header: where its samples begin, and how many they are."""

    first_sample: int
    samples: int


def examine_flac(head: bytes, tail: bytes, *, whole: bool) -> Structure:
    """Check that a file's last frame is whole and is the last one announced.

    Args:
        head: The first bytes, from `fLaC` on.
        tail: The last bytes of the file.
        whole: Whether `tail` is the whole file.

    Raises:
        TruncatedError: It is not.
    """
    if len(head) < _STREAMINFO_END:
        raise TruncatedError("The file is cut in its header.")
    block = int.from_bytes(head[10:12], "big")
    packed = int.from_bytes(head[18:26], "big")
    rate, total = packed >> 44, packed & (1 << 36) - 1
    body = _without_tags(tail)
    start, tried = len(body), 0
    while tried < _TRIED_FRAMES and (start := body.rfind(b"\xff", 0, start)) >= 0:
        header = _frame_header(body[start : start + 16], block)
        if header is None:
            continue
        tried += 1
        is_last = not total or header.first_sample + header.samples == total
        if is_last and not _crc16(body[start:]):
            return Structure(
                has_video=False,
                has_audio=True,
                duration_s=(header.first_sample + header.samples) / rate if rate else None,
            )
    if tried or whole:
        raise TruncatedError("The file is cut: its last frame is not whole, or not the last one.")
    return Structure(has_video=False, has_audio=True, duration_s=total / rate if rate else None)


def _without_tags(tail: bytes) -> bytes:
    """Leave out an ID3v1 or APEv2 tag that some programs put behind the sound."""
    if tail[-128:-125] == b"TAG":
        tail = tail[:-128]
    if tail[-32:-24] == b"APETAGEX":
        size = int.from_bytes(tail[-20:-16], "little") + (32 if tail[-9] & 0x80 else 0)
        tail = tail[: -min(size, len(tail))]
    return tail


def _frame_header(data: bytes, block: int) -> _Header | None:
    """Read a frame header; `block` is the block size of files in which all blocks are equal."""
    if len(data) < 6 or data[1] & 0xFE != 0xF8 or data[3] & 1:
        return None
    size_code, rate_code = data[2] >> 4, data[2] & 15
    number_bytes = 1 if data[4] < 0x80 else 8 - (data[4] ^ 0xFF).bit_length()
    if size_code == 0 or rate_code == 15 or not 1 <= number_bytes <= 7 or 0x80 <= data[4] < 0xC0:
        return None
    number = data[4] if number_bytes == 1 else data[4] & (0x7F >> number_bytes)
    for byte in data[5 : 4 + number_bytes]:
        number = number << 6 | byte & 0x3F
    at = 4 + number_bytes
    size_bytes = {6: 1, 7: 2}.get(size_code, 0)
    rate_bytes = {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    crc_at = at + size_bytes + rate_bytes
    if crc_at >= len(data) or _crc8(data[:crc_at]) != data[crc_at]:
        return None
    if size_bytes:
        samples = int.from_bytes(data[at : at + size_bytes], "big") + 1
    else:
        samples = _BLOCK_SIZES.get(size_code, 1 << size_code)
    return _Header(number if data[1] & 1 else number * block, samples)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def _crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value = value << 8 & 0xFFFF ^ _CRC16[value >> 8 ^ byte]
    return value
