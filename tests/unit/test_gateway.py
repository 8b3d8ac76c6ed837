"""The embedded gateway answers about tasks as the real services do."""

from __future__ import annotations

import gc
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import jsonschema
import pytest

from archiver.gateway import (
    API_KEY,
    USER_ID,
    USER_TOKEN,
    Absent,
    BatchShape,
    Gateway,
    Link,
    ListOrder,
    LumaForm,
    LumaService,
    LumaTask,
    Mode,
    OfficialDialect,
    TaskListService,
)
from archiver.gateway.faults import Meanwhile, Status
from tests import gatewayfixture
from tests.gatewayfixture import START, ManualClock

gateway = gatewayfixture.gateway
clock = gatewayfixture.clock

KEY = {"Authorization": f"Bearer {API_KEY}"}
ID = "4b3c464e-94f6-4e54-bc21-12f0e6da5791"
MARKED, CLEAN, SIGNED = "/lit/5f7c_watermarked_video.mp4", "/lit/0af7_video.mp4", "/bucket/0af7.mp4"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers=KEY, trust_env=False, timeout=10) as client:
        yield client


def task(**changes: Any) -> LumaTask:
    usual = LumaTask(
        task_id=ID,
        created_at=START,
        prompt="waves & <dunes>",
        width=752,
        height=1360,
        video=Link(path=MARKED),
        download_url=Link(path=SIGNED, lifetime_s=3600),
        video_raw=Link(path=CLEAN),
        thumbnail=Link(path="/lit/thumb.jpg"),
        last_frame=Link(path="/lit/last.jpg"),
    )
    return replace(usual, **changes)


