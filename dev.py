#!/usr/bin/env python3
"""Set up this checkout and run it; needs Python 3.11 or later and nothing else.

python3 dev.py demo [ARGS]          archive the tasks of an embedded gateway (`archiver demo ARGS`)
python3 dev.py test                 the gate: format, lint, types, layers, all fast tests
python3 dev.py test --all           the gate, then the slow suites and those that need system tools
python3 dev.py test [--all] ARGS    only pytest, with these arguments
python3 dev.py gate                 the same as `test`
python3 dev.py fix                  put the format right, and what the linter can mend
python3 dev.py bench [ARGS]         the benchmarks (`python -m benchmarks ARGS`)

Everything is installed into `.venv` beside this file, anew only when `pyproject.toml` or the Python
changed. With CI=true in the environment, `test` is `test --all`, and what a suite needs and is not
there is a failure. `--all` installs Debian packages where it can (root, apt-get), and the API
validator Prism from npm. The exit code is that of the step that failed.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# The whole file must parse on old Pythons too: it is what tells their users what to do.
if sys.version_info < (3, 11):  # noqa: UP036
    newer = [
        name
        for name in ("python3.14", "python3.13", "python3.12", "python3.11")
        if shutil.which(name) and not subprocess.call([name, "-c", ""], stderr=subprocess.DEVNULL)
    ]
    sys.exit(
        "archiver needs Python 3.11 or later; this is {}.{}. {}".format(
            *sys.version_info[:2],
            f"Run: {newer[0]} dev.py {' '.join(sys.argv[1:])}"
            if newer
            else "Install a newer one (Debian 12 and later have it as python3) and run it again.",
        )
    )

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "dev.json"
TOOLS = ROOT / ".tools"
BASE_PYTHON = getattr(sys, "_base_executable", "") or sys.executable

LEFT_OUT = "slow or s3 or tools"
"""Marker expression of the suites that only `test --all` runs."""

DEBIAN_PACKAGES = {
    "strace": "strace",
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "faketime": "faketime",
    "systemd-analyze": "systemd",
    "openssl": "openssl",
    "cc": "gcc",
    "mount": "mount",
    "unshare": "util-linux",
}
"""Commands that the system suites run, and the Debian package of each."""


def main(arguments: list[str]) -> None:
    """Run one of the commands above."""
    command, *rest = arguments or ["help"]
    os.chdir(ROOT)
    if command == "demo":
        prepare()
        become(VENV / "bin" / "archiver", "demo", *rest)
    elif command in ("test", "gate"):
        test(rest)
    elif command == "fix":
        prepare("dev")
        step("ruff format", PYTHON, "-m", "ruff", "format")
        step("ruff check --fix", PYTHON, "-m", "ruff", "check", "--fix")
    elif command == "bench":
        prepare("dev", "system", "bench")
        become(PYTHON, "-m", "benchmarks", *rest)
    elif command in ("help", "-h", "--help"):
        print(__doc__)
    else:
        print(__doc__, file=sys.stderr)
        sys.exit(2)


def test(arguments: list[str]) -> None:
    """Run the gate, and under `--all` or in CI everything that it leaves out."""
    complete = "--all" in arguments or os.environ.get("CI") == "true"
    chosen = [word for word in arguments if word != "--all"]
    if complete:
        prepare("dev", "system")
        install_system_tools()
        install_prism()
    else:
        prepare("dev")
    fast_only = ["-m", f"not ({LEFT_OUT})"]
    if chosen:
        become(PYTHON, "-m", "pytest", *([] if complete else fast_only), *chosen)
    step("ruff format --check", PYTHON, "-m", "ruff", "format", "--check", "--quiet")
    step("ruff check", PYTHON, "-m", "ruff", "check", "--quiet")
    step("mypy", PYTHON, "-m", "mypy", "--no-error-summary")
    step("import layers", VENV / "bin" / "lint-imports", "--no-logo", quiet=True)
    fast = [PYTHON, "-m", "pytest", "-q", "-n", "auto", *fast_only]
    slow = [PYTHON, "-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile", "-m", LEFT_OUT]
    if not (complete and any_test(LEFT_OUT)):
        become(*fast)
    step("fast tests", *fast)
    say("slow suites, and those that need system tools")
    become(*slow)


def any_test(markers: str) -> bool:
    """Tell whether pytest finds a test with these markers; a broken collection ends the run."""
    command = [str(PYTHON), "-m", "pytest", "-q", "--collect-only", "-m", markers]
    found = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if found.returncode not in (0, 5):
        print(found.stdout, found.stderr, sep="\n")
        sys.exit(found.returncode)
    return found.returncode == 0


# --- steps ---------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Print a line about what this script does; stdout is left to the commands."""
    print(f"dev.py: {text}", file=sys.stderr, flush=True)


