"""Going on where it stopped: only with proof, across runs and across renewed links."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archiver import ExitCode, State
from archiver.gateway.faults import (
    Cut,
    Fault,
    Headers,
    IgnoreRange,
    Meanwhile,
    NoETag,
    Pass,
    Status,
    Together,
    WeakETag,
    WrongStart,
    WrongTotal,
)
from archiver.gateway.tasks import Link
from tests.bench import FOLDER, Bench, long_clip

PATH = "/raw.mp4"
CUT = 300_000


def put(bench: Bench, *faults: Fault, **link: object) -> bytes:
    data = long_clip(1)
    assert len(data) > 2 * CUT
    raw = replace(bench.host(PATH, data, signed_only=bool(link)), **link)  # type: ignore[arg-type]
    bench.task("t", video_raw=raw, width=320, height=240)
    bench.gateway.script(PATH, *faults)
    return data


def ranges(bench: Bench) -> list[str | None]:
    return [request.range for request in bench.gateway.requests if request.path == PATH]


def parked(bench: Bench) -> bytes:
    """Have one run park the first bytes of a task's file; return all of them."""
    data = put(bench, Cut(after_bytes=CUT), Status(status=503))
    assert bench.archive("t").outcomes[0].state is State.RETRY
    return data


def assert_whole(bench: Bench, data: bytes) -> None:
    assert bench.video("t")["sha256"] == hashlib.sha256(data).hexdigest()
    assert bench.files("t") == ["manifest.json", "video.mp4"]


def test_a_cut_body_goes_on(bench: Bench) -> None:
    """The rest is asked for with If-Range, and nothing is sent twice."""
    data = put(bench, Cut(after_bytes=CUT))
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert_whole(bench, data)
    first, second = (r for r in bench.gateway.requests if r.path == PATH)
    assert first.range is None
    assert second.range == f"bytes={CUT}-"
    assert second.headers["if-range"].startswith('"')
    assert second.sent_bytes == len(data) - CUT


def test_cut_twice(bench: Bench) -> None:
    """Two cuts, the second within what was asked for the second time."""
    bench.configure(download={"max_attempts": 4})
    data = put(bench, Cut(after_bytes=CUT), Cut(after_bytes=100_000))
    bench.archive("t")
    assert_whole(bench, data)
    assert ranges(bench) == [None, f"bytes={CUT}-", f"bytes={CUT + 100_000}-"]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(IgnoreRange(), id="Range ignored"),
        pytest.param(WrongStart(by=7), id="wrong start"),
        pytest.param(WrongTotal(by=7), id="wrong total"),
        pytest.param(Headers(headers={"ETag": None}), id="206 that does not say of which file"),
        pytest.param(Status(status=416), id="416"),
        pytest.param(Status(status=412), id="412"),
    ],
)
def test_without_proof_it_begins_anew(bench: Bench, second: Fault) -> None:
    """Whatever the second answer is, the file in the archive is one of the server's, whole."""
    bench.configure(download={"max_attempts": 4})
    data = put(bench, Cut(after_bytes=CUT), second)
    bench.archive("t")
    bench.video("t")
    stored = (bench.store / FOLDER / "t" / "video.mp4").read_bytes()
    assert stored == data
    assert None in ranges(bench)[1:] or isinstance(second, IgnoreRange)


def test_a_changed_file_is_taken_whole(bench: Bench) -> None:
    """Between the cut and the rest, other bytes of the same length came to the server."""
    other = long_clip(2)
    put(
        bench,
        Together(
            faults=(
                Cut(after_bytes=CUT),
                Meanwhile(action=lambda: bench.host(PATH, other)),
            )
        ),
    )
    bench.archive("t")
    assert_whole(bench, other)


@pytest.mark.parametrize("tag", [NoETag(), WeakETag()])
def test_no_strong_etag_no_resume(bench: Bench, tag: Fault) -> None:
    """Without a strong ETag nothing proves that the rest belongs to it."""
    data = put(bench, Together(faults=(Cut(after_bytes=CUT), tag)))
    bench.archive("t")
    assert_whole(bench, data)
    assert ranges(bench) == [None, None]


def test_across_runs(bench: Bench) -> None:
    """A part that one run parked is continued by the next, and digested from its first byte."""
    data = parked(bench)
    assert bench.files("t") == ["video.part", "video.part.json"]
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert_whole(bench, data)
    assert ranges(bench)[-1] == f"bytes={CUT}-"


