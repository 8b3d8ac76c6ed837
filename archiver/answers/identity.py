"""Ids: as a segment of a path, and for an answer that bears none."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import quote

from archiver.errors import ProviderError
from archiver.model import JsonValue
from archiver.redaction import redact_document


def path_segment(task_id: str) -> str:
    """Return an id percent-encoded as exactly one segment of a path.

    Source: RFC 3986 section 3.3; `.` and `..` would be removed as dot segments (section 5.2.4).
    """
    encoded = quote(task_id.encode("utf-8", "surrogatepass"), safe="")
    return encoded if encoded.strip(".") else encoded.replace(".", "%2E")


def identity_of(body: JsonValue) -> str:
    """Return the identity of an answer without any id: `sha256-` and 32 hex digits.

    They are of its canonical JSON (sorted names, no spaces) in which links have no queries, so
    that the same answer with renewed signatures is the same task.

    Raises:
        ProviderError: It cannot be written as JSON.
    """
    try:
        text = json.dumps(
            redact_document(body), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        )
    except (ValueError, RecursionError) as error:
        raise ProviderError("the answer has no id, and cannot be written as JSON") from error
    return "sha256-" + hashlib.sha256(text.encode()).hexdigest()[:32]
