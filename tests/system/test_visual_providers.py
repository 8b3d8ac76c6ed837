"""Kling, Flux, Runway and Replicate as their vendors serve them, through the ordinary pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archiver import ArchiveReport, archive, load_config
from archiver.errors import KeyRefusedError, ProviderError
from archiver.gateway import (
    FluxService,
    FluxTask,
    Gateway,
    KlingService,
    KlingTask,
    ReplicateService,
    ReplicateTask,
)
from archiver.gateway.routing import Service
from archiver.gateway.scenario import Scenario
from archiver.gateway.visualcases import flux_cases, kling_cases, replicate_cases, runway_cases
from archiver.model import State
from archiver.providers.kling import KlingProvider
from archiver.providers.replicate import ReplicateProvider
from tests.gatewayfixture import START, ManualClock
from tests.transportrig import open_api, open_transport

PAIR = ("demo-access-key-77", "demo-secret-key-5c1f0b")
ENVIRON = {"VISUAL_KEY": PAIR[0], "VISUAL_SECRET": PAIR[1]}


def archived(
    folder: Path, gateway: Gateway, provider: str, ids: Sequence[str], *, below: str = ""
) -> ArchiveReport:
    """Archive these tasks of one source at a gateway."""
    config = folder / "archiver.toml"
    config.write_text(
        'state_dir = "state"\n[store]\nurl = "archive"\n[download]\nmax_attempts = 2\n'
        "[network]\nallow_private_addresses = true\n"
        f'[[source]]\nname = "s"\nprovider = "{provider}"\nbase_url = "{gateway.base_url}{below}"\n'
        'api_key_env = "VISUAL_KEY"\nsecret_key_env = "VISUAL_SECRET"\n'
        "max_requests_per_second = 1000\n"
    )
    return archive(load_config(config), ids, environ=ENVIRON)


def manifest(folder: Path, report: ArchiveReport, number: int = 0) -> Any:
    path = folder / "archive" / str(report.outcomes[number].path) / "manifest.json"
    return json.loads(path.read_bytes())


def vendor(service: Service, scenario: Scenario, *, clock: Any = None) -> Gateway:
    """Make a gateway that has one vendor's endpoints, and its own key."""
    gateway = Gateway(services=[service], api_key=PAIR[0], clock=clock)
    scenario.install(gateway)
    return gateway


# --- everything of the scenario -------------------------------------------------------------------


def test_only_outputs_are_fetched(tmp_path: Path) -> None:
    """No input, preview or marked copy beside a clean one is fetched, and no key goes along."""
    makers = (flux_cases, kling_cases, replicate_cases, runway_cases)
    cases = [case for make in makers for case in make(START)]
    with Gateway(api_key=PAIR[0], clock=ManualClock()) as gateway:
        Scenario(cases=tuple(cases)).install(gateway)
        for name in ("flux", "runway", "replicate"):
            ids = [case.task_id for case in cases if case.provider == name]
            folder = tmp_path / name
            folder.mkdir()
            archived(folder, gateway, name, ids)
        asked = gateway.requests_for(origin="assets")
    assert {record.authorized or "x-key" in record.headers for record in asked} == {False}
    paths = " ".join(record.path for record in asked)
    assert paths
    assert "what-was-given" not in paths
    assert "progress" not in paths
    assert "marked" not in paths


# --- Kling ----------------------------------------------------------------------------------------


@pytest.fixture
def kling() -> Iterator[Gateway]:
    service = KlingService(prefix="/v1", is_official=True, pair=PAIR)
    with vendor(service, Scenario(cases=kling_cases(datetime.now(UTC)))) as gateway:
        yield gateway


def test_kling_with_a_pair_of_keys(tmp_path: Path, kling: Gateway) -> None:
    """Tokens signed with the pair open every action; what was given is not archived."""
    cases = kling_cases(START)
    report = archived(tmp_path, kling, "kling", [c.task_id for c in cases], below="/v1")
    states = {o.ref.task_id: o.state for o in report.outcomes}
    assert states == {c.task_id: c.expected.state for c in cases}
    found = [manifest(tmp_path, report, n) for n, o in enumerate(report.outcomes) if o.path]
    links = [asset["url"] for one in found for asset in one["assets"]]
    assert len(links) == 6
    assert not [link for link in links if "marked" in link or "given" in link]
    text = json.dumps(found)
    assert PAIR[1] not in text
    assert "Bearer" not in text


def test_klings_token_with_another_secret(kling: Gateway) -> None:
    """It is refused, and that stops the source."""
    with open_transport(clock=SystemTime()) as transport:
        auth = KlingProvider.authorize(PAIR[0], "another", SystemTime())
        api = open_api(
            transport, f"{kling.base_url}/v1", auth=auth, classify=KlingProvider.classify
        )
        with pytest.raises(KeyRefusedError):
            KlingProvider("s", api).get_task("867283741759111401")


