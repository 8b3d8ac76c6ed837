"""The benchmarks' data are what they say: real media of exact sizes, all different."""

import hashlib
from pathlib import Path

from archiver.model import Role
from archiver.probe import MediaProber
from benchmarks.data import HEIGHT, WIDTH, make_workload
from benchmarks.measure import Cost
from benchmarks.report import Goal, Section, plot, table

ROLES = {
    "video.mp4": Role.VIDEO,
    "thumbnail.jpg": Role.THUMBNAIL,
    "last_frame.jpg": Role.LAST_FRAME,
}


def test_the_files_are_real_and_of_their_size(tmp_path: Path) -> None:
    bases = ["http://a.example", "https://a.example"]
    made = make_workload(
        tmp_path / "root", bases, tasks=5, video_bytes=200_000, picture_bytes=20_000
    )
    prober, digests, total = MediaProber(), set(), 0
    files = [path for path in made[0].paths if path.startswith("files/")]
    for path in files:
        data = (tmp_path / "root" / path).read_bytes()
        gathered = prober.gather()
        gathered.feed(data)
        info = prober.probe(gathered, role=ROLES[Path(path).name])
        assert (info.width_px, info.height_px) == (WIDTH, HEIGHT)
        assert abs(len(data) - (200_000 if path.endswith("mp4") else 20_000)) < 64
        digests.add(hashlib.sha256(data).digest())
        total += len(data)
    assert len(digests) == len(files) == 15
    assert [workload.total_bytes for workload in made] == [total, total]
    assert all((tmp_path / "root" / path).is_file() for path in made[1].paths)


def test_a_ratio_above_one_says_that_the_peer_costs_more() -> None:
    costs = {
        "archiver": Cost(wall_s=2.0, cpu_s=1.0, peak_mib=100),
        "peer": Cost(wall_s=4.0, cpu_s=0.5, peak_mib=10),
    }
    assert table(costs).splitlines()[-1].endswith("| 2.00 | 0.50 |")
    missed = Goal(what="work", found=3.0, most=2.0).line()
    assert missed == "| work | 3.00 x | 2 x | missed by 1.50x |"
    section = Section(title="a < b", bars={"archiver": 1.0, "peer": 0.5})
    assert "a &lt; b" in plot([section])
