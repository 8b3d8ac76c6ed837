"""Keys come from the places that the configuration names, and show themselves to nobody."""

from __future__ import annotations

import copy
import os
import pickle
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from archiver.config import (
    CommandResult,
    S3Config,
    Secret,
    SourceConfig,
    resolve_headers,
    resolve_secret,
    run_command,
)
from archiver.errors import ConfigError

KEY = "sk-9f8e7d6c5b4a-very-secret"
PLAIN = SourceConfig(name="luma", provider="luma", base_url="https://api.example.com")


@dataclass(slots=True)
class FakeCommand:
    """Answers as told, and remembers what was asked."""

    result: CommandResult | Exception
    asked: list[tuple[tuple[str, ...], float]] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], timeout_s: float) -> CommandResult:
        self.asked.append((tuple(argv), timeout_s))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def printing(stdout: bytes, exit_code: int = 0, stderr: bytes = b"") -> FakeCommand:
    return FakeCommand(CommandResult(exit_code=exit_code, stdout=stdout, stderr=stderr))


def refusal(source: SourceConfig, environ: dict[str, str] | None = None, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve_secret(source, "api_key", environ or {}, **options)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert KEY not in f"{chain!r}"
        chain = chain.__cause__
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert caught.value.message.isprintable()
    return caught.value.message


def test_a_secret_shows_itself_to_nobody() -> None:
    """`repr`, `str`, formats, containers and pickles hold asterisks; `reveal` the text."""
    secret = Secret(KEY)
    texts = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r:.5}"]
    texts += ["%s" % secret, "%r" % (secret,), "{0!s}".format(secret)]  # noqa: UP030, UP031, UP032
    texts += [repr([secret]), repr({"key": secret}), repr(replace(PLAIN, user_id="x"))]
    assert all(KEY[:4] not in text for text in texts)
    assert "***" in repr(secret)
    assert str(secret) == "***"
    assert secret.reveal() == KEY
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        dumped = pickle.dumps(secret, protocol)
        assert KEY.encode() not in dumped
        assert pickle.loads(dumped).reveal() == "***"
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        vars(secret)


def test_secrets_are_compared_by_what_they_hide() -> None:
    """Equal texts are equal secrets; a copy keeps the text."""
    assert Secret(KEY) == Secret(KEY)
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY)}) == 1
    assert copy.copy(Secret(KEY)).reveal() == KEY
    assert copy.deepcopy([Secret(KEY)])[0].reveal() == KEY


def test_no_place_is_no_secret() -> None:
    """A source without a key has none."""
    assert resolve_secret(PLAIN, "api_key", {}) is None
    assert resolve_secret(S3Config(), "access_key_id", {}) is None


def test_a_variable_holds_the_key() -> None:
    """For every secret of a source and of S3, its own `_env` is read."""
    source = replace(PLAIN, api_key_env="A", secret_key_env="B", user_token_env="C")
    environ = {"A": "1", "B": "2", "C": "3", "D": "4", "E": "5", "F": "6"}
    s3 = S3Config(access_key_id_env="D", secret_access_key_env="E", session_token_env="F")
    found = [
        resolve_secret(source, "api_key", environ),
        resolve_secret(source, "secret_key", environ),
        resolve_secret(source, "user_token", environ),
        resolve_secret(s3, "access_key_id", environ),
        resolve_secret(s3, "secret_access_key", environ),
        resolve_secret(s3, "session_token", environ),
    ]
    assert [secret.reveal() for secret in found if secret] == list("123456")


def test_a_missing_variable_is_named() -> None:
    """The message names the source, the key of the configuration and the variable."""
    assert refusal(replace(PLAIN, api_key_env="LUMA_API_KEY")) == (
        'source "luma": api_key_env $LUMA_API_KEY is not set; '
        "export LUMA_API_KEY, or put it into the job's environment"
    )
    with pytest.raises(ConfigError, match=r"^store\.s3: access_key_id_env \$A is not set"):
        resolve_secret(S3Config(access_key_id_env="A"), "access_key_id", {})


