"""`install`: what it prints must run as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.bench import Bench
from tests.gatewayfixture import ROOT


@pytest.fixture
def with_key_file(bench: Bench) -> Path:
    """A configuration whose key is in a file, as a service needs it; its folder has a space."""
    key = bench.folder / "my key"
    key.write_text(bench.gateway.api_key)
    key.chmod(0o600)
    bench.configure(source={"api_key_file": str(key), "inbox": ["inbox/*.txt"]})
    text = bench.config_path.read_text()
    bench.config_path.write_text(re.sub(r"api_key_env = .*\n", "", text))
    (bench.folder / "inbox").mkdir()
    (bench.folder / "inbox" / "ids.txt").write_text("t\n")
    return key


def test_the_crontab_line_runs_without_an_environment(bench: Bench, with_key_file: Path) -> None:
    """Under `env -i`, as cron has next to nothing, it archives, and says nothing."""
    bench.clean_task("t")
    printed = bench.cli("install", "cron", "--every", "1d")
    assert printed.code == 0, printed.err
    (line,) = [one for one in printed.out.splitlines() if not one.startswith("#")]
    fields = line.split(maxsplit=5)
    assert re.fullmatch(r"\d+ 3 \* \* \*", " ".join(fields[:5]))
    command = fields[5].replace(r"\%", "%")
    assert all(Path(word).is_absolute() for word in shlex.split(command)[:1])
    # PYTHONPATH stands for an installed package: the tests run from a checkout.
    done = subprocess.run(
        ["env", "-i", f"PYTHONPATH={ROOT}", "/bin/sh", "-c", command],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert bench.video("t")["path"] == "video.mp4"


@pytest.mark.parametrize(
    ("every", "times"),
    [
        ("5m", r"\d-59/5 \* \* \* \*"),
        ("45m", r"\d+-59/30 \* \* \* \*"),
        ("1h", r"\d+ \* \* \* \*"),
        ("7h", r"\d+ \*/6 \* \* \*"),
    ],
)
def test_any_interval_becomes_one_that_cron_knows(bench: Bench, every: str, times: str) -> None:
    """Never longer than what was asked for."""
    printed = bench.cli("install", "cron", "--every", every)
    line = printed.out.splitlines()[-2]
    assert re.match(times + " /", line), line


@pytest.mark.parametrize(
    ("provider", "times"), [("luma", r"\d+ 3 \* \* \*"), ("flux", r"\d-59/5 \* \* \* \*")]
)
def test_the_usual_interval_is_what_providers_says(bench: Bench, provider: str, times: str) -> None:
    """Links that can be had again need no haste, others as much as they live."""
    bench.configure(source={"name": provider, "provider": provider})
    assert re.match(times + " /", bench.cli("install", "cron").out.splitlines()[-2])


def test_a_key_from_the_environment_is_pointed_out(bench: Bench) -> None:
    """Cron does not know the user's variables."""
    printed = bench.cli("install", "cron")
    assert "cron does not set $LUMA_API_KEY" in printed.out


@pytest.mark.tools("systemd-analyze")
def test_systemd_accepts_the_units(bench: Bench, with_key_file: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say about service and timer."""
    printed = bench.cli("install", "systemd")
    assert printed.code == 0, printed.err
    units = re.split(r"^# (archiver\.(?:service|timer))\n", printed.out, flags=re.MULTILINE)[1:]
    folder = tmp_path / "units"
    folder.mkdir()
    for name, text in zip(units[::2], units[1::2], strict=True):
        (folder / name).write_text(text)
    service = (folder / "archiver.service").read_text()
    assert "NoNewPrivileges=yes" in service
    assert "LoadCredential=luma.api_key:" in service
    assert "Persistent=true" in (folder / "archiver.timer").read_text()
    names = [str(folder / name) for name in ("archiver.service", "archiver.timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "archiver" in line]
    assert not ours, done.stderr
    assert done.returncode == 0, done.stderr


def test_write_puts_the_line_into_the_crontab_once(bench: Bench, tmp_path: Path) -> None:
    """Other lines stay, and writing twice is writing once."""
    table = tmp_path / "table"
    table.write_text("5 5 * * * /bin/true\n")
    tool = tmp_path / "bin" / "crontab"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nif [ "$1" = -l ]; then cat {table}; else cat > {table}; fi\n')
    tool.chmod(0o755)
    env = {"PATH": f"{tool.parent}:/usr/bin:/bin"}
    for _ in range(2):
        done = bench.cli("install", "cron", "--write", env=env)
        assert done.code == 0, done.err
    lines = table.read_text().splitlines()
    assert lines[0] == "5 5 * * * /bin/true"
    assert sum(" run -q" in line for line in lines) == 1
