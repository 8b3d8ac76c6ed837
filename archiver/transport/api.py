"""One source's API: base URL, key, rate, and what its statuses mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from archiver.contracts import Clock
from archiver.errors import (
    ArchiverError,
    ConfigError,
    ForbiddenAddressError,
    KeyRefusedError,
    NoCreditError,
    PassingError,
    ProviderError,
    SourceFaultError,
)
from archiver.model import Answer, JsonValue
from archiver.transport.coding import ACCEPTED, codings, decode
from archiver.transport.document import BODY_LIMIT_BYTES, LARGE_BODY_BYTES, read_answer
from archiver.transport.downloads import REDIRECTS
from archiver.transport.link import Link, join, parse_link
from archiver.transport.message import Head, check_headers
from archiver.transport.pace import HostPauses, RequestRate, parse_http_date
from archiver.transport.retry import Retries
from archiver.transport.verdict import raise_if_passing
from archiver.turns import Turns

if TYPE_CHECKING:
    import httpx

Classify = Callable[[Answer], ArchiverError | None]
"""A provider's own reading of an answer of status 400 and up; `None`: the ordinary one."""

MOST_REDIRECTS = 5

_FRAMING = frozenset({"host", "connection", "content-length", "transfer-encoding"})
_UNSENDABLE = re.compile(r"[^\x21-\x7e]|#")
_DOT_SEGMENT = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