def test_where_a_task_was_is_known_the_next_night(tmp_path: Path, kling: Gateway) -> None:
    """A task that still runs under a bare id is looked for once, not every night."""
    running = KlingTask(task_id="5", made_by="images/generations", state="processing")
    kling.put(running)
    for wanted in (6, 1):
        kling.clear_requests()
        report = archived(tmp_path, kling, "kling", ["5"], below="/v1")
        assert [o.state for o in report.outcomes] == [State.WAITING]
        assert len(kling.requests) == wanted


class SystemTime(ManualClock):
    """The time of day, without waiting."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def test_klings_lists(kling: Gateway) -> None:
    """Each action's list is read page by page with the vendor's parameters."""
    kling.put(*(KlingTask(task_id=f"9{n:05d}", made_by="videos/effects") for n in range(501)))
    with open_transport(clock=SystemTime()) as transport:
        auth = KlingProvider.authorize(*PAIR, SystemTime())
        api = open_api(transport, f"{kling.base_url}/v1", auth=auth)
        ids = [task.ref.task_id for task in KlingProvider("s", api).list_tasks()]
    assert len([i for i in ids if i.startswith("9")]) == 501
    assert len(ids) == len(set(ids)) == 501 + 4  # the 3.0 form and the gateway's are in no list


# --- Flux -----------------------------------------------------------------------------------------


def test_fluxs_polling_urls(tmp_path: Path) -> None:
    """A polling URL is an id like any other: asked as it is, filed, and found again."""
    cases = flux_cases(datetime.now(UTC))
    service = FluxService(prefix="/v1", is_official=True)
    with vendor(service, Scenario(cases=cases)) as gateway:
        own = f"{gateway.base_url}/v1/get_result?id={cases[0].task_id}"
        other = f"https://api.us1.bfl.example/v1/get_result?id={cases[0].task_id}"
        report = archived(tmp_path, gateway, "flux", [own, other], below="/v1")
        again = archived(tmp_path, gateway, "flux", [own], below="/v1")
    outcomes = {o.ref.task_id: o for o in report.outcomes}
    assert outcomes[own].state is State.ARCHIVED
    assert outcomes[own].provider_task_id == cases[0].task_id
    assert (outcomes[other].state, outcomes[other].fault and outcomes[other].fault.code) == (
        State.RETRY,
        "other_host",
    )
    assert again.tally.already == 1


def test_flux_forgets_after_a_while(tmp_path: Path) -> None:
    """The vendor's "Task not found" is looked at again: it may have been too early."""
    with vendor(FluxService(prefix="/v1", is_official=True), Scenario(cases=())) as gateway:
        report = archived(tmp_path, gateway, "flux", ["unknown"], below="/v1")
        gateway.put(FluxTask(task_id="unknown", state="Pending"))
        later = archived(tmp_path, gateway, "flux", ["unknown"], below="/v1")
    assert [o.state for o in report.outcomes] == [State.RETRY]
    assert [o.state for o in later.outcomes] == [State.WAITING]


# --- Replicate ------------------------------------------------------------------------------------


def predictions(count: int) -> list[ReplicateTask]:
    return [
        ReplicateTask(task_id=f"p{n:03d}", created_at=START - timedelta(hours=n))
        for n in range(count)
    ]


def test_replicates_list() -> None:
    """Pages are followed at the same address, newest first, back to the date asked for."""
    service = ReplicateService(prefix="/v1", page_size=3)
    with Gateway(services=[service], clock=ManualClock()) as gateway, open_transport() as transport:
        gateway.put(*predictions(8))
        headers = {"Authorization": f"Bearer {gateway.api_key}"}
        api = open_api(transport, f"{gateway.base_url}/v1", auth=lambda: headers)
        provider = ReplicateProvider("s", api)
        assert len(list(provider.list_tasks())) == 8
        assert gateway.count("/v1/predictions") == 3
        since = START - timedelta(hours=4)
        found = [task.ref.task_id for task in provider.list_tasks(since=since)]
    assert found == [f"p{n:03d}" for n in range(5)]


def test_replicates_list_that_leads_elsewhere() -> None:
    """The next page on another address is not asked for: no key leaves the source's own."""
    with Gateway(clock=ManualClock()) as elsewhere, open_transport() as transport:
        service = ReplicateService(
            prefix="/v1", page_size=3, next_origin=elsewhere.base_url.rstrip("/")
        )
        with Gateway(services=[service], clock=ManualClock()) as gateway:
            gateway.put(*predictions(8))
            headers = {"Authorization": f"Bearer {gateway.api_key}"}
            api = open_api(transport, f"{gateway.base_url}/v1", auth=lambda: headers)
            found = ReplicateProvider("s", api).list_tasks()
            assert [next(found).ref.task_id for _ in range(3)] == ["p000", "p001", "p002"]
            with pytest.raises(ProviderError, match="not asked"):
                next(found)
        assert elsewhere.requests == ()
