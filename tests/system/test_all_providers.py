"""Tasks of every provider, from the embedded gateway into an archive: what `demo --all` shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from archiver import ArchiveReport, archive, load_config
from archiver.app import PROVIDERS
from archiver.gateway import Gateway, MidjourneyService, SunoClip, SunoTask, media
from archiver.gateway.faults import Meanwhile, Status, Together
from archiver.gateway.midjourneycases import midjourney_cases
from archiver.gateway.scenario import Scenario, all_scenario
from archiver.gateway.tasks import Link
from archiver.model import Outcome, State, TaskRef
from tests.gatewayfixture import START, ManualClock

KEY = "ALL_KEY"
SECRET = "own-proxy-secret-91ab"


def write_config(
    folder: Path, sources: Mapping[str, str], *, key: str = f'api_key_env = "{KEY}"'
) -> Path:
    """Write a configuration with a source for each provider; `sources` are their base URLs."""
    blocks = [
        f'[[source]]\nname = "{name}"\nprovider = "{name}"\nbase_url = "{url}"\n'
        f"max_requests_per_second = 1000\n{key}\n"
        for name, url in sources.items()
    ]
    head = (
        'state_dir = "state"\n[store]\nurl = "archive"\n'
        "[download]\nworkers = 4\nmax_attempts = 2\n"
        "[network]\nallow_private_addresses = true\n"
    )
    path = folder / "archiver.toml"
    path.write_text(head + "\n".join(blocks), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Played:
    """A scenario that was archived, and what came of it."""

    scenario: Scenario
    gateway: Gateway
    folder: Path
    report: ArchiveReport

    def outcome(self, task_id: str) -> Outcome:
        (found,) = [o for o in self.report.outcomes if o.ref.task_id == task_id]
        return found

    def manifest(self, task_id: str) -> Any:
        path = self.outcome(task_id).path
        return json.loads((self.folder / "archive" / str(path) / "manifest.json").read_bytes())

    def titled(self, words: str) -> Any:
        (case,) = [case for case in self.scenario.cases if words in case.title]
        return self.manifest(case.task_id)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("all")
    scenario = all_scenario(START)
    with Gateway(clock=ManualClock()) as gateway:
        scenario.install(gateway)
        names = sorted({case.provider for case in scenario.cases})
        config = load_config(write_config(folder, dict.fromkeys(names, gateway.base_url)))
        refs = [
            TaskRef(source=c.provider, task_id=c.task_id) for c in scenario.cases if not c.posted
        ]
        report = archive(config, refs, environ={KEY: gateway.api_key})
        yield Played(scenario, gateway, folder, report)


def test_every_provider_has_tasks(played: Played) -> None:
    """There are at least two tasks of each provider, with ids and titles of their own."""
    cases = played.scenario.cases
    counts = {name: sum(c.provider == name for c in cases) for name in PROVIDERS}
    assert not {name for name, count in counts.items() if 0 < count < 2}
    assert {"luma", "suno", "udio", "midjourney"} <= {n for n, count in counts.items() if count}
    assert len({c.title for c in cases}) == len({c.task_id for c in cases}) == len(cases)


def test_every_case_comes_out_as_it_must(played: Played) -> None:
    """State, rendition, watermark and verdict of every case are those that it expects."""
    wrong = []
    for case in played.scenario.cases:
        if case.posted:
            continue  # test_handed_over
        outcome, expected = played.outcome(case.task_id), case.expected
        if outcome.state is not expected.state:
            wrong.append((case.title, outcome.state, outcome.fault))
        if expected.rendition is None or outcome.state is not State.ARCHIVED:
            continue
        manifest = played.manifest(case.task_id)
        main = next(a for a in manifest["assets"] if a["role"] not in ("thumbnail", "last_frame"))
        seen = (main["rendition"], main["watermarked"], main["dimensions"])
        if seen != (expected.rendition, expected.watermarked, expected.dimensions):
            wrong.append((case.title, *seen))
        missing = [m["role"] for m in manifest["missing"]]
        assert missing == [role.value for role in expected.missing], case.title
    assert not wrong
    assert played.report.tally.is_balanced


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (
            "Suno: two songs",
            [
                *("audio-2.mp3", "audio.mp3", "thumbnail-2.jpg", "thumbnail.jpg"),
                *("video-2.mp4", "video.mp4"),
            ],
        ),
        ("Suno: a success", ["audio-2.mp3", "thumbnail-2.jpg"]),
        ("Suno: words", ["text.txt"]),
        ("Udio: two songs", ["audio-2.mp3", "audio.mp3", "thumbnail-2.webp", "thumbnail.webp"]),
        ("Udio: a song", ["audio.mp3", "thumbnail.webp", "video.mp4"]),
        ("Midjourney: a grid", [*(f"image-{n}.png" for n in range(2, 6)), "image.png"]),
        ("Midjourney: an upscale", ["image.webp"]),
        (
            "Midjourney: two videos",
            ["thumbnail-2.webp", "thumbnail.webp", "video-2.mp4", "video.mp4"],
        ),
        ("Midjourney: a picture", ["text.txt"]),
    ],
)
def test_all_outputs_are_kept(played: Played, words: str, files: list[str]) -> None:
    """Every output of a task is in its folder, named by what it is."""
    manifest = played.titled(words)
    assert sorted(a["path"] for a in manifest["assets"]) == files
    folder = played.folder / "archive" / str(played.outcome(manifest["task_id"]).path)
    assert sorted(p.name for p in folder.iterdir()) == sorted([*files, "manifest.json"])


def test_songs_are_as_long_as_declared(played: Played) -> None:
    """The verdict on a song's length is in the manifest."""
    for words in ("Suno: two songs", "Udio: two songs"):
        songs = [a for a in played.titled(words)["assets"] if a["role"] == "audio"]
        assert [a["duration"] for a in songs] == ["match", "match"]
        assert {a["actual"]["codec"] for a in songs} == {"mp3"}


