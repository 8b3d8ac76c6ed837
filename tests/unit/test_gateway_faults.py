"""Every fault that the gateway can have is what it says, on the wire."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from archiver.gateway import Gateway
from archiver.gateway.faults import (
    ChangedFile,
    Chunked,
    Cut,
    Delay,
    Drop,
    EmptyBody,
    Endless,
    Fault,
    Gzip,
    Headers,
    HtmlPage,
    IgnoreRange,
    Meanwhile,
    NoETag,
    Pass,
    Redirect,
    RedirectChain,
    RedirectLoop,
    Stall,
    Status,
    Together,
    Trickle,
    UntilClose,
    WeakETag,
    WrongLength,
    WrongStart,
    WrongTotal,
    XmlError,
)
from tests import gatewayfixture

gateway = gatewayfixture.gateway

DATA = bytes(range(256)) * 40
SIZE = len(DATA)
PATH = "/lit/v.mp4"
REST = {"Range": "bytes=10000-"}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


@dataclass
class Wire:
    """What came over a connection of its own until it ended."""

    head: bytes = b""
    body: bytes = b""
    reset: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def raw_get(gateway: Gateway, headers: str = "") -> Wire:
    """Send one GET and read until the connection ends, however it does."""
    port = httpx.URL(gateway.assets_url).port or 0
    wire, received = Wire(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        text = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        raw.sendall(text.encode())
        try:
            while block := raw.recv(65_536):
                received += block
        except ConnectionResetError:
            wire.reset = True
    wire.head, _, wire.body = received.partition(b"\r\n\r\n")
    for line in wire.head.decode().split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        wire.headers[name.lower()] = value
    return wire


def scripted(gateway: Gateway, *faults: Fault, always: bool = False) -> str:
    """Host the file, let the faults wait for it, and return its URL."""
    gateway.host(PATH, DATA, media_type="video/mp4")
    gateway.script(PATH, *faults, always=always)
    return f"{gateway.assets_url}{PATH}"


# --- scripts ------------------------------------------------------------------------------------


def test_faults_are_used_up_in_order(gateway: Gateway, client: httpx.Client) -> None:
    """Each fault meets one request; `Pass` keeps a place; then all is well again."""
    url = scripted(gateway, Status(status=503), Pass(), Status(status=429))
    assert gateway.faults_waiting == 3
    assert [client.get(url).status_code for _ in range(5)] == [503, 200, 429, 200, 200]
    assert gateway.faults_waiting == 0
    assert [r.fault for r in gateway.requests] == ["Status", "Pass", "Status", "", ""]


def test_fault_may_be_there_always(gateway: Gateway, client: httpx.Client) -> None:
    """One that is there always meets whatever no earlier script waits for, until cleared."""
    url = scripted(gateway, Status(status=500))
    gateway.script("/lit/*", Status(status=403), always=True)
    assert [client.get(url).status_code for _ in range(4)] == [500, 403, 403, 403]
    gateway.clear_scripts("/lit/*")
    assert client.get(url).status_code == 200
    with pytest.raises(ValueError, match="always"):
        gateway.script("/x", Pass(), Pass(), always=True)


def test_script_may_be_for_one_method(gateway: Gateway, client: httpx.Client) -> None:
    """A fault that waits for GET lets HEAD pass."""
    gateway.host(PATH, DATA)
    gateway.script(PATH, Status(status=500), method="GET")
    url = f"{gateway.assets_url}{PATH}"
    assert client.head(url).status_code == 200
    assert client.get(url).status_code == 500
    gateway.script("*", Status(status=500))
    gateway.clear_scripts()
    assert client.get(url).status_code == 200


def test_meanwhile_does_something_first(gateway: Gateway, client: httpx.Client) -> None:
    """What happens meanwhile has happened when the answer comes."""
    url = scripted(gateway, Meanwhile(action=lambda: gateway.remove_file(PATH)))
    assert client.get(url).status_code == 404


def test_faults_can_be_joined(gateway: Gateway, client: httpx.Client) -> None:
    """Joined faults all act: here without range, without tag, in chunks."""
    url = scripted(gateway, Together(faults=(Chunked(), IgnoreRange(), NoETag())))
    answer = client.get(url, headers=REST)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert "etag" not in answer.headers
    assert answer.headers["transfer-encoding"] == "chunked"


# --- another answer -----------------------------------------------------------------------------


def test_status_with_headers_and_body(gateway: Gateway, client: httpx.Client) -> None:
    """Any status, with headers such as Retry-After."""
    url = scripted(gateway, Status(status=429, headers={"Retry-After": "7"}, body=b"slow down"))
    answer = client.get(url)
    assert (answer.status_code, answer.content) == (429, b"slow down")
    assert answer.headers["retry-after"] == "7"


def test_empty_429(gateway: Gateway, client: httpx.Client) -> None:
    """A gateway's rate limiter says nothing but the status."""
    answer = client.get(scripted(gateway, Status(status=429)))
    assert (answer.status_code, answer.content) == (429, b"")
    assert "content-type" not in answer.headers


