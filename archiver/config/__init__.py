"""The configuration: `archiver.toml`, the environment and `--set`, read, checked and shown.

`load_config` is for commands, `config_from_mapping` for programs. Both give a frozen `Config` or
raise one `ConfigError` with a line for each thing that is wrong. Secrets are not in it: it names
the places, `resolve_secret` goes there.
"""

from archiver.config.keys import known_keys
from archiver.config.load import Loaded, config_from_mapping, find_config, load_config
from archiver.config.secrets import (
    CommandResult,
    Secret,
    resolve_headers,
    resolve_secret,
    run_command,
)
from archiver.config.settings import (
    PROVIDERS,
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
from archiver.config.show import explain, show
from archiver.config.units import (
    exact_duration,
    exact_share,
    exact_size,
    format_duration,
    format_size,
    parse_duration,
    parse_share,
    parse_size,
)

__all__ = [
    "Config",
    "StoreConfig",
    "S3Config",
    "SourceConfig",
    "Listing",
    "DownloadConfig",
    "NetworkConfig",
    "RunConfig",
    "NotifyConfig",
    "PROVIDERS",
    "Loaded",
    "load_config",
    "config_from_mapping",
    "find_config",
    "known_keys",
    "show",
    "explain",
    "Secret",
    "CommandResult",
    "resolve_secret",
    "resolve_headers",
    "run_command",
    "parse_size",
    "format_size",
    "exact_size",
    "parse_duration",
    "format_duration",
    "exact_duration",
    "parse_share",
    "exact_share",
]
