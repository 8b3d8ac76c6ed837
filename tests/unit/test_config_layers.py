"""Where the configuration is found, and what wins: command line, environment, file, default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from archiver.config import Listing, Loaded, load_config
from archiver.errors import ConfigError

SOURCE = """
[[source]]
name = "luma"
provider = "luma"
base_url = "https://api.example.com"
"""
LEAST = '[store]\nurl = "./archive"' + SOURCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A current folder, a home, a system's file; nothing of the real ones."""

    cwd: Path
    home: Path
    system_file: Path

    def load(
        self,
        path: Path | str | None = None,
        *,
        overrides: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Loaded:
        return load_config(
            Path(path) if path is not None else None,
            overrides=overrides,
            environ=environ or {},
            cwd=self.cwd,
            home=self.home,
            system_file=self.system_file,
        )

    def problem(
        self,
        path: Path | str | None = None,
        *,
        overrides: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(path, overrides=overrides, environ=environ)
        assert caught.value.__cause__ is None
        return caught.value.message

    def write(self, text: str = LEAST, name: str = "archiver.toml") -> Path:
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for name in ("work", "home", "etc"):
        (tmp_path / name).mkdir()
    return Machine(
        cwd=tmp_path / "work", home=tmp_path / "home", system_file=tmp_path / "etc/config.toml"
    )


# --- finding ------------------------------------------------------------------------------------


def test_the_file_is_looked_for_in_order(machine: Machine, tmp_path: Path) -> None:
    """-c, $ARCHIVER_CONFIG, the current folder, $XDG_CONFIG_HOME, ~/.config, the system's."""
    places = [
        machine.system_file,
        machine.home / ".config/archiver/config.toml",
        machine.cwd / "archiver.toml",
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(LEAST)
        assert machine.load().path == place
    xdg = tmp_path / "xdg"
    environ = {"XDG_CONFIG_HOME": str(xdg), "ARCHIVER_CONFIG": ""}
    assert machine.load(environ=environ).path == places[2]
    places[2].unlink()
    assert machine.load(environ=environ).path == machine.system_file
    (xdg / "archiver").mkdir(parents=True)
    (xdg / "archiver/config.toml").write_text(LEAST)
    assert machine.load(environ=environ).path == xdg / "archiver/config.toml"
    assert machine.load(environ={"XDG_CONFIG_HOME": "relative"}).path == places[1]
    named = machine.write(name="named.toml")
    assert machine.load(environ=environ | {"ARCHIVER_CONFIG": "named.toml"}).path == named
    other = machine.write(name="sub/other.toml")
    assert machine.load("sub/other.toml", environ={"ARCHIVER_CONFIG": str(named)}).path == other


def test_no_file_lists_the_places(machine: Machine) -> None:
    """Without any file the message says where it looked and how to begin."""
    assert machine.problem() == (
        "no configuration found; looked for\n"
        f"  {machine.cwd}/archiver.toml\n"
        f"  {machine.home}/.config/archiver/config.toml\n"
        f"  {machine.system_file}\n"
        "Copy config.example.toml to archiver.toml and fill in store.url and one [[source]], "
        "or name a file with -c FILE or $ARCHIVER_CONFIG."
    )


def test_a_named_file_is_never_passed_over(machine: Machine) -> None:
    """A file that was named but is not there is an error, even if another one is."""
    machine.write()
    assert machine.problem("other.toml") == "other.toml: there is no such file"
    environ = {"ARCHIVER_CONFIG": "/nowhere/x.toml"}
    assert machine.problem(environ=environ) == "/nowhere/x.toml: there is no such file"


def test_a_dangling_link_is_not_passed_over(machine: Machine) -> None:
    """A link to a missing file is meant to be the configuration."""
    (machine.cwd / "archiver.toml").symlink_to(machine.cwd / "gone")
    assert machine.problem() == "archiver.toml: there is no such file"


def test_home_is_expanded_in_names_of_files(machine: Machine) -> None:
    """`~` in $ARCHIVER_CONFIG is the home folder: cron has no shell that does it."""
    (machine.home / "a.toml").write_text(LEAST)
    loaded = machine.load(environ={"ARCHIVER_CONFIG": "~/a.toml"})
    assert loaded.path == machine.home / "a.toml"


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a = \n", "archiver.toml: line 1, column 5: is not TOML: Invalid value"),
        (b"\n\n  b c\n", "archiver.toml: line 3, column 5: is not TOML: Expected '=' after a key"),
        (b"\na = [1,", "archiver.toml: line 2, column 8: is not TOML: "),
        (b"a = 1\na = 2\n", "archiver.toml: line 2, column 6: is not TOML: Cannot overwrite"),
        (b"[a]\n[a]\n", "archiver.toml: line 2, column 3: is not TOML: Cannot declare"),
        (b"ok = 1\nb = 'x\xff'\n", "archiver.toml: line 2, column 7: is not UTF-8; save it as"),
        (b"\xef\xbb\xbfa = 1", "archiver.toml: line 1, column 1: begins with a byte order mark;"),
        ("a = 1".encode("utf-16"), "archiver.toml: line 1, column 1: begins with a byte order"),
        (b"a = " + b"[" * 100_000, "archiver.toml: is nested too deeply"),
        (b"a = " + b"9" * 5000, "archiver.toml: holds a number of thousands of digits"),
        (b"#" * (4 * 1024**2 + 1), "archiver.toml: is over 4 MiB; that is no configuration"),
        (b"a\x00 = 1", "archiver.toml: line 1, column 2: is not TOML: "),
        (b"", "archiver.toml: store.url: is missing;"),
    ],
)
def test_unreadable_texts_are_named(machine: Machine, data: bytes, message: str) -> None:
    """What is not TOML is said with file, line and column."""
    (machine.cwd / "archiver.toml").write_bytes(data)
    assert machine.problem().startswith(message)


def test_other_files_are_named(machine: Machine) -> None:
    """A folder, a path through a file and an impossible name are said in words."""
    assert machine.problem(".") == ".: is a folder; name the file in it"
    machine.write()
    message = machine.problem("archiver.toml/x")
    assert message == "archiver.toml/x: cannot be read: Not a directory"
    assert machine.problem("a\0b") == '"a\\u0000b": cannot be read: not a file name'


def test_a_file_without_permission_is_named(machine: Machine, tmp_path: Path) -> None:
    """The reason of the system is in the message (a loop of links: root may read all files)."""
    (tmp_path / "work/archiver.toml").symlink_to("archiver.toml")
    assert machine.problem() == "archiver.toml: cannot be read: Too many levels of symbolic links"


def test_windows_line_ends_are_read(machine: Machine) -> None:
    """A file edited on another system is the same configuration."""
    (machine.cwd / "archiver.toml").write_bytes(LEAST.replace("\n", "\r\n").encode())
    assert machine.load().config.sources[0].name == "luma"


def test_paths_in_the_file_are_relative_to_it(machine: Machine) -> None:
    """Not to the current folder: cron starts elsewhere."""
    path = machine.write('state_dir = "state"\n' + LEAST, name="conf/a.toml")
    config = machine.load(path).config
    assert config.store.root == machine.cwd / "conf/archive"
    assert config.state_dir == machine.cwd / "conf/state"


def test_paths_on_the_command_line_are_relative_to_the_current_folder(machine: Machine) -> None:
    """So are those in the environment; `~` is the home folder in both."""
    path = machine.write(LEAST, name="conf/a.toml")
    config = machine.load(
        path,
        overrides=["store.url=./there", "source.luma.inbox=['in/*']"],
        environ={"ARCHIVER_STATE_DIR": "state", "ARCHIVER_NOTIFY__METRICS_FILE": "~/m.prom"},
    ).config
    assert config.store.root == machine.cwd / "there"
    assert config.sources[0].inbox == (f"{machine.cwd}/in/*",)
    assert config.state_dir == machine.cwd / "state"
    assert config.notify.metrics_file == machine.home / "m.prom"


# --- precedence ---------------------------------------------------------------------------------


@pytest.mark.parametrize("on_line", [False, True])
@pytest.mark.parametrize("in_environ", [False, True])
@pytest.mark.parametrize("in_file", [False, True])
def test_the_upper_layer_wins(
    machine: Machine, in_file: bool, in_environ: bool, on_line: bool
) -> None:
    """Command line over environment over file over default, for plain keys and a source's."""
    machine.write(LEAST + ("user_id = 'file'\n[download]\nworkers = 11\n" if in_file else ""))
    variables = {"ARCHIVER_DOWNLOAD__WORKERS": "22", "ARCHIVER_SOURCE__LUMA__USER_ID": "environ"}
    arguments = ["download.workers=33", "source.luma.user_id=line"]
    loaded = machine.load(
        overrides=arguments if on_line else (), environ=variables if in_environ else {}
    )
    workers, user = loaded.config.download.workers, loaded.config.sources[0].user_id
    if on_line:
        assert (workers, user) == (33, "line")
        assert loaded.origins["download.workers"] == "--set"
    elif in_environ:
        assert (workers, user) == (22, "environ")
        assert loaded.origins["download.workers"] == "$ARCHIVER_DOWNLOAD__WORKERS"
    elif in_file:
        assert (workers, user) == (11, "file")
        assert loaded.origins["source.0.user_id"] == "archiver.toml"
    else:
        assert (workers, user) == (8, "")
        assert "download.workers" not in loaded.origins


def test_the_last_of_two_overrides_wins(machine: Machine) -> None:
    """As with every option that is given twice."""
    machine.write()
    overrides = ["download.workers=1", "download.workers=2"]
    assert machine.load(overrides=overrides).config.download.workers == 2


def test_a_wrong_value_below_does_not_matter(machine: Machine) -> None:
    """What is overridden is not judged."""
    machine.write(LEAST + "[download]\nworkers = 'many'\n")
    assert machine.load(overrides=["download.workers=2"]).config.download.workers == 2


@pytest.mark.parametrize(
    ("override", "attribute", "value"),
    [
        ("download.timeout=90", "download.timeout_s", 90),
        ("download.timeout=90s", "download.timeout_s", 90),
        ('download.timeout="90s"', "download.timeout_s", 90),
        ("download.max_rate=", "download.max_rate_bytes", None),
        ("download.max_rate=5M", "download.max_rate_bytes", 5 * 1024**2),
        ("download.workers= 4 ", "download.workers", 4),
        ("run.verify_share=5%", "run.verify_share", 0.05),
        ("run.verify_share=0.05", "run.verify_share", 0.05),
        ('download.prefer=["a", "b"]', "download.prefer", ("a", "b")),
        ("notify.command=['a', 'b=c']", "notify.command", ("a", "b=c")),
        ("network.allow_private_addresses=true", "network.allow_private_addresses", True),
        ("network.allow_private_addresses=1", "network.allow_private_addresses", True),
        ("network.allow_private_addresses=No", "network.allow_private_addresses", False),
        ("store.s3.region=true", "store.s3.region", "true"),
        ("store.s3.region=2024-01-01", "store.s3.region", "2024-01-01"),
        ("store.path={task_id}", "store.path", "{task_id}"),
        ("store.url=s3://bucket/x", "store.url", "s3://bucket/x"),
    ],
)
def test_overrides_are_read_as_toml_or_text(
    machine: Machine, override: str, attribute: str, value: object
) -> None:
    """Text needs no quotes on a command line, nor in the environment; lists are TOML."""
    machine.write()
    dotted, _, text = override.partition("=")
    variable = "ARCHIVER_" + dotted.replace(".", "__").upper()
    for loaded in (
        machine.load(overrides=[override]),
        machine.load(environ={variable: text}),
    ):
        found: object = loaded.config
        for part in attribute.split("."):
            found = getattr(found, part)
        assert found == value


@pytest.mark.parametrize("address", ["luma", "0"])
def test_overrides_reach_one_source(machine: Machine, address: str) -> None:
    """By its name or by its number."""
    machine.write(LEAST + SOURCE.replace("luma", "b.c-d", 1))
    loaded = machine.load(
        overrides=[
            f"source.{address}.list=true",
            f'source.{address}.headers={{"X-A" = "1"}}',
            "source.b.c-d.user_id=5",
        ],
        environ={
            f"ARCHIVER_SOURCE__{address.upper()}__BASE_URL": "https://a.example",
            "ARCHIVER_SOURCE__B_C_D__BASE_URL": "https://b.example",
            "ARCHIVER_SOURCE__1__MAX_REQUESTS_PER_SECOND": "0.5",
        },
    )
    first, second = loaded.config.sources
    assert (first.base_url, first.list) == ("https://a.example", Listing.PROVIDER)
    assert first.headers == (("X-A", "1"),)
    assert (second.base_url, second.user_id) == ("https://b.example", "5")
    assert second.max_requests_per_second == 0.5
    assert loaded.notes == ()


def test_the_longest_name_of_a_source_is_meant(machine: Machine) -> None:
    """`source.b.list.user_id` is of the source `b.list`, though there is a source `b` too."""
    second, third = (SOURCE.replace("luma", name, 1) for name in ("b", "b.list"))
    machine.write(LEAST + second + third)
    loaded = machine.load(overrides=["source.b.list.user_id=5", "source.b.list=true"])
    users = [(s.name, s.user_id, bool(s.list)) for s in loaded.config.sources]
    assert users == [("luma", "", False), ("b", "", True), ("b.list", "5", False)]


def test_one_header_can_be_set(machine: Machine) -> None:
    """`--set source.NAME.headers.X=…` adds to the file's headers, or replaces one of them."""
    machine.write(LEAST + 'headers = {"X-A" = "1", "X-B" = "2"}\n')
    overrides = ["source.luma.headers.x-b=3", "source.luma.headers.X-C=env:C"]
    headers = machine.load(overrides=overrides).config.sources[0].headers
    assert headers == (("X-A", "1"), ("x-b", "3"), ("X-C", "env:C"))


def test_another_place_of_a_key_replaces_the_files(machine: Machine) -> None:
    """A key's file on the command line wins over the variable that the file names."""
    machine.write(LEAST + 'api_key_env = "A"\n')
    source = machine.load(overrides=["source.luma.api_key_file=k"]).config.sources[0]
    assert (source.api_key_env, source.api_key_file) == ("", machine.cwd / "k")
    variables = {"ARCHIVER_SOURCE__LUMA__API_KEY_COMMAND": "['x']"}
    source = machine.load(environ=variables).config.sources[0]
    assert (source.api_key_env, source.api_key_command) == ("", ("x",))
    both = ["source.luma.api_key_file=k", "source.luma.api_key_env=B"]
    assert "keep one of them" in machine.problem(overrides=both)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("store.ulr=x", '--set: store.ulr: unknown key; did you mean "store.url"?'),
        ("stor.url=x", '--set: stor.url: unknown key; did you mean "store.url"?'),
        ("workers=1", '--set: workers: unknown key; did you mean "download.workers"?'),
        ("store=x", "--set: store: is a table; name a key in it, e.g. store.url"),
        ("source=x", "--set: source: is a table; name a key in it, e.g. source.name"),
        ("store.url", "--set: store.url: has no value; write store.url=VALUE"),
        ("nothing", "--set: is not KEY=VALUE; write e.g. --set store.url=./archive"),
        ("=x", "--set: is not KEY=VALUE; write e.g. --set store.url=./archive"),
        ("", "--set: is not KEY=VALUE; write e.g. --set store.url=./archive"),
        (
            "source.lumma.list=true",
            '--set: source.lumma: there is no such source; there is "luma" (or a number from 0)',
        ),
        (
            "source.1.list=true",
            '--set: source.1: there is no such source; there is "luma" (or a number from 0)',
        ),
        (
            "source.luma.lists=true",
            '--set: source.luma.lists: unknown key; did you mean "source.list"?',
        ),
        ("source.luma=x", '--set: source.luma: there is no such source; there is "luma"'),
        (
            "source.luma.headers.=x",
            '--set: source.luma."headers.": unknown key; did you mean "source.headers"?',
        ),
        (
            "download.timeout=30 parsecs",
            '--set: download.timeout: "30 parsecs" is not a duration; '
            'write e.g. "30s", "10m", "2h"',
        ),
        ("download.workers=x", '--set: download.workers: "x" is not a whole number;'),
        ("download.workers=1\nb = 2", '--set: download.workers: "1\\nb = 2" is not a whole'),
        ("download.workers=" + "[" * 100_000, '--set: download.workers: "[[[['),
        ("\x1b[31m=x", '--set: "\\u001b[31m": unknown key'),
    ],
)
def test_wrong_overrides_are_named(machine: Machine, override: str, message: str) -> None:
    """The message names `--set`, the key and the nearest one."""
    machine.write()
    found = machine.problem(overrides=[override])
    assert found.startswith(message)
    assert found.isprintable()


