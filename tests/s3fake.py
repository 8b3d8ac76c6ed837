"""An S3 server in memory that fails on command: what no honest server can be made to do.

It checks no signature and knows only what the store asks for. Faults are rules that are looked at
in order; a rule applies to a number of requests and then is used up.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Rule:
    """What happens to some requests instead of, or after, what they ask for.

    Attributes:
        method: Which requests.
        having: Substring of the path with query, or of a header line (`If-Match: …`).
        times: How many of them.
        status: Answer with this status and an error document of `code` and `message`.
        after_doing: Do what is asked for, then answer as above: a lost answer.
        reset: Break the connection (after doing, if that is set) instead of answering.
        cut_at: Send only so many bytes of a body, then break the connection.
        as_whole: Ignore the range that was asked for, and give the whole object.
        unconditional: Ignore `If-Match`, as rclone does.
        raw: Answer with this body, whatever it is.
        keep: Store only so many bytes of what is put.
        then: Called with the server when it has done what was asked for, before it answers.
    """

    method: str
    having: str = ""
    times: int = 1
    status: int = 0
    code: str = ""
    message: str = ""
    after_doing: bool = False
    reset: bool = False
    cut_at: int | None = None
    as_whole: bool = False
    unconditional: bool = False
    raw: bytes | None = None
    keep: int | None = None
    then: Callable[[FakeS3], None] | None = None


@dataclass
class Seen:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    size: int


@dataclass
class StoredThing:
    """One object."""

    data: bytes
    headers: dict[str, str]

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'


@dataclass
class FakeS3:
    """The server's state; one bucket, whatever it is called.

    Attributes:
        page_size: How many keys a listing gives at once.
    """

    objects: dict[str, StoredThing] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    page_size: int = 1000
    endpoint_url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def forget(self) -> None:
        """Be as new."""
        with self.lock:
            for kept in (self.objects, self.uploads, self.rules, self.seen):
                kept.clear()
            self.page_size = 1000

    def requests(self, method: str, having: str = "") -> list[Seen]:
        """Return the requests of a kind, oldest first."""
        return [seen for seen in self.seen if seen.method == method and having in seen.target]


@contextlib.contextmanager
def fake_s3() -> Iterator[FakeS3]:
    """Run one on loopback."""
    fake = FakeS3()

    class Handler(_Handler):
        state = fake

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: clients hang up as tests want it."""

    server = Server(("127.0.0.1", 0), Handler)
    fake.endpoint_url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FakeS3

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        self._handle()

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815

    # --- rules ----------------------------------------------------------------------------------

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        self.key = unquote(parts.path).lstrip("/").partition("/")[2]
        self.query = {
            name: values[0]
            for name, values in parse_qs(parts.query, keep_blank_values=True).items()
        }
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.rule = self._rule()
        with self.state.lock:
            self.state.seen.append(
                Seen(self.command, self.path, dict(self.headers.items()), len(self.body))
            )
        rule = self.rule
        if rule and rule.keep is not None:
            self.body = self.body[: rule.keep]
        if rule and rule.raw is not None:
            self._answer(rule.status or 200, rule.raw)
            return
        if rule and (rule.status or rule.reset) and not rule.after_doing:
            self._fail(rule)
            return
        self._quiet = bool(rule and rule.after_doing)
        self._do()
        if rule and rule.after_doing:
            self._quiet = False
            self._fail(rule)

    _quiet = False

    def _rule(self) -> Rule | None:
        lines = [self.path, *(f"{name}: {value}" for name, value in self.headers.items())]
        with self.state.lock:
            for rule in self.state.rules:
                if rule.method == self.command and any(rule.having in line for line in lines):
                    rule.times -= 1
                    if rule.times <= 0:
                        self.state.rules.remove(rule)
                    return rule
        return None

    def _fail(self, rule: Rule) -> None:
        if rule.reset:
            self._reset()
        else:
            self._error(rule.status, rule.code, rule.message)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    # --- answers --------------------------------------------------------------------------------

    def _answer(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        if self._quiet:
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut_at = self.rule.cut_at if self.rule else None
        if cut_at is None:
            self.wfile.write(body)
        else:
            self.wfile.write(body[:cut_at])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def _error(self, status: int, code: str, message: str = "") -> None:
        xml = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        self._answer(status, xml.encode(), {"Content-Type": "application/xml"})

    # --- what S3 does ---------------------------------------------------------------------------

    def _do(self) -> None:
        with self.state.lock:
            table: dict[str, Callable[[], None]] = {
                "GET": self._get,
                "HEAD": self._get,
                "PUT": self._put,
                "POST": self._post,
                "DELETE": self._delete,
            }
            table[self.command]()
            if self.rule and self.rule.then:
                self.rule.then(self.state)

    def _get(self) -> None:
        if not self.key:
            self._uploads() if "uploads" in self.query else self._list()
            return
        thing = self.state.objects.get(self.key)
        if thing is None:
            self._error(404, "NoSuchKey")
            return
        conditional = not (self.rule and self.rule.unconditional)
        if conditional and self.headers.get("If-Match", thing.etag) != thing.etag:
            self._error(412, "PreconditionFailed")
            return
        data, status = thing.data, 200
        headers = {**thing.headers, "ETag": thing.etag, "Last-Modified": formatdate(usegmt=True)}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and not (self.rule and self.rule.as_whole):
            start = int(asked[1])
            data = data[start : int(asked[2]) + 1 if asked[2] else None]
            status = 206
            end = start + len(data) - 1
            headers["Content-Range"] = f"bytes {start}-{end}/{len(thing.data)}"
        headers["Content-Length"] = str(len(data))
        self._answer(status, data, headers)

    def _list(self) -> None:
        prefix, after = self.query.get("prefix", ""), self.query.get("continuation-token", "")
        keys = sorted(key for key in self.state.objects if key.startswith(prefix) and key > after)
        size = min(self.state.page_size, int(self.query.get("max-keys", "1000")))
        page, more = keys[:size], keys[size:]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key>"
            f"<Size>{len(self.state.objects[key].data)}</Size>"
            "<LastModified>2026-11-23T03:00:12.000Z</LastModified></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        truncated = "true" if more else "false"
        xml = (
            f"<ListBucketResult>{entries}{token}<IsTruncated>{truncated}</IsTruncated>"
            "</ListBucketResult>"
        )
        self._answer(200, xml.encode())

    def _uploads(self) -> None:
        prefix = self.query.get("prefix", "")
        entries = "".join(
            f"<Upload><Key>{escape(key)}</Key><UploadId>{upload_id}</UploadId>"
            "<Initiated>2026-11-22T03:00:12.000Z</Initiated></Upload>"
            for upload_id, (key, _, _) in self.state.uploads.items()
            if key.startswith(prefix)
        )
        xml = f"<ListMultipartUploadsResult>{entries}</ListMultipartUploadsResult>"
        self._answer(200, xml.encode())

    def _kept_headers(self) -> dict[str, str]:
        return {
            name: value
            for name, value in self.headers.items()
            if name.lower() == "content-type" or name.lower().startswith("x-amz-meta-")
        }

    def _put(self) -> None:
        if "uploadId" in self.query:
            self._put_part()
            return
        there = self.state.objects.get(self.key)
        if self.headers.get("If-None-Match") == "*" and there is not None:
            self._error(412, "PreconditionFailed")
            return
        wanted = self.headers.get("If-Match")
        if wanted and (there is None or there.etag != wanted):
            self._error(412, "PreconditionFailed")
            return
        if source := self.headers.get("x-amz-copy-source"):
            self.body = self.state.objects[unquote(source).lstrip("/").partition("/")[2]].data
        thing = StoredThing(self.body, self._kept_headers())
        self.state.objects[self.key] = thing
        xml = f"<CopyObjectResult><ETag>{escape(thing.etag)}</ETag></CopyObjectResult>"
        self._answer(200, xml.encode() if source else b"", {"ETag": thing.etag})

    def _put_part(self) -> None:
        upload = self.state.uploads.get(self.query["uploadId"])
        if upload is None:
            self._error(404, "NoSuchUpload")
            return
        data = self.body
        if source := self.headers.get("x-amz-copy-source"):
            whole = self.state.objects[unquote(source).lstrip("/").partition("/")[2]].data
            start, _, end = self.headers["x-amz-copy-source-range"][6:].partition("-")
            data = whole[int(start) : int(end) + 1]
        upload[2][int(self.query["partNumber"])] = data
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        xml = f"<CopyPartResult><ETag>{escape(etag)}</ETag></CopyPartResult>"
        self._answer(200, xml.encode() if source else b"", {"ETag": etag})

    def _post(self) -> None:
        if "uploads" in self.query:
            upload_id = f"upload{len(self.state.seen)}"
            self.state.uploads[upload_id] = (self.key, self._kept_headers(), {})
            xml = (
                "<InitiateMultipartUploadResult>"
                f"<UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
            )
            self._answer(200, xml.encode())
        elif "uploadId" in self.query:
            self._complete()
        elif "delete" in self.query:
            for key in re.findall(r"<Key>(.*?)</Key>", self.body.decode()):
                self.state.objects.pop(key, None)
            self._answer(200, b"<DeleteResult></DeleteResult>")

    def _complete(self) -> None:
        upload = self.state.uploads.pop(self.query["uploadId"], None)
        if upload is None:
            self._error(404, "NoSuchUpload")
            return
        key, headers, parts = upload
        listed = [int(n) for n in re.findall(r"<PartNumber>(\d+)</PartNumber>", self.body.decode())]
        self.state.objects[key] = StoredThing(b"".join(parts[n] for n in listed), headers)
        xml = "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
        self._answer(200, xml.encode())

    def _delete(self) -> None:
        if "uploadId" in self.query:
            if self.state.uploads.pop(self.query["uploadId"], None) is None:
                self._error(404, "NoSuchUpload")
                return
        else:
            self.state.objects.pop(self.key, None)
        self._answer(204)
