"""The gateway itself: its tasks, its files, its faults, its two origins."""

from __future__ import annotations

import hmac
import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from archiver.gateway.dialect import Dialect, GatewayDialect
from archiver.gateway.exchange import (
    API,
    ASSETS,
    BytesContent,
    Content,
    HostedFile,
    PathContent,
    Reply,
    Request,
)
from archiver.gateway.faults import Fault
from archiver.gateway.files import FileSite, strong_etag
from archiver.gateway.modes import Mode, answer_in_mode
from archiver.gateway.newapi import TaskListService
from archiver.gateway.records import Entry, RequestLog, RequestRecord
from archiver.gateway.routing import Call, Route, Service, find_route
from archiver.gateway.script import Scripts
from archiver.gateway.server import Origin
from archiver.gateway.services import provider_services
from archiver.gateway.signing import Signer
from archiver.gateway.tasks import GatewayTask
from archiver.gateway.tasktable import Now, TaskTable
from archiver.model import JsonValue

API_KEY = "sk-demo-2b7e151628aed2a6abf7158809cf4f3c"
"""The key that a gateway knows unless it is told another; it opens nothing else."""

USER_TOKEN = "user-demo-3ad77bb40d7a3660a89ecaf32466ef97"  # noqa: S105 - opens nothing else either
"""The credential of the gateway's task list."""

USER_ID = "42"
"""The user whose tasks the gateway's task list shows."""

_SIGNER = Signer(access_key="60bf44f30d45b472f9dd032de33e15d1", secret_key="demo-signing-key")  # noqa: S106


