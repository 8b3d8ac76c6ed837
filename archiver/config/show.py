"""The merged configuration as a person may see it: TOML, with every secret as `***`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from archiver.config.keys import SOURCE, TABLES, Key, Table
from archiver.config.load import Loaded
from archiver.config.settings import Config
from archiver.config.wording import quoted, variable

MASK: Final = "***"

_SECRET_NAME = re.compile(
    r"auth|key|token|secret|cookie|pass|pwd|credential|session|sign|user|account|jwt", re.IGNORECASE
)
_HARMLESS_VALUE = re.compile(r"[A-Za-z0-9 ,;:/.*()=_+-]{0,40}")
_LONG_WORD = re.compile(r"(?=[^\s]*[0-9])[A-Za-z0-9_+/=-]{16,}")


def show(config: Config) -> str:
    """Return the configuration as TOML.

    Keys, tokens, secret-looking header values, and the queries and user names of URLs are `***`.
    Without any of these, the text loads as the same configuration.
    """
    return _render(config, None)


def explain(loaded: Loaded) -> str:
    """Return what `show` returns, with a comment on each line that says what set it."""
    return _render(loaded.config, loaded.origins)


def _render(config: Config, origins: Mapping[str, str] | None) -> str:
    blocks = []
    for table in TABLES:
        if table.name != SOURCE:
            lines = [f"[{table.name}]"] if table.name else []
            lines += _lines(table, _holder(config, table.name), table.name, origins)
            blocks.append(lines)
            continue
        for index, source in enumerate(config.sources):
            blocks.append(["[[source]]", *_lines(table, source, f"{SOURCE}.{index}", origins)])
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"


def _holder(config: Config, name: str) -> object:
    found: object = config
    for part in name.split(".") if name else ():
        found = getattr(found, part)
    return found


def _lines(
    table: Table, holder: object, address: str, origins: Mapping[str, str] | None
) -> list[str]:
    lines = []
    for key in table.keys:
        line = f"{key.name} = {_toml(_masked(table, key, getattr(holder, key.field)))}"
        if origins is not None:
            dotted = f"{address}.{key.name}" if address else key.name
            line += f"  # {origins.get(dotted, 'default')}"
        lines.append(line)
    return lines


def _masked(table: Table, key: Key, value: Any) -> object:
    written = key.kind.write(value)
    if isinstance(written, dict):
        return {name: _masked_header(name, content) for name, content in written.items()}
    if isinstance(written, list) and key.name.endswith("command"):
        return [written[0], *map(_masked_argument, written[1:])] if written else []
    if not isinstance(written, str):
        return written
    if key.name.endswith("_env"):
        return variable(written)
    if key.name.endswith("_url") and table.name != "store":
        return _masked_url(written)
    return written


def _masked_header(name: str, content: str) -> str:
    if content.startswith("env:"):
        return f"env:{variable(content[4:])}"
    plain = _HARMLESS_VALUE.fullmatch(content) and not _LONG_WORD.search(content)
    return MASK if _SECRET_NAME.search(name) or not plain else content


def _masked_url(url: str) -> str:
    match = re.fullmatch(r"(https?://)(?:[^/?#]*@)?([^?]*)(\?.*)?", url)
    if match is None:
        return MASK if url else ""
    user = f"{MASK}@" if "@" in url.split("/")[2].partition("?")[0] else ""
    # Whoever knows the long word in the path of a healthcheck may ping it.
    parts = [MASK if _LONG_WORD.fullmatch(part) else part for part in match[2].split("/")]
    return f"{match[1]}{user}{'/'.join(parts)}" + (f"?{MASK}" if match[3] else "")


def _masked_argument(argument: str) -> str:
    # imported here: only `config show` needs it
    from archiver.redaction import redact_text

    return redact_text(argument)


def _toml(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return str(value)
