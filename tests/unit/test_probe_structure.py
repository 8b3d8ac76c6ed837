"""The readers of structure, one by one, on hand-made bytes."""

from __future__ import annotations

import io
import random
import struct
from array import array
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from archiver.errors import NotMediaError, RenditionError, TooLargeError, TruncatedError
from archiver.gateway.media import audio_bytes, image_bytes, video_bytes
from archiver.model import Role
from archiver.probe.boxes import boxes as inner_boxes
from archiver.probe.boxes import child, numbers
from archiver.probe.boxwalk import BoxWalker
from archiver.probe.flac import examine_flac
from archiver.probe.fragments import Fragments
from archiver.probe.frames import adts_frame, mpeg_frame
from archiver.probe.gathering import TAIL_BYTES
from archiver.probe.heif import examine_items
from archiver.probe.known import KnownBytes, SparseFile
from archiver.probe.matroska import MatroskaWalker, element_at
from archiver.probe.movie import Track, read_movie
from archiver.probe.pictures import check_gif, check_jpeg, check_png, exif_orientation, webp_size
from archiver.probe.riff import RiffWalker, check_riff, examine_wave
from archiver.probe.streams import FlvWalker, check_ogg, examine_flv
from archiver.probe.structure import shown_size
from archiver.probe.walking import Walker
from tests.mediasamples import PROBER, box, boxes, chunks, mux, probe, reader, sample


def walked(walker: Walker, data: bytes) -> Walker:
    """Let a walker see a file."""
    walker.feed(memoryview(data), 0)
    return walker


# --- sizes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coded", "aspect", "turn", "shown"),
    [
        ((720, 576), (1, 1), False, (720, 576)),
        ((720, 576), (16, 15), False, (768, 576)),
        ((720, 480), (8, 9), True, (480, 640)),
        ((5, 4), (1, 2), False, (3, 4)),
        ((96, 64), (0, 1), False, (96, 64)),
        ((96, 64), (1_000_000, 1), False, (96, 64)),
        ((0, 64), (1, 1), False, (None, None)),
    ],
)
def test_shown_sizes(coded, aspect, turn, shown) -> None:
    """Width is scaled by the pixel's shape, halves up, and turned last."""
    assert shown_size(*coded, aspect=aspect, quarter_turn=turn) == shown


# --- boxes -----------------------------------------------------------------------------------


def test_inner_boxes_of_every_form() -> None:
    """Sizes of 64 bits, of 0, longer than the parent, and padding are read as FFmpeg does."""
    long = b"\0\0\0\x01long" + (20).to_bytes(8) + b"abcd"
    data = box(b"one ", b"x") + long + b"\0\0\0\0rest" + b"yz"
    assert [(k, data[a:b]) for k, a, b in inner_boxes(data, 0, len(data))] == [
        (b"one ", b"x"), (b"long", b"abcd"), (b"rest", b"yz"),
    ]  # fmt: skip
    over = box(b"one ", b"x") + b"\0\0\xff\xffover" + b"yz"
    assert [over[a:b] for _, a, b in inner_boxes(over, 0, len(over))] == [b"x", b"yz"]
    padded = box(b"one ") + b"\0\0\0\x02" + bytes(9)
    assert [k for k, _, _ in inner_boxes(padded, 0, len(padded))] == [b"one "]
    assert child(data, 0, len(data), b"none") is None
    with pytest.raises(NotMediaError):
        list(inner_boxes(box(b"free") * 20_001, 0, 8 * 20_001))


def test_tables_are_big_endian_and_never_longer_than_their_box() -> None:
    """A table is read in one go, or refused."""
    data = struct.pack(">3I", 1, 2, 2**32 - 1)
    assert list(numbers(data, 0, 12, 3, "I")) == [1, 2, 2**32 - 1]
    assert list(numbers(struct.pack(">Q", 2**40), 0, 8, 1, "Q")) == [2**40]
    with pytest.raises(NotMediaError):
        numbers(data, 0, 12, 4, "I")


def test_top_level_boxes_of_every_form() -> None:
    """Sizes of 64 bits and "to the end" are followed; an impossible header stops the walk."""
    long = b"\0\0\0\x01mdat" + (32).to_bytes(8) + bytes(16)
    data = box(b"ftyp", b"isom" + bytes(4)) + long + box(b"free") + b"\0\0\0\0mdat" + bytes(99)
    walker = walked(BoxWalker(), data)
    assert walker.last is not None
    assert walker.last.at == len(data) - 107
    assert walker.stopped_at is None
    for wrong in (b"\0\0\0\x07free", b"\0\0\0\x10\x00\x01\x02\x03", b"\0\0\0\0zzzz", b"\0" * 8):
        assert walked(BoxWalker(), box(b"free") + wrong + bytes(50)).stopped_at == 8


