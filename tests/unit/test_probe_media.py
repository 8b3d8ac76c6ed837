"""The probe on real media: what they are, whole and cut, gathered in any way."""

from __future__ import annotations

import io
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import av
import pytest

from archiver.errors import StoreError, TruncatedError
from archiver.model import Role
from archiver.probe import MediaProber
from archiver.probe.boxwalk import BoxWalker
from archiver.probe.matroska import MatroskaWalker, examine_matroska
from archiver.probe.mp4 import examine_movie
from tests.mediasamples import (
    OTHERS,
    PROBER,
    SAMPLES,
    box,
    boxes,
    chunks,
    mux,
    probe,
    reader,
    role_of,
    sample,
)

UNNOTICED = {"adts", "avi-pipe", "flv-pipe", "mp2", "mp3-plain", "ts", "wav-pipe"}
"""Forms that declare no length at all, or only that of the packet they are in."""


@pytest.mark.parametrize("name", SAMPLES)
def test_media_are_what_they_were_made_as(name: str) -> None:
    """Kind, type, ending, shown size, duration, codec and frame rate are those of the file."""
    wanted = SAMPLES[name]
    found = probe(sample(name), wanted.role)
    assert (found.media_type, found.extension) == (wanted.media_type, wanted.extension)
    assert found.kind == wanted.role.value
    assert (found.width_px, found.height_px) == (wanted.size or (None, None))
    assert found.codec == wanted.codec
    assert found.frame_rate == (24.0 if wanted.role is Role.VIDEO else None)
    if wanted.duration_s is None:
        assert found.duration_s is None
    else:
        assert found.duration_s == pytest.approx(wanted.duration_s, abs=0.05)


@pytest.mark.parametrize("name", OTHERS)
def test_honest_media_of_other_muxers_pass(name: str) -> None:
    """Files written to a pipe, for one player, or in an old form raise no false alarm."""
    found = probe(sample(name), role_of(name))
    assert found.kind == role_of(name).value
    if name != "avi-pipe" and found.kind != "image":
        assert found.duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("name", [*SAMPLES, *OTHERS])
def test_the_way_of_gathering_changes_nothing(name: str) -> None:
    """Chunks of any size, and bytes read back or not, give the same answer."""
    data, role = sample(name), role_of(name)
    whole = probe(data, role, chunk=max(1, len(data)))
    assert probe(data, role, chunk=65_536) == whole
    assert probe(data, role, chunk=65_536, peek=reader(data)) == whole
    assert probe(data, role, chunk=7) == whole
    if len(data) < 40_000:
        assert probe(data, role, chunk=1) == whole


