"""A gateway and a bench for every system test."""

from __future__ import annotations

from pathlib import Path

import pytest

from archiver.gateway import Gateway
from tests.bench import Bench
from tests.gatewayfixture import gateway

__all__ = ["bench", "gateway"]


@pytest.fixture
def bench(tmp_path: Path, gateway: Gateway) -> Bench:
    """An archive of its own, and what puts tasks into the gateway."""
    return Bench(tmp_path, gateway)
