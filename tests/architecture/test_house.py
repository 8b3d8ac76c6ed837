"""The house rules that no linter knows: sizes, names, and what may be read where."""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "archiver"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

MAX_LINES = 400
LONGER = {"contracts.py": 485}
"""Exceptions, each with its own limit: the sockets are prose, and better read in one place."""

MAX_PIPELINE_CODE_LINES = 150

READERS = {
    "app.py": ".*",  # the composition root hands the clock and the environment to the parts
    "cli/": ".*",  # the program's border
    "library.py": r"os\.environ",  # the border for programs, which may pass their own
    "gateway/": ".*",  # a server of its own, with its own clock
    "transport/clock.py": ".*",  # the clock that everybody is handed
    "session.py": r"uuid\.uuid4",  # names a new store; nothing follows from the name
    "runner.py": r"time\.monotonic",  # a worker stuck in the system is left after real seconds
}
"""Who may read the time, the environment or chance; all others get them passed in."""

UNPREDICTABLE = re.compile(
    "|".join(
        [
            r"(datetime\.)?(datetime|date)\.(now|utcnow|today)",
            r"time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|sleep)",
            r"os\.(environ|getenv|putenv|urandom)",
            r"random\.([a-z]\w*|Random\(\))",
            r"secrets\.\w+",
            r"uuid\.uuid[14]",
        ]
    )
)

HOMES = {
    "httpx": ("transport",),
    "boto3": ("stores/",),
    "botocore": ("stores/",),
    "av": ("probe", "gateway/"),
    "PIL": ("probe", "gateway/"),
    "sqlite3": ("catalog",),
    "click": ("cli/",),
    "tqdm": ("cli/",),
}
"""Each library with a border of its own, and the only modules that know it."""

FORBIDDEN = [
    # Written apart, so that this file does not hold them.
    r"pypi" + r"\.org",
    r"python" + r"hosted\.",
    r"registry\." + r"npmjs",
    r"npmjs" + r"\.(com|org)",
    r"deb\." + r"debian\.org",
    r"--(extra-)?index" + r"-url",
    r"(?<![\w.$}~-])/(root|work)" + r"/",
    r"Co-" + r"Authored-By",
]
"""Registry hosts and developers' folders: they bind a file to one machine."""


def tree(module: str) -> ast.Module:
    """Parse one module of the package."""
    return ast.parse((PACKAGE / module).read_text(), module)


def code_lines(source: str) -> int:
    """Count the lines that hold code: no comment, no docstring, not blank."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in silent and token.type != tokenize.ENDMARKER:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def names_read(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each dotted name that a module uses, and each `module.name` that it imports.

    The default of a parameter is left out: what it stands for can be passed in.
    """
    defaults: set[ast.AST] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.arguments):
            given = [part for part in (*node.defaults, *node.kw_defaults) if part]
            defaults.update(inner for part in given for inner in ast.walk(part))
        bare_call = isinstance(node, ast.Call) and not (node.args or node.keywords)
        if isinstance(node, ast.expr) and (bare_call or isinstance(node, ast.Attribute)):
            if node not in defaults:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_files_are_short() -> None:
    """No module is longer than a reader can hold."""
    lengths = {module: len((PACKAGE / module).read_text().splitlines()) for module in MODULES}
    assert not {m: n for m, n in lengths.items() if n > LONGER.get(m, MAX_LINES)}


def test_the_pipeline_is_one_page() -> None:
    """How one task is archived can be read in one go."""
    pages = {m: code_lines((PACKAGE / m).read_text()) for m in MODULES if m == "pipeline.py"}
    assert not {m: n for m, n in pages.items() if n > MAX_PIPELINE_CODE_LINES}


def test_code_lines_are_counted() -> None:
    """Comments, blank lines and docstrings are no code, and a statement over two lines is two."""
    assert code_lines('"""A\nB."""\n\n# why\nx = (1,\n     2)\n') == 2


def test_names_say_what_is_inside() -> None:
    """No module is a drawer for the rest."""
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert not [m for m in MODULES if drawers & set(re.split(r"[/._]", m))]


def test_product_code_neither_asserts_nor_prints() -> None:
    """`assert` vanishes under -O, and only the command line writes to the terminal."""
    wrong = []
    for module in MODULES:
        for node in ast.walk(tree(module)):
            prints = isinstance(node, ast.Name) and node.id == "print"
            if isinstance(node, ast.Assert) or (prints and not module.startswith("cli/")):
                wrong.append(f"{module}:{getattr(node, 'lineno', 0)}")
    assert not wrong


def test_time_chance_and_environment_are_passed_in() -> None:
    """Only the composition root and the borders read what no test could set."""
    wrong = []
    for module in MODULES:
        allowed = next((names for part, names in READERS.items() if module.startswith(part)), "")
        for line, name in names_read(tree(module)):
            if UNPREDICTABLE.fullmatch(name) and not re.fullmatch(allowed, name):
                wrong.append(f"{module}:{line}: {name}")
    assert not wrong


@pytest.mark.parametrize(
    "line",
    [
        "datetime.now(UTC)",
        "datetime.datetime.now()",
        "from time import sleep",
        "os.environ['A']",
        "random.random()",
        "random.Random()",
    ],
)
def test_hidden_inputs_are_found(line: str) -> None:
    """The rule above knows them in every usual spelling."""
    assert [x for _, x in names_read(ast.parse(line)) if UNPREDICTABLE.fullmatch(x)]


@pytest.mark.parametrize("line", ["def f(*, now=time.time): now()", "def f(r: random.Random): r"])
def test_what_is_passed_in_is_not_hidden(line: str) -> None:
    """A parameter and its default are no hidden input."""
    assert not [x for _, x in names_read(ast.parse(line)) if UNPREDICTABLE.fullmatch(x)]


def test_libraries_stay_at_their_border() -> None:
    """A library that opens a border of the program is imported by the part for that border only."""
    wrong = []
    for module in MODULES:
        for node in ast.walk(tree(module)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            libraries = {name.partition(".")[0] for name in names} & HOMES.keys()
            wrong += [f"{module}: {x}" for x in libraries if not module.startswith(HOMES[x])]
    assert not wrong


def test_the_contract_is_documented() -> None:
    """Everything public in `contracts.py` says what it promises."""
    assert not [
        node.name
        for node in ast.walk(tree("contracts.py"))
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]


def test_nothing_is_left_to_do() -> None:
    """No marker of unfinished work."""
    marker = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    assert not [module for module in MODULES if marker.search((PACKAGE / module).read_text())]


def tracked_files() -> list[Path]:
    """Return the files of this checkout that git keeps, or would; without git, all but hidden."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        return [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    tops = [ROOT / ".ci", *(path for path in ROOT.iterdir() if not path.name.startswith("."))]
    return [path for top in tops for path in [top, *top.rglob("*")] if path.is_file()]


def test_no_file_is_bound_to_a_machine() -> None:
    """No registry host and no developer's folder stands in any file."""
    forbidden = re.compile("|".join(FORBIDDEN))
    wrong = []
    for path in tracked_files():
        try:
            lines = path.read_text().splitlines()
        except (UnicodeDecodeError, FileNotFoundError):
            continue
        wrong += [
            f"{path.relative_to(ROOT)}:{number}: {found[0]}"
            for number, line in enumerate(lines, 1)
            if (found := forbidden.search(line))
        ]
    assert not wrong


def test_the_project_says_what_it_ships() -> None:
    """The package's page is the README, once there is one, and its licence is in the checkout."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project.get("readme") == "README.md") == (ROOT / "README.md").exists()
    assert "The archiver authors" in (ROOT / "LICENSE").read_text()
