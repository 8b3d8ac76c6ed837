"""The embedded gateway answers about songs and pictures as the real services do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from archiver.gateway import (
    API_KEY,
    Gateway,
    GatewayStatus,
    Link,
    MidjourneyService,
    MidjourneyTask,
    SunoClip,
    SunoLyricsTask,
    SunoService,
    SunoTask,
    SunoWrapperService,
    UdioForm,
    UdioService,
    UdioSong,
    UdioTask,
)
from tests import gatewayfixture
from tests.gatewayfixture import START

gateway = gatewayfixture.gateway

KEY = {"Authorization": f"Bearer {API_KEY}"}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers=KEY, trust_env=False, timeout=10) as client:
        yield client


def clip(number: int, **changes: Any) -> SunoClip:
    settings: dict[str, Any] = {"audio": Link(path=f"/{number}.mp3"), "duration_s": 2.0}
    return SunoClip(clip_id=f"c{number}", **{**settings, **changes})


def song(number: int, **changes: Any) -> UdioSong:
    return UdioSong(song_id=f"s{number}", audio=Link(path=f"/{number}.mp3"), **changes)


# --- Suno ---------------------------------------------------------------------------------------


def test_suno_row(gateway: Gateway, client: httpx.Client) -> None:
    """A task is the gateway's row in an envelope, with the clips as its `data`."""
    gateway.put(SunoTask(task_id="t", created_at=START, clips=(clip(1), clip(2))))
    body = client.get(f"{gateway.base_url}/suno/fetch/t").json()
    assert (body["code"], body["data"]["action"], body["data"]["status"]) == (
        "success",
        "MUSIC",
        "SUCCESS",
    )
    clips = body["data"]["data"]
    assert [c["audio_url"] for c in clips] == [f"{gateway.assets_url}/{n}.mp3" for n in (1, 2)]
    assert clips[0]["metadata"]["duration"] == 2.0
    assert clips[0]["created_at"] == "2026-11-23T03:00:00.000Z"


@pytest.mark.parametrize(
    ("clips", "status"),
    [
        ((clip(1), clip(2)), "SUCCESS"),
        ((clip(1), clip(2, status="streaming")), "IN_PROGRESS"),
        ((clip(1), clip(2, status="error")), "SUCCESS"),
        ((clip(1, status="error"),), "FAILURE"),
        ((), "SUBMITTED"),
    ],
)
def test_suno_states(
    gateway: Gateway, client: httpx.Client, clips: tuple[SunoClip, ...], status: str
) -> None:
    """The row's state follows its clips; one that is complete is a success."""
    gateway.put(SunoTask(task_id="t", clips=clips))
    row = client.get(f"{gateway.base_url}/suno/fetch/t").json()["data"]
    assert row["status"] == status
    gateway.change("t", state=GatewayStatus.UNKNOWN)
    assert client.get(f"{gateway.base_url}/suno/fetch/t").json()["data"]["status"] == "UNKNOWN"


def test_suno_clips_before_the_end(gateway: Gateway, client: httpx.Client) -> None:
    """A clip that streams has the stream's link, one that failed the link of no file."""
    stream = Link(path="/?item_id=c1")
    failed = clip(2, status="error", error="moderated")
    gateway.put(SunoTask(task_id="t", clips=(clip(1, status="streaming", stream=stream), failed)))
    first, second = client.get(f"{gateway.base_url}/suno/fetch/t").json()["data"]["data"]
    assert first["audio_url"] == f"{gateway.assets_url}/?item_id=c1"
    assert (first["video_url"], first["metadata"]["duration"]) == ("", None)
    assert second["audio_url"].endswith("/None.mp3")
    assert second["metadata"]["error_message"] == "moderated"


def test_suno_lyrics(gateway: Gateway, client: httpx.Client) -> None:
    """Words are an object in place of the list."""
    gateway.put(SunoLyricsTask(task_id="l", text="la"), SunoLyricsTask(task_id="f", error="no"))
    row = client.get(f"{gateway.base_url}/suno/fetch/l").json()["data"]
    assert (row["action"], row["status"], row["data"]["text"]) == ("LYRICS", "SUCCESS", "la")
    row = client.get(f"{gateway.base_url}/suno/fetch/f").json()["data"]
    assert (row["status"], row["fail_reason"], row["data"]["status"]) == ("FAILURE", "no", "error")


