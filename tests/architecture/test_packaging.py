"""What is shipped, and the script that sets everything up."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Every file of the package is in the wheel, its types and schemas too, and no test."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "archiver").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == package
    assert "archiver/py.typed" in inside


def test_the_script_parses_on_old_pythons() -> None:
    """`dev.py` tells the user of an old Python what to do: that Python must be able to read it."""
    ast.parse((ROOT / "dev.py").read_text(), feature_version=(3, 7))