def document(gateway: Gateway, client: httpx.Client, path: str = "", task_id: str = ID) -> Any:
    answer = client.get(f"{gateway.base_url}/dream-machine/v1/generations/{task_id}{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- bodies -------------------------------------------------------------------------------------


def test_web_form_has_the_members_of_the_api_page(gateway: Gateway, client: httpx.Client) -> None:
    """Form A bears exactly the members of the published example, links on the assets origin."""
    gateway.put(task(answer_id="32ec5549-7b7a-4111-a43b-445b3a89c8ef"))
    body = document(gateway, client)
    assert set(body) == {
        "id", "liked", "state", "video", "prompt", "thumbnail", "video_raw", "created_at",
        "last_frame", "queue_state", "estimate_wait_seconds",
    }  # fmt: skip
    assert body["id"] == "32ec5549-7b7a-4111-a43b-445b3a89c8ef"
    assert body["state"] == "completed"
    assert body["created_at"] == "2026-11-23T03:00:00.000Z"
    assert body["prompt"] == "waves & <dunes>"
    assert set(body["video"]) == {"url", "width", "height", "download_url"}
    assert body["video"]["url"] == f"{gateway.assets_url}{MARKED}"
    assert body["video_raw"] == {
        "url": f"{gateway.assets_url}{CLEAN}",
        "width": 752,
        "height": 1360,
    }
    link = httpx.URL(body["video"]["download_url"])
    assert link.params["X-Amz-Expires"] == "3600"
    assert len(link.params["X-Amz-Signature"]) == 64


def test_newer_form_has_no_prompt_and_a_zero_date(gateway: Gateway, client: httpx.Client) -> None:
    """Form B says neither prompt nor date, and may have one URL three times."""
    same = Link(path=CLEAN)
    gateway.put(task(form=LumaForm.NEWER, video=same, download_url=same, duration_s=5.04))
    body = document(gateway, client)
    urls = {body["video"]["url"], body["video"]["download_url"], body["video_raw"]["url"]}
    assert urls == {f"{gateway.assets_url}{CLEAN}"}
    assert body["created_at"] == "0001-01-01T00:00:00Z"
    assert "prompt" not in body
    assert "request" not in body
    assert body["video"]["duration"] == 5.04
    assert body["video_raw"]["media_type"] == "video"
    assert body["thumbnail"]["palette"]["grid"]
    assert body["last_frame"]["palette"] is None


def test_own_form_says_it_all_twice(gateway: Gateway, client: httpx.Client) -> None:
    """Form C has the prompt in `request` and every link again in `artifact`, with a zero date."""
    gateway.put(task(form=LumaForm.OWN))
    answer = client.get(f"{gateway.base_url}/luma/generations/{ID}")
    body = answer.json()
    assert body["request"]["prompt"] == "waves & <dunes>"
    assert body["created_at"] == "2026-11-23T03:00:00.000Z"
    assert body["artifact"]["created_at"] == "0001-01-01T00:00:00Z"
    assert body["artifact"]["video"] == body["video"]
    assert body["artifact"]["video_raw"] == body["video_raw"]


def test_hybrid_form_has_assets_and_artifact(gateway: Gateway, client: httpx.Client) -> None:
    """Form D has `assets.video` as a text beside `artifact` and `media_request`."""
    gateway.put(task(form=LumaForm.HYBRID))
    body = document(gateway, client)
    assert body["assets"] == {"video": f"{gateway.assets_url}{CLEAN}"}
    assert body["request"]["prompt"] == "waves & <dunes>"
    assert "media_request" in body
    assert body["artifact"]["video_raw"] == body["video_raw"]
    assert "video" not in body["artifact"]


# Source: luma-openapi.yaml 1.1.0, `Generation` with what it refers to, for video and image.
GENERATION: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "generation_type", "state", "model", "request"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "generation_type": {"enum": ["video", "image"]},
        "state": {"enum": ["queued", "dreaming", "completed", "failed"]},
        "failure_reason": {"type": "string"},
        "created_at": {"type": "string", "format": "date-time"},
        "assets": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {"type": "string", "format": "uri"}
                for name in ("video", "image", "progress_video")
            },
        },
        "model": {"type": "string"},
        "request": {
            "oneOf": [
                {
                    "required": ["model"],
                    "properties": {
                        "generation_type": {"enum": ["video"]},
                        "prompt": {"type": "string"},
                        "aspect_ratio": {"enum": ["1:1", "16:9", "9:16", "4:3", "3:4"]},
                        "loop": {"type": "boolean"},
                        "model": {"enum": ["ray-1-6", "ray-2", "ray-flash-2"]},
                        "resolution": {"type": "string"},
                        "duration": {"type": "string"},
                    },
                },
                {
                    "required": ["model"],
                    "properties": {
                        "generation_type": {"enum": ["image"]},
                        "model": {"enum": ["photon-1", "photon-flash-1"]},
                        "format": {"enum": ["jpg", "png"]},
                    },
                },
                {"properties": {"generation_type": {"enum": ["upscale_video"]}}},
                {"properties": {"generation_type": {"enum": ["add_audio"]}}},
            ]
        },
    },
}


@pytest.mark.parametrize(
    "changes",
    [
        {"progress_video": Link(path="/lit/progress.mp4")},
        {"video": None, "image": Link(path="/lit/photon.jpg"), "model": "photon-1"},
        {"state": "queued"},
        {"state": "dreaming"},
        {"state": "failed", "failure_reason": "Contains blacklisted words"},
    ],
    ids=["video", "image", "queued", "dreaming", "failed"],
)
def test_official_form_fits_the_published_schema(
    gateway: Gateway, client: httpx.Client, changes: dict[str, Any]
) -> None:
    """The vendor's form has only what the vendor's specification has, in its types."""
    gateway.put(task(form=LumaForm.OFFICIAL, absent=Absent.OMIT, **changes))
    body = document(gateway, client)
    jsonschema.validate(body, GENERATION)
    assert ("assets" in body) == (body["state"] == "completed")
    assert body.get("failure_reason") == changes.get("failure_reason")