def test_suno_batch(gateway: Gateway, client: httpx.Client) -> None:
    """A batch has the rows of those that are known, words among them, and needs the key."""
    gateway.put(SunoTask(task_id="t", clips=(clip(1),)), SunoLyricsTask(task_id="l", text="la"))
    url = f"{gateway.base_url}/suno/fetch"
    body = client.post(url, json={"ids": ["l", "nobody", "t"], "action": "MUSIC"}).json()
    assert [row["task_id"] for row in body["data"]] == ["t", "l"]
    assert client.post(url, json={"ids": "t"}).status_code == 400
    assert httpx.post(url, json={"ids": ["t"]}, trust_env=False).status_code == 401


def test_suno_without_a_batch(client: httpx.Client) -> None:
    """A gateway may have no batch, or answer nobody with `null`."""
    with Gateway(services=[SunoService(batch=False)]) as plain:
        assert client.post(f"{plain.base_url}/suno/fetch", json={"ids": []}).status_code == 404
    with Gateway(services=[SunoService(batch_null=True)]) as plain:
        answer = client.post(f"{plain.base_url}/suno/fetch", json={"ids": []})
        assert answer.json()["data"] is None


def test_suno_wrapper() -> None:
    """A wrapper has bare clips by their ids, a library in pages, and no key."""
    with Gateway(services=[SunoWrapperService()]) as wrapper:
        wrapper.put(*(SunoTask(task_id=f"t{n}", clips=(clip(n),)) for n in range(25)))
        with httpx.Client(base_url=wrapper.base_url, trust_env=False) as client:
            assert [c["id"] for c in client.get("/api/get?ids=c3,c1,x").json()] == ["c3", "c1"]
            newest = [c["id"] for c in client.get("/api/get").json()]
            assert newest == [f"c{n}" for n in range(24, 4, -1)]
            assert len(client.get("/api/get?page=1").json()) == 5
            assert client.get("/api/get?page=2").json() == []


# --- Udio ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", UdioForm)
def test_udio_row(gateway: Gateway, client: httpx.Client, form: UdioForm) -> None:
    """Songs stand in the row or in its `data`, as gateways have them."""
    gateway.put(UdioTask(task_id="u", created_at=START, form=form, songs=(song(1), song(2))))
    row = client.get(f"{gateway.base_url}/udio/fetch/u").json()["data"]
    holder = row if form is UdioForm.ROW_SONGS else row["data"]
    assert ("data" in row) is (form is UdioForm.DATA_SONGS)
    assert [s["song_path"] for s in holder["songs"]] == [
        f"{gateway.assets_url}/{n}.mp3" for n in (1, 2)
    ]
    assert holder["songs"][0]["created_at"] == "2026-11-23T03:00:00.000000+00:00"
    assert (row["status"], row["action"]) == ("SUCCESS", "udio-generate")


@pytest.mark.parametrize(
    ("songs", "status"),
    [
        ((song(1), song(2, finished=False)), "IN_PROGRESS"),
        ((song(1), song(2, error="moderated")), "SUCCESS"),
        ((song(1, error="moderated"),), "FAILURE"),
        ((), "IN_PROGRESS"),
    ],
)
def test_udio_states(
    gateway: Gateway, client: httpx.Client, songs: tuple[UdioSong, ...], status: str
) -> None:
    """A song without a link is not finished; one that failed says why."""
    gateway.put(UdioTask(task_id="u", songs=songs))
    row = client.get(f"{gateway.base_url}/udio/fetch/u").json()["data"]
    assert row["status"] == status
    for made, shown in zip(songs, row["songs"], strict=True):
        assert shown["finished"] is (made.finished and not made.error)
        assert (shown["song_path"] is None) is not shown["finished"]
        assert shown["error_detail"] == made.error


def test_udio_query(gateway: Gateway, client: httpx.Client) -> None:
    """A query has the songs that are known, of whichever generation."""
    gateway.put(
        UdioTask(task_id="u", songs=(song(1), song(2))), UdioTask(task_id="v", songs=(song(3),))
    )
    body = client.get(f"{gateway.base_url}/udio/query?ids=s3,s1,nobody").json()
    assert [(s["id"], s["generation_id"]) for s in body["songs"]] == [("s1", "u"), ("s3", "v")]
    assert client.get(f"{gateway.base_url}/udio/query").json() == {"songs": []}


def test_udio_with_one_route(client: httpx.Client) -> None:
    """A gateway may have the one route or the other."""
    for service, known, unknown in (
        (UdioService(query=False), "/udio/fetch/u", "/udio/query?ids=s1"),
        (UdioService(fetch=False), "/udio/query?ids=s1", "/udio/fetch/u"),
    ):
        with Gateway(services=[service]) as plain:
            plain.put(UdioTask(task_id="u", songs=(song(1),)))
            assert client.get(f"{plain.base_url}{known}").status_code == 200
            assert client.get(f"{plain.base_url}{unknown}").status_code == 404


