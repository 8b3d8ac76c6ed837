"""From configuration and credentials to a store."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import archiver
from archiver.config.settings import StoreConfig
from archiver.contracts import Clock
from archiver.errors import ConfigError
from archiver.stores.s3.checks import Checks, checks_for
from archiver.stores.s3.faults import LIBRARY_ERRORS
from archiver.stores.s3.place import Place
from archiver.stores.s3.store import S3Store

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
MAX_ATTEMPTS = 5
MAX_CONNECTIONS = 32

_LOUD = ("boto3", "botocore", "urllib3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Keys that were looked up already; never shown by `repr`."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def connect(
    config: StoreConfig,
    *,
    clock: Clock,
    credentials: Credentials | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    ca_bundle: Path | None = None,
    checks: Checks | None = None,
    new_token: Callable[[], str] = secrets.token_hex,
) -> S3Store:
    """Make a store; nothing is asked of the server yet.

    Args:
        credentials: `None` leaves it to boto3: environment, profile, instance role.
        max_attempts: Of each request, by boto3's `standard` retries: only for time-outs, resets,
            5xx and throttling, with growing pauses.
        ca_bundle: Certificates to trust instead of those that boto3 finds (AWS_CA_BUNDLE).
        checks: What is sent along for the server to check; `None` chooses by the endpoint.
        new_token: Returns a random word that no other upload has.

    Raises:
        ConfigError: boto3 refuses the endpoint, the region or the profile.
    """
    client = _client(config, credentials, max_attempts, ca_bundle)
    place = Place(
        client=client,
        bucket=config.bucket,
        prefix=config.prefix.strip("/"),
        endpoint=_shown(client.meta.endpoint_url),
        checks=checks or checks_for(client.meta.endpoint_url),
        storage_class=config.s3.storage_class,
        sse=config.s3.sse,
        sse_kms_key_id=config.s3.sse_kms_key_id,
    )
    return S3Store(
        place, clock=clock, part_size_bytes=config.s3.part_size_bytes, new_token=new_token
    )


def _shown(endpoint_url: str) -> str:
    parts = urlsplit(endpoint_url)
    # With the slash, what comes after it in a message cannot be taken for a port.
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"


def _client(
    config: StoreConfig,
    credentials: Credentials | None,
    max_attempts: int,
    ca_bundle: Path | None,
) -> S3Client:
    import boto3.session
    from botocore.config import Config

    _quieten()
    try:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=config.s3.endpoint_url or None,
            region_name=_region(config),
            aws_access_key_id=credentials.access_key_id if credentials else None,
            aws_secret_access_key=credentials.secret_access_key if credentials else None,
            aws_session_token=credentials.session_token if credentials else None,
            verify=str(ca_bundle) if ca_bundle else None,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                max_pool_connections=MAX_CONNECTIONS,
                retries={"mode": "standard", "total_max_attempts": max_attempts},
                tcp_keepalive=True,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                user_agent_extra=f"archiver/{archiver.__version__}",
            ),
        )
    except ValueError:
        raise ConfigError(
            "[store.s3] endpoint_url is not a URL that boto3 takes; write e.g."
            ' "https://s3.example.com"'
        ) from None
    except LIBRARY_ERRORS as error:
        raise ConfigError(
            f"boto3 cannot be set up ({type(error).__name__}): check the profile and [store.s3]"
        ) from None


def _region(config: StoreConfig) -> str | None:
    """Return the region to sign for: on AWS boto3's own, elsewhere one that all servers know.

    Source: https://developers.cloudflare.com/r2/api/s3/api/ (R2 takes `us-east-1` for `auto`).
    """
    if config.s3.region not in ("", "auto"):
        return config.s3.region
    return "us-east-1" if config.s3.endpoint_url else None


def _quieten() -> None:
    """Keep boto3 from logging requests: their headers and URLs are signed."""
    for name in _LOUD:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
