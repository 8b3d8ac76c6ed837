"""Which requests go through a proxy, as the environment says."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from archiver.errors import ConfigError
from archiver.transport.address import is_loopback, literal
from archiver.transport.link import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        authorization: Value of `Proxy-Authorization`, empty without user info.
    """

    host: str
    port: int
    authorization: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """What the environment says about proxies; without arguments: none."""

    by_scheme: Mapping[str, Proxy] = field(default_factory=dict)
    exceptions: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Proxies:
        """Read `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; lower case wins.

        `HTTP_PROXY` in upper case is left alone under CGI, where a client could set it.

        Raises:
            ConfigError: A proxy that is not `http://host:port`.
        """

        def read(name: str) -> str:
            if name in environ:
                return environ[name].strip()
            if name == "http_proxy" and "REQUEST_METHOD" in environ:
                return ""
            return environ.get(name.upper(), "").strip()

        found = {}
        for scheme in ("http", "https"):
            name = f"{scheme}_proxy" if read(f"{scheme}_proxy") else "all_proxy"
            if text := read(name):
                found[scheme] = _parse(text, name.upper())
        exceptions = tuple(part.strip().lower() for part in read("no_proxy").split(","))
        return cls(by_scheme=found, exceptions=tuple(filter(None, exceptions)))

    def pick(self, link: Link) -> Proxy | None:
        """Return the proxy for a request, `None` for a direct connection.

        This machine's own loopback is always asked directly, as in Go's and curl's habit.
        """
        proxy = self.by_scheme.get(link.scheme)
        if proxy is None or _is_local(link.name):
            return None
        if any(_matches(entry, link) for entry in self.exceptions):
            return None
        return proxy


def _parse(text: str, name: str) -> Proxy:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"environment variable {name} is not a proxy's address") from None
    if parts.scheme != "http" or not host:
        raise ConfigError(
            f"environment variable {name}: only proxies of the form http://host:port are supported"
        )
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + b64encode(pair.encode()).decode("ascii")
    return Proxy(host=host, port=port or 80, authorization=authorization)


def _is_local(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = literal(name)
    return address is not None and is_loopback(address)


def _matches(entry: str, link: Link) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return ip_address(link.name) in ip_network(entry, strict=False)
        except ValueError:
            return False
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and "]" not in port and (":" not in host or "[" in host):
        if int(port) != link.port:
            return False
        entry = host
    entry = entry.strip("[]").lstrip("*").lstrip(".")
    return bool(entry) and (link.name == entry or link.name.endswith(f".{entry}"))
