"""The probe on files made to cost memory or time."""

from __future__ import annotations

import io
import resource
import struct
import time
import tracemalloc
import zlib
from fractions import Fraction

import av
import pytest
from PIL import Image

from archiver.errors import ArchiverError, NotMediaError, TooLargeError, TruncatedError
from archiver.gateway.media import audio_bytes, image_bytes
from archiver.model import Role
from archiver.probe.pictures import unpack_png
from tests.mediasamples import PROBER, box, boxes, mux, probe, sample

REFUSED = (NotMediaError, TruncatedError, TooLargeError)
MUCH_BYTES = 300_000_000


def cheaply_refused(data: bytes, role: Role, *kinds: type[ArchiverError], seconds: float = 2.0):
    """Judge a hostile file; return the error, having checked what the judgement cost."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    with pytest.raises(kinds or REFUSED) as caught:
        probe(data, role, peek=lambda offset, length: data[offset : offset + length])
    assert time.process_time() - start < seconds
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib * 1024 < MUCH_BYTES
    return caught.value


def png(width: int, height: int, pixels: bytes, *, more: bytes = b"", bits: int = 1) -> bytes:
    """Return a grey PNG with this packed content."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content).to_bytes(4)
        return len(content).to_bytes(4) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more
        + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )  # fmt: skip


def packed(rows: int, row_bytes: int) -> bytes:
    """Pack rows of zeros, without holding them all."""
    packer = zlib.compressobj(1)
    block = bytes(row_bytes + 1) * 64
    parts = [
        packer.compress(block[: (row_bytes + 1) * min(64, rows - r)]) for r in range(0, rows, 64)
    ]
    return b"".join(parts) + packer.flush()


def test_a_png_of_sixty_thousand_squared_is_not_unpacked() -> None:
    """A picture that declares 3.6 gigapixels is too large, whatever it holds."""
    bomb = png(60_000, 60_000, packed(6000, 7500))
    assert len(bomb) < 1_000_000
    assert cheaply_refused(bomb, Role.IMAGE, TooLargeError).final


def test_a_large_honest_png_is_unpacked_in_little_memory() -> None:
    """A picture of 128 MB is checked to its last pixel without holding them."""
    honest = png(8000, 8000, packed(8000, 16_000), bits=16)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert probe(honest, Role.IMAGE).width_px == 8000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 50_000_000
    with pytest.raises(TruncatedError, match="of its pixels"):
        probe(png(8000, 8000, packed(7999, 16_000), bits=16), Role.IMAGE)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (33, 17)])
