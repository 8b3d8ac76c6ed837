"""Links and the pairs that carry keys: what is secret in them, in whatever text they stand.

All patterns run in linear time on hostile input: every repeated part is bounded, or starts at a
character that the part before it cannot contain.
"""

from __future__ import annotations

import re
from functools import lru_cache

MASK = "***"
"""What stands where a secret was."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}:[/\\]+|https?:|[/\\]{2,}", re.I)
_DATA_LINK = re.compile(r"data:[\w.+/;-]{0,100}", re.I | re.A)
_ENCODED_SLASH = r"%(?:25)*2F"
_QUERY = re.compile(r"[?#]|%(?:25)*(?:3F|23)(?=[^=]{0,100}?(?:=|%(?:25)*3D))|\\u00(?:3f|23)", re.I)
_ENCODED_QUERY = re.compile(r"[?#]|%(?:25)*(?:3F|23)", re.I)
_AUTHORITY_END = re.compile(rf"[/\\]|{_ENCODED_SLASH}", re.I)
_USER_INFO_END = re.compile(r"@|%(?:25)*40", re.I)
_ODD_PORT = re.compile(r":(?![0-9]*$)[^\]]*$")
_MAX_PASSES = 10
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


@lru_cache(maxsize=256)
def redact_url(url: str) -> str:
    """Return a link without query, user info and fragment; all else verbatim.

    Works on whatever stands where a link should: what might be a query or a password is dropped.
    Of a `data:` URI only the media type is left.
    """
    data = _DATA_LINK.match(url)
    if data:
        return data[0]
    for _ in range(_MAX_PASSES):
        scheme = _SCHEME.match(url)
        start = scheme.end() if scheme else 0
        clean = url[:start] + redact_pairs(_bare(url[start:], _QUERY))
        if clean == url:
            return url
        # What stood behind user info may now read as user info itself (`a:/u@/\\v@host`).
        url = clean
    return MASK


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
    for user_info in _USER_INFO_END.finditer(authority):
        authority = kept[user_info.end() : len(kept) - len(path)]
    if _ODD_PORT.search(authority):
        # `user:pass/word@host` or `user:pass?word@host`: the password broke the link.
        _, at, after = path.rpartition("@")
        return _bare(after, query) if at else MASK
    if ":" in authority and not path and "@" in dropped.partition("=")[0]:
        return MASK
    return authority + path


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


def redact_links(text: str) -> str:
    """Return a text in which every link, escaped or not, is as `redact_url` leaves it."""
    if any(mark in text for mark in "/:%"):
        text = _LINK.sub(_redact_link, text)
    if "?" in text:
        text = _LOOSE_QUERY.sub(_redact_loose_query, text)
    return text


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


def redact_pairs(text: str) -> str:
    """Return a text in which pairs and headers that carry keys have lost their values."""
    # The tests in front spare most texts the patterns, which cost a microsecond a character.
    if any(mark in text for mark in "=%\\"):
        text = _PAIR.sub(rf"\g<1>{MASK}", text)
    if ":" in text or "=" in text:
        text = _HEADER.sub(rf"\g<1>{MASK}", text)
        text = _COOKIE.sub(rf"\g<1>{MASK}", text)
    if "earer" in text or "EARER" in text:
        text = _BEARER.sub(rf"\g<1>{MASK}", text)
    return text