@pytest.mark.parametrize("form", list(LumaForm))
def test_running_task_has_no_links(
    client: httpx.Client, form: LumaForm, clock: ManualClock
) -> None:
    """Before it is completed, no form bears any link; afterwards it does, by the clock alone."""
    with Gateway(clock=clock) as timed:
        timed.put(task(form=form, completes_at=START + timedelta(minutes=5)))
        before = json.dumps(document(timed, client))
        clock.advance(minutes=5)
        after = json.dumps(document(timed, client))
    assert timed.assets_url not in before
    assert ("dreaming" if form is LumaForm.OFFICIAL else "processing") in before
    assert timed.assets_url in after
    assert "completed" in after


@pytest.mark.parametrize(
    ("absent", "raw", "url"),
    [(Absent.NULL, None, None), (Absent.OMIT, "-", "-"), (Absent.EMPTY, {"url": ""}, "")],
)
def test_absent_links_are_absent_in_every_way_seen(
    gateway: Gateway, client: httpx.Client, absent: Absent, raw: object, url: object
) -> None:
    """What is not there is `null`, left out, or empty, as the task says."""
    gateway.put(task(video_raw=None, download_url=None, absent=absent))
    body = document(gateway, client)
    assert body.get("video_raw", "-") == raw
    assert body["video"].get("download_url", "-") == url


def test_envelopes_are_nested_as_deep_as_asked(gateway: Gateway, client: httpx.Client) -> None:
    """Envelopes lie around the gateway's own record, which lies around the provider's body."""
    gateway.put(task(envelopes=3, row=True, state="failed", failure_reason="moderated"))
    body = document(gateway, client)
    for _ in range(3):
        assert body["code"] == "success"
        body = body["data"]
    assert "code" not in body
    assert body["status"] == "FAILURE"
    assert body["fail_reason"] == body["result_url"] == "moderated"
    assert body["submit_time"] == int(START.timestamp())
    assert body["data"]["state"] == "failed"


def test_own_body_replaces_the_usual_one(gateway: Gateway, client: httpx.Client) -> None:
    """A test's own body is served as it is, with links to the gateway where it wants them."""
    gateway.put(task(body=lambda links: {"odd": [links.url(Link(path="/x.mp4"))]}, envelopes=1))
    assert document(gateway, client)["data"] == {"odd": [f"{gateway.assets_url}/x.mp4"]}


def test_gateway_json_escapes_as_go_does(gateway: Gateway, client: httpx.Client) -> None:
    r"""Gateways written in Go send `&` as `\u0026`: clients must decode JSON, not search in it."""
    gateway.put(task())
    answer = client.get(f"{gateway.base_url}/dream-machine/v1/generations/{ID}")
    assert b"&" not in answer.content
    assert b"\\u0026X-Amz-Signature=" in answer.content
    assert "&X-Amz-Signature=" in answer.json()["video"]["download_url"]


def test_change_shows_in_the_next_answer(gateway: Gateway, client: httpx.Client) -> None:
    """A task can be changed while the gateway runs, all attributes at once."""
    gateway.put(task(state="processing"))
    assert document(gateway, client)["video"] is None
    gateway.change(ID, state="completed", video_raw=None)
    body = document(gateway, client)
    assert body["state"] == "completed"
    assert body["video_raw"] is None
    with pytest.raises(KeyError):
        gateway.change("nobody", state="failed")


# --- no ------------------------------------------------------------------------------------------


def test_unknown_task_is_400_at_a_gateway(gateway: Gateway, client: httpx.Client) -> None:
    """A gateway says `task_not_exist` with status 400, also of a task that is too fresh."""
    gateway.put(task(task_id="fresh", appears_at=gateway.now() + timedelta(seconds=30)))
    for path in ("/dream-machine/v1/generations/none", "/luma/generations/fresh"):
        answer = client.get(f"{gateway.base_url}{path}")
        assert answer.status_code == 400
        assert answer.json() == {
            "code": "task_not_exist",
            "message": "task_not_exist",
            "data": None,
        }


