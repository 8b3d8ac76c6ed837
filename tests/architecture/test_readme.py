"""The README is in step with the code: neither more nor less."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from archiver.cli.main import cli
from archiver.cli.options import common_options
from archiver.config import load_config
from archiver.errors import ConfigError
from archiver.policy import ExitCode

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def section(title: str) -> str:
    """Return what the README says under a heading."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def commands(group: click.Group, before: str = "archiver") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its whole name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}", command


@common_options
def bare() -> None:
    """Nothing but what all commands share."""


COMMANDS = dict(commands(cli))
COMMON = {word for option in click.command()(bare).params for word in option.opts}
COMMON |= {"--version", "-h", "--help"}


def row_of(name: str) -> str:
    """Return the row of the table of commands that tells of one."""
    rows = [line for line in section("Commands").splitlines() if line.startswith("| `archiver")]
    found = [row for row in rows if re.search(rf"`{re.escape(name)}(?:`| )", row)]
    assert len(found) == 1, f"{name}: {len(found)} rows"
    return found[0]


def test_the_table_of_commands_has_every_command_and_no_other() -> None:
    """Whole names, groups and their commands."""
    named = set(re.findall(r"`(archiver [a-z]+(?: [a-z]+)?)", section("Commands")))
    assert named == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_told_with_all_of_its_options(name: str) -> None:
    """And with no option that it has not."""
    own = {word for option in COMMANDS[name].params for word in option.opts if word[0] == "-"}
    own -= COMMON
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", row_of(name)))
    long = {word for word in own if word.startswith("--")}
    short = own - long
    assert told - COMMON <= own
    assert {word for word in long if word not in told and word != "--input"} == set()
    assert "--input" not in long or "-i" in told
    assert short <= {"-i"}


def test_the_common_options_are_told() -> None:
    """All of them, and no other."""
    words = section("Commands").partition("Options of every command")[2].partition("\n\n")[0]
    told = set(re.findall(r"(?<![\w-])-{1,2}[a-z][a-z-]*", words))
    assert told - {"-vv"} == COMMON


def test_the_exit_codes_are_told() -> None:
    """Each has a row, with what to do."""
    rows = re.findall(r"^\| ([\d, ]+) \|", section("Exit codes"), re.MULTILINE)
    assert [int(code) for row in rows for code in row.split(",")] == [
        code.value for code in ExitCode
    ]


def test_every_command_that_the_readme_shows_is_one() -> None:
    """Also in the examples, with options that it takes."""
    shown = re.findall(r"^\s*archiver ([^\n#|]+)", README, re.MULTILINE)
    assert len(shown) > 5
    for line in shown:
        words = line.split()
        name = next(n for n in COMMANDS if f"archiver {line} ".startswith(f"{n} "))
        options = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
        known = {opt for option in COMMANDS[name].params for opt in option.opts} | COMMON
        assert options <= known, line


def toml_of(title: str) -> list[str]:
    """Return the examples of configuration under a heading."""
    return re.findall(r"```toml\n(.*?)```", section(title), re.DOTALL)


def test_the_examples_of_configuration_are_accepted(tmp_path: Path) -> None:
    """Each with a source beside it; a key that is none is refused, so this can fail."""
    source = (
        '\n[[source]]\nname = "luma"\nprovider = "luma"\nbase_url = "https://api.example.com"\n'
    )
    texts = toml_of("Straight into S3")
    assert len(texts) == 3
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.toml"
        path.write_text('state_dir = "state"\n' + text + source)
        tomllib.loads(path.read_text())
        arguments = {"environ": {}, "cwd": tmp_path, "home": tmp_path, "overrides": []}
        load_config(path, providers=["luma"], **arguments)  # type: ignore[arg-type]
        path.write_text(path.read_text().replace("region", "regoin"))
        with pytest.raises(ConfigError, match="regoin"):
            load_config(path, providers=["luma"], **arguments)  # type: ignore[arg-type]