# --- the index of a movie --------------------------------------------------------------------


def brute_force(track: Track) -> int:
    """Walk all samples one by one, as the standard describes the tables."""
    furthest = sample_number = 0
    for chunk, offset in enumerate(track.offsets, start=1):
        per_chunk = 0
        for first, count in zip(track.run_firsts, track.run_samples, strict=True):
            if first <= chunk:
                per_chunk = count
        place = offset
        for _ in range(per_chunk):
            if sample_number >= track.sample_count:
                break
            place += track.uniform_bytes or track.sizes[sample_number]
            sample_number += 1
            furthest = max(furthest, place)
    return furthest


@st.composite
def tracks(draw: st.DrawFn) -> Track:
    """A track with tables that fit together."""
    chunks = draw(st.integers(1, 12))
    firsts = sorted({1, *draw(st.lists(st.integers(1, chunks), max_size=4))})
    per_chunk = draw(st.lists(st.integers(1, 5), min_size=len(firsts), max_size=len(firsts)))
    ends = [*firsts[1:], chunks + 1]
    count = sum((e - f) * n for f, e, n in zip(firsts, ends, per_chunk, strict=True))
    if draw(st.booleans()):
        count = max(1, count - draw(st.integers(0, per_chunk[-1] - 1)))
    uniform = draw(st.sampled_from([0, 0, 3]))
    sizes = draw(st.lists(st.integers(0, 90), min_size=count, max_size=count))
    return Track(
        sample_count=count,
        uniform_bytes=uniform,
        sizes=array("I", [] if uniform else sizes),
        offsets=array("I", draw(st.lists(st.integers(0, 900), min_size=chunks, max_size=chunks))),
        run_firsts=array("I", firsts),
        run_samples=array("I", per_chunk),
    )


SHORT_LAST_CHUNK = Track(
    sample_count=4,
    uniform_bytes=10,
    offsets=array("I", [0, 100]),
    run_firsts=array("I", [1]),
    run_samples=array("I", [3]),
)
"""The tables promise six samples, of which the last chunk has one."""


@given(tracks(), st.integers(0, 1500))
@example(SHORT_LAST_CHUNK, 109)
@example(SHORT_LAST_CHUNK, 110)
def test_the_furthest_byte_is_found_without_walking_all_samples(track: Track, size: int) -> None:
    """Whether samples lie beyond the end is told exactly, and where the last of them ends."""
    wanted = brute_force(track)
    assert (track.furthest_byte(size) > size) == (wanted > size)
    if wanted > size:
        assert track.furthest_byte(size) == wanted


@given(tracks())
def test_the_last_sample_is_found(track: Track) -> None:
    """The last sample of the last chunk has the place that walking all samples gives."""
    if track.uniform_bytes:
        assert track.last_sample() is None
        return
    offset, length = track.last_sample() or (0, 0)
    assert length == track.sizes[-1]
    full, begin = 0, 0
    for chunk in range(1, len(track.offsets)):
        full = [n for f, n in zip(track.run_firsts, track.run_samples, strict=True) if f <= chunk][
            -1
        ]
        begin += full
    assert offset == track.offsets[-1] + sum(track.sizes[begin:-1])


def with_table(kind: bytes, table: bytes) -> bytes:
    """Return the index of the MP4 sample with another table of this kind in its first track."""
    data = bytearray(sample("mp4"))
    data = data[: boxes(bytes(data))[b"moov"][1]]
    start = data.index(kind) - 4
    old = int.from_bytes(data[start : start + 4])
    data[start : start + old] = table
    for parent in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        at = data.rindex(parent, 0, start) - 4
        data[at : at + 4] = (int.from_bytes(data[at : at + 4]) + len(table) - old).to_bytes(4)
    return bytes(data[boxes(bytes(data))[b"moov"][0] :])


