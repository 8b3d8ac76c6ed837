"""The table of all keys: where each is in the file, in which field it ends up, of what kind.

Reading, `--set`, the environment, `config show` and the test of `config.example.toml` all go by
this one table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from archiver.config import kinds, places, settings
from archiver.config.kinds import Kind, TomlValue

SOURCE: Final = "source"
NAME_REGEX: Final = r"[A-Za-z0-9._-]{1,100}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key.

    Attributes:
        name: In the file.
        field: In the dataclass.
        required: There is no default.
    """

    name: str
    field: str
    kind: Kind
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the file (`source`: one of the `[[source]]`) and the dataclass it becomes.

    Attributes:
        name: Empty for the top of the file.
        sample: Where the dataclass itself has no default.
    """

    name: str
    holder: type
    keys: tuple[Key, ...]
    sample: Mapping[str, TomlValue] = dataclasses.field(default_factory=dict)

    def dotted(self, key: Key) -> str:
        """Return the key's whole name: `download.timeout`."""
        return f"{self.name}.{key.name}" if self.name else key.name

    def default(self, key: Key) -> TomlValue | None:
        """Return the key's default as the file would hold it; None when it is required."""
        if key.name in self.sample:
            return self.sample[key.name]
        field = next(f for f in dataclasses.fields(self.holder) if f.name == key.field)
        if field.default is dataclasses.MISSING:
            return None
        written: TomlValue = key.kind.write(field.default)
        return written


def _key(name: str, kind: Kind, field: str = "", *, required: bool = False) -> Key:
    return Key(name=name, field=field or name, kind=kind, required=required)


WAYS: Final = ("_env", "_file", "_command")
"""The three ways to say where a secret is."""


def _secret(name: str) -> tuple[Key, ...]:
    return (
        _key(f"{name}_env", kinds.env_name()),
        _key(f"{name}_file", places.optional_path()),
        _key(f"{name}_command", places.argv()),
    )


SOURCE_SECRETS: Final = ("api_key", "secret_key", "user_token")
S3_SECRETS: Final = ("access_key_id", "secret_access_key", "session_token")

_TOP = Table(
    name="",
    holder=settings.Config,
    keys=(_key("state_dir", places.path()),),
    sample={"state_dir": settings.DEFAULT_STATE_DIR},
)
_STORE = Table(
    name="store",
    holder=settings.StoreConfig,
    keys=(
        _key("url", places.store_url(), required=True),
        _key("path", kinds.text()),
        _key("min_free", kinds.size(), "min_free_bytes"),
    ),
)
_S3 = Table(
    name="store.s3",
    holder=settings.S3Config,
    keys=(
        _key("endpoint_url", places.http_url(optional=True)),
        _key("region", kinds.pattern(r"[A-Za-z0-9_-]{0,64}", 'a region; write e.g. "eu-west-1"')),
        _key(
            "storage_class",
            kinds.pattern(r"[A-Z0-9_]{1,64}", 'a storage class; write e.g. "STANDARD_IA"'),
        ),
        _key("sse", kinds.choice("", "AES256", "aws:kms")),
        _key("sse_kms_key_id", kinds.text()),
        *(key for name in S3_SECRETS for key in _secret(name)),
        _key("part_size", kinds.size(5 * 1024**2, 5 * 1024**3), "part_size_bytes"),
    ),
)
_SOURCE = Table(
    name=SOURCE,
    holder=settings.SourceConfig,
    keys=(
        _key(
            "name",
            kinds.pattern(NAME_REGEX, "a name; use up to 100 of A-Z a-z 0-9 . _ -"),
            required=True,
        ),
        _key("provider", kinds.text(), required=True),
        _key("base_url", places.http_url(optional=False), required=True),
        *_secret("api_key"),
        *_secret("secret_key"),
        _key("headers", kinds.headers()),
        _key("inbox", places.patterns()),
        _key("list", kinds.listing()),
        *_secret("user_token"),
        _key("user_id", kinds.text()),
        _key("max_requests_per_second", kinds.rate(10_000)),
    ),
)
_DOWNLOAD = Table(
    name="download",
    holder=settings.DownloadConfig,
    keys=(
        _key("workers", kinds.integer(1, 256)),
        _key("prefer", kinds.words()),
        _key("max_attempts", kinds.integer(1, 100)),
        _key("timeout", kinds.seconds(86_400), "timeout_s"),
        _key("max_size", kinds.size(1), "max_size_bytes"),
        _key("max_rate", kinds.limit(), "max_rate_bytes"),
        _key("upgrade_watermarked_for", kinds.span(zero=True)),
        _key("on_dimension_mismatch", kinds.choice("keep", "refuse")),
    ),
)
_NETWORK = Table(
    name="network",
    holder=settings.NetworkConfig,
    keys=(_key("allow_private_addresses", kinds.boolean()),),
)
_RUN = Table(
    name="run",
    holder=settings.RunConfig,
    keys=(
        _key("verify_share", kinds.share()),
        _key("verify_max_bytes", kinds.size()),
        _key("give_up_waiting_after", kinds.span(zero=False)),
    ),
)
_NOTIFY = Table(
    name="notify",
    holder=settings.NotifyConfig,
    keys=(
        _key("healthcheck_url", places.http_url(optional=True, userinfo=True, query=True)),
        _key("metrics_file", places.optional_path()),
        _key("command", places.argv()),
    ),
)

TABLES: Final = (_TOP, _STORE, _S3, _SOURCE, _DOWNLOAD, _NETWORK, _RUN, _NOTIFY)
"""In the order of the file."""

PLAIN: Final[Mapping[str, Key]] = {
    table.dotted(key): key for table in TABLES if table.name != SOURCE for key in table.keys
}
"""Every key outside `[[source]]` by its whole name."""

OF_SOURCE: Final[Mapping[str, Key]] = {key.name: key for key in _SOURCE.keys}
"""The keys of one `[[source]]`."""


def known_keys() -> dict[str, Any]:
    """Return every key's whole name and its default as TOML; None for the required ones.

    The keys of a source begin with `source.`.
    """
    return {table.dotted(key): table.default(key) for table in TABLES for key in table.keys}
