"""Archive what you generated: tasks of video, image and music APIs, whole and verified.

The names below are the public API for programs; see `archiver.library`. They are loaded at first
use, so that the command line starts quickly.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archiver.config import Config as Config
    from archiver.errors import ArchiverError as ArchiverError
    from archiver.errors import ConfigError as ConfigError
    from archiver.errors import LockedError as LockedError
    from archiver.errors import StoreError as StoreError
    from archiver.library import ArchiveReport as ArchiveReport
    from archiver.library import archive as archive
    from archiver.library import load_config as load_config
    from archiver.manifest import Manifest as Manifest
    from archiver.model import Outcome as Outcome
    from archiver.model import State as State
    from archiver.model import TaskRef as TaskRef
    from archiver.policy import ExitCode as ExitCode

__version__ = "0.1.0"

_HOME = {
    "ArchiveReport": "archiver.library",
    "ArchiverError": "archiver.errors",
    "Config": "archiver.config",
    "ConfigError": "archiver.errors",
    "ExitCode": "archiver.policy",
    "LockedError": "archiver.errors",
    "Manifest": "archiver.manifest",
    "Outcome": "archiver.model",
    "State": "archiver.model",
    "StoreError": "archiver.errors",
    "TaskRef": "archiver.model",
    "archive": "archiver.library",
    "load_config": "archiver.library",
}

__all__ = [*_HOME, "__version__"]  # noqa: PLE0604  (names of one table, so that none is forgotten)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'archiver' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
