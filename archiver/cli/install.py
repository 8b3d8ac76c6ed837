"""`install`: the crontab line and the systemd units for a configuration."""

from __future__ import annotations

import hashlib
import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver.cli.context import Terminal, parse_option
from archiver.cli.providers import NIGHTLY, interval_of
from archiver.config import Config, SourceConfig, format_duration, parse_duration
from archiver.errors import StoreError, UsageError
from archiver.model import JsonObject

SERVICE, TIMER = "archiver.service", "archiver.timer"
_STEPS_S = tuple(60 * m for m in (1, 2, 5, 10, 15, 20, 30)) + tuple(
    3600 * h for h in (1, 2, 3, 4, 6, 8, 12, 24)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be run, and how often.

    Attributes:
        argv: With absolute paths.
        every_s: One of the steps that divide an hour or a day.
        minute: Of the hour, so that not everybody's jobs start at once.
    """

    argv: tuple[str, ...]
    config_path: Path
    every_s: int
    minute: int


def install_command(terminal: Terminal, kind: str, *, every: str | None, write: bool) -> int:
    """Print the line or the units; with `write`, install them."""
    loaded = terminal.load_with_origin()
    if loaded.path is None:
        raise UsageError("there is no configuration file to run with; name one with -c FILE")
    config, path = loaded.config, loaded.path.resolve()
    every_s = parse_option("--every", every, parse_duration) if every else _fitting(config)
    job = Job(
        argv=(*_program(), "-c", str(path), "run", "-q"),
        config_path=path,
        every_s=max(step for step in _STEPS_S if step <= max(every_s, 60)),
        minute=hashlib.sha256(str(path).encode()).digest()[0] % 60,
    )
    does_write = write and not terminal.common.dry_run
    put = _install_cron if kind == "cron" else _install_systemd
    texts = put(job, config, write=does_write)
    for name, text in texts.items():
        for line in ([f"# {name}"] if kind == "systemd" else []) + text.rstrip("\n").split("\n"):
            terminal.output.line(line)
    if does_write:
        terminal.output.line(f"# installed: every {format_duration(job.every_s)}")
    summary: JsonObject = {"command": f"install {kind}", "files": {**texts}, "written": does_write}
    terminal.output.finish([], summary, exit_code=0)
    return 0


def _program() -> tuple[str, ...]:
    """Return what starts this archiver, without a PATH."""
    script = Path(sys.executable).with_name("archiver")
    return (str(script),) if script.exists() else (sys.executable, "-m", "archiver")


def _fitting(config: Config) -> float:
    """Return how often to run: as the most pressing source needs it, at least once a day."""
    needed = (interval_of(source.provider) for source in config.sources)
    return min((one for one in needed if one is not None), default=NIGHTLY).total_seconds()


# --- cron -------------------------------------------------------------------------------------


def _install_cron(job: Job, config: Config, *, write: bool) -> dict[str, str]:
    text = crontab_text(job, config)
    if write:
        _write_crontab(job, text)
    return {"crontab": text}


def crontab_text(job: Job, config: Config) -> str:
    """Return the lines of a crontab, between marks by which they are found again."""
    begin, end = _marks(job)
    command = shlex.join(job.argv).replace("%", r"\%")
    notes = [
        f"# source {source.name}: cron does not set ${source.api_key_env}; use api_key_file, or"
        f" write {source.api_key_env}=... above this line"
        for source in config.sources
        if source.api_key_env
    ]
    return "\n".join([begin, *notes, f"{_cron_times(job)} {command}", end, ""])


def _marks(job: Job) -> tuple[str, str]:
    return f"# archiver begin {job.config_path}", f"# archiver end {job.config_path}"


def _cron_times(job: Job) -> str:
    if job.every_s < 3600:
        step = job.every_s // 60
        return f"{job.minute % step}-59/{step} * * * *" if step > 1 else "* * * * *"
    hours = job.every_s // 3600
    if hours >= 24:
        return f"{job.minute} 3 * * *"
    return f"{job.minute} {'*' if hours == 1 else f'*/{hours}'} * * *"


def _write_crontab(job: Job, text: str) -> None:
    crontab = shutil.which("crontab")
    if crontab is None:
        raise UsageError("there is no `crontab` here; print the line and add it yourself")
    listed = subprocess.run(  # noqa: S603 (an absolute path)
        [crontab, "-l"], capture_output=True, text=True, check=False
    )
    kept, inside = [], False
    begin, end = _marks(job)
    for line in listed.stdout.splitlines() if listed.returncode == 0 else []:
        inside = inside or line == begin
        if not inside:
            kept.append(line)
        inside = inside and line != end
    whole = "\n".join([*kept, text.rstrip("\n"), ""])
    _run([crontab, "-"], whole)


def _run(argv: Sequence[str], text: str | None = None) -> None:
    done = subprocess.run(  # noqa: S603 (an absolute path)
        list(argv), input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = done.stderr.strip() or f"code {done.returncode}"
        raise UsageError(f"{Path(argv[0]).name} does not accept it: {words}")


# --- systemd ----------------------------------------------------------------------------------


def _install_systemd(job: Job, config: Config, *, write: bool) -> dict[str, str]:
    is_root = os.geteuid() == 0
    units = {
        SERVICE: service_text(job, config, user=_user(config) if is_root else None),
        TIMER: timer_text(job),
    }
    if write:
        _write_units(units, config, is_root=is_root)
    return units


def _user(config: Config) -> str:
    """Return who is to run it: the owner of the state, else whoever asked."""
    if config.state_dir.exists():
        return pwd.getpwuid(config.state_dir.stat().st_uid).pw_name
    return os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name


def service_text(job: Job, config: Config, *, user: str | None) -> str:
    """Return the service: it may write state and archive, and do nothing else to the machine.

    Args:
        user: Who runs it; `None` for a unit of a user's own manager.
    """
    argv = list(job.argv)
    credentials = []
    for source in config.sources:
        for key, file in _key_files(source):
            name = f"{source.name}.{key}"
            credentials.append(f"LoadCredential={_escape(f'{name}:{file}')}")
            argv += ["--set", f"source.{source.name}.{key}_file=%d/{name}"]
    command = " ".join(_quote(word, keeps="%d/" in word) for word in argv)
    writable = " ".join(_quote(str(path)) for path in _writable(config))
    lines = [
        "[Unit]",
        "Description=archiver: keep what was generated",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"ExecStart={command}",
        *([f"User={user}"] if user else []),
        *credentials,
        f"EnvironmentFile=-{_escape(str(job.config_path.with_name('archiver.env')))}",
        "# Another run at work is no failure.",
        "SuccessExitStatus=11",
        "TimeoutStartSec=infinity",
        "TimeoutStopSec=30",
        "Nice=10",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        f"ReadWritePaths={writable}",
        "PrivateTmp=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictNamespaces=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        "SystemCallArchitectures=native",
    ]
    if user:
        lines += [
            "PrivateDevices=yes",
            "ProtectHostname=yes",
            "ProtectClock=yes",
            "ProtectKernelTunables=yes",
            "ProtectKernelModules=yes",
            "ProtectKernelLogs=yes",
            "ProtectControlGroups=yes",
            "CapabilityBoundingSet=",
        ]
    return "\n".join([*lines, ""])


def timer_text(job: Job) -> str:
    """Return the timer: what was missed while the machine was off is made up for."""
    if job.every_s >= NIGHTLY.total_seconds():
        when, delay_s = f"*-*-* 03:{job.minute:02}:00", 900
    elif job.every_s >= 3600:
        hours = job.every_s // 3600
        when, delay_s = f"*-*-* 00/{hours}:{job.minute:02}:00", 120
    else:
        minutes = job.every_s // 60
        when, delay_s = f"*-*-* *:{job.minute % minutes:02}/{minutes:02}:00", job.every_s // 10
    return "\n".join(
        [
            "[Unit]",
            "Description=archiver: when to run",
            "",
            "[Timer]",
            f"OnCalendar={when}",
            "Persistent=true",
            f"RandomizedDelaySec={delay_s}",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def _key_files(source: SourceConfig) -> list[tuple[str, Path]]:
    files = {
        "api_key": source.api_key_file,
        "secret_key": source.secret_key_file,
        "user_token": source.user_token_file,
    }
    return [(key, file) for key, file in files.items() if file is not None]


def _writable(config: Config) -> list[Path]:
    paths = [config.state_dir]
    if not config.store.is_s3:
        paths.append(config.store.root)
    if config.notify.metrics_file is not None:
        paths.append(config.notify.metrics_file.parent)
    return list(dict.fromkeys(paths))


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _quote(word: str, *, keeps: bool = False) -> str:
    r"""Return a word of a unit file. Source: systemd.service(5), "Command lines"."""
    text = word if keeps else _escape(word)
    if text and all(c.isalnum() or c in "/._-=:@%+," for c in text):
        return text
    inner = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{inner}"'


def _write_units(units: dict[str, str], config: Config, *, is_root: bool) -> None:
    home = Path("/etc/systemd/system")
    if not is_root:
        base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        home = Path(base) / "systemd" / "user"
    try:
        home.mkdir(parents=True, exist_ok=True)
        # What a service may write must be there before it starts.
        for path in _writable(config):
            path.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            (home / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{home}: the units cannot be written: {error.strerror}", code="not_written"
        ) from error
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        raise UsageError(f"the units are in {home}, but there is no `systemctl` to enable them")
    manager = [systemctl] if is_root else [systemctl, "--user"]
    _run([*manager, "daemon-reload"])
    _run([*manager, "enable", "--now", TIMER])
