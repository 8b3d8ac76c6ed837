"""What every test runs under: no network, no user's settings, repeatable random examples.

It also keeps the books of what is left out: suites marked `slow`, `s3` or `tools` are counted when
they are deselected, and a `tools` test whose command is missing is skipped, or fails in CI.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import hypothesis
import pytest

from tests.loopback import LoopbackGuard

SUITES = ("slow", "s3", "tools")
IN_CI = os.environ.get("CI") == "true"
FOREIGN = ("ARCHIVER_", "AWS_")
"""Beginnings of the names of variables that would change what the product does."""

GUARD = pytest.StashKey[LoopbackGuard]()
LEFT_OUT = pytest.StashKey[Counter[str]]()

# Other examples at each run; CI takes three times as many, the same ones each time.
hypothesis.settings.register_profile("dev", deadline=None, max_examples=30)
hypothesis.settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


def pytest_configure(config: pytest.Config) -> None:
    """Put the guard up before any test module is imported."""
    config.stash[LEFT_OUT] = Counter()
    config.stash[GUARD] = LoopbackGuard()
    config.stash[GUARD].install()


@pytest.fixture(autouse=True, scope="session")
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the settings, keys and proxies of whoever runs the tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith(FOREIGN) or name.lower().endswith("_proxy"):
                environment.delenv(name)
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            environment.delenv(name, raising=False)
        environment.setenv("HOME", str(home))
        yield


@pytest.fixture(autouse=True)
def loopback_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that reached for another machine, even if the product caught the refusal."""
    reached = request.config.stash[GUARD].reached
    reached.clear()
    yield
    if reached:
        pytest.fail(f"reached beyond loopback: {'; '.join(reached)}")


# --- what is left out ----------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look for the commands named by `@pytest.mark.tools("strace", …)` before the test runs."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    wanted = [name for mark in item.iter_markers("tools") for name in mark.args]
    missing = [name for name in wanted if not shutil.which(name, path=path)]
    if missing and IN_CI:
        pytest.fail(f"not installed, and CI must have it: {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"not installed here: {', '.join(missing)}")


def pytest_deselected(items: Iterable[pytest.Item]) -> None:
    """Count the suites that this run leaves out."""
    for item in items:
        for suite in SUITES:
            if item.get_closest_marker(suite):
                item.config.stash[LEFT_OUT][suite] += 1
                break


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send a worker's count to the process that writes the report."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take a worker's count; each of them collects, and so leaves out, the same tests."""
    counted = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[LEFT_OUT] |= Counter(counted)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what this run did not try, and how to."""
    counted = config.stash[LEFT_OUT]
    if counted:
        words = ", ".join(f"{counted[suite]} {suite}" for suite in SUITES if counted[suite])
        terminalreporter.write_line(
            f"left out: {words} (python3 dev.py test --all runs them as well)"
        )
