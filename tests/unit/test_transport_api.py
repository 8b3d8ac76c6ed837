"""Asking an API: where requests go, what statuses mean, what bodies may hold."""

from __future__ import annotations

import gzip
import json
import math
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archiver.contracts import Api
from archiver.errors import (
    ArchiverError,
    ConfigError,
    KeyRefusedError,
    NoCreditError,
    PassingError,
    ProviderError,
    RateLimitedError,
    SourceFaultError,
)
from archiver.model import Answer, JsonValue
from archiver.transport import HttpApi, Transport
from archiver.transport.document import read_answer
from archiver.transport.message import Head
from tests.rawserver import RawServer, answer, chunked, cut, redirect, reply, say, trickle
from tests.transportrig import KEY, HastyClock, open_api, open_transport

JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        running.on("*", reply(b'{"ok": true}', headers=JSON))
        yield running


@pytest.fixture
def clock() -> HastyClock:
    return HastyClock()


@pytest.fixture
def transport(clock: HastyClock) -> Iterator[Transport]:
    with open_transport(clock=clock, timeout_s=0.5) as opened:
        yield opened


@pytest.fixture
def api(server: RawServer, transport: Transport) -> HttpApi:
    return open_api(transport, server.origin)


def read(body: bytes, status: int = 200) -> Answer:
    """Read a body as the API does."""
    return read_answer(
        body, Head(status=status, headers={}, length=None, chunked=False, persistent=True)
    )


# --- where requests go ----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/", "/vip/v2", "/vip/v2/", "/a%2520b//"])
def test_the_path_is_appended_to_the_prefix(
    server: RawServer, transport: Transport, prefix: str
) -> None:
    """A base URL may carry a path, with or without a slash at its end."""
    api = open_api(transport, server.origin + prefix)
    assert api.base_url == server.origin + prefix.rstrip("/")
    assert api.request("GET", "/luma/generations/1%2520").body == {"ok": True}
    assert server.seen[0].target == prefix.rstrip("/") + "/luma/generations/1%2520"


def test_what_goes_out(server: RawServer, transport: Transport) -> None:
    """Key, own headers and the request's headers, the later ones winning."""
    api = open_api(
        transport,
        server.origin,
        headers={
            "X-Runway-Version": "2024-11-06",
            "X-Two": "a",
            "accept": "text/x",
            "Content-Length": "999",
            "Host": "other.example",
            "Transfer-Encoding": "chunked",
        },
    )
    api.request("GET", "/t?a=1", params={"b": "x y&z/ü"}, headers={"x-two": "b"})
    api.request("POST", "/t", json={"ids": ["é"]}, params={"c": ""})
    first, second = server.seen
    assert first.target == "/t?a=1&b=x%20y%26z%2F%C3%BC"
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.headers["x-runway-version"] == "2024-11-06"
    assert (first.headers["x-two"], first.headers["accept"]) == ("b", "text/x")
    assert first.headers["accept-encoding"] == "gzip, deflate"
    assert first.headers["user-agent"].startswith("archiver/")
    assert first.headers["host"] == f"127.0.0.1:{server.port}"
    assert "transfer-encoding" not in first.headers
    assert (second.method, second.target) == ("POST", "/t?c=")
    assert json.loads(second.body) == {"ids": ["é"]}
    assert second.headers["content-type"] == "application/json"


def test_the_key_is_made_anew(server: RawServer, transport: Transport) -> None:
    """Providers with short-lived tokens mint one for each request."""
    minted = iter(["one", "two"])
    api = open_api(transport, server.origin, auth=lambda: {"Authorization": next(minted)})
    api.request("GET", "/a")
    api.request("GET", "/b")
    assert [seen.headers["authorization"] for seen in server.seen] == ["one", "two"]


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.example",
        "ftp://api.example",
        "https://u:p@api.example",
        "https://a/?x=1",
        "http://a/#b",
    ],
)
def test_a_base_url_that_is_none(transport: Transport, base_url: str) -> None:
    """A base URL that cannot be one is a fault of the configuration."""
    with pytest.raises(ConfigError, match="base_url"):
        open_api(transport, base_url)


