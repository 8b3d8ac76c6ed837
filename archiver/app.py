"""The composition root: which providers and stores there are, and how a session is put together."""

from __future__ import annotations

import functools
import importlib
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import archiver
from archiver.bookkeeping import Rules
from archiver.catalog import Catalog
from archiver.config import Config, SourceConfig, resolve_headers, resolve_secret
from archiver.contracts import Api, Clock, Prober, Store
from archiver.errors import ArchiverError, CatalogError, ConfigError
from archiver.flights import Flights
from archiver.memory import give_back_large_blocks
from archiver.model import Answer
from archiver.obtain import Parts, Wishes
from archiver.pipeline import Pipeline
from archiver.redaction import Redactor
from archiver.session import Session, source_lock
from archiver.transport.clock import SystemClock
from archiver.turns import Turns

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

PROVIDERS: Mapping[str, str] = {
    "luma": "archiver.providers.luma:LumaProvider",
    "suno": "archiver.providers.suno:SunoProvider",
    "udio": "archiver.providers.udio:UdioProvider",
    "midjourney": "archiver.providers.midjourney:MidjourneyProvider",
    "flux": "archiver.providers.flux:FluxProvider",
    "runway": "archiver.providers.runway:RunwayProvider",
    "kling": "archiver.providers.kling:KlingProvider",
    "replicate": "archiver.providers.replicate:ReplicateProvider",
    "minimax": "archiver.providers.minimax:MinimaxProvider",
    "recraft": "archiver.providers.recraft:RecraftProvider",
    "ideogram": "archiver.providers.ideogram:IdeogramProvider",
    "openai-images": "archiver.providers.openai_images:OpenAiImagesProvider",
}
"""Where each provider's class is; loaded when a source needs it."""

CATALOG_NAME = "catalog.db"


class _ProviderNames(Collection[str]):
    """Every name; who asks for one of ours does not wait for the installed ones to be found."""

    def __contains__(self, name: object) -> bool:
        return name in PROVIDERS or any(point.name == name for point in _installed())

    def __iter__(self) -> Iterator[str]:
        yield from PROVIDERS
        yield from (point.name for point in _installed())

    def __len__(self) -> int:
        return len(PROVIDERS) + len(_installed())


def provider_names() -> Collection[str]:
    """Return the providers that a configuration may name, installed ones included."""
    return _ProviderNames()


def _installed() -> EntryPoints:
    from importlib.metadata import entry_points  # slow to import, and reads each package's files

    return entry_points(group="archiver.providers")


def provider_class(name: str) -> Any:
    """Return a provider's class: called with a source's name and its `Api`.

    Raises:
        ConfigError: There is none of that name, or an installed one cannot be loaded.
    """
    if name in PROVIDERS:
        module, _, attribute = PROVIDERS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    for point in _installed().select(name=name):
        try:
            return point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"the installed provider {name!r} cannot be loaded ({point.value}): {error}"
            ) from error
    raise ConfigError(f"no provider is called {name!r}; known: {', '.join(provider_names())}")


