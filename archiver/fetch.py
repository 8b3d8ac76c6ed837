"""Fetch one rendition: from its link into an upload, digested and gathered on the way.

What is held is continued only with proof that the rest belongs to it: a strong entity tag in
`If-Range`, status 206, the right start, the right total. Everything else begins anew.

Source: RFC 9110 sections 13.1.5 (If-Range), 14.4 (Content-Range), 15.3.7 (206).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager

from archiver.contracts import (
    AssetRequest,
    Body,
    Downloads,
    Gathered,
    Prober,
    ResumeProof,
    Sniffed,
    Upload,
)
from archiver.errors import (
    DamageError,
    DeadLinkError,
    NotMediaError,
    PassingError,
    RenditionError,
    StoreError,
    TooLargeError,
    TruncatedError,
)
from archiver.model import Role
from archiver.redaction import redact_url
from archiver.wanted import Fetched, Wanted

HEAD_BYTES = 16 << 10
PROGRESS_BYTES = 1 << 20
VOUCHED_EVERY_BYTES = 4 << 20
SUSPECT_BYTES = 64 << 10
SHORT_BODY_TRIES = 3

_DEAD = frozenset({401, 403, 404, 410})
_EXPIRED = re.compile(rb"expired|ExpiredToken|Signature not valid in this time", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\s*", re.ASCII)
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')


class Fetcher:
    """Fetches renditions; one for all workers.

    Args:
        max_size_bytes: Larger files are refused.
    """

    def __init__(self, *, downloads: Downloads, prober: Prober, max_size_bytes: int) -> None:
        self.downloads = downloads
        self.prober = prober
        self.max_size_bytes = max_size_bytes

    def fetch(self, wanted: Wanted, upload: Upload) -> Fetched:
        """Bring one rendition into an upload, whole and probed.

        Raises:
            PassingError: Time may mend it; what came is in the upload.
            RenditionError: This rendition is of no use.
            StoreError, StoppedError, ProviderError: As they come.
        """
        with contextlib.closing(_Transfer(self, wanted, upload)) as transfer:
            return transfer.run()

    def take(self, content: bytes, wanted: Wanted, upload: Upload) -> Fetched:
        """Bring bytes that came inside the answer into an upload, probed like any others."""
        with contextlib.closing(_Transfer(self, wanted, upload)) as transfer:
            return transfer.take(content)


class _Transfer:
    """One file on its way: the upload, and all that is told from its bytes so far."""

    def __init__(self, fetcher: Fetcher, wanted: Wanted, upload: Upload) -> None:
        self._downloads = fetcher.downloads
        self._prober = fetcher.prober
        self._max_size_bytes = fetcher.max_size_bytes
        self._wanted = wanted
        self._upload = upload
        self._link = wanted.link
        self._link_used = ""
        self._etag: str | None = None
        self._short_bodies = 0
        self._renewed_at_bytes = -1
        self._wire_bytes = 0
        self._begin()

    def _begin(self) -> None:
        self._digest = hashlib.sha256()
        self._gathered: Gathered = self._prober.gather()
        self._head = bytearray()
        self._identified = False
        self._size_bytes = self._vouched_bytes = 0

    def close(self) -> None:
        """Let go of what others may wait for."""
        self._gathered.release()

    # --- the whole ------------------------------------------------------------------------------

    def run(self) -> Fetched:
        """Fetch, renewing a dead link and continuing a cut body, until it is whole or hopeless."""
        self._take_up_held()
        try:
            return self._to_the_end()
        except BaseException:
            with contextlib.suppress(StoreError):  # what ended it matters more
                self._vouch()
            raise

    def _to_the_end(self) -> Fetched:
        best_bytes = self._size_bytes
        while True:
            if not self._is_whole():
                self._renew_if_expired()
            try:
                return self._attempts()
            except DeadLinkError as error:
                if self._size_bytes <= self._renewed_at_bytes:
                    raise
                self._renew(error)
            except PassingError:
                # A long file over a bad line: attempts count only while nothing comes.
                if self._size_bytes < best_bytes + PROGRESS_BYTES:
                    raise
                best_bytes = self._size_bytes

    def take(self, content: bytes) -> Fetched:
        """Use bytes that are at hand."""
        self._upload.restart()
        self._accept(content)
        return self._finish()

    def _attempts(self) -> Fetched:
        for attempt in self._downloads.attempts():
            with attempt:
                return self._once()
        raise PassingError("no attempt was made", code="unreachable")

    def _renew_if_expired(self) -> None:
        expires_at = self._link.expires_at
        if expires_at and expires_at <= self._wanted.now() and not self._link.renewed:
            self._renew(DeadLinkError("its link ran out", code="expired"))

    def _renew(self, error: DeadLinkError) -> None:
        link = self._wanted.renew(self._link)
        if link is None:
            raise error
        self._link = link
        self._renewed_at_bytes = self._size_bytes

    # --- one request ----------------------------------------------------------------------------

    def _once(self) -> Fetched:
        proof = self._upload.proof
        if self._size_bytes and (proof is None or self._size_bytes != self._upload.offset):
            self._restart()
        if self._is_whole():
            return self._finish()
        is_same = proof is not None and proof.link == redact_url(self._link.url)
        if proof and is_same and 0 < self._size_bytes < proof.total_bytes:
            headers = {"Range": f"bytes={self._size_bytes}-", "If-Range": proof.etag}
            with self._open(headers) as body:
                if self._continues(body, proof):
                    return self._receive(body)
                if body.status == 200:
                    self._restart()
                    return self._receive_new(body)
                if body.status in (206, 412, 416):
                    self._restart()
                else:
                    self._raise_for_status(body)
        self._restart()
        with self._open({}) as body:
            if body.status != 200:
                self._raise_for_status(body)
            return self._receive_new(body)

    def _is_whole(self) -> bool:
        """Whether all bytes of just this form are held, so that nothing need be asked."""
        proof = self._upload.proof
        if proof is None or proof.link != redact_url(self._link.url) or not self._wanted.alone:
            return False
        return self._size_bytes == proof.total_bytes == self._upload.offset

    def _open(self, headers: Mapping[str, str]) -> AbstractContextManager[Body]:
        self._link_used = redact_url(self._link.url)
        return self._downloads.open(AssetRequest(url=self._link.url, headers=headers))

    def _continues(self, body: Body, proof: ResumeProof) -> bool:
        found = _CONTENT_RANGE.fullmatch(body.headers.get("content-range", ""))
        return (
            body.status == 206
            and not body.encoded
            and found is not None
            and int(found[1]) == self._size_bytes
            and int(found[2]) == proof.total_bytes - 1
            and int(found[3]) == proof.total_bytes
            and body.headers.get("etag") == proof.etag
        )

    def _raise_for_status(self, body: Body) -> None:
        status = body.status
        if status in _DEAD:
            raise DeadLinkError(f"HTTP {status}")
        if status == 206:
            raise PassingError(
                "the server sent a part of the file that was not asked for", code="bad_range"
            )
        if 200 <= status < 300:
            raise NotMediaError(f"the answer is empty (HTTP {status})", code="empty")
        if _EXPIRED.search(self._beginning(body)):
            raise DeadLinkError(f"HTTP {status}: the link ran out", code="expired")
        raise RenditionError(f"HTTP {status}", code=f"http_{status}")

    @staticmethod
    def _beginning(body: Body) -> bytes:
        found = bytearray()
        for chunk in body.chunks():
            found += chunk
            if len(found) >= SUSPECT_BYTES:
                break
        return bytes(found)

    def _receive_new(self, body: Body) -> Fetched:
        total = None if body.encoded else body.length
        if total is not None and total > self._max_size_bytes:
            raise self._too_large(total)
        etag = body.headers.get("etag", "").strip()
        self._etag = etag or None
        if total and _STRONG_ETAG.fullmatch(etag):
            proof = ResumeProof(etag=etag, total_bytes=total, link=self._link_used)
            self._upload.expect(proof)
        else:
            self._upload.expect(None)
        return self._receive(body)

    def _receive(self, body: Body) -> Fetched:
        for chunk in body.chunks():
            self._wire_bytes += len(chunk)
            self._accept(chunk)
        self._vouch()
        proof = self._upload.proof
        if proof and self._size_bytes != proof.total_bytes:
            raise PassingError(
                f"the body ended after {self._size_bytes} of {proof.total_bytes} bytes",
                code="short_body",
            )
        framed = body.length is not None or "chunked" in body.headers.get("transfer-encoding", "")
        try:
            return self._finish()
        except TruncatedError:
            # Nothing but the file itself says where this body ends: perhaps it was cut.
            self._short_bodies += 1
            if framed or self._short_bodies >= SHORT_BODY_TRIES:
                raise
            self._upload.expect(None)
            raise PassingError("the body ended early", code="short_body") from None

    # --- bytes ----------------------------------------------------------------------------------

    def _take_up_held(self) -> None:
        """Digest what an earlier run parked, if it can be continued at all."""
        if not self._upload.offset:
            return
        proof = self._upload.proof
        if proof is None or proof.total_bytes > self._max_size_bytes:
            self._restart()
            return
        self._etag = proof.etag
        self._link_used = proof.link
        try:
            for chunk in self._upload.held():
                self._accept(chunk, store=False)
        except (RenditionError, DamageError):
            self._restart()
        self._vouched_bytes = self._size_bytes
        if not self._identified and self._size_bytes < proof.total_bytes:
            self._restart()  # less than a head: it would be written twice

    def _restart(self) -> None:
        if self._upload.offset or self._size_bytes:
            self._upload.restart()
        self._gathered.release()
        self._begin()

    def _accept(self, chunk: bytes | memoryview, *, store: bool = True) -> None:
        size_bytes = self._size_bytes + len(chunk)
        if size_bytes > self._max_size_bytes:
            raise self._too_large(None)
        self._size_bytes = size_bytes
        self._gathered.feed(chunk)
        self._digest.update(chunk)
        if not self._identified:
            if self._head or len(chunk) < HEAD_BYTES:
                self._head += chunk
                if len(self._head) < HEAD_BYTES:
                    return
                chunk = bytes(self._head)
            self._identify(bytes(chunk[:SUSPECT_BYTES]))
        if store:
            self._upload.write(chunk)
            if size_bytes >= self._vouched_bytes + VOUCHED_EVERY_BYTES:
                self._vouch()

    def _vouch(self) -> None:
        """Let the store know what it holds, so that a later run can trust it."""
        if self._size_bytes == self._upload.offset > self._vouched_bytes:
            self._vouched_bytes = self._size_bytes
            self._upload.vouch(self._digest.hexdigest())

    def _identify(self, head: bytes) -> None:
        """Name the upload by its first bytes, before the store sees any of them."""
        self._head.clear()
        self._identified = True
        sniffed = self._prober.sniff(head)
        if self._wanted.role is Role.TEXT:
            sniffed = Sniffed(kind="text", media_type="text/plain", extension="txt")
        if sniffed is None:
            self._refuse(head)
        else:
            name = self._wanted.name(sniffed)
            self._upload.identify(name, sniffed.media_type, self._wanted.metadata)

    def _refuse(self, head: bytes) -> None:
        """Say what came in place of media; an error page about expiry is a dead link."""
        if _EXPIRED.search(head[:SUSPECT_BYTES]) and head.lstrip()[:1] in (b"<", b"{"):
            raise DeadLinkError("the answer is an error page: the link ran out", code="expired")
        self._prober.probe(self._gathered, role=self._wanted.role)
        raise NotMediaError("the bytes are of no known kind of media")

    def _finish(self) -> Fetched:
        if not self._identified:
            head = bytes(self._head)
            self._identify(head)
            if not self._upload.offset:
                self._upload.write(head)
        info = self._prober.probe(self._gathered, role=self._wanted.role, peek=self._upload.peek)
        sniffed = Sniffed(kind=info.kind, media_type=info.media_type, extension=info.extension)
        self._upload.identify(self._wanted.name(sniffed), info.media_type, self._wanted.metadata)
        self._upload.seal()
        return Fetched(
            info=info,
            sha256=self._digest.hexdigest(),
            size_bytes=self._size_bytes,
            link=self._link_used or None,
            etag=self._etag,
            wire_bytes=self._wire_bytes,
        )

    def _too_large(self, total: int | None) -> TooLargeError:
        what = f"{total} bytes" if total is not None else "the body"
        return TooLargeError(f"{what}: more than max_size ({self._max_size_bytes} bytes)")
