"""`run`, night after night, by a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from archiver import ExitCode, State
from archiver.gateway import Gateway
from archiver.gateway.exchange import Reply, Request, json_reply
from archiver.gateway.faults import Fault, Status
from archiver.gateway.gateway import USER_ID, USER_TOKEN
from archiver.gateway.modes import Mode
from tests.bench import Bench, clip, picture
from tests.gatewayfixture import START
from tests.nights import MovedClock, Nights, Said

DAY = 86400.0


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def bench(tmp_path: Path, clock: MovedClock) -> Iterator[Bench]:
    with Gateway(clock=clock) as gateway:
        # Sockets wait by the real clock: a busy machine must not cost a second request.
        yield Bench(
            tmp_path,
            gateway,
            source={"inbox": ["inbox/*.txt"]},
            run={"verify_share": "100%"},
            download={"timeout": "30s"},
        )


@pytest.fixture
def nights(bench: Bench, clock: MovedClock) -> Nights:
    (bench.folder / "inbox").mkdir()
    return Nights(bench, clock)


def inbox(bench: Bench, *task_ids: str) -> None:
    with (bench.folder / "inbox" / "ids.txt").open("a") as file:
        file.writelines(f"{task_id}\n" for task_id in task_ids)


def document_requests(bench: Bench, task_id: str) -> int:
    return bench.gateway.count(task_id=task_id, origin="api")


def test_a_month(nights: Nights, bench: Bench, clock: MovedClock) -> None:
    """After thirty nights every task is in the state that it must be in, no task was asked for more
    often than its repeats allow, and only the bad nights printed anything.
    """
    gateway, start = bench.gateway, clock.now()
    raw = [bench.host(f"/raw{n}.mp4", clip(n)) for n in range(4)]
    bench.task("plain", video_raw=raw[0])
    bench.task("rots", video_raw=raw[1])
    bench.task("slow", video_raw=raw[2], completes_at=start + timedelta(days=3.5))
    bench.task("endless", completes_at=start + timedelta(days=400))
    bench.task("failed", state="failed", failure_reason="Frame moderation failed")
    bench.task("marked", video=bench.host("/x_watermarked.mp4", clip(7)))
    bench.task("always_marked", video=bench.host("/y_watermarked.mp4", clip(8)))
    bench.task("dead", video_raw=bench.host("/dead.mp4", clip(9)))
    gateway.remove_file("/dead.mp4")
    thumbnail = bench.host("/late.jpg", picture(1), "image/jpeg")
    gateway.script("/late.jpg", Status(status=503), always=True)
    bench.task("preview", video_raw=raw[3], thumbnail=thumbnail)
    bench.task("stolen", video_raw=bench.host("/stolen.mp4", clip(10)))
    inbox(bench, "plain", "rots", "slow", "endless", "failed", "marked", "always_marked", "dead")
    inbox(bench, "preview", "unknown")
    printed: dict[int, str] = {}
    codes: dict[int, int] = {}
    for night in range(30):
        if night == 5:
            gateway.clear_scripts()
        if night == 8:
            gateway.change("marked", video_raw=bench.host("/clean.mp4", clip(11)))
        if night in (10, 11):
            gateway.mode = Mode.DOWN
            if night == 10:
                inbox(bench, "stolen")
        if night == 12:
            gateway.mode = Mode.UP
        if night == 15:
            rotten = next((bench.store).rglob("rots/video.mp4"))
            data = bytearray(rotten.read_bytes())
            data[len(data) // 2] ^= 0xFF
            rotten.write_bytes(data)
        if night == 20:
            gateway.mode = Mode.KEY_REFUSED
            bench.task("at_bad_key", video_raw=bench.host("/k.mp4", clip(12)))
            inbox(bench, "at_bad_key")
        if night == 21:
            gateway.mode = Mode.UP
        said = nights.run()
        codes[night] = said.code
        if said.text:
            printed[night] = said.text
        clock.advance(max(0.0, (start - clock.now()).total_seconds() + (night + 1) * DAY))
    states = {
        name: nights.state(name)
        for name in ("plain", "rots", "slow", "endless", "failed", "marked", "always_marked")
    }
    assert states == {
        "plain": State.ARCHIVED,
        "rots": State.ARCHIVED,
        "slow": State.ARCHIVED,
        "endless": State.WAITING,
        "failed": State.FAILED,
        "marked": State.ARCHIVED,
        "always_marked": State.ARCHIVED,
    }
    others = {n: nights.state(n) for n in ("dead", "preview", "stolen", "unknown", "at_bad_key")}
    assert others == {
        "dead": State.GONE,
        "preview": State.ARCHIVED,
        "stolen": State.ARCHIVED,
        "unknown": State.GONE,
        "at_bad_key": State.ARCHIVED,
    }
    assert nights.row("endless").next_attempt_at is None
    assert not nights.row("preview").incomplete
    assert not nights.row("marked").watermarked
    assert nights.row("always_marked").watermarked
    superseded = bench.manifest("marked")["superseded"]
    assert [(s["rendition"], len(s["sha256"])) for s in superseded] == [("url", 64)]
    assert set(printed) == {night for night, code in codes.items() if code}, printed
    gone_at = {night for night in (1, 2, 3) if codes[night] == ExitCode.PARTIAL}
    assert gone_at <= set(printed)
    assert set(printed) - gone_at <= {11, 12, 20}, printed
    assert codes[20] == ExitCode.KEY_REFUSED
    # Pauses move the clock within a night, so that the second look may fall some seconds short of
    # a day after the first: then there is a third. A look at `dead` is three requests.
    bounds = {"plain": 2, "failed": 1, "endless": 12, "slow": 8, "unknown": 4, "dead": 9}
    asked = {name: document_requests(bench, name) for name in bounds}
    assert all(asked[name] <= most for name, most in bounds.items()), asked
    assert document_requests(bench, "always_marked") <= 2 * 34


def test_a_clean_night_asks_for_nothing_and_says_nothing(nights: Nights, bench: Bench) -> None:
    """What is archived costs no request."""
    bench.clean_task("t")
    inbox(bench, "t")
    assert nights.run().code == 0
    bench.gateway.clear_requests()
    said = nights.run()
    assert (said.code, said.text) == (0, "")
    assert bench.gateway.requests == ()


def test_the_list_is_read_and_costs_no_more(nights: Nights, bench: Bench) -> None:
    """What the list says of a finished task is used; a known list costs its first page only."""
    bench.configure(source={"list": True})
    for number in range(3):
        link = bench.host(f"/l{number}.mp4", clip(number))
        bench.task(f"listed{number}", video_raw=link)
    assert nights.run().code == 0
    assert nights.state("listed2") is State.ARCHIVED
    paths = [r.path for r in bench.gateway.requests if r.origin == "api"]
    assert paths == ["/dream-machine/v1/generations"]
    assert nights.run().code == 0
    paths = [r.path for r in bench.gateway.requests if r.origin == "api"]
    assert len(paths) == 2


def test_a_failing_list_is_told_and_stops_nothing(nights: Nights, bench: Bench) -> None:
    """The inbox's tasks are archived all the same; the exit code is 3."""
    bench.configure(source={"list": True, "inbox": ["inbox/*.txt"]})
    bench.gateway.script("/dream-machine/v1/generations", Status(status=500), always=True)
    bench.clean_task("t")
    inbox(bench, "t")
    said = nights.run()
    assert said.code == ExitCode.PARTIAL
    assert "list of tasks" in said.text
    assert nights.state("t") is State.ARCHIVED