def bearer(key: str | None, secret: str | None, clock: Clock) -> Callable[[], Mapping[str, str]]:
    """Return what makes the headers of a request: a bearer token, if there is a key.

    A provider's class may have its own `authorize` with the same arguments.

    Args:
        secret: A second secret, for providers that sign with one.
        clock: For tokens that run out.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return lambda: headers


def _account_fault(answer: Answer) -> ArchiverError | None:
    """Tell a refused key and an empty account by the answer's words, whatever its status."""
    from archiver.answers import account_fault

    return account_fault(answer.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command wants of its session.

    Attributes:
        read_only: Open the catalog for reading; it need not exist.
        dry_run: Ask the API for documents and touch nothing else.
    """

    again: bool = False
    unwatermarked_only: bool = False
    read_only: bool = False
    dry_run: bool = False


def open_store(config: Config, *, clock: Clock, environ: Mapping[str, str]) -> Store:
    """Return the store that the configuration names; nothing is asked of it yet."""
    if not config.store.is_s3:
        from archiver.stores.local import LocalStore

        return LocalStore(config.store.root, min_free_bytes=config.store.min_free_bytes)
    from archiver.stores.s3 import Credentials, connect

    key_id = resolve_secret(config.store.s3, "access_key_id", environ)
    secret = resolve_secret(config.store.s3, "secret_access_key", environ)
    token = resolve_secret(config.store.s3, "session_token", environ)
    credentials = None
    if key_id and secret:
        credentials = Credentials(
            access_key_id=key_id.reveal(),
            secret_access_key=secret.reveal(),
            session_token=token.reveal() if token else None,
        )
    return connect(config.store, clock=clock, credentials=credentials)


def open_catalog(state_dir: Path, options: Options) -> Catalog:
    """Return the catalog; one in memory where there is none yet and none may be made."""
    path = state_dir / CATALOG_NAME
    if not (options.read_only or options.dry_run):
        return Catalog(path)
    if not path.exists():
        return Catalog(None)
    return Catalog(path, read_only=True, untouched=options.dry_run)


def put_catalog_aside(config: Config, *, now: datetime) -> Path:
    """Rename a catalog that is damaged, with its log, and return where it is now.

    Raises:
        LockedError: A run is at work with it.
        CatalogError: It cannot be renamed.
    """
    path = config.state_dir / CATALOG_NAME
    aside = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%S}")
    with ExitStack() as held:
        for source in config.sources:
            held.enter_context(source_lock(config.state_dir, source.name))
        try:
            for ending in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    Path(f"{path}{ending}").rename(f"{aside}{ending}")
        except OSError as error:
            raise CatalogError(f"{path} cannot be renamed: {error.strerror}") from error
    return aside


@contextmanager
def open_session(
    config: Config,
    *,
    environ: Mapping[str, str],
    options: Options | None = None,
    clock: SystemClock | None = None,
    redactor: Redactor | None = None,
    note: Callable[[str], None] = lambda words: None,
    prober: Prober | None = None,
) -> Iterator[Session]:
    """Put a session together; everything in it is closed at the end.

    Args:
        environ: Where keys named by variables are.
        redactor: Learns every key that is used.
        note: Takes remarks about the configuration for people.
        prober: Tells what bytes are; by default `MediaProber`.
    """
    options = options or Options()
    clock = clock or SystemClock()
    redactor = redactor or Redactor()
    if not options.read_only:
        give_back_large_blocks()
    with ExitStack() as opened:
        catalog = opened.enter_context(open_catalog(config.state_dir, options))
        store = open_store(config, clock=clock, environ=environ)
        workshop = _Workshop(
            config, environ, options, clock, redactor, note, store, catalog, prober
        )
        opened.callback(workshop.close)
        yield Session(
            config=config,
            store=store,
            catalog=catalog,
            clock=clock,
            prober=workshop.prober,
            flights=workshop.flights,
            open_sources=workshop.open_sources,
            open_list=workshop.open_list,
            redactor=redactor,
            rules=Rules(
                upgrade_for=config.download.upgrade_watermarked_for,
                give_up_waiting_after=config.run.give_up_waiting_after,
            ),
            interrupt=workshop.interrupt,
            received_bytes=workshop.received_bytes,
            turns=workshop.turns,
            dry_run=options.dry_run,
        )


class _Memory:
    """What a provider wants to know in later runs; kept in the catalog, which it does not know."""

    def __init__(self, catalog: Catalog, source: str) -> None:
        self._catalog = catalog
        self._source = source

    def recall(self, key: str) -> str | None:
        return self._catalog.recall(self._source, key)

    def memorise(self, key: str, value: str) -> None:
        self._catalog.memorise(self._source, key, value)


class _Workshop:
    """Makes what only some commands need: the transport, the pipelines, the prober."""

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        options: Options,
        clock: SystemClock,
        redactor: Redactor,
        note: Callable[[str], None],
        store: Store,
        catalog: Catalog,
        prober: Prober | None,
    ) -> None:
        from archiver.probe import MediaProber

        self._config = config
        self._environ = environ
        self._options = options
        self._clock = clock
        self._redactor = redactor
        self._note = note
        self._store = store
        self._catalog = catalog
        self._transport: Any = None
        self.prober: Prober = prober or MediaProber()
        self.flights = Flights(config.state_dir)
        self.turns = Turns()

    def interrupt(self) -> None:
        self._clock.stop("the run was stopped")
        if self._transport is not None:
            self._transport.stop()

    def received_bytes(self) -> int:
        return 0 if self._transport is None else self._transport.received_bytes

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def open_sources(self, names: Collection[str]) -> Mapping[str, Pipeline]:
        by_name = {source.name: source for source in self._config.sources}
        return {name: self._pipeline(by_name[name]) for name in names if name in by_name}

    def open_list(self, name: str) -> Api:
        """Make the API of a gateway's list of tasks: its own origin's root, its own credential.

        Raises:
            ConfigError: The user's token or id is not configured.
        """
        source = next(one for one in self._config.sources if one.name == name)
        token = resolve_secret(source, "user_token", self._environ, note=self._note)
        if token is None or not source.user_id:
            raise ConfigError(
                f'source {name}: list = "gateway" needs user_token_env (or _file, _command) and'
                " user_id"
            )
        self._redactor.add(token.reveal())
        base = urlsplit(source.base_url)
        return self._open_transport().api(  # type: ignore[no-any-return]
            base_url=f"{base.scheme}://{base.netloc}",
            auth=lambda: {"Authorization": f"Bearer {token.reveal()}"},
            headers={"New-Api-User": source.user_id},
            max_requests_per_second=source.max_requests_per_second,
            classify=_account_fault,
        )

    def _pipeline(self, source: SourceConfig) -> Pipeline:
        from archiver.fetch import Fetcher
        from archiver.layout import Template
        from archiver.probe.apart import ProberApart

        provider_type = provider_class(source.provider)
        key, secret = (
            resolve_secret(source, which, self._environ, note=self._note)
            for which in ("api_key", "secret_key")
        )
        headers = {name: value.reveal() for name, value in resolve_headers(source, self._environ)}
        revealed = tuple(value.reveal() if value else None for value in (key, secret))
        self._redactor.add(*(word for word in (*revealed, *headers.values()) if word))
        authorize = getattr(provider_type, "authorize", bearer)
        transport = self._open_transport()
        api = transport.api(
            base_url=source.base_url,
            auth=authorize(revealed[0], revealed[1], self._clock),
            headers=headers,
            max_requests_per_second=source.max_requests_per_second,
            classify=getattr(provider_type, "classify", _account_fault),
        )
        download = self._config.download
        make_fetcher = functools.partial(
            Fetcher, downloads=transport.downloads(), max_size_bytes=download.max_size_bytes
        )
        return Pipeline(
            provider=provider_type(source.name, api, **self._memory(provider_type, source.name)),
            parts=Parts(
                api=api,
                store=self._store,
                catalog=self._catalog,
                fetcher=make_fetcher(prober=self.prober),
                careful=make_fetcher(prober=ProberApart(self.prober)),
                flights=self.flights,
                clock=self._clock,
                wishes=self._wishes(),
            ),
            template=Template.parse(self._config.store.path),
            redactor=self._redactor,
            version=archiver.__version__,
        )

    def _memory(self, provider_type: Any, name: str) -> dict[str, Any]:
        """Return the memory, as an argument, for a provider that `remembers`; none in a dry run."""
        frozen = self._options.dry_run or self._options.read_only
        if frozen or not getattr(provider_type, "remembers", False):
            return {}
        return {"memory": _Memory(self._catalog, name)}

    def _wishes(self) -> Wishes:
        download = self._config.download
        return Wishes(
            prefer=download.prefer,
            refuse_mismatch=download.on_dimension_mismatch == "refuse",
            unwatermarked_only=self._options.unwatermarked_only,
            again=self._options.again,
            dry_run=self._options.dry_run,
        )

    def _open_transport(self) -> Any:
        if self._transport is None:
            from archiver.transport import Proxies, Transport

            download = self._config.download
            self._transport = Transport(
                clock=self._clock,
                rng=random.Random(),
                timeout_s=download.timeout_s,
                max_attempts=download.max_attempts,
                allow_private_addresses=self._config.network.allow_private_addresses,
                max_rate_bytes=download.max_rate_bytes,
                max_connections=4 * download.workers,
                turns=self.turns,
                proxies=Proxies.from_environment(self._environ),
            )
        return self._transport
