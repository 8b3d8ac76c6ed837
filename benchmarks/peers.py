"""The peers: common downloaders alone, with a digest, and the best shell pipeline of them.

Every one gets all URLs at once, documents included, which is less than archiver has to find out:
except for the pipeline, which does the same work.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.data import DOCUMENTS, Workload
from benchmarks.measure import Cost, Run, measured, program, shell

FLOOR = Path(__file__).with_name("floor.py")
PARALLEL = 16

PIPELINE = f"""
curl -sS --fail --cacert "$CA" -Z --parallel-max {PARALLEL} -K documents.curl
jq -r '[.video_raw.url, .thumbnail.url, .last_frame.url][] | select(.)
    | "url = \\(.)\\noutput = files/\\(. | sub("^.*/files/"; "") | gsub("/"; "_"))"
    ' documents/* > files.curl
curl -sS --fail --cacert "$CA" -Z --parallel-max {PARALLEL} -K files.curl
ls files > names
cd files
xargs -P2 -n "$SHARE" openssl dgst -sha256 -r < ../names > ../sums
xargs -P2 -n1 sh -c 'ffprobe -v error -of json -show_entries \\
    stream=codec_name,width,height:format=duration,size "$0" > ../probes/"$0".json' < ../names
cd ..
stat -c '%n %s' files/* > sizes
jq -n --rawfile sums sums --rawfile sizes sizes '
    [inputs | {{id, video_raw, thumbnail, last_frame}}] as $tasks
    | {{$tasks, $sums, $sizes}}' documents/* > tasks.json
jq -c '{{file: input_filename, streams, format}}' probes/* > probes.jsonl
jq -s --slurpfile tasks tasks.json '{{tasks: $tasks[0], probes: .}}' probes.jsonl > sidecar.json
"""
"""One process wherever a tool takes many files; ffprobe takes one, so two run side by side."""


def alone(workload: Workload, base: str, ca: Path) -> dict[str, Run]:
    """Return the downloaders, each by its own way to name many files."""
    urls = [f"{base}/{path}" for path in workload.paths]
    # One file out of two: rclone reads folders, and refuses a list with names that it must not.
    listing = "".join(f"{path}\n" for path in workload.paths)

    def curl(folder: Path) -> Cost:
        (folder / "curl").write_text(_curl(urls))
        words = [program("curl"), "-sS", "--fail", "--cacert", ca, "-Z"]
        return measured([*words, "--parallel-max", PARALLEL, "-K", "curl"], folder)

    def aria2(folder: Path) -> Cost:
        text = "".join(f"{url}\n out={number}\n" for number, url in enumerate(urls))
        (folder / "list").write_text(text)
        words = [program("aria2c"), "-q", f"-j{PARALLEL}", f"--ca-certificate={ca}"]
        return measured([*words, "--file-allocation=none", "-i", "list"], folder)

    def wget2(folder: Path) -> Cost:
        (folder / "list").write_text("".join(f"{url}\n" for url in urls))
        words = [program("wget2"), "-q", f"--max-threads={PARALLEL}", f"--ca-certificate={ca}"]
        return measured([*words, "-x", "-nH", "--http2=off", "-i", "list"], folder)

    def rclone(folder: Path) -> Cost:
        (folder / "list").write_text(listing)
        words = [program("rclone"), "copy", "--config", "", "--ca-cert", ca, "--http-url", base]
        words += ["--transfers", PARALLEL, "--no-traverse", "--files-from-raw", "list"]
        return measured([*words, "--http-no-head", ":http:", "out"], folder)

    return {"curl --parallel": curl, "aria2c": aria2, "wget2": wget2, "rclone": rclone}


def curl_with_digest(workload: Workload, base: str, ca: Path) -> Run:
    """Return curl --parallel, then openssl's digest of everything on two processes."""
    urls = [f"{base}/{path}" for path in workload.paths]
    share = -(-len(urls) // 2)

    def run(folder: Path) -> Cost:
        (folder / "curl").write_text(_curl(urls))
        script = (
            f'curl -sS --fail --cacert "$CA" -Z --parallel-max {PARALLEL} -K curl;'
            f" seq 0 {len(urls) - 1} | xargs -P2 -n {share} openssl dgst -sha256 -r"
        )
        return shell(script, folder, {"CA": str(ca)})

    return run


def pipeline(workload: Workload, base: str, ca: Path, *, tasks: int) -> Run:
    """Return the shell pipeline for the same work, on the first so many tasks."""
    documents = [path for path in workload.paths if f"/{DOCUMENTS}/" in path][:tasks]

    def run(folder: Path) -> Cost:
        for name in ("documents", "files", "probes"):
            (folder / name).mkdir()
        text = "".join(
            f"url = {base}/{path}\noutput = documents/{number}\n"
            for number, path in enumerate(documents)
        )
        (folder / "documents.curl").write_text(text)
        share = str(max(1, -(-3 * tasks // 2)))
        return shell(PIPELINE, folder, {"CA": str(ca), "SHARE": share})

    return run


def floor(workload: Workload, base: str, ca: Path) -> Run:
    urls = "".join(f"{base}/{path}\n" for path in workload.paths)

    def run(folder: Path) -> Cost:
        (folder / "urls").write_text(urls)
        (folder / "out").mkdir()
        more = [ca] if base.startswith("https") else []
        return measured([sys.executable, FLOOR, "urls", "out", *more], folder)

    return run


def _curl(urls: Sequence[str]) -> str:
    return "".join(f"url = {url}\noutput = {number}\n" for number, url in enumerate(urls))


def versions() -> str:
    """Name the peers and their versions, for the results."""
    found = []
    for name in ("nginx", "curl", "aria2c", "wget2", "rclone", "ffprobe", "jq", "openssl"):
        flag = {"nginx": "-v", "ffprobe": "-version", "openssl": "version"}.get(name, "--version")
        pipe = os.popen(f"{program(name)} {flag} 2>&1")
        found.append(pipe.readline().split(" Copyright")[0].strip())
        pipe.close()
    return "; ".join(found)
