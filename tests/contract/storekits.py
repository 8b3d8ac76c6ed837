"""Stores under test, and ways round them to see what they did."""

from __future__ import annotations

import hashlib
import itertools
import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from archiver.config.settings import S3Config, StoreConfig
from archiver.contracts import Store, Upload
from archiver.model import StoredObject
from archiver.stores.local import LocalStore
from archiver.stores.s3 import Credentials, S3Store, connect
from archiver.stores.s3.checks import AwsChecks
from tests.s3servers import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

PART = 5 << 20
"""The least part size of S3; a store on disk has none."""

SIZES = {
    "empty": 0,
    "one": 1,
    "part-1": PART - 1,
    "part": PART,
    "part+1": PART + 1,
    "3.5 parts": PART * 7 // 2,
}
FOLDER = "luma/2024/10/15/4b3c464e"
BUCKET = "contract"
S3_KINDS = ["seaweedfs-http", "seaweedfs-https", "seaweedfs-aws", "rclone-http", "rclone-https"]
"""`seaweedfs-aws` is sent the checksums that AWS is sent; SeaweedFS verifies them."""


EXTRA_KINDS = ["juicefs-http"]
"""Servers that run only when asked for by their marker: `-m juicefs`."""


class WallClock:
    """Real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def check_stop(self) -> None:
        return


class Kit(Protocol):
    """A store, and a way round it."""

    @property
    def store(self) -> Store: ...

    def next_run(self) -> Store:
        """Return the same store as a new process finds it."""
        ...

    def names(self) -> set[str]:
        """Return the keys of all that is visible."""
        ...

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        ...

    def leftovers(self) -> list[str]:
        """Return what is neither visible nor gone."""
        ...

    def connect_code(self) -> str:
        """Return Python that makes `store`, for another process."""
        ...


@dataclass(kw_only=True)
class LocalKit:
    root: Path
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = self.next_run()

    def next_run(self) -> Store:
        return LocalStore(self.root, min_free_bytes=0)

    def _files(self) -> list[str]:
        return [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]

    def names(self) -> set[str]:
        return {name for name in self._files() if not name.endswith((".part", ".part.json"))}

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def leftovers(self) -> list[str]:
        return [name for name in self._files() if name.endswith((".part", ".part.json"))]

    def connect_code(self) -> str:
        return (
            "from pathlib import Path\n"
            "from archiver.stores.local import LocalStore\n"
            f"store = LocalStore(Path({str(self.root)!r}), min_free_bytes=0)\n"
        )


class Line:
    """One server, with a client and a store connected to it: making those takes a while."""

    def __init__(self, *, server: S3Server, aws_checks: bool = False) -> None:
        self.server = server
        self.client = server.client()
        self.checks = AwsChecks() if aws_checks else None
        self.store = self.connect(BUCKET, "", {})

    def connect(
        self,
        bucket: str,
        prefix: str,
        settings: Mapping[str, str],
        *,
        credentials: Credentials | None = None,
        max_attempts: int = 3,
    ) -> S3Store:
        """Connect as the product does."""
        server = self.server
        s3 = {"endpoint_url": server.endpoint_url, **settings}
        keys = Credentials(
            access_key_id=server.access_key_id, secret_access_key=server.secret_access_key
        )
        return connect(
            StoreConfig(
                url=f"s3://{bucket}/{prefix}",
                s3=S3Config(**s3, part_size_bytes=PART),  # type: ignore[arg-type]
            ),
            clock=WallClock(),
            credentials=credentials or keys,
            max_attempts=max_attempts,
            ca_bundle=server.ca_bundle,
            checks=self.checks,
        )

    def close(self) -> None:
        """Let go of the connections."""
        self.client.close()
        self.store._place.client.close()


@dataclass(kw_only=True)
class S3Kit:
    """A prefix of its own on a server."""

    line: Line
    prefix: str
    store: S3Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = self.next_run()

    @property
    def server(self) -> S3Server:
        return self.line.server

    @property
    def client(self) -> S3Client:
        return self.line.client

    def next_run(self) -> S3Store:
        return S3Store(
            replace(self.line.store._place, prefix=self.prefix),
            clock=WallClock(),
            part_size_bytes=PART,
            new_token=secrets.token_hex,
        )

    def connect(
        self,
        *,
        bucket: str = BUCKET,
        credentials: Credentials | None = None,
        max_attempts: int = 3,
        **settings: str,
    ) -> S3Store:
        """Connect with other settings than the usual ones."""
        return self.line.connect(
            bucket, self.prefix, settings, credentials=credentials, max_attempts=max_attempts
        )

    def names(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{self.prefix}/"
        )
        return {
            found["Key"].removeprefix(f"{self.prefix}/")
            for page in pages
            for found in page.get("Contents", [])
        }

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")["Body"].read()

    def leftovers(self) -> list[str]:
        try:
            found = self.client.list_multipart_uploads(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        except self.client.exceptions.NoSuchUpload:  # rclone, when there is none
            return []
        return [each["Key"] for each in found.get("Uploads", [])]

    def head(self, key: str) -> tuple[str, dict[str, str], str]:
        """Return an object's media type, metadata and storage class."""
        found = self.client.head_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")
        metadata = {name.lower(): value for name, value in found["Metadata"].items()}
        return found["ContentType"], metadata, found.get("StorageClass", "STANDARD")

    def connect_code(self) -> str:
        server = self.server
        ca_bundle = str(server.ca_bundle) if server.ca_bundle else None
        return (
            "from pathlib import Path\n"
            "from archiver.config.settings import S3Config, StoreConfig\n"
            "from archiver.stores.s3 import Credentials, connect\n"
            "from tests.contract.storekits import WallClock\n"
            f"ca = {ca_bundle!r}\n"
            f"s3 = S3Config(endpoint_url={server.endpoint_url!r}, part_size_bytes={PART})\n"
            f"config = StoreConfig(url='s3://{BUCKET}/{self.prefix}', s3=s3)\n"
            f"keys = Credentials(access_key_id={server.access_key_id!r},"
            f" secret_access_key={server.secret_access_key!r})\n"
            "store = connect(config, clock=WallClock(), credentials=keys,"
            " ca_bundle=Path(ca) if ca else None)\n"
        )


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def feed(upload: Upload, data: bytes, seed: int = 7) -> None:
    """Write in chunks of uneven sizes and all types."""
    kinds = itertools.cycle([bytes, bytearray, memoryview])
    sizes = random.Random(seed)
    position = 0
    while position < len(data):
        size = sizes.choice([1, 1000, 65_536, 300_000, 1_100_000])
        upload.write(next(kinds)(data[position : position + size]))
        position += size


def put(
    store: Store,
    data: bytes,
    *,
    folder: str = FOLDER,
    name: str = "video.mp4",
    media_type: str = "video/mp4",
    metadata: Mapping[str, str] | None = None,
) -> StoredObject:
    upload = store.begin(folder, name.partition(".")[0])
    upload.identify(name, media_type, metadata or {})
    feed(upload, data)
    upload.seal()
    return upload.publish(sha256=hashlib.sha256(data).hexdigest())
