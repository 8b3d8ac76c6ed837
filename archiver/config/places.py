"""The kinds of value that say where something is: paths, patterns, URLs, stores, programs.

A URL is never quoted in a message: it may hold a password or a signature.
"""

from __future__ import annotations

import re
from pathlib import Path

from archiver.config.kinds import CONTROL, Kind, Place, items, plain_text
from archiver.config.wording import shown
from archiver.errors import ConfigError

_HTTP_URL = re.compile(
    r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<hash>#.*)?",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:@\[\]<>\"{}|\\^`%]+)(?::([0-9]{1,5}))?")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,254}")
_VARIABLE_IN_PATH = re.compile(r"\$(\{|[A-Za-z_])")


def http_url(*, optional: bool, userinfo: bool = False, query: bool = False) -> Kind:
    """An absolute http or https URL; never quoted in a message."""

    def read(value: object, _: Place) -> str:
        if optional and value == "":
            return ""
        if not isinstance(value, str):
            raise ConfigError(f"{shown(value)} is not text; put the URL in quotes")
        match = _HTTP_URL.fullmatch(value)
        if match is None or re.search(r"\s|\\", value) or CONTROL.search(value):
            raise ConfigError(
                'is not an absolute http or https URL; write e.g. "https://api.example.com"'
            )
        user, at, host = match["authority"].rpartition("@")
        # a slash in a password moves the @ into the path
        if (at or "@" in match["path"]) and not userinfo:
            raise ConfigError("holds a user name or password; take it out of the URL")
        if match["hash"] is not None or (match["query"] is not None and not query):
            raise ConfigError('has a "?" or "#" part; take it off')
        authority = _AUTHORITY.fullmatch(host)
        if authority is None:
            raise ConfigError("has no host, or one that cannot be")
        if authority[1] and not 0 < int(authority[1]) <= 65_535:
            raise ConfigError("has a port that is not from 1 to 65535")
        tail = match["path"].rstrip("/") + (match["query"] or "")
        return f"{match['scheme'].lower()}://{user}{at}{host}{tail}"

    return Kind(read=read, write=str)


def path() -> Kind:
    """A path, made absolute."""
    return Kind(read=lambda value, place: _expand(plain_text(value), place), write=str)


def optional_path() -> Kind:
    """A path, made absolute; None for empty text."""

    def read(value: object, place: Place) -> Path | None:
        return None if value == "" else _expand(plain_text(value), place)

    return Kind(read=read, write=lambda value: "" if value is None else str(value))


def patterns() -> Kind:
    """Glob patterns, made absolute; their base folder is taken literally."""

    def read(value: object, place: Place) -> tuple[str, ...]:
        found = []
        for item in items(value, '["inbox/*.txt"]'):
            base, rest = _anchor(plain_text(item), place)
            # a folder called "[old]" above the configuration is no pattern
            literal = re.sub(r"([*?[])", r"[\1]", str(base))
            found.append(f"{literal.rstrip('/')}/{rest}")
        return tuple(found)

    return Kind(read=read, write=list, textual=False)


def _expand(written: str, place: Place) -> Path:
    base, rest = _anchor(written, place)
    return base / rest


def _anchor(written: str, place: Place) -> tuple[Path, str]:
    """Split a written path into the absolute folder it starts from and the rest."""
    if not written.strip():
        raise ConfigError("is empty; write a path")
    if _VARIABLE_IN_PATH.match(written):
        raise ConfigError(
            f"{shown(written)}: variables are not expanded here; write ~ or the whole path"
        )
    if written.startswith("/"):
        return Path("/"), written.lstrip("/")
    first, _, rest = written.partition("/")
    if first == "~":
        return place.home, rest.lstrip("/")
    if first.startswith("~"):
        raise ConfigError(f'{shown(first)} is not known; write "~/…" or the whole path')
    while written.startswith("./"):
        written = written[2:].lstrip("/")
    return place.base_dir, written


def store_url() -> Kind:
    """A folder made absolute, or `s3://bucket/prefix`."""

    def read(value: object, place: Place) -> str:
        written = plain_text(value)
        if re.match("s3://", written, re.IGNORECASE):
            return _bucket_url(written[5:])
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://|s3:", written, re.IGNORECASE):
            raise ConfigError('is neither a folder nor "s3://bucket/prefix"; write one of them')
        return str(_expand(written, place))

    return Kind(read=read, write=str)


def _bucket_url(rest: str) -> str:
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket:
        raise ConfigError(
            "holds a user name or key; take it out and name variables with "
            "store.s3.access_key_id_env and secret_access_key_env"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ConfigError('names no possible bucket; write "s3://bucket/prefix"')
    prefix = prefix.strip("/")
    parts = prefix.split("/") if prefix else []
    if any(part in ("", ".", "..", ".archiver") for part in parts) or re.search(r"[?#\\]", prefix):
        raise ConfigError('has a prefix with an empty, "." or ".." part, or with ?, # or \\')
    if len(prefix.encode("utf-8", "surrogatepass")) > 400:
        raise ConfigError("has a prefix over 400 bytes; S3 keys end at 1024")
    return f"s3://{bucket}/{prefix}".rstrip("/")


def argv() -> Kind:
    """A program and its arguments; a program with a slash in it is a path."""

    def read(value: object, place: Place) -> tuple[str, ...]:
        found = []
        for item in items(value, '["pass", "show", "luma"]'):
            if not isinstance(item, str) or "\x00" in item:
                raise ConfigError("must hold text only: the program, then its arguments")
            found.append(item)
        if found and not found[0].strip():
            raise ConfigError("names no program; the first item is the program")
        if found and ("/" in found[0] or found[0].startswith("~")):
            found[0] = str(_expand(found[0], place))
        return tuple(found)

    return Kind(read=read, write=list, textual=False)
