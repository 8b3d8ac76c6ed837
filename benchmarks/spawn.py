"""Run one command and print what it cost, as JSON: the small parent that a fair peak needs.

A child inherits the peak memory of the process that forked it, so each command is started from a
bare interpreter (`python -I -S`) instead of the benchmark's own.
"""

import json
import os
import sys
import time


def main() -> int:
    began_s = time.monotonic()
    pid = os.fork()
    if pid == 0:
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        os.execvp(sys.argv[1], sys.argv[1:])
    _, status, used = os.wait4(pid, 0)
    cost = {
        "wall_s": time.monotonic() - began_s,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20),
    }
    print(json.dumps(cost))
    return os.waitstatus_to_exitcode(status)


sys.exit(main())
