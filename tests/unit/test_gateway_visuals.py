"""The embedded gateway answers about Kling, Flux, Runway and Replicate as the services do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from archiver.gateway import (
    API_KEY,
    FluxService,
    FluxTask,
    Gateway,
    KlingForm,
    KlingOutput,
    KlingService,
    KlingTask,
    Link,
    ReplicateTask,
    RunwayTask,
)
from archiver.providers.kling.keys import token
from tests import gatewayfixture
from tests.gatewayfixture import START, ManualClock

gateway = gatewayfixture.gateway

VERSION = {"X-Runway-Version": "2024-11-06"}
PAIR = ("an-access-key", "a-secret-key")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    with httpx.Client(headers=headers, trust_env=False, timeout=10) as client:
        yield client


def video(path: str = "/a.mp4", **changes: Any) -> KlingOutput:
    return KlingOutput(**{"link": Link(path=path), "duration_s": 5.042, **changes})


# --- Kling ----------------------------------------------------------------------------------------


def test_klings_answer(gateway: Gateway, client: httpx.Client) -> None:
    """A task is known under its own action only; its duration is a text, its date milliseconds."""
    marked = video(marked=Link(path="/m.mp4"))
    gateway.put(KlingTask(task_id="7", created_at=START, outputs=(marked,), parent=Link(path="/p")))
    body = client.get(f"{gateway.base_url}/kling/v1/videos/text2video/7").json()
    data = body["data"]
    assert (body["code"], data["task_status"]) == (0, "succeed")
    assert data["created_at"] == int(START.timestamp() * 1000)
    (entry,) = data["task_result"]["videos"]
    assert entry["duration"] == "5.042"
    assert entry["watermark_url"] == f"{gateway.assets_url}/m.mp4"
    assert data["task_info"]["parent_video"]["url"] == f"{gateway.assets_url}/p"
    elsewhere = client.get(f"{gateway.base_url}/kling/v1/videos/effects/7")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "task_not_exist")


def test_klings_other_forms(gateway: Gateway, client: httpx.Client) -> None:
    """The 3.0 form is a list in a place of its own; the docs' form is one flat object."""
    gateway.put(
        KlingTask(task_id="tasks/8", form=KlingForm.THREE, outputs=(video(),)),
        KlingTask(task_id="9", form=KlingForm.DOCS, outputs=(video(),), width=8, height=6),
    )
    three = client.get(f"{gateway.base_url}/tasks", params={"task_ids": "8"}).json()
    assert three["data"][0]["id"] == "8"
    assert three["data"][0]["outputs"][0]["type"] == "video"
    docs = client.get(f"{gateway.base_url}/kling/v1/videos/text2video/9").json()
    assert (docs["status"], docs["metadata"]["width"]) == ("completed", 8)


@pytest.mark.parametrize(
    ("pair", "age_s", "number"),
    [
        (PAIR, 0, 0),
        (PAIR, 1799, 0),
        (PAIR, 1800, 1004),
        (PAIR, -6, 1004),
        ((PAIR[0], "other"), 0, 1002),
        (("other", PAIR[1]), 0, 1002),
    ],
)
def test_klings_tokens(pair: tuple[str, str], age_s: int, number: int) -> None:
    """A token opens for half an hour, if the pair signed it."""
    service = KlingService(prefix="/v1", is_official=True, pair=PAIR)
    with Gateway(services=[service], clock=ManualClock()) as vendor:
        made = token(*pair, int(START.timestamp()) - age_s)
        answer = httpx.get(
            f"{vendor.base_url}/v1/videos/text2video",
            headers={"Authorization": f"Bearer {made}"},
            trust_env=False,
        )
    assert (answer.status_code, answer.json()["code"]) == (401 if number else 200, number)


