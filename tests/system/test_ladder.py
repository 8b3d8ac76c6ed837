"""Which rendition is taken, and what the manifest says of the others."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from archiver import ExitCode, State
from archiver.gateway.faults import EmptyBody, HtmlPage, Status, XmlError
from archiver.gateway.lumatask import LumaForm
from tests.bench import Bench, clip, long_clip, picture

RAW, DOWNLOAD, NO_MARK, MARKED = "/raw.mp4", "/download.mp4", "/no_mark.mp4", "/w_watermarked.mp4"
PATHS = {"video_raw": RAW, "download_url": DOWNLOAD, "no_mark": NO_MARK, "url": MARKED}
KEYS = {"video_raw": "video_raw", "download_url": "download_url", "no_mark": "no_mark"}
GONE = Status(status=404)


@dataclass(frozen=True)
class Case:
    """Which renditions there are, what is wrong with some, and what must be taken."""

    offered: tuple[str, ...]
    broken: dict[str, object]
    taken: str
    refused: tuple[tuple[str, str], ...] = ()


CASES = {
    "raw before all": Case(("video_raw", "download_url", "no_mark", "url"), {}, "video_raw"),
    "download_url next": Case(("download_url", "no_mark", "url"), {}, "download_url"),
    "no_mark next": Case(("no_mark", "url"), {}, "no_mark"),
    "marked last": Case(("url",), {}, "url", (("no_mark", "unavailable"),)),
    "raw dead": Case(
        ("video_raw", "download_url", "url"),
        {"video_raw": GONE},
        "download_url",
        (("video_raw", "gone"),),
    ),
    "both clean ones dead": Case(
        ("video_raw", "download_url", "no_mark", "url"),
        {"video_raw": GONE, "download_url": Status(status=410)},
        "no_mark",
        (("video_raw", "gone"), ("download_url", "gone")),
    ),
    "all clean ones dead": Case(
        ("video_raw", "download_url", "no_mark", "url"),
        {"video_raw": GONE, "download_url": GONE, "no_mark": Status(status=403)},
        "url",
        (("video_raw", "gone"), ("download_url", "gone"), ("no_mark", "gone")),
    ),
    "raw is a page": Case(
        ("video_raw", "download_url"),
        {"video_raw": HtmlPage()},
        "download_url",
        (("video_raw", "not_media"),),
    ),
    "raw is an XML error": Case(
        ("video_raw", "download_url"),
        {"video_raw": XmlError(code="NoSuchKey", message="The specified key does not exist.")},
        "download_url",
        (("video_raw", "not_media"),),
    ),
    "raw is empty": Case(
        ("video_raw", "download_url"),
        {"video_raw": EmptyBody()},
        "download_url",
        (("video_raw", "empty"),),
    ),
}


def offer(bench: Bench, case: Case) -> None:
    links = {}
    for seed, name in enumerate(case.offered):
        key = "video" if name == "url" else name
        links[key] = bench.host(PATHS[name], clip(seed))
    for name, fault in case.broken.items():
        bench.gateway.script(PATHS[name], fault, always=True)  # type: ignore[arg-type]
    bench.task("t", **links)


@pytest.mark.parametrize("name", CASES)
def test_the_ladder(bench: Bench, name: str) -> None:
    """The best form that is there is taken; every refused one is in the manifest with its code."""
    case = CASES[name]
    offer(bench, case)
    report = bench.archive("t")
    assert report.exit_code is ExitCode.DONE
    record = bench.video("t")
    assert (record["rendition"], record["watermarked"]) == (case.taken, case.taken == "url")
    assert record["path"] == ("video.watermarked.mp4" if case.taken == "url" else "video.mp4")
    refused = [(r["rendition"], r["code"]) for r in bench.manifest("t")["refused"]]
    assert refused == list(case.refused)
    assert not [file for file in bench.files("t") if ".part" in file]


def test_equal_urls_are_one_rendition_and_not_marked(bench: Bench) -> None:
    """The newer form gives one URL three times: one request, no watermark."""
    link = bench.host("/generation.mp4", clip(1))
    bench.task("t", form=LumaForm.NEWER, video=link, download_url=link, video_raw=link)
    bench.archive("t")
    assert bench.asked("/generation.mp4") == 1
    record = bench.manifest("t", "luma/undated")["assets"][0]
    assert (record["rendition"], record["watermarked"]) == ("video_raw", False)


def test_a_name_with_watermarked_in_it_is_marked(bench: Bench) -> None:
    """Whatever key a marked file stands under."""
    bench.task("t", video_raw=bench.host("/x_watermarked_video.mp4", clip(1)))
    bench.archive("t")
    assert bench.video("t")["watermarked"] is True


def test_a_marked_file_given_as_unmarked_is_marked(bench: Bench) -> None:
    """The no-watermark endpoint's file name says otherwise: it is one of the marked ones."""
    other = bench.host("/other_watermarked_video.mp4", clip(2))
    bench.task("t", no_mark=other, video=bench.host(MARKED, clip(1)))
    report = bench.archive("t", require_unwatermarked=True)
    assert report.exit_code is ExitCode.WATERMARKED_ONLY
    assert not (bench.store / "luma").exists()
    assert bench.archive("t").exit_code is ExitCode.DONE
    record = bench.video("t")
    assert (record["rendition"], record["watermarked"]) == ("no_mark", True)
    assert record["path"] == "video.watermarked.mp4"
    # A night later a clean one is there, and replaces it.
    bench.task("t", no_mark=bench.host(NO_MARK, clip(3)), video=bench.host(MARKED, clip(1)))
    assert bench.archive("t", again=True).exit_code is ExitCode.DONE
    record = bench.video("t")
    assert (record["rendition"], record["watermarked"]) == ("no_mark", False)
    assert bench.files("t") == ["manifest.json", "video.mp4"]


