"""The httpx client's way to this package's own connections."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from archiver.transport.link import Link
from archiver.transport.pool import Exchange, Pool, WireRequest


class PoolTransport(httpx.BaseTransport):
    """Sends what an httpx client asks for over a `Pool`.

    A request must bear its `Link` in its extensions. Its own URL is for show only: httpx writes
    URLs to its log and changes them, hence it gets one without the query.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            ArchiverError: As `Pool.send`; they pass through httpx unchanged.
        """
        link: Link = request.extensions["link"]
        pairs = [(k.decode("latin-1"), v.decode("latin-1")) for k, v in request.headers.raw]
        headers = {name: value for name, value in pairs if name.lower() != "host"}
        exchange = self._pool.send(
            WireRequest(
                link=link,
                method=request.method,
                headers=headers,
                body=request.read(),
                guarded=False,
                deadline=request.extensions["deadline"],
            )
        )
        head = exchange.head
        return httpx.Response(
            head.status,
            headers=[(k.encode("latin-1"), v.encode("latin-1")) for k, v in head.headers.items()],
            stream=_Stream(exchange),
            extensions={"head": head},
        )


class _Stream(httpx.SyncByteStream):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._exchange.read()) is not None:
            yield bytes(piece)

    def close(self) -> None:
        self._exchange.close()


def make_client(pool: Pool) -> httpx.Client:
    """Make the client: no cookies, nothing from the environment, no redirects of its own."""
    return httpx.Client(
        transport=PoolTransport(pool),
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
        follow_redirects=False,
    )
