"""Where the configuration is found, and how it is loaded."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from archiver.config.build import build
from archiver.config.layers import Origin, lay_mapping, read_toml
from archiver.config.overrides import CONFIG_VARIABLE, lay_environment, lay_overrides
from archiver.config.settings import PROVIDERS, Config
from archiver.config.wording import quoted
from archiver.errors import ConfigError

SYSTEM_FILE: Final = Path("/etc/archiver/config.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration and where it came from.

    Attributes:
        path: The file.
        notes: What is odd but no error, for `-v`.
        origins: For each key that is not at its default, the label of what set it.
    """

    config: Config
    path: Path | None
    notes: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)


# --- finding the file ---------------------------------------------------------------------------


def find_config(
    *, environ: Mapping[str, str], cwd: Path, home: Path, system_file: Path = SYSTEM_FILE
) -> Path:
    """Return the configuration file that is used when none is named.

    That is `$ARCHIVER_CONFIG`; else the first that is there of `./archiver.toml`,
    `$XDG_CONFIG_HOME/archiver/config.toml` and `/etc/archiver/config.toml`.

    Raises:
        ConfigError: There is none; the message lists the places.
    """
    named = environ.get(CONFIG_VARIABLE, "")
    if named:
        return _absolute(Path(named), cwd, home)
    xdg = Path(environ.get("XDG_CONFIG_HOME", ""))
    # the XDG specification has relative ones ignored
    base = xdg if xdg.is_absolute() else home / ".config"
    places = (cwd / "archiver.toml", base / "archiver" / "config.toml", system_file)
    for place in places:
        # lexists: a dangling link is meant, and must not be passed over in silence
        if os.path.lexists(place):
            return place
    looked = "".join(f"\n  {place}" for place in places)
    raise ConfigError(
        f"no configuration found; looked for{looked}\n"
        "Copy config.example.toml to archiver.toml and fill in store.url and one [[source]], "
        "or name a file with -c FILE or $ARCHIVER_CONFIG."
    )


def _absolute(path: Path, cwd: Path, home: Path) -> Path:
    parts = path.parts
    if parts and parts[0] == "~":
        return home.joinpath(*parts[1:])
    return cwd / path


# --- loading ------------------------------------------------------------------------------------


def load_config(
    path: Path | None,
    *,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str],
    cwd: Path,
    home: Path,
    providers: Collection[str] = PROVIDERS,
    system_file: Path = SYSTEM_FILE,
) -> Loaded:
    """Read the configuration: file, then environment, then `--set` over it.

    Args:
        path: The file named by `-c`; None looks in the usual places.
        overrides: Each `KEY=VALUE`, as given to `--set`.
        environ: The environment; `ARCHIVER_STORE__URL` sets `store.url`.
        cwd: Absolute; relative paths in `overrides` and `environ` are relative to it.
        home: What `~` stands for; absolute.
        providers: Names that `provider` may have.
        system_file: The last place to look in.

    Raises:
        ConfigError: One line for each thing that is wrong.
    """
    if path is None:
        found = find_config(environ=environ, cwd=cwd, home=home, system_file=system_file)
    else:
        found = _absolute(path, cwd, home)
    label = str(found.relative_to(cwd)) if found.is_relative_to(cwd) else str(found)
    label = label if label.isprintable() else quoted(label)
    document = read_toml(found, label)
    origin = Origin(label=label, base_dir=found.parent)
    draft = lay_mapping(document, origin)
    lay_environment(draft, environ, cwd)
    lay_overrides(draft, overrides, cwd)
    config, origins = build(draft, origin, home, providers)
    return Loaded(config=config, path=found, notes=tuple(draft.notes), origins=origins)


def config_from_mapping(
    mapping: Mapping[str, object],
    *,
    base_dir: Path,
    home: Path | None = None,
    providers: Collection[str] = PROVIDERS,
    label: str = "configuration",
) -> Config:
    """Check a mapping shaped like the file, for programs that have no file.

    Args:
        mapping: As `tomllib` would return it; paths may be `Path`.
        base_dir: What relative paths are relative to.
        home: What `~` stands for; None is the user's home.
        providers: Names that `provider` may have.
        label: What messages call the mapping.

    Raises:
        ConfigError: One line for each thing that is wrong.
    """
    origin = Origin(label=label, base_dir=base_dir.absolute())
    draft = lay_mapping(mapping, origin)
    config, _ = build(draft, origin, Path.home() if home is None else home, providers)
    return config
