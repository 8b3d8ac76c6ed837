"""What the first bytes say: enough to choose a reader and a file name, not enough to trust it."""

from __future__ import annotations

import struct

from archiver.contracts import Sniffed
from archiver.probe.frames import FrameFormat, adts_frame, mpeg_frame

_MP4 = Sniffed(kind="video", media_type="video/mp4", extension="mp4")
_MOV = Sniffed(kind="video", media_type="video/quicktime", extension="mov")
_AVIF = Sniffed(kind="image", media_type="image/avif", extension="avif")
_HEIC = Sniffed(kind="image", media_type="image/heic", extension="heic")
_HEIF = Sniffed(kind="image", media_type="image/heif", extension="heif")
_JXL = Sniffed(kind="image", media_type="image/jxl", extension="jxl")
_WEBM = Sniffed(kind="video", media_type="video/webm", extension="webm")
_MKV = Sniffed(kind="video", media_type="video/matroska", extension="mkv")
_MP3 = Sniffed(kind="audio", media_type="audio/mpeg", extension="mp3")
_AAC = Sniffed(kind="audio", media_type="audio/aac", extension="aac")
_FLAC = Sniffed(kind="audio", media_type="audio/flac", extension="flac")
_SVG = Sniffed(kind="image", media_type="image/svg+xml", extension="svg")

