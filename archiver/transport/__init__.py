"""HTTP: one pool of connections under an httpx client (APIs) and under plain downloads (files).

An asset is asked straight over the pool: `httpx.URL` would change a signed link, and the client's
own work costs as much as the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archiver.transport.clock import SystemClock

if TYPE_CHECKING:
    from archiver.transport.api import HttpApi
    from archiver.transport.client import Transport
    from archiver.transport.downloads import HttpDownloads
    from archiver.transport.pace import parse_retry_after
    from archiver.transport.proxies import Proxies

__all__ = [
    "Transport",
    "HttpApi",
    "HttpDownloads",
    "Proxies",
    "SystemClock",
    "parse_retry_after",
]

_HOMES = {
    "Transport": "client",
    "HttpApi": "api",
    "HttpDownloads": "downloads",
    "Proxies": "proxies",
    "parse_retry_after": "pace",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: the clock alone must not cost the whole of httpx."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
