"""Requests through an HTTP proxy, and what still holds there."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator, Mapping

import pytest
import trustme

from archiver.errors import ConfigError, ForbiddenAddressError, PassingError
from archiver.transport import Proxies
from archiver.transport.link import parse_link
from tests.rawserver import Line, RawServer, Seen, answer, reply
from tests.transportrig import FakeInternet, get, open_api, open_transport

PUBLIC = "93.184.216.34"


@pytest.fixture
def proxy() -> Iterator[RawServer]:
    with RawServer() as running:
        running.on("*", reply(b"by proxy"))
        yield running


def through(proxy: RawServer, userinfo: str = "") -> Proxies:
    address = proxy.origin.replace("http://", f"http://{userinfo}")
    return Proxies.from_environment({"http_proxy": address, "HTTPS_PROXY": address})


def picked(environ: Mapping[str, str], link: str) -> str | None:
    proxy = Proxies.from_environment(environ).pick(parse_link(link))
    return f"{proxy.host}:{proxy.port}" if proxy else None


# --- which proxy ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "link", "proxy"),
    [
        ({}, "http://a.example/", None),
        ({"http_proxy": "http://p:8080"}, "http://a.example/", "p:8080"),
        ({"http_proxy": "p:8080"}, "http://a.example/", "p:8080"),
        ({"http_proxy": "http://p"}, "http://a.example/", "p:80"),
        ({"http_proxy": "http://p"}, "https://a.example/", None),
        ({"HTTPS_PROXY": "http://p"}, "https://a.example/", "p:80"),
        ({"ALL_PROXY": "http://p"}, "https://a.example/", "p:80"),
        ({"ALL_PROXY": "http://p", "https_proxy": "http://q"}, "https://a.example/", "q:80"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://p"}, "https://a.example/", None),
        ({"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}, "http://a.example/", None),
        ({"http_proxy": "http://p"}, "http://localhost:80/", None),
        ({"http_proxy": "http://p"}, "http://x.localhost/", None),
        ({"http_proxy": "http://p"}, "http://127.0.0.1/", None),
        ({"http_proxy": "http://p"}, "http://0x7f.1/", None),
        ({"http_proxy": "http://p"}, "http://[::1]/", None),
        ({"http_proxy": "http://p"}, "http://10.0.0.1/", "p:80"),
    ],
)
def test_the_environment_names_the_proxy(
    environ: dict[str, str], link: str, proxy: str | None
) -> None:
    """By scheme, lower case first; never for this machine itself."""
    assert picked(environ, link) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "link", "direct"),
    [
        ("*", "http://a.example/", True),
        ("a.example", "http://a.example/", True),
        ("A.Example, b", "http://a.example/", True),
        ("example", "http://a.example/", True),
        (".example", "http://a.example/", True),
        ("*.example", "http://a.example/", True),
        ("ample", "http://a.example/", False),
        ("a.example:80", "http://a.example/", True),
        ("a.example:8080", "http://a.example/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.0.0.0/8", "http://11.1.2.3/", False),
        ("10.0.0.0/8", "http://a.example/", False),
        ("x/y", "http://a.example/", False),
        ("[2001:db8::1]", "http://[2001:db8::1]/", True),
        ("[2001:db8::1]:80", "http://[2001:db8::1]/", True),
        ("2001:db8::1", "http://[2001:db8::1]/", True),
        ("", "http://a.example/", False),
        (" , ", "http://a.example/", False),
    ],
)
def test_exceptions(no_proxy: str, link: str, direct: bool) -> None:
    """`NO_PROXY` takes names with their subdomains, addresses, networks and ports."""
    found = picked({"http_proxy": "http://p", "NO_PROXY": no_proxy}, link)
    assert found == (None if direct else "p:80")


@pytest.mark.parametrize(
    "address", ["socks5://p:1080", "https://p", "http://", "http://p:x", "http://[p", "://"]
)
def test_other_kinds_of_proxies_are_an_error(address: str) -> None:
    """A proxy that cannot be used is said so, and never silently left out."""
    with pytest.raises(ConfigError, match="ALL_PROXY"):
        Proxies.from_environment({"all_proxy": address})


# --- on the wire ----------------------------------------------------------------------------------


def test_http_goes_out_in_absolute_form(proxy: RawServer) -> None:
    """The proxy sees the whole link, verbatim, and its own authorization."""
    with open_transport(proxies=through(proxy, "user:p%40ss@")) as transport:
        assert get(transport.downloads(), "http://cdn.example/%2520?s=1").data == b"by proxy"
        assert open_api(transport, "http://api.example").request("GET", "/t").text == "by proxy"
    first, second = proxy.seen
    assert first.target == "http://cdn.example/%2520?s=1"
    assert first.headers["host"] == "cdn.example"
    word, _, pair = first.headers["proxy-authorization"].partition(" ")
    assert (word, base64.b64decode(pair)) == ("Basic", b"user:p@ss")
    assert second.target == "http://api.example/t"


def test_https_goes_through_a_tunnel(proxy: RawServer) -> None:
    """TLS is with the target; the proxy sees neither path nor key, and gets its own words only."""
    authority = trustme.CA()
    inner = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.example").configure_cert(inner)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def connect(line: Line, seen: Seen) -> None:
        line.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        line.sock = inner.wrap_socket(line.sock, server_side=True)

    proxy.on("api.example:443", connect)
    proxy.on("/t", reply(b"{}"))
    with open_transport(proxies=through(proxy, "user:word@"), tls=lambda: trusting) as transport:
        api = open_api(transport, "https://api.example")
        for _ in range(2):
            assert api.request("GET", "/t").body == {}
    tunnel, first, second = proxy.seen
    assert (tunnel.method, tunnel.target) == ("CONNECT", "api.example:443")
    assert "authorization" not in tunnel.headers
    assert "proxy-authorization" in tunnel.headers
    assert "proxy-authorization" not in first.headers
    assert (first.target, second.target, proxy.lines) == ("/t", "/t", 1)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answer(b"who are you", status=407), "proxy"),
        (answer(b"", status=502), "proxy"),
        (b"HTTP/1.1 200 Connected\r\n\r\nleft over", "bad_http"),
        (b"", "reset"),
    ],
)
def test_a_tunnel_that_is_refused(proxy: RawServer, said: bytes, code: str) -> None:
    """A proxy that does not connect is a passing fault that names the proxy."""

    def connect(line: Line, seen: Seen) -> None:
        line.send(said)
        line.close()

    proxy.on("cdn.example:443", connect)
    with (
        open_transport(proxies=through(proxy, "user:canary@")) as transport,
        pytest.raises(PassingError, match="proxy") as caught,
    ):
        get(transport.downloads(), "https://cdn.example/f")
    assert caught.value.code == code
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        *("10.0.0.1", "169.254.169.254", "0xa9fea9fe", "[::ffff:10.0.0.1]", "[fd00:ec2::254]"),
        *("intranet", "printer.local", "metadata.google.internal", "private.example"),
        *("mixed.example",),
    ],
)
def test_closed_targets_are_refused_behind_a_proxy(proxy: RawServer, host: str) -> None:
    """Literal addresses, local names and names that resolve to closed addresses stay unasked."""
    names = {"private.example": [["10.0.0.1"]], "mixed.example": [[PUBLIC, "10.0.0.1"]]}
    internet = FakeInternet({**names, "127.0.0.1": [["127.0.0.1"]]}, proxy.port)
    with (
        open_transport(
            allow_private_addresses=False, proxies=through(proxy), resolve=internet.resolve
        ) as transport,
        pytest.raises(ForbiddenAddressError),
    ):
        get(transport.downloads(), f"http://{host}/f")
    assert proxy.lines == 0


@pytest.mark.parametrize("host", ["public.example", "unknown.example", PUBLIC])
def test_public_targets_are_asked_behind_a_proxy(proxy: RawServer, host: str) -> None:
    """A name that only the proxy can resolve is left to it."""
    internet = FakeInternet({"public.example": [[PUBLIC]]}, proxy.port)
    with open_transport(
        allow_private_addresses=False, proxies=through(proxy), resolve=internet.resolve
    ) as transport:
        assert get(transport.downloads(), f"http://{host}/f").data == b"by proxy"


def test_the_proxys_own_address_is_the_users_choice(proxy: RawServer) -> None:
    """A proxy on loopback is used for public targets under the guard."""
    internet = FakeInternet({}, proxy.port)
    with open_transport(
        allow_private_addresses=False, proxies=through(proxy), resolve=internet.resolve
    ) as transport:
        get(transport.downloads(), "http://cdn.example/f")
    assert proxy.lines == 1
