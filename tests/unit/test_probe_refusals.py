"""The probe on what is not the media that was asked for."""

from __future__ import annotations

import random
from pathlib import Path

import av
import pytest

from archiver.errors import NotMediaError, TruncatedError
from archiver.gateway.media import video_bytes
from archiver.model import Role
from tests.mediasamples import AAC, box, boxes, mux, probe, role_of, sample

S3_ERROR = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>'
    b"<Message>Request has expired</Message><X-Amz-Expires>3600</X-Amz-Expires>"
    b"<AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>"
)
MISLABELLED = {
    "an HTML page": b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>",
    "an XML error document: AccessDenied": S3_ERROR,
    "an XML document": b'<?xml version="1.0"?><manifest/>',
    "a JSON document": b'{"error": {"code": 404, "message": "token=abc"}}',
    "text": b"Not found",
    "a PDF document": b"%PDF-1.7\n" + bytes(100),
    "a ZIP archive": b"PK\x03\x04" + bytes(100),
    "gzip-compressed data": b"\x1f\x8b\x08" + bytes(100),
    "an M3U8 playlist": b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/x.ts\n",
    "an ffconcat playlist": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "only zero bytes": bytes(5000),
    "only white space": b" \r\n\t" * 50,
    "no format known here": b"\x01\x02\x03\xff" * 50,
}
ASKED = [Role.VIDEO, Role.AUDIO, Role.IMAGE, Role.THUMBNAIL, Role.LAST_FRAME]


@pytest.mark.parametrize("role", ASKED)
@pytest.mark.parametrize("seems", MISLABELLED)
def test_what_is_no_media_is_named(seems: str, role: Role) -> None:
    """Pages, documents and archives are refused, and the message says what they look like."""
    with pytest.raises(NotMediaError, match=f"it looks like {seems}") as caught:
        probe(MISLABELLED[seems], role)
    assert caught.value.code == "not_media"


def test_no_content_of_a_document_is_told() -> None:
    """Of an error document only its code is repeated, never a key or a signature."""
    for document in (S3_ERROR, MISLABELLED["a JSON document"], MISLABELLED["an HTML page"]):
        with pytest.raises(NotMediaError) as caught:
            probe(document, Role.VIDEO)
        for secret in ("AKIASECRET", "3600", "token", "Sign in", "expired"):
            assert secret not in str(caught.value)


@pytest.mark.parametrize("role", [*ASKED, Role.TEXT])
def test_nothing_is_refused(role: Role) -> None:
    """A file without a byte is refused as empty, whatever was asked for."""
    with pytest.raises(NotMediaError) as caught:
        probe(b"", role)
    assert caught.value.code == "empty"


@pytest.mark.parametrize("role", ASKED)
def test_one_byte_is_no_media(role: Role) -> None:
    """A file of one byte is refused, whichever byte it is."""
    for byte in range(256):
        with pytest.raises(NotMediaError):
            probe(bytes([byte]), role)


WRONG = [
    ("gif-animated", Role.VIDEO), ("webp-animated", Role.VIDEO), ("png", Role.VIDEO),
    ("mp3", Role.VIDEO), ("m4a", Role.VIDEO), ("weba", Role.VIDEO), ("jpg", Role.AUDIO),
    ("mp4-hevc", Role.AUDIO), ("webm", Role.AUDIO), ("mp4", Role.IMAGE), ("wav", Role.THUMBNAIL),
    ("webm", Role.LAST_FRAME), ("mp4", Role.TEXT), ("jpg", Role.TEXT), ("mp3", Role.TEXT),
]  # fmt: skip


@pytest.mark.parametrize(("name", "role"), WRONG)
def test_another_kind_is_refused(name: str, role: Role) -> None:
    """Media of another kind than asked for are refused as such."""
    with pytest.raises(NotMediaError) as caught:
        probe(sample(name), role)
    assert caught.value.code == "wrong_kind"


def test_previews_are_pictures() -> None:
    """A thumbnail and a last frame are judged like an image."""
    for role in (Role.THUMBNAIL, Role.LAST_FRAME):
        assert probe(sample("png"), role) == probe(sample("png"), Role.IMAGE)


def test_sound_may_come_with_pictures() -> None:
    """A video with sound in it is let pass where sound was asked for."""
    assert probe(sample("mp4"), Role.AUDIO).kind == "video"


@pytest.mark.parametrize("text", ["La la la\n", "Ünïcödé 歌詞 🎵", "{}", "# Verse\r\n\tline"])
def test_text_is_text(text: str) -> None:
    """UTF-8 text is accepted where text was asked for."""
    found = probe(text.encode(), Role.TEXT, chunk=3)
    assert (found.kind, found.media_type, found.extension) == ("text", "text/plain", "txt")


