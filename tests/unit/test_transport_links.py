"""Links are taken apart without being changed, and what is no proper link is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.errors import ForbiddenAddressError
from archiver.transport import HttpDownloads
from archiver.transport.link import join, parse_link
from tests.rawserver import RawServer, redirect, reply
from tests.transportrig import get, open_transport


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        running.on("*", reply(b"here"))
        yield running


@pytest.fixture
def downloads() -> Iterator[HttpDownloads]:
    with open_transport() as transport:
        yield transport.downloads()


@pytest.mark.parametrize(
    ("target", "on_the_wire"),
    [
        ("/a%2520b/c.mp4", "/a%2520b/c.mp4"),
        ("/a/%2e%2e/%2E/b", "/a/%2e%2e/%2E/b"),
        ("/a/../b/./c//d", "/a/../b/./c//d"),
        ("/a|b\"<>\\^`{}'", "/a|b\"<>\\^`{}'"),
        ("/a b", "/a%20b"),
        ("/ü/猫.mp4", "/%C3%BC/%E7%8C%AB.mp4"),
        ("/a?x=%2f&y=a+b&sig=%3D==&u=http://b/?c", "/a?x=%2f&y=a+b&sig=%3D==&u=http://b/?c"),
        ("/a?b?c", "/a?b?c"),
        ("/a?", "/a?"),
        ("?a=1", "/?a=1"),
        ("", "/"),
        ("/a#frag?ment", "/a"),
        ("/a?b#c d", "/a?b"),
        ("/a\tb\nc\rd\x00e\x7f", "/a%09b%0Ac%0Dd%00e%7F"),
        ("/%", "/%"),
        ("/a:b@c;d=1,2!$&'()*", "/a:b@c;d=1,2!$&'()*"),
    ],
)
def test_a_target_reaches_the_server_as_given(
    server: RawServer, downloads: HttpDownloads, target: str, on_the_wire: str
) -> None:
    """Nothing is decoded, encoded or tidied up but what no request line can hold."""
    assert get(downloads, f"  {server.url(target)}\n").data == b"here"
    assert server.seen[0].target == on_the_wire


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#")))
def test_printable_paths_never_change(path: str) -> None:
    """Whatever can be sent is sent untouched."""
    assert parse_link(f"https://cdn.example/{path}").target == f"/{path}"


@given(st.text())
def test_no_text_is_more_than_refused(text: str) -> None:
    """Any text is a link of one line or is refused; nothing else happens."""
    for link in (text, f"http://{text}", f"http://h/{text}"):
        try:
            parsed = parse_link(link)
        except ForbiddenAddressError:
            continue
        sent = f"{parsed.target}{parsed.host}{parsed.authority}"
        assert sent.isascii()
        assert not any(char <= " " or char == "\x7f" for char in sent)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("HTTPS://CDN.Example:443/a", "https://cdn.example"),
        ("http://cdn.example:80/a", "http://cdn.example"),
        ("http://cdn.example:443/", "http://cdn.example:443"),
        ("http://cdn.example:/", "http://cdn.example"),
        ("http://cdn.example./", "http://cdn.example."),
        ("http://under_score.example/", "http://under_score.example"),
        ("http://bücher.example/", "http://xn--bcher-kva.example"),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080"),
    ],
)
def test_origins(text: str, origin: str) -> None:
    """An origin is scheme, host and port in one spelling."""
    assert parse_link(text).origin == origin


@pytest.mark.parametrize(
    "text",
    [
        *("", "/a", "//cdn.example/a", "cdn.example/a", "www.downloadurl.com", "None.mp3"),
        *("ftp://cdn.example/a", "file:///etc/passwd", "data:video/mp4;base64,AAAA", "gopher://a/"),
        *("javascript:alert(1)", "http:/cdn.example", "http:cdn.example", "http:\\\\cdn.example\\"),
        *("http://", "http:///a", "http://?a", "http://:80/", "http://./", "http://a..b/"),
        *("http://cdn.example:0/", "http://cdn.example:65536/", "http://cdn.example:x/"),
        *("http://user@cdn.example/", "http://user:pass@cdn.example/", "http://@cdn.example/"),
        *("http://cdn.example\\@127.0.0.1/", "http://cdn.example@127.0.0.1/"),
        *("http://%31%32%37.0.0.1/", "http://cdn%2eexample/", "http://cdn example/"),
        *("http://cdn\t.example/", "http://cdn\n.example/", "http://cdn.example\x00/"),
        *("http://１２７.0.0.1/", "http://①②⑦.0.0.1/", "http://xn--\u2260/"),
        *("http://[::1/", "http://::1/", "http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/"),
        *("http://[cdn.example]/", "http://[v1.a]/", "http://[]/", "http://[::1]a/"),
        *(
            "http://1.2.3.4.5/",
            "http://256.1.1.1/",
            "http://0x/",
            "http://08/",
            "http://1.2.3.x9.9/",
        ),
        *(f"http://{'a' * 64}.example/", f"http://{'a.' * 127}example/", "http://-a.example/"),
    ],
)
def test_what_is_no_proper_link(text: str) -> None:
    """Other schemes, user info and hosts that could be read in two ways are not asked."""
    with pytest.raises(ForbiddenAddressError) as caught:
        parse_link(text)
    assert caught.value.code == "forbidden_address"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ftp://cdn.example/", "not an http or https link"),
        ("http://user@cdn.example/", "user info"),
        ("http://cdn example/", "no proper host"),
        ("http://cdn.example:99999/", "no proper port"),
    ],
)
def test_the_refusal_says_why(text: str, reason: str) -> None:
    """What is wrong with a link is told in plain words."""
    with pytest.raises(ForbiddenAddressError, match=reason):
        parse_link(text)


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("https://other.example/%2520/../x|", "https://other.example/%2520/../x|"),
        ("HTTP://other.example", "http://other.example/"),
        ("//other.example/a/../b", "https://other.example/a/../b"),
        ("/top/../%2e?q", "https://cdn.example/top/../%2e?q"),
        ("file.mp4?q", "https://cdn.example/a/file.mp4?q"),
        ("../file.mp4", "https://cdn.example/file.mp4"),
        ("?new=1", "https://cdn.example/a/b?new=1"),
        (" /x y ", "https://cdn.example/x%20y"),
        ("/\u00c3\u00bc", "https://cdn.example/%C3%BC"),  # the bytes of ü, read as Latin-1
        ("a:80/b", None),
        ("http://", None),
        ("ftp://cdn.example/", None),
        ("//user@cdn.example/", None),
    ],
)
def test_where_a_redirect_leads(location: str, leads_to: str | None) -> None:
    """A full or absolute location is taken as given, a relative one from where it was said."""
    base = parse_link("https://cdn.example/a/b?old=1")
    if leads_to is None:
        with pytest.raises(ForbiddenAddressError):
            join(base, location)
    else:
        joined = join(base, location)
        assert joined.origin + joined.target == leads_to


@given(st.text(st.characters(max_codepoint=255)))
def test_no_location_is_more_than_refused(location: str) -> None:
    """Any header value is a link or is refused."""
    with contextlib.suppress(ForbiddenAddressError):
        assert join(parse_link("https://cdn.example/a/b"), location).target.isascii()


def test_a_redirect_keeps_its_location_verbatim(
    server: RawServer, downloads: HttpDownloads
) -> None:
    """A signed link behind a redirect goes on the wire as the header gave it."""
    server.on("/start", redirect(server.url("/a%2520/%2e%2e/b|?sig=%2B+%2f")))
    assert get(downloads, server.url("/start")).data == b"here"
    assert server.seen[1].target == "/a%2520/%2e%2e/b|?sig=%2B+%2f"


def test_links_hide_their_secrets() -> None:
    """Neither `repr` nor the form for logs shows a query."""
    link = parse_link("https://cdn.example/a?X-Signature=canary")
    assert "canary" not in repr(link)
    assert link.shown == "https://cdn.example/a"
