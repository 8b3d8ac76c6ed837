"""https: certificates are checked against the link's host, whatever address it is at."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from archiver.contracts import AssetRequest
from archiver.errors import PassingError
from archiver.transport.client import system_tls
from tests.rawserver import Line, RawServer, Seen, answer, chunked, cut, reply, say
from tests.transportrig import FakeInternet, get, open_api, open_transport

DATA = bytes(range(256)) * 8000


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def settings_for(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[RawServer]:
    with RawServer(tls=settings_for(authority, "127.0.0.1", "cdn.example", "localhost")) as running:
        running.on("/f", reply(DATA))
        yield running


def test_files_and_tasks_over_tls(server: RawServer, trusting: ssl.SSLContext) -> None:
    """A file of many records arrives whole, and the connection is kept."""
    server.on("/t", say(chunked([b'{"a":', b"1}"])))
    with open_transport(tls=lambda: trusting) as transport:
        for _ in range(2):
            assert get(transport.downloads(), server.url("/f")).data == DATA
            assert open_api(transport, server.origin).request("GET", "/t").body == {"a": 1}
    assert server.lines == 2


def test_the_name_is_checked_not_the_address(server: RawServer, trusting: ssl.SSLContext) -> None:
    """The call goes to the checked address; certificate and Host are for the name."""
    internet = FakeInternet(
        {"cdn.example": [["93.184.216.34"]], "other.example": [["93.184.216.34"]]}, server.port
    )
    with open_transport(
        allow_private_addresses=False,
        tls=lambda: trusting,
        resolve=internet.resolve,
        begin_connect=internet.begin_connect,
    ) as transport:
        downloads = transport.downloads()
        assert get(downloads, "https://cdn.example/f").data == DATA
        assert get(downloads, "https://cdn.example./f").data == DATA
        assert server.seen[0].headers["host"] == "cdn.example"
        with pytest.raises(PassingError, match=r"other\.example") as caught:
            get(downloads, "https://other.example/f")
    assert caught.value.code == "tls_certificate"
    assert internet.called == ["93.184.216.34"] * 3


def test_an_unknown_authority_is_told(server: RawServer) -> None:
    """A certificate that nobody vouches for is a passing fault whose reason is not hidden."""
    with open_transport() as transport:
        with pytest.raises(PassingError, match=r"certificate.*not accepted: .+") as caught:
            get(transport.downloads(), server.url("/f"))
        assert caught.value.code == "tls_certificate"
    assert server.seen == []


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b""]
)
def test_a_handshake_that_fails(trusting: ssl.SSLContext, data: bytes) -> None:
    """Plain HTTP, an alert or a close in place of TLS is a passing fault."""
    with RawServer() as plain, open_transport(tls=lambda: trusting) as transport:

        def speak(line: Line) -> None:
            line.send(data)
            line.close()

        plain.on_line = speak
        with pytest.raises(PassingError) as caught:
            get(transport.downloads(), f"https://127.0.0.1:{plain.port}/f")
    assert caught.value.code in ("tls", "reset")


def test_a_handshake_that_stalls(trusting: ssl.SSLContext) -> None:
    """A server that never speaks TLS costs the time-out and no more."""
    with RawServer() as plain, open_transport(tls=lambda: trusting, timeout_s=0.4) as transport:
        plain.on_line = lambda line: line.stall()
        began = time.monotonic()
        with pytest.raises(PassingError) as caught:
            get(transport.downloads(), f"https://127.0.0.1:{plain.port}/f")
    assert caught.value.code == "timeout"
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("how", "codes"),
    [("close", {"short_body"}), ("reset", {"reset", "short_body"}), ("stall", {"timeout"})],
)
def test_cuts_within_tls(
    server: RawServer, trusting: ssl.SSLContext, how: str, codes: set[str]
) -> None:
    """The faults of a plain line are found within TLS as well."""
    server.on("/f", cut(answer(DATA), at=50_000, how=how))
    with open_transport(tls=lambda: trusting, timeout_s=0.4) as transport:
        with pytest.raises(PassingError) as caught:
            get(transport.downloads(), server.url("/f"))
        assert caught.value.code in codes


def test_a_kept_tls_connection_that_died_is_replaced(
    server: RawServer, trusting: ssl.SSLContext
) -> None:
    """A close between two requests goes unnoticed."""
    server.on("/g", say(answer(b"g"), then_close=True))
    with open_transport(tls=lambda: trusting) as transport:
        for _ in range(2):
            assert get(transport.downloads(), server.url("/g")).data == b"g"
            time.sleep(0.1)


@pytest.mark.parametrize("apart", [False, True])
def test_left_over_bytes_within_tls(
    server: RawServer, trusting: ssl.SSLContext, apart: bool
) -> None:
    """Bytes that nobody asked for do not become the next answer, also when already decrypted."""

    def say_more(line: Line, seen: Seen) -> None:
        head, body = answer(b"good").split(b"go")
        if apart:  # the rest is then one record, of which only the body is read
            line.send(head)
            line.pause(0.1)
            head = b""
        line.send(head + b"go" + body + answer(b"evil"))

    server.on("/g", say_more)
    with open_transport(tls=lambda: trusting) as transport:
        found = [get(transport.downloads(), server.url("/g")).data for _ in range(3)]
    assert found == [b"good"] * 3


def test_a_redirect_may_leave_tls(server: RawServer, trusting: ssl.SSLContext) -> None:
    """Files carry no key, so a redirect to plain http is followed."""
    with RawServer() as plain, open_transport(tls=lambda: trusting) as transport:
        plain.on("/f", reply(b"plain"))
        server.on("/f", reply(b"", status=302, headers={"Location": plain.url("/f")}))
        assert get(transport.downloads(), server.url("/f")).data == b"plain"


def test_only_http_1_1_is_offered(server: RawServer, authority: trustme.CA) -> None:
    """A server that prefers HTTP/2 is not talked into it."""
    if server.tls is not None:
        server.tls.set_alpn_protocols(["h2", "http/1.1"])
    spoken: list[str | None] = []

    def remember(line: object) -> None:
        sock = getattr(line, "sock", None)
        if isinstance(sock, ssl.SSLSocket):
            spoken.append(sock.selected_alpn_protocol())

    server.on_line = remember

    def settings() -> ssl.SSLContext:
        context = system_tls()
        authority.configure_trust(context)
        return context

    with open_transport(tls=settings) as transport:
        assert get(transport.downloads(), server.url("/f")).data == DATA
    assert spoken == ["http/1.1"]


def test_roots_from_the_environment(
    server: RawServer, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SSL_CERT_FILE` names the roots, as for httpx and curl."""
    roots = tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(str(roots))
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    with (
        open_transport() as transport,
        transport.downloads().open(AssetRequest(url=server.url("/f"))) as body,
    ):
        assert body.status == 200
