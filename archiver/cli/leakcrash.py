"""The command line with a bug in it, for `doctor --leak-test`: its message holds every secret.

`python -m archiver.cli.leakcrash -c CONFIG …`; run by `leaktest` and of no other use.
"""

from __future__ import annotations

import os
import sys
from typing import Never

import click

from archiver.app import open_session
from archiver.bulk import archive
from archiver.cli import main
from archiver.cli.context import Terminal
from archiver.cli.leakscene import FRESH_TASK
from archiver.cli.main import cli
from archiver.cli.options import common_options
from archiver.contracts import Gathered, Peek
from archiver.model import Role, TaskRef
from archiver.probe import MediaProber
from archiver.runner import Limits


def _fail() -> Never:
    words = os.environ["LEAK_WORDS"]
    try:
        raise KeyError(words)
    except KeyError as error:
        raise RuntimeError(f"forced by the leak test: {words}") from error


class _FailingProber(MediaProber):
    def probe(self, gathered: Gathered, *, role: Role, peek: Peek | None = None) -> Never:
        _fail()


@cli.command("crash")
@common_options
def crash() -> int:
    """Fail as a bug would: in a worker at a task, or in the command itself."""
    terminal = Terminal.of(click.get_current_context())
    with (
        terminal.signals(),
        open_session(
            terminal.load(),
            environ=os.environ,
            clock=terminal.clock,
            redactor=terminal.redactor,
            prober=_FailingProber(),
        ) as session,
    ):
        session.open_sources(["luma"])
        if os.environ["LEAK_WHERE"] != "in a task":
            _fail()
        ref = TaskRef(source="luma", task_id=FRESH_TASK)
        return int(archive(session, [ref], workers=1, limits=Limits()).exit_code)


if __name__ == "__main__":
    sys.exit(main(["crash", *sys.argv[1:]]))