# --- Midjourney ---------------------------------------------------------------------------------


def job(task_id: str = "1", **changes: Any) -> MidjourneyTask:
    settings: dict[str, Any] = {"image": Link(path="/a.png"), "created_at": START}
    return MidjourneyTask(task_id=task_id, **{**settings, **changes})


@pytest.mark.parametrize("speed", ["", "/mj-fast", "/mj-relax", "/mj-turbo"])
def test_midjourney_job(gateway: Gateway, client: httpx.Client, speed: str) -> None:
    """A job is one flat object, times in milliseconds, in every speed mode."""
    gateway.put(job(images=(Link(path="/b.png"),), thumbnails=(Link(path="/t.webp"),)))
    body = client.get(f"{gateway.base_url}{speed}/mj/task/1/fetch").json()
    assert body["submitTime"] == int(START.timestamp() * 1000)
    assert (body["action"], body["status"]) == ("IMAGINE", "SUCCESS")
    assert body["imageUrl"] == f"{gateway.assets_url}/a.png"
    assert body["imageUrls"] == [
        {"url": f"{gateway.assets_url}/b.png", "thumbnail": f"{gateway.assets_url}/t.webp"}
    ]
    assert "seed" not in body


def test_midjourney_before_the_end(gateway: Gateway, client: httpx.Client) -> None:
    """A job at work shows a preview in place of the picture, and nothing else."""
    gateway.put(
        job(state="IN_PROGRESS", preview=Link(path="/p.webp"), images=(Link(path="/b.png"),)),
        job("2", state="CANCEL"),
    )
    body = client.get(f"{gateway.base_url}/mj/task/1/fetch").json()
    assert (body["imageUrl"], body["imageUrls"]) == (f"{gateway.assets_url}/p.webp", None)
    assert body["finishTime"] == 0
    task = gateway.task("2")
    assert task
    assert task.status(START) is GatewayStatus.FAILURE


def test_midjourney_batch_and_unknown(gateway: Gateway, client: httpx.Client) -> None:
    """A batch is a bare array of the known; an unknown id is told in words of its own."""
    gateway.put(job("1", texts_only=True, images=(Link(path="/b.png"),)), job("2"))
    url = f"{gateway.base_url}/mj/task/list-by-condition"
    body = client.post(url, json={"ids": ["2", "nobody", "1"]}).json()
    assert [b["id"] for b in body] == ["1", "2"]
    assert body[0]["imageUrls"] == [f"{gateway.assets_url}/b.png"]
    assert client.post(url, content=b"[").status_code == 400
    answer = client.get(f"{gateway.base_url}/mj/task/nobody/fetch")
    assert (answer.status_code, answer.json()["description"]) == (400, "task_no_found ")
    assert client.get(f"{gateway.base_url}/mj/task/list").status_code == 404


@pytest.mark.parametrize(("seed", "answer"), [(7, (1, "7")), (None, (4, ""))])
def test_midjourney_seed(
    gateway: Gateway, client: httpx.Client, seed: int | None, answer: tuple[int, str]
) -> None:
    """The seed has an endpoint of its own, and stands in the answer where that is wanted."""
    gateway.put(job(seed=seed), job("2", seed=seed, seed_in_answer=True))
    body = client.get(f"{gateway.base_url}/mj/task/1/image-seed").json()
    assert (body["code"], body["result"]) == answer
    declared = client.get(f"{gateway.base_url}/mj/task/2/fetch").json().get("seed")
    assert declared == (None if seed is None else "7")
    assert client.get(f"{gateway.base_url}/mj/task/nobody/image-seed").status_code == 400


def test_a_proxy_of_ones_own() -> None:
    """It has a list, an empty answer to unknown ids, one speed, and a key in its own header."""
    service = MidjourneyService(is_own=True, secret="s3cret", seeds=False)
    with Gateway(services=[service]) as proxy:
        proxy.put(*(job(str(n)) for n in range(120)))
        with httpx.Client(base_url=proxy.base_url, trust_env=False) as client:
            assert client.get("/mj/task/1/fetch").status_code == 401
            client.headers["mj-api-secret"] = "s3cret"
            listed = [b["id"] for b in client.get("/mj/task/list").json()]
            assert (len(listed), listed[0]) == (100, "119")
            empty = client.get("/mj/task/nobody/fetch")
            assert (empty.status_code, empty.content) == (200, b"")
            assert client.get("/mj-fast/mj/task/1/fetch").status_code == 404
            assert client.get("/mj/task/1/image-seed").status_code == 404
