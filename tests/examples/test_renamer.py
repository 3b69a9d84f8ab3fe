"""The example of a third-party adapter: the page shows it as it is, it uses what is public, and its own tests pass.

Here it is used from its source, with the entry point that its ``pyproject.toml`` declares; ``.ci/run`` builds and
installs its wheel.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from command_line import ENVIRONMENT, run_aura
from repositories import ENVIRONMENT as GIT
from repositories import make_repository

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "aura-executor-renamer"
PAGE = (ROOT / "docs/how-to/write-an-executor.md").read_text("utf-8")

SHOWN = re.findall(r"^(?:`(\S+)`(?:, continued)?:\n\n)?```(?:py|text)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

PUBLIC = re.compile(
    r"aura_contracts\.(approval|errors|execution|failures|fingerprint|output|ports\.executors|ports\.processes|task)"
    r"|aura_executors(\.testing\.executor)?|aura_engine|aura_executor_renamer(\.\w+)?"
)


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("path", sorted({path for path, _ in SHOWN if path}))
def test_the_page_shows_the_files_as_they_are(path: str) -> None:
    shown = "".join(text for shown_path, text in SHOWN if shown_path == path)
    assert lines(shown) == lines((EXAMPLE / path).read_text("utf-8"))


def test_the_whole_adapter_is_shown() -> None:
    package = {path.relative_to(EXAMPLE).as_posix() for path in (EXAMPLE / "src/aura_executor_renamer").glob("*.py")}
    assert package < {path for path, _ in SHOWN}


def test_what_is_shown_without_a_name_is_in_the_tests() -> None:
    (excerpt,) = (text for path, text in SHOWN if not path)
    assert excerpt in (EXAMPLE / "tests/test_run.py").read_text("utf-8")


@pytest.mark.parametrize("path", sorted(EXAMPLE.rglob("*.py")), ids=lambda path: path.name)
def test_it_uses_what_is_public(path: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if (node.module or "").startswith("aura_"):
            assert PUBLIC.fullmatch(node.module or ""), node.module
            assert not any(name.name.startswith("_") for name in node.names)


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of somebody who has installed it."""
    folder = tmp_path_factory.mktemp("installed")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    facts = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (facts / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in points.items())
            for group, points in project["entry-points"].items()
        )
    )
    program = folder / "bin" / "renamer"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport renamer, sys\nsys.exit(renamer.main())\n")
    program.chmod(0o755)
    return {
        **ENVIRONMENT,
        **GIT,
        "PATH": os.pathsep.join((str(program.parent), os.environ["PATH"])),
        "PYTHONPATH": os.pathsep.join((str(EXAMPLE / "src"), str(folder))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }


@pytest.mark.deep
def test_its_own_tests_pass(surroundings: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        command, cwd=EXAMPLE, env=surroundings, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout


def test_the_command_line_finds_and_runs_it(surroundings: dict[str, str], tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "app", {"api.py": "def fetch(): ...\n"})
    here = {"AURA_HOME": str(tmp_path / "home"), "AURA_USER": "alice", "RENAMER_HOME": str(tmp_path / "renamer")}
    known = run_aura("executors", "renamer", "--json", **surroundings, **here)
    assert known.code == 0, known.err
    assert known.objects[0]["status"] == "available"
    ran = run_aura(
        *("run", "--executor", "renamer", "--prompt", "Rename fetch to load", "--approval", "auto"),
        *("--option", "ask=false", "--wait", "--store", f"sqlite:///{tmp_path / 'aura.db'}"),
        cwd=repository,
        **surroundings,
        **here,
    )
    assert ran.code == 0, ran.err
    assert (repository / "api.py").read_text() == "def load(): ...\n"
