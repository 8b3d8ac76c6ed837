"""What the fragments of an MP4 file (`moof`, `sidx`) say, added up while they stream by."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from archiver.errors import NotMediaError
from archiver.probe.boxes import boxes, child, damaged, numbers

_MAX_TRACKS = 64
_MAX_SAMPLES_PER_RUN = 1 << 20
_MAX_SAMPLES = 20_000_000


@dataclass(slots=True)
class FragmentTrack:
    """One track: its defaults (`trex`), and the sum of its fragments.

    Attributes:
        default_duration, default_bytes: Of a sample that does not tell its own.
        samples: How many samples its fragments have.
        ticks: Where its last fragment ends, in the track's time scale.
        begin: Where its first fragment begins, likewise.
    """

    default_duration: int = 0
    default_bytes: int = 0
    samples: int = 0
    ticks: int = 0
    begin: int | None = None


class Fragments:
    """The sum over all fragments; its size does not grow with their number.

    Attributes:
        count: How many fragments there are.
        data_end: The furthest byte that a fragment names.
        index_end: The furthest byte that a segment index names.
        tracks: By track id.
        fault: What was wrong with the first damaged fragment; empty if none was.
    """

    def __init__(self) -> None:
        self.count = 0
        self.data_end = 0
        self.index_end = 0
        self.tracks: dict[int, FragmentTrack] = {}
        self.fault = ""

    def read_defaults(self, moov: bytes, body: int) -> None:
        """Take the defaults of all tracks (`trex`) from the index.

        Source: ISO/IEC 14496-12, 8.8.3.
        """
        try:
            place = child(moov, body, len(moov), b"mvex")
            for kind, start, _end in boxes(moov, *place) if place else ():
                if kind == b"trex":
                    number, _, duration, size = struct.unpack_from(">4I", moov, start + 4)
                    track = self._track(number)
                    track.default_duration, track.default_bytes = duration, size
        except (NotMediaError, struct.error) as error:
            self.fault = self.fault or str(error)

    def add(self, moof: bytes, at: int, body: int) -> None:
        """Add a fragment (`moof`) that stands at offset `at`."""
        self.count += 1
        try:
            implied = at
            for kind, start, end in boxes(moof, body, len(moof)):
                if kind == b"traf":
                    implied = self._add_track(moof, start, end, at, implied)
        except (NotMediaError, struct.error) as error:
            self.fault = self.fault or str(error)

    def add_index(self, sidx: bytes, body: int, end: int) -> None:
        """Add a segment index that ends at offset `end`.

        Source: ISO/IEC 14496-12, 8.16.3: sizes count from the first byte after the index.
        """
        try:
            form = ">QQHH" if sidx[body] else ">IIHH"
            _, first_offset, _, count = struct.unpack_from(form, sidx, body + 12)
            start = body + 12 + struct.calcsize(form)
            entries = numbers(sidx, start, len(sidx), count * 3, "I")
        except (NotMediaError, struct.error, IndexError) as error:
            self.fault = self.fault or str(error)
            return
        referenced = sum(size & 0x7FFF_FFFF for size in entries[0::3])
        self.index_end = max(self.index_end, end + first_offset + referenced)

    def _track(self, number: int) -> FragmentTrack:
        if number not in self.tracks and len(self.tracks) >= _MAX_TRACKS:
            raise damaged("it has more tracks than any real file")
        return self.tracks.setdefault(number, FragmentTrack())

    def _add_track(self, moof: bytes, start: int, end: int, at: int, implied: int) -> int:
        """Add one `traf`; return where its data ends.

        Source: ISO/IEC 14496-12, 8.8.7 (`tfhd`) and 8.8.12 (`tfdt`).
        """
        header = child(moof, start, end, b"tfhd")
        if header is None:
            raise damaged("a fragment has no track header")
        place = header[0] + 8
        flags, number = struct.unpack_from(">II", moof, header[0])
        track = self._track(number)
        runs = _Runs(track, track.default_duration, track.default_bytes)
        runs.base = at if flags & 0x020000 else implied
        if flags & 0x1:
            (runs.base,) = struct.unpack_from(">Q", moof, place)
        runs.data_end = runs.base
        place += (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0)
        if flags & 0x8:
            (runs.duration,) = struct.unpack_from(">I", moof, place)
            place += 4
        if flags & 0x10:
            (runs.sample_bytes,) = struct.unpack_from(">I", moof, place)
        time = child(moof, start, end, b"tfdt")
        if time is not None:
            form = ">Q" if moof[time[0]] else ">I"
            (track.ticks,) = struct.unpack_from(form, moof, time[0] + 4)
        if track.begin is None:
            track.begin = track.ticks
        for kind, run, run_end in boxes(moof, start, end):
            if kind == b"trun":
                runs.add(moof, run, run_end)
        self.data_end = max(self.data_end, runs.data_end)
        return runs.data_end


@dataclass(slots=True)
class _Runs:
    """The runs of samples of one track in one fragment."""

    track: FragmentTrack
    duration: int
    sample_bytes: int
    base: int = 0
    data_end: int = 0

    def add(self, moof: bytes, start: int, end: int) -> None:
        """Add one run.

        Source: ISO/IEC 14496-12, 8.8.8 (`trun`): its fields are there as its flags say.
        """
        flags, count = struct.unpack_from(">II", moof, start)
        flags &= 0xFFFFFF
        place = start + 8
        if flags & 0x1:
            (offset,) = struct.unpack_from(">i", moof, place)
            self.data_end = self.base + offset
        place += (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
        fields = (flags >> 8 & 0xF).bit_count()
        self.track.samples += count
        if count > _MAX_SAMPLES_PER_RUN or self.track.samples > _MAX_SAMPLES:
            # A run without fields costs its writer nothing, and a reader memory per sample.
            raise damaged(f"a fragment names {count} samples, more than any real one has")
        table = numbers(moof, place, end, count * fields, "I")
        column = 0
        ticks, size = count * self.duration, count * self.sample_bytes
        if flags & 0x100:
            ticks, column = sum(table[0::fields]), 1
        if flags & 0x200:
            size = sum(table[column::fields])
        self.track.ticks += ticks
        self.data_end += size