def test_html_with_200(gateway: Gateway, client: httpx.Client) -> None:
    """A sign-in page may come instead of the file, with status 200."""
    answer = client.get(scripted(gateway, HtmlPage()))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.content.startswith(b"<!DOCTYPE html>")


def test_xml_error_with_200(gateway: Gateway, client: httpx.Client) -> None:
    """An object store's error may come with status 200."""
    answer = client.get(scripted(gateway, XmlError()))
    assert answer.status_code == 200
    assert b"<Error><Code>InternalError</Code>" in answer.content


def test_empty_body(gateway: Gateway, client: httpx.Client) -> None:
    """The head may promise media of no length at all."""
    answer = client.get(scripted(gateway, EmptyBody()), headers=REST)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == "0"


@pytest.mark.parametrize("always", [False, True])
def test_redirect_chain_ends_at_the_file(
    gateway: Gateway, client: httpx.Client, always: bool
) -> None:
    """So many redirects come, and then the file, ranges and query and all."""
    url = scripted(gateway, RedirectChain(hops=3, status=307), always=always)
    answer = client.get(f"{url}?a=1&b=%26", headers=REST, follow_redirects=True)
    assert [hop.status_code for hop in answer.history] == [307, 307, 307]
    assert (answer.status_code, answer.content) == (206, DATA[10_000:])
    assert client.get(f"{gateway.assets_url}/.gateway/hop/x/y").status_code == 404


def test_redirect_loop_never_ends(gateway: Gateway, client: httpx.Client) -> None:
    """A loop has no end."""
    with pytest.raises(httpx.TooManyRedirects):
        client.get(scripted(gateway, RedirectLoop()), follow_redirects=True)


def test_redirect_to_another_host(gateway: Gateway, client: httpx.Client) -> None:
    """A redirect may lead anywhere, for instance to the origin that knows the key."""
    target = f"{gateway.base_url}/dream-machine/v1/ping"
    answer = client.get(scripted(gateway, Redirect(location=target, status=301)))
    assert (answer.status_code, answer.headers["location"]) == (301, target)


# --- another file or head -----------------------------------------------------------------------


def test_no_etag_and_weak_etag(gateway: Gateway, client: httpx.Client) -> None:
    """Without a strong tag, no If-Range can be proof."""
    url = scripted(gateway, NoETag(), WeakETag())
    assert "etag" not in client.get(url).headers
    weak = client.get(url).headers["etag"]
    assert weak.startswith('W/"')
    gateway.script(PATH, WeakETag())
    assert client.get(url, headers={**REST, "If-Range": weak}).status_code == 200


def test_changed_file_has_other_bytes_of_the_same_length(
    gateway: Gateway, client: httpx.Client
) -> None:
    """Another tag and date, other bytes, the same length; a resume by If-Range starts anew."""
    url = scripted(gateway)
    before = client.get(url)
    gateway.script(PATH, ChangedFile(), ChangedFile(content=b"x" * SIZE))
    changed = client.get(url, headers={**REST, "If-Range": before.headers["etag"]})
    assert changed.status_code == 200
    assert len(changed.content) == SIZE
    assert all(old != new for old, new in zip(DATA, changed.content, strict=True))
    assert changed.headers["etag"] != before.headers["etag"]
    assert changed.headers["last-modified"] != before.headers["last-modified"]
    assert client.get(url).content == b"x" * SIZE
    assert client.get(url).content == DATA


