"""`providers`: which APIs are known, what can be asked of them, and how often that must be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from archiver.app import PROVIDERS, provider_class, provider_names
from archiver.cli.context import Terminal
from archiver.cli.output import short
from archiver.config import Config, format_duration
from archiver.errors import ConfigError
from archiver.model import JsonObject

NIGHTLY = timedelta(days=1)
"""The longest interval that anybody is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an API offers.

    Attributes:
        single: How one task is asked for; `None`: by nothing, its answers are handed over.
        batch, listing: How several are, and how it lists them; `None`: it does not.
        renews: Whether asking again gives fresh links, so that their end loses nothing.
    """

    single: str | None
    batch: str | None = None
    listing: str | None = None
    renews: bool = False


# Source: providers.md, summary table and section 14; tests compare it with what is asked.
OFFERS: Mapping[str, Offer] = {
    "luma": Offer(
        single="GET /dream-machine/v1/generations/{id}",
        batch="POST /luma/tasks",
        listing="GET /dream-machine/v1/generations",
        renews=True,
    ),
    "suno": Offer(single="GET /suno/fetch/{id}", batch="POST /suno/fetch", listing="GET /api/get"),
    "udio": Offer(single="GET /udio/fetch/{id}", batch="GET /udio/query?ids="),
    "midjourney": Offer(
        single="GET /mj/task/{id}/fetch",
        batch="POST /mj/task/list-by-condition",
        listing="GET /mj/task/list",
    ),
    "flux": Offer(single="GET /flux/v1/get_result?id="),
    "runway": Offer(single="GET /runwayml/v1/tasks/{id}", renews=True),
    "kling": Offer(
        single="GET /kling/v1/{kind}/{action}/{id}", listing="GET /kling/v1/{kind}/{action}"
    ),
    "replicate": Offer(
        single="GET /replicate/v1/predictions/{id}", listing="GET /replicate/v1/predictions"
    ),
    "minimax": Offer(single="GET /v1/query/video_generation?task_id=", renews=True),
    "recraft": Offer(single=None),
    "ideogram": Offer(single=None),
    "openai-images": Offer(single=None),
}
"""The providers that come with archiver. What others offer, only their makers know."""


def interval_of(name: str) -> timedelta | None:
    """Return how often a source of this provider must be run at least; a day is the longest.

    Twice within the life of links that cannot be had again. `None`: its answers are handed over,
    and archived at once.
    """
    offer = OFFERS.get(name)
    if offer is not None and offer.single is None:
        return None
    lifetime: timedelta | None = getattr(provider_class(name), "link_lifetime", None)
    if lifetime is None or (offer is not None and offer.renews):
        return NIGHTLY
    return min(lifetime / 2, NIGHTLY)


def timing_notes(config: Config) -> list[str]:
    """Return a note on each source for which a nightly run is too slow, or of no use."""
    notes = []
    for source in config.sources:
        interval = interval_of(source.provider)
        life = _words(provider_class(source.provider).link_lifetime, "")
        lives = f", and their links live {life}" if life else ""
        if interval is None:
            notes.append(
                f"source {source.name}: its tasks cannot be asked for; hand each answer to"
                f" `archiver ingest` when it comes{lives}"
            )
        elif interval < NIGHTLY:
            every = _words(interval, "")
            notes.append(
                f"source {source.name}: links live {life}, so a nightly run is too late; run it"
                f" every {every} (`archiver run --every {every}`, `archiver install`)"
            )
    return notes


def providers_command(terminal: Terminal) -> int:
    """Print a table of all providers, third parties' included."""
    notes: list[str] = []
    rows = [("provider", "links live", "run", "one task", "several", "list")]
    for name in sorted(set(provider_names()), key=_place):
        offer = OFFERS.get(name, Offer(single="see its maker's documentation"))
        try:
            lifetime = getattr(provider_class(name), "link_lifetime", None)
        except ConfigError as error:
            notes.append(short(error.message))
            continue
        interval = interval_of(name)
        rows.append(
            (
                name if name in PROVIDERS else f"{name} (installed)",
                _words(lifetime, "not told"),
                "nightly" if interval == NIGHTLY else f"every {_words(interval, '')}",
                offer.single or "-",
                offer.batch or "-",
                offer.listing or "-",
            )
        )
        if interval is None:
            rows[-1] = (*rows[-1][:2], "ingest", *rows[-1][3:])
        terminal.output.record(_record(name, offer, lifetime, interval))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminal.output.line("  ".join(cells).rstrip())
    words = "ingest: answers are only handed over, with `archiver ingest`, as soon as they come"
    summary: JsonObject = {"command": "providers", "count": len(rows) - 1, "notes": list(notes)}
    terminal.output.finish(["", words, *notes], summary, exit_code=0)
    return 0


def _place(name: str) -> tuple[int, str]:
    """Sort the built-in ones in their own order, others behind."""
    order = list(PROVIDERS)
    return (order.index(name) if name in order else len(order), name)


def _words(time: Any, otherwise: str) -> str:
    return format_duration(time.total_seconds()) if time else otherwise


def _record(
    name: str, offer: Offer, lifetime: timedelta | None, interval: timedelta | None
) -> JsonObject:
    return {
        "type": "provider",
        "name": name,
        "built_in": name in PROVIDERS,
        "single": offer.single if name in OFFERS else None,
        "batch": offer.batch,
        "list": offer.listing,
        "link_lifetime_s": None if lifetime is None else lifetime.total_seconds(),
        "renews_links": offer.renews,
        "run_every_s": None if interval is None else interval.total_seconds(),
        "ingest_only": interval is None,
    }
