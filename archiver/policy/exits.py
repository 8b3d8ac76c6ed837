"""What a process says when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from archiver.errors import (
    ArchiverError,
    CatalogError,
    DamageError,
    KeyRefusedError,
    LockedError,
    NoCreditError,
    PassingError,
    ProviderError,
    StoreError,
    StoreFullError,
    UsageError,
)


class ExitCode(IntEnum):
    """What the process says when it ends."""

    DONE = 0
    BUG = 1
    USAGE = 2
    PARTIAL = 3
    KEY_REFUSED = 4
    PROVIDER_FAULT = 5
    WATERMARKED_ONLY = 6
    STORE = 7
    LIMIT = 10
    LOCKED = 11
    DAMAGE = 12
    FULL = 13
    SIGINT = 130
    SIGTERM = 143


_PRECEDENCE = (
    ExitCode.SIGINT,
    ExitCode.SIGTERM,
    ExitCode.BUG,
    ExitCode.USAGE,
    ExitCode.LOCKED,
    ExitCode.STORE,
    ExitCode.FULL,
    ExitCode.KEY_REFUSED,
    ExitCode.DAMAGE,
    ExitCode.PROVIDER_FAULT,
    ExitCode.LIMIT,
    ExitCode.WATERMARKED_ONLY,
    ExitCode.PARTIAL,
    ExitCode.DONE,
)

# Subclasses before their base: the first that fits counts.
_CODE_OF_ERROR: tuple[tuple[type[ArchiverError], ExitCode], ...] = (
    (UsageError, ExitCode.USAGE),
    (LockedError, ExitCode.LOCKED),
    (StoreFullError, ExitCode.FULL),
    (StoreError, ExitCode.STORE),
    (CatalogError, ExitCode.STORE),
    (KeyRefusedError, ExitCode.KEY_REFUSED),
    (NoCreditError, ExitCode.KEY_REFUSED),
    (DamageError, ExitCode.DAMAGE),
    (ProviderError, ExitCode.PROVIDER_FAULT),
    (PassingError, ExitCode.PROVIDER_FAULT),
)


def exit_code(facts: Iterable[ExitCode]) -> ExitCode:
    """Return the one code of a process of which all these are true."""
    found = frozenset(facts)
    return next((code for code in _PRECEDENCE if code in found), ExitCode.DONE)


def exit_code_of(error: ArchiverError) -> ExitCode:
    """Return the code of a command that this error ended."""
    return next(
        (code for kind, code in _CODE_OF_ERROR if isinstance(error, kind)), ExitCode.PARTIAL
    )