def test_batches(nights: Nights, bench: Bench) -> None:
    """Many queued tasks cost one request for their documents; those left out are asked singly."""
    for number in range(6):
        link = bench.host(f"/b{number}.mp4", clip(number))
        bench.task(f"b{number}", video_raw=link)
    inbox(bench, *(f"b{number}" for number in range(6)), "unknown")
    assert nights.run().code == 0
    api = [(r.method, r.path) for r in bench.gateway.requests if r.origin == "api"]
    assert api == [("POST", "/luma/tasks"), ("GET", "/dream-machine/v1/generations/unknown")]
    assert nights.state("unknown") is State.RETRY


def test_damage_that_cannot_be_repaired(nights: Nights, bench: Bench) -> None:
    """Exit 12, every night until it is mended, and the line names the task."""
    bench.clean_task("t", 1)
    inbox(bench, "t")
    assert nights.run().code == 0
    next(bench.store.rglob("video.mp4")).write_bytes(b"x" * 10)
    bench.gateway.remove("t")
    for _ in range(2):
        said = nights.run()
        assert said.code == ExitCode.DAMAGE
        assert "luma:t" in said.text
    report = json.loads(max((bench.folder / "state" / "reports").iterdir()).read_text())
    assert report["exit_code"] == ExitCode.DAMAGE
    assert report["scrub"]["damaged"] == 1


