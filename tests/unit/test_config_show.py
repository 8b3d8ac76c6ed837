"""What people see of the configuration: `config show`, and the example file."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.config import (
    Config,
    config_from_mapping,
    explain,
    known_keys,
    load_config,
    show,
)

ROOT = Path(__file__).parents[2]
PING = "0b53b7a5-5ad4-4b0f-9b0e-1f0c2b9a7d11"
EXAMPLE = ROOT / "config.example.toml"
BASE = Path("/etc/films")
HOME = Path("/home/ann")
SECRET = "s3cr3t-sk-91827364"

SAMPLES = {
    "store.url": "./archive",
    "source.name": "luma",
    "source.provider": "luma",
    "source.base_url": "https://api.example.com",
    "source.api_key_env": "LUMA_API_KEY",
    "source.inbox": ["inbox/*.txt"],
}
"""What the example shows instead of a default: what is required, and what makes it work."""


def load(document: dict[str, Any]) -> Config:
    return config_from_mapping(document, base_dir=BASE, home=HOME)


def document(**source: Any) -> dict[str, Any]:
    named = {"name": "luma", "provider": "luma", "base_url": "https://api.example.com"}
    return {"store": {"url": "./archive"}, "source": [named | source]}


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key == "source":
            for source in value:
                found |= flat(source, "source.")
        elif isinstance(value, dict) and key != "headers":
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


# --- the example --------------------------------------------------------------------------------


def test_the_example_holds_every_key_and_its_default() -> None:
    """Whoever reads the example knows all keys and what happens without them."""
    written = flat(tomllib.loads(EXAMPLE.read_text(encoding="utf-8")))
    wanted = known_keys() | SAMPLES
    assert written == wanted
    assert list(written) == list(wanted)


def test_the_example_loads_as_the_defaults() -> None:
    """The example is a configuration, and equal to one that holds the samples alone."""
    loaded = load_config(EXAMPLE, environ={}, cwd=ROOT, home=HOME)
    least = document(api_key_env="LUMA_API_KEY", inbox=["inbox/*.txt"])
    assert loaded.config == config_from_mapping(least, base_dir=ROOT, home=HOME)
    assert loaded.notes == ()


def test_every_key_of_the_example_is_explained() -> None:
    """Each line with a key ends in a comment, in the same words as the file's other texts."""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            assert re.search(r"\S  +# \S|\S {2,}# \S", line), line


def test_defaults_are_those_of_the_dataclasses() -> None:
    """Reading a default as the file would hold it gives the dataclass's own default."""
    explicit = document()
    for dotted, default in known_keys().items():
        if default is None:
            continue
        *tables, name = dotted.split(".")
        table: dict[str, Any] = explicit["source"][0] if tables == ["source"] else explicit
        for part in tables if tables != ["source"] else ():
            table = table.setdefault(part, {})
        table[name] = default
    assert load(explicit) == load(document())


# --- show ---------------------------------------------------------------------------------------


def test_show_is_the_same_configuration() -> None:
    """Without secrets, what is shown loads as what was shown, from any folder."""
    full = document(
        headers={"X-Team": "films", "X-Key": "env:KEY"},
        inbox=["in/*.txt", "~/x"],
        list=True,
        max_requests_per_second=0.5,
        api_key_command=["./k", "a\tb", 'c"\\d'],
    ) | {"download": {"max_rate": "5MB", "timeout": 0.25}, "run": {"verify_share": 0.123}}
    config = load(full)
    again = config_from_mapping(tomllib.loads(show(config)), base_dir=Path("/x"), home=Path("/y"))
    assert again == config


