"""`config`, `doctor`: is everything there that a run needs."""

from __future__ import annotations

from archiver.app import Options
from archiver.cli.context import Terminal
from archiver.cli.output import short
from archiver.cli.providers import interval_of, timing_notes
from archiver.config import format_size, show
from archiver.errors import (
    ArchiverError,
    PassingError,
    ProviderError,
    TaskNotFoundError,
)
from archiver.model import JsonObject
from archiver.policy import ExitCode, exit_code, exit_code_of
from archiver.session import Session

NO_TASK = "00000000-0000-0000-0000-000000000000"
MOST_CLOCK_ERROR_S = 60.0


def config_check_command(terminal: Terminal) -> int:
    """Validate the configuration; the keys are looked for as well."""
    loaded = terminal.load_with_origin()
    with terminal.session(loaded.config, Options(read_only=True)) as session:
        session.open_sources([source.name for source in loaded.config.sources])
    notes = timing_notes(loaded.config)
    lines = [f"{loaded.path}: no error", *(f"  {note}" for note in (*loaded.notes, *notes))]
    summary: JsonObject = {
        "command": "config check",
        "path": str(loaded.path),
        "notes": [*loaded.notes, *notes],
    }
    terminal.output.finish(lines, summary, exit_code=0)
    return 0


def config_show_command(terminal: Terminal) -> int:
    """Print the merged configuration without secrets."""
    loaded = terminal.load_with_origin()
    text = show(loaded.config)
    terminal.output.line(text.rstrip("\n"))
    terminal.output.finish([], {"command": "config show", "config": text}, exit_code=0)
    return 0


class Doctor:
    """Tries what a run needs, one thing after the other, and says how each went."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.facts: set[ExitCode] = set()

    def say(self, what: str, *, ok: bool, words: str) -> None:
        """Print one result."""
        mark = "ok  " if ok else "FAIL"
        self._terminal.output.line(f"{mark} {what}: {short(words, 1000)}")
        self._terminal.output.record({"type": "check", "what": what, "ok": ok, "message": words})

    def fail(self, what: str, error: ArchiverError) -> None:
        """Print a failure and remember what it means for the exit code."""
        self.facts.add(exit_code_of(error))
        self.say(what, ok=False, words=error.message)

    def store(self, session: Session) -> None:
        """Write, read and delete; compare the identity; look at the space."""
        trials = getattr(session.store, "diagnose", None)
        try:
            session.check_identity()
            if trials is not None:
                for trial in trials():
                    self.say(f"store: {trial.right}", ok=trial.ok, words=trial.message or "works")
            session.store.check()
        except ArchiverError as error:
            self.fail("store", error)
            return
        free = session.store.free_bytes()
        words = f"{session.store.label}: write, read and delete work"
        self.say("store", ok=True, words=words)
        if free is not None:
            self.say("space", ok=True, words=f"{format_size(free)} free")

    def source(self, session: Session, name: str) -> None:
        """Ask for a task that cannot exist: a good key and a good URL say so."""
        what = f"source {name}"
        try:
            pipeline = session.open_sources([name])[name]
            if interval_of(pipeline.provider.name) is None:
                words = "nothing to ask; its answers are handed over with `archiver ingest`"
                self.say(what, ok=True, words=words)
                return
            pipeline.provider.get_task(NO_TASK)
        except TaskNotFoundError:
            self.say(what, ok=True, words=f"{pipeline.parts.api.base_url}: the key is accepted")
        except (ProviderError, PassingError) as error:
            self.fail(what, error)
            return
        except ArchiverError as error:
            self.fail(what, error)
            return
        else:
            self.say(what, ok=True, words=f"{pipeline.parts.api.base_url}: it answers")
        clock = self._terminal.clock
        off_s = (pipeline.parts.api.now() - clock.now()).total_seconds()
        near = abs(off_s) <= MOST_CLOCK_ERROR_S
        words = "agrees with the server's" if near else f"is {-off_s:+.0f} s off the server's"
        self.say(f"clock ({name})", ok=near, words=f"this machine's clock {words}")


def doctor_command(terminal: Terminal) -> int:
    """Try everything that a run needs."""
    config = terminal.load()
    doctor = Doctor(terminal)
    with terminal.session(config, Options(read_only=True)) as session:
        doctor.store(session)
        for name in terminal.sources(config):
            doctor.source(session, name)
    code = exit_code(doctor.facts)
    words = "everything works" if code == 0 else "something does not work; see above"
    terminal.output.finish([words], {"command": "doctor"}, exit_code=code)
    return int(code)