def test_a_key_in_place_of_a_name_is_not_repeated() -> None:
    """A key that happens to look like a variable's name (Replicate's do) is masked."""
    key = "r8_Abcdefghijklmnop0123456789"
    message = refusal(replace(PLAIN, api_key_env=key))
    assert key not in message
    assert "$*** is not set" in message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "is empty; no request can carry that as a key"),
        (f"{KEY}\n", "holds a line break or another control character"),
        (f"{KEY}\r\nX: y", "holds a line break or another control character"),
        (f"{KEY}\x00", "holds a line break or another control character"),
        (f"{KEY}\x7f", "holds a line break or another control character"),
        (f" {KEY}", "begins or ends with a space"),
        (f"{KEY}\u2026", "holds a character that no header can carry (not Latin-1)"),
        (f"{KEY}\udc80", "holds a character that no header can carry (not Latin-1)"),
    ],
)
def test_a_key_that_breaks_headers_is_refused(value: str, message: str, tmp_path: Path) -> None:
    """From wherever it comes, it is refused without being printed."""
    source = replace(PLAIN, api_key_env="A")
    assert refusal(source, {"A": value}).startswith(f'source "luma": api_key_env $A {message}')
    file = tmp_path / "key"
    file.write_bytes(value.encode("utf-8", "replace") + b"\n")
    file.chmod(0o600)
    if "\udc80" not in value:
        assert message in refusal(replace(PLAIN, api_key_file=file))
    first = value.split("\n")[0]
    if first not in (KEY, f"{KEY}\r") and "\udc80" not in value:
        command = printing(first.encode() + b"\n")
        assert message in refusal(replace(PLAIN, api_key_command=("x",)), run=command)


def test_latin_1_is_kept() -> None:
    """A key with an umlaut can travel in a header."""
    secret = resolve_secret(replace(PLAIN, api_key_env="A"), "api_key", {"A": "schlüssel"})
    assert secret is not None
    assert secret.reveal() == "schlüssel"


@pytest.mark.parametrize("data", [KEY, f"{KEY}\n", f"{KEY}\r\n", f"\ufeff{KEY}\n"])
def test_a_file_holds_the_key(tmp_path: Path, data: str) -> None:
    """One line end at the end, and an editor's mark at the beginning, are no part of it."""
    file = tmp_path / "key"
    file.write_bytes(data.encode())
    file.chmod(0o600)
    notes: list[str] = []
    secret = resolve_secret(replace(PLAIN, api_key_file=file), "api_key", {}, note=notes.append)
    assert secret is not None
    assert secret.reveal() == KEY
    assert notes == []


def test_a_file_for_everybody_is_noted(tmp_path: Path) -> None:
    """It is used, and the note says what to do."""
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    notes: list[str] = []
    source = replace(PLAIN, api_key_file=file)
    assert resolve_secret(source, "api_key", {}, note=notes.append) == Secret(KEY)
    assert notes == [
        f'source "luma": api_key_file "{file}" can be read by every user of this machine; '
        "chmod 600 it"
    ]
    assert resolve_secret(source, "api_key", {}) == Secret(KEY)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """Missing, a folder, empty, no text, endless: the message names the file and the reason."""
    folder = tmp_path / "folder"
    folder.mkdir()
    assert refusal(replace(PLAIN, api_key_file=tmp_path / "gone")) == (
        f'source "luma": api_key_file "{tmp_path}/gone" cannot be read: No such file or directory'
    )
    assert "cannot be read: Is a directory" in refusal(replace(PLAIN, api_key_file=folder))
    assert "not a file name" in refusal(replace(PLAIN, api_key_file=Path("/a\0b")))
    assert "is over 64 KiB" in refusal(replace(PLAIN, api_key_file=Path("/dev/zero")))
    assert "is empty" in refusal(replace(PLAIN, api_key_file=Path("/dev/null")))
    binary = tmp_path / "binary"
    binary.write_bytes(KEY.encode() + b"\xff")
    assert "is not text (UTF-8)" in refusal(replace(PLAIN, api_key_file=binary))


