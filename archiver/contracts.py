"""The sockets: what a provider, a store, a prober and the rest must do, and what they promise.

`pipeline.py` knows these and no implementation. Each has one test suite that runs on every
implementation (`tests/contract`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import BinaryIO, Protocol

from archiver.model import Answer, JsonValue, MediaInfo, Rendition, Role, StoredObject, Task


class Clock(Protocol):
    """Time, passed in: product code never reads it elsewhere."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, never going back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            StoppedError: The run was told to stop meanwhile.
        """
        ...

    def check_stop(self) -> None:
        """Do nothing, unless the run was told to stop.

        Raises:
            StoppedError: It was.
        """
        ...


# --- provider -----------------------------------------------------------------------------------


class Api(Protocol):
    """One source's API: a base URL, a key, a rate limit. Made by `transport`.

    It adds the key (to its own origin only), waits for the rate limit and for pauses that the host
    asked for, retries passing faults, and refuses bodies that are too large or too deep.
    """

    @property
    def base_url(self) -> str:
        """The configured base URL without a slash at the end."""
        ...

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: JsonValue = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask.

        Args:
            method: `GET` or `POST`.
            path: Begins with a slash and is appended to the base URL, already percent-encoded; or
                a full URL of the same origin.
            params: Query parameters.
            json: Body of a POST.
            headers: Extra ones for this request.

        Returns:
            The answer of any status below 500, except those below; whether a 4xx is "no such
            task" or "no such route" is for the provider to tell (`answers.raise_for_answer`).

        Raises:
            KeyRefusedError: 401; or 403 with a JSON body.
            NoCreditError: 402.
            RateLimitedError: 429, or a Retry-After over five minutes.
            PassingError: Time-out, reset, 408, 425, 5xx, after `max_attempts`.
            ProviderError: The body is larger, or nested deeper, than any real answer.
        """
        ...

    def now(self) -> datetime:
        """Return the time by the server's own `Date` header; the local clock before the first."""
        ...


class Provider(Protocol):
    """One kind of API: how to ask for tasks, and how to read the answers.

    A provider never fetches files, never sleeps, never retries and never touches a store.
    """

    name: str
    """As in the configuration: `luma`."""

    batch_size: int
    """How many tasks one request can ask for; 1 when there is no batch endpoint."""

    link_lifetime: timedelta | None
    """How long the links of a finished task live; `None` when nobody says."""

    def get_task(self, task_id: str) -> Task:
        """Ask for one task.

        Raises:
            TaskNotFoundError: The provider's own not-found body.
            SourceFaultError: Unknown route, HTML, an empty 404.
            ProviderError: An answer that cannot be read.
            ArchiverError: Whatever `Api.request` raises.
        """
        ...

    def get_tasks(self, task_ids: Sequence[str]) -> Mapping[str, Task]:
        """Ask for up to `batch_size` tasks in one request, by the id asked for.

        Ids that the provider left out are absent; nothing follows from that.
        """
        ...

    def resolve(self, task: Task, rendition: Rendition) -> Rendition:
        """Ask for the link of a rendition that has none yet.

        Returns:
            The rendition with its `url` and `expires_at`.

        Raises:
            DeadLinkError: The provider says that there is none.
        """
        ...

    def list_tasks(self, *, since: datetime | None = None) -> Iterator[Task]:
        """Yield the provider's own list of tasks, page by page, newest first where it says so.

        Raises:
            UsageError: This provider has no list endpoint.
        """
        ...

    def read_body(self, body: JsonValue, *, task_id: str | None = None) -> tuple[Task, ...]:
        """Read tasks from a posted or saved answer (`ingest`), without asking anything.

        Raises:
            ProviderError: The body has none of this provider's shapes.
        """
        ...


# --- store --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeProof:
    """What proves that bytes still to come belong to bytes already held.

    Attributes:
        etag: A strong entity tag, quotes included (RFC 9110 section 8.8.3).
        total_bytes: The whole representation's length.
        link: The URL without query, user info and fragment.
        vouched_bytes, vouched_sha256: The digest of so many bytes as they came, from the first.
        boot: Of the machine when they were written: what lies behind the vouched bytes counts only
            while it runs.
    """

    etag: str
    total_bytes: int
    link: str
    vouched_bytes: int = 0
    vouched_sha256: str = ""
    boot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """One final object as a listing or a stat shows it."""

    key: str
    size_bytes: int
    modified_at: datetime | None = None


