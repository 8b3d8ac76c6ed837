"""Promises name the tests that show them; this keeps the names in step."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
PAGES = ("docs/guarantees.md", "DESIGN.md")


def named(page: str) -> list[tuple[str, str]]:
    """Return the test files and tests that a page names."""
    return NAMED.findall((ROOT / page).read_text())


@pytest.mark.parametrize("page", PAGES)
def test_every_named_test_exists(page: str) -> None:
    """No promise rests on a test that was renamed or removed."""
    missing = []
    for path, test in named(page):
        file = ROOT / path
        tree = ast.parse(file.read_text()) if file.exists() else ast.parse("")
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        if not file.exists() or (test and test not in names):
            missing.append(f"{path}::{test}")
    assert not missing


def test_no_promise_without_a_test() -> None:
    """Each paragraph in bold is followed by the tests that show it."""
    text = (ROOT / "docs/guarantees.md").read_text().partition("## Not promised")[0]
    blocks = re.split(r"\n(?=\*\*)", text)[1:]
    assert len(blocks) >= 15
    assert not [block[:60] for block in blocks if not NAMED.search(block)]


def test_every_threat_names_what_proves_its_stop() -> None:
    """Each line of the threat model has a test."""
    section = (ROOT / "DESIGN.md").read_text().partition("## Threats")[2]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 6
    assert not [row[:60] for row in rows if not NAMED.search(row)]
