"""What lies over the file: environment variables and `--set`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from archiver.config.keys import OF_SOURCE, PLAIN, SOURCE, WAYS, Key
from archiver.config.layers import TABLE_NAMES, Draft, Given, Origin, known_names, unknown_key
from archiver.config.wording import nearest, quoted, shown

PREFIX: Final = "ARCHIVER_"
CONFIG_VARIABLE: Final = "ARCHIVER_CONFIG"

_TRUTH: Final = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


# --- the environment ----------------------------------------------------------------------------


def lay_environment(draft: Draft, environ: Mapping[str, str], cwd: Path) -> None:
    """Lay `ARCHIVER_STORE__URL` and the like over a draft; unknown ones become notes."""
    plain = {_variable(dotted): dotted for dotted in PLAIN}
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        if variable == CONFIG_VARIABLE:
            continue
        origin = Origin(label=f"${variable}", base_dir=cwd, typed=False, rank=1)
        given = Given(value=environ[variable], origin=origin)
        if variable in plain:
            _put(draft.plain, plain[variable], given)
        elif not _lay_source_variable(draft, variable, given):
            names = (draft.name_of(i) or str(i) for i in range(len(draft.sources)))
            own = [f"{_variable_of_source(n)}__{leaf.upper()}" for n in names for leaf in OF_SOURCE]
            close = nearest(variable, [*plain, *own])
            hint = f"; did you mean ${close}?" if close else ""
            name = variable if variable.isascii() and variable.isprintable() else quoted(variable)
            draft.notes.append(f"${name} is not a key of archiver and was ignored{hint}")


def _variable(dotted: str) -> str:
    return PREFIX + dotted.replace(".", "__").upper()


def _variable_of_source(name: str) -> str:
    return f"{PREFIX}SOURCE__" + re.sub("[^A-Z0-9]", "_", name.upper())


def _lay_source_variable(draft: Draft, variable: str, given: Given) -> bool:
    start = f"{PREFIX}SOURCE__"
    name, _, leaf = variable.removeprefix(start).rpartition("__")
    whole = f"{start}{name}"
    if not variable.startswith(start) or leaf.lower() not in OF_SOURCE or leaf != leaf.upper():
        return False
    named = [
        index
        for index in range(len(draft.sources))
        if name and _variable_of_source(draft.name_of(index) or "") == whole
    ]
    if len(named) > 1:
        both = " and ".join(shown(draft.name_of(index)) for index in named)
        draft.problems.append(
            f"{given.origin.label}: stands for both {both}; "
            f"say which by number, e.g. {start}{named[0]}__{leaf}"
        )
        return True
    if not named and re.fullmatch("[0-9]{1,4}", name) and int(name) < len(draft.sources):
        named = [int(name)]
    for index in named:
        _put(draft.sources[index], leaf.lower(), given)
    return bool(named)


# --- the command line ---------------------------------------------------------------------------


def lay_overrides(draft: Draft, overrides: Iterable[str], cwd: Path) -> None:
    """Lay `--set KEY=VALUE` over a draft; the last one counts."""
    origin = Origin(label="--set", base_dir=cwd, typed=False, rank=2)
    for override in overrides:
        name, equals, value = override.partition("=")
        name = name.strip()
        if not equals or not name:
            # the text may be a secret in the wrong place: only a known key is named
            draft.problems.append(
                f"--set: {name}: has no value; write {name}=VALUE"
                if name in PLAIN
                else "--set: is not KEY=VALUE; write e.g. --set store.url=./archive"
            )
            continue
        given = Given(value=value, origin=origin)
        if name in PLAIN:
            _put(draft.plain, name, given)
        elif name.startswith(f"{SOURCE}."):
            _lay_source_override(draft, name.removeprefix(f"{SOURCE}."), given)
        else:
            draft.problems.append(f"--set: {_unknown_override(name)}")


def _unknown_override(name: str) -> str:
    if name in TABLE_NAMES:
        example = next(n for n in known_names() if n.startswith(f"{name}."))
        return f"{name}: is a table; name a key in it, e.g. {example}"
    table, _, leaf = name.rpartition(".")
    if table in TABLE_NAMES:
        return unknown_key(leaf, table, table)
    close = nearest(name, PLAIN)
    if close is not None:
        return f'{quoted(name[:60])[1:-1]}: unknown key; did you mean "{close}"?'
    return unknown_key(name, "", "")


def _lay_source_override(draft: Draft, rest: str, given: Given) -> None:
    names = {draft.name_of(i) or "": i for i in reversed(range(len(draft.sources)))}
    fitting = [name for name in names if name and rest.startswith(f"{name}.")]
    if fitting:
        chosen = max(fitting, key=len)
        index, leaf = names[chosen], rest[len(chosen) + 1 :]
    else:
        number, _, leaf = rest.partition(".")
        if not re.fullmatch("[0-9]{1,4}", number) or int(number) >= len(draft.sources):
            have = ", ".join(shown(name) for name in names if name) or "none"
            draft.problems.append(
                f"--set: {SOURCE}.{quoted(number[:60])[1:-1]}: there is no such source; "
                f"there is {have} (or a number from 0)"
            )
            return
        index = int(number)
    source = draft.sources[index]
    if leaf in OF_SOURCE:
        _put(source, leaf, given)
    elif leaf.startswith("headers.") and leaf != "headers.":
        _lay_header(source, leaf.removeprefix("headers."), given)
    else:
        draft.problems.append(f"--set: {unknown_key(leaf, SOURCE, draft.address_of(index))}")


def _lay_header(source: dict[str, Given], header: str, given: Given) -> None:
    old = source.get("headers")
    before = loosen(OF_SOURCE["headers"], old) if old else {}
    merged = {
        name: content
        for name, content in (before.items() if isinstance(before, Mapping) else ())
        if str(name).lower() != header.lower()
    }
    merged[header] = _unquoted(str(given.value))
    source["headers"] = Given(value=merged, origin=replace(given.origin, typed=True))


def _put(target: dict[str, Given], name: str, given: Given) -> None:
    """Set a key; the place of a secret replaces the other two places that a lower layer named."""
    stem, _, way = name.rpartition("_")
    if f"_{way}" in WAYS and given.value != "":
        for other in (f"{stem}{other}" for other in WAYS):
            if other in target and target[other].origin.rank < given.origin.rank:
                del target[other]
    target[name] = given


# --- text into values ---------------------------------------------------------------------------


def loosen(key: Key, given: Given) -> object:
    """Return a value with the type that its key wants, where it was written as text.

    Text is taken as TOML where that gives the right type, and as it stands otherwise.
    """
    if given.origin.typed or not isinstance(given.value, str):
        return given.value
    if key.kind.textual:
        return _unquoted(given.value)
    if key.kind.truth and given.value.strip().lower() in _TRUTH:
        return _TRUTH[given.value.strip().lower()]
    return _as_toml(given.value)


def _unquoted(text: str) -> str:
    value = _as_toml(text)
    return value if isinstance(value, str) else text


def _as_toml(text: str) -> object:
    try:
        found = tomllib.loads(f"v = {text.strip()}")
    except (ValueError, RecursionError):
        return text
    # after a line break there could be further keys
    return found["v"] if list(found) == ["v"] else text