def test_official_dialect_says_detail(client: httpx.Client) -> None:
    """The vendor's own API says no with `detail` and a true status."""
    with Gateway(dialect=OfficialDialect()) as official:
        path = f"{official.base_url}/dream-machine/v1/generations/none"
        unknown = client.get(path)
        refused = client.get(path, headers={"Authorization": "Bearer other"})
        nowhere = client.get(f"{official.base_url}/v2/none")
    assert (unknown.status_code, list(unknown.json())) == (404, ["detail"])
    assert (refused.status_code, refused.json()) == (
        401,
        {"detail": "Invalid API key is provided"},
    )
    assert (nowhere.status_code, list(nowhere.json())) == (404, ["detail"])


@pytest.mark.parametrize("given", [None, "Bearer sk-other", API_KEY, f"bearer {API_KEY}"])
def test_wrong_key_is_401(gateway: Gateway, given: str | None) -> None:
    """Without the right bearer key nothing about a task is said."""
    gateway.put(task())
    headers = {} if given is None else {"Authorization": given}
    url = f"{gateway.base_url}/dream-machine/v1/generations/{ID}"
    answer = httpx.get(url, headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "new_api_error"


def test_unknown_route_is_404_json(gateway: Gateway, client: httpx.Client) -> None:
    """A path that nobody serves, or the wrong method, is "Invalid URL", with the path."""
    gateway.put(task())
    for method, path in (
        ("GET", "/v9/none"),
        ("DELETE", f"/dream-machine/v1/generations/{ID}"),
        ("GET", f"//dream-machine/v1/generations/{ID}"),
        ("GET", "/luma/generations/"),
    ):
        answer = client.request(method, f"{gateway.base_url}{path}")
        assert answer.status_code == 404
        message = answer.json()["error"]["message"]
        assert message == f"Invalid URL ({method} {path})"
    assert gateway.task(ID) is not None


def test_gateway_may_lack_one_family_of_paths(client: httpx.Client) -> None:
    """Some gateways know only the official paths, others only their own."""
    for service in (LumaService(own=False), LumaService(official=False)):
        with Gateway(services=(service,)) as partial:
            partial.put(task())
            for path, there in (
                (f"/dream-machine/v1/generations/{ID}", service.official),
                (f"/luma/generations/{ID}", service.own),
            ):
                answer = client.get(f"{partial.base_url}{path}")
                assert answer.status_code == (200 if there else 404)
            assert client.post(f"{partial.base_url}/luma/tasks", json={"ids": []}).status_code == (
                200 if service.own else 404
            )


@pytest.mark.parametrize("prefix", ["/vip/v2", "vip/v2/", "/vip/v2/"])
def test_prefix_is_part_of_the_base_url(client: httpx.Client, prefix: str) -> None:
    """With a prefix, only paths below it are known."""
    with Gateway(prefix=prefix) as behind:
        behind.put(task())
        assert behind.base_url.endswith("/vip/v2")
        assert document(behind, client)["id"] == ID
        root = behind.base_url.removesuffix("/vip/v2")
        for path in ("", "/vip/v2x", "/vip"):
            whole = f"{path}/dream-machine/v1/generations/{ID}"
            answer = client.get(f"{root}{whole}")
            assert answer.status_code == 404
            assert answer.json()["error"]["message"] == f"Invalid URL (GET {whole})"
        assert behind.count(f"/dream-machine/v1/generations/{ID}", task_id=ID) == 1


# --- other endpoints ----------------------------------------------------------------------------


def test_no_mark_endpoint(gateway: Gateway, client: httpx.Client) -> None:
    """It gives a fresh signed link once a task is completed and has one; before that, 400."""
    url = f"{gateway.base_url}/luma/generations/{ID}/download_video_url"
    gateway.put(task(state="processing", no_mark=Link(path=SIGNED, lifetime_s=3600)))
    assert client.get(url).status_code == 400
    gateway.change(ID, state="completed")
    answer = client.get(url)
    assert answer.status_code == 200
    assert list(answer.json()) == ["url"]
    assert httpx.URL(answer.json()["url"]).path == SIGNED
    gateway.change(ID, no_mark=None)
    assert client.get(url).status_code == 400
    assert client.get(url).json()["code"] != "task_not_exist"
    unknown = client.get(f"{gateway.base_url}/luma/generations/none/download_video_url")
    assert unknown.json()["code"] == "task_not_exist"


@pytest.mark.parametrize("shape", [BatchShape.ROWS, BatchShape.ARRAY, None])
def test_batch_endpoint(client: httpx.Client, shape: BatchShape | None) -> None:
    """It answers for the ids that it knows, in its own order, in either of two shapes."""
    with Gateway(services=(LumaService(batch=shape, batch_null=True),)) as batch:
        batch.put(task(task_id="one"), task(task_id="two"), task(task_id="three"))
        url = f"{batch.base_url}/luma/tasks"
        answer = client.post(url, json={"ids": ["three", "nobody", "one"]})
        nothing = client.post(url, json={"ids": ["nobody"]})
        nonsense = client.post(url, json={"ids": "one"})
    if shape is None:
        assert answer.status_code == 404
        return
    body = answer.json()
    if shape is BatchShape.ROWS:
        rows = body["data"]
        assert [row["task_id"] for row in rows] == ["one", "three"]
        assert rows[0]["platform"] == "luma_free"
        assert rows[0]["created_at"] == "2026-11-23T03:00:00.000Z"
        body = [row["data"] for row in rows]
        assert nothing.json() == {"code": "success", "message": "", "data": None}
    else:
        assert nothing.json() is None
    assert [document["id"] for document in body] == ["one", "three"]
    assert nonsense.status_code == 400
    assert batch.requests[0].task_ids == ("nobody", "one", "three")


def test_official_list_pages(client: httpx.Client) -> None:
    """Pages cover all listed tasks once, newest first, and say whether more follow."""
    with Gateway() as listing:
        for number in range(7):
            age = timedelta(days=number)
            listing.put(task(task_id=f"t{number}", created_at=START - age, form=LumaForm.OFFICIAL))
        listing.put(task(task_id="hidden", listed=False))
        url = f"{listing.base_url}/dream-machine/v1/generations"
        first = client.get(url, params={"limit": "3", "offset": "0"}).json()
        last = client.get(url, params={"limit": "3", "offset": "6"}).json()
        usual = client.get(url).json()
        wrong = client.get(url, params={"limit": "-1"})
    assert [g["id"] for g in first["generations"]] == ["t0", "t1", "t2"]
    assert (first["has_more"], first["count"], first["limit"], first["offset"]) == (True, 3, 3, 0)
    assert [g["id"] for g in last["generations"]] == ["t6"]
    assert last["has_more"] is False
    assert usual["limit"] == 100
    assert len(usual["generations"]) == 7
    assert wrong.status_code == 400


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        (ListOrder.OLDEST_FIRST, ["t2", "t1", "t0"]),
        (ListOrder.NEWEST_FIRST, ["t0", "t1", "t2"]),
        (ListOrder.SHUFFLED, None),
    ],
)
def test_official_list_order_is_a_choice(
    client: httpx.Client, order: ListOrder, ids: list[str] | None
) -> None:
    """Nobody documents the list's order, so a test may choose it; `has_more` may be missing."""
    with Gateway(services=(LumaService(order=order, has_more=False),)) as listing:
        listing.put(*(task(task_id=f"t{n}", created_at=START - timedelta(n)) for n in range(3)))
        body = client.get(f"{listing.base_url}/dream-machine/v1/generations").json()
    found = [generation["id"] for generation in body["generations"]]
    assert sorted(found) == ["t0", "t1", "t2"]
    assert ids is None or found == ids
    assert "has_more" not in body


