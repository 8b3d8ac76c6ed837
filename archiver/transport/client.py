"""The transport as a whole: made once for a run, shared by all its workers."""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

import archiver
from archiver.contracts import Clock
from archiver.transport import dial
from archiver.transport.api import Classify, HttpApi
from archiver.transport.downloads import HttpDownloads
from archiver.transport.load import HostLoad
from archiver.transport.pace import ByteRate, HostPauses, RequestRate
from archiver.transport.pool import Pool
from archiver.transport.proxies import Proxies
from archiver.transport.retry import Retries
from archiver.transport.sockets import OpenSockets
from archiver.turns import Turns

if TYPE_CHECKING:
    import httpx


def system_tls() -> ssl.SSLContext:
    """Make TLS settings as httpx does: `SSL_CERT_FILE`, `SSL_CERT_DIR`, else certifi's roots."""
    import httpx

    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Transport:
    """All of a run's HTTP: connections, retries, pauses, rates, the address guard.

    Args:
        clock: Time, and the switch that stops the run.
        rng: For jitter.
        timeout_s: Longest wait for a byte; connecting takes at most 15 s of it.
        max_attempts: Of one request.
        allow_private_addresses: Let files be asked from any address.
        max_rate_bytes: Bytes per second of files, all workers together; `None` or 0: no limit.
        max_connections: How many idle connections are kept.
        turns: Taken by whoever receives a large answer of an API.
        proxies: From `Proxies.from_environment`.
        tls: Makes the TLS settings; called at the first https connection.
        resolve: Name and port to addresses.
        begin_connect: Address and port to a connecting socket.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        timeout_s: float,
        max_attempts: int,
        allow_private_addresses: bool,
        max_rate_bytes: int | None = None,
        max_connections: int = 32,
        turns: Turns | None = None,
        proxies: Proxies | None = None,
        tls: Callable[[], ssl.SSLContext] = system_tls,
        resolve: dial.Resolve = dial.resolve,
        begin_connect: dial.BeginConnect = dial.begin_connect,
    ) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._sockets = OpenSockets()
        self._turns = turns or Turns()
        load = HostLoad(clock=clock)
        self._pauses = HostPauses(clock=clock, rng=rng, load=load)
        self._retries = Retries(clock=clock, rng=rng, max_attempts=max_attempts)
        self._rate = ByteRate(clock=clock, bytes_per_second=max_rate_bytes)
        self._user_agent = f"archiver/{archiver.__version__}"
        self._pool = Pool(
            dialler=dial.Dialler(
                clock=clock,
                timeout_s=timeout_s,
                allow_private=allow_private_addresses,
                proxies=proxies or Proxies(),
                tls=tls,
                sockets=self._sockets,
                resolve=resolve,
                begin_connect=begin_connect,
            ),
            sockets=self._sockets,
            clock=clock,
            load=load,
            max_idle=max_connections,
        )
        self._client_lock = threading.Lock()
        self._client: httpx.Client | None = None

    def api(
        self,
        *,
        base_url: str,
        auth: Callable[[], Mapping[str, str]],
        headers: Mapping[str, str],
        max_requests_per_second: float | None,
        classify: Classify | None = None,
    ) -> HttpApi:
        """Make the API of one source.

        Args:
            base_url: May carry a path, with or without a slash at its end.
            auth: Makes the headers that hold the key, anew for each request.
            headers: Sent with each request as well.
            max_requests_per_second: `None` or 0: no limit.
            classify: A provider's own reading of answers of status 400 and up.

        Raises:
            ConfigError: `base_url` is no plain http or https URL.
        """
        return HttpApi(
            client=self._open_client,
            clock=self._clock,
            pauses=self._pauses,
            retries=self._retries,
            rate=RequestRate(clock=self._clock, per_second=max_requests_per_second),
            base_url=base_url,
            auth=auth,
            headers=headers,
            user_agent=self._user_agent,
            deadline_s=4 * self._timeout_s,
            turns=self._turns,
            classify=classify,
        )

    def _open_client(self) -> httpx.Client:
        """Make the client at the first request: a run that has nothing to ask needs no httpx."""
        with self._client_lock:
            if self._client is None:
                from archiver.transport.bridge import make_client

                self._client = make_client(self._pool)
            return self._client

    def downloads(self) -> HttpDownloads:
        """Make what opens files."""
        return HttpDownloads(
            pool=self._pool,
            clock=self._clock,
            pauses=self._pauses,
            rate=self._rate,
            retries=self._retries,
            user_agent=self._user_agent,
        )

    @property
    def received_bytes(self) -> int:
        """How much of files has come so far, what is still on its way included."""
        return self._rate.spent_bytes

    def stop(self) -> None:
        """End all traffic at once: whoever reads or asks gets a `StoppedError`."""
        self._sockets.shut()

    def close(self) -> None:
        """Close what is idle; the transport is of no use afterwards."""
        if self._client is not None:
            self._client.close()
        self._pool.close()

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
