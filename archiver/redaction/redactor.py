"""Takes secrets out of texts and documents."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable

from archiver.model import JsonObject, JsonValue
from archiver.redaction.files import digest_of_file, without_embedded_files
from archiver.redaction.forms import base64_forms, escaped_forms
from archiver.redaction.links import MASK, redact_links, redact_pairs

MAX_DEPTH = 200
"""Levels of nesting that `redact_document` keeps."""

TOO_DEEP = f"(left out: nested deeper than {MAX_DEPTH} levels)"
"""What stands where a document goes on below `MAX_DEPTH`."""

_MIN_SECRET = 4
_ESCAPE_MARKS = "%\\&"
_MAX_INT_BITS = 8192
_SECRET_NAME = re.compile(
    r"token|auth|(?:set)?cookie|jwt|signature|credentials?|passwd|bearer|privatekey|accessid"
    r"|.*(?:apikey|accesskey(?:id)?|accessid|secretkey(?:id)?|secret|password|authorization"
    r"|(?:access|refresh|session|security|user|auth|id|bearer|api)token"
    r"|(?:amz|goog|oss)(?:signature|credential))",
    re.S,
)
_SEPARATORS = str.maketrans("", "", "-_. ")


class Redactor:
    """Takes secrets out of texts and documents; one is shared by all that writes.

    Secrets may be added at any time, from any thread. Its `repr` shows none.

    Args:
        secrets: Values (keys, passwords) that become `***` wherever they stand; those shorter than
            four characters are left alone, since they would blank ordinary words.
    """

    __slots__ = ("_exact", "_lock", "_loose", "_marks", "_secrets")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._secrets: frozenset[str] = frozenset()
        self._exact: re.Pattern[str] | None = None
        self._loose: re.Pattern[str] | None = None
        self._marks = _ESCAPE_MARKS
        self.add(*secrets)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def add(self, *secrets: str) -> None:
        """Hide these as well, from now on."""
        fitting = {s.strip() for s in secrets if len(s.strip()) >= _MIN_SECRET}
        with self._lock:
            if fitting <= self._secrets:
                return
            self._secrets |= fitting
            longest_first = sorted(self._secrets, key=len, reverse=True)
            encoded = sorted({f for s in self._secrets for f in base64_forms(s)}, key=len)[::-1]
            exact = [re.escape(word) for word in (*longest_first, *encoded)]
            self._loose = re.compile("|".join([*map(escaped_forms, longest_first), *exact]))
            self._exact = re.compile("|".join(exact))
            if any(" " in secret for secret in self._secrets):
                self._marks = _ESCAPE_MARKS + "+"  # a form's space

    def text(self, text: str) -> str:
        """Return a text without secrets, and with every link in it as `redact_url` leaves it."""
        text = _encodable(text)
        # An escaped form needs one of these; the plain pattern is many times faster.
        pattern = self._loose if any(mark in text for mark in self._marks) else self._exact
        if pattern is not None:
            text = pattern.sub(MASK, text)
        return redact_pairs(redact_links(text))

    def document(self, value: JsonValue) -> JsonValue:
        """Return a JSON value fit to be kept: see `redact_document`."""
        return self._value(value, 0)

    def _value(self, value: JsonValue, depth: int) -> JsonValue:
        if isinstance(value, str):
            return digest_of_file(value) or self.text(without_embedded_files(value))
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
            return hex(value)  # json refuses to write thousands of decimal digits
        if not isinstance(value, (list, dict)):
            return value
        if depth >= MAX_DEPTH:
            return TOO_DEEP
        if isinstance(value, list):
            return [self._value(item, depth + 1) for item in value]
        return self._object(value, depth)

    def _object(self, value: JsonObject, depth: int) -> JsonObject:
        names = (value.get("name"), value.get("key"))
        is_secret_item = any(isinstance(n, str) and _is_secret_name(n) for n in names)
        result: JsonObject = {}
        for name, item in value.items():
            hide = _is_secret_name(name) or (is_secret_item and name == "value")
            clean = base = self.text(name)
            number = 1
            while clean in result:
                number += 1
                clean = f"{base}~{number}"
            result[clean] = _hidden(item) if hide else self._value(item, depth + 1)
        return result


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    r"""Return a text without the queries, user info and fragments of links, and without secrets.

    Links may be escaped (`%3A%2F%2F`, `\/`, `\u0026`), quoted in any way or without a scheme;
    pairs and headers that carry keys (`X-Amz-Signature=`, `token=`, `Authorization: Bearer`) lose
    their value even outside a link.

    Args:
        text: Anything; the result always encodes as UTF-8.
        secrets: Values of at least four characters that become `***`, also where they stand
            percent-encoded, JSON-escaped or in base64.
    """
    return Redactor(secrets).text(text)


def redact_document(value: JsonValue, secrets: Iterable[str] = ()) -> JsonValue:
    """Return a provider's answer fit for a manifest: strict JSON without secrets.

    Strings and names go through `redact_text`; values of names like `api_key` become `***`; files
    embedded as `data:` URIs or base64 become `{"sha256": …, "size_bytes": …}` of their bytes; NaN
    and the infinities become strings; below `MAX_DEPTH` levels there is a marker.
    """
    return Redactor(secrets).document(value)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _is_secret_name(name: str) -> bool:
    plain = name.lower().translate(_SEPARATORS)
    return _SECRET_NAME.fullmatch(plain) is not None


def _hidden(value: JsonValue) -> JsonValue:
    return value if value is None or isinstance(value, bool) or value == "" else MASK
