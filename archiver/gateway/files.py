"""Serving files: validators, ranges, signatures.

Source: RFC 9110, sections 8.8 (validators), 13 (conditional requests) and 14 (ranges).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from threading import Lock
from urllib.parse import parse_qs

from archiver.gateway.exchange import (
    HOP_PATH,
    LOOP_PATH,
    BytesContent,
    Content,
    HostedFile,
    PathContent,
    Reply,
    Request,
    xml_error,
)
from archiver.gateway.signing import SignatureState, Signer

_RANGE = re.compile(r"bytes=(?:(?P<first>\d{1,18})-(?P<last>\d{0,18})|-(?P<suffix>\d{1,18}))")


def strong_etag(content: Content) -> str:
    """Return an entity tag that changes whenever the bytes do."""
    if isinstance(content, PathContent):
        facts = content.path.stat()
        return f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
    digest = hashlib.sha256()
    for chunk in content.chunks(0, content.size_bytes):
        digest.update(chunk)
    return f'"{digest.hexdigest()[:32]}"'


@dataclass(slots=True, kw_only=True)
class FileSite:
    """The assets origin: files by path, some only for those who have a signed link."""

    signer: Signer
    _files: dict[str, HostedFile] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def put(self, file: HostedFile) -> None:
        """Serve a file, in place of what was at its path."""
        with self._lock:
            self._files[file.path] = file

    def remove(self, path: str) -> None:
        """Serve it no longer; it may not be there."""
        with self._lock:
            self._files.pop(path, None)

    def get(self, path: str) -> HostedFile | None:
        """Return the file at a path."""
        with self._lock:
            return self._files.get(path)

    def serve(self, request: Request, now: datetime) -> Reply:
        """Answer a request as an object store behind a CDN does."""
        if request.path == LOOP_PATH:
            return Reply(status=302, headers=(("Location", LOOP_PATH),))
        if request.path.startswith(HOP_PATH):
            return self._hop(request, now)
        if request.method not in ("GET", "HEAD"):
            return xml_error(405, "MethodNotAllowed", "The method is not allowed.")
        file = self.get(request.path)
        refusal = self._refusal(request, file, now)
        task_ids = (file.task_id,) if file is not None and file.task_id else ()
        if refusal is not None:
            return replace(refusal, task_ids=task_ids)
        if file is None:
            return xml_error(404, "NoSuchKey", "The specified key does not exist.")
        for edit in request.edits:
            file = edit(file)
        return replace(_serve_file(file, request), task_ids=task_ids)

    def _refusal(self, request: Request, file: HostedFile | None, now: datetime) -> Reply | None:
        """Return the refusal of a link that is no longer, or was never, good."""
        host = request.headers.get("host", "")
        state = self.signer.check(
            request.path, request.query, method=request.method, host=host, now=now
        )
        if state is SignatureState.EXPIRED:
            times = {"ServerTime": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
            return xml_error(403, "AccessDenied", "Request has expired", **times)
        if state is SignatureState.WRONG:
            text = "The request signature we calculated does not match the one you provided."
            return xml_error(403, "SignatureDoesNotMatch", text)
        if state is SignatureState.UNSIGNED and file is not None and file.signed_only:
            return xml_error(403, "AccessDenied", "Access Denied")
        return None

    def _hop(self, request: Request, now: datetime) -> Reply:
        """Redirect to the next hop; the last one serves what the chain was made for."""
        left, _, status = request.path.removeprefix(HOP_PATH).partition("/")
        if not (left.isdecimal() and status.isdecimal()):
            return xml_error(404, "NoSuchKey", "The specified key does not exist.")
        if int(left) > 0:
            location = f"{HOP_PATH}{int(left) - 1}/{status}?{request.query}"
            return Reply(status=int(status), headers=(("Location", location),))
        target = parse_qs(request.query).get("to", [""])[0]
        path, _, query = target.partition("?")
        return self.serve(replace(request, path=path, query=query), now)


def _serve_file(file: HostedFile, request: Request) -> Reply:
    """Answer for one file: the whole, a part, or why not."""
    headers = [("Content-Type", file.media_type), ("Accept-Ranges", "bytes")]
    if file.etag is not None:
        headers.append(("ETag", file.etag))
    if file.modified_at is not None:
        headers.append(("Last-Modified", format_datetime(file.modified_at, usegmt=True)))
    whole = Reply(status=200, headers=tuple(headers), content=file.content)
    verdict = _precondition(file, request.headers)
    if verdict:
        return replace(whole, status=verdict, content=BytesContent(b""))
    if request.method != "GET" or not _range_applies(file, request.headers):
        return whole
    size = file.content.size_bytes
    wanted = _wanted(request.headers["range"], size)
    if wanted is None:
        return whole
    start, stop = wanted
    if start >= stop:
        text = "The requested range is not satisfiable"
        return xml_error(416, "InvalidRange", text).with_header("Content-Range", f"bytes */{size}")
    part = replace(whole, status=206, start=start, stop=stop)
    return part.with_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")


def _precondition(file: HostedFile, headers: Mapping[str, str]) -> int:
    """Return 412, 304, or 0 to go on. Source: RFC 9110 section 13.2.2."""
    if "if-match" in headers:
        if not _listed(headers["if-match"], file.etag, weakly=False):
            return 412
    elif "if-unmodified-since" in headers:
        limit = _date(headers["if-unmodified-since"])
        if limit and file.modified_at and file.modified_at.replace(microsecond=0) > limit:
            return 412
    if "if-none-match" in headers:
        if _listed(headers["if-none-match"], file.etag, weakly=True):
            return 304
    elif "if-modified-since" in headers:
        limit = _date(headers["if-modified-since"])
        if limit and file.modified_at and file.modified_at.replace(microsecond=0) <= limit:
            return 304
    return 0


def _range_applies(file: HostedFile, headers: Mapping[str, str]) -> bool:
    """Tell whether Range is to be honoured. Source: RFC 9110 section 13.1.5 (`If-Range`)."""
    if "range" not in headers:
        return False
    condition = headers.get("if-range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == file.etag and not condition.startswith("W/")
    date = _date(condition)
    return (
        date is not None
        and file.modified_at is not None
        and (file.modified_at.replace(microsecond=0) == date)
    )


def _wanted(header: str, size: int) -> tuple[int, int] | None:
    """Return start and stop of one range; `None` to ignore it; start >= stop if it is outside."""
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        return None
    if match["suffix"] is not None:
        length = int(match["suffix"])
        return (max(0, size - length), size) if length else (size, size)
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else size - 1
    if match["last"] and last < first:
        return None
    return first, min(last + 1, size)


def _listed(header: str, etag: str | None, *, weakly: bool) -> bool:
    if header.strip() == "*":
        return True
    if etag is None or (not weakly and etag.startswith("W/")):
        return False
    tags = [tag.strip() for tag in header.split(",")]
    return etag in tags or (
        weakly and etag.removeprefix("W/") in (t.removeprefix("W/") for t in tags)
    )


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
