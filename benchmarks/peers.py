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


_CURL = f'curl -sS --fail --cacert "$CA" -Z --parallel-max {PARALLEL} --output-dir out -K curl'
DOWNLOADERS = {
    "curl --parallel": _CURL,
    "aria2c": f'aria2c -q -j{PARALLEL} --ca-certificate="$CA" --file-allocation=none'
    " -d out -i aria2",
    "wget2": f'wget2 -q --max-threads={PARALLEL} --ca-certificate="$CA" --http2=off -x -nH'
    " -P out -i urls",
    "rclone": f'rclone copy --config "" --ca-cert "$CA" --http-url "$BASE" --transfers {PARALLEL}'
    " --no-traverse --files-from-raw paths --http-no-head :http: out",
}
"""Each by its own way to name many files."""

_DIGEST = """
find out -type f > names
xargs -P2 -n "$SHARE" openssl dgst -sha256 -r < names > sums
test "$(wc -l < sums)" = "$(wc -l < names)"
"""
COLLECTORS = {
    "yt-dlp, videos only": "yt-dlp -q --no-warnings -a videos -o 'out/%(autonumber)s.%(ext)s'",
    "gallery-dl, no documents": "gallery-dl -q -d out -i media",
}
"""What people use instead, on the files that it takes; one process, one file at a time."""


def with_digest(name: str) -> str:
    """Return how a downloader is called when openssl digests its files on two processes."""
    return f"{name.removesuffix(' --parallel')}, then openssl"


def downloaders(workload: Workload, base: str, ca: Path) -> dict[str, Run]:
    """Return the downloaders, each alone and with a digest of all that it fetched."""
    runs = {}
    for name, command in DOWNLOADERS.items():
        runs[name] = _run(command, workload.paths, base, ca)
        runs[with_digest(name)] = _run(command + _DIGEST, workload.paths, base, ca)
    return runs


def collectors(workload: Workload, base: str, ca: Path, *, tasks: int) -> dict[str, Run]:
    """Return yt-dlp and gallery-dl, on the first so many tasks."""
    ids = workload.ids[:tasks]
    paths = [path for path in workload.paths if any(task_id in path for task_id in ids)]
    return {name: _run(command, paths, base, ca) for name, command in COLLECTORS.items()}


def _run(command: str, paths: Sequence[str], base: str, ca: Path) -> Run:
    """Return a run of a shell command with the lists that the programs read."""
    urls = [f"{base}/{path}" for path in paths]
    media = [url for url in urls if url.endswith((".mp4", ".jpg"))]
    lists = {
        "urls": urls,
        # rclone reads folders, and refuses a list with names that it must not.
        "paths": paths,
        "media": media,
        "videos": [url for url in media if url.endswith(".mp4")],
        "curl": [f"url = {url}\noutput = {number}" for number, url in enumerate(urls)],
        "aria2": [f"{url}\n out={number}" for number, url in enumerate(urls)],
    }
    env = {"CA": str(ca), "BASE": base, "SHARE": str(-(-len(urls) // 2))}

    def run(folder: Path) -> Cost:
        (folder / "out").mkdir()
        for name, lines in lists.items():
            (folder / name).write_text("".join(f"{line}\n" for line in lines))
        return shell(command, folder, env)

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


def versions() -> str:
    """Name the peers and their versions, for the results."""
    found = []
    names = ("nginx", "curl", "aria2c", "wget2", "rclone", "ffprobe", "jq", "openssl")
    for name in (*names, "yt-dlp", "gallery-dl"):
        flag = {"nginx": "-v", "ffprobe": "-version", "openssl": "version"}.get(name, "--version")
        pipe = os.popen(f"{program(name)} {flag} 2>&1")
        line = pipe.readline().split(" Copyright")[0].strip()
        found.append(line if name.partition("-")[0] in line.lower() else f"{name} {line}")
        pipe.close()
    return "; ".join(found)
