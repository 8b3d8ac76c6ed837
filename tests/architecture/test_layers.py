"""The layers of DESIGN.md, as the import contracts in `pyproject.toml` state them."""

from __future__ import annotations

import os
import re
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
    """The contracts hold for all but the package's own front door; every module must be named."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {c["id"]: c for c in project["tool"]["importlinter"]["contracts"]}
    assert set(contracts) == {"layers", "parts", "cycles"}
    excused = [line for c in contracts.values() for line in c.get("ignore_imports", [])]
    assert set(excused) == {"archiver -> archiver.*"}
    assert "exhaustive_ignores" not in contracts["layers"]
    assert contracts["layers"]["exhaustive"] is True


def test_wrong_imports_are_found(copy: Path) -> None:
    """An import that goes up or sideways breaks a contract, and so does a circle."""
    down = {
        "model": "contracts",
        "contracts": "stores",
        "providers.one": "stores",
        "stores.one": "catalog",
        "fetch": "catalog",
        "catalog.rows": "gateway",
    }
    sideways = {"providers.one": "providers.two", "stores.one": "stores.two"}
    circle = {"policy": "layout", "layout": "policy"}
    for folder in ("providers", "stores"):
        append(copy, f"{folder}.two", "")
    for wrong in (down, sideways, circle):
        for importer, imported in wrong.items():
            append(copy, importer, f"def late():\n    import archiver.{imported}")
    checked = lint(copy)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    for name in (DOWN, PARTS, CYCLES):
        assert f"{name} BROKEN" in checked.stdout
    for importer, imported in {**down, **sideways}.items():
        assert f"archiver.{importer} -> archiver.{imported}" in checked.stdout
    assert re.search(r"\.policy -> \.layout|\.layout -> \.policy", checked.stdout)


def test_a_module_without_a_layer_is_found(copy: Path) -> None:
    """A new module must be given its place in the contract."""
    append(copy, "surplus", "")
    checked = lint(copy)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert f"{DOWN} BROKEN" in checked.stdout
    assert "- archiver.surplus" in checked.stdout


def append(copy: Path, module: str, lines: str) -> None:
    """Add lines to a module of the copy; it need not be there."""
    path = copy / "archiver" / f"{module.replace('.', '/')}.py"
    with path.open("a") as file:
        file.write(f"\n{lines}\n")