def test_task_list_of_the_gateway(gateway: Gateway) -> None:
    """It has its own credential, is paged, newest first, and filters by the query."""
    for number in range(25):
        state = "completed" if number % 5 else "failed"
        created = START + timedelta(seconds=number)
        gateway.put(task(task_id=f"t{number:02d}", state=state, created_at=created))
    headers = {"Authorization": f"Bearer {USER_TOKEN}", "New-Api-User": USER_ID}
    url = f"{gateway.base_url}/api/task/self"

    def page(**params: object) -> Any:
        query = {name: str(value) for name, value in params.items()}
        answer = httpx.get(url, params=query, headers=headers, trust_env=False).json()
        assert answer["success"] is True
        return answer["data"]

    first = page(p=1, page_size=20)
    assert (first["total"], first["page"], first["page_size"]) == (25, 1, 20)
    assert [item["task_id"] for item in first["items"]][:2] == ["t24", "t23"]
    ids = [item["id"] for item in first["items"]]
    assert ids == sorted(ids, reverse=True)
    assert len(page(p=2, page_size=20)["items"]) == 5
    assert page(p=9, page_size=20)["items"] == []
    assert page(status="FAILURE", page_size=100)["total"] == 5
    assert page(platform="suno")["total"] == 0
    assert page(start_timestamp=int(START.timestamp()) + 20)["total"] == 5
    assert page(end_timestamp=int(START.timestamp()))["total"] == 1
    assert first["items"][0]["data"]["state"] == "completed"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        KEY,
        {"Authorization": f"Bearer {USER_TOKEN}"},
        {"Authorization": f"Bearer {USER_TOKEN}", "New-Api-User": "7"},
    ],
)
def test_task_list_refuses_the_api_key(gateway: Gateway, headers: dict[str, str]) -> None:
    """Without user token and user id it says so with status 200, as documented."""
    answer = httpx.get(f"{gateway.base_url}/api/task/self", headers=headers, trust_env=False)
    assert answer.status_code == 200
    assert answer.json()["success"] is False


