"""The demo's scenario is what its records say: real media, real faults, one case for each."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from archiver.gateway import API_KEY, Gateway, LumaForm, LumaTask
from archiver.gateway.scenario import Case, Scenario, demo_scenario
from archiver.model import Dimensions, Role, State
from tests import gatewayfixture
from tests.gatewayfixture import START, ManualClock, key_env, run_cli, write_config

gateway = gatewayfixture.gateway
KEY = {"Authorization": f"Bearer {API_KEY}"}


@dataclass(frozen=True)
class Stage:
    scenario: Scenario
    seconds: float


@pytest.fixture(scope="module")
def made() -> Stage:
    began = time.monotonic()
    scenario = demo_scenario(START)
    return Stage(scenario=scenario, seconds=time.monotonic() - began)


@pytest.fixture
def played(made: Stage) -> Iterator[tuple[Gateway, Scenario]]:
    with Gateway(clock=ManualClock()) as started:
        made.scenario.install(started)
        yield started, made.scenario


def titled(scenario: Scenario, words: str) -> Case:
    (case,) = [case for case in scenario.cases if words in case.title]
    return case


def luma(case: Case) -> LumaTask:
    assert isinstance(case.task, LumaTask)
    return case.task


def body_of(gateway: Gateway, task_id: str) -> Any:
    url = f"{gateway.base_url}/dream-machine/v1/generations/{task_id}"
    body = httpx.get(url, headers=KEY, trust_env=False).json()
    while "data" in body:
        body = body["data"]
    return body


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False)


def shown_size(data: bytes) -> tuple[int, int]:
    """Decode all of a video, and return its width and height as a player shows them."""
    with av.open(io.BytesIO(data), mode="r") as container:
        frames = list(container.decode(video=0))
    first = frames[0]
    turned = first.rotation % 180 == 90
    return (first.height, first.width) if turned else (first.width, first.height)


def test_every_case_that_people_meet_is_there(made: Stage) -> None:
    """All cases that the demo must show are there, each with a readable id, title and reason."""
    cases = made.scenario.cases
    assert len(cases) >= 16
    assert len(set(made.scenario.task_ids)) == len(cases)
    assert len({case.title for case in cases}) == len(cases)
    for case in cases:
        assert str(uuid.UUID(case.task_id)) == case.task_id
        assert "\n" not in case.title + case.why
        assert len(case.title) <= 80
        assert made.scenario.case(case.task_id) is case
    expected = [case.expected for case in cases]
    assert {"video_raw", "download_url", "no_mark", "url"} <= {e.rendition for e in expected}
    assert {State.ARCHIVED, State.FAILED, State.WAITING} == {e.state for e in expected}
    assert [e.rendition for e in expected if e.watermarked] == ["url"]
    assert [e.missing for e in expected if e.missing] == [(Role.THUMBNAIL,)]
    verdicts = {Dimensions.MATCH, Dimensions.MISMATCH, Dimensions.UNDECLARED}
    assert verdicts <= {e.dimensions for e in expected}
    assert {luma(case).form for case in cases} == set(LumaForm)
    with pytest.raises(KeyError):
        made.scenario.case("nobody")


def test_media_take_little_time(made: Stage) -> None:
    """All media are made in well under five seconds."""
    assert made.seconds < 5


def test_all_media_are_real(made: Stage) -> None:
    """Every file but the false one decodes to its end, in its declared kind."""
    for case in made.scenario.cases:
        for file in case.files:
            if file.media_type.startswith("image/"):
                with Image.open(io.BytesIO(file.data)) as image:
                    image.load()
                    assert image.get_format_mimetype() == file.media_type
            elif file.data.startswith(b"<!DOCTYPE"):
                assert case.expected.refused == ("video_raw",)
            else:
                assert min(shown_size(file.data)) == 376


def test_expected_renditions_are_served(played: tuple[Gateway, Scenario]) -> None:
    """What each case expects can really be had from the gateway, with the verdict it expects."""
    gateway, scenario = played
    seen = 0
    for case in scenario.cases:
        rendition = case.expected.rendition
        body = body_of(gateway, case.task_id)
        if rendition is None:
            assert gateway.assets_url not in str(body)
            continue
        if "link that died" in case.title:
            assert get(body["video"]["download_url"]).status_code == 403
            body = body_of(gateway, case.task_id)
        data = fetch(gateway, case, body, rendition)
        if rendition == "image":
            with Image.open(io.BytesIO(data)) as image:
                assert image.size == (680, 376)
        else:
            assert shown_size(data) == (376, 680)
            declared = (body.get("video") or {}).get("width"), luma(case).width
            fits = {Dimensions.MATCH: (376, 376), Dimensions.MISMATCH: (1024, 1024)}
            assert declared == fits.get(case.expected.dimensions or Dimensions.MATCH, (None, 376))
        seen += 1
    assert seen >= 14
    assert gateway.faults_waiting == 0
    assert {record.authorized for record in gateway.requests_for(origin="assets")} == {False}


def fetch(gateway: Gateway, case: Case, body: Any, rendition: str) -> bytes:
    """Fetch a rendition's bytes as a patient client does: a cut is resumed."""
    if rendition == "no_mark":
        url = f"{gateway.base_url}/luma/generations/{case.task_id}/download_video_url"
        link = httpx.get(url, headers=KEY, trust_env=False).json()["url"]
    elif case.expected.dimensions is Dimensions.UNDECLARED:
        link = body["assets"][rendition]
    elif rendition == "video_raw":
        link = body["video_raw"]["url"]
    else:
        link = body["video"][rendition]
    held, tag = b"", ""
    headers: dict[str, str] = {}
    while True:
        with (
            httpx.Client(trust_env=False) as client,
            client.stream("GET", link, headers=headers) as answer,
        ):
            assert answer.status_code in (200, 206), answer.status_code
            tag = tag or answer.headers["etag"]
            try:
                for chunk in answer.iter_raw():
                    held += chunk
            except httpx.RemoteProtocolError:
                headers = {"Range": f"bytes={len(held)}-", "If-Range": tag}
                continue
            return held


