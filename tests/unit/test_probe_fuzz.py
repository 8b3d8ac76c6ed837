"""The probe on hostile bytes: one of its three errors, or an answer, and nothing else."""

from __future__ import annotations

import contextlib
import io

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from archiver.errors import NotMediaError, TooLargeError, TruncatedError
from archiver.model import MediaInfo, Role
from tests.mediasamples import OTHERS, PROBER, SAMPLES, probe, role_of, sample

REFUSED = (NotMediaError, TruncatedError, TooLargeError)
MAGIC = [
    b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"MM\0*", b"FLV\x01\x05",
    b"fLaC\0\0\0\x22", b"RIFF\xff\0\0\0WAVEfmt ", b"RIFF\xff\0\0\0WEBPVP8X", b"RIFF\xff\0\0\0AVI ",
    b"RF64\xff\xff\xff\xffWAVEds64", b"OggS\0\2", b"OggS\0\2" + bytes(22) + b"OpusHead",
    b"\x1aE\xdf\xa3\x84\x42\x82\x81w\x18\x53\x80\x67\xff", b"\0\0\0\x10ftypisom\0\0\0\0",
    b"\0\0\0\x10ftypqt  \0\0\0\0", b"\0\0\0\x10ftypM4A \0\0\0\0", b"\0\0\0\x10ftypavif\0\0\0\0",
    b"\0\0\0\x10ftypheic\0\0\0\0", b"\0\0\0\x0cJXL \r\n\x87\n", b"BM" + bytes(12) + b"\x28\0\0\0",
    b"ID3\x04\0\0\0\0\0\0", b"\xff\xfb\x90\x64", b"\xff\xf1\x50\x80", b"G" + bytes(187) + b"G",
    b"<svg", b"<?xml version='1.0'?><svg ", b"<html>", b"{", b"moov",
]  # fmt: skip
KINDS = [b"moov", b"mdat", b"moof", b"sidx", b"meta", b"trak", b"free", b"uuid", b"mvex"]
NAMES = [*SAMPLES, *OTHERS]


def outcome(data: bytes, role: Role, chunk: int) -> MediaInfo | str:
    """Judge bytes; return the answer, or the code and words of the refusal."""
    try:
        return probe(data, role, chunk=chunk)
    except REFUSED as error:
        return f"{error.code}: {error}"


@st.composite
def boxed(draw: st.DrawFn) -> bytes:
    """Boxes of known types with any content, sizes that are right, wrong, or huge."""
    parts = [b"\0\0\0\x10ftypisom\0\0\0\0"]
    for _ in range(draw(st.integers(1, 6))):
        content = draw(st.binary(max_size=60))
        size = draw(st.sampled_from([len(content) + 8, 0, 1, 7, 2**32 - 1, len(content)]))
        parts.append(size.to_bytes(4) + draw(st.sampled_from(KINDS)) + content)
    return b"".join(parts)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, Role]:
    """A real file with bytes changed, removed or put in."""
    name = draw(st.sampled_from(NAMES))
    data = bytearray(sample(name))
    for _ in range(draw(st.integers(1, 5))):
        # Half of all changes hit the first kilobyte, where most of the structure is.
        high = draw(st.sampled_from([min(1000, len(data) - 1), len(data) - 1]))
        at = draw(st.integers(0, max(0, high)))
        how = draw(st.integers(0, 4))
        if how == 0:
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif how == 1:
            junk = draw(st.sampled_from([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"]))
            data[at : at + 4] = junk
        elif how == 2:
            del data[at : at + draw(st.integers(1, 64))]
        elif how == 3:
            data[at:at] = draw(st.binary(max_size=64))
        else:
            del data[at + 1 :]
    return bytes(data), role_of(name)


@given(st.sampled_from(MAGIC), st.binary(max_size=400), st.sampled_from(Role))
def test_bytes_that_begin_like_media_are_judged(magic: bytes, rest: bytes, role: Role) -> None:
    """Any bytes behind any magic number give an answer or one of three errors."""
    outcome(magic + rest, role, 65_536)
    PROBER.sniff(magic + rest)


@given(boxed(), st.sampled_from([Role.VIDEO, Role.IMAGE]))
@example(b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08moov", Role.VIDEO)
def test_boxes_of_any_kind_are_judged(data: bytes, role: Role) -> None:
    """Boxes in any order, with any sizes, give an answer or one of three errors."""
    assert outcome(data, role, 65_536) == outcome(data, role, 1)


@given(mutated())
@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_media_are_judged_alike(damaged: tuple[bytes, Role]) -> None:
    """A damaged file gives the same answer or refusal in whatever chunks it came."""
    data, role = damaged
    first = outcome(data, role, 65_536)
    assert outcome(data, role, 97) == first


@given(mutated())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_media_are_decoded_or_refused(damaged: tuple[bytes, Role]) -> None:
    """`decode` of a damaged file returns or raises one of three errors."""
    data, role = damaged
    with contextlib.suppress(*REFUSED):
        PROBER.decode(io.BytesIO(data), role=role)


@given(st.binary(max_size=3000))
def test_chance_is_hardly_ever_media(data: bytes) -> None:
    """What `sniff` names from chance, `probe` refuses unless it decodes."""
    if PROBER.sniff(data) is None:
        assert isinstance(outcome(data, Role.VIDEO, 65_536), str)
