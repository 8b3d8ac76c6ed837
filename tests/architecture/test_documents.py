"""What the documents and `pyproject.toml` say of the checkout is so."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "archiver"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

FILE = re.compile(r"(?<![\w/.-])(?:archiver|tests|docs|benchmarks)/[\w./-]*[\w/]")
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def name(path: Path) -> str:
    """Return a path as the documents write it."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_documents_name_files_that_are_there(document: Path) -> None:
    """Every file of the checkout that a document names, and every page it links to, exists."""
    text = document.read_text()
    named = {place for place in FILE.findall(text) if not (ROOT / place).exists()}
    linked = {place for place in LINK.findall(text) if not (document.parent / place).exists()}
    # `tests/unit/` and its like are folders that git does not keep while they are empty.
    assert not {place for place in named | linked if "." in place}


def test_the_design_names_every_module() -> None:
    """The table of layers is complete."""
    parts = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    parts |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    rows = [line for line in (ROOT / "DESIGN.md").read_text().splitlines() if line.startswith("| ")]
    named = set(re.findall(r"`([a-z_]+)(?:\.\*)?`", "\n".join(rows)))
    unnamed = parts - named
    assert not unnamed


def test_the_documents_are_those_of_the_package() -> None:
    """Decisions are numbered without a gap, each with all of its parts."""
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    for number, decision in enumerate(decisions, 1):
        text = decision.read_text()
        assert decision.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number}. ")
        headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert headings == ["Context", "Options", "Decision", "Downsides"]


def imported(root: Path) -> Iterator[str]:
    """Yield the top-level names that the modules below a folder import."""
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def test_dependencies_are_those_that_are_used() -> None:
    """What is imported is declared, what is declared is imported, and the reason is given."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=\[; ]", word)[0].lower() for word in project["dependencies"]}
    foreign = set(imported(PACKAGE)) - {"archiver", *sys.stdlib_module_names}
    owners = packages_distributions()
    used = {owner.lower() for module in foreign for owner in owners.get(module, [module])}
    used -= {"botocore", "urllib3", "mypy-boto3-s3"}  # boto3's own parts, and types only
    assert used == declared
    reasons = (ROOT / "docs" / "adr" / "0002-dependencies.md").read_text()
    assert {word for word in declared if f"| {word} |" not in reasons} == set()


def test_the_tests_need_what_is_declared() -> None:
    """Everything that a test imports is installed by the test command."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    words = [*project["project"]["dependencies"], *groups["dev"], *groups["system"]]
    declared = {re.split(r"[<>=\[; ]", word)[0].lower() for word in words}
    foreign = set(imported(ROOT / "tests")) - set(sys.stdlib_module_names)
    foreign -= {"archiver", "benchmarks", "tests"}
    owners = packages_distributions()
    missing = {m for m in foreign if not declared & {o.lower() for o in owners.get(m, [m])}}
    assert not missing - {"botocore", "mypy_boto3_s3"}  # boto3 brings them