@pytest.mark.parametrize(
    "path",
    [
        *("/a b", "/a\nb", "/a\r\nX: 1", "/a\x00", "/a\x7f", "/ü", "/a#b", "", "a", "?a=1"),
        *("/..", "/a/../b", "/a/%2e%2E/b", "/./a", "/a/.", "/a/%2e?x", "//evil\n"),
    ],
)
def test_a_path_that_cannot_be_meant(server: RawServer, api: HttpApi, path: str) -> None:
    """What an id could smuggle into a path never reaches the wire."""
    with pytest.raises(ProviderError) as caught:
        api.request("GET", path)
    assert server.lines == 0
    assert path not in str(caught.value) or len(path) < 3


@pytest.mark.parametrize(
    "path",
    ["//other.example/x", "/a//b", "/a%2F..%2Fb", "/a..b/.c/...", "/a/%252e%252e/b", "/@x:y"],
)
def test_odd_paths_go_out_as_given(server: RawServer, api: HttpApi, path: str) -> None:
    """A path that is only odd stays below the base URL and unchanged."""
    api.request("GET", path)
    assert server.seen[0].target == path


def test_a_full_url_of_the_same_origin(server: RawServer, api: HttpApi) -> None:
    """The next page of a list may be named in full."""
    api.request("GET", server.url("/v1/list?cursor=%2520"))
    assert server.seen[0].target == "/v1/list?cursor=%2520"


def test_a_full_url_elsewhere_is_not_asked(server: RawServer, transport: Transport) -> None:
    """Another host, port or scheme never sees the key."""
    api = open_api(transport, server.url("/prefix"))
    with RawServer() as other:
        for url in (
            other.url("/next?token=canary"),
            f"https://127.0.0.1:{server.port}/x",
            f"http://localhost:{server.port}/x",
            f"http://127.0.0.1:{server.port}@{other.host}:{other.port}/x",
        ):
            with pytest.raises(ProviderError) as caught:
                api.request("GET", url)
            assert "canary" not in str(caught.value)
        assert (other.lines, server.lines) == (0, 0)


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\r\nX: 1", f"{KEY}\x00", f"{KEY} ключ"])
def test_a_header_that_cannot_be_sent(server: RawServer, transport: Transport, key: str) -> None:
    """A key with a line break is refused by name, and its value is not shown."""
    api = open_api(transport, server.origin, auth=lambda: {"Authorization": key})
    with pytest.raises(ProviderError, match="Authorization") as caught:
        api.request("GET", "/t")
    assert KEY not in str(caught.value)
    assert server.lines == 0


# --- redirects ------------------------------------------------------------------------------------


def test_redirects_within_the_origin(server: RawServer, api: HttpApi) -> None:
    """A GET is followed on its own origin, up to five times, key and all."""
    for number in range(6):
        server.on(f"/{number}", redirect(f"/{number + 1}?a=%2520", status=307))
    assert api.request("GET", "/1").body == {"ok": True}
    assert server.seen[-1].headers["authorization"] == f"Bearer {KEY}"
    assert server.seen[-1].target == "/6?a=%2520"
    with pytest.raises(SourceFaultError, match="more than 5"):
        api.request("GET", "/0")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_does_not_follow_a_redirect(server: RawServer, api: HttpApi, status: int) -> None:
    """A redirect to another origin is a fault of the source, and is not followed."""
    with RawServer() as other:
        server.on("/t", redirect(other.url("/login?next=canary"), status=status))
        with pytest.raises(SourceFaultError, match="base_url") as caught:
            api.request("GET", "/t")
        assert other.origin in str(caught.value)
        assert "canary" not in str(caught.value)
        assert other.lines == 0


@pytest.mark.parametrize("location", ["", "ftp://x/", "https://127.0.0.1/", "//evil.example/"])
def test_redirects_to_nowhere(server: RawServer, api: HttpApi, location: str) -> None:
    """So is one without a usable target."""
    server.on("/t", redirect(location))
    with pytest.raises(SourceFaultError):
        api.request("GET", "/t")


def test_a_post_is_not_redirected(server: RawServer, api: HttpApi) -> None:
    """A POST would lose its body."""
    server.on("/t", redirect("/u"))
    with pytest.raises(SourceFaultError, match="POST"):
        api.request("POST", "/t", json={})


