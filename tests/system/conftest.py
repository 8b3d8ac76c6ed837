"""A gateway and a bench for every system test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from archiver.gateway import Gateway
from tests import s3servers
from tests.bench import Bench
from tests.faultrig import Rig, build, open_rig
from tests.gatewayfixture import gateway
from tests.s3archive import S3Bench
from tests.s3proxy import S3Proxy, s3_proxy

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

__all__ = ["bench", "gateway"]


@pytest.fixture
def bench(tmp_path: Path, gateway: Gateway) -> Bench:
    """An archive of its own, and what puts tasks into the gateway."""
    return Bench(tmp_path, gateway)


@pytest.fixture(scope="module")
def s3_server(request: pytest.FixtureRequest) -> Iterator[s3servers.S3Server]:
    """One real server for all tests of a module: SeaweedFS, unless the test names another."""
    name: str = getattr(request, "param", "seaweedfs-http")
    with contextlib.ExitStack() as stack:
        yield s3servers.started(name, stack)[name]


@pytest.fixture
def proxy(s3_server: s3servers.S3Server, tmp_path: Path) -> Iterator[S3Proxy]:
    """What goes wrong between archiver and that server."""
    (tmp_path / "rig").mkdir()
    with s3_proxy(s3_server, tmp_path / "rig" / "pid") as started:
        yield started


@pytest.fixture
def proxied(tmp_path: Path, gateway: Gateway, proxy: S3Proxy) -> S3Bench:
    """A bench with one worker, whose bucket is behind the proxy."""
    (tmp_path / "bench").mkdir()
    through = replace(proxy.server, endpoint_url=proxy.endpoint_url)
    return S3Bench(tmp_path / "bench", gateway, through, download={"workers": 1})


@pytest.fixture
def s3_rig(proxied: S3Bench, tmp_path: Path) -> Iterator[Rig]:
    """Runs commands on that bench."""
    environment = proxied.server.environment()
    with open_rig(None, tmp_path / "rig", proxied, s3=environment) as started:
        yield started


@pytest.fixture
def client(s3_server: s3servers.S3Server) -> Iterator[S3Client]:
    """Looks into the bucket past the proxy."""
    with contextlib.closing(s3_server.client()) as made:
        yield made


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that counts calls and lets one of them go wrong."""
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def one(tmp_path: Path, gateway: Gateway) -> Bench:
    """A bench with one worker, so that the n-th call is the same each time."""
    (tmp_path / "bench").mkdir()
    return Bench(tmp_path / "bench", gateway, download={"workers": 1})


@pytest.fixture
def rig(one: Bench, library: Path, tmp_path: Path) -> Iterator[Rig]:
    """Runs commands of the bench `one` with faults."""
    (tmp_path / "rig").mkdir()
    with open_rig(library, tmp_path / "rig", one) as started:
        yield started
