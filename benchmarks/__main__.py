"""`python -m benchmarks [s3]`: run the benchmarks and print a table of ratios."""

from __future__ import annotations

import sys

from benchmarks import s3

BENCHMARKS = {"s3": s3.main}


def main() -> int:
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark is called {unknown[0]}; there are: {', '.join(BENCHMARKS)}")
        return 2
    for name in names:
        BENCHMARKS[name]()
    return 0


sys.exit(main())
