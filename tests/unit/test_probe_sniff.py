"""What the first bytes say."""

from __future__ import annotations

import pytest

from archiver.contracts import Sniffed
from archiver.errors import NotMediaError, RenditionError, TruncatedError
from archiver.model import Role
from tests.mediasamples import OTHERS, PROBER, SAMPLES, mux, probe, sample


def brand(*brands: bytes) -> bytes:
    """Return an `ftyp` box with these brands, and something behind it."""
    content = brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(content) + 8).to_bytes(4) + b"ftyp" + content + bytes(40)


HEADS = {
    "isom": (brand(b"isom", b"avc1"), "video", "video/mp4", "mp4"),
    "mp42": (brand(b"mp42", b"mp41"), "video", "video/mp4", "mp4"),
    "dash": (brand(b"dash"), "video", "video/mp4", "mp4"),
    "unknown brand": (brand(b"XYZ1"), "video", "video/mp4", "mp4"),
    "m4v": (brand(b"M4V ", b"isom"), "video", "video/x-m4v", "m4v"),
    "m4a": (brand(b"M4A ", b"isom"), "audio", "audio/mp4", "m4a"),
    "mov": (brand(b"qt  "), "video", "video/quicktime", "mov"),
    "old mov": (b"\0\0\0\x08wide\0\0\x10\0mdat" + bytes(99), "video", "video/quicktime", "mov"),
    "old mov, index first": (
        b"\0\0\x02\0moov\0\0\0\x6cmvhd" + bytes(99), "video", "video/quicktime", "mov",
    ),
    "3gp": (brand(b"3gp6", b"isom"), "video", "video/3gpp", "3gp"),
    "3g2": (brand(b"3g2a"), "video", "video/3gpp2", "3g2"),
    "avif": (brand(b"avif", b"mif1"), "image", "image/avif", "avif"),
    "avif sequence": (brand(b"avis", b"avif"), "image", "image/avif", "avif"),
    "mif1 with avif": (brand(b"mif1", b"avif"), "image", "image/avif", "avif"),
    "heic": (brand(b"heic", b"mif1"), "image", "image/heic", "heic"),
    "mif1 with heic": (brand(b"mif1", b"heic"), "image", "image/heic", "heic"),
    "heif": (brand(b"mif1", b"miaf"), "image", "image/heif", "heif"),
    "jxl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "image", "image/jxl", "jxl"),
    "avi": (b"RIFF\0\x10\0\0AVI LIST" + bytes(20), "video", "video/x-msvideo", "avi"),
    "rf64": (b"RF64\xff\xff\xff\xffWAVEds64" + bytes(20), "audio", "audio/wav", "wav"),
    "theora": (
        b"OggS\0\2" + bytes(22) + b"\x80theora" + bytes(40), "video", "video/ogg", "ogv",
    ),
    "vorbis": (
        b"OggS\0\2" + bytes(22) + b"\x01vorbis" + bytes(40), "audio", "audio/ogg", "ogg",
    ),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image", "image/svg+xml", "svg"),
    "svg with prologue": (
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a > b -->\n<!DOCTYPE svg PUBLIC '-//W3C' "
        b"'x' [<!ENTITY a 'b>'>]>\n<svg:svg xmlns:svg='x'>",
        "image", "image/svg+xml", "svg",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_recognised(name: str) -> None:
    """Each kind of head gives its kind, media type and ending."""
    head, kind, media_type, extension = HEADS[name]
    wanted = Sniffed(kind=kind, media_type=media_type, extension=extension)
    assert PROBER.sniff(head) == wanted


@pytest.mark.parametrize("name", [*SAMPLES, *OTHERS])
def test_a_longer_head_says_no_more(name: str) -> None:
    """From 4 KiB on the answer is that of the whole file."""
    data = sample(name)
    assert PROBER.sniff(data) is not None
    assert PROBER.sniff(data[:4096]) == PROBER.sniff(data)


TEXTS = [
    b"", b"\0", b"\0" * 5000, b"<!DOCTYPE html><html>", b"<html><svg></svg></html>",
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", b"{\"a\": 1}",
    b"<svgx>", b"<!-- <svg> -->", b"<?xml", b"<!DOCTYPE svg", b"<",
    b"Are free to use by all", b"All mdat and moov", b"not wide enough", b"to  skip a line\n",
    b"ID3 tags are explained here, at some length", b"OggSomething", b"#EXTM3U\n#EXTINF:1,\n",
    b"ffconcat version 1.0", (b"G" + b"a" * 187) * 6, "ÿûd is not MP3".encode("latin-1") * 40,
    "\ufeffUTF-16 text, which begins with FF FE".encode("utf-16-le") * 20,
    b"BMW builds cars, and writes text as well as others", b"MM*", b"II*", b"RIFF and RAFF",
    b"FLV is a format", b"\x89PNG", b"GIF88a", b"\xff\xd8", b"%PDF-1.7",
]  # fmt: skip


@pytest.mark.parametrize("head", TEXTS)
def test_text_and_other_files_are_not_taken_for_media(head: bytes) -> None:
    """Text, documents, playlists and the beginnings of magic numbers are nothing known."""
    assert PROBER.sniff(head) is None


def test_text_that_reads_like_a_box_is_text() -> None:
    """Generated text may contain the words that are names of boxes."""
    assert probe(b"Are free to use by all", Role.TEXT).kind == "text"


def test_wrong_frames_in_a_row_are_not_sound() -> None:
    """One frame header alone is chance; two of one stream in a row are not."""
    frame = sample("mp3-plain")[:1000]
    assert PROBER.sniff(frame) is not None
    assert PROBER.sniff(frame[:4] + bytes(996)) is None
    adts = sample("adts")
    assert PROBER.sniff(adts[:7] + bytes(500)) is None


def test_tagged_sound_is_recognised_behind_its_tag() -> None:
    """FLAC and AAC behind an ID3 tag are FLAC and AAC; behind a long tag, MP3 is assumed."""
    tag = b"ID3\x04\0\0\0\0\0\x20" + bytes(32)
    for name in ("flac", "adts", "mp3-plain"):
        assert PROBER.sniff(tag + tag + sample(name)) == PROBER.sniff(sample(name))
    long = b"ID3\x04\0\0\0\x7f\x7f\x7f" + bytes(70_000)
    assert PROBER.sniff(long) == PROBER.sniff(sample("mp3-plain"))


def test_svg_is_a_picture_with_a_size() -> None:
    """A drawing is an image; its size is that of its root, or of its view box."""
    found = probe(b"<svg width='640px' height='480' xmlns='x'><g/></svg>", Role.IMAGE)
    assert (found.width_px, found.height_px, found.codec) == (640, 480, "svg")
    found = probe(b"<svg viewBox='0 0 64.4,32'/>", Role.IMAGE)
    assert (found.width_px, found.height_px) == (64, 32)
    found = probe(b"<svg width='100%' height='1e9'/>", Role.IMAGE)
    assert (found.width_px, found.height_px) == (None, None)
    with pytest.raises(NotMediaError):
        probe(b"<svg><g></svg>", Role.IMAGE)
    for end in range(5, 30):
        with pytest.raises(TruncatedError):
            probe(b"<svg width='640'><g>abc</g></svg>"[:end], Role.IMAGE)


def test_pictures_in_unknown_libraries_pass_by_their_structure() -> None:
    """HEIC, which nothing here decodes, is judged by its boxes alone."""
    data = sample("avif").replace(b"ftypavif", b"ftypheic", 1)
    found = probe(data, Role.IMAGE)
    assert (found.media_type, found.codec) == ("image/heic", "heic")
    assert (found.width_px, found.height_px) == (96, 64)
    for lost in (1, 100, len(data) // 2):
        with pytest.raises(RenditionError):
            probe(data[:-lost], Role.IMAGE)


def test_a_brand_does_not_decide_what_a_file_is() -> None:
    """Pictures under the brand of sound make a video, and the other way round."""
    video = sample("mp4").replace(b"ftypisom", b"ftypM4A ", 1)
    found = probe(video, Role.VIDEO)
    assert (found.kind, found.media_type, found.extension) == ("video", "video/mp4", "mp4")
    sound = mux("mp4", audio=("aac", "fltp", 44_100)).replace(b"ftypisom", b"ftypM4V ", 1)
    assert probe(sound, Role.AUDIO).extension == "m4a"