def cuts(data: bytes) -> list[int]:
    """Return twenty places spread over a file, and some close to its end."""
    spread = {len(data) * part // 21 for part in range(1, 21)}
    return sorted(spread | {len(data) - lost for lost in (1, 2, 3, 5, 9, 17)})


@pytest.mark.parametrize("name", [*SAMPLES, *(name for name in OTHERS if name not in UNNOTICED)])
def test_every_cut_is_noticed(name: str) -> None:
    """A file that ends before its own structure says so is refused as truncated."""
    data, role = sample(name), role_of(name)
    if name == "mp3-id3v1":
        data = data[:-128]
    for end in cuts(data):
        with pytest.raises(TruncatedError) as caught:
            probe(data[:end], role)
        assert caught.value.code == "truncated"


@pytest.mark.parametrize("name", ["adts", "flv-pipe", "mp2", "mp3-plain", "ts"])
def test_cuts_inside_a_packet_are_noticed(name: str) -> None:
    """Formats that declare no total are noticed at least when their last packet is cut."""
    data, role = sample(name), role_of(name)
    for lost in (1, 2, 5, 17):
        with pytest.raises(TruncatedError):
            probe(data[:-lost], role)


def test_a_row_of_packets_may_end_anywhere() -> None:
    """A transport stream has no total, so whole packets are all that can be asked for."""
    data = sample("ts")
    assert probe(data[: len(data) // 376 * 188], Role.VIDEO).width_px == 64


@pytest.mark.parametrize("junk", [b"\0" * 1000, b"\r\n", b"TAG" + b"Title" * 25, b"<!-- -->" * 9])
@pytest.mark.parametrize("name", ["mp4", "mp4-index-last", "jpg", "png", "gif", "webp", "wav"])
def test_junk_behind_the_end_is_let_pass(name: str, junk: bytes) -> None:
    """Bytes behind the end of a whole file are no cut."""
    assert probe(sample(name) + junk, role_of(name)) == probe(sample(name), role_of(name))


@pytest.mark.parametrize("name", ["mp3", "mp3-plain", "adts"])
def test_tags_behind_sound_are_let_pass(name: str) -> None:
    """A row of frames may be followed by a tag or by zeros."""
    for junk in (b"TAG" + bytes(125), bytes(3000)):
        assert probe(sample(name) + junk, Role.AUDIO).codec == probe(sample(name), Role.AUDIO).codec


@pytest.mark.parametrize(
    "name", [n for n, s in SAMPLES.items() if s.role is Role.VIDEO] + ["mp4-cmaf", "mov-pcm"]
)
def test_the_index_alone_knows_what_ffmpeg_knows(name: str) -> None:
    """Size, rotation, duration, rate and codec read from the index are those of FFmpeg."""
    data = sample(name)
    gathered = PROBER.gather()
    gathered.feed(data)
    walker = gathered.walker
    if isinstance(walker, BoxWalker):
        structure = examine_movie(walker, gathered.known(None))
    else:
        assert isinstance(walker, MatroskaWalker)
        structure = examine_matroska(walker, len(data))
    found = probe(data, Role.VIDEO)
    if name != "mkv":  # pixel aspect ratio and rotation are not in this one
        assert (structure.width_px, structure.height_px) == (found.width_px, found.height_px)
    with av.open(io.BytesIO(data)) as opened:
        stream = opened.streams.video[0]
        assert structure.duration_s == pytest.approx(opened.duration / 1e6, abs=0.03)
        assert structure.frame_rate == pytest.approx(float(stream.average_rate), abs=0.001)
        assert structure.codec == stream.codec_context.codec.canonical_name
        assert structure.has_audio == bool(opened.streams.audio)
        assert structure.has_video


def test_rotation_and_wide_pixels_are_read_from_matroska() -> None:
    """Display size and a quarter turn in a Matroska track change the shown size."""
    data = sample("webm")
    at = data.index(b"\xe0", data.index(b"\x86\x85V_VP9"))
    end = at + 2 + (data[at + 1] & 0x7F)
    assert data[at + 1] & 0x80
    video = data[at + 2 : end] + b"\x54\xb0\x81\x80" + b"\x54\xba\x81\x40"
    for more, size in ((b"", (128, 64)), (b"\x76\x70\x87\x76\x75\x84\x42\xb4\0\0", (64, 128))):
        patched = b"\xe0" + bytes([0x80 | len(video + more)]) + video + more
        found = probe(rebuilt_webm(data, at, end, patched), Role.VIDEO)
        assert (found.width_px, found.height_px) == size


def rebuilt_webm(data: bytes, at: int, end: int, video: bytes) -> bytes:
    """Replace the video settings; lengths around them become unknown or are mended."""
    grown = len(video) - (end - at)
    out = bytearray(data[:at] + video + data[end:])
    segment = out.index(b"\x18\x53\x80\x67")
    out[segment + 4 : segment + 12] = b"\x01" + b"\xff" * 7
    tracks = out.rindex(b"\x16\x54\xae\x6b")  # the first one is named in the seek head
    out[tracks + 4] += grown
    out[out.index(b"\xae\x01", tracks) + 8] += grown
    return bytes(out)


def test_sound_in_a_video_container_is_sound() -> None:
    """An MP4, WebM or Matroska file without pictures gets the type and ending of sound."""
    audio_in_mp4 = mux("mp4", audio=("aac", "fltp", 44_100))
    found = probe(audio_in_mp4, Role.AUDIO)
    assert (found.kind, found.media_type, found.extension) == ("audio", "audio/mp4", "m4a")
    found = probe(sample("weba"), Role.AUDIO)
    assert (found.kind, found.media_type, found.extension) == ("audio", "audio/webm", "webm")
    found = probe(sample("mka"), Role.AUDIO)
    assert (found.kind, found.media_type, found.extension) == ("audio", "audio/matroska", "mka")


def test_junk_between_frames_hides_no_cut() -> None:
    """A server's words between the frames of a stream are let pass; a cut behind them is not."""
    data = sample("mp3-plain")
    middle = data.index(b"\xff\xfb", len(data) // 2)
    mixed = data[:middle] + b"StreamTitle='';" * 20 + data[middle:]
    assert probe(mixed, Role.AUDIO).codec == "mp3"
    with pytest.raises(TruncatedError):
        probe(mixed[:-9], Role.AUDIO)


def test_words_in_any_encoding_are_let_pass() -> None:
    """Tags that are not UTF-8 do not make a file unreadable."""
    title = b"INAM\x04\0\0\0\xff\xfe\xe9\0"
    data = sample("wav") + b"LIST" + (4 + len(title)).to_bytes(4, "little") + b"INFO" + title
    data = data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]
    assert probe(data, Role.AUDIO) == probe(sample("wav"), Role.AUDIO)


def test_cover_art_makes_no_video() -> None:
    """An MP3 with a picture in its tag is sound."""
    picture = sample("jpg")
    frame = b"\0image/jpeg\0\x03\0" + picture
    size = len(frame)
    apic = b"APIC" + bytes(size >> s & 0x7F for s in (21, 14, 7, 0)) + b"\0\0" + frame
    total = len(apic)
    tag = b"ID3\x04\0\0" + bytes(total >> s & 0x7F for s in (21, 14, 7, 0)) + apic
    found = probe(tag + sample("mp3-plain"), Role.AUDIO)
    assert (found.kind, found.codec, found.width_px) == ("audio", "mp3", None)


def test_gathered_can_be_judged_in_another_process() -> None:
    """What was gathered, and the prober, survive pickling at any moment."""
    prober = pickle.loads(pickle.dumps(MediaProber()))
    for name in ("mp4-index-last", "webm", "wav", "jpg", "flv", "mp3"):
        data = sample(name)
        gathered = PROBER.gather()
        for part in chunks(data, 5000):
            gathered.feed(part)
            gathered = pickle.loads(pickle.dumps(gathered))
        assert prober.probe(gathered, role=role_of(name)) == probe(data, role_of(name))


def test_judging_twice_gives_the_same() -> None:
    """A judgement changes nothing in what was gathered."""
    for name in ("mp4", "jpg", "opus"):
        gathered = PROBER.gather()
        gathered.feed(sample(name))
        first = PROBER.probe(gathered, role=role_of(name))
        assert PROBER.probe(gathered, role=role_of(name)) == first


def test_many_threads_share_one_prober() -> None:
    """Eight threads that judge different files at once get the answers that one thread gets."""
    names = [*SAMPLES, "ts", "flv", "avi"] * 4
    alone = {name: probe(sample(name), role_of(name)) for name in set(names)}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: probe(sample(name), role_of(name)), names))
    assert found == [alone[name] for name in names]


def large(name: str, filler: int) -> bytes:
    """Return an MP4 with `filler` bytes between its parts, so that it is not kept whole."""
    data = sample(name)
    found = boxes(data)
    start, end = found[b"mdat"]
    if found[b"moov"][0] > start:
        return data[:end] + box(b"free", bytes(filler)) + data[end:]
    return data + box(b"free", bytes(filler))


@pytest.mark.parametrize("name", ["mp4", "mp4-index-last", "mp4-fragmented", "mov"])
def test_large_files_need_no_reading_back(name: str) -> None:
    """With holes that nothing can fill the answer is that of the whole file."""
    data = large(name, 6_000_000)
    asked: list[int] = []

    def peek(offset: int, length: int) -> None:
        asked.append(offset)

    assert probe(data, Role.VIDEO, peek=peek) == probe(sample(name), Role.VIDEO)
    assert probe(data, Role.VIDEO, peek=reader(data)) == probe(sample(name), Role.VIDEO)


def test_samples_in_a_hole_are_judged_by_the_index() -> None:
    """When the first frame can be had nowhere, structure alone decides, and finds cuts still."""
    data = sample("mp4-index-last")
    start, end = boxes(data)[b"mdat"]
    shift = 5_000_000
    moov = bytearray(data[slice(*boxes(data)[b"moov"])])
    at = -1
    while (at := moov.find(b"stco", at + 1)) > 0:
        for entry in range(at + 12, at + 12 + 4 * int.from_bytes(moov[at + 8 : at + 12]), 4):
            moved = int.from_bytes(moov[entry : entry + 4]) + shift
            moov[entry : entry + 4] = moved.to_bytes(4)
    padded = (
        data[:start] + box(b"free", bytes(shift - 8)) + data[start:end]
        + box(b"free", bytes(shift)) + bytes(moov)
    )  # fmt: skip
    wanted = probe(data, Role.VIDEO)
    assert probe(padded, Role.VIDEO) == wanted
    assert probe(padded, Role.VIDEO, peek=reader(padded)) == wanted
    with pytest.raises(TruncatedError):
        probe(padded[:-1], Role.VIDEO)


def test_a_store_that_fails_is_not_the_files_fault() -> None:
    """What the store raises while bytes are read back comes out as it is, and only once."""
    data = sample("mkv")
    cluster = data.index(b"\x1f\x43\xb6\x75")
    void = b"\xec" + (0x0100_0000_0000_0000 + 3_000_000).to_bytes(8) + bytes(3_000_000)
    segment = data.index(b"\x18\x53\x80\x67")
    far = bytearray(data[:cluster] + void + data[cluster:] + void)
    far[segment + 4 : segment + 12] = b"\x01" + b"\xff" * 7

    def peek(offset: int, length: int) -> bytes:
        raise StoreError("the disk is gone")

    for _ in range(3):
        with pytest.raises(StoreError, match="the disk is gone"):
            probe(bytes(far), Role.VIDEO, peek=peek)
        assert probe(sample("mp4"), Role.VIDEO).codec == "h264"
    assert probe(bytes(far), Role.VIDEO).codec == "h264"
    assert probe(bytes(far), Role.VIDEO, peek=reader(bytes(far))).width_px == 96


def test_large_pictures_take_turns() -> None:
    """Only one holds more than 6 MiB at a time; the others go on once it is judged or dropped."""
    start = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + bytes(100_000)
    first, second = PROBER.gather(), PROBER.gather()
    for gathered in (first, second):
        gathered.feed(start)
        gathered.feed(bytes(3 << 20))
    first.feed(bytes(4 << 20))
    waiting = threading.Thread(target=second.feed, args=(bytes(4 << 20),))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    first.release()
    waiting.join(20)
    assert not waiting.is_alive()
    second.release()
    assert pickle.loads(pickle.dumps(second)).size_bytes == second.size_bytes