# --- statuses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, b'{"error": 1}', KeyRefusedError),
        (401, b"<html>", KeyRefusedError),
        (402, b"", NoCreditError),
        (403, b'{"error": "no"}', KeyRefusedError),
        (403, b"<html>Attention Required</html>", SourceFaultError),
        (403, b"", SourceFaultError),
    ],
)
def test_statuses_that_speak_of_the_account(
    server: RawServer, api: HttpApi, status: int, body: bytes, error: type[ArchiverError]
) -> None:
    """A refused key and an empty account are told at once, and apart from a firewall."""
    server.on("/t", reply(body, status=status))
    with pytest.raises(error) as caught:
        api.request("GET", "/t")
    assert type(caught.value) is error
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 404, 405, 410, 418, 422, 451])
def test_statuses_that_are_answers(server: RawServer, api: HttpApi, status: int) -> None:
    """What any other status means is the provider's to tell."""
    server.on("/t", reply(b"" if status in (204, 304) else b'{"code": "x"}', status=status))
    assert api.request("GET", "/t").status == status
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 522])
def test_statuses_that_pass(
    server: RawServer, clock: HastyClock, api: HttpApi, status: int
) -> None:
    """A passing fault is tried again with pauses, `max_attempts` times."""
    bad = reply(b"<html>", status=status)
    server.on("/t", bad, bad, reply(b"[1]"))
    assert api.request("GET", "/t").body == [1]
    assert (len(server.seen), len(clock.slept)) == (3, 2)
    server.on("/t", bad)
    with pytest.raises(PassingError) as caught:
        api.request("GET", "/t")
    assert caught.value.code == f"http_{status}"
    assert len(server.seen) == 9


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b"nonsense\r\n\r\n"]
)
def test_faults_of_the_wire_are_tried_again(server: RawServer, api: HttpApi, data: bytes) -> None:
    """A cut, a short body or nonsense is a passing fault, also of a POST."""
    server.on("/t", cut(data, at=len(data)), reply(b"{}"))
    assert api.request("POST", "/t", json={"ids": []}).body == {}
    assert len(server.seen) == 2


def test_a_429_is_obeyed(server: RawServer, clock: HastyClock, api: HttpApi) -> None:
    """The attempts go on after the pause that the server asked for."""
    busy = reply(b"", status=429, headers={"Retry-After": "30"})
    server.on("/t", busy, busy, reply(b"{}"))
    assert api.request("GET", "/t").status == 200
    assert 60 <= sum(clock.slept) < 66


def test_a_429_for_ever(server: RawServer, clock: HastyClock, api: HttpApi) -> None:
    """A server that never stops refusing ends in a rate limit, after all attempts."""
    server.on("/t", reply(b"", status=429))
    with pytest.raises(RateLimitedError):
        api.request("GET", "/t")
    assert len(server.seen) == 6
    assert sum(clock.slept) < 35


def test_a_provider_may_know_better(server: RawServer, transport: Transport) -> None:
    """Its own reading of an error answer comes first: a 429 may mean an empty account."""
    asked = []

    def classify(told: Answer) -> ArchiverError | None:
        asked.append(told.status)
        empty = isinstance(told.body, dict) and told.body.get("code") == 1102
        return NoCreditError("no credit") if empty else None

    server.on("/empty", reply(b'{"code": 1102}', status=429, headers=JSON))
    server.on("/busy", reply(b'{"code": 1302}', status=429, headers=JSON), reply(b"{}"))
    server.on("/bad", reply(b"{}", status=401))
    api = open_api(transport, server.origin, classify=classify)
    with pytest.raises(NoCreditError):
        api.request("GET", "/empty")
    assert api.request("GET", "/busy").body == {}
    with pytest.raises(KeyRefusedError):
        api.request("GET", "/bad")
    assert asked == [429, 429, 401]


