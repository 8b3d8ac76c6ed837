"""No file is asked from an address that is not public, however that address is reached."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from archiver.contracts import AssetRequest
from archiver.errors import ForbiddenAddressError, PassingError, ProviderError, RedirectError
from archiver.transport.address import is_public
from tests.rawserver import RawServer, redirect, reply
from tests.transportrig import FakeInternet, get, open_api, open_transport

PUBLIC = "93.184.216.34"
CLOSED = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200"),
    *("127.0.0.1", "127.255.255.254", "169.254.169.254", "169.254.0.1", "168.63.129.16"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "192.88.99.1"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1"),
    *("fe80::1", "fe80::1%1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1"),
    *("2001::1", "2001:0:7f00:1::1", "2001:db8::1", "2001:10::1", "3fff::1", "5f00::1"),
]
OPEN = [
    *(PUBLIC, "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1", "9.255.255.255"),
    *("2606:4700::6810:84e5", "2a00:1450:4001::1", "2001:4860:4860::8888", "::ffff:93.184.216.34"),
    *("64:ff9b::5db8:d822", "2002:5db8:d822::1"),
]
SPELLINGS = [
    *("127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0X7F.0.0.1", "127.1", "127.0.1"),
    *("0177.0.0.1", "017700000001", "127.0.0.1.", "0.0.0.0", "0", "localhost", "LOCALHOST."),
    *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]"),
    *("[64:ff9b::127.0.0.1]", "[::]", "127。0。0。1", "169.254.169.254", "[fd00:ec2::254]"),
    *("2852039166", "0xa9fea9fe", "10.0.0.1", "192.168.0.1", "100.64.0.1", "3232235777"),
]


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        running.on("*", reply(b"secret of this network"))
        yield running


@pytest.mark.parametrize("text", CLOSED)
def test_closed_addresses(text: str) -> None:
    """Loopback, private, link-local, multicast, metadata, reserved: none of them is public."""
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", OPEN)
def test_open_addresses(text: str) -> None:
    """Addresses of the open internet are."""
    assert is_public(ip_address(text))


@pytest.mark.parametrize("host", SPELLINGS)
def test_every_spelling_of_a_closed_address(server: RawServer, host: str) -> None:
    """A closed address is refused in each form that a resolver or a browser would take."""
    with (
        open_transport(allow_private_addresses=False) as transport,
        pytest.raises(ForbiddenAddressError) as caught,
    ):
        get(transport.downloads(), f"http://{host}:{server.port}/f")
    assert caught.value.code == "forbidden_address"
    assert caught.value.final
    assert server.lines == 0


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "localhost"]
)
def test_the_user_may_allow_them(server: RawServer, host: str) -> None:
    """With `allow_private_addresses` the same links are asked."""
    with open_transport(allow_private_addresses=True) as transport:
        assert get(transport.downloads(), f"http://{host}:{server.port}/f").status == 200


@pytest.mark.parametrize("address", CLOSED)
def test_a_name_that_resolves_there(server: RawServer, address: str) -> None:
    """A name is judged by its addresses, and nothing is sent."""
    internet = FakeInternet({"cdn.example": [[address]]}, server.port)
    with (
        open_transport(
            allow_private_addresses=False,
            resolve=internet.resolve,
            begin_connect=internet.begin_connect,
        ) as transport,
        pytest.raises(ForbiddenAddressError),
    ):
        get(transport.downloads(), "http://cdn.example/f")
    assert (internet.called, server.lines) == ([], 0)


def test_the_address_that_was_checked_is_the_one_called(server: RawServer) -> None:
    """A name whose answer changes cannot move a connection: it is resolved once for each."""
    internet = FakeInternet({"cdn.example": [[PUBLIC], ["127.0.0.1"]]}, server.port)
    with open_transport(
        allow_private_addresses=False,
        resolve=internet.resolve,
        begin_connect=internet.begin_connect,
    ) as transport:
        downloads = transport.downloads()
        assert get(downloads, "http://cdn.example/f").status == 200
        assert (internet.asked, internet.called) == (["cdn.example"], [PUBLIC])
        assert server.seen[0].headers["host"] == "cdn.example"
        # The kept connection is to the address that was checked; a new one is checked anew.
        assert get(downloads, "http://cdn.example/f").status == 200
        with pytest.raises(ForbiddenAddressError):
            get(downloads, "http://cdn.example:8080/f")
    assert internet.called == [PUBLIC]


def test_of_mixed_addresses_only_the_public_ones_are_called(server: RawServer) -> None:
    """A name that resolves to both kinds is asked at its public addresses only."""
    mixed = ["127.0.0.1", "::1", PUBLIC, "10.0.0.1"]
    internet = FakeInternet({"cdn.example": [mixed]}, server.port)
    with open_transport(
        allow_private_addresses=False,
        resolve=internet.resolve,
        begin_connect=internet.begin_connect,
    ) as transport:
        get(transport.downloads(), "http://cdn.example/f")
    assert internet.called == [PUBLIC]


def test_addresses_are_tried_in_turn(server: RawServer) -> None:
    """An address that does not answer does not hide the next one, and costs little time."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())

        def begin_connect(ip: str, port: int) -> socket.socket:
            if ip == "192.0.2.9":
                raise ConnectionRefusedError
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(deaf.getsockname() if ip == "192.0.2.1" else (ip, port))
            return sock

        with open_transport(
            resolve=lambda host, port: ["192.0.2.9", "192.0.2.1", "127.0.0.1"],
            begin_connect=begin_connect,
        ) as transport:
            assert get(transport.downloads(), f"http://cdn.example:{server.port}/f").status == 200
        for caller in callers:
            caller.close()


