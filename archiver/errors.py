"""The error tree.

* ArchiverError
  + UsageError                    exit 2: the command line
    - ConfigError                 exit 2: the configuration
  + LockedError                   exit 11: another run is at work
  + StoppedError                  a signal or a limit ended the work; what was in flight is parked
  + StoreError                    exit 7: the store cannot be used
    - WrongStoreError             exit 7: not the store that this catalog belongs to
    - StoreFullError              exit 13: no room left
  + CatalogError                  exit 7: the catalog cannot be read or written
  + DamageError                   what is stored is not what the manifest says
  + ProviderError                 the provider's answer is of no use
    - SourceFaultError            wrong base URL, login page, firewall: not the fault of a task
    - KeyRefusedError             exit 4: the key
    - NoCreditError               exit 4: the account
    - TaskNotFoundError           the provider's own "no such task"
  + PassingError                  time-out, reset, 5xx, 429, a body that ends early
    - RateLimitedError            429, or Retry-After
  + RenditionError                this form of the output is of no use; the next one may be
    - DeadLinkError               401, 403, 404, 410, or its signature ran out
    - NotMediaError               an error page, empty, undecodable, or of another kind
    - TruncatedError              its own structure says that bytes are missing
    - TooLargeError               over `max_size`
    - ForbiddenAddressError       not http(s), or a private address
    - RedirectError               a loop, or more than ten hops
    - DimensionMismatchError      under `on_dimension_mismatch = "refuse"`

Every class has a stable `code`, `retryable` (the same request may succeed later) and `fatal` (it
ends the run, or this source's part of it). Messages are plain words without secrets: what failed,
what was kept, what to do next.
"""

from __future__ import annotations

import errno
import os


class ArchiverError(Exception):
    """Base of all errors that archiver raises on purpose.

    Attributes:
        code: Stable word for scripts; a class may be raised with a more exact one.
        retryable: Whether the same thing may succeed later.
        fatal: Whether it ends the run (or, for a provider's, this source's part of it).
    """

    code = "error"
    retryable = False
    fatal = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class UsageError(ArchiverError):
    """The command line asks for something that cannot be done."""

    code = "usage"
    fatal = True


class ConfigError(UsageError):
    """The configuration is wrong; the message names the key, the file and the nearest key."""

    code = "config"


class LockedError(ArchiverError):
    """Another run holds the lock of this source or store."""

    code = "locked"
    retryable = True
    fatal = True


class StoppedError(ArchiverError):
    """A signal or a limit ended the work; what was in flight is parked."""

    code = "stopped"
    retryable = True
    fatal = True


class StoreError(ArchiverError):
    """The store cannot be used."""

    code = "store_unusable"
    retryable = True
    fatal = True


class WrongStoreError(StoreError):
    """The store is not the one that the catalog belongs to."""

    code = "wrong_store"


class StoreFullError(StoreError):
    """Disk or bucket full, quota reached, or under `min_free`."""

    code = "store_full"


class CatalogError(ArchiverError):
    """The catalog cannot be read or written (disk fault, damage, a newer version's file)."""

    code = "catalog_unusable"
    fatal = True


class DamageError(ArchiverError):
    """What is stored is not what the manifest says."""

    code = "damaged"


class ProviderError(ArchiverError):
    """The provider's answer is of no use."""

    code = "bad_answer"
    retryable = True


class SourceFaultError(ProviderError):
    """Unknown route, HTML, an empty 404: the source is at fault, never its tasks."""

    code = "source_fault"


class KeyRefusedError(ProviderError):
    """The provider refuses the key.

    Attributes:
        forbidden: It knows the key, and refuses just this request (403).
    """

    code = "key_refused"
    fatal = True

    def __init__(self, message: str, *, forbidden: bool = False) -> None:
        super().__init__(message)
        self.forbidden = forbidden


class NoCreditError(ProviderError):
    """The account has no credit left."""

    code = "no_credit"
    fatal = True


class TaskNotFoundError(ProviderError):
    """The provider's own words that it has no such task.

    Attributes:
        may_be_fresh: A gateway that says so of tasks just created as well
            (`task_not_exist`): final only one hour after the task was first seen.
    """

    code = "not_found"
    retryable = False

    def __init__(self, message: str, *, may_be_fresh: bool = False) -> None:
        super().__init__(message)
        self.may_be_fresh = may_be_fresh


class PassingError(ArchiverError):
    """A fault of the network or of the server that time mends."""

    code = "unreachable"
    retryable = True

    def __init__(
        self, message: str, *, code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class RateLimitedError(PassingError):
    """The server asks for a pause (429, or 503 with Retry-After)."""

    code = "rate_limited"


class RenditionError(ArchiverError):
    """This form of the output is of no use; the next one may be.

    Attributes:
        final: True when a second look cannot change it (too large, forbidden address).
    """

    code = "refused"
    final = False


class DeadLinkError(RenditionError):
    """The file is not there any more, or its link ran out and could not be renewed."""

    code = "gone"


class NotMediaError(RenditionError):
    """The bytes are not the media that was asked for: an error page, empty, undecodable."""

    code = "not_media"


class TruncatedError(RenditionError):
    """The file's own structure says that bytes are missing."""

    code = "truncated"


class TooLargeError(RenditionError):
    """Larger than `max_size`."""

    code = "too_large"
    final = True


class ForbiddenAddressError(RenditionError):
    """Not http or https, or an address that is not public."""

    code = "forbidden_address"
    final = True


class RedirectError(RenditionError):
    """A redirect loop, or more than ten hops."""

    code = "redirect_loop"


class DimensionMismatchError(RenditionError):
    """Under `on_dimension_mismatch = "refuse"`: other pixel dimensions than declared."""

    code = "dimension_mismatch"


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_MACHINE = _NO_ROOM | {
    errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EFBIG,
    errno.EACCES, errno.EPERM, errno.ENODEV, errno.ENXIO, errno.ESTALE,
}  # fmt: skip


def system_error(error: OSError, what: str, *, code: str | None = None) -> StoreError:
    """Return what an error of the operating system means for what is kept on this machine.

    Args:
        what: What could not be done, as the beginning of a sentence.
        code: A more exact code, where it is not a matter of room.
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _NO_ROOM:
        return StoreFullError(
            f"{what}: {reason}; what is archived is safe: free some space and run again"
        )
    return StoreError(f"{what}: {reason}", code=code)


def machine_fault(error: BaseException | None) -> StoreError | None:
    """Return what an unforeseen error says of the machine; `None`: it is a bug of ours.

    The machine is its disk, its limits and its rights, and the program's own files: a part that is
    loaded where it is first used cannot be, when no more files may be opened.
    """
    if isinstance(error, OSError) and error.errno in _MACHINE:
        where = f" ({error.filename})" if error.filename else ""
        return system_error(error, f"this machine cannot go on{where}")
    if isinstance(error, ImportError):
        return StoreError(
            f"this machine cannot go on: a part of the program cannot be loaded ({error.name});"
            " are too many files open, or did the installation change?"
        )
    return None