def environment() -> dict[str, str]:
    """Return the environment of the commands: the virtual one in front."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH")}
    places = [str(VENV / "bin"), str(TOOLS / "node_modules" / ".bin")]
    path = os.pathsep.join([*places, search_path()])
    return {**clean, "PATH": path, "VIRTUAL_ENV": str(VENV)}


def search_path() -> str:
    """Return PATH with the folders that hold servers, which are not on everybody's."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def step(title: str, *command: object, quiet: bool = False) -> None:
    """Run one command and say how long it took; end with its exit code when it fails.

    Args:
        title: What is said of it.
        command: The command and its arguments.
        quiet: Show its output only when it fails.
    """
    began = time.monotonic()
    words = [str(word) for word in command]
    output = subprocess.PIPE if quiet else None
    try:
        done = subprocess.run(
            words,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT if quiet else None,
            check=False,
        )
    except KeyboardInterrupt:
        sys.exit(130)
    took = time.monotonic() - began
    if done.returncode == 0:
        say(f"{title}: {took:.1f} s")
        return
    if done.stdout:
        sys.stdout.buffer.write(done.stdout)
        sys.stdout.flush()
    say(f"{title} failed after {took:.1f} s: {' '.join(words)}")
    sys.exit(done.returncode if done.returncode > 0 else 128 - done.returncode)


def become(*command: object) -> None:
    """Turn into the last command: its output is the last, its exit code and signals its own."""
    sys.stdout.flush()
    words = [str(word) for word in command]
    os.execve(words[0], words, environment())


# --- what is installed ---------------------------------------------------------------------------


def prepare(*groups: str) -> None:
    """Make `.venv` hold the package and these dependency groups of `pyproject.toml`."""
    project = (ROOT / "pyproject.toml").read_bytes()
    facts = {
        "python": "{}.{}".format(*sys.version_info[:2]),
        "root": str(ROOT),
        "pyproject": hashlib.sha256(project).hexdigest(),
    }
    stamp: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        stamp = json.loads(STAMP.read_bytes())
    if not same_python() or stamp.get("root", str(ROOT)) != str(ROOT):
        make_venv()
        stamp = {}
    before = stamp.get("groups")
    have = set(before) if isinstance(before, list) else set()
    if have.issuperset(groups) and all(stamp.get(key) == facts[key] for key in facts):
        return
    STAMP.unlink(missing_ok=True)
    wanted = sorted(have.union(groups))
    requirements = [word for group in wanted for word in group_of(project, group)]
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    step(f"install into {VENV.name}", *pip, "--editable", ROOT, *requirements)
    STAMP.write_text(json.dumps({**facts, "groups": wanted}, indent=1) + "\n")


def group_of(project: bytes, name: str) -> list[str]:
    """Return the requirements of one dependency group (pip knows groups only since 25.1)."""
    import tomllib

    return [str(word) for word in tomllib.loads(project.decode())["dependency-groups"][name]]


def same_python() -> bool:
    """Tell whether `.venv` works and is of this Python's version."""
    with contextlib.suppress(OSError):
        lines = (VENV / "pyvenv.cfg").read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (x.partition("=") for x in lines)}
        version = facts.get("version") or facts.get("version_info", "")
        ours = [str(number) for number in sys.version_info[:2]]
        return version.split(".")[:2] == ours and os.access(PYTHON, os.X_OK)
    return False


def make_venv() -> None:
    """Make an empty `.venv`, by whatever this Python has for it.

    Debian keeps `ensurepip`, without which `venv` gives no pip, in a package of its own.
    """
    package = f"python3.{sys.version_info.minor}-venv"
    if has_module("ensurepip"):
        step("make .venv", BASE_PYTHON, "-m", "venv", "--clear", VENV)
    elif has_module("virtualenv"):
        step("make .venv", BASE_PYTHON, "-m", "virtualenv", "--quiet", "--clear", VENV)
    elif has_module("venv") and has_module("pip"):
        step("make .venv", BASE_PYTHON, "-m", "venv", "--clear", "--without-pip", VENV)
        step("pip for .venv", BASE_PYTHON, "-m", "pip", "-q", "--python", PYTHON, "install", "pip")
    elif can_install_packages():
        apt_install([package])
        step("make .venv", BASE_PYTHON, "-m", "venv", "--clear", VENV)
    else:
        sys.exit(
            "This Python cannot make a virtual environment: its module ensurepip is missing.\n"
            f"On Debian or Ubuntu run `sudo apt-get install {package}`, elsewhere install\n"
            "virtualenv for this Python; then run the same command again."
        )


def has_module(name: str) -> bool:
    """Tell whether this Python could import a module."""
    return importlib.util.find_spec(name) is not None


def can_install_packages() -> bool:
    """Tell whether Debian packages can be installed here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_system_tools() -> None:
    """Install what the system suites run and is not there, or say what they will do without."""
    missing = [name for name in DEBIAN_PACKAGES if not shutil.which(name, path=search_path())]
    packages = [DEBIAN_PACKAGES[name] for name in missing]
    if not missing:
        return
    if can_install_packages():
        apt_install(packages)
    else:
        say(f"not root, so not installed: {' '.join(packages)}; their tests will say so")


def install_prism() -> None:
    """Install Prism, which checks an API's answers against its description, into `.tools`."""
    if (TOOLS / "node_modules" / ".bin" / "prism").exists():
        return
    if not shutil.which("npm"):
        if not can_install_packages():
            say("no npm, so not installed: Prism; its tests will say so")
            return
        apt_install(["nodejs", "npm"])
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    step("install Prism", *npm, "--prefix", TOOLS, "@stoplight/prism-cli")


def apt_install(packages: list[str]) -> None:
    """Install Debian packages, without starting the services that they bring."""
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    step("apt-get update", "apt-get", "update", quiet=True)
    with services_kept_down():
        words = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        step(f"install {' '.join(packages)}", *words, quiet=True)


@contextlib.contextmanager
def services_kept_down() -> Iterator[None]:
    """Forbid Debian's maintainer scripts to start services, unless a policy is there already."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
