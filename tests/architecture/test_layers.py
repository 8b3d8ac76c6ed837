"""The layers of DESIGN.md, as the import contracts in `pyproject.toml` state them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

DOWN = "Imports go down only"
PARTS = "No provider knows another, no store knows another"
CYCLES = "No import cycles"


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the checkout at `root` on the package beside them."""
    program = "import sys; from importlinter.cli import lint_imports as lint; sys.exit(lint("
    return subprocess.run(
        [sys.executable, "-c", f"{program}no_cache=True, no_logo=True))"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, to be broken."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "archiver", tmp_path / "archiver", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_are_kept() -> None:
    """No import of the package goes up, sideways or in a circle."""
    checked = lint(ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "Contracts: 3 kept, 0 broken." in checked.stdout


def test_no_import_is_excused() -> None:
    """The contracts hold without exceptions, and every module must be named."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {c["id"]: c for c in project["tool"]["importlinter"]["contracts"]}
    assert set(contracts) == {"layers", "parts", "cycles"}
    assert not [c for c in contracts.values() if "ignore_imports" in c or "exhaustive_ignores" in c]
    assert contracts["layers"]["exhaustive"] is True


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("model.py", "from archiver import contracts", DOWN),
        ("contracts.py", "import archiver.stores", DOWN),
        ("errors.py", "def late():\n    import archiver.catalog\n", DOWN),
        ("providers/one.py", "import archiver.stores", DOWN),
        ("stores/one.py", "import archiver.catalog", DOWN),
        ("catalog/rows.py", "import archiver.gateway", DOWN),
        ("surplus.py", "import archiver.model", DOWN),
        ("providers/one.py", "import archiver.providers.two", PARTS),
        ("stores/one.py", "import archiver.stores.two", PARTS),
        ("model.py", "import archiver.errors", CYCLES),
    ],
)
def test_a_wrong_import_is_found(copy: Path, module: str, line: str, broken: str) -> None:
    """An import that goes up or sideways, a circle and an unnamed module each break a contract."""
    append(copy / "archiver" / "providers" / "two.py", "")
    append(copy / "archiver" / "stores" / "two.py", "")
    append(copy / "archiver" / "errors.py", "import archiver.model" if broken == CYCLES else "")
    append(copy / "archiver" / module, line)
    checked = lint(copy)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert f"{broken} BROKEN" in checked.stdout


def append(path: Path, line: str) -> None:
    """Add a line to a module, which need not be there."""
    with path.open("a") as module:
        module.write(f"\n{line}\n")