class HttpApi:
    """Asks one source: a `contracts.Api`; one for all threads.

    Args:
        client: Gives the httpx client over this package's own transport.
        auth: Makes the headers that hold the key, anew for each request.
        headers: Sent with each request as well.
        deadline_s: How long one answer may take in all.
        turns: Taken by whoever receives a large answer.
        classify: Asked first about every answer of status 400 and up.
    """

    def __init__(
        self,
        *,
        client: Callable[[], httpx.Client],
        clock: Clock,
        pauses: HostPauses,
        retries: Retries,
        rate: RequestRate,
        base_url: str,
        auth: Callable[[], Mapping[str, str]],
        headers: Mapping[str, str],
        user_agent: str,
        deadline_s: float,
        turns: Turns,
        classify: Classify | None = None,
    ) -> None:
        try:
            self._base = parse_link(base_url)
        except ForbiddenAddressError:
            raise ConfigError("base_url is not an http or https URL without user info") from None
        if "?" in self._base.target or "#" in base_url:
            raise ConfigError("base_url holds a query or a fragment; it may hold a path only")
        self._prefix = self._base.target.rstrip("/")
        self._client = client
        self._clock = clock
        self._pauses = pauses
        self._retries = retries
        self._rate = rate
        self._auth = auth
        self._headers = headers
        self._defaults = {
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": ACCEPTED,
        }
        self._deadline_s = deadline_s
        self._turns = turns
        self._classify = classify
        self._clock_error = timedelta(0)

    @property
    def base_url(self) -> str:
        """The configured base URL without a slash at the end."""
        return self._base.origin + self._prefix

    def now(self) -> datetime:
        """Return the time by the server's own `Date` header; the local clock before the first."""
        return self._clock.now() + self._clock_error

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: JsonValue = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask; see `contracts.Api.request`.

        Raises:
            KeyRefusedError: 401; or 403 with a JSON body.
            NoCreditError: 402.
            SourceFaultError: 403 without a JSON body; a redirect that leaves the origin, or one
                of a POST, or more than five.
            RateLimitedError: 429, or a Retry-After with 408, 425 or 5xx.
            PassingError: Time-out, reset, DNS, TLS, 408, 425, 5xx, after `max_attempts`.
            ProviderError: A path that cannot be sent or leads elsewhere; a body that is larger,
                or nested deeper, than any real answer.
            ArchiverError: What `classify` says.
        """
        link = self._link(path, params or {})
        for attempt in self._retries.attempts():
            with attempt:
                return self._once(method, link, json, headers or {})
        raise ProviderError("no attempt was made")

    def _link(self, path: str, params: Mapping[str, str]) -> Link:
        link = self._base
        if _UNSENDABLE.search(path):
            raise ProviderError("a path with a character that cannot be sent; it was not asked")
        if path.startswith("/"):
            target = self._prefix + path
        else:
            link = self._own(path)
            target = link.target
        if _DOT_SEGMENT.search(target.partition("?")[0].removeprefix(self._prefix)):
            raise ProviderError("a path with dot segments; it was not asked")
        if params:
            target += "&" if "?" in target else "?"
            target += urlencode(params, quote_via=quote)
        return replace(link, target=target)

    def _own(self, url: str) -> Link:
        """Take a full URL apart; the key is for one origin only."""
        try:
            link = parse_link(url)
        except ForbiddenAddressError:
            raise ProviderError("a path without a slash at its start; it was not asked") from None
        if link.origin != self._base.origin:
            raise ProviderError(
                f"a link to {link.origin}, but the key is for {self._base.origin} only; "
                "it was not asked"
            )
        return link

    def _once(self, method: str, link: Link, json: JsonValue, extra: Mapping[str, str]) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            answer, head, sent_at = self._send(method, link, json, extra)
            if answer.status not in REDIRECTS:
                self._raise_for(answer, head, sent_at)
                return answer
            link = self._redirected(method, link, answer)
        raise SourceFaultError(f"{self._base.origin} redirects more than {MOST_REDIRECTS} times")

    def _send(
        self, method: str, link: Link, json: JsonValue, extra: Mapping[str, str]
    ) -> tuple[Answer, Head, float]:
        import httpx

        self._pauses.wait(link.authority)
        self._rate.wait()
        headers = httpx.Headers(self._defaults)
        for more in (self._headers, self._auth(), extra):
            check_headers(more)
            sent = {name: value for name, value in more.items() if name.lower() not in _FRAMING}
            headers.update(httpx.Headers(sent, encoding="latin-1"))
        sent_at = self._clock.monotonic()
        try:
            request = httpx.Request(
                method,
                link.shown,
                headers=headers,
                json=json,
                extensions={"link": link, "deadline": sent_at + self._deadline_s},
            )
        except httpx.InvalidURL:
            raise ProviderError("a path that is too long; it was not asked") from None
        with closing(self._client().send(request, stream=True)) as response:
            head: Head = response.extensions["head"]
            self._learn_time(head)
            raw = self._body(response, head)
        return read_answer(raw, head), head, sent_at

    def _body(self, response: httpx.Response, head: Head) -> bytearray:
        host = self._base.authority
        body = bytearray()
        pieces = decode(
            response.iter_raw(),
            codings(head.headers),
            refuse=lambda what: ProviderError(f"{host}: {what}"),
            cut_short=lambda: PassingError(f"{host}: the coded body ends early", code="short_body"),
        )
        for piece in pieces:
            body += piece
            if len(body) > LARGE_BODY_BYTES:
                self._turns.take(self._clock.check_stop)
            if len(body) > BODY_LIMIT_BYTES:
                raise ProviderError(f"{host} sends an answer larger than any real one")
        return body

    def _learn_time(self, head: Head) -> None:
        date = parse_http_date(head.headers.get("date"))
        if date is not None:
            self._clock_error = date - self._clock.now()

    def _redirected(self, method: str, link: Link, answer: Answer) -> Link:
        location = answer.headers.get("location", "")
        try:
            target = join(link, location)
        except ForbiddenAddressError:
            target = None
        if not location or target is None or target.origin != self._base.origin:
            where = f" to {target.origin}" if location and target else ""
            raise SourceFaultError(
                f"{self._base.origin} redirects{where}, where the key is not sent; "
                "is base_url right?"
            )
        if method != "GET":
            raise SourceFaultError(f"{self._base.origin} redirects a {method}; is base_url right?")
        return target

    def _raise_for(self, answer: Answer, head: Head, sent_at: float) -> None:
        if answer.status < 400:
            self._pauses.forgive(self._base.authority)
            return
        fault = self._classify(answer) if self._classify else None
        if fault is not None:
            raise fault
        host = self._base.authority
        raise_if_passing(host, head, pauses=self._pauses, sent_at=sent_at, now=self._clock.now())
        if answer.status == 401:
            raise KeyRefusedError(f"{host} refuses the key (HTTP 401)")
        if answer.status == 402:
            raise NoCreditError(f"{host} says that the account has no credit (HTTP 402)")
        if answer.status == 403:
            if answer.body is not None:
                raise KeyRefusedError(f"{host} refuses the key (HTTP 403)", forbidden=True)
            raise SourceFaultError(
                f"{host} answers HTTP 403 without a JSON body: a firewall or a login page"
            )