@pytest.mark.parametrize("path", [MARKED, "/plain.mp4"])
def test_the_marked_link_given_as_unmarked_stays_marked(bench: Bench, path: str) -> None:
    """Equal links are one form, whichever endpoint gives them: fetched once."""
    link = bench.host(path, clip(1))
    bench.task("t", no_mark=link, video=link)
    assert bench.archive("t").exit_code is ExitCode.DONE
    record = bench.video("t")
    assert (record["rendition"], record["watermarked"]) == ("url", True)
    assert bench.asked(path) == 1


def test_a_link_that_was_refused_is_not_asked_again_under_another_name(bench: Bench) -> None:
    """The no-watermark endpoint gives what `video_raw` gave: a page."""
    link = bench.host(RAW, clip(1))
    bench.gateway.script(RAW, HtmlPage(), always=True)
    bench.task("t", video_raw=link, no_mark=link, video=bench.host(MARKED, clip(2)))
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert bench.video("t")["rendition"] == "url"
    assert [r["rendition"] for r in bench.manifest("t")["refused"]] == ["video_raw"]
    assert bench.asked(RAW) == 1


def test_a_key_that_may_not_ask_for_unmarked_links(bench: Bench) -> None:
    """403 at that endpoint only: the marked copy is archived, and the source goes on."""
    offer(bench, CASES["marked last"])
    path = "/luma/generations/t/download_video_url"
    denied = Status(status=403, body=b'{"error":{"message":"no permission"}}')
    bench.gateway.script(path, denied, always=True)
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert bench.video("t")["watermarked"] is True
    (refusal,) = bench.manifest("t")["refused"]
    assert (refusal["rendition"], refusal["code"]) == ("no_mark", "unavailable")


def test_prefer_orders_clean_ones_but_never_a_marked_one_first(bench: Bench) -> None:
    """The user's order is followed within clean and within marked."""
    bench.configure(download={"prefer": ["url", "download_url", "video_raw"]})
    offer(bench, CASES["raw before all"])
    bench.archive("t")
    assert bench.video("t")["rendition"] == "download_url"


def test_require_unwatermarked(bench: Bench) -> None:
    """Only a marked copy: nothing is archived, exit 6, and the task stays due."""
    offer(bench, CASES["marked last"])
    report = bench.archive("t", require_unwatermarked=True)
    assert report.exit_code is ExitCode.WATERMARKED_ONLY
    (outcome,) = report.outcomes
    assert outcome.state is State.RETRY
    assert outcome.fault is not None
    assert outcome.fault.code == "watermarked_only"
    assert not (bench.store / "luma").exists()


def test_a_passing_fault_is_no_reason_for_a_lesser_copy(bench: Bench) -> None:
    """A 503 of the clean file postpones the task; nothing marked is archived."""
    offer(bench, CASES["raw before all"])
    bench.gateway.script(RAW, Status(status=503), always=True)
    report = bench.archive("t")
    assert report.exit_code is ExitCode.PROVIDER_FAULT
    assert report.outcomes[0].state is State.RETRY
    assert bench.asked(MARKED) == 0
    bench.gateway.clear_scripts()
    assert bench.archive("t").exit_code is ExitCode.DONE
    assert bench.video("t")["rendition"] == "video_raw"


def test_previews_never_cost_the_video(bench: Bench) -> None:
    """A missing and a refused picture: archived all the same, told, exit 0."""
    bench.clean_task(
        "t",
        thumbnail=bench.host("/thumb.jpg", picture(1)),
        last_frame=bench.host("/last.jpg", b"<html>sign in</html>", "image/jpeg"),
    )
    bench.gateway.script("/thumb.jpg", Status(status=404), always=True)
    report = bench.archive("t")
    assert report.exit_code is ExitCode.DONE
    manifest = bench.manifest("t")
    assert {m["role"] for m in manifest["missing"]} == {"thumbnail", "last_frame"}
    assert {(r["role"], r["code"]) for r in manifest["refused"]} == {
        ("thumbnail", "gone"),
        ("last_frame", "not_media"),
    }
    assert report.tally.missing_previews == 1


def test_on_dimension_mismatch_refuse(bench: Bench) -> None:
    """Under "refuse" a file of another shape is not taken; the next one is."""
    bench.configure(download={"on_dimension_mismatch": "refuse"})
    bench.task(
        "t",
        video_raw=bench.host(RAW, long_clip(1)),
        download_url=bench.host(DOWNLOAD, clip(2)),
    )
    bench.archive("t")
    assert bench.video("t")["rendition"] == "download_url"
    assert bench.manifest("t")["refused"][0]["code"] == "dimension_mismatch"


def test_no_redirects_to_private_addresses_unless_allowed(bench: Bench) -> None:
    """Assets on loopback are refused for good, without a request."""
    bench.configure(network={"allow_private_addresses": False})
    bench.clean_task("t")
    report = bench.archive("t")
    assert report.outcomes[0].state is State.REFUSED
    assert report.outcomes[0].fault is not None
    assert report.outcomes[0].fault.code == "forbidden_address"
    assert report.exit_code is ExitCode.PARTIAL
    assert all(request.origin == "api" for request in bench.gateway.requests)
