"""The command line: from arguments to an exit code, whatever happens in between."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import archiver
from archiver.cli import streams


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        Its exit code; it does not return when the arguments are the process's own.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    streams.steady()
    if sys.platform == "win32":
        sys.stderr.write("archiver runs on Linux and macOS; on Windows use WSL\n")
        return 2
    if arguments == ["--version"]:
        sys.stdout.write(f"archiver {archiver.__version__}\n")
        return streams.end(0)
    code = streams.end(_guarded(arguments))
    if argv is None:
        _leave(code)
    return code


def _guarded(arguments: list[str]) -> int:
    import click

    from archiver.cli.main import cli
    from archiver.errors import ArchiverError, StoppedError

    as_json = "--json" in arguments
    try:
        result = cli.main(args=arguments, prog_name="archiver", standalone_mode=False)
    except click.exceptions.Exit as left:
        return left.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return _failed(error.format_message(), "usage", 2, as_json=as_json, shown=True)
    except (click.Abort, KeyboardInterrupt, StoppedError) as stopped:
        code = 143 if "SIGTERM" in str(stopped) else 130
        return _failed("stopped", "stopped", code, as_json=as_json)
    except SystemExit:
        # Click's own answer to a broken pipe: whoever read the output has seen enough.
        streams.silence(sys.stdout)
        return 0
    except ArchiverError as error:
        from archiver.policy import exit_code_of

        return _failed(error.message, error.code, int(exit_code_of(error)), as_json=as_json)
    except Exception as error:  # noqa: BLE001  (the one place where a bug becomes an exit code)
        return _bug(error, as_json=as_json)
    return result if isinstance(result, int) else 0


def _failed(message: str, word: str, code: int, *, as_json: bool, shown: bool = False) -> int:
    from archiver.redaction import printable, redact_text

    words = "\n".join(printable(line) for line in redact_text(message).splitlines())
    if not shown:
        streams.write(sys.stderr, f"archiver: {words}\n")
    if as_json:
        import json

        error = {"code": word, "message": words}
        summary = {"type": "summary", "error": error, "exit_code": code}
        for told in ({"type": "error", **error}, summary):
            streams.write(sys.stdout, json.dumps(told) + "\n")
    return code


def _bug(error: Exception, *, as_json: bool) -> int:
    import logging

    from archiver.errors import machine_fault
    from archiver.policy import exit_code_of

    machine = machine_fault(error)
    if machine is not None:
        logging.getLogger("archiver").debug("a fault of the machine", exc_info=error)
        return _failed(machine.message, machine.code, int(exit_code_of(machine)), as_json=as_json)
    logging.getLogger("archiver").critical("a bug in archiver", exc_info=error)
    words = f"a bug in archiver ({type(error).__name__}); nothing that is archived was touched"
    return _failed(words, "bug", 1, as_json=as_json)


def _leave(code: int) -> NoReturn:
    """End the process at once: all is closed, and to take a large program apart takes a while.

    A worker that is stuck in the system does not keep it either.
    """
    os._exit(code)
