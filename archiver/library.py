"""archiver from a program: the same work as the command line, without printing anything.

```python
from archiver import archive, load_config

report = archive(load_config("archiver.toml"), ["luma:4b3c464e-94f6-4e54-bc21-12f0e6da5791"])
print(report.exit_code, [outcome.path for outcome in report.outcomes])
```
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from archiver import bulk
from archiver.app import Options, open_session, provider_names
from archiver.config import Config
from archiver.config import load_config as load_config_file
from archiver.inputs import Naming
from archiver.model import Outcome, TaskRef
from archiver.policy import ExitCode, Tally
from archiver.runner import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveReport:
    """What came of one call of `archive`.

    Attributes:
        outcomes: Of the tasks that there was work for, in the order in which they ended; those
            that were archived before are only counted, in `tally.already`.
        tally: All numbers; `tally.asked` is the sum of the states.
        exit_code: What the command line would have said.
        error: What ended the work before its end; empty when nothing did.
    """

    outcomes: tuple[Outcome, ...]
    tally: Tally
    exit_code: ExitCode
    error: str = ""


def load_config(
    path: str | os.PathLike[str] | None = None, *, overrides: Iterable[str] = ()
) -> Config:
    """Read a configuration, as the command line does.

    Args:
        path: The file; `None`: where the command line looks for it.
        overrides: `key=value` with dotted keys.

    Raises:
        ConfigError: It is wrong; the message names the key, the file and what is right.
    """
    loaded = load_config_file(
        None if path is None else Path(path),
        overrides=list(overrides),
        environ=os.environ,
        cwd=Path.cwd(),
        home=Path.home(),
        providers=provider_names(),
    )
    return loaded.config


def archive(
    config: Config,
    tasks: Iterable[str | TaskRef],
    *,
    again: bool = False,
    require_unwatermarked: bool = False,
    dry_run: bool = False,
    wait_s: float = 0.0,
    max_duration_s: float | None = None,
    max_bytes: int | None = None,
    environ: Mapping[str, str] | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> ArchiveReport:
    """Archive these tasks; each once, however often it is named.

    Args:
        tasks: `id`, `source:id` or `TaskRef`; any iterable, read as a stream.
        again: Fetch archived tasks anew.
        require_unwatermarked: Archive no marked copy.
        dry_run: Ask for documents and touch nothing else.
        wait_s: Poll unfinished tasks for so long.
        environ: Where keys named by variables are; the process's own by default.
        on_outcome: Called in the calling thread as each task ends; outcomes are then not
            collected, so that their number costs no memory.

    Raises:
        ConfigError, UsageError: The configuration or a task's name is wrong; nothing was done.
        LockedError: Another run is at work; nothing was done.
        StoreError, CatalogError: The store or the catalog cannot be used.
    """
    naming = Naming([source.name for source in config.sources])
    refs = (task if isinstance(task, TaskRef) else naming.ref(task) for task in tasks)
    options = Options(again=again, unwatermarked_only=require_unwatermarked, dry_run=dry_run)
    outcomes: list[Outcome] = []
    take = on_outcome or outcomes.append
    with open_session(
        config, environ=os.environ if environ is None else environ, options=options
    ) as session:
        result = bulk.archive(
            session,
            refs,
            workers=config.download.workers,
            limits=Limits(max_duration_s=max_duration_s, max_bytes=max_bytes),
            wait_s=wait_s,
            again=again,
            on_outcome=lambda outcome, row: take(outcome),
        )
    return ArchiveReport(
        outcomes=tuple(outcomes),
        tally=result.tally,
        exit_code=result.exit_code,
        error=result.failure.message if result.failure else "",
    )
