"""The gateway's assets origin serves files, ranges and signed links as an object store does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.gateway import API_KEY, Gateway, Link, LumaTask, Signer
from archiver.gateway.signing import SignatureState
from tests import gatewayfixture
from tests.gatewayfixture import START, ManualClock

clock = gatewayfixture.clock

DATA = bytes(range(256)) * 4
PATH = "/lit/0af7_video.mp4"
SIGNER = Signer(access_key="AKDEMO", secret_key="a secret")
KEY = {"Authorization": f"Bearer {API_KEY}"}
DATE = format_datetime(START, usegmt=True)
LATER = format_datetime(START + timedelta(days=1), usegmt=True)
EARLIER = format_datetime(START - timedelta(days=1), usegmt=True)


@pytest.fixture
def gateway(clock: ManualClock) -> Iterator[Gateway]:
    with Gateway(clock=clock, signer=SIGNER) as started:
        started.host(PATH, DATA, media_type="video/mp4")
        yield started


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    # No Accept-Encoding and the like: what a range test sends is all that is sent.
    with httpx.Client(trust_env=False, timeout=10) as client:
        client.headers.clear()
        yield client


def test_whole_file_with_its_validators(gateway: Gateway, client: httpx.Client) -> None:
    """A GET gives all bytes, a strong ETag, the date, and says that ranges are served."""
    answer = client.get(f"{gateway.assets_url}{PATH}")
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["last-modified"] == DATE
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == "1024"


def test_head_is_a_get_without_a_body(gateway: Gateway, client: httpx.Client) -> None:
    """HEAD has the same head as GET, and no bytes after it; a range means nothing to it."""
    got = client.get(f"{gateway.assets_url}{PATH}")
    head = client.head(f"{gateway.assets_url}{PATH}", headers={"Range": "bytes=5-"})
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers == got.headers
    assert client.get(f"{gateway.assets_url}{PATH}").content == DATA  # the connection still fits


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 1024),
        ("bytes=1023-", 1023, 1024),
        ("bytes=100-199", 100, 200),
        ("bytes=1000-5000", 1000, 1024),
        ("bytes=-1", 1023, 1024),
        ("bytes=-5000", 0, 1024),
    ],
)
def test_range_is_byte_exact(
    gateway: Gateway, client: httpx.Client, header: str, start: int, stop: int
) -> None:
    """A satisfiable range is 206 with exactly these bytes and a Content-Range that says so."""
    answer = client.get(f"{gateway.assets_url}{PATH}", headers={"Range": header})
    assert answer.status_code == 206
    assert answer.content == DATA[start:stop]
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/1024"
    assert answer.headers["content-length"] == str(stop - start)


@settings(max_examples=60)
@given(st.integers(0, 1100), st.integers(0, 1100))
def test_any_range_is_what_slicing_gives(first: int, last: int) -> None:
    """Whatever the two numbers, the answer is the slice, 416 past the end, 200 if they cross."""
    from archiver.gateway.exchange import ASSETS, BytesContent, HostedFile, Request
    from archiver.gateway.files import FileSite

    site = FileSite(signer=SIGNER)
    site.put(HostedFile(path="/f", content=BytesContent(DATA), media_type="video/mp4"))
    headers = {"range": f"bytes={first}-{last}"}
    reply = site.serve(Request(origin=ASSETS, method="GET", path="/f", headers=headers), START)
    body = b"".join(reply.content.chunks(reply.start, reply.end))
    if last < first:
        assert (reply.status, body) == (200, DATA)
    elif first >= len(DATA):
        assert reply.status == 416
    else:
        assert (reply.status, body) == (206, DATA[first : last + 1])


@pytest.mark.parametrize("header", ["bytes=1024-", "bytes=4000-5000", "bytes=-0"])
def test_range_past_the_end_is_416(gateway: Gateway, client: httpx.Client, header: str) -> None:
    """A range with no byte in the file is 416 and names the true length."""
    answer = client.get(f"{gateway.assets_url}{PATH}", headers={"Range": header})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */1024"


def test_empty_file_has_no_range(gateway: Gateway, client: httpx.Client) -> None:
    """An empty file is 200 with no bytes, and 416 for any range."""
    gateway.host("/empty", b"")
    assert client.get(f"{gateway.assets_url}/empty").content == b""
    ranged = client.get(f"{gateway.assets_url}/empty", headers={"Range": "bytes=0-"})
    assert ranged.status_code == 416


@pytest.mark.parametrize(
    "header", ["bytes=9-5", "bytes=a-b", "bytes=", "chunks=0-5", "bytes=0-1,5-9", "bytes=--5"]
)
def test_range_that_makes_no_sense_is_ignored(
    gateway: Gateway, client: httpx.Client, header: str
) -> None:
    """What is no range, or several, gives the whole file."""
    answer = client.get(f"{gateway.assets_url}{PATH}", headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, DATA)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize(
    ("condition", "partial"),
    [
        ("the tag", True),
        ('"other"', False),
        ("W/the tag", False),
        (DATE, True),
        (LATER, False),
        ("nonsense", False),
    ],
)
def test_if_range(gateway: Gateway, client: httpx.Client, condition: str, partial: bool) -> None:
    """A part is given only when the file is provably the one that the client knows."""
    file = gateway.file(PATH)
    assert file is not None
    header = condition.replace("the tag", str(file.etag))
    answer = client.get(
        f"{gateway.assets_url}{PATH}", headers={"Range": "bytes=1000-", "If-Range": header}
    )
    assert answer.status_code == (206 if partial else 200)
    assert answer.content == (DATA[1000:] if partial else DATA)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("If-None-Match", "the tag", 304),
        ("If-None-Match", 'W/the tag, "x"', 304),
        ("If-None-Match", '"x"', 200),
        ("If-None-Match", "*", 304),
        ("If-Match", '"x", the tag', 200),
        ("If-Match", '"x"', 412),
        ("If-Match", "*", 200),
        ("If-Modified-Since", DATE, 304),
        ("If-Modified-Since", EARLIER, 200),
        ("If-Unmodified-Since", EARLIER, 412),
        ("If-Unmodified-Since", DATE, 200),
        ("If-Modified-Since", "nonsense", 200),
    ],
)
def test_conditions(
    gateway: Gateway, client: httpx.Client, name: str, value: str, status: int
) -> None:
    """Conditional requests are answered as RFC 9110 section 13 says."""
    file = gateway.file(PATH)
    assert file is not None
    header = value.replace("the tag", str(file.etag))
    answer = client.get(f"{gateway.assets_url}{PATH}", headers={name: header})
    assert answer.status_code == status
    assert answer.content == (DATA if status == 200 else b"")
    assert client.get(f"{gateway.assets_url}{PATH}").content == DATA


def test_file_on_disk_is_served_in_parts(
    gateway: Gateway, client: httpx.Client, tmp_path: Path
) -> None:
    """A file on disk is served like one in memory, blocks and ranges alike, sparse or not."""
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.write(b"head")
        file.truncate(3_000_000)
        file.seek(2_999_996)
        file.write(b"tail")
    gateway.host("/large", path)
    whole = client.get(f"{gateway.assets_url}/large")
    assert whole.content == path.read_bytes()
    part = client.get(f"{gateway.assets_url}/large", headers={"Range": "bytes=-4"})
    assert part.content == b"tail"
    assert part.headers["etag"] == whole.headers["etag"]


def test_other_bytes_have_another_etag(gateway: Gateway) -> None:
    """Hosting other bytes at a path changes the tag; the same bytes have the same."""
    first = gateway.host("/f", b"one")
    assert gateway.host("/f", b"two").etag != first.etag
    assert gateway.host("/f", b"one").etag == first.etag


def test_missing_file_is_404_xml(gateway: Gateway, client: httpx.Client) -> None:
    """What is not there, or not any more, is NoSuchKey; other methods are not allowed."""
    gateway.remove_file(PATH)
    answer = client.get(f"{gateway.assets_url}{PATH}")
    assert answer.status_code == 404
    assert b"<Code>NoSuchKey</Code>" in answer.content
    assert client.post(f"{gateway.assets_url}{PATH}").status_code == 405


def test_path_is_matched_as_it_was_sent(gateway: Gateway, client: httpx.Client) -> None:
    """A path that is encoded twice must come as it stands in the link."""
    gateway.host("/a%2520b.mp4", b"twice")
    assert client.get(f"{gateway.assets_url}/a%2520b.mp4").content == b"twice"
    assert client.get(f"{gateway.assets_url}/a%20b.mp4").status_code == 404


# --- signed links -------------------------------------------------------------------------------


def signed_task(gateway: Gateway, client: httpx.Client, **changes: object) -> str:
    """Host a file that needs a signature, and return the link in the next answer about it."""
    gateway.host("/bucket/v.mp4", DATA, signed_only=True)
    link = replace(Link(path="/bucket/v.mp4", lifetime_s=3600), **changes)  # type: ignore[arg-type]
    gateway.put(LumaTask(task_id="t", download_url=link, video=Link(path=PATH)))
    return next_link(gateway, client)


def next_link(gateway: Gateway, client: httpx.Client) -> str:
    url = f"{gateway.base_url}/dream-machine/v1/generations/t"
    return str(client.get(url, headers=KEY).json()["video"]["download_url"])


def test_signed_link_runs_out_by_the_gateways_clock(
    gateway: Gateway, client: httpx.Client, clock: ManualClock
) -> None:
    """It is good to the second its lifetime ends; then 403, expired; a new one is good."""
    link = signed_task(gateway, client)
    clock.advance(3599)
    assert client.get(link).content == DATA
    clock.advance(1)
    dead = client.get(link)
    assert dead.status_code == 403
    assert dead.headers["content-type"] == "application/xml"
    assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in dead.content
    fresh = next_link(gateway, client)
    assert fresh != link
    assert client.get(fresh).content == DATA


def test_stored_link_stays_as_signed_once(
    gateway: Gateway, client: httpx.Client, clock: ManualClock
) -> None:
    """A link that the gateway stored comes again in each answer, dead or not."""
    link = signed_task(gateway, client, signed_at=START - timedelta(minutes=50))
    assert client.get(link).status_code == 200
    clock.advance(minutes=11)
    assert next_link(gateway, client) == link
    assert client.get(link).status_code == 403


def test_stored_link_may_be_renewed_later(gateway: Gateway, client: httpx.Client) -> None:
    """After so many answers with the stored link, the next ones have a fresh one."""
    old = START - timedelta(hours=3)
    dead = signed_task(gateway, client, signed_at=old, renewed_after=2)
    assert client.get(dead).status_code == 403
    assert next_link(gateway, client) == dead
    assert client.get(next_link(gateway, client)).content == DATA


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("X-Amz-Expires=3600", "X-Amz-Expires=7200", "SignatureDoesNotMatch"),
        ("X-Amz-Signature=", "X-Amz-Signature=0", "SignatureDoesNotMatch"),
        ("/bucket/v.mp4", "/bucket/w.mp4", "SignatureDoesNotMatch"),
        ("X-Amz-Date=2026", "X-Amz-Date=2O26", "SignatureDoesNotMatch"),
        ("X-Amz-Date=20261123", "X-Amz-Date=20261399", "SignatureDoesNotMatch"),
        ("X-Amz-Date=2026", "X-Amz-Date=2027", "SignatureDoesNotMatch"),
        ("X-Amz-Expires=3600", "X-Amz-Expires=1e9", "SignatureDoesNotMatch"),
    ],
)
def test_changed_signature_is_refused(
    gateway: Gateway, client: httpx.Client, old: str, new: str, code: str
) -> None:
    """Nothing in a signed link can be changed."""
    link = signed_task(gateway, client)
    assert old in link
    answer = client.get(link.replace(old, new))
    assert answer.status_code == 403
    assert f"<Code>{code}</Code>".encode() in answer.content


def test_private_file_needs_a_signature(gateway: Gateway, client: httpx.Client) -> None:
    """Without its query, with HEAD, or with the key instead, a private file is forbidden."""
    link = signed_task(gateway, client)
    bare = link.partition("?")[0]
    assert client.get(bare).status_code == 403
    assert client.get(bare, headers=KEY).status_code == 403
    assert client.head(link).status_code == 403
    assert client.get(link, headers={"Range": "bytes=1000-"}).content == DATA[1000:]


def test_verbatim_link(gateway: Gateway, client: httpx.Client) -> None:
    """A link may be any text: another host, or nonsense."""
    assert signed_task(gateway, client, url="www.downloadurl.com") == "www.downloadurl.com"


def test_signatures_are_aws_own(gateway: Gateway, client: httpx.Client) -> None:
    """What botocore signs the gateway accepts, and both sign alike."""
    gateway.host("/bucket/a%20b.mp4", DATA, signed_only=True)
    credentials = Credentials(SIGNER.access_key, SIGNER.secret_key)
    request = AWSRequest("GET", f"{gateway.assets_url}/bucket/a%20b.mp4")
    S3SigV4QueryAuth(credentials, "s3", "auto", expires=60).add_auth(request)
    parts = urlsplit(str(request.url))
    real_now = datetime.now(UTC)
    state = SIGNER.check(parts.path, parts.query, method="GET", host=parts.netloc, now=real_now)
    assert state is SignatureState.VALID
    stamp = dict(part.split("=") for part in parts.query.split("&"))["X-Amz-Date"]
    at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = SIGNER.sign(parts.path, host=parts.netloc, at=at, lifetime_s=60)
    assert sorted(ours.split("&")) == sorted(parts.query.split("&"))