def test_limits(nights: Nights, bench: Bench) -> None:
    """`--max-bytes` leaves the rest queued with exit 10, and the numbers add up."""
    for number in range(12):
        bench.task(f"t{number}", video_raw=bench.host(f"/m{number}.mp4", clip(number)))
    inbox(bench, *(f"t{number}" for number in range(12)))
    limited = Nights(bench, nights.clock, max_bytes="1KiB")
    said = limited.run()
    assert said.code == ExitCode.LIMIT
    report = json.loads(max((bench.folder / "state" / "reports").iterdir()).read_text())
    numbers = report["summary"]
    assert numbers["asked"] == numbers["archived"] + numbers["queued"] == 12
    assert numbers["queued"]
    assert nights.run().code == 0


def test_an_old_retry_counts(nights: Nights, bench: Bench, clock: MovedClock) -> None:
    """A passing fault is no news for a day; then it is exit 5: all of it is the provider's."""
    bench.clean_task("t")
    inbox(bench, "t")
    bench.gateway.mode = Mode.DOWN
    assert nights.run().code == 0
    clock.advance(DAY + 60)
    assert nights.run().code == ExitCode.PROVIDER_FAULT
    bench.gateway.mode = Mode.UP
    clock.advance(3600)
    assert nights.run().code == 0


def test_a_dry_run_touches_nothing(bench: Bench, nights: Nights) -> None:
    """It asks for documents and writes nothing at all."""
    bench.clean_task("t")
    inbox(bench, "t")
    done = bench.cli("run", "-n")
    assert done.code == bench.cli("archive", "-n", "t").code, done.err
    assert "would fetch" in done.out
    assert not (bench.folder / "state").exists()
    assert not bench.store.exists()
    assert bench.gateway.count(origin="assets") == 0


def use_gateway_list(bench: Bench, token: str = USER_TOKEN) -> None:
    token_file = bench.folder / "token"
    token_file.write_text(token)
    token_file.chmod(0o600)
    bench.configure(
        source={
            "list": "gateway",
            "user_token_file": str(token_file),
            "user_id": USER_ID,
            "inbox": ["inbox/*.txt"],
        }
    )


def test_the_gateways_list(nights: Nights, bench: Bench) -> None:
    """Read with its own credential at the origin's root; its documents are used as they are."""
    use_gateway_list(bench)
    for number in range(3):
        bench.task(f"g{number}", video_raw=bench.host(f"/g{number}.mp4", clip(number)))
    assert nights.run() == Said(0, "")
    assert {nights.state(f"g{number}") for number in range(3)} == {State.ARCHIVED}
    assert [r.path for r in bench.gateway.requests if r.origin == "api"] == ["/api/task/self"]


def test_a_refused_user_token_costs_the_tasks_nothing(nights: Nights, bench: Bench) -> None:
    """The list is told and counts; what the inbox names is archived with the key all the same."""
    use_gateway_list(bench, "wrong-token")
    bench.clean_task("t")
    inbox(bench, "t")
    said = nights.run()
    assert said.code in (ExitCode.KEY_REFUSED, ExitCode.PARTIAL)
    assert "wrong-token" not in said.text
    assert said.text.count("source luma:") == 1
    assert nights.state("t") is State.ARCHIVED


