"""What a run leaves out is said, and in CI nothing that is missing passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAMPLE = """
import pytest

def test_fast():
    pass

@pytest.mark.slow
def test_slow():
    pass

@pytest.mark.tools("sh")
def test_with_a_tool():
    pass

@pytest.mark.tools("sh", "no-such-command")
def test_without_its_tool():
    pass
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with this project's test set-up and four tests."""
    (tmp_path / "tests").mkdir()
    for name in ("pyproject.toml", "tests/conftest.py", "tests/loopback.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests" / "test_sample.py").write_text(SAMPLE)
    return tmp_path


def run(checkout: Path, *arguments: str, ci: str) -> subprocess.CompletedProcess[str]:
    """Run pytest there."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=checkout,
        env={**clean, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_left_out_is_said(checkout: Path) -> None:
    """The report names each suite that was not run, with its size, before the closing line."""
    done = run(checkout, "-n", "2", "-m", "not (slow or s3 or tools)", ci="")
    *_, said, closing = done.stdout.splitlines()
    assert done.returncode == 0
    assert said.startswith("left out: 1 slow, 2 tools")
    assert closing.startswith("1 passed")


def test_a_missing_tool_is_a_skip_with_its_name(checkout: Path) -> None:
    """On a person's machine a suite whose command is missing is listed, not failed."""
    done = run(checkout, ci="")
    assert done.returncode == 0
    assert "not installed here: no-such-command" in done.stdout
    assert "3 passed, 1 skipped" in done.stdout


def test_a_missing_tool_fails_ci(checkout: Path) -> None:
    """In CI the same is a failure."""
    done = run(checkout, ci="true")
    assert done.returncode == 1
    assert "CI must have it: no-such-command" in done.stdout