def test_range_is_ignored(gateway: Gateway, client: httpx.Client) -> None:
    """A server without ranges sends the whole file with 200."""
    answer = client.get(scripted(gateway, IgnoreRange()), headers=REST)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["accept-ranges"] == "none"


def test_other_headers(gateway: Gateway, client: httpx.Client) -> None:
    """Any header can be set or left out."""
    fault = Headers(headers={"Content-Type": "text/plain", "ETag": None, "X-Odd": "1"})
    answer = client.get(scripted(gateway, fault))
    assert answer.headers["content-type"] == "text/plain"
    assert "etag" not in answer.headers
    assert answer.headers["x-odd"] == "1"


def test_gzip_although_identity_was_asked(gateway: Gateway) -> None:
    """The body is compressed, its length that of the compressed bytes."""
    scripted(gateway, Gzip())
    wire = raw_get(gateway, "Accept-Encoding: identity\r\nRange: bytes=5-\r\n")
    assert wire.head.startswith(b"HTTP/1.1 200")
    assert wire.headers["content-encoding"] == "gzip"
    assert int(wire.headers["content-length"]) == len(wire.body) < SIZE
    assert gzip.decompress(wire.body) == DATA


@pytest.mark.parametrize("by", [-100, 100])
def test_wrong_length(gateway: Gateway, by: int) -> None:
    """The announced length is off; all bytes come, and the connection ends."""
    scripted(gateway, WrongLength(by=by))
    wire = raw_get(gateway)
    assert wire.headers["content-length"] == str(SIZE + by)
    assert wire.body == DATA


def test_wrong_length_ends_the_connection(gateway: Gateway, client: httpx.Client) -> None:
    """A client that keeps connections must not read the rest as the next answer."""
    url = scripted(gateway, WrongLength(by=100))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        client.get(url)
    assert client.get(url).content == DATA


@pytest.mark.parametrize(("by", "start"), [(3, 10_003), (-4, 9_996), (-99_999, 0)])
def test_206_with_a_wrong_start(
    gateway: Gateway, client: httpx.Client, by: int, start: int
) -> None:
    """The part begins elsewhere than asked; its Content-Range says so, its bytes agree."""
    url = scripted(gateway, WrongStart(by=by), WrongStart(by=by))
    answer = client.get(url, headers=REST)
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {start}-{SIZE - 1}/{SIZE}"
    assert answer.content == DATA[start:]
    assert client.get(url).content == DATA


def test_206_with_a_wrong_total(gateway: Gateway, client: httpx.Client) -> None:
    """The part is right, but the file is said to have another length."""
    url = scripted(gateway, WrongTotal(by=7), WrongTotal(by=7))
    answer = client.get(url, headers=REST)
    assert answer.headers["content-range"] == f"bytes 10000-{SIZE - 1}/{SIZE + 7}"
    assert answer.content == DATA[10_000:]
    assert client.get(url).content == DATA


# --- another way of sending ---------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after", [0, 1, 5000, SIZE - 1])
def test_cut_after_exactly_so_many_bytes(gateway: Gateway, after: int, reset: bool) -> None:
    """The whole length is announced, exactly so many bytes come, then FIN, or RST."""
    scripted(gateway, Cut(after_bytes=after, reset=reset))
    wire = raw_get(gateway)
    assert wire.headers["content-length"] == str(SIZE)
    assert wire.body == DATA[:after]
    assert wire.reset is reset
    assert gateway.requests[0].sent_bytes == after


def test_cut_counts_from_the_start_of_the_part(gateway: Gateway) -> None:
    """In a 206, the bytes of the part are counted, not those of the file."""
    scripted(gateway, Cut(after_bytes=100))
    wire = raw_get(gateway, "Range: bytes=1000-\r\n")
    assert wire.head.startswith(b"HTTP/1.1 206")
    assert wire.body == DATA[1000:1100]


def test_cut_of_chunks_has_no_end_mark(gateway: Gateway) -> None:
    """A chunked body that is cut lacks its last chunk."""
    scripted(gateway, Together(faults=(Cut(after_bytes=10), Chunked())))
    wire = raw_get(gateway)
    assert wire.body == b"a\r\n" + DATA[:10] + b"\r\n"