def test_a_provider_may_call_a_fault_passing(server: RawServer, transport: Transport) -> None:
    """A passing error of its own is tried again like any other."""
    server.on("/t", reply(b"{}", status=400), reply(b"{}", status=400), reply(b"[]"))
    api = open_api(transport, server.origin, classify=lambda told: PassingError("saturated"))
    assert api.request("GET", "/t").body == []


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, "x", null, true]}', {"a": [1, 2.5, "x", None, True]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": "ü"}'.encode("utf-16"), {"a": "ü"}),
        (b" \r\n[1]\n", [1]),
        (b'"text"', "text"),
        (b"17", 17),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": "\\u0026\\ud83d\\ude00"}', {"a": "&\U0001f600"}),
        (b'{"\\ud800": "x\\udfff"}', {"\ufffd": "x\ufffd"}),
        (b'{"a": NaN, "b": [-Infinity, 1e999, -1E+400]}', {"a": None, "b": [None, None, None]}),
        (b'{"a": ' + b"9" * 400 + b".5}", {"a": None}),
        (b'{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        (b"[" * 100 + b"]" * 100, "nested"),
        (b"[" + b"{}," * 1000 + b"{}]", [{}] * 1001),
    ],
)
def test_json_is_read(body: bytes, value: JsonValue) -> None:
    """Byte order marks, doubled keys and odd numbers are read; what no file can hold goes."""
    found = read(body)
    assert found.text == ""
    if value == "nested":
        for _ in range(99):
            assert isinstance(found.body, list)
            found = Answer(status=200, body=found.body[0])
        assert found.body == []
    else:
        assert found.body == value


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{", b"{'a': 1}", b'{"a": "\xff"}', b"\x00" * 5, b"[1] <p>", b"\xff\xfe{"],
)
def test_what_is_not_json_is_text(body: bytes) -> None:
    """Its beginning is kept for whoever has to tell what it is."""
    found = read(body)
    assert found.body is None
    assert found.text == body.decode("utf-8", "replace")


def test_text_is_kept_short() -> None:
    """Of a long page only the beginning."""
    assert read("<html>ü".encode() * 10_000).text == ("<html>ü" * 300)[:2000]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 101 + b"]" * 101,
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b"[" * 100_000,
        b'{"a":[' * 50_000,
        b"9" * 10_000,
        b'{"seed": -' + b"1" * 5000 + b"}",
        b"[" + b"0," * 1_100_000 + b"0]",
        b"[" + b"{}," * 600_000 + b"{}]",
    ],
    ids=[
        "101-lists",
        "101-objects",
        "open-lists",
        "open-both",
        "digits",
        "digits-in",
        "long",
        "many",
    ],
)
def test_bombs_are_refused(server: RawServer, api: HttpApi, body: bytes) -> None:
    """Depth, digits and numbers of parts beyond any real answer are no answer."""
    server.on("/t", reply(body))
    with pytest.raises(ProviderError) as caught:
        api.request("GET", "/t")
    assert caught.value.code == "bad_answer"
    assert len(server.seen) == 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_every_json_value_comes_back(value: JsonValue) -> None:
    """Reading is the inverse of writing, infinite numbers apart."""
    found = read(json.dumps(value).encode()).body

    def same(one: JsonValue, other: JsonValue) -> bool:
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(same, one, other))
        if isinstance(one, float) and math.isinf(one):
            return other is None
        return one == other and type(one) is type(other)

    assert same(value, found)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | st.text(alphabet='{}[]",:0123456789eE.-\\u "a').map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """No body does more than be JSON, be text or be refused, and all of it can be written again."""
    try:
        found = read(body)
    except ProviderError:
        return
    json.dumps(found.body, allow_nan=False, ensure_ascii=False).encode()


def test_a_body_without_end_is_cut(server: RawServer, api: HttpApi) -> None:
    """After 64 MiB reading stops."""
    server.on("/t", say(chunked([b" " * (1 << 20)] * 65 + [b"1"])))
    with pytest.raises(ProviderError, match="larger than any real one"):
        api.request("GET", "/t")


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(b'{"a": 1}', mtime=0)),
        ("x-gzip", gzip.compress(b'{"a":', mtime=0) + gzip.compress(b" 1}", mtime=0)),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("deflate", zlib.compress(b'{"a": 1}')[2:-4]),
        ("gzip, deflate", zlib.compress(gzip.compress(b'{"a": 1}', mtime=0))),
        ("identity", b'{"a": 1}'),
    ],
)
def test_codings_are_undone(server: RawServer, api: HttpApi, coding: str, body: bytes) -> None:
    """The usual content codings, alone or stacked."""
    server.on("/t", reply(body, headers={"Content-Encoding": coding}))
    assert api.request("GET", "/t").body == {"a": 1}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip, gzip, gzip", "x\x07y"])
