"""Logs without secrets."""

from __future__ import annotations

import logging

from archiver.redaction.redactor import Redactor
from archiver.redaction.terminal import printable


class RedactingFormatter(logging.Formatter):
    """Formats with another formatter, then redacts all of it, tracebacks included.

    Control characters other than line ends are shown escaped. A record whose arguments do not fit
    its message is formatted without them: logging's own complaint would print them bare.

    Args:
        redactor: Shared with whoever learns of secrets later.
        inner: Does the formatting; by default `logging.Formatter()`.
    """

    def __init__(self, redactor: Redactor, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        self._redactor = redactor
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text without secrets."""
        try:
            text = self._inner.format(record)
        except (TypeError, ValueError, LookupError):
            text = f"{record.levelname} {record.name}: {record.msg} (arguments do not fit)"
        return "\n".join(map(printable, self._redactor.text(text).split("\n")))