def test_a_list_that_was_cut_short_is_read_whole_the_next_time(
    nights: Nights, bench: Bench
) -> None:
    """Known tasks at its head are no reason to stop before all of it was read once."""
    bench.configure(source={"list": True})
    made = START - timedelta(days=1)
    for number in range(230):
        at = made - timedelta(minutes=number)
        bench.task(f"n{number:03}", created_at=at, state="failed", failure_reason="no")
    path = "/dream-machine/v1/generations"
    bench.gateway.script(path, Then(), Status(status=500), Status(status=500))
    assert nights.run().code == ExitCode.PARTIAL
    nights.run()
    assert nights.state("n229") is State.FAILED
    bench.gateway.clear_requests()
    assert nights.run().code == 0
    assert bench.gateway.count(path) == 1


class Then(Fault):
    """No fault: the request is answered as usual."""

    def respond(self, request: Request, serve: object) -> Reply:
        return serve(request)  # type: ignore[operator, no-any-return]


def waiting(bench: Bench) -> None:
    bench.task("t", completes_at=START + timedelta(days=400))


def failed(bench: Bench) -> None:
    bench.task("t", state="failed")


def gone(bench: Bench) -> None:
    body = {"detail": "Generation not found"}
    bench.gateway.script("/dream-machine/v1/generations/t", JsonStatus(body), always=True)


def login_page(bench: Bench) -> None:
    bench.gateway.mode = Mode.LOGIN_PAGE


def bad_key(bench: Bench) -> None:
    bench.gateway.mode = Mode.KEY_REFUSED


def wrong_store(bench: Bench) -> None:
    (bench.store / ".archiver" / "store.json").unlink()


def bad_line(bench: Bench) -> None:
    with (bench.folder / "inbox" / "ids.txt").open("ab") as file:
        file.write(b"\xff\n")


class JsonStatus(Fault):
    """404 with a body of the provider's own."""

    def __init__(self, body: dict[str, str]) -> None:
        self._body = body

    def respond(self, request: Request, serve: object) -> Reply:
        return json_reply(404, dict(self._body))


CODES = {
    "nothing": (lambda bench: None, ExitCode.DONE),
    "still being generated": (waiting, ExitCode.DONE),
    "failed upstream": (failed, ExitCode.DONE),
    "gone, on the night that finds it": (gone, ExitCode.PARTIAL),
    "a young passing fault": (login_page, ExitCode.DONE),
    "a refused key": (bad_key, ExitCode.KEY_REFUSED),
    "another store": (wrong_store, ExitCode.STORE),
    "a bad line": (bad_line, ExitCode.PARTIAL),
}


@pytest.mark.parametrize("name", CODES)
def test_exit_codes(nights: Nights, bench: Bench, name: str) -> None:
    """The contract's table; what is not 0 says so in words, and the same again in its report."""
    assert nights.run().code == 0
    break_it, code = CODES[name]
    break_it(bench)
    if name != "nothing":
        inbox(bench, "t")
    said = nights.run()
    assert said.code == code, said.text
    assert bool(said.text) == bool(code)
    assert nights.last_report()["exit_code"] == code


def test_known_failures_are_no_news(nights: Nights, bench: Bench) -> None:
    """`gone` counts once, on the night that finds it."""
    gone(bench)
    inbox(bench, "t")
    assert nights.run().code == ExitCode.PARTIAL
    assert nights.run() == Said(0, "")


def test_status_tells_of_a_run_that_went_wrong(bench: Bench) -> None:
    """What the last run ended with is there for who looks, until a run goes well."""
    (bench.folder / "ids.txt").write_text("t\n")
    bench.configure(source={"inbox": ["ids.txt"]})
    bench.clean_task("t")
    assert bench.cli("run", "-q", env={"LUMA_API_KEY": "another"}).code == ExitCode.KEY_REFUSED
    assert "needs you: the last run ended with exit code 4" in bench.cli("status").out
    assert bench.cli("run", "-q").code == 0
    assert "needs you" not in bench.cli("status").out
