"""From the command line to a session: configuration, logging, signals, output."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TypeVar

import click

from archiver.app import Options, open_session, provider_names
from archiver.cli.options import Common
from archiver.cli.output import Output
from archiver.config import Config, Loaded, load_config, parse_duration, parse_size
from archiver.errors import ConfigError, UsageError
from archiver.policy import ExitCode
from archiver.redaction import Redactor
from archiver.redaction.logs import RedactingFormatter
from archiver.session import Session
from archiver.transport.clock import SystemClock

log = logging.getLogger("archiver")

Number = TypeVar("Number", int, float)


@dataclass(slots=True, kw_only=True)
class Terminal:
    """One command's surroundings.

    Attributes:
        signalled: The signal that told the process to stop, if any.
    """

    common: Common
    output: Output
    redactor: Redactor = field(default_factory=Redactor)
    clock: SystemClock = field(default_factory=SystemClock)
    signalled: int = 0

    @classmethod
    def of(cls, context: click.Context) -> Terminal:
        """Set a command's surroundings up by the common options."""
        common = context.find_root().ensure_object(Common)
        output = Output(as_json=common.json, quiet=common.quiet, progress=not common.no_progress)
        terminal = cls(common=common, output=output)
        set_up_logging(common.verbose, terminal.redactor)
        return terminal

    def load(self) -> Config:
        """Read the configuration.

        Raises:
            ConfigError: It is wrong; the message says where and how.
        """
        return self.load_with_origin().config

    def load_with_origin(self) -> Loaded:
        """Read the configuration, with where it came from."""
        overrides = list(self.common.sets)
        if self.common.workers is not None:
            overrides.append(f"download.workers={self.common.workers}")
        loaded = load_config(
            Path(self.common.config) if self.common.config else None,
            overrides=overrides,
            environ=os.environ,
            cwd=Path.cwd(),
            home=Path.home(),
            providers=provider_names(),
        )
        for note in loaded.notes:
            log.info(note)
        return loaded

    @contextmanager
    def session(self, config: Config, options: Options | None = None) -> Iterator[Session]:
        """Open a session; a signal makes its clock say "stop"."""
        with (
            self.signals(),
            open_session(
                config,
                environ=os.environ,
                options=options,
                clock=self.clock,
                redactor=self.redactor,
                note=log.warning,
            ) as session,
        ):
            self.output.received_bytes = session.received_bytes
            yield session

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Let the first SIGINT or SIGTERM stop the clock, and a second one end the process."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self.signalled:
                os._exit(128 + number)
            self.signalled = number
            self.clock.stop(f"stopped by {signal.Signals(number).name}")

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            # Once stopped, a second signal ends the process with its code until the very end.
            if not self.signalled:
                for number, handler in before.items():
                    signal.signal(number, handler)

    @property
    def signal_code(self) -> ExitCode | None:
        """The exit code of the signal that stopped the process."""
        return ExitCode(128 + self.signalled) if self.signalled else None

    def max_duration_s(self) -> float | None:
        """Return `--max-duration` in seconds."""
        text = self.common.max_duration
        return None if text is None else parse_option("--max-duration", text, parse_duration)

    def max_bytes(self) -> int | None:
        """Return `--max-bytes`."""
        text = self.common.max_bytes
        return None if text is None else parse_option("--max-bytes", text, parse_size)

    def sources(self, config: Config) -> list[str]:
        """Return the sources that the command is about: `--source`, else all."""
        names = [source.name for source in config.sources]
        only = self.common.source
        if only is None:
            return names
        if only not in names:
            raise UsageError(f"no source is called {only!r}; configured: {', '.join(names)}")
        return [only]


def parse_option(option: str, text: str, parse: Callable[[object], Number]) -> Number:
    """Read an option's value; a wrong one is a usage error that names the option."""
    try:
        return parse(text)
    except ConfigError as error:
        raise UsageError(f"{option}: {error.message}") from None


def set_up_logging(verbose: int, redactor: Redactor) -> None:
    """Send what archiver logs to stderr, redacted; libraries speak at -vv only."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    handler = logging.StreamHandler(sys.stderr)
    inner = logging.Formatter("%(levelname)s %(message)s" if verbose < 2 else None)
    if verbose >= 2:
        inner = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(RedactingFormatter(redactor, inner))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if verbose >= 2 else logging.WARNING)
    logging.getLogger("archiver").setLevel(level)
    for noisy in ("botocore", "boto3", "urllib3", "s3transfer", "httpcore", "httpx", "PIL"):
        logging.getLogger(noisy).setLevel(logging.INFO if verbose >= 2 else logging.WARNING)