def test_ipv6_is_spoken() -> None:
    """A literal IPv6 address is connected to, and named in brackets."""
    with RawServer(host="::1") as server, open_transport() as transport:
        server.on("/f", reply(b"six"))
        assert get(transport.downloads(), server.url("/f")).data == b"six"
        assert server.seen[0].headers["host"] == f"[::1]:{server.port}"


# --- redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1/f", "http://169.254.169.254/latest/meta-data/", "http://[::1]/f"),
        *("http://2130706433/f", "//localhost/f", "http://private.example/f"),
        *("file:///etc/passwd", "ftp://cdn.example/f", "http://a@cdn.example/f"),
    ],
)
def test_redirects_are_checked_at_every_hop(server: RawServer, location: str) -> None:
    """A redirect to a closed address or another scheme is refused like a link to it."""
    names = {"cdn.example": [[PUBLIC]], "private.example": [["10.0.0.1"]], "localhost": [["::1"]]}
    internet = FakeInternet(names, server.port)
    server.on("/start", redirect("/middle"))
    server.on("/middle", redirect(location))
    with (
        open_transport(
            allow_private_addresses=False,
            resolve=internet.resolve,
            begin_connect=internet.begin_connect,
        ) as transport,
        pytest.raises(ForbiddenAddressError),
    ):
        get(transport.downloads(), "http://cdn.example/start")
    assert set(internet.called) == {PUBLIC}
    assert [seen.target for seen in server.seen] == ["/start", "/middle"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(server: RawServer, status: int) -> None:
    """Each kind of redirect leads on with the same headers, and without a Referer."""
    server.on("/start", redirect("/file", status=status))
    with open_transport() as transport:
        got = get(transport.downloads(), server.url("/start"), Range="bytes=5-")
    assert got.status == 200
    assert [seen.target for seen in server.seen] == ["/start", "/file"]
    assert server.seen[1].headers["range"] == "bytes=5-"
    assert "referer" not in server.seen[1].headers
    assert server.lines == 1


@pytest.mark.parametrize("status", [300, 304, 305, 306])
def test_other_answers_of_that_class_are_given(server: RawServer, status: int) -> None:
    """What is no redirect is handed to whoever asked."""
    server.on("/f", redirect("/g", status=status))
    with open_transport() as transport:
        assert get(transport.downloads(), server.url("/f")).status == status


def test_ten_redirects_and_no_more(server: RawServer) -> None:
    """The tenth redirect is followed, the eleventh is not."""
    for number in range(11):
        server.on(f"/{number}", redirect(f"/{number + 1}"))
    with open_transport() as transport:
        assert get(transport.downloads(), server.url("/1")).status == 200
        with pytest.raises(RedirectError, match="more than 10"):
            get(transport.downloads(), server.url("/0"))


@pytest.mark.parametrize("location", ["/a", "/b", ""])
def test_loops_and_dead_ends(server: RawServer, location: str) -> None:
    """A redirect in a circle, or to nowhere, refuses the link without more requests."""
    server.on("/a", redirect("/b"))
    server.on("/b", redirect(location))
    with open_transport() as transport, pytest.raises(RedirectError) as caught:
        get(transport.downloads(), server.url("/a"))
    assert caught.value.code == "redirect_loop"
    assert len(server.seen) == 2


def test_no_cookie_is_kept(server: RawServer) -> None:
    """What a hop sets is not sent to the next, nor with a later request."""
    server.on("/a", reply(b"", status=302, headers={"Location": "/b", "Set-Cookie": "s=1"}))
    with open_transport() as transport:
        get(transport.downloads(), server.url("/a"))
        get(transport.downloads(), server.url("/a"))
    assert not [seen for seen in server.seen if "cookie" in seen.headers]


# --- what an asset request never carries ----------------------------------------------------------


def test_no_key_goes_out_with_a_file(server: RawServer) -> None:
    """Even a caller who asks for it cannot send a key, a cookie or a Referer for a file."""
    with open_transport() as transport:
        api = open_api(transport, server.origin, headers={"X-Account": "canary"})
        api.request("GET", "/task")
        get(
            transport.downloads(),
            server.url("/f"),
            Authorization="Bearer x",
            cookie="a=b",
            Referer="http://x/",
            Proxy_Authorization="Basic x",
            Host="other.example",
        )
    assert set(server.seen[1].headers) == {"host", "user-agent", "accept", "accept-encoding"}
    assert server.seen[1].headers["host"] == f"127.0.0.1:{server.port}"
    assert server.seen[1].headers["accept-encoding"] == "identity"
    assert server.seen[1].headers["user-agent"].startswith("archiver/")


def test_an_api_connection_is_never_used_for_a_file(server: RawServer) -> None:
    """The API may be on a private address; its open connection is no way around the check."""
    internet = FakeInternet({"gw.example": [["127.0.0.1"]]}, server.port)
    with open_transport(
        allow_private_addresses=False,
        resolve=internet.resolve,
        begin_connect=internet.begin_connect,
    ) as transport:
        assert open_api(transport, "http://gw.example").request("GET", "/task").status == 200
        with pytest.raises(ForbiddenAddressError):
            get(transport.downloads(), "http://gw.example/f")
    assert [seen.target for seen in server.seen] == ["/task"]


def test_kinds_of_connections_stay_apart(server: RawServer) -> None:
    """Also where both are allowed, a file and a task do not share a connection."""
    with open_transport() as transport:
        open_api(transport, server.origin).request("GET", "/task")
        get(transport.downloads(), server.url("/f"))
        open_api(transport, server.origin).request("GET", "/task")
    assert [seen.line for seen in server.seen] == [0, 1, 0]


def test_headers_that_cannot_be_sent(server: RawServer) -> None:
    """A line break in a header value (from a server's ETag, say) never reaches the wire."""
    with open_transport() as transport, pytest.raises(ProviderError) as caught:
        get(transport.downloads(), server.url("/f"), If_Range='"a"\r\nX-Canary: 1')
    assert "If-Range" in str(caught.value)
    assert "Canary" not in str(caught.value)
    assert server.seen == []


def test_a_request_hides_its_link() -> None:
    """The link of an asset request is not in its `repr`."""
    assert "canary" not in repr(AssetRequest(url="http://a.example/?s=canary"))


def test_a_resolver_that_fails_is_a_passing_fault(server: RawServer) -> None:
    """No address is not a forbidden address: the name server may be back tomorrow."""
    internet = FakeInternet({"cdn.example": [[]]}, server.port)
    with open_transport(
        allow_private_addresses=False,
        resolve=internet.resolve,
        begin_connect=internet.begin_connect,
    ) as transport:
        for host in ("cdn.example", "unknown.example"):
            with pytest.raises(PassingError) as caught:
                get(transport.downloads(), f"http://{host}/f")
            assert caught.value.code == "dns"