BAD_TEXT = [
    b"caf\xe9", b"a\0b", b"\xff\xfeh\0i\0", "cut 🎵".encode()[:-1],
    MISLABELLED["an HTML page"], S3_ERROR,
]  # fmt: skip


@pytest.mark.parametrize("data", BAD_TEXT)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    """Other encodings, cut characters, web pages and error documents are no generated text."""
    with pytest.raises(NotMediaError) as caught:
        probe(data, Role.TEXT)
    assert caught.value.code == "not_media"


def test_wrong_text_is_found_far_from_the_beginning() -> None:
    """Text is read to its end."""
    assert probe("é".encode() * 700_000, Role.TEXT, chunk=1 << 20).kind == "text"
    with pytest.raises(NotMediaError):
        probe("é".encode() * 700_000 + b"\xff", Role.TEXT, chunk=1 << 20)


def wreck(data: bytes, how: int | None) -> bytes:
    """Replace the content of `mdat` by zeros or by chance."""
    start, end = boxes(data)[b"mdat"]
    length = end - start - 8
    junk = bytes(length) if how is None else random.Random(how).randbytes(length)
    return data[: start + 8] + junk + data[end:]


@pytest.mark.parametrize("how", [None, 1, 2, 3])
@pytest.mark.parametrize(
    "name", ["mp4", "mp4-index-last", "mp4-hevc", "mp4-av1", "mp4-mpeg4", "mov", "m4a", "mp4-opus"]
)
def test_media_bytes_that_are_none_are_refused(name: str, how: int | None) -> None:
    """A perfect index over zeros or random bytes is refused."""
    with pytest.raises(NotMediaError) as caught:
        probe(wreck(sample(name), how), role_of(name))
    assert caught.value.code == "undecodable"


def test_a_last_picture_of_zeros_is_refused() -> None:
    """A file that was given its length before its end came is refused, though its start plays."""
    data = sample("mp4")
    end = boxes(data)[b"mdat"][1]
    with pytest.raises(NotMediaError, match="zeros"):
        probe(data[: end - 3000] + bytes(3000), Role.VIDEO)


@pytest.mark.parametrize("name", ["mp3", "opus", "flac", "webm", "mkv", "flv", "avi", "ts"])
def test_damage_at_the_beginning_is_refused(name: str) -> None:
    """Random bytes behind the first header are refused."""
    data = sample(name)
    keep = {"webm": 480, "mkv": 900, "avi": 5000, "flv": 400}.get(name, 120)
    junk = random.Random(7).randbytes(len(data) - keep)
    with pytest.raises((NotMediaError, TruncatedError)):
        probe(data[:keep] + junk, role_of(name))