def test_task_list_may_refuse_with_401() -> None:
    """Newer gateways refuse with status 401."""
    service = TaskListService(user_token="u", user_id="1", refusal_status=401)
    with Gateway(services=(service,)) as newer:
        answer = httpx.get(f"{newer.base_url}/api/task/self", trust_env=False)
    assert answer.status_code == 401


def test_row_may_bear_a_link_as_its_failure(gateway: Gateway, client: httpx.Client) -> None:
    """`fail_reason` is no error flag: on success some gateways put a link there."""
    gateway.put(task(row=True, envelopes=1, fail_reason="https://cdn.example/v.mp4"))
    row = document(gateway, client)["data"]
    assert (row["status"], row["fail_reason"]) == ("SUCCESS", "https://cdn.example/v.mp4")


def test_small_official_endpoints(gateway: Gateway, client: httpx.Client) -> None:
    """The vendor's ping and credits are there."""
    base = f"{gateway.base_url}/dream-machine/v1"
    assert client.get(f"{base}/ping").json() == {"message": "pong"}
    assert client.get(f"{base}/credits").json()["credit_balance"] > 0


# --- modes --------------------------------------------------------------------------------------


def test_down_refuses_connections_and_comes_back(gateway: Gateway, client: httpx.Client) -> None:
    """While down, connections are refused, open ones end, and the port is the same afterwards."""
    gateway.put(task())
    gateway.host("/a.bin", b"bytes")
    url = gateway.base_url
    document(gateway, client)
    gateway.mode = Mode.DOWN
    for _ in range(3):
        with pytest.raises(httpx.TransportError):
            client.get(f"{url}/dream-machine/v1/ping")
    with pytest.raises(httpx.ConnectError):
        client.get(f"{url}/dream-machine/v1/ping")
    assert client.get(f"{gateway.assets_url}/a.bin").content == b"bytes"
    gateway.assets_mode = Mode.DOWN
    with pytest.raises(httpx.TransportError):
        client.get(f"{gateway.assets_url}/a.bin")
    gateway.mode = gateway.assets_mode = Mode.UP
    assert gateway.base_url == url
    assert document(gateway, client)["id"] == ID
    assert client.get(f"{gateway.assets_url}/a.bin").content == b"bytes"


