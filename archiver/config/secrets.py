"""Keys and tokens: where they come from, and how they stay out of every text.

The configuration only names places (a variable, a file, a command). `resolve_secret` goes there,
when a key is needed, and gives a `Secret`, which only `reveal` opens.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol, overload

from archiver.config.kinds import header_fault
from archiver.config.settings import S3Config, SourceConfig
from archiver.config.wording import quoted, variable
from archiver.errors import ConfigError

COMMAND_TIMEOUT_S: Final = 30.0
_MAX_SECRET_BYTES: Final = 64 * 1024

SourceSecret = Literal["api_key", "secret_key", "user_token"]
S3Secret = Literal["access_key_id", "secret_access_key", "session_token"]


class Secret:
    """A text that shows itself to nobody but the caller of `reveal`.

    `repr`, `str`, every format and a pickled copy hold `***` instead. Two are equal when what they
    hide is.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """Return the text itself; for a request's header, and for nothing else."""
        return self.__value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.__value == other.__value

    def __hash__(self) -> int:
        return hash(self.__value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return (Secret, ("***",))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command ended. `repr` shows nothing that it printed."""

    exit_code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)


class RunCommand(Protocol):
    """Runs a program without a shell."""

    def __call__(self, argv: Sequence[str], timeout_s: float) -> CommandResult:
        """Run it to its end.

        Raises:
            TimeoutError: It took longer.
            OSError: It cannot be started.
        """
        ...


def run_command(argv: Sequence[str], timeout_s: float) -> CommandResult:
    """Run a program without a shell and without input; see `RunCommand`."""
    # imported here: it costs, and most configurations have no command
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - the user's own program, as an argument list
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # from None: that exception holds what the command printed so far
        raise TimeoutError from None
    return CommandResult(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def _ignore(note: str) -> None:
    """Take a note that nobody wants."""


@overload
def resolve_secret(
    owner: SourceConfig,
    which: SourceSecret,
    environ: Mapping[str, str],
    *,
    run: RunCommand = ...,
    note: Callable[[str], None] = ...,
) -> Secret | None: ...
@overload
def resolve_secret(
    owner: S3Config,
    which: S3Secret,
    environ: Mapping[str, str],
    *,
    run: RunCommand = ...,
    note: Callable[[str], None] = ...,
) -> Secret | None: ...
def resolve_secret(
    owner: SourceConfig | S3Config,
    which: SourceSecret | S3Secret,
    environ: Mapping[str, str],
    *,
    run: RunCommand = run_command,
    note: Callable[[str], None] = _ignore,
) -> Secret | None:
    """Get a key from where the configuration says that it is.

    Args:
        owner: The source, or the S3 settings.
        which: The key's name without `_env`, `_file`, `_command`.
        environ: The environment.
        run: Runs commands.
        note: Takes a remark for people, e.g. that everybody can read the file.

    Returns:
        None when the configuration names no place.

    Raises:
        ConfigError: The place holds no key, or one that no header can carry. The message names the
            source, the configuration's key and the place, and nothing that was found there.
    """
    where = f'source "{owner.name}"' if isinstance(owner, SourceConfig) else "store.s3"
    name: str = getattr(owner, f"{which}_env")
    file: Path | None = getattr(owner, f"{which}_file")
    command: tuple[str, ...] = getattr(owner, f"{which}_command")
    if name:
        label = f"{where}: {which}_env ${variable(name)}"
        return _checked(_from_variable(name, environ, label), label)
    if file is not None:
        label = f"{where}: {which}_file {quoted(str(file))}"
        return _checked(_from_file(file, label, note), label)
    if command:
        label = f"{where}: {which}_command {quoted(command[0])}"
        return _checked(_from_command(command, label, run), label)
    return None


def resolve_headers(
    source: SourceConfig, environ: Mapping[str, str]
) -> tuple[tuple[str, Secret], ...]:
    """Return a source's extra headers, with `env:NAME` replaced by the variable's value.

    Raises:
        ConfigError: A variable is not set, or holds what no header can carry.
    """
    found = []
    for header, written in source.headers:
        name = written.removeprefix("env:")
        label = f'source "{source.name}": headers.{header}'
        if name != written:
            label += f" ${variable(name)}"
        value = written if name == written else _from_variable(name, environ, label)
        found.append((header, _checked(value, label)))
    return tuple(found)


def _from_variable(name: str, environ: Mapping[str, str], label: str) -> str:
    value = environ.get(name)
    if value is None:
        raise ConfigError(
            f"{label} is not set; export {variable(name)}, or put it into the job's environment"
        )
    return value


def _from_file(file: Path, label: str, note: Callable[[str], None]) -> str:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            data = opened.read(_MAX_SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a file name"
        raise ConfigError(f"{label} cannot be read: {reason}") from None
    if len(data) > _MAX_SECRET_BYTES:
        raise ConfigError(f"{label} is over 64 KiB; that is no key")
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        note(f"{label} can be read by every user of this machine; chmod 600 it")
    return re.sub(r"\r?\n\Z", "", _decoded(data, label))


def _from_command(argv: Sequence[str], label: str, run: RunCommand) -> str:
    try:
        result = run(argv, COMMAND_TIMEOUT_S)
    except TimeoutError:
        raise ConfigError(
            f"{label} gave no answer within {COMMAND_TIMEOUT_S:.0f} s; it must not wait for anybody"
        ) from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a command"
        raise ConfigError(f"{label} cannot be started: {reason}") from None
    if result.exit_code != 0:
        ended = f"ended with exit code {result.exit_code}"
        if result.exit_code < 0:
            ended = f"was ended by signal {-result.exit_code}"
        raise ConfigError(f"{label} {ended}{_last_words(result)}; run it by hand to see more")
    return _decoded(result.stdout, label).partition("\n")[0].removesuffix("\r")


def _last_words(result: CommandResult) -> str:
    """Return the last line of a failed command's complaint, without what it printed as the key."""
    # imported here: only this error needs it
    from archiver.redaction import printable, redact_text

    lines = result.stderr[-4096:].decode(errors="replace").strip().splitlines()
    if not lines:
        return ""
    printed = result.stdout[:_MAX_SECRET_BYTES].decode(errors="replace").split()
    return ", saying " + quoted(printable(redact_text(lines[-1], printed))[:200])


def _decoded(data: bytes, label: str) -> str:
    try:
        # utf-8-sig: editors on other systems begin a file with a mark that is no part of the key
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # from None: that exception holds the bytes
        raise ConfigError(f"{label} is not text (UTF-8)") from None


def _checked(value: str, label: str) -> Secret:
    fault = header_fault(value)
    if fault:
        raise ConfigError(f"{label} {fault}; no request can carry that as a key")
    return Secret(value)
