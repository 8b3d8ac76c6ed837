"""What must never be written down: queries of links, user info, keys, tokens.

Nothing here knows what a text is for. Where it is in doubt whether something is secret, it goes:
a log line that says too little can be asked about, one that says too much cannot be taken back.

`links` knows what is secret in a link, `forms` how a key may look, `files` what is a file within an
answer; `redactor` puts them together. `logs.RedactingFormatter` stands apart, since `logging` is
slow to import.
"""

from __future__ import annotations

from archiver.redaction.links import MASK, has_secret_parts, redact_url
from archiver.redaction.redactor import (
    MAX_DEPTH,
    TOO_DEEP,
    Redactor,
    redact_document,
    redact_text,
)
from archiver.redaction.terminal import printable

__all__ = [
    "MASK",
    "MAX_DEPTH",
    "TOO_DEEP",
    "Redactor",
    "has_secret_parts",
    "printable",
    "redact_document",
    "redact_text",
    "redact_url",
]
