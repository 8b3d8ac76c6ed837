"""`doctor --leak-test`: do secrets stay out of everything that archiver writes and prints?

An embedded gateway with a key and links of its own plays every part that could give them away:
answers and errors that repeat them, links that carry them, tasks that fail. The real command line
is run on it at `-vv`, in processes of their own, with bugs forced at the end. Then all that was
printed, written and sent is searched for the canaries.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import archiver
from archiver.cli.context import Terminal
from archiver.cli.leakscene import BODY_NAME, Scene
from archiver.gateway.records import RequestRecord
from archiver.model import JsonObject
from archiver.policy import ExitCode

TIMEOUT_S = 120.0
_HOUSE = ("ARCHIVER_", "AWS_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Canaries:
    """Secrets that open nothing, made for one test.

    Each is a random word in the shape that it has in life; the random part is what is looked for,
    since no escaping changes it.
    """

    key: str = field(default_factory=lambda: f"sk-leak/{secrets.token_hex(16)}+", repr=False)
    header: str = field(default_factory=lambda: f"hdr-{secrets.token_hex(16)}", repr=False)
    user_token: str = field(default_factory=lambda: f"user-{secrets.token_hex(16)}", repr=False)
    signature: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)
    password: str = field(default_factory=lambda: f"pw-{secrets.token_hex(16)}", repr=False)

    def forms(self) -> dict[str, tuple[bytes, ...]]:
        """Return how each may be found: its random part as it is, and the whole in base64."""
        found = {}
        for name, value in self.named().items():
            core = max(value.replace("/", "-").replace("+", "-").split("-"), key=len)
            forms = {core, core.upper(), *_base64_cores(value), *_base64_cores(core)}
            found[name] = tuple(form.encode() for form in forms)
        return found

    def named(self) -> dict[str, str]:
        """Return them with what people call them."""
        return {
            "the key": self.key,
            "a secret header": self.header,
            "the user's token": self.user_token,
            "a signature": self.signature,
            "a password in a link": self.password,
        }


def _base64_cores(value: str) -> Iterator[str]:
    """Yield what base64 makes of a value in the midst of other bytes, at each of three offsets."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value.encode()).decode()
        yield encoded[4 if before else 0 : len(encoded) // 4 * 4 - 4]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One command: what it was, how it ended, all that it printed."""

    name: str
    code: int
    text: bytes


def leak_test_command(terminal: Terminal) -> int:
    """Put canaries through every path and look for them everywhere."""
    folder = Path(tempfile.mkdtemp(prefix="archiver-leak-test-"))
    try:
        test = LeakTest(folder, terminal.output.line)
        wrong = test.run()
    finally:
        # Only canaries are in it; what a leak looks like is told by name, never shown.
        shutil.rmtree(folder, ignore_errors=True)
    for words in wrong:
        terminal.output.line(f"FAIL leak test: {words}")
        terminal.output.record(
            {"type": "check", "what": "leak test", "ok": False, "message": words}
        )
    code = ExitCode.BUG if wrong else ExitCode.DONE
    verdict = (
        "a secret could get out: this is a bug in archiver, please report it"
        if wrong
        else f"no secret in {test.looked_at} ({test.searched_bytes >> 10} KiB searched)"
    )
    summary: JsonObject = {"command": "doctor", "leaks": len(wrong)}
    terminal.output.finish([verdict], summary, exit_code=code)
    return int(code)


class LeakTest:
    """One run of the test in an empty folder.

    Args:
        say: Prints a line about each command.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._canaries = Canaries()
        self.searched_bytes = 0
        self.looked_at = ""

    def run(self) -> list[str]:
        """Return what is wrong, in words without any secret."""
        scene = Scene(folder=self._folder, secrets=self._canaries)
        with scene.gateway():
            said = [self._command(name, args, scene) for name, args in scene.commands()]
            said += [self._crash(where, scene) for where in ("in a task", "in a command")]
            requests = scene.requests()
        wrong = [*_not_tried(said, scene, requests)]
        forms = self._canaries.forms()
        things = [*self._things(said, requests)]
        for what, data in things:
            self.searched_bytes += len(data)
            wrong += [
                f"{name} stands in {what}"
                for name, found in forms.items()
                if any(form in data for form in found)
            ]
        files = sum(what.startswith("the file") for what, _ in things)
        self.looked_at = (
            f"what {len(said)} commands printed at -vv, {files} files and {len(requests)} requests"
        )
        return wrong

    def _command(self, name: str, args: Sequence[str], scene: Scene) -> Said:
        return self._process(name, ["-m", "archiver", *args], scene.environment())

    def _crash(self, where: str, scene: Scene) -> Said:
        """Force a bug whose message holds every secret."""
        environment = {**scene.environment(), "LEAK_WORDS": scene.words, "LEAK_WHERE": where}
        name = f"a bug {where}"
        return self._process(name, ["-m", "archiver.cli.leakcrash", *scene.options()], environment)

    def _process(self, name: str, args: Sequence[str], environment: Mapping[str, str]) -> Said:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_HOUSE)}
        package = str(Path(archiver.__file__).resolve().parent.parent)
        process = subprocess.run(  # noqa: S603 (this Python, and arguments of our own)
            [sys.executable, *args],
            env={**kept, "PYTHONPATH": package, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        said = Said(name=name, code=process.returncode, text=process.stdout + process.stderr)
        self._say(f"ok   {name}: ended with {said.code}, {len(said.text)} bytes printed")
        return said

    def _things(
        self, said: Sequence[Said], requests: Sequence[RequestRecord]
    ) -> Iterator[tuple[str, bytes]]:
        """Yield all that left the process, with a name for each."""
        for one in said:
            yield f"what `{one.name}` printed", one.text
        for path in sorted(self._folder.rglob("*")):
            # The body that the test itself saved is where the signature came from.
            if path.is_file() and path.name != BODY_NAME:
                yield f"the file {path.relative_to(self._folder)}", path.read_bytes()
            yield f"the name {path.name[:40]!r}", path.name.encode()
        for request in requests:
            if request.origin != "api" or request.path.startswith("/ping"):
                words = [f"{name}: {value}" for name, value in request.headers.items()]
                yield f"a request to {request.path}", "\n".join(words).encode() + request.body


def _not_tried(
    said: Sequence[Said], scene: Scene, requests: Sequence[RequestRecord]
) -> Iterator[str]:
    """Yield what did not happen: a test that tried nothing would find nothing."""
    expected = scene.codes()
    for one in said:
        wanted = expected.get(one.name)
        if wanted is not None and one.code != wanted:
            yield f"`{one.name}` ended with {one.code} instead of {wanted}: not tried"
        if one.name.startswith("a bug") and b"Traceback" not in one.text:
            yield f"{one.name} left no traceback: not tried"
    if not any(request.authorized for request in requests):
        yield "no request carried the key: not tried"
    if not any("Signature=" in request.query for request in requests):
        yield "no request carried a signature: not tried"
    if not any(request.path.startswith("/ping") for request in requests):
        yield "no healthcheck was pinged: not tried"