_MAGIC: tuple[tuple[bytes, Sniffed], ...] = (
    (b"\xff\xd8\xff", Sniffed(kind="image", media_type="image/jpeg", extension="jpg")),
    (b"\x89PNG\r\n\x1a\n", Sniffed(kind="image", media_type="image/png", extension="png")),
    (b"GIF87a", Sniffed(kind="image", media_type="image/gif", extension="gif")),
    (b"GIF89a", Sniffed(kind="image", media_type="image/gif", extension="gif")),
    (b"II*\0", Sniffed(kind="image", media_type="image/tiff", extension="tiff")),
    (b"MM\0*", Sniffed(kind="image", media_type="image/tiff", extension="tiff")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", _JXL),
    (b"FLV\x01", Sniffed(kind="video", media_type="video/x-flv", extension="flv")),
    (b"fLaC", _FLAC),
)
_RIFF = {
    b"WEBP": Sniffed(kind="image", media_type="image/webp", extension="webp"),
    b"WAVE": Sniffed(kind="audio", media_type="audio/wav", extension="wav"),
    b"AVI ": Sniffed(kind="video", media_type="video/x-msvideo", extension="avi"),
}
_BRANDS = {
    b"qt  ": _MOV,
    b"M4V ": Sniffed(kind="video", media_type="video/x-m4v", extension="m4v"),
    b"M4A ": Sniffed(kind="audio", media_type="audio/mp4", extension="m4a"),
    b"M4B ": Sniffed(kind="audio", media_type="audio/mp4", extension="m4b"),
    b"avif": _AVIF,
    b"avis": _AVIF,
    b"jxl ": _JXL,
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), _HEIC),
}
_MOVIES_WITHOUT_BRAND = frozenset((b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"))
_OGG_VIDEO = Sniffed(kind="video", media_type="video/ogg", extension="ogv")
_OGG_AUDIO = Sniffed(kind="audio", media_type="audio/ogg", extension="ogg")
_OPUS = Sniffed(kind="audio", media_type="audio/ogg", extension="opus")
_TS_PACKET = 188
_TEXT = bytes(set(range(0x20, 0x100)) | set(b"\t\n\r"))
"""All bytes that UTF-8 text is made of: no binary header does without the others."""


def sniff(head: bytes) -> Sniffed | None:
    """Tell the kind of file from its first bytes.

    Args:
        head: The first bytes, 64 KiB or the whole file if it is shorter.

    Returns:
        The kind, or `None` for what is no media that is known here: HTML, XML, JSON, text, zeros.
    """
    for magic, sniffed in _MAGIC:
        if head.startswith(magic):
            return sniffed
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _RIFF.get(head[8:12])
    if head[:5] == b"OggS\0":
        return _ogg(head)
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska(head)
    return (
        _boxes(head)
        or _bitmap(head)
        or _audio_frames(head)
        or _transport_stream(head)
        or (_SVG if svg_root(head) is not None else None)
    )


def svg_root(head: bytes) -> int | None:
    """Return where the root element `<svg` begins, if the text is an SVG document."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    at = len(head) - len(text)
    while at < len(head):
        if head[at : at + 1].isspace():
            at += 1
        elif head.startswith((b"<svg", b"<svg:svg"), at):
            name_end = at + (8 if head.startswith(b"<svg:svg", at) else 4)
            return at if head[name_end : name_end + 1] in b" \t\r\n/>" else None
        elif head.startswith(b"<!--", at):
            at = _after(head, b"-->", at)
        elif head.startswith(b"<?", at):
            at = _after(head, b"?>", at)
        elif head[at : at + 9].upper() == b"<!DOCTYPE":
            close, subset = head.find(b">", at), head.find(b"[", at)
            at = _after(head, b"]", subset) if 0 <= subset < close else at
            at = _after(head, b">", at)
        else:
            return None
    return None


def _after(head: bytes, mark: bytes, at: int) -> int:
    found = head.find(mark, at)
    return len(head) if found < 0 else found + len(mark)


def _boxes(head: bytes) -> Sniffed | None:
    """Source: ISO/IEC 14496-12, 4.3 (`ftyp`); QuickTime files before it have none."""
    if len(head) < 8:
        return None
    size, kind = struct.unpack_from(">I4s", head)
    if kind == b"ftyp" and size >= 12:
        brands = [head[8:12]] + [head[at : at + 4] for at in range(16, min(size, 256), 4)]
        return _branded(brands)
    if kind == b"styp" and 12 <= size <= 256:
        return _MP4
    is_movie = kind in _MOVIES_WITHOUT_BRAND and (size == 1 or size >= 8)
    return _MOV if is_movie and not _is_plain_text(head) else None


def _is_plain_text(head: bytes) -> bool:
    """Tell "Are free to use" from a box of type `free`."""
    return not head[:256].translate(None, _TEXT)


def _branded(brands: list[bytes]) -> Sniffed:
    major = brands[0]
    if major in _BRANDS:
        return _BRANDS[major]
    if major[:3] == b"3gp":
        return Sniffed(kind="video", media_type="video/3gpp", extension="3gp")
    if major[:3] == b"3g2":
        return Sniffed(kind="video", media_type="video/3gpp2", extension="3g2")
    if major in (b"mif1", b"msf1", b"mif2"):
        if b"avif" in brands or b"avis" in brands:
            return _AVIF
        return _HEIC if b"heic" in brands or b"heix" in brands else _HEIF
    return _MP4


def _matroska(head: bytes) -> Sniffed:
    """Source: RFC 8794, section 11.2.8: `DocType` (0x4282) tells WebM from other Matroska."""
    at = head.find(b"\x42\x82", 4, 128)
    length = head[at + 2] & 0x7F if at >= 0 and at + 2 < len(head) else 0
    return _WEBM if head[at + 3 : at + 3 + length].rstrip(b"\0") == b"webm" else _MKV


def _ogg(head: bytes) -> Sniffed:
    if b"\x80theora" in head[:4096]:
        return _OGG_VIDEO
    return _OPUS if b"OpusHead" in head[:512] else _OGG_AUDIO


def _bitmap(head: bytes) -> Sniffed | None:
    if head[:2] != b"BM" or len(head) < 26 or head[6:10] != bytes(4):
        return None
    (header_size,) = struct.unpack_from("<I", head, 14)
    if header_size not in (12, 16, 40, 52, 56, 64, 108, 124):
        return None
    return Sniffed(kind="image", media_type="image/bmp", extension="bmp")


def _audio_frames(head: bytes) -> Sniffed | None:
    """MP3 and AAC: at an ID3 tag, or at two frames in a row (a sync word alone may be text)."""
    at = 0
    while (size := id3_size(head[at : at + 10])) and at + size < len(head):
        at += size
    if head[at : at + 4] == b"fLaC":
        return _FLAC
    if _frames_in_a_row(head, at, adts_frame):
        return _AAC
    if size or at or _frames_in_a_row(head, at, mpeg_frame):
        return _MP3
    return None


def id3_size(head: bytes) -> int:
    """Return the length of the ID3v2 tag that begins here, in bytes; 0 if there is none.

    Source: ID3v2.4, section 3.1: size is four times seven bits, header and footer not counted.
    """
    if len(head) < 10 or head[:3] != b"ID3" or head[3] not in (2, 3, 4) or head[4] == 0xFF:
        return 0
    if max(head[6:10]) > 0x7F:
        return 0
    a, b, c, d = head[6:10]
    return (a << 21 | b << 14 | c << 7 | d) + (20 if head[5] & 0x10 else 10)


def _frames_in_a_row(head: bytes, at: int, frame: FrameFormat) -> bool:
    first = frame(head, at)
    if first is None:
        return False
    following = at + first.length
    if following >= len(head):
        # A file of one frame is media only if the frame is all of it.
        return following == len(head) and at == 0
    second = frame(head, following)
    return second is not None and second.signature == first.signature


def _transport_stream(head: bytes) -> Sniffed | None:
    """Source: ISO/IEC 13818-1, 2.4.3.2: packets of 188 bytes, each begins with 0x47."""
    syncs = head[: _TS_PACKET * 5 : _TS_PACKET]
    if len(syncs) < 3 or syncs.strip(b"\x47") or _is_plain_text(head):
        return None
    return Sniffed(kind="video", media_type="video/mp2t", extension="ts")