def test_compact_sizes_and_long_offsets() -> None:
    """Sizes of 4, 8 and 16 bits and offsets of 64 bits are read like plain ones."""
    plain = read_movie(sample("mp4")[slice(*boxes(sample("mp4"))[b"moov"])], 8)
    count = plain.tracks[0].sample_count
    for bits, packed in (
        (4, b"\x12\x34" * (count // 4)),
        (8, bytes(range(count))),
        (16, b"".join(n.to_bytes(2) for n in range(count))),
    ):
        compact = box(b"stz2", bytes(4), b"\0\0\0", bytes([bits]), count.to_bytes(4), packed)
        track = read_movie(with_table(b"stsz", compact), 8).tracks[0]
        wanted = [1, 2, 3, 4] * (count // 4) if bits == 4 else list(range(count))
        assert list(track.sizes) == wanted
        short = box(b"stz2", bytes(4), b"\0\0\0", bytes([bits]), (count * 9).to_bytes(4), packed)
        with pytest.raises(NotMediaError):
            read_movie(with_table(b"stsz", short), 8)
    offsets = [2**33 + n for n in range(len(plain.tracks[0].offsets))]
    long = box(
        b"co64", bytes(4), len(offsets).to_bytes(4), struct.pack(f">{len(offsets)}Q", *offsets)
    )
    assert list(read_movie(with_table(b"stco", long), 8).tracks[0].offsets) == offsets


def test_samples_in_another_file_are_not_looked_for_here() -> None:
    """A track whose data reference is not this file is not measured against it."""
    data = sample("mp4").replace(b"\0\0\0\x0curl \0\0\0\x01", b"\0\0\0\x0curl \0\0\0\0")
    movie = read_movie(data[slice(*boxes(data)[b"moov"])], 8)
    assert [track.elsewhere for track in movie.tracks] == [True, True]
    assert not any(
        track.elsewhere
        for track in read_movie(sample("mp4")[slice(*boxes(sample("mp4"))[b"moov"])], 8).tracks
    )


def test_too_many_tracks_are_refused() -> None:
    """No real file has hundreds of tracks."""
    with pytest.raises(NotMediaError):
        read_movie(box(b"moov", box(b"trak") * 65), 8)
    with pytest.raises(NotMediaError):
        read_movie(box(b"moov", box(b"mvhd")), 8)


def test_an_index_too_large_to_keep_is_read_back() -> None:
    """An index over 8 MiB is read from the store; where that is closed, boxes alone decide."""
    data = video_bytes(width=96, height=64, faststart=False)
    start, end = boxes(data)[b"moov"]
    filler = box(b"free", bytes(9_000_000))
    moov = (end - start + len(filler)).to_bytes(4) + data[start + 4 : end] + filler
    large = data[:start] + moov
    wanted = probe(data, Role.VIDEO)
    assert probe(large, Role.VIDEO, peek=reader(large)) == wanted
    assert probe(large, Role.VIDEO).kind == "video"
    with pytest.raises(TruncatedError):
        probe(large[:-1], Role.VIDEO)
    broken = large.replace(b"stco\0\0\0\0\0\0\0\x01\0\0", b"stco\0\0\0\0\0\0\0\x01\x0f\0")
    assert broken != large
    with pytest.raises(TruncatedError, match="index names"):
        probe(broken, Role.VIDEO, peek=reader(broken))


# --- fragments -------------------------------------------------------------------------------


def fragment(tfhd_flags: int, tfhd: bytes, trun_flags: int, count: int, trun: bytes) -> bytes:
    """Return a fragment of track 1 with one run."""
    return box(
        b"moof",
        box(
            b"traf",
            box(b"tfhd", struct.pack(">II", tfhd_flags, 1), tfhd),
            box(b"tfdt", struct.pack(">II", 0, 500)),
            box(b"trun", struct.pack(">II", trun_flags, count), trun),
        ),
    )


FRAGMENTS = {
    "defaults of the fragment": (
        fragment(0x020018, struct.pack(">II", 10, 7), 0x1, 3, struct.pack(">i", 100)), 1121, 530,
    ),
    "base offset": (
        fragment(0x1 | 0x18, struct.pack(">QII", 4000, 10, 7), 0x1, 3, struct.pack(">i", 100)),
        4121, 530,
    ),
    "no offset": (fragment(0x020018, struct.pack(">II", 10, 7), 0, 3, b""), 1021, 530),
    "description index": (
        fragment(0x02001A, struct.pack(">III", 1, 10, 7), 0, 3, b""), 1021, 530,
    ),
    "sizes and durations": (
        fragment(0x020000, b"", 0x301, 2, struct.pack(">iIIII", 50, 11, 20, 12, 30)), 1100, 523,
    ),
    "first flags and offsets": (
        fragment(
            0x020008, struct.pack(">I", 9), 0xE05, 2,
            struct.pack(">i7I", 50, 0, 20, 0, 0, 30, 0, 0),
        ),
        1100, 518,
    ),
    "defaults of the index": (fragment(0x020000, b"", 0, 2, b""), 1010, 508),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAGMENTS)
def test_fragments_are_added_up(name: str) -> None:
    """Where a fragment's data end, and when its track ends, in all forms of its headers."""
    moof, data_end, ticks = FRAGMENTS[name]
    found = Fragments()
    trex = box(b"trex", bytes(4), struct.pack(">5I", 1, 1, 4, 5, 0))
    found.read_defaults(box(b"moov", box(b"mvex", trex)), 8)
    found.add(moof, 1000, 8)
    assert found.fault == ""
    assert (found.data_end, found.tracks[1].ticks, found.tracks[1].begin) == (data_end, ticks, 500)


@pytest.mark.parametrize("version", [0, 1])
def test_segment_indexes_are_added_up(version: int) -> None:
    """A segment index names sizes from its own end on."""
    form = ">QQHH" if version else ">IIHH"
    entries = struct.pack(">6I", 100, 48_000, 0, 0x80000000 | 200, 96_000, 0)
    sidx = box(
        b"sidx", bytes([version, 0, 0, 0]), struct.pack(">II", 1, 48_000),
        struct.pack(form, 0, 30, 0, 2), entries,
    )  # fmt: skip
    found = Fragments()
    found.add_index(sidx, 8, 1000)
    assert (found.index_end, found.fault) == (1330, "")


@pytest.mark.parametrize(
    "moof",
    [
        box(b"moof", box(b"traf")),
        box(b"moof", box(b"traf", box(b"tfhd"))),
        fragment(0x020000, b"", 0x200, 1000, b""),
        fragment(0x020000, b"", 0, 2**20 + 1, b""),
    ],
)
def test_damaged_fragments_are_remembered(moof: bytes) -> None:
    """While it streams by a damaged fragment is noted, not raised."""
    found = Fragments()
    found.add(moof, 0, 8)
    assert found.fault
    index = Fragments()
    index.add_index(box(b"sidx", moof[:20]), 8, 8)
    assert index.fault


# --- pictures --------------------------------------------------------------------------------


@given(st.integers(0, 10), st.sampled_from(["<", ">"]), st.integers(0, 3))
def test_orientation_is_read(value: int, order: str, before: int) -> None:
    """The orientation is found among other tags, in both byte orders; nonsense is 1."""
    entries = b"".join(struct.pack(order + "HHIHH", 0x100 + n, 3, 1, 77, 0) for n in range(before))
    entries += struct.pack(order + "HHIHH", 0x0112, 3, 1, value, 0)
    mark = b"II" if order == "<" else b"MM"
    exif = mark + struct.pack(order + "HIH", 42, 8, before + 1) + entries + bytes(4)
    assert exif_orientation(exif) == (value if 1 <= value <= 8 else 1)
    assert exif_orientation(b"Exif\0\0" + exif) == exif_orientation(exif)


@given(st.binary(max_size=60))
def test_damaged_exif_is_no_orientation(junk: bytes) -> None:
    """Whatever the bytes, there is an orientation, and no error."""
    for data in (junk, b"II*\0" + junk, b"MM\0*\0\0\0\x08" + junk):
        assert 1 <= exif_orientation(data) <= 8


def test_webp_sizes_are_read_from_all_three_headers() -> None:
    """Lossy, lossless and extended WebP tell their size before anything is unpacked."""
    for how in ({}, {"lossless": True}, {"exif": Image.Exif().tobytes()}):
        target = io.BytesIO()
        Image.new("RGB", (300, 77), "red").save(target, format="WEBP", **how)
        assert webp_size(target.getvalue()) == (300, 77)
    assert webp_size(b"RIFF") == (0, 0)


def test_large_webp_is_judged_by_its_structure() -> None:
    """Over 24 megapixels a WebP picture is not opened; its size and orientation are known still."""
    data = bytearray(image_bytes(width=60, height=40, image_format="WEBP", exif_orientation=6))
    assert data[12:16] == b"VP8X"
    data[24:30] = (5999).to_bytes(3, "little") + (4999).to_bytes(3, "little")
    found = probe(bytes(data), Role.IMAGE)
    assert (found.width_px, found.height_px) == (5000, 6000)
    with pytest.raises(TruncatedError):
        probe(bytes(data[:-20]), Role.IMAGE)


def test_large_pictures_are_not_held_as_a_whole() -> None:
    """A JPEG of 36 megapixels is decoded small, or not at all if it is progressive."""
    for progressive in (False, True):
        target = io.BytesIO()
        Image.new("L", (6000, 6000), 99).save(target, format="JPEG", progressive=progressive)
        assert check_jpeg(target.getvalue()).progressive == progressive
        assert probe(target.getvalue(), Role.IMAGE).width_px == 6000
        with pytest.raises(TruncatedError):
            probe(target.getvalue()[:-100], Role.IMAGE)
    target = io.BytesIO()
    Image.new("1", (6000, 6000)).save(target, format="TIFF", compression="group4")
    assert probe(target.getvalue(), Role.IMAGE).width_px == 6000
    with pytest.raises(TooLargeError):
        probe(
            sample("bmp")[:18] + struct.pack("<ii", 15_000, 15_000) + sample("bmp")[26:], Role.IMAGE
        )


def test_markers_of_jpeg_are_followed() -> None:
    """Fill bytes, restart markers and segments that hold an end marker are no end."""
    data = sample("jpg")
    comment = b"\xff\xff\xfe\x00\x06\xff\xd9\xff\xd9"
    longer = check_jpeg(data[:2] + comment + data[2:])
    plain = check_jpeg(data)
    assert longer == replace(plain, pixels_at=plain.pixels_at + len(comment))
    for cut in (data[:3], data[:4], data[:2] + b"\xff\xfe\xff\xff", data[:-2], data[:-1]):
        with pytest.raises(TruncatedError):
            check_jpeg(cut)


@pytest.mark.parametrize("kind", ["flip", "zeros", "chance", "cut", "twice", "marker"])
def test_the_beginning_of_a_jpeg_tells_what_all_of_it_would(kind: str) -> None:
    """Only the first pixels are decoded: damage behind them is found as by decoding all of them."""
    chance = random.Random(kind)
    sound = [_grained_jpeg(chance, **options) for options in _JPEG_OPTIONS]
    for data in sound:
        assert len(data) > check_jpeg(data).pixels_at + 16_384
    refused = 0
    for _ in range(150):
        damaged = _damaged(chance.choice(sound), kind, chance)
        by_probe, by_pillow = _refuses(damaged), _pillow_refuses(damaged)
        assert by_probe or not by_pillow
        refused += by_probe
    assert kind not in ("chance", "marker") or refused > 40


_JPEG_OPTIONS: tuple[dict[str, int], ...] = (
    {"quality": 90},
    {"quality": 60, "subsampling": 2},
    {"quality": 90, "restart_marker_rows": 2},
)


def _grained_jpeg(chance: random.Random, **options: int) -> bytes:
    tile = Image.frombytes("RGB", (160, 120), chance.randbytes(160 * 120 * 3))
    target = io.BytesIO()
    tile.resize((640, 480)).save(target, format="JPEG", **options)
    return target.getvalue()


def _damaged(data: bytes, kind: str, chance: random.Random) -> bytes:
    changed = bytearray(data)
    at = chance.randrange(check_jpeg(data).pixels_at, len(data) - 2)
    end = min(len(data) - 2, at + chance.randrange(1, 3000))
    if kind == "flip":
        changed[at] = chance.randrange(256)
    elif kind == "zeros":
        changed[at:end] = bytes(end - at)
    elif kind == "chance":
        changed[at:end] = chance.randbytes(end - at)
    elif kind == "cut":
        changed[at:] = b"\xff\xd9"
    elif kind == "twice":
        changed[at:at] = changed[at:end]
    else:
        changed[at : at + 2] = bytes([0xFF, chance.randrange(256)])
    return bytes(changed)


def _refuses(data: bytes) -> bool:
    try:
        probe(data, Role.IMAGE)
    except RenditionError:
        return True
    return False


def _pillow_refuses(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except OSError:
        return True
    return False


def test_unknown_blocks_of_gif_are_refused() -> None:
    """Something that is no block is damage, zeros between blocks are not."""
    data = sample("gif")
    assert check_gif(data[:-1] + b"\0\0;").frames == 1
    with pytest.raises(NotMediaError):
        check_gif(data[:-1] + b"\x99;")


def test_frames_of_an_animated_png_are_counted() -> None:
    """An animation control chunk tells how many frames there are."""
    assert check_png(sample("png-animated")).frames == 3
    assert check_png(sample("png")).frames == 1


def item_box(version: int, sizes: int, entry: bytes) -> bytes:
    """Return a `meta` with one item location."""
    count = (1).to_bytes(4 if version == 2 else 2)
    iloc = box(b"iloc", bytes([version, 0, 0, 0]), sizes.to_bytes(2), count, entry)
    return box(b"meta", bytes(4), iloc)


@pytest.mark.parametrize(
    ("version", "sizes", "entry", "end"),
    [
        (0, 0x4400, struct.pack(">HHHII", 1, 0, 1, 40, 60), 100),
        (0, 0x4440, struct.pack(">HHIHII", 1, 0, 30, 1, 10, 60), 100),
        (1, 0x4401, struct.pack(">HHHHBII", 1, 0, 0, 1, 9, 40, 60), 100),
        (2, 0x8800, struct.pack(">IHHHQQ", 1, 0, 0, 1, 40, 60), 100),
        (1, 0x4400, struct.pack(">HHHHII", 1, 1, 0, 1, 40, 60), 0),
        (0, 0x4400, struct.pack(">HHHII", 1, 1, 1, 40, 60), 0),
    ],
)
def test_places_of_items_are_read(version: int, sizes: int, entry: bytes, end: int) -> None:
    """Items in the file are measured against it in all forms; others are not."""
    data = item_box(version, sizes, entry)
    walker = walked(BoxWalker(), data)
    assert isinstance(walker, BoxWalker)
    examine_items(walker, KnownBytes(max(end, len(data)), [(0, data)], None))
    if end:
        with pytest.raises(TruncatedError, match="index names bytes up to 100"):
            examine_items(walker, KnownBytes(99, [(0, data)], None))
    cut = walked(BoxWalker(), item_box(version, sizes, entry[:-3]))
    assert isinstance(cut, BoxWalker)
    with pytest.raises(NotMediaError):
        examine_items(cut, KnownBytes(10_000, [], None))


# --- Matroska, RIFF, rows --------------------------------------------------------------------


def test_ebml_headers_are_read() -> None:
    """Ids of one to four bytes, sizes of one to eight, unknown sizes, and what can be none."""
    assert element_at(b"\xe7\x81\x05", 0, 10).end == 13  # type: ignore[union-attr]
    assert element_at(b"\x1a\x45\xdf\xa3\x40\x02", 0, 0).end == 8  # type: ignore[union-attr]
    long = element_at(b"\xec\x01\0\0\0\0\0\0\x09", 0, 0)
    assert long is not None
    assert (long.header_bytes, long.end) == (9, 18)
    assert element_at(b"\xec\xff", 0, 0).end > 1 << 60  # type: ignore[union-attr]
    assert element_at(b"\xec\x40", 0, 0) is None
    for wrong in (b"\0\x81", b"\x08\x81", b"\xec\0"):
        with pytest.raises(ValueError, match="not an EBML"):
            element_at(wrong, 0, 0)


def test_zeros_in_a_matroska_file_are_damage() -> None:
    """Where no element can be, the file is refused; a live file may end anywhere whole."""
    data = sample("webm-live")
    cluster = data.index(b"\x1f\x43\xb6\x75")
    with pytest.raises(NotMediaError, match="breaks off"):
        probe(data[:cluster] + bytes(40) + data[cluster:], Role.VIDEO)
    with pytest.raises(TruncatedError, match="description"):
        probe(data[: data.rindex(b"\x16\x54\xae\x6b", 0, cluster)], Role.VIDEO)
    walker = walked(MatroskaWalker(), data)
    assert isinstance(walker, MatroskaWalker)
    assert walker.last_ticks == pytest.approx(1980, abs=30)


def test_a_live_recording_that_announces_more_is_cut() -> None:
    """Without lengths, the announced duration is what tells of missing clusters."""
    data = sample("mkv")
    segment = data.index(b"\x18\x53\x80\x67")
    live = bytearray(data)
    live[segment + 4 : segment + 12] = b"\x01" + b"\xff" * 7
    duration = live.index(b"\x44\x89\x88") + 3
    cues = live.index(b"\x1c\x53\xbb\x6b", live.index(b"\x1f\x43\xb6\x75"))
    live[duration : duration + 8] = struct.pack(">d", 1000.0)
    assert probe(bytes(live[:cues]), Role.VIDEO).duration_s == 1.0
    live[duration : duration + 8] = struct.pack(">d", 9000.0)
    with pytest.raises(TruncatedError, match="announces 9"):
        probe(bytes(live[:cues]), Role.VIDEO)


def test_cues_that_name_missing_clusters_are_a_cut() -> None:
    """Where lengths are not told, cues in front of the clusters tell of those that are missing."""
    data = sample("mkv-cues-first")
    cues = data.index(b"\x1c\x53\xbb\x6b", 100)
    assert cues < data.index(b"\x1f\x43\xb6\x75")
    segment = data.index(b"\x18\x53\x80\x67")
    live = bytearray(data)
    live[segment + 4 : segment + 12] = b"\x01" + b"\xff" * 7
    assert probe(bytes(live), Role.VIDEO).codec == "h264"
    position = live.index(b"\xf1\x82", cues)
    live[position + 2 : position + 4] = b"\x7f\xff"
    with pytest.raises(TruncatedError, match="cues name byte"):
        probe(bytes(live), Role.VIDEO)


def wave(data_size: int, riff_size: int, length: int, *, more: bytes = b"") -> bytes:
    """Return a WAV header with these sizes and some silence."""
    form = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    return (
        b"RIFF" + struct.pack("<I", riff_size) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", data_size) + bytes(length) + more
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data_size", "riff_size"),
    [
        (1000, 1036), (0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0x7FFFFFFF, 0x7FFFFFFF + 36),
        (0x80000000, 0x80000024), (1000, 0), (1000, 1044), (0xFFFFFFDB, 0xFFFFFFFF),
    ],
)  # fmt: skip
def test_wave_sizes_as_real_writers_leave_them(data_size: int, riff_size: int) -> None:
    """Sizes that a writer to a pipe could not know, and one common mistake, raise no alarm."""
    found = probe(wave(data_size, riff_size, 1000), Role.AUDIO)
    assert found.duration_s == pytest.approx(1000 / 8000, abs=0.001)


@pytest.mark.parametrize(("data_size", "riff_size"), [(1001, 1036), (1000, 1045), (5000, 0)])
def test_wave_sizes_that_are_not_reached(data_size: int, riff_size: int) -> None:
    """A chunk, or the whole, that goes beyond the end is a cut."""
    with pytest.raises(TruncatedError):
        probe(wave(data_size, riff_size, 1000), Role.AUDIO)


def test_odd_chunks_are_padded() -> None:
    """A chunk of odd length is followed by a byte that does not count, and may be missing."""
    whole = wave(999, 999 + 1 + 36 + 12, 1000, more=b"LIST\x04\0\0\0INFO")
    assert probe(whole, Role.AUDIO).codec == "pcm_u8"
    with pytest.raises(TruncatedError):
        probe(whole[:-1], Role.AUDIO)
    walker = walked(RiffWalker(), wave(999, 999 + 36, 999))
    assert isinstance(walker, RiffWalker)
    check_riff(walker, 999 + 44)


def test_wave_without_sound_or_form_is_refused() -> None:
    """A header alone is a cut; sound without a description is damage."""
    header = wave(1000, 1036, 0)[:36]
    with pytest.raises(TruncatedError):
        probe(header, Role.AUDIO)
    walker = walked(RiffWalker(), wave(1000, 1036, 1000).replace(b"fmt ", b"fmtx"))
    assert isinstance(walker, RiffWalker)
    with pytest.raises(NotMediaError):
        examine_wave(walker, 1044)


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"\xff\xfb\x90\x64", 417),
        (b"\xff\xfb\x92\x64", 418),
        (b"\xff\xf3\x40\xc4", 72 * 32_000 // 22_050),
        (b"\xff\xfd\x80\x04", 144 * 128_000 // 44_100),
        (b"\xff\xff\x10\x04", 12 * 32_000 // 44_100 * 4),
        (b"\xff\xe3\x18\xc4", 72 * 8000 // 8000),
    ],
)
def test_mpeg_frame_headers(head: bytes, length: int) -> None:
    """The length of a frame follows from its header, in all versions and layers."""
    frame = mpeg_frame(head, 0)
    assert frame is not None
    assert frame.length == length


def test_lengths_of_real_frames() -> None:
    """In real files each frame header stands where the one before it ends."""
    for codec, read in (("mp3", mpeg_frame), ("adts", adts_frame), ("mp2", mpeg_frame)):
        data = audio_bytes(seconds=1) if codec == "mp3" else sample(codec)
        at, count = data.index(b"\xff"), 0
        while (frame := read(data, at)) is not None:
            at, count = at + frame.length, count + 1
        assert at == len(data)
        assert count > 30
    for wrong in (
        b"\xff\xea\x90\x64",
        b"\xff\xfb\xf0\x64",
        b"\xff\xfb\x9c\x64",
        b"\xff\xfb\x90\x66",
    ):
        assert mpeg_frame(wrong, 0) is None
    assert adts_frame(b"\xff\xf1\xfc\x80\x00\x1f\xfc", 0) is None
    assert adts_frame(b"\xff\xf1\x50\x80\x00\x1f\xfc", 0) is None


def test_a_xing_header_without_a_length_says_nothing() -> None:
    """Then the last frames are looked at."""
    data = bytearray(audio_bytes(seconds=1))
    at = max(data.find(b"Xing"), data.find(b"Info"))
    for flags, size in ((0x0D, None), (0x0F, 0)):
        changed = bytearray(data)
        changed[at + 4 : at + 8] = flags.to_bytes(4)
        if size is not None:
            changed[at + 12 : at + 16] = size.to_bytes(4)
        assert probe(bytes(changed), Role.AUDIO).codec == "mp3"
        with pytest.raises(TruncatedError, match="last audio frame"):
            probe(bytes(changed[:-20]), Role.AUDIO)


def test_the_last_page_of_ogg() -> None:
    """The last page must be whole and be marked as the last one."""
    data = sample("opus")
    check_ogg(data, len(data))
    check_ogg(data + b"junk behind", len(data) + 11)
    last = data.rindex(b"OggS")
    for cut in (data[:-1], data[: last + 4], data[: last + 20], data[: last + 27], data[:last]):
        with pytest.raises(TruncatedError):
            check_ogg(cut, len(cut))
    with pytest.raises(NotMediaError):
        check_ogg(bytes(1000), 1000)


def test_flac_of_every_form() -> None:
    """Unknown totals, tags behind the end, and frames beyond what was kept."""
    data = audio_bytes(seconds=1, codec="flac")
    packed = int.from_bytes(data[18:26])
    unknown = data[:18] + (packed >> 36 << 36).to_bytes(8) + data[26:]
    whole = {"whole": True}
    assert examine_flac(unknown, unknown, **whole).duration_s == pytest.approx(1.0)
    ape = b"x" * 40 + b"APETAGEX" + struct.pack("<IIIQ", 2000, 72, 1, 0)[:24].ljust(24, b"\0")
    for tagged in (data + b"TAG" + bytes(125), data + ape):
        assert examine_flac(data, tagged, **whole).duration_s == pytest.approx(1.0)
    assert examine_flac(data, bytes(1000), whole=False).duration_s == pytest.approx(1.0)
    for cut in (data[:-1], data[: len(data) // 2], data[:41]):
        with pytest.raises(TruncatedError):
            examine_flac(cut, cut, **whole)
    more = data[:18] + (packed + 1).to_bytes(8) + data[26:]
    with pytest.raises(TruncatedError):
        examine_flac(more, more, **whole)


def test_flv_announces_its_length() -> None:
    """Duration and length in the metadata of an FLV file are held against its tags."""
    data = sample("flv")
    walker = walked(FlvWalker(), data)
    assert isinstance(walker, FlvWalker)
    assert walker.file_bytes == len(data)
    assert examine_flv(walker, len(data)).duration_s == pytest.approx(2.08, abs=0.05)
    longer = data.replace(struct.pack(">d", walker.duration_s), struct.pack(">d", 60.0))
    with pytest.raises(TruncatedError, match="announces 60"):
        probe(longer, Role.VIDEO)
    with pytest.raises(TruncatedError):
        probe(mux("flv", video="libx264", pipe=True)[:-3], Role.VIDEO)


def test_a_walk_ends_where_no_real_file_goes_on() -> None:
    """After hundreds of thousands of elements the walk is given up."""
    walker = walked(BoxWalker(), box(b"free") * (BoxWalker.max_elements + 5))
    assert walker.stopped_at == 8 * BoxWalker.max_elements


def test_the_last_quarter_megabyte_is_always_at_hand() -> None:
    """Whatever the chunks, the tail that the checks need was kept."""
    whole = bytes(range(251)) * 20_000
    for size in (1000, 65_536, 300_000):
        gathered = PROBER.gather()
        for part in chunks(whole, size):
            gathered.feed(part)
            at = max(0, gathered.size_bytes - TAIL_BYTES)
            assert gathered.known(None).read(at, TAIL_BYTES) == whole[at : gathered.size_bytes]


# --- files with holes ------------------------------------------------------------------------


@given(st.data())
def test_a_file_with_holes_reads_like_the_file(data: st.DataObject) -> None:
    """Every byte that comes is right; only at a hole or at the end come fewer."""
    whole = bytes(range(200))
    cuts = sorted(data.draw(st.lists(st.integers(0, 200), min_size=2, max_size=6)))
    pieces = [(a, whole[a:b]) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    file = SparseFile(KnownBytes(200, pieces, None))
    place = file.seek(data.draw(st.integers(0, 220)))
    size = data.draw(st.integers(0, 220))
    read = file.read(size)
    assert read == whole[place : place + len(read)]
    known = {n for a, piece in pieces for n in range(a, a + len(piece))}
    after = place + len(read)
    assert len(read) == min(size, max(0, 200 - place)) or after not in known
    assert file.missed == (not read and size > 0 and place < 200)
    assert file.tell() == after
    assert file.seek(-5, io.SEEK_END) == 195
    assert file.seek(3, io.SEEK_CUR) == 198
    filled = SparseFile(KnownBytes(200, pieces, reader(whole)))
    assert filled.read() == whole
