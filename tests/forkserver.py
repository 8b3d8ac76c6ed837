"""Runs the command line in forked processes, each with one fault armed (`tests.faultrig`).

It has all of archiver imported, and no thread of its own: a fork costs milliseconds where a new
interpreter costs half a second.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import archiver.cli
import archiver.cli.care
import archiver.cli.context
import archiver.cli.work
import archiver.fetch
import archiver.probe.ffmpeg_decoder
import archiver.probe.pillow_decoder
import archiver.providers.luma
import archiver.stores.local
import archiver.stores.s3
import archiver.transport.client
from archiver.probe.pillow_decoder import PillowDecoder


def child(order: dict[str, Any]) -> None:
    """Become the command line, with standard output and error in files."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(order[name], flags, 0o600), number)
    log = os.open(order["log"], flags, 0o600)
    os.set_inheritable(log, False)
    os.chdir(order["cwd"])
    shim = ctypes.CDLL(None)
    if hasattr(shim, "shim_arm"):
        numbers = [ctypes.c_long] + [ctypes.c_int] * 3
        shim.shim_arm.argtypes = [*numbers, ctypes.c_char_p, ctypes.c_int]
        what = (order["at"], order["action"], order["errno"], order["kinds"])
        shim.shim_arm(*what, order["path"].encode(), log)
    code = archiver.cli.main(order["args"])
    sys.stdout.flush()
    os._exit(code)


def main() -> None:
    """Serve orders from stdin, one JSON object a line; answer with the status of each process."""
    PillowDecoder()
    if "s3" in sys.argv:
        import boto3.session

        boto3.session.Session().client("s3", region_name="us-east-1").close()
    for line in sys.stdin:
        order = json.loads(line)
        began = time.monotonic()
        pid = os.fork()
        if pid == 0:
            Path(order["pid"]).write_text(str(os.getpid()))
            try:
                child(order)
            finally:
                os._exit(99)
        kill_after = order.get("kill_after_s")
        if kill_after is not None:
            time.sleep(max(0.0, kill_after - (time.monotonic() - began)))
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


if __name__ == "__main__":
    main()