@pytest.mark.parametrize("name", ["png", "gif", "jpg"])
def test_damaged_pixels_are_refused(name: str) -> None:
    """A picture of random bytes in a right frame is refused."""
    data = sample(name)
    middle = random.Random(3).randbytes(len(data) // 2)
    keep = len(data) // 4
    with pytest.raises((NotMediaError, TruncatedError)):
        probe(data[:keep] + middle + data[keep + len(middle) :], Role.IMAGE)


def test_a_wrong_checksum_is_refused() -> None:
    """A PNG of which one bit differs is refused."""
    data = bytearray(sample("png"))
    data[len(data) // 2] ^= 1
    with pytest.raises(NotMediaError, match="checksum") as caught:
        probe(bytes(data), Role.IMAGE)
    assert caught.value.code == "undecodable"


def patch_chunk_offsets(data: bytes, by: int) -> bytes:
    """Move all chunks of an index by some bytes."""
    out = bytearray(data)
    at = -1
    while (at := out.find(b"stco", at + 1)) > 0:
        for entry in range(at + 12, at + 12 + 4 * int.from_bytes(out[at + 8 : at + 12]), 4):
            out[entry : entry + 4] = (int.from_bytes(out[entry : entry + 4]) + by).to_bytes(4)
    return bytes(out)


def test_an_index_that_points_beyond_the_end_is_refused() -> None:
    """The right length proves nothing when the sample tables name bytes behind it."""
    data = sample("mp4")
    assert len(patch_chunk_offsets(data, 1)) == len(data)
    with pytest.raises(TruncatedError, match="index names media"):
        probe(patch_chunk_offsets(data, 1), Role.VIDEO)


def test_a_padded_cut_is_refused() -> None:
    """A cut file that was filled up with another box to its old length is refused."""
    data = video_bytes(width=96, height=64, audio=True)
    start, end = boxes(data)[b"mdat"]
    half = (start + end) // 2
    short = data[:start] + box(b"mdat", data[start + 8 : half])
    padded = short + box(b"free", bytes(len(data) - len(short) - 8))
    assert len(padded) == len(data)
    with pytest.raises(NotMediaError):
        probe(padded, Role.VIDEO)


def test_an_announced_duration_that_is_not_reached_is_refused() -> None:
    """Fragments that end long before the duration of the index are a cut between two of them."""
    flags = "frag_keyframe+empty_moov+default_base_moof"
    data = mux("mp4", video="libx264", options={"movflags": flags})
    moov = boxes(data)[b"moov"]
    extent = box(b"mehd", bytes(4) + (2000).to_bytes(4))
    grown = bytearray(data[: moov[1]] + data[moov[1] :])
    place = grown.index(b"mvex") + 4
    grown[place:place] = extent
    for at in (moov[0], place - 8):
        grown[at : at + 4] = (int.from_bytes(grown[at : at + 4]) + len(extent)).to_bytes(4)
    whole = bytes(grown)
    assert probe(whole, Role.VIDEO).duration_s == pytest.approx(2.0, abs=0.1)
    third_fragment = [at for at in range(len(whole)) if whole[at : at + 4] == b"moof"][2] - 4
    with pytest.raises(TruncatedError, match="announces 2"):
        probe(whole[:third_fragment], Role.VIDEO)


def test_a_segment_index_knows_of_missing_fragments(tmp_path: Path) -> None:
    """A global segment index names the bytes of all fragments, so that a lost one is noticed."""
    path = tmp_path / "a.mp4"
    flags = "frag_keyframe+empty_moov+default_base_moof+global_sidx"
    with av.open(str(path), mode="w", container_options={"movflags": flags}) as output:
        stream = output.add_stream("libx264", rate=24, options={"g": "12"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(48):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    whole = path.read_bytes()
    assert whole.index(b"sidx") < whole.index(b"moof")
    assert probe(whole, Role.VIDEO).duration_s == pytest.approx(2.0, abs=0.1)
    last_fragment = whole.rindex(b"moof") - 4
    with pytest.raises(TruncatedError, match="fragments go up to byte"):
        probe(whole[:last_fragment], Role.VIDEO)


def test_fragments_of_an_unknown_track_are_damage() -> None:
    """Fragments must belong to a track that the index describes."""
    data = bytearray(sample("mp4-fragmented"))
    data[data.index(b"tkhd") + 16] = 1
    with pytest.raises(NotMediaError, match="does not describe"):
        probe(bytes(data), Role.VIDEO)


def test_an_index_without_a_fragment_is_a_cut() -> None:
    """Of a fragmented file that ends behind its index nothing can be shown."""
    data = sample("mp4-fragmented")
    with pytest.raises(TruncatedError, match="none of its fragments"):
        probe(data[: boxes(data)[b"moov"][1]], Role.VIDEO)


def test_unknown_codecs_are_refused() -> None:
    """An index that names a codec which nobody knows is damage."""
    for name, codec in (("mp4", b"avc1"), ("mp4-opus", b"vp09"), ("mp4-av1", b"av01")):
        with pytest.raises(NotMediaError) as caught:
            probe(sample(name).replace(codec, b"zzzz"), role_of(name))
        assert caught.value.code == "undecodable"


def test_encrypted_media_are_refused() -> None:
    """Media whose index says that they are encrypted cannot be played by anybody later."""
    with pytest.raises(NotMediaError, match="encrypted"):
        probe(sample("mp4").replace(b"avc1", b"encv"), Role.VIDEO)
    with pytest.raises(NotMediaError, match="encrypted"):
        probe(sample("m4a").replace(b"mp4a", b"enca"), Role.AUDIO)


def test_files_that_name_other_files_open_none() -> None:
    """An index that points to another file is refused, and the other file is not opened."""
    data = mux("mp4", audio=AAC)
    assert b"\0\0\0\x0curl \0\0\0\x01" in data
    name = b"file:///etc/hostname\0"
    out = bytearray(data)
    at = out.index(b"\0\0\0\x0curl \0\0\0\x01")
    out[at : at + 12] = box(b"url ", bytes(4), name)
    for parent in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = out.rindex(parent, 0, at) - 4
        out[place : place + 4] = (int.from_bytes(out[place : place + 4]) + len(name)).to_bytes(4)
    with pytest.raises((NotMediaError, TruncatedError)):
        probe(wreck(bytes(out), None), Role.AUDIO)
