"""What a case of a scenario is: a task with its files and faults, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from archiver.gateway.faults import Fault
from archiver.gateway.tasks import GatewayTask
from archiver.model import Dimensions, Role, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What must come of a case.

    Attributes:
        state: Of the task, after one run.
        rendition: Which form of the main output is archived; `None`: none is.
        watermarked: Whether that form bears the mark.
        dimensions: The main output's verdict.
        missing: Which previews could not be had.
        refused: Which renditions must be told as refused; others may be as well.
    """

    state: State = State.ARCHIVED
    rendition: str | None = None
    watermarked: bool = False
    dimensions: Dimensions | None = None
    missing: tuple[Role, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFile:
    """A file for the assets origin."""

    path: str
    data: bytes = field(repr=False)
    media_type: str
    signed_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One task of the demo.

    Attributes:
        title: What it is, in one line.
        why: What archiver must do about it, in one line.
        scripts: Path of a file, and the faults that its first requests meet.
        posted: Nobody can be asked for it: its answer is handed over (`archiver ingest`).
    """

    title: str
    why: str
    task: GatewayTask
    expected: Expected
    files: tuple[MadeFile, ...] = ()
    scripts: tuple[tuple[str, tuple[Fault, ...]], ...] = ()
    posted: bool = False

    @property
    def task_id(self) -> str:
        """The id to ask for."""
        return self.task.task_id

    @property
    def provider(self) -> str:
        """Whose task it is, as in the configuration: `luma`."""
        return self.task.platform