class Upload(Protocol):
    """Bytes on their way into a store; invisible under any final name until `publish`.

    One thread uses it. Exactly one of `publish`, `park` or `discard` ends it; each may be called
    again without effect.
    """

    @property
    def offset(self) -> int:
        """How many bytes it holds: more than 0 at first only when it was parked before."""
        ...

    @property
    def proof(self) -> ResumeProof | None:
        """What the held bytes' origin said of itself; `None`: they cannot be continued."""
        ...

    def held(self) -> Iterator[bytes]:
        """Yield the bytes held from a parked upload, to be digested again.

        Raises:
            DamageError: They are not what came.
        """
        ...

    def identify(self, name: str, media_type: str, metadata: Mapping[str, str]) -> None:
        """Say the final file name and media type; before the first `write`. The last call counts.

        A store that must know the name early (S3 multipart) uses the one that is known when its
        first part is sent.
        """
        ...

    def expect(self, proof: ResumeProof | None) -> None:
        """Remember, durably enough for a killed process, what the coming bytes belong to."""
        ...

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append.

        Raises:
            StoreFullError, StoreError: The store's fault, never the source's.
        """
        ...

    def vouch(self, sha256: str) -> None:
        """Remember the digest of all bytes held: a later run sees whether they are the same."""
        ...

    def restart(self) -> None:
        """Throw away what is held and begin at offset 0 again."""
        ...

    def peek(self, offset: int, length: int) -> bytes | None:
        """Return bytes already written, or `None` where the store cannot give them back."""
        ...

    def seal(self) -> None:
        """Make what was written durable, still invisible: fsync; in S3, nothing to do yet."""
        ...

    def publish(self, *, sha256: str) -> StoredObject:
        """Give the sealed bytes their final name, atomically, replacing what was there.

        On disk: rename of a synced file. In S3: the single put, or the multipart upload's end. The
        folder entry need not be durable before `Store.put_document` of the manifest returns.
        """
        ...

    def park(self) -> None:
        """Keep the bytes for a later run where that is possible (disk), else let go (S3)."""
        ...

    def discard(self) -> None:
        """Remove all that this upload made."""
        ...


class Store(Protocol):
    """Where archives live: a folder or a bucket prefix.

    Keys are relative, `/`-separated, and never begin with a slash. Every method raises `StoreError`
    (or a subclass) for the store's own faults, after its own retries.
    """

    @property
    def label(self) -> str:
        """The store for people: a path or `s3://bucket/prefix`, without credentials."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether the bytes lie on this machine's disks."""
        ...

    def check(self) -> None:
        """Try that it is there and can be written, leaving nothing behind."""
        ...

    def lock(self) -> AbstractContextManager[None]:
        """Keep other runs out, where the store can do that.

        Raises:
            LockedError: Another run holds it.
        """
        ...

    def begin(self, folder: str, stem: str) -> Upload:
        """Open an upload of `folder/stem.<ending>`, taking up a parked one of the same name."""
        ...

    def adopt_part(self, folder: str, stem: str, name: str, *, sha256: str) -> StoredObject | None:
        """Publish a parked upload as `folder/name` if its bytes have this digest, else `None`."""
        ...

    def put_document(self, key: str, data: bytes, *, media_type: str = "application/json") -> None:
        """Write a small object atomically and durably, and with it all names of its folder."""
        ...

    def read_document(self, key: str, *, max_bytes: int = 64 << 20) -> bytes | None:
        """Return a small object's bytes; `None` when it is not there."""
        ...

    def stat(self, key: str) -> StoredEntry | None:
        """Return a final object's size; `None` when it is not there."""
        ...

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        """Open a final object for reading; seekable.

        Raises:
            DamageError: It is not there.
        """
        ...

    def entries(self, prefix: str = "") -> Iterator[StoredEntry]:
        """Yield every final object under a prefix (a folder, or empty), `.part` files left out."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are no error. Empty folders go with them."""
        ...

    def clean(self, folder: str) -> None:
        """Remove what killed or refused uploads of this task left: parts, unfinished multiparts."""
        ...

    def clean_stale(self, older_than: timedelta) -> int:
        """Remove unfinished uploads that nobody came back for; return how many.

        A folder's parts are kept, since a later run can continue them; S3's cost money unseen.
        """
        ...

    def free_bytes(self) -> int | None:
        """Return the free space, or `None` where that has no meaning."""
        ...