def test_gateway_may_begin_by_being_down(client: httpx.Client) -> None:
    """A mode set before the start is in force from the start."""
    down = Gateway()
    down.mode = Mode.DOWN
    with down, pytest.raises(httpx.ConnectError):
        client.get(f"{down.base_url}/dream-machine/v1/ping")


@pytest.mark.parametrize(
    ("mode", "status", "media_type", "assets_status"),
    [
        (Mode.FAILING, 500, "application/json", 500),
        (Mode.KEY_REFUSED, 401, "application/json", 403),
        (Mode.LOGIN_PAGE, 200, "text/html", 200),
        (Mode.UNKNOWN_ROUTE, 404, "application/json", 404),
    ],
)
def test_modes_answer_everything_alike(
    gateway: Gateway,
    client: httpx.Client,
    mode: Mode,
    status: int,
    media_type: str,
    assets_status: int,
) -> None:
    """In a mode, every path is answered alike; scripts wait until the mode is over."""
    gateway.put(task())
    gateway.host("/a.bin", b"bytes")
    gateway.script("*", Status(status=418))
    gateway.mode = gateway.assets_mode = mode
    answer = client.get(f"{gateway.base_url}/dream-machine/v1/generations/{ID}")
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(media_type)
    assert client.get(f"{gateway.assets_url}/a.bin").status_code == assets_status
    gateway.mode = gateway.assets_mode = Mode.UP
    assert gateway.faults_waiting == 1
    assert client.get(f"{gateway.base_url}/dream-machine/v1/ping").status_code == 418


def test_dropping_ends_connections_without_an_answer(
    gateway: Gateway, client: httpx.Client
) -> None:
    """A dropping origin is connected to and says nothing."""
    gateway.mode = Mode.DROPPING
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"{gateway.base_url}/dream-machine/v1/ping")
    assert [record.status for record in gateway.requests] == [0]


def test_going_down_in_the_middle_of_an_answer(gateway: Gateway, client: httpx.Client) -> None:
    """A request may itself be what takes the gateway down, without a deadlock."""

    def fall() -> None:
        gateway.mode = Mode.DOWN

    gateway.script("*", Meanwhile(action=fall))
    with pytest.raises(httpx.TransportError):
        client.get(f"{gateway.base_url}/dream-machine/v1/ping")
    gateway.mode = Mode.UP
    assert client.get(f"{gateway.base_url}/dream-machine/v1/ping").status_code == 200


# --- memory, threads, life ----------------------------------------------------------------------


def test_requests_are_remembered(gateway: Gateway, client: httpx.Client) -> None:
    """Every request is in the log with what was asked and what came of it, secrets not in repr."""
    gateway.put(task())
    gateway.host("/lit/a.mp4", b"0123456789", task_id=ID)
    document(gateway, client)
    bare = {"Range": "bytes=4-"}
    httpx.get(f"{gateway.assets_url}/lit/a.mp4?token=hush", headers=bare, trust_env=False)
    asked, fetched = gateway.requests
    assert (asked.origin, asked.method, asked.status) == ("api", "GET", 200)
    assert asked.authorized
    assert asked.task_ids == fetched.task_ids == (ID,)
    assert (fetched.origin, fetched.path, fetched.status) == ("assets", "/lit/a.mp4", 206)
    assert not fetched.authorized
    assert (fetched.range, fetched.sent_bytes) == ("bytes=4-", 6)
    assert asked.connection != fetched.connection
    assert API_KEY not in repr(asked)
    assert "hush" not in repr(fetched)
    assert gateway.count(origin="assets") == 1
    assert gateway.count("/lit/*", method="GET", task_id=ID) == 1
    gateway.clear_requests()
    assert gateway.requests == ()


def test_connections_are_kept_alive(gateway: Gateway, client: httpx.Client) -> None:
    """Many requests of one client share one connection."""
    gateway.put(task())
    for _ in range(5):
        document(gateway, client)
    assert len({record.connection for record in gateway.requests}) == 1


