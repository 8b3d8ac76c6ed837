"""Scenarios: tasks that a gateway is set up with, and what must come of each.

The demo prints and compares it, the tests assert it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from archiver.gateway.cases import Case, Expected, MadeFile
from archiver.gateway.democases import luma_cases
from archiver.gateway.gateway import Gateway
from archiver.gateway.midjourneycases import midjourney_cases
from archiver.gateway.picturecases import minimax_cases, picture_cases
from archiver.gateway.songcases import suno_cases, udio_cases
from archiver.gateway.visualcases import (
    flux_cases,
    kling_cases,
    replicate_cases,
    runway_cases,
)

__all__ = ["Case", "Expected", "MadeFile", "Scenario", "all_scenario", "demo_scenario"]

_CASES: tuple[Callable[[datetime], tuple[Case, ...]], ...] = (
    luma_cases,
    suno_cases,
    udio_cases,
    midjourney_cases,
    flux_cases,
    runway_cases,
    kling_cases,
    replicate_cases,
    minimax_cases,
    picture_cases,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Cases that fit one gateway."""

    cases: tuple[Case, ...]

    @property
    def task_ids(self) -> tuple[str, ...]:
        """The ids to ask for, in the order of the cases."""
        return tuple(case.task_id for case in self.cases)

    def case(self, task_id: str) -> Case:
        """Return the case of a task.

        Raises:
            KeyError: There is none.
        """
        for case in self.cases:
            if case.task_id == task_id:
                return case
        raise KeyError(task_id)

    def install(self, gateway: Gateway) -> None:
        """Make a gateway know the tasks, serve the files and play the faults."""
        for case in self.cases:
            for file in case.files:
                gateway.host(
                    file.path,
                    file.data,
                    media_type=file.media_type,
                    signed_only=file.signed_only,
                    task_id=case.task_id,
                )
            for path, faults in case.scripts:
                gateway.script(path, *faults, method="GET")
            gateway.put(case.task)


def demo_scenario(now: datetime) -> Scenario:
    """Make the demo's tasks, with real media made on the spot: about two seconds of work.

    Args:
        now: When the demo is given: tasks were created, and links signed, shortly before.
    """
    return Scenario(cases=luma_cases(now))


def all_scenario(now: datetime) -> Scenario:
    """Make tasks of every provider; `Case.provider` says whose each is.

    Args:
        now: As for `demo_scenario`.
    """
    return Scenario(cases=tuple(case for make in _CASES for case in make(now)))
