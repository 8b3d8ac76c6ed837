"""The index of an MP4 or MOV file (`moov`): its tracks, and where their samples lie.

Source: ISO/IEC 14496-12, 8.2 to 8.7; Apple's QuickTime File Format for what differs in MOV.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field
from operator import mul

from archiver.errors import NotMediaError
from archiver.probe.boxes import boxes, child, damaged, numbers

_MAX_TRACKS = 64
_CODECS = {
    b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"dvh1": "hevc",
    b"dvhe": "hevc", b"av01": "av1", b"vp08": "vp8", b"vp09": "vp9", b"mp4v": "mpeg4",
    b"apch": "prores", b"apcn": "prores", b"apcs": "prores", b"apco": "prores", b"ap4h": "prores",
    b"jpeg": "mjpeg", b"s263": "h263", b"mp4a": "aac", b"Opus": "opus", b"fLaC": "flac",
    b"ac-3": "ac3", b"ec-3": "eac3", b"alac": "alac", b".mp3": "mp3", b"sowt": "pcm_s16le",
    b"twos": "pcm_s16be", b"samr": "amr_nb",
}  # fmt: skip
_NIBBLES = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))
COMPRESSED_VIDEO = frozenset(("h264", "hevc", "av1", "vp8", "vp9", "mpeg4"))
"""Codecs of which no sample can be all zeros."""


@dataclass(slots=True)
class Track:
    """One track.

    Attributes:
        number: Its id.
        kind: `vide`, `soun` or another handler type.
        codec: In FFmpeg's words, if it is one of the usual ones.
        quarter_turn: Whether the picture is shown turned by 90 or 270 degrees.
        sample_count: How many samples the index lists.
        uniform_bytes: Size of every sample if all are equal, else 0 and `sizes` has them.
        offsets: Where each chunk begins.
        run_firsts, run_samples: From which chunk on (counted from 1) how many samples a chunk has.
        uniform_ticks: Whether all samples last one tick (uncompressed sound).
        elsewhere: Whether the samples are in another file.
    """

    number: int = 0
    kind: bytes = b""
    codec: str | None = None
    width: int = 0
    height: int = 0
    aspect: tuple[int, int] = (1, 1)
    quarter_turn: bool = False
    timescale: int = 0
    frame_rate: float | None = None
    sample_count: int = 0
    uniform_bytes: int = 0
    uniform_ticks: bool = False
    elsewhere: bool = False
    sizes: array[int] = field(default_factory=lambda: array("I"))
    offsets: array[int] = field(default_factory=lambda: array("I"))
    run_firsts: array[int] = field(default_factory=lambda: array("I"))
    run_samples: array[int] = field(default_factory=lambda: array("I"))

    @property
    def listed_samples(self) -> int:
        """How many samples a demuxer holds in memory: uncompressed sound goes by chunks."""
        plain = self.uniform_bytes and self.uniform_ticks and self.kind == b"soun"
        return len(self.offsets) if plain else self.sample_count

    def furthest_byte(self, size_bytes: int) -> int:
        """Return where the furthest sample ends, exactly if that is beyond `size_bytes`.

        Chunks that end before it, whatever their samples, are not looked at one by one.
        """
        furthest = sample = 0
        for run, per_chunk in enumerate(self.run_samples):
            begin = min(max(self.run_firsts[run] - 1, 0), len(self.offsets))
            last = run + 1 == len(self.run_samples)
            stop = len(self.offsets) if last else self.run_firsts[run + 1] - 1
            chunks = self.offsets[begin : max(begin, stop)]
            if not chunks or sample >= self.sample_count:
                continue
            count = len(chunks) * per_chunk
            largest = self.uniform_bytes or max(self.sizes[sample : sample + count], default=0)
            bound = max(chunks) + per_chunk * largest
            if bound > size_bytes:
                bound = self._exact_end(chunks, sample, per_chunk)
            furthest = max(furthest, bound)
            sample += count
        return furthest

    def _exact_end(self, chunks: array[int], sample: int, per_chunk: int) -> int:
        furthest = 0
        for offset in chunks:
            count = min(per_chunk, self.sample_count - sample)
            if count <= 0:
                break
            if self.uniform_bytes:
                length = count * self.uniform_bytes
            else:
                length = sum(self.sizes[sample : sample + count])
            furthest = max(furthest, offset + length)
            sample += count
        return furthest

    def last_sample(self) -> tuple[int, int] | None:
        """Return offset and length of the last sample, if the tables tell it."""
        if not (self.offsets and self.sizes and self.run_samples):
            return None
        before = 0
        for run, first in enumerate(self.run_firsts[1:]):
            before += max(0, first - self.run_firsts[run]) * self.run_samples[run]
        before += max(0, len(self.offsets) - self.run_firsts[-1]) * self.run_samples[-1]
        rest = self.sizes[before:]
        return (self.offsets[-1] + sum(rest[:-1]), rest[-1]) if rest else None


@dataclass(slots=True)
class Movie:
    """The whole index.

    Attributes:
        fragmented: Whether fragments may follow (`mvex`).
        fragment_s: The whole duration that the index announces for a fragmented file.
    """

    tracks: list[Track] = field(default_factory=list)
    duration_s: float = 0.0
    fragmented: bool = False
    fragment_s: float = 0.0

    def first(self, kind: bytes) -> Track | None:
        """Return the first track of a handler type."""
        return next((track for track in self.tracks if track.kind == kind), None)


def read_movie(moov: bytes, body: int) -> Movie:
    """Read an index.

    Args:
        moov: The box, header included.
        body: Length of the header.

    Raises:
        NotMediaError: The index contradicts itself, or the media are encrypted.
    """
    try:
        return _movie(moov, body, len(moov))
    except (struct.error, IndexError, OverflowError) as error:
        raise damaged("its index is cut or damaged") from error


def _movie(moov: bytes, start: int, end: int) -> Movie:
    movie = Movie()
    timescale = 0
    for kind, body, body_end in boxes(moov, start, end):
        if kind == b"mvhd":
            timescale, duration = _times(moov, body)
            movie.duration_s = duration / timescale if timescale else 0.0
        elif kind == b"mvex":
            movie.fragmented = True
            extent = child(moov, body, body_end, b"mehd")
            if extent and timescale:
                form = ">Q" if moov[extent[0]] else ">I"
                (duration,) = struct.unpack_from(form, moov, extent[0] + 4)
                movie.fragment_s = duration / timescale
        elif kind == b"trak":
            if len(movie.tracks) >= _MAX_TRACKS:
                raise damaged("it has more tracks than any real file")
            movie.tracks.append(_track(moov, body, body_end))
    return movie


def _times(data: bytes, body: int) -> tuple[int, int]:
    """Return time scale and duration of an `mvhd` or `mdhd`; an unknown duration is 0."""
    if data[body] == 1:
        scale, duration = struct.unpack_from(">IQ", data, body + 20)
        return scale, 0 if duration == 0xFFFF_FFFF_FFFF_FFFF else duration
    scale, duration = struct.unpack_from(">II", data, body + 12)
    return scale, 0 if duration == 0xFFFF_FFFF else duration


def _track(moov: bytes, start: int, end: int) -> Track:
    track = Track()
    header = child(moov, start, end, b"tkhd")
    if header is not None:
        long = moov[header[0]] == 1
        (track.number,) = struct.unpack_from(">I", moov, header[0] + (20 if long else 12))
        a, b = struct.unpack_from(">ii", moov, header[0] + (52 if long else 40))
        track.quarter_turn = abs(b) > abs(a)
    times = child(moov, start, end, b"mdia", b"mdhd")
    if times is not None:
        track.timescale, _ = _times(moov, times[0])
    handler = child(moov, start, end, b"mdia", b"hdlr")
    if handler is not None:
        track.kind = moov[handler[0] + 8 : handler[0] + 12]
    reference = child(moov, start, end, b"mdia", b"minf", b"dinf", b"dref")
    if reference is not None:
        first = next(boxes(moov, reference[0] + 8, reference[1]), None)
        track.elsewhere = first is not None and not moov[first[1] + 3] & 1
    table = child(moov, start, end, b"mdia", b"minf", b"stbl")
    if table is not None:
        _tables(track, moov, *table)
    return track


def _tables(track: Track, moov: bytes, start: int, end: int) -> None:
    for kind, body, stop in boxes(moov, start, end):
        if kind == b"stsd":
            _description(track, moov, body, stop)
            continue
        if kind == b"stsz":
            track.uniform_bytes, count = struct.unpack_from(">II", moov, body + 4)
            track.sample_count = count
            track.sizes = numbers(moov, body + 12, stop, 0 if track.uniform_bytes else count, "I")
        elif kind == b"stz2":
            _compact_sizes(track, moov, body, stop)
        elif kind in (b"stco", b"co64"):
            (count,) = struct.unpack_from(">I", moov, body + 4)
            track.offsets = numbers(moov, body + 8, stop, count, "I" if kind == b"stco" else "Q")
        elif kind == b"stsc":
            (count,) = struct.unpack_from(">I", moov, body + 4)
            table = numbers(moov, body + 8, stop, count * 3, "I")
            track.run_firsts, track.run_samples = table[0::3], table[1::3]
        elif kind == b"stts":
            (count,) = struct.unpack_from(">I", moov, body + 4)
            table = numbers(moov, body + 8, stop, count * 2, "I")
            ticks = sum(map(mul, table[0::2], table[1::2]))
            track.uniform_ticks = count == 1 and table[1] == 1
            if ticks and track.timescale:
                track.frame_rate = sum(table[0::2]) * track.timescale / ticks


def _compact_sizes(track: Track, moov: bytes, body: int, end: int) -> None:
    field_bits, track.sample_count = moov[body + 7], struct.unpack_from(">I", moov, body + 8)[0]
    if field_bits == 16:
        track.sizes = array("I", numbers(moov, body + 12, end, track.sample_count, "H"))
        return
    packed = moov[body + 12 : end]
    sizes = packed.hex().encode().translate(_NIBBLES) if field_bits == 4 else packed
    if len(sizes) < track.sample_count:
        raise damaged("a table in its index names more entries than there are")
    track.sizes = array("I", array("B", sizes[: track.sample_count]))


def _description(track: Track, moov: bytes, body: int, end: int) -> None:
    """Source: ISO/IEC 14496-12, 8.5.2 (`stsd`) and 12.1.4 (`pasp`)."""
    entry = next(boxes(moov, body + 8, end), None)
    if entry is None:
        return
    kind, start, stop = entry
    if kind in (b"encv", b"enca"):
        raise NotMediaError(
            "The file cannot be played: its media are encrypted.", code="undecodable"
        )
    track.codec = _CODECS.get(kind)
    if track.kind == b"vide":
        track.width, track.height = struct.unpack_from(">HH", moov, start + 24)
        aspect = child(moov, start + 78, stop, b"pasp")
        if aspect is not None:
            across, down = struct.unpack_from(">II", moov, aspect[0])
            track.aspect = (across, down)
