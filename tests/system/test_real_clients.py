"""The embedded gateway's official form is faithful: the vendor's own client and a validator say so.

Prism stands between client and gateway and refuses every answer that its description of the API
(`tests/payloads/luma-official.openapi.yaml`) does not allow. The vendor's SDK reads strictly.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from archiver.gateway import Gateway
from archiver.gateway.dialect import OfficialDialect
from archiver.gateway.lumatask import LumaForm, LumaTask
from archiver.gateway.tasks import Absent
from tests.bench import CREATED_AT, Bench, clip, picture

SPECIFICATION = Path(__file__).resolve().parents[1] / "payloads" / "luma-official.openapi.yaml"
VIDEO, IMAGE, FAILED, RUNNING = (
    f"{number:08}-94f6-4e54-bc21-12f0e6da5791" for number in range(1, 5)
)
NOBODYS = "99999999-94f6-4e54-bc21-12f0e6da5791"
PATH = "/dream-machine/v1"

pytestmark = pytest.mark.tools("prism")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway that speaks as the vendor does."""
    with Gateway(dialect=OfficialDialect()) as started:
        yield started


@pytest.fixture
def bench(tmp_path: Path, gateway: Gateway) -> Bench:
    """Four generations: a video, an image, one that failed, one that still runs."""
    bench = Bench(tmp_path, gateway)
    usual = {"form": LumaForm.OFFICIAL, "absent": Absent.OMIT, "created_at": CREATED_AT}
    video = bench.host("/video.mp4", clip(1))
    image = bench.host("/image.jpg", picture(2), "image/jpeg")
    later = datetime.now(UTC) + timedelta(hours=1)
    tasks = [
        LumaTask(task_id=VIDEO, video=video, progress_video=video, **usual),
        LumaTask(task_id=IMAGE, image=image, model="photon-1", aspect_ratio="16:9", **usual),
        LumaTask(task_id=FAILED, state="failed", failure_reason="Moderated", **usual),
        LumaTask(task_id=RUNNING, video=video, completes_at=later, **usual),
    ]
    for task in tasks:
        gateway.put(task)
    return bench


@pytest.fixture
def prism(gateway: Gateway, tmp_path: Path) -> Iterator[str]:
    """The address of Prism in front of the gateway: what breaks the description is status 500."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["prism", "proxy", "-h", "127.0.0.1", "-p", str(port), "--errors"]
    with (tmp_path / "prism.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, str(SPECIFICATION), gateway.base_url], stdout=log, stderr=log
        )
        try:
            _until_it_listens(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


def _until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        assert process.poll() is None, "Prism ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("Prism does not listen")


def sdk(base_url: str, key: str) -> Any:
    """The vendor's client; it refuses an answer that its models do not allow."""
    from lumaai import LumaAI

    return LumaAI(
        auth_token=key,
        base_url=base_url + PATH,
        max_retries=0,
        _strict_response_validation=True,
        http_client=httpx.Client(trust_env=False),
    )


@pytest.mark.parametrize("through_prism", [False, True])
def test_the_vendors_client_reads_every_answer(
    bench: Bench, gateway: Gateway, prism: str, through_prism: bool
) -> None:
    """Ping, credits, each state of a generation, the list page by page; what is not there."""
    from lumaai import AuthenticationError, NotFoundError

    address = prism if through_prism else gateway.base_url
    with sdk(address, gateway.api_key) as client:
        assert client.ping.check().message == "pong"
        assert client.credits.get().credit_balance > 0
        found = {name: client.generations.get(name) for name in (VIDEO, IMAGE, FAILED, RUNNING)}
        states = [generation.state for generation in found.values()]
        assert states == ["completed", "completed", "failed", "dreaming"]
        assert found[VIDEO].assets.video.endswith("/video.mp4")
        assert found[IMAGE].assets.image.endswith("/image.jpg")
        assert found[FAILED].failure_reason == "Moderated"
        assert found[VIDEO].created_at == CREATED_AT
        pages = [client.generations.list(limit=3, offset=offset) for offset in (0, 3)]
        assert [len(page.generations) for page in pages] == [3, 1]
        assert [page.has_more for page in pages] == [True, False]
        listed = {generation.id for page in pages for generation in page.generations}
        assert listed == set(found)
        with pytest.raises(NotFoundError):
            client.generations.get(NOBODYS)
    with sdk(address, "another key") as stranger, pytest.raises(AuthenticationError):
        stranger.generations.list()


def test_what_departs_from_the_description_is_told(
    bench: Bench, gateway: Gateway, prism: str
) -> None:
    """An unknown state, a body of another form: Prism says 500, so that these tests can fail."""
    from lumaai import InternalServerError

    with sdk(prism, gateway.api_key) as client:
        task = LumaTask(task_id=VIDEO, form=LumaForm.OFFICIAL, state="finished")
        for wrong in (task, replace(task, form=LumaForm.WEB, state="completed")):
            gateway.put(wrong)
            with pytest.raises(InternalServerError):
                client.generations.get(VIDEO)


def test_archiver_asks_and_reads_as_the_description_says(bench: Bench, prism: str) -> None:
    """Its own requests pass Prism too: by id, and by the list in a nightly run."""
    bench.configure(source={"base_url": prism})
    assert bench.archive(VIDEO, IMAGE).tally.archived == 2
    bench.configure(source={"base_url": prism, "list": True})
    done = bench.cli("run", "--json")
    summary = done.objects()[-1]
    assert done.code == 0, done
    assert (summary["failed"], summary["waiting"], summary["discovered"]) == (1, 1, 2)
    assert bench.cli("verify", "--full", "--decode").code == 0
