"""MP4, MOV, M4A and 3GP: whether all that the index names is there, and what it says."""

from __future__ import annotations

from archiver.errors import NotMediaError, TruncatedError
from archiver.probe.boxes import damaged
from archiver.probe.boxwalk import KNOWN_BOXES, BoxWalker
from archiver.probe.known import KnownBytes
from archiver.probe.movie import COMPRESSED_VIDEO, Movie, Track, read_movie
from archiver.probe.structure import Structure, shown_size
from archiver.probe.walking import TO_THE_END

_READ_BACK_INDEX_BYTES = 64 << 20
_MAX_SAMPLES = 20_000_000
_CHEAP_SAMPLES = 1_500_000
_CHEAP_TRACK_NUMBER = 1 << 24
"""FFmpeg counts up to the highest track number, which takes five seconds for a random one."""

_SLACK_S = 0.5
_COVERS = frozenset(("mjpeg",))


def examine_movie(walker: BoxWalker, known: KnownBytes) -> Structure:
    """Check an ISO base media file against its own index.

    Raises:
        TruncatedError: A box, a sample or a fragment lies beyond the end, or the index is missing.
        NotMediaError: The index contradicts itself.
    """
    movie = _index(walker, known)
    check_last_box(walker, known.size_bytes, sure=movie is None)
    if movie is None:
        return Structure()
    for track in movie.tracks:
        _check_track(track, known)
    if movie.fragmented:
        _check_fragments(walker, movie, known.size_bytes)
    return _structure(walker, movie)


def check_last_box(walker: BoxWalker, size_bytes: int, *, sure: bool) -> None:
    """Check that the last box at the top level is whole.

    Args:
        walker: Has seen the whole file.
        size_bytes: Of the file.
        sure: Whether nothing but boxes can stand here; otherwise an unknown box that is longer
            than the file is taken for junk behind its end.

    Raises:
        TruncatedError: It is not.
    """
    last = walker.last
    if last is None or last.end <= size_bytes or last.end >= TO_THE_END:
        return
    if sure or last.kind in KNOWN_BOXES:
        raise TruncatedError(
            f"The file is cut: its part {last.kind.decode('ascii')!r} goes up to byte {last.end},"
            f" the file ends at {size_bytes}."
        )


def _index(walker: BoxWalker, known: KnownBytes) -> Movie | None:
    """Return the index; `None` if it is there but cannot be had any more."""
    box = walker.moov_box
    if box is None:
        check_last_box(walker, known.size_bytes, sure=True)
        if walker.stopped_at is not None:
            raise damaged(f"its structure breaks off at byte {walker.stopped_at}")
        raise TruncatedError("The file is cut: its index (moov) is missing.")
    if walker.moov is not None:
        return read_movie(walker.moov, box.header_bytes)
    check_last_box(walker, known.size_bytes, sure=True)
    length = known.size_bytes if box.end >= TO_THE_END else box.end
    length -= box.at
    if length > _READ_BACK_INDEX_BYTES:
        return None
    moov = known.read(box.at, length)
    return read_movie(moov, box.header_bytes) if len(moov) == length else None


def _check_track(track: Track, known: KnownBytes) -> None:
    if track.listed_samples > _MAX_SAMPLES:
        raise damaged(f"its index names {track.sample_count} samples, more than any real file has")
    if track.elsewhere:
        return
    end = track.furthest_byte(known.size_bytes)
    if end > known.size_bytes:
        raise TruncatedError(
            f"The file is cut: its index names media up to byte {end}, the file ends at"
            f" {known.size_bytes}."
        )
    last = track.last_sample() if track.codec in COMPRESSED_VIDEO else None
    if last is not None and last[1] >= 16:
        data = known.read(last[0], min(last[1], 4096))
        if data and not data.strip(b"\0"):
            raise damaged("its last picture is nothing but zeros")


def _check_fragments(walker: BoxWalker, movie: Movie, size_bytes: int) -> None:
    fragments = walker.fragments
    if fragments.fault:
        raise NotMediaError(fragments.fault, code="undecodable")
    described = {track.number for track in movie.tracks}
    if any(t.samples and n not in described for n, t in fragments.tracks.items()):
        raise damaged("its fragments belong to a track that its index does not describe")
    end = max(fragments.data_end, fragments.index_end)
    if end > size_bytes:
        raise TruncatedError(
            f"The file is cut: its fragments go up to byte {end}, the file ends at {size_bytes}."
        )
    if not fragments.count and not any(track.sample_count for track in movie.tracks):
        raise TruncatedError("The file is cut: it has an index, but none of its fragments.")
    played = _fragments_s(walker, movie)
    if fragments.count and played < movie.fragment_s * 0.99 - _SLACK_S:
        raise TruncatedError(
            f"The file is cut: its index announces {movie.fragment_s:.1f} s, its fragments end at"
            f" {played:.1f} s."
        )
    begun = walker.partial
    if len(begun) >= 8 or begun.strip(b"\0\r\n "):
        raise TruncatedError(
            f"The file is cut in the header of a fragment, at byte {walker.next_at}."
        )


def _fragments_s(walker: BoxWalker, movie: Movie) -> float:
    ends = []
    for track in movie.tracks:
        fragment = walker.fragments.tracks.get(track.number)
        if fragment is not None and track.timescale:
            ends.append(fragment.ticks / track.timescale)
    return max(ends, default=0.0)


def _structure(walker: BoxWalker, movie: Movie) -> Structure:
    video, audio = movie.first(b"vide"), movie.first(b"soun")
    if audio is not None and video is not None and video.codec in _COVERS:
        video = None
    main = video or audio
    width = height = None
    if video is not None:
        width, height = shown_size(
            video.width, video.height, aspect=video.aspect, quarter_turn=video.quarter_turn
        )
    listed = sum(track.listed_samples for track in movie.tracks)
    in_fragments = sum(track.samples for track in walker.fragments.tracks.values())
    highest = max((track.number for track in movie.tracks), default=0)
    duration_s = max(movie.duration_s, movie.fragment_s, _fragments_s(walker, movie))
    return Structure(
        has_video=video is not None,
        has_audio=audio is not None,
        width_px=width,
        height_px=height,
        quarter_turn=video is not None and video.quarter_turn,
        duration_s=duration_s or None,
        codec=main.codec if main else None,
        frame_rate=_frame_rate(walker, video) if video else None,
        costly=listed + in_fragments > _CHEAP_SAMPLES or highest > _CHEAP_TRACK_NUMBER,
    )


def _frame_rate(walker: BoxWalker, video: Track) -> float | None:
    track = walker.fragments.tracks.get(video.number)
    if video.frame_rate is not None or track is None:
        return video.frame_rate
    ticks = track.ticks - (track.begin or 0)
    return track.samples * video.timescale / ticks if ticks > 0 else None
