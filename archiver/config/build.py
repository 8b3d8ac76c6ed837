"""From a draft to a checked `Config`, with everything that is wrong with it in one error."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from archiver.config.keys import (
    OF_SOURCE,
    PLAIN,
    S3_SECRETS,
    SOURCE,
    SOURCE_SECRETS,
    TABLES,
    WAYS,
    Key,
)
from archiver.config.kinds import Place
from archiver.config.layers import Draft, Given, Origin
from archiver.config.overrides import loosen
from archiver.config.settings import (
    DEFAULT_PATH,
    DEFAULT_STATE_DIR,
    Config,
    DownloadConfig,
    Listing,
    NetworkConfig,
    NotifyConfig,
    RunConfig,
    S3Config,
    SourceConfig,
    StoreConfig,
)
from archiver.config.wording import nearest, shown
from archiver.errors import ConfigError

_RESERVED_NAMES: Final = frozenset((".", "..", ".archiver"))

Values = dict[str, Any]
"""Checked values on their way into a dataclass."""


def build(
    draft: Draft, origin: Origin, home: Path, providers: Collection[str]
) -> tuple[Config, dict[str, str]]:
    """Check a draft and make the configuration of it.

    Args:
        draft: All layers.
        origin: The file, for what is missing.
        home: What `~` stands for.
        providers: Names that `provider` may have.

    Returns:
        The configuration, and for each key that was set the label of what set it; a source's keys
        begin with `source.` and its number.

    Raises:
        ConfigError: One line for each thing that is wrong.
    """
    builder = _Builder(draft, origin, home, providers)
    plain = builder.read_plain()
    sources = [builder.read_source(index) for index in range(len(draft.sources))]
    builder.check_store(plain, sources)
    builder.check_sources(sources)
    if draft.problems:
        raise ConfigError("\n".join(dict.fromkeys(draft.problems)))
    return _assemble(plain, sources), builder.origins()


class _Builder:
    """Reads a draft's values and checks them against each other; collects problems in the draft."""

    def __init__(
        self, draft: Draft, origin: Origin, home: Path, providers: Collection[str]
    ) -> None:
        self._draft = draft
        self._origin = origin
        self._home = home
        self._providers = providers

    def read_plain(self) -> Values:
        """Return every readable value outside `[[source]]`, by the key's whole name."""
        values: Values = {}
        for dotted, key in PLAIN.items():
            given = self._draft.plain.get(dotted)
            if given is None and dotted == "state_dir":
                given = Given(value=DEFAULT_STATE_DIR, origin=self._origin)
            if given is not None:
                self._read(key, dotted, given, values, dotted)
            elif key.required:
                self._complain(
                    None,
                    dotted,
                    'is missing; write url = "./archive" (a folder) or "s3://bucket/prefix" '
                    "under [store]",
                )
        return values

    def read_source(self, index: int) -> Values:
        """Return every readable value of one source, by the key's own name."""
        written = self._draft.sources[index]
        address = self._draft.address_of(index)
        values: Values = {}
        for name, key in OF_SOURCE.items():
            if name in written:
                self._read(key, f"{address}.{name}", written[name], values, name)
            elif key.required:
                examples = {"name": "luma", "provider": "luma"}
                example = examples.get(name, "https://api.example.com")
                self._complain(
                    None, f"{address}.{name}", f"is missing; write e.g. {name} = {shown(example)}"
                )
        self._check_source(index, address, values)
        return values

    def _read(self, key: Key, dotted: str, given: Given, values: Values, name: str) -> None:
        place = Place(base_dir=given.origin.base_dir, home=self._home)
        try:
            values[name] = key.kind.read(loosen(key, given), place)
        except ConfigError as error:
            self._complain(given, dotted, error.message)

    def _complain(self, given: Given | None, dotted: str, message: str) -> None:
        label = (given.origin if given else self._origin).label
        self._draft.problems.append(f"{label}: {dotted}: {message}")

    def _check_source(self, index: int, address: str, values: Values) -> None:
        written = self._draft.sources[index]
        name = values.get("name", "")
        if name.lower() in _RESERVED_NAMES:
            self._complain(
                written["name"], f"{address}.name", f"{shown(name)} is reserved; choose another"
            )
        provider = values.get("provider")
        if provider is not None and provider not in self._providers:
            close = nearest(provider, self._providers)
            hint = f"did you mean {shown(close)}?" if close else "there is "
            hint += "" if close else " ".join(sorted(self._providers))
            self._complain(
                written["provider"],
                f"{address}.provider",
                f"{shown(provider)} is not known; {hint}",
            )
        for secret in SOURCE_SECRETS:
            self._check_one_way(secret, f"{address}.", written, values)
        if re.match(
            r"http://(?!(?:localhost|127\.[0-9.]+|\[::1\])(?:[:/]|$))", values.get("base_url", "")
        ):
            self._draft.notes.append(
                f"{address}.base_url is plain http: the key travels where others can read it"
            )
        if values.get("list") is Listing.GATEWAY:
            has_token = any(values.get(f"user_token{way}") for way in WAYS)
            if not has_token or not values.get("user_id"):
                self._complain(
                    written["list"],
                    f"{address}.list",
                    '"gateway" needs user_id and one of user_token_env, _file, _command',
                )

    def _check_one_way(
        self, secret: str, prefix: str, written: Mapping[str, Given], values: Values
    ) -> None:
        ways = [f"{secret}{way}" for way in WAYS if values.get(f"{secret}{way}")]
        if len(ways) > 1:
            self._complain(
                written[ways[-1]],
                f"{prefix}{ways[-1]}",
                f"is set together with {prefix}{ways[0]}; keep one of them",
            )

    def check_store(self, plain: Values, sources: Sequence[Values]) -> None:
        """Check what the keys of `[store]` say together."""
        written = self._draft.plain
        self._check_template(plain.get("store.path", DEFAULT_PATH), len(sources))
        if plain.get("store.s3.sse_kms_key_id") and plain.get("store.s3.sse", "") != "aws:kms":
            self._complain(
                written["store.s3.sse_kms_key_id"],
                "store.s3.sse_kms_key_id",
                'needs store.s3.sse = "aws:kms"',
            )
        for secret in S3_SECRETS:
            self._check_one_way(f"store.s3.{secret}", "", written, plain)
        has = {s: any(plain.get(f"store.s3.{s}{way}") for way in WAYS) for s in S3_SECRETS}
        if has["access_key_id"] != has["secret_access_key"] or (
            has["session_token"] and not has["access_key_id"]
        ):
            self._complain(
                None,
                "store.s3",
                "access_key_id_… and secret_access_key_… go together; set both or neither "
                "(session_token_… only with them)",
            )
        root, state_dir = plain.get("store.url"), plain.get("state_dir")
        if root and state_dir and os.path.normpath(root) == os.path.normpath(state_dir):
            self._complain(
                written.get("state_dir"),
                "state_dir",
                "is the folder of store.url too; choose another, outside the archive",
            )

    def _check_template(self, text: str, count: int) -> None:
        # imported here: layout costs more than all of config, and most importers need no template
        from archiver.layout import Template

        given = self._draft.plain.get("store.path")
        try:
            template = Template.parse(text)
        except ConfigError as error:
            self._complain(given, "store.path", error.message)
            return
        if count > 1 and "source" not in template.fields:
            self._complain(
                given,
                "store.path",
                "must contain {source}, since several sources are configured",
            )

    def check_sources(self, sources: Sequence[Values]) -> None:
        """Check that there are sources and that each name is there once."""
        if not sources and not any(f": {SOURCE}: " in line for line in self._draft.problems):
            self._complain(
                None,
                SOURCE,
                "there is none; write [[source]] with name, provider and base_url under it",
            )
        seen: dict[str, str] = {}
        for index, values in enumerate(sources):
            name = values.get("name")
            if name is None:
                continue
            other = seen.get(name.lower())
            seen[name.lower()] = name
            if other is None:
                continue
            fault = (
                "is the name of two sources"
                if other == name
                else f"differs from {shown(other)} only in upper and lower case"
            )
            self._complain(
                self._draft.sources[index]["name"],
                f"{SOURCE}.{index}.name",
                f"{shown(name)} {fault}; choose another",
            )

    def origins(self) -> dict[str, str]:
        """Return what set each key that was set."""
        labels = {dotted: given.origin.label for dotted, given in self._draft.plain.items()}
        for index, source in enumerate(self._draft.sources):
            labels |= {f"{SOURCE}.{index}.{name}": g.origin.label for name, g in source.items()}
        return labels


def _assemble(plain: Values, sources: Sequence[Values]) -> Config:
    tables = {table.name: table for table in TABLES}

    def fields(name: str, values: Values) -> Values:
        table = tables[name]
        return {
            key.field: values[table.dotted(key)]
            for key in table.keys
            if table.dotted(key) in values
        }

    return Config(
        state_dir=plain["state_dir"],
        store=StoreConfig(**fields("store", plain), s3=S3Config(**fields("store.s3", plain))),
        sources=tuple(
            SourceConfig(**{OF_SOURCE[name].field: value for name, value in source.items()})
            for source in sources
        ),
        download=DownloadConfig(**fields("download", plain)),
        network=NetworkConfig(**fields("network", plain)),
        run=RunConfig(**fields("run", plain)),
        notify=NotifyConfig(**fields("notify", plain)),
    )
