"""What is good enough, when to try again, and what an exit code says: decisions without effects.

Every function is pure: what it needs to know, the time included, is passed in.
"""

from __future__ import annotations

from archiver.policy.exits import ExitCode, exit_code, exit_code_of
from archiver.policy.media import (
    Marked,
    compare_dimensions,
    compare_duration,
    is_better,
    may_replace,
    rank,
)
from archiver.policy.repeats import (
    FRESH_FOR,
    LONGEST_PAUSE,
    SECOND_LOOK_AFTER,
    SHORTEST_PAUSE,
    backoff,
    is_fresh,
    next_poll,
    second_look,
)
from archiver.policy.tally import CRASHES_DECODER, OLD_AFTER, WATERMARKED_ONLY, Tally, outcome_exit

__all__ = [
    "FRESH_FOR",
    "LONGEST_PAUSE",
    "OLD_AFTER",
    "SECOND_LOOK_AFTER",
    "SHORTEST_PAUSE",
    "CRASHES_DECODER",
    "WATERMARKED_ONLY",
    "ExitCode",
    "Marked",
    "Tally",
    "backoff",
    "compare_dimensions",
    "compare_duration",
    "exit_code",
    "exit_code_of",
    "is_better",
    "is_fresh",
    "may_replace",
    "next_poll",
    "outcome_exit",
    "rank",
    "second_look",
]