@given(
    url=st.text(
        st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30
    ),
    min_free=st.integers(0, 2**63 - 1),
    give_up=st.integers(1, 10**9),
    share=st.integers(0, 10**6),
    workers=st.integers(1, 256),
    program=st.text(st.characters(exclude_characters="\0"), min_size=1).filter(str.strip),
)
def test_anything_is_shown_as_it_loads(
    url: str, min_free: int, give_up: int, share: int, workers: int, program: str
) -> None:
    """Names with quotes, escapes or any other character survive; so does every number."""
    config = load(
        {
            "store": {"url": f"/x/{url}", "min_free": min_free},
            "source": document(api_key_command=["/" + program])["source"],
            "download": {"workers": workers},
            "run": {"give_up_waiting_after": give_up, "verify_share": share / 10**6},
        }
    )
    text = show(config)
    again = config_from_mapping(tomllib.loads(text), base_dir=BASE, home=HOME)
    assert again == config
    assert again.run.give_up_waiting_after == timedelta(seconds=give_up)


HIDDEN: list[tuple[str, dict[str, Any]]] = [
    ("a header with a telling name", document(headers={"X-Api-Key": SECRET})),
    ("a header with an innocent name", document(headers={"X-Team": SECRET})),
    ("a bearer", document(headers={"X-Team": f"Bearer {SECRET}"})),
    ("a cookie", document(headers={"Cookie": "a"})),
    ("a name that is a key", document(api_key_env="r8_Abcdefghijklmnop0123456789")),
    ("a query", document() | {"notify": {"healthcheck_url": f"https://h.example/p?t={SECRET}"}}),
    ("a user", document() | {"notify": {"healthcheck_url": f"https://a:{SECRET}@h.example/p"}}),
    ("a link in a command", document() | {"notify": {"command": ["c", f"http://h/?k={SECRET}"]}}),
    ("a header in a command", document() | {"notify": {"command": ["c", f"X-Token: {SECRET}"]}}),
]


@pytest.mark.parametrize("document", [d for _, d in HIDDEN], ids=[name for name, _ in HIDDEN])
def test_show_hides_secrets(document: dict[str, Any]) -> None:
    """Headers' values, keys, and the queries and users of links are asterisks."""
    config = load(document)
    for text in (show(config), repr(config)):
        assert SECRET not in text
    assert "r8_Abcdefghijklmnop0123456789" not in show(config)
    assert '"a"' not in show(config)
    tomllib.loads(show(config))


def test_show_keeps_what_is_no_secret() -> None:
    """Names of variables, hosts, paths and harmless headers are what `config show` is for."""
    config = load(
        document(api_key_env="LUMA_API_KEY", headers={"X-Team": "films", "X-K": "env:LUMA_K"})
        | {"notify": {"healthcheck_url": f"https://a:b@h.example/p/1/{PING}?t=x"}}
    )
    text = show(config)
    assert 'api_key_env = "LUMA_API_KEY"' in text
    assert 'headers = {"X-Team" = "films", "X-K" = "env:LUMA_K"}' in text
    assert 'healthcheck_url = "https://***@h.example/p/1/***?***"' in text


def test_explain_says_what_set_each_value(tmp_path: Path) -> None:
    """Behind each value stands the file, the variable, `--set`, or that it is the default."""
    (tmp_path / "archiver.toml").write_text(
        '[store]\nurl = "a"\n[[source]]\nname = "s"\nprovider = "luma"\nbase_url = "https://h"\n'
    )
    loaded = load_config(
        None,
        overrides=["download.workers=3"],
        environ={"ARCHIVER_SOURCE__S__USER_ID": "u"},
        cwd=tmp_path,
        home=HOME,
    )
    lines = explain(loaded).splitlines()
    assert f'url = "{tmp_path}/a"  # archiver.toml' in lines
    assert 'state_dir = "/home/ann/.local/state/archiver"  # default' in lines
    assert 'name = "s"  # archiver.toml' in lines
    assert 'user_id = "u"  # $ARCHIVER_SOURCE__S__USER_ID' in lines
    assert "workers = 3  # --set" in lines
    assert "max_attempts = 6  # default" in lines
    assert config_from_mapping(tomllib.loads("\n".join(lines)), base_dir=BASE, home=HOME) == (
        loaded.config
    )