@pytest.mark.parametrize("reset", [False, True])
def test_drop_says_nothing(gateway: Gateway, reset: bool) -> None:
    """The connection ends without a byte."""
    scripted(gateway, Drop(reset=reset))
    wire = raw_get(gateway)
    assert wire.head == b""
    assert wire.reset is reset
    assert gateway.requests[0].status == 0


def test_delay_is_before_the_first_byte(gateway: Gateway, client: httpx.Client) -> None:
    """Nothing comes for so long, and then all of it."""
    url = scripted(gateway, Delay(seconds=0.3), Delay(seconds=30))
    began = time.monotonic()
    assert client.get(url).content == DATA
    assert time.monotonic() - began >= 0.3
    with pytest.raises(httpx.ReadTimeout):
        client.get(url, timeout=0.2)


def test_stall_in_the_middle(gateway: Gateway, client: httpx.Client) -> None:
    """So many bytes come, nothing for a while, and then the rest; or never."""
    url = scripted(gateway, Stall(after_bytes=5000, seconds=0.3), Stall(after_bytes=5000))
    began = time.monotonic()
    assert client.get(url).content == DATA
    assert time.monotonic() - began >= 0.3
    received = b""
    with client.stream("GET", url, timeout=0.3) as answer:
        body = answer.iter_raw()
        while len(received) < 5000:
            received += next(body)
        with pytest.raises(httpx.ReadTimeout):
            next(body)
    assert received == DATA[:5000]


def test_trickle_is_no_faster(gateway: Gateway, client: httpx.Client) -> None:
    """The body takes its size divided by the rate."""
    url = scripted(gateway, Trickle(bytes_per_s=20_000))
    began = time.monotonic()
    assert client.get(url).content == DATA
    assert time.monotonic() - began >= SIZE / 20_000 * 0.9


def test_chunked_has_no_length(gateway: Gateway, client: httpx.Client) -> None:
    """Chunks arrive whole, the connection stays of use."""
    url = scripted(gateway, Chunked())
    answer = client.get(url)
    assert answer.content == DATA
    assert "content-length" not in answer.headers
    assert client.get(url).content == DATA
    assert len({record.connection for record in gateway.requests}) == 1


def test_until_close_has_neither(gateway: Gateway) -> None:
    """Neither length nor chunks: the end of the connection is the end of the body."""
    scripted(gateway, UntilClose())
    wire = raw_get(gateway)
    assert not {"content-length", "transfer-encoding"} & set(wire.headers)
    assert wire.headers["connection"] == "close"
    assert wire.body == DATA


def test_endless_begins_as_the_file(gateway: Gateway, client: httpx.Client) -> None:
    """The file comes, and then zeros until the client has enough."""
    url = scripted(gateway, Endless())
    received = b""
    with client.stream("GET", url) as answer:
        assert "content-length" not in answer.headers
        for chunk in answer.iter_raw():
            received += chunk
            if len(received) > 3_000_000:
                break
    assert received[:SIZE] == DATA
    assert not received[SIZE:].strip(b"\0")


def test_faults_fit_the_api_as_well(gateway: Gateway, client: httpx.Client) -> None:
    """An answer about a task can be cut, compressed or delayed like any other."""
    url = f"{gateway.base_url}/dream-machine/v1/ping"
    headers = {"Authorization": f"Bearer {gateway.api_key}"}
    gateway.script("/dream-machine/v1/ping", Gzip(), Cut(after_bytes=3), Status(status=502))
    assert client.get(url, headers=headers).json() == {"message": "pong"}
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(url, headers=headers)
    assert client.get(url, headers=headers).status_code == 502


@pytest.mark.parametrize(
    "fault", [Stall(), Delay(seconds=60), Trickle(bytes_per_s=1), Endless()], ids=repr
)
def test_close_does_not_wait_for_faults(fault: Fault) -> None:
    """A gateway closes at once, whatever it is in the middle of."""
    gateway = Gateway().start()
    scripted(gateway, fault)
    port = httpx.URL(gateway.assets_url).port or 0
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while not gateway.requests:
            time.sleep(0.005)
        began = time.monotonic()
        gateway.close()
        assert time.monotonic() - began < 5