def test_text_without_a_key_is_not_repeated(machine: Machine) -> None:
    """A key pasted after `--set` by mistake is not printed."""
    machine.write()
    assert "sk-12345" not in machine.problem(overrides=["sk-12345"])


def test_a_wrong_variable_is_named(machine: Machine) -> None:
    """The message names the variable and the key."""
    machine.write()
    assert machine.problem(environ={"ARCHIVER_DOWNLOAD__TIMEOUT": "30 parsecs"}) == (
        '$ARCHIVER_DOWNLOAD__TIMEOUT: download.timeout: "30 parsecs" is not a duration; '
        'write e.g. "30s", "10m", "2h"'
    )


def test_a_variable_for_two_sources_is_refused(machine: Machine) -> None:
    """`a-b` and `a.b` are one name in the environment; the message says what to write."""
    machine.write(LEAST.replace("luma", "a.b", 1) + SOURCE.replace("luma", "a-b", 1))
    message = machine.problem(environ={"ARCHIVER_SOURCE__A_B__USER_ID": "5"})
    assert message == (
        '$ARCHIVER_SOURCE__A_B__USER_ID: stands for both "a.b" and "a-b"; '
        "say which by number, e.g. ARCHIVER_SOURCE__0__USER_ID"
    )


@pytest.mark.parametrize(
    ("variable", "note"),
    [
        (
            "ARCHIVER_STORE__URI",
            "$ARCHIVER_STORE__URI is not a key of archiver and was ignored; "
            "did you mean $ARCHIVER_STORE__URL?",
        ),
        (
            "ARCHIVER_SOURCE__LUMA__API_KEY",
            "$ARCHIVER_SOURCE__LUMA__API_KEY is not a key of archiver and was ignored; "
            "did you mean $ARCHIVER_SOURCE__LUMA__API_KEY_ENV?",
        ),
        ("ARCHIVER_X", "$ARCHIVER_X is not a key of archiver and was ignored"),
        ("ARCHIVER_STORE", "$ARCHIVER_STORE is not a key of archiver and was ignored"),
        ("ARCHIVER_SOURCE__B__USER_ID", "$ARCHIVER_SOURCE__B__USER_ID is not a key of archiver"),
        ("ARCHIVER_\x1b", '$"ARCHIVER_\\u001b" is not a key of archiver and was ignored'),
    ],
)
def test_unknown_variables_are_notes(machine: Machine, variable: str, note: str) -> None:
    """Another program's variable must not stop a run; its value is not repeated."""
    machine.write()
    (found,) = machine.load(environ={variable: "secret", "OTHER": "x"}).notes
    assert found.startswith(note)
    assert "secret" not in found


def test_the_variable_of_the_file_is_no_key(machine: Machine) -> None:
    """$ARCHIVER_CONFIG names the file and is no unknown key."""
    path = machine.write(name="x.toml")
    assert machine.load(environ={"ARCHIVER_CONFIG": str(path)}).notes == ()


@pytest.mark.parametrize(
    ("url", "noted"),
    [
        ("http://api.example.com", True),
        ("http://localhost.example.com", True),
        ("http://localhost:8080/x", False),
        ("http://127.0.0.1:1", False),
        ("http://[::1]:1", False),
        ("https://api.example.com", False),
    ],
)
def test_plain_http_is_noted(machine: Machine, url: str, noted: bool) -> None:
    """A key that leaves the machine unencrypted is worth a note, not an error."""
    machine.write()
    notes = machine.load(overrides=[f"source.luma.base_url={url}"]).notes
    assert bool(notes) is noted
    assert all("plain http" in note for note in notes)
