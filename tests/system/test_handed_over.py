"""Pictures that are given at once: their answers are fetched from a gateway and handed over."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from archiver import load_config
from archiver.app import PROVIDERS, open_session
from archiver.gateway import Gateway
from archiver.gateway.cases import Case
from archiver.gateway.picturecases import picture_cases
from archiver.gateway.pictures import IdeogramTask, OpenAiImagesTask, RecraftTask
from archiver.gateway.scenario import Scenario
from archiver.ingest import ingest
from archiver.model import JsonValue, State
from archiver.runner import Limits
from tests.gatewayfixture import START, ManualClock, run_cli
from tests.system.test_all_providers import write_config

KEY = "ALL_KEY"
PATHS = {
    "recraft": "/recraft/v1/images/generations",
    "ideogram": "/ideogram/generate",
    "openai-images": "/v1/images/generations",
}


def prompt_of(case: Case) -> str:
    assert isinstance(case.task, (RecraftTask, IdeogramTask, OpenAiImagesTask))
    return case.task.prompt


@dataclass(frozen=True)
class Handed:
    folder: Path
    gateway: Gateway
    cases: tuple[Case, ...]
    bodies: dict[str, JsonValue]

    def ingest(self, *cases: Case, source: str | None = None) -> dict[str, Any]:
        """Hand bodies over; return each task's state, path and fault by its id."""
        config = load_config(self.folder / "archiver.toml")
        found: dict[str, Any] = {}
        with open_session(config, environ={KEY: self.gateway.api_key}) as session:
            ingest(
                session,
                [(case.title, self.bodies[case.title]) for case in cases],
                source=source,
                workers=2,
                limits=Limits(),
                on_outcome=lambda outcome, row: found.update({outcome.ref.task_id: outcome}),
            )
        return found

    def manifest(self, outcome: Any) -> Any:
        return json.loads((self.folder / "archive" / outcome.path / "manifest.json").read_bytes())


@pytest.fixture
def handed(tmp_path: Path) -> Iterator[Handed]:
    scenario = Scenario(cases=picture_cases(START))
    with Gateway(clock=ManualClock()) as gateway:
        scenario.install(gateway)
        write_config(tmp_path, dict.fromkeys(PATHS, gateway.base_url))
        bodies: dict[str, JsonValue] = {}
        with httpx.Client(trust_env=False, timeout=10) as client:
            for case in scenario.cases:
                asked = {"prompt": prompt_of(case)}
                answer = client.post(
                    gateway.base_url + PATHS[case.provider],
                    json=asked,
                    headers={"Authorization": f"Bearer {gateway.api_key}"},
                )
                assert answer.status_code == 200
                bodies[case.title] = answer.json()
            assert client.post(gateway.base_url + PATHS["recraft"]).status_code == 401
        yield Handed(tmp_path, gateway, scenario.cases, bodies)


CASES = picture_cases(START)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_an_answer_is_archived_as_it_came(handed: Handed, case: Case) -> None:
    """Whoever configured all three need not say whose an answer is; it comes out as it must."""
    (outcome,) = handed.ingest(case).values()
    assert (outcome.ref.source, outcome.state) == (case.provider, case.expected.state)
    if outcome.state is State.FAILED:
        assert "not safe" in outcome.fault.message
        return
    manifest = handed.manifest(outcome)
    asset = manifest["assets"][0]
    assert (asset["rendition"], asset["dimensions"]) == (
        case.expected.rendition,
        case.expected.dimensions,
    )
    assert manifest["prompt"] == (None if case.provider == "recraft" else prompt_of(case))
    stored = {a["path"] for a in manifest["assets"]}
    assert stored | {"manifest.json"} == {
        p.name for p in (handed.folder / "archive" / outcome.path).iterdir()
    }
    has_own_id = case.provider == "recraft"
    assert outcome.ref.task_id == case.task_id or not has_own_id
    assert outcome.ref.task_id.startswith("sha256-") is not has_own_id


def test_the_same_answer_is_the_same_task(handed: Handed) -> None:
    """An answer that is handed over again is not fetched again."""
    (case,) = [c for c in CASES if "good for an hour" in c.title]
    assert len(handed.ingest(case)) == 1
    before = handed.gateway.count(origin="assets")
    assert handed.ingest(case) == {}
    assert handed.gateway.count(origin="assets") == before


def test_base64_needs_no_request(handed: Handed) -> None:
    """What came inside the answer is stored without asking anybody, and not kept twice."""
    (case,) = [c for c in CASES if "two pictures as base64" in c.title]
    before = handed.gateway.count()
    (outcome,) = handed.ingest(case).values()
    assert outcome.state is State.ARCHIVED
    assert handed.gateway.count() == before
    path = handed.folder / "archive" / outcome.path / "manifest.json"
    assert path.stat().st_size < 8000


def test_the_demo_of_everything(tmp_path: Path) -> None:
    """`demo --all` archives at least two tasks of each provider, and counts every one."""
    done = run_cli(["demo", "out", "--all", "--json"], {}, tmp_path)
    assert done.code == 0, done
    *tasks, summary = [o for o in done.objects() if o["type"] in ("task", "summary")]
    assert all(task["as_expected"] for task in tasks)
    counts = Counter(task["source"] for task in tasks if task["state"] == "archived")
    shown = Counter(task["source"] for task in tasks)
    assert set(shown) == set(PROVIDERS)
    assert min(shown.values()) >= 2
    assert min(counts.values()) >= 1
    assert (summary["asked"], summary["archived"]) == (len(tasks), counts.total())


def test_the_check_and_the_doctor_say_what_to_do(handed: Handed) -> None:
    """Sources that cannot be asked are in order, and named with the command that takes them."""
    env = {KEY: handed.gateway.api_key}
    checked = run_cli(["config", "check"], env, handed.folder)
    assert checked.code == 0, checked
    assert checked.out.count("hand each answer to `archiver ingest`") == len(PATHS)
    before = handed.gateway.count(origin="api")
    seen = run_cli(["doctor"], env, handed.folder)
    assert seen.code == 0, seen
    assert seen.out.count("nothing to ask") == len(PATHS)
    assert handed.gateway.count(origin="api") == before


def test_asking_for_one_by_its_id_says_how(handed: Handed) -> None:
    """An id of such a source ends in words, at once and for good, without any request."""
    before = handed.gateway.count()
    done = run_cli(["archive", "ideogram:abc"], {KEY: handed.gateway.api_key}, handed.folder)
    assert "archiver ingest" in done.out
    assert "1 gone" in done.out
    assert handed.gateway.count() == before
