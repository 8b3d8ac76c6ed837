"""The configuration as the rest of archiver reads it: typed, checked, without any secret.

Fields are named as the keys of the file; sizes end in `_bytes`, time-outs in `_s`. The defaults
here are the only ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

MIB: Final = 1024**2
GIB: Final = 1024**3

PROVIDERS: Final = (
    "luma",
    "suno",
    "udio",
    "midjourney",
    "flux",
    "runway",
    "kling",
    "replicate",
    "minimax",
    "recraft",
    "ideogram",
    "openai-images",
)
"""The providers that a configuration may name unless the caller knows others."""

DEFAULT_STATE_DIR: Final = "~/.local/state/archiver"
DEFAULT_PATH: Final = "{source}/{created:%Y/%m/%d}/{task_id}"


class Listing(StrEnum):
    """Where `run` learns of new tasks besides the inboxes; false when nowhere."""

    OFF = ""
    PROVIDER = "provider"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Config:
    """How to speak to a bucket.

    Attributes:
        endpoint_url: Empty for AWS.
        region: `auto` leaves it to boto3 on AWS; elsewhere it is the region's name itself (R2).
        storage_class: Of the assets; manifests stay STANDARD.
        sse: Empty, `AES256` or `aws:kms`.
        access_key_id_env: Where the credentials come from (`resolve_secret`); all empty means
            boto3's own chain.
        part_size_bytes: From 5 MiB to 5 GiB.
            Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    """

    endpoint_url: str = ""
    region: str = "auto"
    storage_class: str = "STANDARD"
    sse: str = ""
    sse_kms_key_id: str = ""
    access_key_id_env: str = ""
    access_key_id_file: Path | None = None
    access_key_id_command: tuple[str, ...] = ()
    secret_access_key_env: str = ""
    secret_access_key_file: Path | None = None
    secret_access_key_command: tuple[str, ...] = ()
    session_token_env: str = ""
    session_token_file: Path | None = None
    session_token_command: tuple[str, ...] = ()
    part_size_bytes: int = 8 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """Where the archive lives.

    Attributes:
        url: An absolute folder, or `s3://bucket/prefix` without a slash at the end.
        path: The template of a task's folder, already checked.
        min_free_bytes: On a local store, stop before less than this is free.
    """

    url: str
    path: str = DEFAULT_PATH
    min_free_bytes: int = 100 * MIB
    s3: S3Config = field(default_factory=S3Config)

    @property
    def is_s3(self) -> bool:
        """Whether the store is a bucket."""
        return self.url.startswith("s3://")

    @property
    def bucket(self) -> str:
        """The bucket's name; empty for a folder."""
        return self.url[5:].partition("/")[0] if self.is_s3 else ""

    @property
    def prefix(self) -> str:
        """What all keys in the bucket begin with, without slashes at its ends; may be empty."""
        return self.url[5:].partition("/")[2] if self.is_s3 else ""

    @property
    def root(self) -> Path:
        """The folder.

        Raises:
            ValueError: The store is a bucket; ask `is_s3` first.
        """
        if self.is_s3:
            raise ValueError("an S3 store has no folder")
        return Path(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One account at one provider.

    Attributes:
        base_url: Without a slash at the end; may carry a path prefix.
        api_key_env: Where the key comes from; at most one of `_env`, `_file`, `_command` is set,
            for `secret_key` and `user_token` as well. See `resolve_secret`.
        headers: Name and value of extra request headers; a value may be `env:NAME`. See
            `resolve_headers`.
        inbox: Absolute glob patterns.
        list: Whose list `run` reads.
    """

    name: str
    provider: str
    base_url: str
    api_key_env: str = ""
    api_key_file: Path | None = None
    api_key_command: tuple[str, ...] = ()
    secret_key_env: str = ""
    secret_key_file: Path | None = None
    secret_key_command: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    inbox: tuple[str, ...] = ()
    list: Listing = Listing.OFF
    user_token_env: str = ""
    user_token_file: Path | None = None
    user_token_command: tuple[str, ...] = ()
    user_id: str = ""
    max_requests_per_second: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadConfig:
    """How files are fetched.

    Attributes:
        prefer: Names of renditions, best first; a provider may know others.
        timeout_s: Longest pause between two bytes.
        max_rate_bytes: Per second, all workers together; None is no limit.
        upgrade_watermarked_for: How long after its archival a marked copy is tried again; zero is
            never.
    """

    workers: int = 8
    prefer: tuple[str, ...] = ("video_raw", "download_url", "no_mark", "url")
    max_attempts: int = 6
    timeout_s: float = 30.0
    max_size_bytes: int = 20 * GIB
    max_rate_bytes: int | None = None
    upgrade_watermarked_for: timedelta = timedelta(days=30)
    on_dimension_mismatch: Literal["keep", "refuse"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """What archiver may connect to."""

    allow_private_addresses: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What `run` does in a night.

    Attributes:
        verify_share: From 0 to 1, of the archive's files.
    """

    verify_share: float = 0.01
    verify_max_bytes: int = 20 * GIB
    give_up_waiting_after: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyConfig:
    """Who hears of a run. A healthcheck URL is a capability, so `repr` hides it."""

    healthcheck_url: str = field(default="", repr=False)
    metrics_file: Path | None = None
    command: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything archiver was told. All paths are absolute."""

    state_dir: Path
    store: StoreConfig
    sources: tuple[SourceConfig, ...]
    download: DownloadConfig = field(default_factory=DownloadConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    run: RunConfig = field(default_factory=RunConfig)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