def test_a_command_prints_the_key() -> None:
    """Its first line is the key; it is run as an argument list with a time limit."""
    command = printing(f"{KEY}\nuser: ann\n".encode(), stderr=b"noise")
    source = replace(PLAIN, api_key_command=("pass", "show", "a b;c"))
    assert resolve_secret(source, "api_key", {}, run=command) == Secret(KEY)
    assert command.asked == [(("pass", "show", "a b;c"), 30.0)]


def test_failing_commands_are_named() -> None:
    """The message holds the exit code and the last complaint, never what was printed."""
    source = replace(PLAIN, api_key_command=("/usr/bin/pass", KEY))
    start = 'source "luma": api_key_command "/usr/bin/pass"'
    assert refusal(source, run=printing(b"", 2, b"first\ngpg: no secret key\n")) == (
        f'{start} ended with exit code 2, saying "gpg: no secret key"; run it by hand to see more'
    )
    leaky = printing(KEY.encode(), 1, f"token was {KEY} \x1b[31m https://u:p@h/?k={KEY}".encode())
    message = refusal(source, run=leaky)
    assert "token was ***" in message
    assert "u:p" not in message
    assert refusal(source, run=printing(KEY.encode(), -9)) == (
        f"{start} was ended by signal 9; run it by hand to see more"
    )
    assert refusal(source, run=FakeCommand(TimeoutError())) == (
        f"{start} gave no answer within 30 s; it must not wait for anybody"
    )
    missing = FakeCommand(FileNotFoundError(2, "No such file or directory"))
    assert refusal(source, run=missing) == f"{start} cannot be started: No such file or directory"
    assert refusal(source, run=printing(b"")).startswith(f"{start} is empty")
    assert refusal(source, run=printing(b"\xff\n")) == f"{start} is not text (UTF-8)"


def test_real_commands_run_without_a_shell() -> None:
    """Arguments go through as they are, input is closed, and a slow command is ended."""
    code = "import sys; print(sys.argv[1]); sys.stderr.write('e'); sys.exit(len(sys.stdin.read()))"
    result = run_command((sys.executable, "-c", code, "$HOME;`x`"), 30)
    assert (result.exit_code, result.stdout, result.stderr) == (0, b"$HOME;`x`\n", b"e")
    assert "HOME" not in repr(result)
    began = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        run_command((sys.executable, "-c", f"import time; print('{KEY}'); time.sleep(60)"), 0.5)
    assert time.monotonic() - began < 20
    assert caught.value.__suppress_context__
    with pytest.raises(OSError, match="No such file"):
        run_command(("/nowhere/at/all",), 1)


def test_a_real_command_gives_the_key() -> None:
    """The default runner is the one that runs programs."""
    source = replace(PLAIN, api_key_command=(sys.executable, "-c", f"print('{KEY}')"))
    assert resolve_secret(source, "api_key", dict(os.environ)) == Secret(KEY)


def test_headers_are_filled_from_the_environment() -> None:
    """`env:NAME` becomes the variable's value; the rest stays as written."""
    source = replace(PLAIN, headers=(("X-Team", "films"), ("X-Key", "env:KEY")))
    headers = resolve_headers(source, {"KEY": KEY})
    assert [(name, value.reveal()) for name, value in headers] == [
        ("X-Team", "films"),
        ("X-Key", KEY),
    ]
    assert KEY not in repr(headers)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, 'source "luma": headers.X-Key $KEY is not set; export KEY, or put it into'),
        ({"KEY": f"{KEY}\nX: y"}, 'source "luma": headers.X-Key $KEY holds a line break'),
    ],
)
def test_wrong_headers_are_named(environ: dict[str, str], message: str) -> None:
    """The message names the header and the variable, never the value."""
    source = replace(PLAIN, headers=(("X-Key", "env:KEY"),))
    with pytest.raises(ConfigError) as caught:
        resolve_headers(source, environ)
    assert caught.value.message.startswith(message)
    assert KEY not in caught.value.message