def test_seeds(played: Played) -> None:
    """A seed is taken from the answer, or asked for where the answer has none."""
    assert played.titled("Midjourney: a grid")["seed"] == 2871634417
    assert played.titled("Midjourney: an upscale")["seed"] == 99
    seeds = played.gateway.requests_for("/mj/task/*/image-seed")
    assert len(seeds) == 1


def test_nothing_but_outputs_is_fetched(played: Played) -> None:
    """No stream, no preview of a job at work, no picture that was given: and no key with any."""
    asked = played.gateway.requests_for(origin="assets")
    assert {r.authorized for r in asked} == {False}
    paths = " ".join(f"{r.path}?{r.query}" for r in asked)
    for words in ("item_id", "progress_46", "QuietValve", "first-frame", "what-is-this", "None."):
        assert words not in paths
    assert "The%2520Untitled.mp3" in paths


def test_a_second_run_fetches_nothing(played: Played) -> None:
    """What is archived is not asked for again."""
    before = played.gateway.count(origin="assets")
    config = load_config(played.folder / "archiver.toml")
    done = [o.ref for o in played.report.outcomes if o.state is State.ARCHIVED and not o.missing]
    done = [ref for ref in done if not played.outcome(ref.task_id).watermarked]
    report = archive(config, done, environ={KEY: played.gateway.api_key})
    assert (report.tally.already, report.tally.archived) == (len(done), 0)
    assert played.gateway.count(origin="assets") == before


@pytest.mark.parametrize("speed", ["", "/mj-fast", "/mj-relax", "/mj-turbo"])
def test_speed_modes(tmp_path: Path, speed: str) -> None:
    """A speed mode is part of the base URL, and gives the same task."""
    scenario = Scenario(cases=midjourney_cases(START)[1:2])
    with Gateway(clock=ManualClock()) as gateway:
        scenario.install(gateway)
        path = write_config(tmp_path, {"midjourney": gateway.base_url + speed})
        report = archive(load_config(path), scenario.task_ids, environ={KEY: gateway.api_key})
    assert [o.state for o in report.outcomes] == [State.ARCHIVED]


@pytest.mark.parametrize("secret", [SECRET, "wrong-secret-000"])
def test_a_proxy_of_ones_own(tmp_path: Path, secret: str) -> None:
    """Its key goes in a header of its own, and an id that it does not know is no verdict."""
    scenario = Scenario(cases=midjourney_cases(START)[1:2])
    service = MidjourneyService(is_own=True, secret=SECRET)
    with Gateway(clock=ManualClock(), services=[service]) as gateway:
        scenario.install(gateway)
        key = 'headers = {"mj-api-secret" = "env:MJ_SECRET"}'
        path = write_config(tmp_path, {"midjourney": gateway.base_url}, key=key)
        ids = [*scenario.task_ids, "1730621826059999"]
        report = archive(load_config(path), ids, environ={"MJ_SECRET": secret})
    if secret != SECRET:
        assert int(report.exit_code) == 4
        return
    states = {o.ref.task_id: (o.state, o.fault and o.fault.code) for o in report.outcomes}
    assert states == {
        ids[0]: (State.ARCHIVED, None),
        ids[1]: (State.RETRY, "no_answer"),
    }


# --- another order --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["completed", "renewed", "repaired"])
def test_a_later_answer_in_another_order(tmp_path: Path, way: str) -> None:
    """Each song is stored once, at the position that it had first.

    The second song's file is not there at first (`completed`), its first link is dead (`renewed`),
    or its file is lost later (`repaired`); the answer that helps has the songs the other way round.
    """
    songs = [media.audio_bytes(seconds=1.0, seed=seed) for seed in (1, 2)]
    clips = tuple(
        SunoClip(clip_id=f"c{n}", audio=Link(path=f"/{n}.mp3", lifetime_s=600)) for n in (1, 2)
    )
    gone = Status(status=404)
    with Gateway() as gateway:
        for clip, data in zip(clips, songs, strict=True):
            gateway.host(f"/{clip.clip_id[1:]}.mp3", data, media_type="audio/mpeg")
        gateway.put(SunoTask(task_id="t", clips=clips))
        path = write_config(tmp_path, {"suno": gateway.base_url})
        config, environ = load_config(path), {KEY: gateway.api_key}

        def turn() -> None:
            gateway.change("t", clips=clips[::-1])

        if way == "renewed":
            gateway.script("/2.mp3", Together(faults=(Meanwhile(action=turn), gone)))
        elif way == "completed":
            gateway.script("/2.mp3", gone, always=True)
        report = archive(config, ["t"], environ=environ)
        folder = tmp_path / "archive" / str(report.outcomes[0].path)
        assert (folder / "audio-2.mp3").exists() is (way != "completed")
        gateway.clear_scripts()
        turn()
        words = {"completed": ["run"], "repaired": ["verify", "--repair"]}.get(way, ["status"])
        if way == "repaired":
            (folder / "audio-2.mp3").unlink()
        command = [sys.executable, "-m", "archiver", "-c", str(path), *words]
        subprocess.run(command, env=os.environ | environ, check=True, capture_output=True)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert [a["index"] for a in manifest["assets"]] == [0, 1]
    assert [(folder / name).read_bytes() for name in ("audio.mp3", "audio-2.mp3")] == songs
    assert manifest["missing"] == []