@pytest.mark.parametrize("header", ["", "Bearer x", "Bearer a.b.c", "Bearer ..", "Basic a.e30.c"])
def test_klings_broken_tokens(header: str) -> None:
    """Nonsense is refused like any wrong token."""
    service = KlingService(prefix="/v1", is_official=True, pair=PAIR)
    with Gateway(services=[service], clock=ManualClock()) as vendor:
        url = f"{vendor.base_url}/v1/videos/text2video/7"
        answer = httpx.get(url, headers={"Authorization": header}, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (401, 1002)


def test_klings_pages() -> None:
    """Pages have numbers from 1, and at most 500 entries."""
    service = KlingService(prefix="/v1", is_official=True)
    with Gateway(services=[service], clock=ManualClock()) as vendor:
        vendor.put(*(KlingTask(task_id=str(n)) for n in range(5)))
        headers = {"Authorization": f"Bearer {API_KEY}"}
        url = f"{vendor.base_url}/v1/videos/text2video"
        with httpx.Client(headers=headers, trust_env=False) as client:
            pages = [
                client.get(url, params={"pageNum": n, "pageSize": 3}).json()["data"]
                for n in (1, 2, 3)
            ]
            wrong = client.get(url, params={"pageNum": 0, "pageSize": 501})
    assert [[one["task_id"] for one in page] for page in pages] == [["0", "1", "2"], ["3", "4"], []]
    assert (wrong.status_code, wrong.json()["code"]) == (400, 1201)


# --- Flux -----------------------------------------------------------------------------------------


def test_flux_links_live_for_ten_minutes(gateway: Gateway, client: httpx.Client) -> None:
    """A signed link opens until its time is over."""
    gateway.host("/f.jpg", b"x", signed_only=True)
    gateway.put(FluxTask(task_id="f", created_at=START, sample=Link(path="/f.jpg", lifetime_s=600)))
    body = client.get(f"{gateway.base_url}/flux/v1/get_result", params={"id": "f"}).json()
    assert body["status"] == "Ready"
    assert "X-Amz-Expires=600" in body["result"]["sample"]
    assert httpx.get(body["result"]["sample"], trust_env=False).status_code == 200


def test_flux_has_never_heard_of_it(gateway: Gateway, client: httpx.Client) -> None:
    """The vendor says so in its own form and asks for no key; a gateway as gateways do."""
    url = f"{gateway.base_url}/flux/v1/get_result?id=x"
    assert client.get(url).json()["code"] == "task_not_exist"
    service = FluxService(prefix="/v1", is_official=True)
    with Gateway(services=[service], clock=ManualClock()) as vendor:
        answer = httpx.get(f"{vendor.base_url}/v1/get_result?id=x", trust_env=False)
    assert (answer.status_code, answer.json()["status"]) == (404, "Task not found")


# --- Runway ---------------------------------------------------------------------------------------


def test_runways_two_doors(gateway: Gateway, client: httpx.Client) -> None:
    """Each task is behind one of them: the vendor's path wants a version, the feed a POST."""
    gateway.put(
        RunwayTask(task_id="v", created_at=START, outputs=(Link(path="/v.mp4"),)),
        RunwayTask(task_id="f", created_at=START, outputs=(Link(path="/f.mp4"),), is_fed=True),
    )
    url, feed = f"{gateway.base_url}/runwayml/v1/tasks", f"{gateway.base_url}/runway/feed"
    assert client.get(f"{url}/v").status_code == 400
    assert client.get(f"{url}/v", headers=VERSION).json()["output"]
    assert client.get(f"{url}/f", headers=VERSION).json()["code"] == "task_not_exist"
    data = client.post(feed, json={"task_id": "f"}).json()["data"]
    assert (data["status"], data["create_time"]) == ("3", str(int(START.timestamp())))
    assert client.post(feed, json={"task_id": "v"}).json()["code"] == "task_not_exist"
    for nonsense in (b"", b"[]", b'{"task_id": 5}'):
        assert client.post(feed, content=nonsense).status_code == 400


# --- Replicate ------------------------------------------------------------------------------------


def test_replicates_removed_files(gateway: Gateway, client: httpx.Client) -> None:
    """What was removed still says that it succeeded."""
    gateway.put(ReplicateTask(task_id="r", output=lambda url: [url(Link(path="/r.png"))]))
    url = f"{gateway.base_url}/replicate/v1/predictions/r"
    assert client.get(url).json()["output"] == [f"{gateway.assets_url}/r.png"]
    gateway.change("r", removed=True)
    body = client.get(url).json()
    assert (body["status"], body["output"], body["data_removed"]) == ("succeeded", None, True)
    assert body["input"] == {}