# --- probe --------------------------------------------------------------------------------------


class Peek(Protocol):
    """Reads bytes of a file at an offset; `None` where they cannot be had any more."""

    def __call__(self, offset: int, length: int) -> bytes | None:
        """Return exactly that range, or `None`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sniffed:
    """What the first bytes say: enough to name a file, not enough to trust it."""

    kind: str
    media_type: str
    extension: str


class Gathered(Protocol):
    """What is kept of a file while it streams by: head, tail, index boxes; small files whole.

    Bounded memory whatever the file's size; at most 16 MiB, images (which must be seen whole) more.
    """

    size_bytes: int

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises nothing: a broken structure is `Prober.probe`'s to report.

        It may wait while others hold large pictures.
        """
        ...

    def release(self) -> None:
        """Give up what it holds that others may wait for; it is not fed any more."""
        ...


class Prober(Protocol):
    """Tells what bytes are. Never trusts a name or a Content-Type."""

    def sniff(self, head: bytes) -> Sniffed | None:
        """Tell from the first (up to 64 KiB of) bytes; `None`: nothing that is known as media."""
        ...

    def gather(self) -> Gathered:
        """Begin to gather one file."""
        ...

    def probe(self, gathered: Gathered, *, role: Role, peek: Peek | None = None) -> MediaInfo:
        """Judge a whole file from what was gathered (and from `peek`, where the store can).

        Raises:
            TruncatedError: Its own structure says that bytes are missing.
            NotMediaError: Empty, an error page, undecodable, or not of the role's kind.
            TooLargeError: More pixels than any honest picture (a decompression bomb).
        """
        ...

    def decode(self, file: BinaryIO, *, role: Role) -> None:
        """Decode every frame or sample (`verify --decode`).

        Raises:
            TruncatedError, NotMediaError: It does not decode to the end.
        """
        ...


# --- transport, as `fetch` sees it ---------------------------------------------------------------


class Body(Protocol):
    """A response whose body has not been read yet."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""

    length: int | None
    """Content-Length of this response, `None` when absent."""

    encoded: bool
    """A content coding other than identity is in force: `chunks` decodes it, `length` is of no
    use, and the body cannot be resumed."""

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the body as it arrives; each chunk is valid until the next is asked for.

        Raises:
            PassingError: Time-out, reset, or the body ended before its announced length.
            NotMediaError: It is coded in a way that was not asked for and is not known.
            StoppedError: The run was told to stop.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRequest:
    """One GET of a file; nothing secret but the URL, which `repr` hides."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class Downloads(Protocol):
    """Opens files: no key, every hop's address checked, redirects followed (at most ten)."""

    def open(self, request: AssetRequest) -> AbstractContextManager[Body]:
        """Send one request, once, and give the final hop's answer.

        408, 425, 429 and 5xx are raised; every other status is given as it is.

        Waits first while the host has asked for a pause; a 429 or a Retry-After pauses the host.

        Raises:
            PassingError: Time-out, reset, DNS, 408, 425, 5xx; RateLimitedError for 429 and for a
                pause over five minutes.
            ForbiddenAddressError, RedirectError: A rule of ours.
            StoppedError: The run was told to stop.
        """
        ...

    def attempts(self) -> Iterator[AbstractContextManager[None]]:
        """Yield up to `max_attempts` attempts.

        Use: `for attempt in downloads.attempts(): with attempt: …; break`. A `PassingError` inside
        is swallowed and followed by a pause with jitter until the last one, which is raised.
        """
        ...
