"""`archiver doctor --leak-test`: it passes as archiver is, and fails without what it tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import archiver
from tests.gatewayfixture import run_cli

PACKAGE = Path(archiver.__file__).resolve().parent


pytestmark = pytest.mark.slow


def test_no_secret_gets_out(tmp_path: Path) -> None:
    """Canaries through every path at -vv, with forced tracebacks, appear nowhere; no config."""
    done = run_cli(["doctor", "--leak-test", "--json"], {}, tmp_path)
    assert done.code == 0, done
    assert done.objects()[-1]["leaks"] == 0
    assert list(tmp_path.iterdir()) == []


BROKEN = {
    "no redactor": (
        "redaction/redactor.py",
        "        text = _encodable(text)\n",
        "        return _encodable(text)\n",
    ),
    "keys that it is not told": ("app.py", "        self._redactor.add(*(word", "        id((word"),
}
"""What is broken: the file, a text in it, and what stands there instead."""


@pytest.mark.parametrize("what", BROKEN)
def test_it_fails_without_the_redactor(tmp_path: Path, what: str) -> None:
    """A copy of archiver that hides less is found out, and the secret is named, not shown."""
    name, whole, broken = BROKEN[what]
    copy = tmp_path / "copy"
    shutil.copytree(PACKAGE, copy / "archiver", ignore=shutil.ignore_patterns("__pycache__"))
    source = (copy / "archiver" / name).read_text()
    assert whole in source
    (copy / "archiver" / name).write_text(source.replace(whole, broken, 1))
    done = run_cli(["doctor", "--leak-test"], {"PYTHONPATH": str(copy)}, tmp_path)
    assert done.code == 1, done
    assert "the key stands in" in done.out
    assert "not tried" not in done.out
    assert "sk-leak" not in done.out + done.err
