"""Memory stays under the contract's 150 MB, whatever pictures eight workers meet at once."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from archiver.gateway import Gateway
from benchmarks.measure import measured
from tests.bench import Bench
from tests.gatewayfixture import cli_env, key_env

pytestmark = pytest.mark.slow

PROMISED_MIB = 150_000_000 / (1 << 20)
TASKS = 16


def encoded(image_format: str, side: int, *, grain: int, **options: Any) -> bytes:
    """Return a square picture; the finer its grain, the larger the file."""
    small = max(1, side // grain)
    noise = Image.frombytes("RGB", (small, small), random.Random(side).randbytes(small * small * 3))
    target = io.BytesIO()
    noise.resize((side, side)).save(target, format=image_format, **options)
    return target.getvalue()


@pytest.mark.parametrize(
    ("image_format", "side", "options"),
    [
        ("WEBP", 1536, {"grain": 8, "method": 0}),
        ("WEBP", 2304, {"grain": 8, "method": 0}),
        ("WEBP", 4096, {"grain": 8, "method": 0}),
        ("AVIF", 1920, {"grain": 8, "speed": 10}),
        ("AVIF", 4096, {"grain": 8, "speed": 10}),
        ("PNG", 1536, {"grain": 1, "compress_level": 0}),
        ("PNG", 2600, {"grain": 1, "compress_level": 0}),
        ("JPEG", 4096, {"grain": 2, "quality": 95, "progressive": True}),
    ],
)
def test_large_pictures(
    tmp_path: Path, gateway: Gateway, image_format: str, side: int, options: dict[str, Any]
) -> None:
    bench = Bench(tmp_path, gateway, download={"workers": 8, "timeout": "60s"})
    data = encoded(image_format, side, **options)
    media_type = f"image/{image_format.lower()}"
    ids = [f"t{number}" for number in range(TASKS)]
    for task_id in ids:
        bench.clean_task(task_id, thumbnail=bench.host(f"/{task_id}/picture", data, media_type))
    words = [sys.executable, "-m", "archiver", "-c", bench.config_path, "-q", "archive", *ids]
    cost = measured(words, tmp_path, cli_env(key_env(gateway), tmp_path))
    for task_id in ids:
        (thumbnail,) = (a for a in bench.manifest(task_id)["assets"] if a["role"] == "thumbnail")
        assert (thumbnail["actual"]["width"], thumbnail["size_bytes"]) == (side, len(data))
    assert cost.peak_mib < PROMISED_MIB


def test_large_answers(tmp_path: Path, gateway: Gateway) -> None:
    """Answers of four million characters: one at a time is at hand, however many are asked for."""
    bench = Bench(tmp_path, gateway, download={"workers": 8, "timeout": "60s"})
    ids = [f"t{number}" for number in range(TASKS)]
    for number, task_id in enumerate(ids):
        bench.clean_task(task_id, prompt=f"{number} " + "words that nobody reads " * 170_000)
    words = [sys.executable, "-m", "archiver", "-c", bench.config_path, "-q", "archive", *ids]
    cost = measured(words, tmp_path, cli_env(key_env(gateway), tmp_path))
    for task_id in ids:
        assert len(str(bench.manifest(task_id)["task"])) > 4_000_000
    assert cost.peak_mib < PROMISED_MIB