class _WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Gateway:
    """A gateway on loopback: an API origin that knows tasks, and an assets origin that has files.

    Use it as a context manager, or `start` and `close` it. All of it may be used from any thread.

    Args:
        clock: Its time: links run out by it, and every `Date` is taken from it.
        prefix: A path that all its API paths begin with, such as `/vip/v2`.
        api_key: The key that it accepts.
        dialect: How it says no.
        services: Its endpoints; by default those of all providers, and a new-api gateway's task
            list.
        signer: Signs the links of its own files.
    """

    def __init__(
        self,
        *,
        clock: Now | None = None,
        prefix: str = "",
        api_key: str = API_KEY,
        dialect: Dialect | None = None,
        services: Sequence[Service] | None = None,
        signer: Signer = _SIGNER,
    ) -> None:
        if services is None:
            tasks = TaskListService(user_token=USER_TOKEN, user_id=USER_ID)
            services = (*provider_services(), tasks)
        self.api_key = api_key
        self.dialect: Dialect = dialect or GatewayDialect()
        self._clock: Now = clock or _WallClock()
        self._prefix = f"/{prefix.strip('/')}" if prefix.strip("/") else ""
        self._routes: tuple[Route, ...] = tuple(r for s in services for r in s.routes())
        self._files = FileSite(signer=signer)
        self._scripts = Scripts()
        self._log = RequestLog()
        self._modes = {API: Mode.UP, ASSETS: Mode.UP}
        numbers = itertools.count(1)
        self._origins = {name: Origin(name, self, numbers) for name in (API, ASSETS)}
        self._table = TaskTable(
            clock=self._clock,
            dialect=self.dialect,
            signer=signer,
            assets_url=self.assets_url,
        )

    # --- life -------------------------------------------------------------------------------

    def start(self) -> Self:
        """Begin to answer."""
        for name, mode in self._modes.items():
            self._set_mode(name, mode)
        return self

    def close(self) -> None:
        """Stop; no thread and no socket is left."""
        for origin in self._origins.values():
            origin.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """What a source's `base_url` is to be: the API origin and the prefix."""
        return f"{self._origins[API].url}{self._prefix}"

    @property
    def assets_url(self) -> str:
        """The assets origin: the same address, another port, so another origin."""
        return self._origins[ASSETS].url

    @property
    def mode(self) -> Mode:
        """What state the API origin is in; may be set at any time."""
        return self._modes[API]

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._set_mode(API, mode)

    @property
    def assets_mode(self) -> Mode:
        """What state the assets origin is in; may be set at any time."""
        return self._modes[ASSETS]

    @assets_mode.setter
    def assets_mode(self, mode: Mode) -> None:
        self._set_mode(ASSETS, mode)

    def _set_mode(self, name: str, mode: Mode) -> None:
        self._modes[name] = mode
        if mode is Mode.DOWN:
            self._origins[name].refuse()
        else:
            self._origins[name].listen()

    def now(self) -> datetime:
        """Return the gateway's time."""
        return self._clock.now()

    # --- tasks ------------------------------------------------------------------------------

    def put(self, *tasks: GatewayTask) -> None:
        """Know these tasks, each in place of one with the same id."""
        self._table.put(*tasks)

    def change(self, task_id: str, **changes: object) -> None:
        """Change attributes of a task, all at once: the next answer has all or none of them.

        Raises:
            KeyError: There is no such task.
        """
        self._table.change(task_id, **changes)

    def remove(self, task_id: str) -> None:
        """Know this task no longer."""
        self._table.remove(task_id)

    def task(self, task_id: str) -> GatewayTask | None:
        """Return a task, if there is one and it is visible."""
        return self._table.task(task_id)

    def answer(self, task_id: str) -> JsonValue:
        """Return the API's own answer about a task, as whoever generated it got it.

        Raises:
            KeyError: There is no such task.
        """
        task = self._table.task(task_id)
        if task is None:
            raise KeyError(task_id)
        return self._table.document(task)

    # --- files ------------------------------------------------------------------------------

    def host(
        self,
        path: str,
        content: bytes | Path,
        *,
        media_type: str = "application/octet-stream",
        signed_only: bool = False,
        task_id: str | None = None,
    ) -> HostedFile:
        """Serve bytes, or a file on disk, at a path of the assets origin.

        Args:
            path: As it will stand in the request line, percent-encoding and all.
            media_type: What the Content-Type says, true or not.
            signed_only: Refuse links without a signature.
            task_id: Whose it is, for the request log.
        """
        held: Content = PathContent(content) if isinstance(content, Path) else BytesContent(content)
        file = HostedFile(
            path=path,
            content=held,
            media_type=media_type,
            etag=strong_etag(held),
            modified_at=self.now().replace(microsecond=0),
            signed_only=signed_only,
            task_id=task_id,
        )
        self._files.put(file)
        return file

    def put_file(self, file: HostedFile) -> None:
        """Serve a file as it is described, in place of what was at its path."""
        self._files.put(file)

    def file(self, path: str) -> HostedFile | None:
        """Return the file at a path of the assets origin."""
        return self._files.get(path)

    def remove_file(self, path: str) -> None:
        """Serve it no longer: 404 from now on."""
        self._files.remove(path)

    # --- faults and memory ------------------------------------------------------------------

    def script(
        self, pattern: str, *faults: Fault, always: bool = False, method: str | None = None
    ) -> None:
        """Let faults wait for requests: one each, in order; or one for all of them.

        Args:
            pattern: A path of either origin, without prefix and query; `*` and `?` stand for
                any text.
            always: The one fault given meets every request that no other script waits for.
            method: Only requests with this method.

        Raises:
            ValueError: `always` with more or less than one fault.
        """
        self._scripts.add(pattern, faults, always=always, method=method)

    def clear_scripts(self, pattern: str | None = None) -> None:
        """Forget the faults of this pattern, or all."""
        self._scripts.clear(pattern)

    @property
    def faults_waiting(self) -> int:
        """How many faults have not met their request yet, those always there left out."""
        return self._scripts.waiting()

    @property
    def requests(self) -> tuple[RequestRecord, ...]:
        """All requests, in the order of their answers."""
        return self._log.records()

    def requests_for(
        self,
        pattern: str | None = None,
        *,
        method: str | None = None,
        origin: str | None = None,
        task_id: str | None = None,
    ) -> tuple[RequestRecord, ...]:
        """Return the requests that fit all that is given.

        Args:
            pattern: A path, without prefix and query; `*` and `?` stand for any text.
            origin: `api` or `assets`.
        """
        return self._log.records(pattern, method=method, origin=origin, task_id=task_id)

    def count(
        self,
        pattern: str | None = None,
        *,
        method: str | None = None,
        origin: str | None = None,
        task_id: str | None = None,
    ) -> int:
        """Return how many requests fit all that is given; see `requests_for`."""
        return len(self.requests_for(pattern, method=method, origin=origin, task_id=task_id))

    def clear_requests(self) -> None:
        """Forget the requests so far."""
        self._log.clear()

    # --- answers ----------------------------------------------------------------------------

    def begin(self, request: Request, connection: int) -> tuple[Reply, Entry]:
        """Answer a request, and remember it (for the origins)."""
        request, reply = self._respond(request)
        entry = Entry(
            request=request,
            status=reply.status,
            task_ids=reply.task_ids,
            fault=reply.fault,
            at=self.now(),
            began_s=time.monotonic(),
            connection=connection,
        )
        self._log.add(entry)
        return reply, entry

    def _respond(self, request: Request) -> tuple[Request, Reply]:
        """Answer; the request comes back with its path below the prefix."""
        whole = request.path
        if request.origin == API:
            below = whole.removeprefix(self._prefix)
            if not whole.startswith(self._prefix) or not below.startswith("/"):
                return request, self.dialect.unknown_route(request.method, whole)
            request = replace(request, path=below)
        mode = self._modes[request.origin]
        reply = answer_in_mode(mode, request, self.dialect)
        if reply is not None:
            return request, replace(reply, fault=mode.name)
        serve = self._serve_api if request.origin == API else self._serve_file
        fault = self._scripts.take(request)
        if fault is None:
            return request, serve(request)
        return request, replace(fault.respond(request, serve), fault=type(fault).__name__)

    def _serve_file(self, request: Request) -> Reply:
        return self._files.serve(request, self.now())

    def _serve_api(self, request: Request) -> Reply:
        found = find_route(self._routes, request)
        if found is None:
            return self.dialect.unknown_route(request.method, request.path)
        route, values = found
        if not route.open and not self._knows_key(request):
            return self.dialect.bad_key()
        return route.answer(Call(site=self._table, request=request, values=values))

    def _knows_key(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self.api_key}".encode())