def test_a_part_that_was_tampered_with(bench: Bench) -> None:
    """Bytes on disk that are not the server's: the structure or the digest tells."""
    data = parked(bench)
    part = bench.store / FOLDER / "t" / "video.part"
    part.write_bytes(part.read_bytes() + b"x" * len(data))
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert_whole(bench, data)


@pytest.mark.parametrize("at", [0, CUT // 2, CUT - 1])
def test_a_byte_that_changed_between_two_runs(bench: Bench, at: int) -> None:
    """A disk that does not keep what it was given: the part is thrown away, and all asked again."""
    data = parked(bench)
    part = bench.store / FOLDER / "t" / "video.part"
    held = bytearray(part.read_bytes())
    assert len(held) == CUT
    held[at] ^= 1
    part.write_bytes(held)
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert_whole(bench, data)
    assert ranges(bench)[-1] is None


def test_after_a_power_cut_only_vouched_bytes_count(bench: Bench) -> None:
    """What a machine held when it went down may be zeros on its disk, behind the last digest."""
    data = parked(bench)
    folder = bench.store / FOLDER / "t"
    part, proof = folder / "video.part", folder / "video.part.json"
    found = json.loads(proof.read_bytes())
    assert found["vouched_bytes"] == CUT
    proof.write_text(json.dumps({**found, "boot": "another start of the machine"}))
    part.write_bytes(part.read_bytes() + bytes(1000))
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert_whole(bench, data)
    assert ranges(bench)[-1] == f"bytes={CUT}-"


def test_a_proof_of_an_older_version(bench: Bench) -> None:
    """A part from before there were digests in proofs is continued as it was then."""
    data = parked(bench)
    proof = bench.store / FOLDER / "t" / "video.part.json"
    found = json.loads(proof.read_bytes())
    proof.write_text(json.dumps({name: found[name] for name in ("etag", "total_bytes", "link")}))
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert_whole(bench, data)
    assert ranges(bench)[-1] == f"bytes={CUT}-"


def test_a_renewed_link_goes_on_with_the_same_part(bench: Bench) -> None:
    """The signature runs out in the middle: another link to the same object continues it."""
    data = put(bench, Cut(after_bytes=CUT), Status(status=403), lifetime_s=3600)
    bench.archive("t")
    assert_whole(bench, data)
    assert ranges(bench) == [None, f"bytes={CUT}-", f"bytes={CUT}-"]
    documents = [r for r in bench.gateway.requests if r.path.endswith("/generations/t")]
    assert len(documents) == 2


def test_a_dead_link_is_never_asked(bench: Bench) -> None:
    """A link whose signature ran out is renewed before use."""
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    data = put(bench, Pass(), lifetime_s=3600, signed_at=long_ago, renewed_after=1)
    bench.archive("t")
    assert_whole(bench, data)
    statuses = [r.status for r in bench.gateway.requests if r.path == PATH]
    assert statuses == [200]


def test_a_link_that_stays_dead_is_asked_once_after_renewal(bench: Bench) -> None:
    """A provider that gives the dead link again: one try, then the verdict that waits a day."""
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    put(bench, Pass(), lifetime_s=3600, signed_at=long_ago)
    report = bench.archive("t")
    assert report.outcomes[0].state is State.RETRY
    assert report.exit_code is ExitCode.PARTIAL
    assert bench.asked(PATH) <= 1


@pytest.mark.parametrize("path", ["/other.mp4", PATH + "?form=marked"])
def test_a_whole_part_of_another_form(bench: Bench, path: str) -> None:
    """A killed run left another form's bytes, all of them: they are not taken for this form's."""
    data, other = long_clip(1), long_clip(2)
    bench.host(PATH, data)
    bench.host("/other.mp4", other)
    raw = Link(path=PATH) if "?" not in path else Link(path=f"{PATH}?form=raw")
    bench.task("t", video_raw=raw, video=Link(path=path), width=320, height=240)
    folder = bench.store / FOLDER / "t"
    bench.gateway.script(PATH, Cut(after_bytes=CUT), Status(status=503))
    bench.archive("t")
    (folder / "video.part").write_bytes(other)
    link = f"{bench.gateway.assets_url}{path.partition('?')[0]}"
    proof = {"etag": '"x"', "total_bytes": len(other), "link": link}
    (folder / "video.part.json").write_text(json.dumps(proof))
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert_whole(bench, data)
    assert bench.video("t")["rendition"] == "video_raw"
