"""Types as an API: two checkers accept an embedding program, and find every mistake planted in another one.

``.ci/run`` does this in a step of its own, where both checkers are installed.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.deep

HERE = Path(__file__).parent / "typing"
ROOT = Path(__file__).parents[1]


def mypy(path: Path) -> set[int]:
    """Return the lines of a program that mypy, strict, complains about."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode in (0, 1), done.stderr
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert all(line.startswith((str(path.relative_to(ROOT)), str(path))) for line in lines), done.stdout
    return {int(line.split(":")[1]) for line in lines}


def pyright(path: Path) -> set[int]:
    """Return the lines of a program that pyright complains about."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {each["range"]["start"]["line"] + 1 for each in found if each["severity"] == "error"}


CHECKERS = [
    pytest.param(
        mypy,
        marks=pytest.mark.skipif(
            shutil.which("mypy", path=str(Path(sys.executable).parent)) is None,
            reason="no mypy: pip install --group dev",
        ),
    ),
    pytest.param(
        pyright,
        marks=pytest.mark.skipif(
            shutil.which("pyright", path=str(Path(sys.executable).parent)) is None,
            reason="no pyright: pip install --group dev",
        ),
    ),
]


@pytest.mark.parametrize("check", CHECKERS)
def test_a_program_without_mistakes_is_accepted(check):
    assert check(HERE / "embedder.py") == set()


@pytest.mark.parametrize("check", CHECKERS)
def test_every_planted_mistake_is_found(check):
    program = HERE / "mistakes.py"
    planted = {n for n, line in enumerate(program.read_text().splitlines(), 1) if "# MISTAKE" in line}
    assert len(planted) >= 12
    assert check(program) == planted