def test_codings_that_are_not_what_they_say(server: RawServer, api: HttpApi, coding: str) -> None:
    """A coding that is unknown, or not that of the bytes, is no answer."""
    server.on("/t", reply(b"\x08plainly not coded", headers={"Content-Encoding": coding}))
    with pytest.raises(ProviderError) as caught:
        api.request("GET", "/t")
    assert str(caught.value).isprintable()


def test_a_compressed_bomb(server: RawServer, api: HttpApi) -> None:
    """A small body that unpacks to a huge one costs neither memory nor time."""
    packed = gzip.compress(b" " * (80 << 20))
    server.on("/t", reply(packed, headers={"Content-Encoding": "gzip"}))
    began = time.monotonic()
    with pytest.raises(ProviderError, match="larger than any real one"):
        api.request("GET", "/t")
    assert time.monotonic() - began < 5


def test_a_coded_body_that_ends_early(server: RawServer, api: HttpApi) -> None:
    """Half a gzip of the announced length is a passing fault."""
    packed = gzip.compress(b'{"a": 1}', mtime=0)
    half = reply(packed[:-9], headers={"Content-Encoding": "gzip"})
    server.on("/t", half, reply(packed, headers={"Content-Encoding": "gzip"}))
    assert api.request("GET", "/t").body == {"a": 1}


def test_media_type_and_headers(server: RawServer, api: HttpApi) -> None:
    """The answer tells its media type plainly, and its headers in lower case."""
    server.on("/t", reply(b"{}", headers={"Content-Type": "Application/JSON; x=y", "X-Page": "2"}))
    found = api.request("GET", "/t")
    assert (found.media_type, found.headers["x-page"]) == ("application/json", "2")


def test_an_answer_that_never_ends(server: RawServer) -> None:
    """A body that trickles fast enough to pass as alive is cut after four time-outs."""
    server.on("/t", trickle(answer(b" " * 100_000), at=0, step=300, every_s=0.05))
    with open_transport(timeout_s=0.3, max_attempts=1) as transport:
        began = time.monotonic()
        with pytest.raises(PassingError) as caught:
            open_api(transport, server.origin).request("GET", "/t")
    assert caught.value.code == "too_slow"
    assert 1.1 < time.monotonic() - began < 2.5


def test_no_cookie_is_kept(server: RawServer, transport: Transport) -> None:
    """A cookie that an API sets is neither sent back nor remembered."""
    served: Api = open_api(transport, server.origin)
    server.on("/t", reply(b"{}", headers={"Set-Cookie": "session=1; Path=/"}))
    served.request("GET", "/t")
    served.request("GET", "/t")
    assert "cookie" not in server.seen[1].headers
    assert list(transport._client.cookies.jar) == []


# --- the server's clock ---------------------------------------------------------------------------


def test_the_servers_clock(server: RawServer, clock: HastyClock, api: HttpApi) -> None:
    """Its latest Date counts, and goes on with our clock; what is absurd is ignored."""
    assert abs(api.now() - clock.now()) < timedelta(seconds=1)
    dates = [
        "Sun, 01 Jan 2040 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "half past nine",
        "",
    ]
    server.on("/t", *(reply(b"{}", headers={"Date": date}) for date in dates))
    for _ in dates:
        api.request("GET", "/t")
        clock.sleep(60)
    ahead = api.now() - datetime(2040, 1, 1, tzinfo=UTC)
    assert abs(ahead - timedelta(seconds=240)) < timedelta(seconds=2)
    server.on("/t", reply(b"no", status=404, headers={"Date": "Sat, 01 Jan 2028 00:00:00 GMT"}))
    api.request("GET", "/t")
    assert api.now().year == 2028
    assert api.now().tzinfo is UTC
