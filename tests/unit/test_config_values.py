"""Every value of the configuration: what it becomes, and what is said of a wrong one."""

from __future__ import annotations

import math
import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from archiver.config import Config, Listing, config_from_mapping
from archiver.errors import ConfigError

BASE = Path("/etc/films")
HOME = Path("/home/ann")
SECRET = "s3cr3t-sk-91827364"


def source(**keys: Any) -> dict[str, Any]:
    return {"name": "luma", "provider": "luma", "base_url": "https://api.example.com"} | keys


def mapping(**tables: Any) -> dict[str, Any]:
    return {"store": {"url": "./archive"}, "source": [source()]} | tables


def load(document: dict[str, Any]) -> Config:
    return config_from_mapping(document, base_dir=BASE, home=HOME, label="archiver.toml")


def problems(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(document)
    assert caught.value.code == "config"
    assert caught.value.__cause__ is None
    return caught.value.message.split("\n")


def with_key(dotted: str, value: Any) -> dict[str, Any]:
    """Return a configuration that is right but for one key."""
    *tables, name = dotted.split(".")
    document = mapping()
    if tables == ["source"]:
        document["source"] = [source(**{name: value})]
        return document
    table = document
    for part in tables:
        table = table.setdefault(part, {})
    table[name] = value
    return document


def test_the_least_configuration_has_all_defaults() -> None:
    """A store and one source are enough; all else is as the contract says."""
    config = load(mapping())
    assert config.state_dir == HOME / ".local/state/archiver"
    assert config.store.root == BASE / "archive"
    assert config.store.path == "{source}/{created:%Y/%m/%d}/{task_id}"
    assert config.store.min_free_bytes == 100 * 1024**2
    assert config.store.s3.part_size_bytes == 8 * 1024**2
    assert config.store.s3.region == "auto"
    (only,) = config.sources
    assert (only.name, only.provider) == ("luma", "luma")
    assert only.max_requests_per_second == 5
    assert only.list is Listing.OFF
    assert not only.list
    assert config.download.workers == 8
    assert config.download.prefer == ("video_raw", "download_url", "no_mark", "url")
    assert config.download.max_attempts == 6
    assert config.download.timeout_s == 30
    assert config.download.max_size_bytes == 20 * 1024**3
    assert config.download.max_rate_bytes is None
    assert config.download.upgrade_watermarked_for == timedelta(days=30)
    assert config.download.on_dimension_mismatch == "keep"
    assert config.network.allow_private_addresses is False
    assert config.run.verify_share == 0.01
    assert config.run.verify_max_bytes == 20 * 1024**3
    assert config.run.give_up_waiting_after == timedelta(days=7)
    assert config.notify.healthcheck_url == ""
    assert config.notify.metrics_file is None
    assert config.notify.command == ()


@pytest.mark.parametrize(
    ("dotted", "value", "attribute", "typed"),
    [
        ("state_dir", "state", "state_dir", BASE / "state"),
        ("state_dir", Path("/var/lib/x"), "state_dir", Path("/var/lib/x")),
        ("store.path", "{task_id[:2]}/{task_id}", "store.path", "{task_id[:2]}/{task_id}"),
        ("store.min_free", 0, "store.min_free_bytes", 0),
        ("store.s3.endpoint_url", "http://127.0.0.1:9000/", "store.s3.endpoint_url", None),
        ("store.s3.part_size", "5MiB", "store.s3.part_size_bytes", 5 * 1024**2),
        ("store.s3.sse", "AES256", "store.s3.sse", "AES256"),
        ("store.s3.region", "", "store.s3.region", ""),
        ("source.list", True, "sources.list", Listing.PROVIDER),
        ("source.list", False, "sources.list", Listing.OFF),
        ("source.max_requests_per_second", 0.5, "sources.max_requests_per_second", 0.5),
        ("source.headers", {"X-A": "1"}, "sources.headers", (("X-A", "1"),)),
        ("source.headers", {"X-A": "env:A"}, "sources.headers", (("X-A", "env:A"),)),
        ("source.api_key_file", "key", "sources.api_key_file", BASE / "key"),
        ("source.api_key_file", "~/k", "sources.api_key_file", HOME / "k"),
        ("source.api_key_command", ["pass", "x"], "sources.api_key_command", ("pass", "x")),
        ("source.api_key_command", ["./p", "./x"], "sources.api_key_command", None),
        ("source.inbox", ["a/*.txt"], "sources.inbox", ("/etc/films/a/*.txt",)),
        ("download.workers", 256, "download.workers", 256),
        ("download.prefer", ["their_own_name"], "download.prefer", ("their_own_name",)),
        ("download.timeout", "1m", "download.timeout_s", 60.0),
        ("download.max_rate", "5M", "download.max_rate_bytes", 5 * 1024**2),
        ("download.upgrade_watermarked_for", 0, "download.upgrade_watermarked_for", timedelta(0)),
        ("download.on_dimension_mismatch", "refuse", "download.on_dimension_mismatch", "refuse"),
        ("network.allow_private_addresses", True, "network.allow_private_addresses", True),
        ("run.verify_share", 0.05, "run.verify_share", 0.05),
        ("run.verify_max_bytes", 0, "run.verify_max_bytes", 0),
        ("notify.metrics_file", "", "notify.metrics_file", None),
        ("notify.metrics_file", "/x.prom", "notify.metrics_file", Path("/x.prom")),
        ("notify.command", ["mail", "me"], "notify.command", ("mail", "me")),
    ],
)
def test_values_become_typed(dotted: str, value: Any, attribute: str, typed: Any) -> None:
    """Each key ends in its own field, with its own type and unit."""
    found: Any = load(with_key(dotted, value))
    for part in attribute.split("."):
        found = getattr(found, part)
        if part == "sources":
            (found,) = found
    special = {
        "store.s3.endpoint_url": "http://127.0.0.1:9000",
        "source.api_key_command": ("/etc/films/p", "./x"),
    }
    assert found == (special[dotted] if typed is None and value else typed)


WRONG = [
    # texts
    ("store.path", 5, "5 is not text; put it in quotes"),
    ("store.path", "a\nb", "holds a line break or another control character; take it out"),
    ("source.user_id", " 5", '" 5" begins or ends with a space; take it out'),
    ("source.user_id", 42, "42 is not text; put it in quotes"),
    # templates
    ("store.path", "{task_id[:2]}", "must contain {task_id} whole"),
    ("store.path", "a//{task_id}", "no part that is empty"),
    ("store.path", "/{task_id}", "must be a relative path"),
    ("store.path", "../{task_id}", "must be a relative path"),
    ("store.path", "{task_id.__class__}", None),
    ("store.path", "{title}/{task_id}", None),
    ("store.path", "{task_id", None),
    ("store.path", "", None),
    # stores
    ("store.url", 5, "5 is not text; put it in quotes"),
    ("store.url", "", "is empty; write a path"),
    ("store.url", "ftp://x/y", 'is neither a folder nor "s3://bucket/prefix"; write one of them'),
    ("store.url", "s3:bucket", 'is neither a folder nor "s3://bucket/prefix"; write one of them'),
    ("store.url", "s3://", 'names no possible bucket; write "s3://bucket/prefix"'),
    ("store.url", "s3://ab", 'names no possible bucket; write "s3://bucket/prefix"'),
    ("store.url", "s3:///prefix", 'names no possible bucket; write "s3://bucket/prefix"'),
    ("store.url", "s3://ann:pw@bucket", "holds a user name or key; take it out and name variables"),
    ("store.url", "s3://bucket/a/../b", 'has a prefix with an empty, "." or ".." part'),
    ("store.url", "s3://bucket/a//b", 'has a prefix with an empty, "." or ".." part'),
    ("store.url", "s3://bucket/a?b=c", "or with ?, # or \\"),
    ("store.url", "s3://bucket/" + "p" * 401, "has a prefix over 400 bytes"),
    ("store.url", "$HOME/archive", '"$HOME/archive": variables are not expanded here; write ~ or'),
    ("store.url", "~bob/archive", '"~bob" is not known; write "~/…" or the whole path'),
    ("store.url", "a\x00b", "holds a line break or another control character"),
    # S3
    ("store.s3.sse", "aes", '"aes" is not known; write "" or "AES256" or "aws:kms"'),
    ("store.s3.part_size", "4MiB", '"4MiB" is less than 5MiB'),
    ("store.s3.part_size", "6GiB", '"6GiB" is more than 5GiB'),
    ("store.s3.part_size", "big", '"big" is not a size; write e.g.'),
    ("store.s3.region", "eu west", '"eu west" is not a region; write e.g. "eu-west-1"'),
    ("store.s3.storage_class", "ia", '"ia" is not a storage class; write e.g. "STANDARD_IA"'),
    ("store.s3.endpoint_url", "s3.example.com", "is not an absolute http or https URL; write e.g."),
    ("store.s3.sse_kms_key_id", "key", 'needs store.s3.sse = "aws:kms"'),
    # sources
    ("source.name", "a/b", '"a/b" is not a name; use up to 100 of A-Z a-z 0-9 . _ -'),
    ("source.name", "", '"" is not a name; use up to 100 of A-Z a-z 0-9 . _ -'),
    ("source.name", "n" * 101, "is not a name; use up to 100 of A-Z a-z 0-9 . _ -"),
    ("source.name", "é", '"é" is not a name; use up to 100 of A-Z a-z 0-9 . _ -'),
    ("source.name", "..", '".." is reserved; choose another'),
    ("source.name", ".Archiver", '".Archiver" is reserved; choose another'),
    ("source.provider", "lumma", '"lumma" is not known; did you mean "luma"?'),
    ("source.provider", "sora", '"sora" is not known; there is flux ideogram kling luma'),
    ("source.base_url", 5, "5 is not text; put the URL in quotes"),
    ("source.base_url", "", 'is not an absolute http or https URL; write e.g. "https://api'),
    ("source.base_url", "api.example.com", "is not an absolute http or https URL"),
    ("source.base_url", "ftp://api.example.com", "is not an absolute http or https URL"),
    ("source.base_url", "https://a b.example", "is not an absolute http or https URL"),
    ("source.base_url", "https://a\\b", "is not an absolute http or https URL"),
    ("source.base_url", "https://a\n", "is not an absolute http or https URL"),
    ("source.base_url", "https://", "has no host, or one that cannot be"),
    ("source.base_url", "https://:80", "has no host, or one that cannot be"),
    ("source.base_url", "https://a:b", "has no host, or one that cannot be"),
    ("source.base_url", "https://[::1", "has no host, or one that cannot be"),
    ("source.base_url", "https://a:0", "has a port that is not from 1 to 65535"),
    ("source.base_url", "https://a:70000", "has a port that is not from 1 to 65535"),
    ("source.base_url", "https://a/?x=1", 'has a "?" or "#" part; take it off'),
    ("source.base_url", "https://a/#x", 'has a "?" or "#" part; take it off'),
    ("source.base_url", "https://a?", 'has a "?" or "#" part; take it off'),
    ("source.headers", [], "must be a table, e.g."),
    ("source.headers", {"a b": "x"}, '"a b" is not the name of a header'),
    ("source.headers", {"": "x"}, '"" is not the name of a header'),
    ("source.headers", {"Host": "x"}, "Host is set by archiver itself; take it out"),
    ("source.headers", {"a": "x", "A": "y"}, "A is there twice; case does not matter in header"),
    ("source.headers", {"A": 5}, "the value of A is not text; put it in quotes"),
    ("source.headers", {"A": "env:"}, 'the value of A has no variable\'s name after "env:"'),
    ("source.headers", {"A": ""}, "the value of A is empty"),
    ("source.headers", {"A": "x\r\nB: y"}, "the value of A holds a line break or another control"),
    ("source.headers", {"A": "\u0142"}, "the value of A holds a character that no header can"),
    ("source.headers", {"A": "x "}, "the value of A begins or ends with a space"),
    ("source.inbox", "inbox/*.txt", 'must be a list, e.g. ["inbox/*.txt"]'),
    ("source.inbox", [""], "is empty; write a path"),
    ("source.inbox", [5], "5 is not text; put it in quotes"),
    ("source.list", "yes", '"yes" is not known; write false, true or "gateway"'),
    ("source.list", 1, '1 is not known; write false, true or "gateway"'),
    (
        "source.list",
        "gateway",
        '"gateway" needs user_id and one of user_token_env, _file, _command',
    ),
    ("source.api_key_env", "my key", "is not the name of an environment variable"),
    ("source.api_key_env", 5, "is not the name of an environment variable"),
    ("source.api_key_file", ["x"], "a list is not text; put it in quotes"),
    ("source.api_key_command", "pass show x", 'must be a list, e.g. ["pass", "show", "luma"]'),
    ("source.api_key_command", ["pass", 5], "must hold text only: the program, then its arguments"),
    ("source.api_key_command", ["pass", "a\0"], "must hold text only: the program, then its"),
    ("source.api_key_command", [" "], "names no program; the first item is the program"),
    ("source.max_requests_per_second", 0, "0 is not more than 0 and at most 10000"),
    ("source.max_requests_per_second", -1, "-1 is not more than 0 and at most 10000"),
    ("source.max_requests_per_second", math.nan, "nan is not more than 0 and at most 10000"),
    ("source.max_requests_per_second", math.inf, "inf is not more than 0 and at most 10000"),
    ("source.max_requests_per_second", True, "true is not a number; write e.g. 5 or 0.5"),
    ("source.max_requests_per_second", "5", '"5" is not a number; write e.g. 5 or 0.5, without'),
    # numbers
    ("download.workers", 0, "0 is not from 1 to 256"),
    ("download.workers", 257, "257 is not from 1 to 256"),
    ("download.workers", 16**9000, "that huge number is not from 1 to 256"),
    ("download.workers", True, "true is not a whole number; write one from 1 to 256"),
    ("download.workers", 8.0, "8.0 is not a whole number; write one from 1 to 256"),
    ("download.workers", "8", '"8" is not a whole number; write one from 1 to 256, without quotes'),
    ("download.workers", [8], "a list is not a whole number"),
    ("download.workers", {"a": 1}, "a table is not a whole number"),
    ("download.workers", date(2024, 1, 1), "a date is not a whole number"),
    ("download.max_attempts", 101, "101 is not from 1 to 100"),
    # words
    ("download.prefer", "url", 'must be a list, e.g. ["video_raw", "url"]'),
    ("download.prefer", [5], "5 is not text; put it in quotes"),
    ("download.prefer", ["url", "url"], "holds an empty word or one word twice"),
    ("download.prefer", [""], "holds an empty word or one word twice"),
    ("download.on_dimension_mismatch", "drop", '"drop" is not known; write "keep" or "refuse"'),
    # sizes, durations, shares
    ("store.min_free", "lots", '"lots" is not a size; write e.g. "100MiB", "5GB", "1024"'),
    ("download.max_size", 0, "0 is less than 1"),
    ("download.max_rate", "0", '"0" would let nothing through; write "" for no limit'),
    ("download.timeout", "30 parsecs", '"30 parsecs" is not a duration; write e.g. "30s", "10m"'),
    ("download.timeout", 0, "0 is not more than 0 and at most 1d"),
    ("download.timeout", "2d", '"2d" is not more than 0 and at most 1d'),
    ("run.give_up_waiting_after", "0", '"0" is not more than 0'),
    ("run.verify_share", "5", '"5" is not a share; write a percentage from "0%" to "100%"'),
    ("run.verify_max_bytes", -1, "-1 is no possible size"),
    ("network.allow_private_addresses", "no", '"no" is neither true nor false; write one of them'),
    ("network.allow_private_addresses", 0, "0 is neither true nor false; write one of them"),
    ("notify.healthcheck_url", "hc-ping.com/x", "is not an absolute http or https URL"),
    ("notify.healthcheck_url", "https://h/x#y", 'has a "?" or "#" part'),
    ("notify.command", "mail me", "must be a list, e.g."),
    # structure
    ("store.s3", "x", '"x" is not a table; write [store.s3]'),
    ("download", [], "a list is not a table; write [download]"),
]


@pytest.mark.parametrize(
    ("dotted", "value", "message"),
    [pytest.param(*wrong, id=f"{n}-{wrong[0]}") for n, wrong in enumerate(WRONG)],
)
def test_a_wrong_value_is_named(dotted: str, value: Any, message: str | None) -> None:
    """The one line names the file and the key, says what is wrong, and is fit for a terminal."""
    (line,) = problems(with_key(dotted, value))
    shown = dotted.replace("source.", "source.luma.")
    if dotted == "source.name":
        shown = f"source.{value if value in ('..', '.Archiver') else 0}.name"
    start = f"archiver.toml: {shown}: "
    assert line.startswith(start)
    assert message is None or line[len(start) :].startswith(message) or message in line
    assert len(line) < 300
    assert line.isprintable()


SECRET_PLACES = [
    ("source.base_url", f"https://ann:{SECRET}@api.example.com"),
    ("source.base_url", f"https://{SECRET}@api.example.com"),
    ("source.base_url", f"https://ann:x/{SECRET}@api.example.com"),
    ("source.base_url", f"https://ann/{SECRET}@api.example.com"),
    ("source.base_url", f"https://api.example.com/?key={SECRET}"),
    ("source.base_url", f"https://api.example.com:{SECRET}/"),
    ("source.base_url", SECRET),
    ("source.api_key_env", SECRET),
    ("source.headers", {"Authorization": f"Bearer\n{SECRET}"}),
    ("source.headers", {"Authorization": f"{SECRET} "}),
    ("source.headers", {"Authorization": f"env:{SECRET}"}),
    ("source.headers", {"Authorization": [SECRET]}),
    ("source.headers", SECRET),
    ("source.api_key_command", SECRET),
    ("source.api_key_command", ["", SECRET]),
    ("store.url", f"s3://{SECRET}:x@bucket/prefix"),
    ("store.url", f"https://x/{SECRET}"),
    ("store.url", f"s3://bucket/p?X-Amz-Signature={SECRET}"),
    ("store.s3.endpoint_url", f"https://ann:{SECRET}@s3.example.com"),
    ("store.s3.access_key_id_env", SECRET),
    ("notify.healthcheck_url", f"ann:{SECRET}@hc.example"),
    ("notify.healthcheck_url", f"https://hc.example/#{SECRET}"),
]


@pytest.mark.parametrize(("dotted", "value"), SECRET_PLACES)
def test_no_message_holds_a_secret(dotted: str, value: Any) -> None:
    """What may hold a key or a password is not quoted when it is wrong."""
    (line,) = problems(with_key(dotted, value))
    assert SECRET not in line
    assert dotted.rpartition(".")[2] in line


def test_user_info_in_a_base_url_is_refused() -> None:
    """A key in the URL is refused in words that say where it belongs."""
    (line,) = problems(with_key("source.base_url", "https://ann:pw@a.example"))
    assert line == (
        "archiver.toml: source.luma.base_url: holds a user name or password; take it out of the URL"
    )


def test_two_ways_to_one_key_are_refused() -> None:
    """Of `_env`, `_file` and `_command` one may be set, for every secret."""
    document = mapping(source=[source(api_key_env="A", api_key_command=["b"])])
    assert problems(document) == [
        "archiver.toml: source.luma.api_key_command: is set together with "
        "source.luma.api_key_env; keep one of them"
    ]
    document = mapping(source=[source(user_token_file="a", user_token_env="B")])
    assert "source.luma.user_token_file: is set together" in problems(document)[0]
    pair = {"access_key_id_env": "A", "access_key_id_file": "b", "secret_access_key_env": "C"}
    document = mapping(store={"url": "s3://bucket", "s3": pair})
    assert problems(document) == [
        "archiver.toml: store.s3.access_key_id_file: is set together with "
        "store.s3.access_key_id_env; keep one of them"
    ]


@pytest.mark.parametrize(
    "s3",
    [
        {"access_key_id_env": "A"},
        {"secret_access_key_command": ["b"]},
        {"session_token_env": "C"},
    ],
)
def test_s3_credentials_come_in_pairs(s3: dict[str, Any]) -> None:
    """Half a pair of credentials would fall back on another account: refused."""
    (line,) = problems(mapping(store={"url": "s3://bucket", "s3": s3}))
    assert line.startswith("archiver.toml: store.s3: access_key_id_… and secret_access_key_… go")


def test_gateway_lists_need_a_user() -> None:
    """With a user's id and token, `list = "gateway"` is right."""
    document = mapping(source=[source(list="gateway", user_id="7", user_token_env="T")])
    assert load(document).sources[0].list is Listing.GATEWAY


def test_names_of_sources_are_unique_but_for_case() -> None:
    """Two sources never share a folder, on no file system."""
    document = mapping(source=[source(), source()])
    assert problems(document) == [
        'archiver.toml: source.1.name: "luma" is the name of two sources; choose another'
    ]
    document = mapping(source=[source(), source(name="LUMA")])
    assert problems(document) == [
        'archiver.toml: source.1.name: "LUMA" differs from "luma" only in upper and lower case; '
        "choose another"
    ]


def test_several_sources_need_their_name_in_the_path() -> None:
    """A template without `{source}` is right for one source only."""
    store = {"url": "./archive", "path": "{task_id}"}
    assert load(mapping(store=store)).store.path == "{task_id}"
    document = mapping(store=store, source=[source(), source(name="other")])
    assert problems(document) == [
        "archiver.toml: store.path: must contain {source}, since several sources are configured"
    ]


def test_state_and_store_are_two_folders() -> None:
    """The catalog never lies among the archive's own files."""
    document = mapping(state_dir="x/../archive")
    assert problems(document) == [
        "archiver.toml: state_dir: is the folder of store.url too; "
        "choose another, outside the archive"
    ]


def test_what_is_missing_is_said() -> None:
    """An empty configuration is told all that it needs, at once."""
    assert problems({}) == [
        "archiver.toml: store.url: is missing; write "
        'url = "./archive" (a folder) or "s3://bucket/prefix" under [store]',
        "archiver.toml: source: there is none; "
        "write [[source]] with name, provider and base_url under it",
    ]
    assert problems(mapping(source=[{}])) == [
        'archiver.toml: source.0.name: is missing; write e.g. name = "luma"',
        'archiver.toml: source.0.provider: is missing; write e.g. provider = "luma"',
        "archiver.toml: source.0.base_url: is missing; "
        'write e.g. base_url = "https://api.example.com"',
    ]


@pytest.mark.parametrize("wrong", [{"luma": source()}, source(), "luma", 5])
def test_single_brackets_are_explained(wrong: Any) -> None:
    """`[source]` instead of `[[source]]` is the usual slip, and one line says so."""
    assert problems(mapping(source=wrong)) == [
        "archiver.toml: source: must be a list of tables; "
        "write [[source]], with two brackets on each side"
    ]


def test_a_source_that_is_no_table_is_named_by_number() -> None:
    """Each member of the list of sources must be a table."""
    lines = problems(mapping(source=["luma"]))
    assert lines[0] == 'archiver.toml: source.0: "luma" is not a table; write [[source]]'


def test_all_errors_come_at_once() -> None:
    """Whoever mends a configuration mends it once: one line for each fault."""
    lines = problems(
        {
            "store": {"url": "", "min_free": "x"},
            "source": [source(base_url="x", speed=1), source(name="b", provider="x")],
            "download": {"workers": 0},
            "color": True,
        }
    )
    keys = [line.removeprefix("archiver.toml: ").partition(": ")[0] for line in lines]
    assert sorted(keys) == [
        "color",
        "download.workers",
        "source.b.provider",
        "source.luma.base_url",
        "source.luma.speed",
        "store.min_free",
        "store.url",
    ]


@pytest.mark.parametrize(
    ("document", "line"),
    [
        (
            "[download]\nworker = 1",
            'download.worker: unknown key; did you mean "download.workers"?',
        ),
        (
            "[network]\ntimeout = 1",
            'network.timeout: unknown key; did you mean "download.timeout"?',
        ),
        ("workers = 1", 'workers: unknown key; did you mean "download.workers"?'),
        ("[stores]\n", 'stores: unknown key; did you mean "store"?'),
        ("[s3]\n", 's3: unknown key; did you mean "store.s3"?'),
        (
            '[run]\nstate_dir = "x"',
            'run.state_dir: unknown key; did you mean "state_dir" '
            "(at the top of the file, above the first [table])?",
        ),
        (
            "[run]\nzzz = 1",
            "run.zzz: unknown key; the keys of [run] are "
            "verify_share, verify_max_bytes, give_up_waiting_after",
        ),
        ('[run]\n"a\\u001bb" = 1', 'run."a\\u001bb": unknown key; the keys of [run] are'),
        ('"store.url" = "x"', '"store.url": unknown key'),
        ("zzz = 1", "zzz: unknown key; the keys at the top of the file are state_dir"),
    ],
)
def test_unknown_keys_are_named_with_the_nearest(document: str, line: str) -> None:
    """A key that is not known is never passed over: it is named, with the one that was meant."""
    (found,) = problems(mapping() | tomllib.loads(document))
    assert found.startswith(f"archiver.toml: {line}")


def test_an_unknown_key_of_a_source_is_named() -> None:
    """The source that holds it is named too."""
    assert problems(mapping(source=[source(baseurl="x")])) == [
        'archiver.toml: source.luma.baseurl: unknown key; did you mean "source.base_url"?'
    ]


@pytest.mark.parametrize(
    ("key", "meant"),
    [("api_key", "api_key_env"), ("token", "api_key_env"), ("secret_key", "secret_key_env")],
)
def test_a_key_in_the_configuration_is_sent_elsewhere(key: str, meant: str) -> None:
    """Who writes the key itself is told how to name it, and does not read it back."""
    (line,) = problems(mapping(source=[source(**{key: SECRET})]))
    assert line == (
        f"archiver.toml: source.luma.{key}: unknown key; keys are not kept in the configuration: "
        f'did you mean "{meant}", with the name of a variable?'
    )


def test_other_providers_may_be_known() -> None:
    """A program with its own providers says their names."""
    document = mapping(source=[source(provider="mine")])
    config = config_from_mapping(document, base_dir=BASE, home=HOME, providers=["mine"])
    assert config.sources[0].provider == "mine"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("HTTPS://api.example.com/luma//", "https://api.example.com/luma"),
        ("http://127.0.0.1:8080/x/y", "http://127.0.0.1:8080/x/y"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://bücher.example", "https://bücher.example"),
    ],
)
def test_base_urls_lose_their_last_slash(written: str, kept: str) -> None:
    """A base URL may carry a path, with or without a slash at its end."""
    assert load(with_key("source.base_url", written)).sources[0].base_url == kept