def test_unpacked_sizes_of_interlaced_pictures_are_right(size: tuple[int, int]) -> None:
    """The bytes that a PNG must hold are counted right, interlaced or not, at any depth."""
    width, height = size
    for bits in (1, 8, 16):
        row = -(-width * bits // 8)
        whole = png(width, height, zlib.compress(bytes(height * (row + 1))), bits=bits)
        unpack_png(io.BytesIO(whole))
        with pytest.raises(TruncatedError):
            unpack_png(
                io.BytesIO(
                    png(width, height, zlib.compress(bytes(height * (row + 1) - 1)), bits=bits)
                )
            )
    passes = (
        (8, 8, 0, 0),
        (8, 8, 4, 0),
        (4, 8, 0, 4),
        (4, 4, 2, 0),
        (2, 4, 0, 2),
        (2, 2, 1, 0),
        (1, 2, 0, 1),
    )
    total = sum(
        len(range(top, height, down)) * (1 + -(-len(range(left, width, across)) // 8))
        for across, down, left, top in passes
        if range(left, width, across)
    )
    for length, fits in ((total, True), (total - 1, False)):
        data = bytearray(png(width, height, zlib.compress(bytes(length))))
        data[28] = 1
        if fits:
            unpack_png(io.BytesIO(data))
        else:
            with pytest.raises(TruncatedError):
                unpack_png(io.BytesIO(data))


def gif(width: int, height: int, frames: int) -> bytes:
    """Return a GIF whose frames are one pixel each on a huge screen."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b"\x3b"


@pytest.mark.parametrize(
    ("width", "height", "frames"),
    [(60_000, 60_000, 1), (8000, 8000, 2), (4000, 4000, 19_000), (8, 8, 90_000)],
)
def test_a_gif_bomb_is_not_unpacked(width: int, height: int, frames: int) -> None:
    """Huge screens, and screens times frames, are too large."""
    cheaply_refused(gif(width, height, frames), Role.IMAGE, TooLargeError)


def test_a_small_gif_with_many_frames_is_let_pass() -> None:
    """Many frames of few pixels are an honest animation."""
    assert probe(gif(64, 64, 300), Role.IMAGE).width_px == 64


def test_other_picture_bombs_are_not_unpacked() -> None:
    """A declared size is checked before the decoder takes memory for it, whatever the format."""
    webp = bytearray(image_bytes(width=60, height=40, image_format="WEBP", frames=2))
    assert webp[12:16] == b"VP8X"
    webp[24:30] = b"\xfe\x3f\0\xfe\x3f\0"
    cheaply_refused(bytes(webp), Role.IMAGE, TooLargeError)
    jpeg = bytearray(sample("jpg"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    cheaply_refused(bytes(jpeg), Role.IMAGE, TooLargeError)
    bmp = bytearray(sample("bmp"))
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    cheaply_refused(bytes(bmp), Role.IMAGE, TooLargeError)


def test_a_jpeg_of_many_scans_is_not_decoded() -> None:
    """A progressive picture with hundreds of scans over many pixels would take minutes."""
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, 8000, 8000, 1) + b"\x01\x11\x00"
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + b"\x01\x00\x00\x00\x00" + b"\x00"
    bomb = b"\xff\xd8" + frame + scan * 5000 + b"\xff\xd9"
    cheaply_refused(bomb, Role.IMAGE, TooLargeError)


def test_an_xml_bomb_in_a_picture_is_refused() -> None:
    """Entities that unfold to gigabytes are not unfolded."""
    lines = ['<!ENTITY a0 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa">']
    lines += [f'<!ENTITY a{n} "{f"&a{n - 1};" * 20}">' for n in range(1, 9)]
    bomb = f"<?xml version='1.0'?><!DOCTYPE svg [{''.join(lines)}]><svg><text>&a8;</text></svg>"
    cheaply_refused(bomb.encode(), Role.IMAGE, NotMediaError)


def changed(data: bytes, kind: bytes, at: int, *values: int) -> bytes:
    """Overwrite numbers in the first box of a type, wherever it is."""
    out = bytearray(data)
    place = out.index(kind) + 4 + at
    struct.pack_into(f">{len(values)}I", out, place, *values)
    return bytes(out)


MOVIE_BOMBS = {
    "stsz count": lambda d: changed(d, b"stsz", 4, 0, 0xFFFF_FFFF),
    "stsz uniform": lambda d: changed(d, b"stsz", 4, 1, 0xFFFF_FFFF),
    "stsz uniform, one chunk": lambda d: changed(
        changed(d, b"stsz", 4, 1, 0xF000_0000), b"stsc", 8, 1, 0xFFFF_FFFF
    ),
    "stsc count": lambda d: changed(d, b"stsc", 4, 0xFFFF_FFFF),
    "stco count": lambda d: changed(d, b"stco", 4, 0x4000_0000),
    "stco offset": lambda d: changed(d, b"stco", 8, 0xFFFF_FFF0),
    "stts count": lambda d: changed(d, b"stts", 4, 0x7FFF_FFFF),
    "moov size": lambda d: changed(d, b"moov", -8, 0xFFFF_FFF0),
    "mdat size": lambda d: changed(d, b"mdat", -8, 0xFFFF_FFF0),
    "first size": lambda d: changed(d, b"ftyp", -8, 0x7FFF_FFF0),
    "size of all": lambda d: d[: boxes(d)[b"mdat"][0]]
    + b"\0\0\0\x01mdat" + b"\x7f" + b"\xff" * 7 + d[boxes(d)[b"mdat"][0] + 16 :],
}  # fmt: skip


@pytest.mark.parametrize("bomb", MOVIE_BOMBS)
def test_absurd_numbers_in_an_index_cost_nothing(bomb: str) -> None:
    """Counts and sizes of gigabytes in a small file are refused at once."""
    cheaply_refused(MOVIE_BOMBS[bomb](sample("mp4")), Role.VIDEO, seconds=0.5)


@pytest.mark.parametrize("count", [2**20 + 1, 2**28, 2**32 - 1])
def test_a_run_of_samples_without_bytes_is_refused(count: int) -> None:
    """A fragment that names millions of samples in twenty bytes is no fragment."""
    header = sample("mp4-fragmented")[: boxes(sample("mp4-fragmented"))[b"moov"][1]]
    run = box(b"trun", struct.pack(">II", 0, count))
    track = box(b"traf", box(b"tfhd", struct.pack(">II", 0x020000, 1)), run)
    bomb = header + box(b"moof", track) + box(b"mdat", bytes(100))
    cheaply_refused(bomb, Role.VIDEO, seconds=0.5)


def mjpeg(picture: bytes) -> bytes:
    """Return a movie of one JPEG picture, whose index says 96x64."""
    target = io.BytesIO()
    with av.open(target, mode="w", format="mov") as output:
        stream = output.add_stream("mjpeg", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        output.start_encoding()
        packet = av.Packet(picture)
        packet.stream, packet.pts, packet.dts, packet.duration = stream, 0, 0, 1
        packet.time_base = Fraction(1, 24)
        output.mux(packet)
    return target.getvalue()


def test_absurd_picture_sizes_in_a_video_cost_nothing() -> None:
    """A video that declares gigapixels, in its index or in its pictures, is not decoded."""
    data = bytearray(sample("mp4-opus"))
    at = data.index(b"vp09", data.index(b"stsd")) + 4 + 24
    data[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    cheaply_refused(bytes(data), Role.VIDEO, TooLargeError, seconds=0.5)
    picture = bytearray(sample("jpg"))
    at = picture.index(b"\xff\xc0") + 5
    picture[at : at + 4] = struct.pack(">HH", 60_000, 60_000)
    assert probe(mjpeg(sample("jpg")), Role.VIDEO).codec == "mjpeg"
    cheaply_refused(mjpeg(bytes(picture)), Role.VIDEO, NotMediaError, seconds=0.5)


def test_random_track_numbers_cost_nothing() -> None:
    """A track number of two billion, over which FFmpeg counts for seconds, is left to the index."""
    data = bytearray(sample("mp4-fragmented"))
    for kind, behind in ((b"tkhd", 16), (b"trex", 8), (b"tfhd", 8), (b"tfra", 8)):
        at = -1
        while (at := data.find(kind, at + 1)) >= 0:
            assert data[at + behind : at + behind + 4] == b"\0\0\0\x01"
            data[at + behind] = 0x93
    start = time.process_time()
    assert probe(bytes(data), Role.VIDEO) == probe(sample("mp4-fragmented"), Role.VIDEO)
    assert time.process_time() - start < 0.5


def test_many_boxes_cost_little() -> None:
    """Millions of empty boxes are given up."""
    head = sample("mp4")[: boxes(sample("mp4"))[b"ftyp"][1]]
    cheaply_refused(head + box(b"free") * 500_000, Role.VIDEO, seconds=10)
    tracks = box(b"moov", box(b"trak") * 100_000)
    cheaply_refused(head + tracks, Role.VIDEO)


def test_many_elements_cost_little() -> None:
    """Millions of empty elements in a Matroska file are refused."""
    head = sample("webm")[: sample("webm").index(b"\x1f\x43\xb6\x75")]
    cheaply_refused(head + b"\xec\x80" * 1_000_000, Role.VIDEO, seconds=10)


def test_many_tags_cost_little() -> None:
    """A row of empty ID3 tags without any sound is refused."""
    cheaply_refused(b"ID3\x04\0\0\0\0\0\0" * 200_000, Role.AUDIO)


def fed(data_parts) -> object:
    """Feed parts; return what was gathered."""
    gathered = PROBER.gather()
    for part in data_parts:
        gathered.feed(part)
    return gathered


@pytest.mark.parametrize(
    "name", ["mp4", "mp4-index-last", "webm", "wav", "mp3", "ts", "jpg", "none"]
)
def test_memory_is_bounded_while_a_large_file_streams_by(name: str) -> None:
    """Three hundred megabytes leave little behind: only of a picture is much kept."""
    start = {"none": b"nothing known"}.get(name) or sample(name)
    if name in ("mp4", "mp4-index-last"):
        end = boxes(start)[b"mdat"][1]
        start = start[:end] + (300_000_000).to_bytes(4) + b"free"
    block = bytes(1 << 20)
    tracemalloc.start()
    gathered = fed([start, *[block] * 300])
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert gathered.size_bytes == len(start) + 300 * len(block)
    assert held < 5_000_000
    assert peak < (160_000_000 if name == "jpg" else 8_000_000)


def test_a_picture_too_large_to_keep_is_judged_by_reading_back() -> None:
    """Over 64 MiB a picture is decoded from the store, or judged by its end if it cannot be."""
    filler = b"\xff\xfe" + (65_000).to_bytes(2) + bytes(64_998)
    picture = sample("jpg")
    huge = picture[:2] + filler * 1100 + picture[2:]
    assert len(huge) > 64 << 20

    def peek(offset: int, length: int) -> bytes:
        return huge[offset : offset + length]

    assert probe(huge, Role.IMAGE, chunk=1 << 20, peek=peek).width_px == 96
    assert probe(huge, Role.IMAGE, chunk=1 << 20).media_type == "image/jpeg"
    with pytest.raises(TruncatedError):
        probe(huge[:-2], Role.IMAGE, chunk=1 << 20)


def test_a_picture_just_too_large_keeps_its_end() -> None:
    """The end of a picture is at hand also when it outgrows the limit by a few bytes only."""
    picture = sample("jpg")
    wanted = (64 << 20) + 10
    filler = b"\xff\xfe\xff\xff" + bytes(65_533)
    rest = wanted - len(picture)
    pad = filler * (rest // len(filler) - 1)
    left = rest - len(pad)
    for part in (left // 2, left - left // 2):
        pad += b"\xff\xfe" + (part - 2).to_bytes(2) + bytes(part - 4)
    data = picture[:2] + pad + picture[2:]
    assert len(data) == wanted
    assert probe(data, Role.IMAGE, chunk=1 << 20).extension == "jpg"
    with pytest.raises(TruncatedError):
        probe(data[:-1], Role.IMAGE, chunk=1 << 20)


def test_the_end_of_large_sound_is_at_hand() -> None:
    """Of sound that is not kept whole the last frames are, so that a cut is found."""
    data = audio_bytes(seconds=220, codec="flac")
    assert len(data) > 2_500_000
    assert probe(data, Role.AUDIO).duration_s == 220.0
    for lost in (1, 1000, 100_000):
        with pytest.raises(TruncatedError):
            probe(data[:-lost], Role.AUDIO)


def test_large_frames_are_not_decoded() -> None:
    """A video whose index says 96x64, and whose pictures have 108 megapixels, is refused."""
    target = io.BytesIO()
    Image.new("L", (12_000, 9000), 99).save(target, format="JPEG")
    movie = mjpeg(target.getvalue())
    cheaply_refused(movie, Role.VIDEO, NotMediaError, seconds=0.5)


def test_feeding_is_fast() -> None:
    """A hundred megabytes pass in a fraction of the time that their digest takes."""
    data = mux("mp4", video="libx264")
    head = data[: boxes(data)[b"moov"][0]] if b"moov" in data[:100] else data
    block = bytes(256 << 10)
    gathered = PROBER.gather()
    gathered.feed(head[: boxes(data)[b"ftyp"][1]] + (200_000_000).to_bytes(4) + b"mdat")
    start = time.process_time()
    for _ in range(400):
        gathered.feed(block)
    assert time.process_time() - start < 0.3