def test_cut_case_is_cut_once(played: tuple[Gateway, Scenario]) -> None:
    """The dropped connection drops once, well inside the file, and the rest can be asked for."""
    gateway, scenario = played
    case = titled(scenario, "drops in the middle")
    data = fetch(gateway, case, body_of(gateway, case.task_id), "video_raw")
    first, second = gateway.requests_for(origin="assets", task_id=case.task_id)
    assert (first.status, second.status) == (200, 206)
    assert 100_000 < first.sent_bytes < len(data)
    assert first.sent_bytes + second.sent_bytes == len(data)


def test_one_url_case_has_one_url(played: tuple[Gateway, Scenario]) -> None:
    """The newer form bears one URL three times, and no date."""
    gateway, scenario = played
    body = body_of(gateway, titled(scenario, "one URL three times").task_id)
    links = {body["video"]["url"], body["video"]["download_url"], body["video_raw"]["url"]}
    assert len(links) == 1
    assert body["created_at"].startswith("0001")


def test_missing_thumbnail_is_404(played: tuple[Gateway, Scenario]) -> None:
    """The thumbnail that is not there has a link, and nothing behind it."""
    gateway, scenario = played
    case = titled(scenario, "thumbnail")
    body = body_of(gateway, case.task_id)
    assert get(body["thumbnail"]["url"]).status_code == 404
    assert get(body["last_frame"]["url"]).status_code == 200


def test_answered_id_differs_from_the_one_asked_for(played: tuple[Gateway, Scenario]) -> None:
    """As on the API page, the first case's answer bears another id."""
    gateway, scenario = played
    asked = scenario.task_ids[0]
    assert body_of(gateway, asked)["id"] == "32ec5549-7b7a-4111-a43b-445b3a89c8ef" != asked


def test_fixture_writes_a_config_that_can_be_read(gateway: Gateway, tmp_path: Any) -> None:
    """`write_config` gives TOML with one source at the gateway, overrides merged in."""
    import tomllib

    path = write_config(
        tmp_path,
        gateway,
        source={"name": "other", "inbox": ["inbox/*.txt"]},
        download={"workers": 2},
    )
    config = tomllib.loads(path.read_text())
    (source,) = config["source"]
    assert source["base_url"] == gateway.base_url
    assert (source["name"], source["inbox"]) == ("other", ["inbox/*.txt"])
    assert config["network"] == {"allow_private_addresses": True}
    assert config["download"] == {"workers": 2}
    assert key_env(gateway) == {source["api_key_env"]: API_KEY}


def test_fixture_runs_a_real_process(tmp_path: Any) -> None:
    """`run_cli` starts the interpreter on the package and gives back what it wrote."""
    completed = run_cli(["--no-such-option"], {}, tmp_path, stdin="")
    assert completed.code != 0
    assert completed.err
