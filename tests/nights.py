"""Nights by a clock of the test's own: the gateway, the run and the catalog share it."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from archiver.catalog import Catalog, TaskRow
from archiver.cli.context import Terminal
from archiver.cli.nightly import one_night
from archiver.cli.options import Common
from archiver.cli.output import Output
from archiver.config import Config
from archiver.library import load_config
from archiver.model import State, TaskRef
from archiver.transport.clock import SystemClock
from tests.bench import Bench
from tests.gatewayfixture import KEY_VARIABLE, START


class MovedClock(SystemClock):
    """A clock that moves only when the test, or a sleep, moves it."""

    def __init__(self, start: datetime = START) -> None:
        super().__init__()
        self._moment = start
        self._seconds = 0.0

    def now(self) -> datetime:
        return self._moment

    def monotonic(self) -> float:
        return self._seconds

    def sleep(self, seconds: float) -> None:
        self.check_stop()
        self.advance(seconds)

    def advance(self, seconds: float = 0.0, **more: float) -> None:
        step = timedelta(seconds=seconds, **more)
        self._moment += step
        self._seconds += step.total_seconds()


@dataclass(frozen=True)
class Said:
    """What one night ended with and printed."""

    code: int
    text: str


class Nights:
    """Runs the nightly command in this process, quietly, by a moved clock."""

    def __init__(self, bench: Bench, clock: MovedClock, **common: object) -> None:
        self.bench = bench
        self.clock = clock
        self.common = common

    @property
    def config(self) -> Config:
        return load_config(self.bench.config_path)

    def run(self) -> Said:
        """Run one night; a signal or limit of an earlier one does not last."""
        out = io.StringIO()
        common = Common(quiet=True, **self.common)  # type: ignore[arg-type]
        output = Output(quiet=True, out=out, err=out)
        terminal = Terminal(common=common, output=output, clock=self.clock)
        before = os.environ.get(KEY_VARIABLE)
        os.environ[KEY_VARIABLE] = self.bench.gateway.api_key
        try:
            config = self.config
            code = one_night(terminal, config, [source.name for source in config.sources])
        finally:
            if before is None:
                del os.environ[KEY_VARIABLE]
            else:
                os.environ[KEY_VARIABLE] = before
        return Said(int(code), out.getvalue())

    def row(self, task_id: str) -> TaskRow:
        with Catalog(self.bench.folder / "state" / "catalog.db", read_only=True) as catalog:
            row = catalog.row(TaskRef(source="luma", task_id=task_id))
        assert row is not None, task_id
        return row

    def state(self, task_id: str) -> State:
        return self.row(task_id).state

    def last_report(self) -> dict[str, Any]:
        """Return the newest run's report."""
        folder = self.bench.folder / "state" / "reports"
        newest = max(folder.iterdir(), key=lambda path: int(path.stem.rpartition("-")[2]))
        found = json.loads(newest.read_text())
        assert isinstance(found, dict)
        return found