def test_a_healthcheck_url_may_carry_a_query_and_a_user() -> None:
    """Private push servers need them; they stay out of `repr`."""
    url = f"https://ann:{SECRET}@push.example/ping?token={SECRET}"
    config = load(with_key("notify.healthcheck_url", url))
    assert config.notify.healthcheck_url == url
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("written", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("S3://bucket/a/b/", "bucket", "a/b"),
        ("s3://My_bucket.1/ä", "My_bucket.1", "ä"),
    ],
)
def test_buckets_are_taken_apart(written: str, bucket: str, prefix: str) -> None:
    """A bucket's store knows its bucket and its prefix, and has no folder."""
    store = load(with_key("store.url", written)).store
    assert (store.is_s3, store.bucket, store.prefix) == (True, bucket, prefix)
    with pytest.raises(ValueError, match="no folder"):
        _ = store.root


@pytest.mark.parametrize(
    ("written", "root"),
    [
        ("archive", BASE / "archive"),
        ("./archive/", BASE / "archive"),
        ("../archive", BASE / "../archive"),
        ("~/archive", HOME / "archive"),
        ("~", HOME),
        ("/srv/archive", Path("/srv/archive")),
        ("./~x", BASE / "~x"),
        ("./$x", BASE / "$x"),
        ("a:b", BASE / "a:b"),
    ],
)
def test_folders_are_made_absolute(written: str, root: Path) -> None:
    """A folder is relative to the file, or to the home folder after `~`."""
    store = load(with_key("store.url", written)).store
    assert (store.is_s3, store.bucket, store.prefix) == (False, "", "")
    assert store.root == root


