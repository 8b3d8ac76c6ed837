"""Fixtures of the store suites; servers and clients are made once, when first asked for."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests import s3servers
from tests.contract.storekits import BUCKET, EXTRA_KINDS, S3_KINDS, Kit, Line, LocalKit, S3Kit
from tests.s3servers import S3Server

PREFIXES = itertools.count()


@pytest.fixture(scope="session")
def line_of() -> Iterator[Callable[[str], Line]]:
    servers: dict[str, S3Server] = {}
    lines: dict[str, Line] = {}
    with contextlib.ExitStack() as stack:

        def find(kind: str) -> Line:
            name = kind.replace("-aws", "-https")
            if name not in servers:
                started = s3servers.started(name, stack)
                next(iter(started.values())).make_bucket(BUCKET)
                servers.update(started)
            if kind not in lines:
                lines[kind] = stack.enter_context(
                    contextlib.closing(Line(server=servers[name], aws_checks=name != kind))
                )
            return lines[kind]

        yield find


@pytest.fixture
def s3kit_of(line_of: Callable[[str], Line]) -> Callable[[str], S3Kit]:
    """Return what makes a store with a prefix of its own on the server of this kind."""
    return lambda kind: S3Kit(line=line_of(kind), prefix=f"p{os.getpid()}-{next(PREFIXES)}/x")


def marked(kind: str) -> ParameterSet:
    """Return a kind of store with the markers that choose it."""
    own = [pytest.mark.s3, pytest.mark.juicefs] if kind in EXTRA_KINDS else [pytest.mark.s3]
    return pytest.param(kind, marks=own)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave JuiceFS out unless it is asked for by name: it is large and adds little in CI."""
    if "juicefs" in str(config.getoption("markexpr")):
        return
    extra = [item for item in items if item.get_closest_marker("juicefs")]
    config.hook.pytest_deselected(items=extra)
    items[:] = [item for item in items if not item.get_closest_marker("juicefs")]


@pytest.fixture(params=["local", *map(marked, [*S3_KINDS, *EXTRA_KINDS])])
def kit(request: pytest.FixtureRequest, tmp_path: Path, s3kit_of: Callable[[str], S3Kit]) -> Kit:
    """Every store."""
    if request.param == "local":
        return LocalKit(root=tmp_path / "archive")
    return s3kit_of(request.param)


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.s3) for kind in S3_KINDS])
def s3kit(request: pytest.FixtureRequest, s3kit_of: Callable[[str], S3Kit]) -> S3Kit:
    """Every server, both ways in."""
    return s3kit_of(request.param)


@pytest.fixture(
    params=[pytest.param(k, marks=pytest.mark.s3) for k in S3_KINDS if k.endswith("-http")]
)
def one_s3kit(request: pytest.FixtureRequest, s3kit_of: Callable[[str], S3Kit]) -> S3Kit:
    """Each server once: for what does not depend on the connection."""
    return s3kit_of(request.param)
