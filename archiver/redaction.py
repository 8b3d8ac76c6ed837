"""What must never be written down: queries of links, user info, keys, tokens.

Nothing here knows what a text is for. Where it is in doubt whether something is secret, it goes:
a log line that says too little can be asked about, one that says too much cannot be taken back.
All patterns run in linear time on hostile input: every repeated part is bounded or starts at a
character that the part before it cannot contain.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import math
import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from archiver.model import JsonObject, JsonValue

MASK = "***"
"""What stands where a secret was."""

MAX_DEPTH = 200
"""Levels of nesting that `redact_document` keeps."""

TOO_DEEP = f"(left out: nested deeper than {MAX_DEPTH} levels)"
"""What stands where a document goes on below `MAX_DEPTH`."""

_MIN_SECRET = 4
_MIN_BLOB = 1024
_MAX_INT_BITS = 8192

# --- links --------------------------------------------------------------------------------------

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}:(?:\\{0,4}/)+|https?:|(?:\\{0,4}/){2,}", re.I)
_ENCODED_SLASH = r"%(?:25)*2F"
_QUERY = re.compile(r"[?#]|%(?:25)*(?:3F|23)(?=[^=]{0,100}?(?:=|%(?:25)*3D))|\\u00(?:3f|23)", re.I)
_ENCODED_QUERY = re.compile(r"[?#]|%(?:25)*(?:3F|23)", re.I)
_AUTHORITY_END = re.compile(rf"[/\\]|{_ENCODED_SLASH}", re.I)
_USER_INFO_END = re.compile(r"@|%(?:25)*40", re.I)
_ODD_PORT = re.compile(r":(?![0-9]*$)[^\]]*$")
_SECRET_AUTHORITY = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?[/\\]{2,}[^/\\]*@", re.I)
_CLOSING = re.compile(r"[)\]},.;:!]*\Z")

# Quotes end a link, unless they stand inside a query (`='…'&`) or a password.
_QUOTES = "'\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a\u300c\u300d"
_ESCAPED_END = r"\\{1,4}(?:[\"'`nrt]|u00(?:22|27|3[ce]|0[ad9]))"
_PLAIN = rf"(?!{_ESCAPED_END}|[,;|](?:https?|wss?|s?ftps?|s3|gs):)[^\s\"<>`{_QUOTES}\x00-\x1f\x7f]"
_IN_QUERY = (
    rf"{_PLAIN}|(?<==)[{_QUOTES}]|[{_QUOTES}](?=&)|[ ](?=[^\n\r\"<>?&]{{0,200}}&[\w.%-]{{1,60}}=)"
)
_LINK = re.compile(
    rf"(?P<start>\bhttps?:(?:\\{{0,4}}/)*|(?:\\{{0,4}}/){{2,}})"
    rf"(?P<rest>(?:(?![?#]){_PLAIN}|[{_QUOTES}](?=[^\s\"<>/{_QUOTES}]{{0,200}}@))*"
    rf"(?:[?#](?:{_IN_QUERY})*)?)"
    rf"|(?P<encoded_start>(?<=%3A)(?:{_ENCODED_SLASH}){{2}}|%(?:25)+3A(?:{_ENCODED_SLASH}){{2}})"
    rf"(?P<encoded_rest>(?:(?!&){_PLAIN})*)",
    re.I,
)
_LOOSE_QUERY = re.compile(
    rf"(?<=[^\s?\"'<>])\?(?=[A-Za-z_$][\w.%~\[\]$-]{{0,100}}=)(?:{_IN_QUERY})*"
)


def redact_url(url: str) -> str:
    """Return a link without query, user info and fragment; all else verbatim.

    Works on whatever stands where a link should: what might be a query or a password is dropped.
    Of a `data:` URI only the media type is left.
    """
    if url[:5].lower() == "data:":
        return url.partition(",")[0] + ","
    scheme = _SCHEME.match(url)
    start = scheme.end() if scheme else 0
    return url[:start] + _redact_pairs(_bare(url[start:], _QUERY))


def has_secret_parts(url: str) -> bool:
    """Whether a link still has a query, a fragment or user info: the last guard before writing."""
    authority = _SECRET_AUTHORITY.match(url)
    return "?" in url or "#" in url or authority is not None


def _bare(rest: str, query: re.Pattern[str]) -> str:
    """Return what follows the scheme of a link, without user info, query and fragment."""
    cut = query.search(rest)
    kept, dropped = (rest[: cut.start()], rest[cut.start() :]) if cut else (rest, "")
    end = _AUTHORITY_END.search(kept)
    authority, path = (kept[: end.start()], kept[end.start() :]) if end else (kept, "")
    user_info = list(_USER_INFO_END.finditer(authority))
    if user_info:
        return authority[user_info[-1].end() :] + path
    if _ODD_PORT.search(authority):
        # `user:pass/word@host` or `user:pass?word@host`: the password broke the link.
        _, at, after = path.rpartition("@")
        return after if at else MASK
    if ":" in authority and not path and "@" in dropped.partition("=")[0]:
        return MASK
    return kept


def _redact_link(match: re.Match[str]) -> str:
    start = match["start"] or match["encoded_start"]
    encoded = match["start"] is None
    rest = match["encoded_rest"] if encoded else match["rest"]
    bare = _bare(rest, _ENCODED_QUERY if encoded else _QUERY)
    if rest.endswith(bare):
        return start + bare
    closing = _CLOSING.search(rest)
    return start + bare + (closing[0] if closing else "")


def _redact_loose_query(match: re.Match[str]) -> str:
    closing = _CLOSING.search(match[0])
    return closing[0] if closing else ""


# --- pairs and headers --------------------------------------------------------------------------

# Long words need no left border (`access_token=`); short ones do (`design=` is not `sign=`).
_PAIR = re.compile(
    r"((?:x-(?:amz|goog|oss|cos|ms)-[a-z0-9-]{1,40}|signature|credentials?|password|passwd|secret"
    r"|token|jwt|api[-_]?key|access[-_]?key(?:[-_]?id)?|accessid|secret[-_]?key|key-pair-id"
    r"|auth[-_]key|hdnts|hdnea|session[-_]?id"
    r"|(?<![a-z0-9])(?:sig|sign|pwd|auth|q-ak)|(?<=[&?])key|(?<=[&?])policy)"
    r"(?:=|%(?:25)*3D|\\{1,4}u003d))"
    r"(?:\"[^\"\r\n]*\"|'[^'\r\n]*'|\\\"[^\"\\\r\n]*"
    r"|(?:(?!%(?:25)*26|\\{1,4}(?:u0026|[\"'nrt]))[^\s&\"'<>,;)\]}])+)",
    re.I,
)
_HEADER = re.compile(
    r"((?:(?<![a-z0-9])(?:proxy-)?authorization|(?<![a-z])x-[a-z-]{0,20}(?:key|token)"
    r"|(?<![a-z])api[-_]?(?:key|secret|token)"
    r"|(?<![a-z])(?:access|refresh|session|security|user|id|auth)[-_]token"
    r"|(?<![a-z])(?:client|user|webhook)[-_]secret"
    r"|(?<![a-z])(?:secret|private|access)[-_](?:access[-_])?key(?:[-_]id)?"
    r"|(?<=[\"'])(?:password|passwd|secret|token|jwt|cookie|set-cookie)(?=\\{0,4}[\"']))"
    r"\\{0,4}[\"']?\s{0,4}[:=]\s{0,4}[\[(]?(?:b(?=[\"']))?\\{0,4}[\"']?"
    r"(?:(?:bearer|basic|token|key|digest|negotiate)\s{1,4})?)"
    r"[^\s\"',;}\]&\\<>]+",
    re.I,
)
_COOKIE = re.compile(r"(\b(?:set-)?cookie:\s{0,4})[^\s=;\"']{1,200}=[^\r\n\"']*", re.I)
_BEARER = re.compile(r"(\bbearer\s{1,4})(?=[a-z._~+/=-]{0,200}[0-9_]|\S{24})[\w.~+/=-]{8,}", re.I)


def _redact_pairs(text: str) -> str:
    text = _PAIR.sub(rf"\g<1>{MASK}", text)
    text = _HEADER.sub(rf"\g<1>{MASK}", text)
    text = _COOKIE.sub(rf"\g<1>{MASK}", text)
    return _BEARER.sub(rf"\g<1>{MASK}", text)


# --- texts --------------------------------------------------------------------------------------


class Redactor:
    """Takes secrets out of texts and documents; one is shared by all that writes.

    Secrets may be added at any time, from any thread. Its `repr` shows none.

    Args:
        secrets: Values (keys, passwords) that become `***` wherever they stand; those shorter than
            four characters are left alone, since they would blank ordinary words.
    """

    __slots__ = ("_exact", "_loose", "_secrets")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._exact: re.Pattern[str] | None = None
        self._loose: re.Pattern[str] | None = None
        self.add(*secrets)

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"

    def add(self, *secrets: str) -> None:
        """Hide these as well, from now on."""
        fitting = {s.strip() for s in secrets if len(s.strip()) >= _MIN_SECRET}
        if fitting <= self._secrets:
            return
        self._secrets |= fitting
        longest_first = sorted(self._secrets, key=len, reverse=True)
        encoded = sorted({f for s in self._secrets for f in _base64_forms(s)}, key=len)[::-1]
        exact = [re.escape(word) for word in (*longest_first, *encoded)]
        self._loose = re.compile("|".join([*map(_escaped_forms, longest_first), *exact]))
        self._exact = re.compile("|".join(exact))

    def text(self, text: str) -> str:
        """Return a text without secrets, and with every link in it as `redact_url` leaves it."""
        text = _encodable(text)
        # An escaped form needs one of these; the plain pattern is many times faster.
        pattern = self._loose if any(mark in text for mark in "%\\&") else self._exact
        if pattern is not None:
            text = pattern.sub(MASK, text)
        text = _LINK.sub(_redact_link, text)
        text = _LOOSE_QUERY.sub(_redact_loose_query, text)
        return _redact_pairs(text)

    def document(self, value: JsonValue) -> JsonValue:
        """Return a JSON value fit to be kept: see `redact_document`."""
        return self._value(value, 0)

    def _value(self, value: JsonValue, depth: int) -> JsonValue:
        if isinstance(value, str):
            return _digest_of_file(value) or self.text(_without_embedded_files(value))
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


def _hex(value: int, width: int) -> str:
    digits = f"{value:0{width}x}"
    return "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in digits)


def _escaped_forms(secret: str) -> str:
    """Return a pattern for a secret of which any character may be escaped in any usual way."""
    parts = []
    for char in secret:
        percent = "".join(f"%(?:25)*{_hex(b, 2)}" for b in char.encode("utf-8", "replace"))
        units = char.encode("utf-16-be", "surrogatepass")
        escape = "".join(
            rf"\\{{1,4}}u{_hex(int.from_bytes(units[i : i + 2], 'big'), 4)}"
            for i in range(0, len(units), 2)
        )
        short = {"\n": "n", "\r": "r", "\t": "t"}.get(char)
        parts.append(
            rf"(?:\\{{0,4}}{re.escape(char)}|{percent}|{escape}|&#{ord(char)};"
            + (r"|\+" if char == " " else "")
            + (r"|&amp;" if char == "&" else "")
            + (rf"|\\{{1,4}}{short}" if short else "")
            + ")"
        )
    return "".join(parts)


def _base64_forms(secret: str) -> set[str]:
    """Return how a secret looks in base64, alone or in the midst of other bytes (`user:secret`)."""
    raw = secret.encode("utf-8", "replace")
    forms = {base64.b64encode(raw).decode(), base64.b64encode(raw).decode().rstrip("=")}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        first = -(-before * 8 // 6)
        whole = (before + len(raw)) * 8 // 6
        core = encoded[first:whole].decode()
        if len(core) >= 2 * _MIN_SECRET:
            forms.add(core)
    return forms | {f.replace("+", "-").replace("/", "_") for f in forms}


# --- documents ----------------------------------------------------------------------------------

_SECRET_NAME = re.compile(
    r"token|(?:set)?cookie|jwt|signature|credentials?|passwd|bearer|privatekey|accessid"
    r"|\S*(?:apikey|accesskey(?:id)?|accessid|secretkey(?:id)?|secret|password|authorization"
    r"|(?:access|refresh|session|security|user|auth|id|bearer|api)token"
    r"|(?:amz|goog|oss)(?:signature|credential))"
)
_SEPARATORS = str.maketrans("", "", "-_. ")
_DATA_URI = re.compile(r"data:([^,\s\"']{0,200}),", re.I)
_EMBEDDED = re.compile(
    r"(data:[^,\s\"']{0,200};base64,)([A-Za-z0-9+/_=%-]+)"
    rf"|([A-Za-z0-9+/_-]{{{_MIN_BLOB},}}={{0,2}})",
    re.I,
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def _is_secret_name(name: str) -> bool:
    plain = name.lower().translate(_SEPARATORS)
    return _SECRET_NAME.fullmatch(plain) is not None


def _hidden(value: JsonValue) -> JsonValue:
    return value if value is None or isinstance(value, bool) or value == "" else MASK


def _digest(data: bytes) -> JsonObject:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}


def _decoded(text: str) -> bytes:
    """Decode base64 of either alphabet; what is not quite base64 stands for itself."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return text.encode("utf-8", "replace")


