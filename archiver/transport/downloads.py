"""Files: no key, every hop's address checked, redirects followed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from archiver.contracts import AssetRequest, Clock
from archiver.errors import NotMediaError, PassingError, RedirectError
from archiver.transport.coding import codings, decode
from archiver.transport.connection import BUFFER_BYTES
from archiver.transport.link import Link, join, parse_link
from archiver.transport.pace import ByteRate, HostPauses
from archiver.transport.pool import Exchange, Pool, WireRequest
from archiver.transport.retry import Retries
from archiver.transport.verdict import raise_if_passing

MOST_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_NEVER_SENT = frozenset(
    {"authorization", "cookie", "host", "proxy-authorization", "referer", "connection"}
)


class AssetBody:
    """The answer to an asset request: a `contracts.Body`."""

    def __init__(self, exchange: Exchange, *, clock: Clock, rate: ByteRate, host: str) -> None:
        head = exchange.head
        self.status: int = head.status
        self.headers: Mapping[str, str] = head.headers
        self.length: int | None = head.length
        self._codings = codings(head.headers)
        self.encoded: bool = bool(self._codings)
        self._exchange = exchange
        self._clock = clock
        self._rate = rate
        self._host = host

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the body as it arrives; each chunk is valid until the next is asked for.

        Raises:
            PassingError: Time-out, reset, trickle, or the body ended before its announced length.
            NotMediaError: It is coded in a way that was not asked for and is not known.
            StoppedError: The run was told to stop.
        """
        if not self.encoded:
            return self._wire_chunks()
        return decode(
            self._wire_chunks(),
            self._codings,
            refuse=lambda what: NotMediaError(f"{self._host}: {what}"),
            cut_short=lambda: PassingError(
                f"{self._host}: the coded body ends early", code="short_body"
            ),
        )

    def _wire_chunks(self) -> Iterator[memoryview]:
        size = self._rate.read_size or BUFFER_BYTES
        while (chunk := self._exchange.read(size)) is not None:
            self._clock.check_stop()
            self._rate.spend(len(chunk))
            yield chunk


class HttpDownloads:
    """Opens files: a `contracts.Downloads`; one for all threads."""

    def __init__(
        self,
        *,
        pool: Pool,
        clock: Clock,
        pauses: HostPauses,
        rate: ByteRate,
        retries: Retries,
        user_agent: str,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._pauses = pauses
        self._rate = rate
        self._retries = retries
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "*/*",
            # A coded body has another length and other ranges than the file.
            "Accept-Encoding": "identity",
        }

    @contextmanager
    def open(self, request: AssetRequest) -> Iterator[AssetBody]:
        """Send one request, once, and give the final hop's answer.

        408, 425 and every 5xx are raised as `PassingError`, 429 and a Retry-After with them as
        `RateLimitedError`; all other statuses are given as they are.

        Raises:
            PassingError: Time-out, reset, DNS, TLS, 408, 425, 5xx.
            RateLimitedError: 429 or a Retry-After; `retry_after_s` is over 300 when it is too
                long to be waited for.
            ForbiddenAddressError, RedirectError: A rule of ours.
            StoppedError: The run was told to stop.
        """
        exchange, link = self._final_hop(request)
        try:
            yield AssetBody(exchange, clock=self._clock, rate=self._rate, host=link.authority)
        finally:
            exchange.close()

    def attempts(self) -> Iterator[AbstractContextManager[None, bool | None]]:
        """Yield up to `max_attempts` attempts; see `contracts.Downloads.attempts`."""
        return self._retries.attempts()

    def _final_hop(self, request: AssetRequest) -> tuple[Exchange, Link]:
        own = {k: v for k, v in request.headers.items() if k.lower() not in _NEVER_SENT}
        headers = {**self._headers, **own}
        link = parse_link(request.url)
        seen = set()
        for _ in range(MOST_REDIRECTS + 1):
            seen.add(link)
            exchange = self._hop(link, headers)
            if exchange.head.status not in REDIRECTS:
                return exchange, link
            exchange.close()
            location = exchange.head.headers.get("location")
            if not location:
                raise RedirectError(f"{link.authority} redirects without saying where to")
            link = join(link, location)
            if link in seen:
                raise RedirectError(f"{link.authority}: the redirects lead in a circle")
        raise RedirectError(f"more than {MOST_REDIRECTS} redirects; the last to {link.authority}")

    def _hop(self, link: Link, headers: Mapping[str, str]) -> Exchange:
        self._pauses.wait(link.authority)
        exchange = self._pool.send(WireRequest(link=link, headers=headers, guarded=True))
        try:
            raise_if_passing(
                link.authority,
                exchange.head,
                pauses=self._pauses,
                sent_at=exchange.sent_at,
                now=self._clock.now(),
            )
        except PassingError:
            exchange.close()
            raise
        return exchange