@pytest.mark.parametrize(
    ("written", "absolute"),
    [
        ("inbox/*.txt", "/srv/[[]old]/x[*]/inbox/*.txt"),
        ("./inbox/[ab].txt", "/srv/[[]old]/x[*]/inbox/[ab].txt"),
        ("~/in[0-9].txt", "/home/ann/in[0-9].txt"),
        ("/in/*.txt", "/in/*.txt"),
    ],
)
def test_patterns_keep_their_base_literal(written: str, absolute: str) -> None:
    """A folder with glob characters in its name above the configuration is no pattern."""
    base = Path("/srv/[old]/x*")
    document = mapping(source=[source(inbox=[written])])
    config = config_from_mapping(document, base_dir=base, home=HOME)
    assert config.sources[0].inbox == (absolute,)


def test_no_repr_shows_headers_or_commands() -> None:
    """Values of headers and arguments of commands may be secrets."""
    document = mapping(
        source=[source(headers={"X-Key": SECRET})], notify={"command": ["x", SECRET]}
    )
    assert SECRET not in repr(load(document))


def test_hostile_mappings_are_refused_in_words() -> None:
    """Wrong types at every level end in ConfigError, never in another exception."""
    for value in (None, 5, "x\0", [], {}, [[]], {"a": {"b": {}}}, b"\xff", object(), 10**5000):
        for name in ("state_dir", "store", "source", "download", "notify", "zzz", "", "a.b"):
            document = mapping() | {name: value}
            if (name, value) in (("download", {}), ("notify", {})):
                continue
            assert problems(document)