def _digest_of_file(text: str) -> JsonObject | None:
    """Return digest and length of the file that a whole string is, or `None`."""
    uri = _DATA_URI.match(text)
    if uri:
        body = unquote_to_bytes(text[uri.end() :].encode("utf-8", "replace"))
        if uri[1].lower().endswith(";base64"):
            body = _decoded("".join(body.decode("latin-1").split()))
        return _digest(body)
    if len(text) < _MIN_BLOB:
        return None
    lines = text.split()
    # Wrapped base64 has long lines of one length; words and verses do not.
    if len(lines) > 1 and (len(lines[0]) < 60 or {len(li) for li in lines[:-1]} != {len(lines[0])}):
        return None
    joined = "".join(lines)
    if len(joined) < _MIN_BLOB or not _BASE64.fullmatch(joined):
        return None
    return _digest(_decoded(joined))


def _without_embedded_files(text: str) -> str:
    """Return a text in which files in base64 are named by digest and length."""

    def named(match: re.Match[str]) -> str:
        data = _decoded(match[2] or match[3])
        return f"{match[1] or ''}(sha256 {hashlib.sha256(data).hexdigest()}, {len(data)} bytes)"

    return _EMBEDDED.sub(named, text)


# --- terminals and logs -------------------------------------------------------------------------

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """Return a text in which control characters are shown escaped, for terminals and messages.

    C0, C1 and the escapes that begin ANSI sequences, line separators, bidirectional overrides,
    invisible marks and lone surrogates; the result is one line and encodes as UTF-8.
    """
    return _UNPRINTABLE.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


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
