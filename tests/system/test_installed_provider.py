"""A provider in a package of its own: the one in CONTRIBUTING.md, installed and archived with."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.gateway import Gateway
from archiver.gateway.exchange import Reply, json_reply
from archiver.gateway.media import video_bytes
from archiver.gateway.routing import Call, Route
from archiver.model import JsonValue

ROOT = Path(__file__).resolve().parents[2]
MODULE = "archiver_pixelwell"
MOST_LINES = 60


class Pixelwell:
    """The API that the example asks."""

    assets_url = ""

    def routes(self) -> list[Route]:
        return [Route(method="GET", path="/v2/jobs/{id}", answer=self._job)]

    def _job(self, call: Call) -> Reply:
        (job,) = call.values
        body: dict[str, JsonValue] = {"job": job, "prompt": "a well of light"}
        if job == "lost":
            return json_reply(404, {"error": "no such job: lost"})
        if job == "bad":
            return json_reply(200, body | {"state": "failed", "why": "too dark"})
        video: dict[str, JsonValue] = {
            "url": f"{self.assets_url}/well.mp4", "width": 160, "height": 120
        }  # fmt: skip
        made: JsonValue = "2026-11-22T08:00:00Z"
        return json_reply(200, body | {"state": "finished", "video": video, "made_at": made})


def example() -> str:
    """Return the code in CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return str(code)


def install(folder: Path, *, point: str = f"{MODULE}:PixelwellProvider") -> Path:
    """Lay a package out as pip does: the module, and a dist-info folder with its entry point."""
    (folder / f"{MODULE}.py").write_text(example(), encoding="utf-8")
    info = folder / f"{MODULE}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {MODULE}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[archiver.providers]\npixelwell = {point}\n")
    return folder


def run(packages: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {"PYTHONPATH": f"{packages}:{ROOT}", "PATH": "/usr/bin:/bin", "HOME": str(cwd)}
    return subprocess.run(
        [sys.executable, "-m", "archiver", *arguments],
        env=env, cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    service = Pixelwell()
    with Gateway(services=[service]) as gateway:
        service.assets_url = gateway.assets_url
        gateway.host("/well.mp4", video_bytes(width=160, height=120), media_type="video/mp4")
        yield gateway


def write_config(folder: Path, gateway: Gateway) -> None:
    (folder / "key").write_text(gateway.api_key)
    (folder / "key").chmod(0o600)
    (folder / "archiver.toml").write_text(
        'state_dir = "state"\n[store]\nurl = "archive"\n'
        "[network]\nallow_private_addresses = true\n"
        '[[source]]\nname = "well"\nprovider = "pixelwell"\n'
        f'base_url = "{gateway.base_url}"\napi_key_file = "key"\n'
    )


def test_the_example_is_short() -> None:
    """A provider of one's own takes fewer than 60 lines of code."""
    code = [line for line in example().splitlines() if line.strip()]
    assert len(code) < MOST_LINES


def test_an_installed_provider_archives(tmp_path: Path, gateway: Gateway) -> None:
    """What the entry point names is configured, listed and archived with like a built-in one."""
    (tmp_path / "packages").mkdir()
    packages = install(tmp_path / "packages")
    write_config(tmp_path, gateway)
    listed = run(packages, "providers", cwd=tmp_path)
    assert "pixelwell (installed)" in listed.stdout
    records = [json.loads(line) for line in run(
        packages, "providers", "--json", cwd=tmp_path
    ).stdout.splitlines()]  # fmt: skip
    (record,) = [r for r in records if r.get("name") == "pixelwell"]
    assert (record["built_in"], record["run_every_s"]) == (False, 86400)
    done = run(packages, "archive", "well:abc", "well:bad", "well:lost", cwd=tmp_path)
    assert "1 archived" in done.stdout, done
    assert "too dark" in done.stdout
    (manifest,) = (tmp_path / "archive").rglob("manifest.json")
    kept = json.loads(manifest.read_bytes())
    assert (kept["provider"], kept["prompt"]) == ("pixelwell", "a well of light")
    (asset,) = kept["assets"]
    assert (asset["path"], asset["dimensions"]) == ("video.mp4", "match")


def test_without_the_package_it_is_not_known(tmp_path: Path, gateway: Gateway) -> None:
    """A provider that nobody installed is a fault of the configuration, and named."""
    write_config(tmp_path, gateway)
    done = run(tmp_path / "nowhere", "config", "check", cwd=tmp_path)
    assert done.returncode == 2
    assert "pixelwell" in done.stderr


def test_a_broken_package_is_told(tmp_path: Path, gateway: Gateway) -> None:
    """An entry point that leads nowhere ends in plain words, and hides no other provider."""
    (tmp_path / "packages").mkdir()
    packages = install(tmp_path / "packages", point="archiver_pixelwell:Nothing")
    write_config(tmp_path, gateway)
    done = run(packages, "config", "check", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot be loaded" in done.stderr
    assert "Traceback" not in done.stderr
    listed = run(packages, "providers", cwd=tmp_path)
    assert listed.returncode == 0
    assert "luma" in listed.stdout
    assert "cannot be loaded" in listed.stdout
