"""A link taken apart without changing it.

`httpx.URL` removes dot segments and encodes what it thinks needs it. A signed link must reach its
server as it was signed, so the part that goes on the wire is cut out here and left alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import urljoin

from archiver.errors import ForbiddenAddressError
from archiver.transport.address import literal

_PORTS = {"http": 80, "https": 443}
_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[^\[\]@]*\]|[^:@\[\]]*)(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_UNSENDABLE = re.compile(r"[^\x21-\x7e]")
_UNSENDABLE_BYTE = re.compile(rb"[^\x21-\x7e]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SPACE = " \t\r\n\f\v"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where a request goes.

    Attributes:
        scheme: `http` or `https`.
        host: Lower case, ASCII, IPv6 without brackets; a dot at the end is kept.
        port: The scheme's own when the link names none.
        authority: What the `Host` header says: host, and the port where it is not the scheme's own.
        target: Path and query as they go on the wire; hidden from `repr`.
    """

    scheme: str
    host: str
    port: int
    authority: str
    target: str = field(repr=False)

    @property
    def name(self) -> str:
        """The host as resolvers and certificates know it: without a dot at the end."""
        return self.host.removesuffix(".")

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a key belongs to."""
        return f"{self.scheme}://{self.authority}"

    @property
    def shown(self) -> str:
        """The link for logs: without its query."""
        return self.origin + self.target.partition("?")[0]


def parse_link(text: str) -> Link:
    """Take a link apart.

    White space around it is dropped, characters that cannot stand in a request line are
    percent-encoded as UTF-8, everything else stays as it is.

    Raises:
        ForbiddenAddressError: Not http or https, user info, or no proper host.
    """
    parts = _PARTS.fullmatch(text.strip(_SPACE))
    scheme = parts[1].lower() if parts else ""
    if parts is None or scheme not in _PORTS:
        raise ForbiddenAddressError("the link is not an http or https link; it was not asked")
    if "@" in parts[2]:
        raise ForbiddenAddressError("the link carries user info; it was not asked")
    authority = _AUTHORITY.fullmatch(parts[2])
    if authority is None:
        raise ForbiddenAddressError("the link names no proper host; it was not asked")
    port = int(authority[2]) if authority[2] else _PORTS[scheme]
    if not 0 < port < 65536:
        raise ForbiddenAddressError("the link names no proper port; it was not asked")
    host = _host(authority[1])
    shown_host = f"[{host}]" if ":" in host else host
    target = (parts[3] or "/") + (parts[4] or "")
    return Link(
        scheme=scheme,
        host=host,
        port=port,
        authority=shown_host if port == _PORTS[scheme] else f"{shown_host}:{port}",
        target=_UNSENDABLE.sub(_encode, target),
    )


def join(base: Link, location: str) -> Link:
    """Find where a redirect leads.

    Args:
        base: The link that was asked.
        location: The `Location` header, its bytes read as Latin-1.

    Raises:
        ForbiddenAddressError: As `parse_link`.
    """
    raw = location.strip(_SPACE).encode("latin-1", "replace")
    text = _UNSENDABLE_BYTE.sub(lambda m: b"%%%02X" % m[0][0], raw).decode("ascii")
    if _SCHEME.match(text):
        return parse_link(text)
    if text.startswith("//"):
        return parse_link(f"{base.scheme}:{text}")
    if text.startswith("/"):
        return parse_link(base.origin + text)
    return parse_link(urljoin(base.origin + base.target, text))


def _host(text: str) -> str:
    host: str | None = None
    try:
        if text.startswith("["):
            host = str(IPv6Address(text[1:-1])) if "%" not in text else None
        else:
            host = (text if text.isascii() else _idna(text)).lower()
            name = host.removesuffix(".")
            if len(name) > 253 or not all(map(_LABEL.fullmatch, name.split("."))):
                host = None
            else:
                literal(name)
    except ValueError:
        host = None
    if host is None:
        raise ForbiddenAddressError("the link names no proper host; it was not asked")
    return host


def _idna(text: str) -> str:
    import httpx

    try:
        return httpx.URL(scheme="https", host=text).raw_host.decode("ascii")
    except httpx.InvalidURL:
        raise ValueError("not an international name") from None


def _encode(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))
