"""Canaries: a key, a signature and a password go through every path, and appear nowhere."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator

import pytest

from archiver.contracts import AssetRequest
from archiver.errors import ArchiverError
from archiver.transport import Proxies, Transport
from tests.rawserver import RawServer, answer, cut, redirect, reply, say
from tests.transportrig import KEY, HastyClock, get, open_api, open_transport

SIGNATURE = "canary-signature-77b0"
PASSWORD = "canary-password-18aa"
SECRETS = (KEY, SIGNATURE, PASSWORD)
QUERY = f"?X-Amz-Signature={SIGNATURE}&token={SIGNATURE}"


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer() as running:
        running.on("/ok", reply(b"{}"))
        running.on("/500", reply(f"<html>{KEY}".encode(), status=500))
        running.on("/401", reply(f'{{"error": "{KEY}"}}'.encode(), status=401))
        running.on("/403", reply(KEY.encode(), status=403))
        running.on("/429", reply(b"", status=429, headers={"Retry-After": "9999"}))
        running.on("/cut", cut(answer(b"x" * 99), at=70))
        running.on("/bad", say(f"HTP {SIGNATURE}\r\n\r\n".encode(), then_close=True))
        running.on("/chunk", say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))
        running.on("/coded", reply(b"x", headers={"Content-Encoding": "br"}))
        running.on("/loop", redirect(f"/loop{QUERY}"))
        running.on("/far", redirect(f"http://u:{PASSWORD}@10.0.0.1/f{QUERY}"))
        running.on("/away", redirect(f"http://127.0.0.1:1/f{QUERY}"))
        running.on("/deep", reply(b"[" * 5000))
        yield running


PATHS = [
    *("/ok", "/500", "/401", "/403", "/429", "/cut", "/bad", "/chunk", "/coded"),
    *("/loop", "/far", "/away", "/deep"),
]


def everything_said(ask: Callable[[], object], caplog: pytest.LogCaptureFixture) -> str:
    """Return what a request leaves: the error with its whole chain, and every log record."""
    said = []
    try:
        said.append(repr(ask()))
    except ArchiverError as fault:
        said += [str(fault), repr(fault), repr(vars(fault))]
        said += traceback.format_exception(fault)
        cause: BaseException | None = fault
        while cause is not None:  # also what `from None` only hides
            said += [str(cause), repr(cause), repr(cause.args)]
            cause = cause.__cause__ or cause.__context__
    for record in caplog.records:
        said += [record.getMessage(), repr(record.args), record.name, str(record.exc_text)]
    return "\n".join(said)


@pytest.mark.parametrize("path", PATHS)
def test_files_leave_no_secret(
    server: RawServer, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """The signature of a link is in no error, no chain of causes and no log at DEBUG."""
    caplog.set_level(logging.DEBUG)
    with open_transport() as transport:
        said = everything_said(
            lambda: get(transport.downloads(), server.url(path + QUERY)).status, caplog
        )
    assert SIGNATURE in server.seen[0].target
    assert not [secret for secret in SECRETS if secret in said]
    assert "127.0.0.1" in said


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_api_leaves_no_secret(
    server: RawServer, caplog: pytest.LogCaptureFixture, path: str, method: str
) -> None:
    """Nor is the key, or an API's query, anywhere: httpx logs only what it is shown."""
    caplog.set_level(logging.DEBUG)
    with open_transport(clock=HastyClock()) as transport:
        api = open_api(transport, server.origin)
        said = everything_said(
            lambda: api.request(method, path, params={"token": SIGNATURE}, json={"k": KEY}), caplog
        )
    assert KEY in server.seen[0].headers["authorization"]
    assert not [secret for secret in SECRETS if secret in said]
    assert [record for record in caplog.records if record.name == "httpx"] or path != "/ok"


@pytest.mark.parametrize(
    "link",
    [
        f"http://user:{PASSWORD}@cdn.example/f{QUERY}",
        f"ftp://cdn.example/f{QUERY}",
        f"http://{PASSWORD}%zz/{QUERY}",
        f"http://10.0.0.1/f{QUERY}",
        f"http://x.invalid/f{QUERY}",
        f"http://127.0.0.1:1/{QUERY}",
        f"{SIGNATURE}",
    ],
)
def test_links_that_are_refused_are_not_repeated(
    caplog: pytest.LogCaptureFixture, link: str
) -> None:
    """An error about a link never quotes it."""
    caplog.set_level(logging.DEBUG)
    with open_transport(allow_private_addresses=link.endswith(f":1/{QUERY}")) as transport:
        said = everything_said(lambda: get(transport.downloads(), link), caplog)
        said += everything_said(lambda: open_api(transport, link), caplog)
    assert not [secret for secret in SECRETS if secret in said]


def test_the_path_is_logged_without_its_query(
    server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What is logged says which file was asked for, on this package's own logger, at DEBUG."""
    caplog.set_level(logging.DEBUG)
    with open_transport() as transport:
        get(transport.downloads(), server.url("/ok" + QUERY))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("archiver.transport", logging.DEBUG)
    assert record.getMessage() == f"GET {server.origin}/ok -> 200"


def reprs(transport: Transport, server: RawServer) -> list[object]:
    """Return everything a debugger or a careless log line could show."""
    api = open_api(transport, server.origin)
    proxies = Proxies.from_environment({"http_proxy": f"http://u:{PASSWORD}@p"})
    return [transport, api, proxies, transport.downloads(), AssetRequest(url=QUERY)]


def test_objects_show_no_secret(server: RawServer) -> None:
    """No `repr` holds a key, a signature or a password."""
    with open_transport() as transport:
        shown = repr(reprs(transport, server))
    assert not [secret for secret in SECRETS if secret in shown]


def test_the_root_logger_is_left_alone() -> None:
    """Nothing is configured for the whole process."""
    before = (logging.root.level, list(logging.root.handlers), logging.getLogger("httpx").level)
    with open_transport():
        pass
    assert before == (
        logging.root.level,
        list(logging.root.handlers),
        logging.getLogger("httpx").level,
    )