def test_twenty_requests_at_once(gateway: Gateway) -> None:
    """Parallel requests are answered in parallel, each with its own task and whole."""
    data = {f"t{n}": bytes([n]) * (100_000 + n) for n in range(20)}
    for name, content in data.items():
        gateway.put(task(task_id=name))
        gateway.host(f"/lit/{name}", content)
    together = threading.Barrier(20, timeout=30)
    gateway.script("/dream-machine/*", Meanwhile(action=together.wait), always=True)

    def fetch(name: str) -> tuple[str, bytes]:
        with httpx.Client(headers=KEY, trust_env=False, timeout=30) as client:
            body = document(gateway, client, task_id=name)
            return body["id"], client.get(f"{gateway.assets_url}/lit/{name}").content

    with ThreadPoolExecutor(20) as pool:
        results = dict(pool.map(fetch, data))
    assert results == data
    assert len(gateway.requests) == 40
    assert gateway.count(origin="assets") == 20


def test_tasks_may_change_under_load(gateway: Gateway) -> None:
    """An answer never mixes two versions of a task."""
    versions = [task(prompt=f"take {n}", model=f"take {n}", form=LumaForm.OFFICIAL) for n in (1, 2)]
    gateway.put(versions[0])
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for version in versions:
                gateway.put(version)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        with httpx.Client(headers=KEY, trust_env=False) as client:
            for _ in range(50):
                body = document(gateway, client)
                assert body["model"] == body["request"]["prompt"]
    finally:
        stop.set()
        swapper.join()


def test_nothing_is_left_after_close() -> None:
    """No thread, no socket and no listening port remains, not even with clients still there."""
    threads = set(threading.enumerate())
    gateway = Gateway().start()
    ports = [httpx.URL(url).port or 0 for url in (gateway.base_url, gateway.assets_url)]
    idle = socket.create_connection(("127.0.0.1", ports[0]))
    with httpx.Client(headers=KEY, trust_env=False) as client:
        assert client.get(f"{gateway.base_url}/dream-machine/v1/ping").status_code == 200
        gateway.close()
        assert idle.recv(1) == b""
        with pytest.raises(httpx.TransportError):
            client.get(f"{gateway.base_url}/dream-machine/v1/ping")
    idle.close()
    assert set(threading.enumerate()) == threads
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    gateway.mode = Mode.UP  # too late: what is closed stays closed
    assert set(threading.enumerate()) == threads
    del gateway
    gc.collect()  # an unclosed socket would warn here, and a warning is an error


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET / HTTP/2.0\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
    ],
)
def test_unreadable_requests_are_refused(gateway: Gateway, sent: bytes, status: bytes) -> None:
    """What is no HTTP is answered with the status for it, and the connection ends."""
    port = httpx.URL(gateway.base_url).port
    with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as raw:
        raw.sendall(sent)
        received = b""
        try:
            while block := raw.recv(65_536):
                received += block
        except ConnectionResetError:
            pass  # it did not read all that came, so the end may be abrupt
    assert received.split(b" ")[1:2] == [status]


def test_date_is_the_gateways_own(clock: ManualClock, client: httpx.Client) -> None:
    """`Date` is by the gateway's clock, so that a test can move it."""
    with Gateway(clock=clock) as timed:
        clock.advance(days=400)
        answer = client.get(f"{timed.base_url}/dream-machine/v1/ping")
        assert answer.headers["date"] == "Tue, 28 Dec 2027 03:00:00 GMT"
        assert timed.requests[0].at == clock.now()


def test_ids_are_taken_as_they_are_encoded(gateway: Gateway, client: httpx.Client) -> None:
    """An id with slashes, dots and spaces comes through its encoding whole, and 3,000 long."""
    for name in ("../../etc/passwd", "a b?c#d", "%2e%2e%2f", "é/ö", "x" * 3000):
        gateway.put(task(task_id=name))
        encoded = "".join(f"%{byte:02X}" for byte in name.encode())
        assert document(gateway, client, task_id=encoded)["id"] == name
