"""Only the edge reads the environment, the arguments and the machine: everything below is handed what it needs.

`import-linter` sees imports; this sees attributes.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

READS = {
    "os.environ",
    "os.environb",
    "os.getenv",
    "os.getcwd",
    "os.getlogin",
    "os.path.expanduser",
    "os.path.expandvars",
    "sys.argv",
    "sys.orig_argv",
    "sys.stdin",
    "getpass.getuser",
    "Path.home",
    "Path.cwd",
    "pathlib.Path.home",
    "pathlib.Path.cwd",
}
"""What only the edge may use, by its dotted name."""

ALLOWED = {
    "aura_cli/_settings.py": {"os.environ"},
    "aura_cli/rendering/terminal.py": {"sys.stdin"},
    "aura_cli/main.py": {"sys.argv"},
    # what a program gets that does not say otherwise
    "aura_engine/host.py": {"os.environ", "getpass.getuser", "Path.cwd"},
    # processes of their own
    "aura_executors/isolated.py": {"sys.argv"},
    "aura_executors/callables/relay.py": {"sys.stdin"},
    "aura_executors/scripted/agent.py": {"sys.stdin", "Path.cwd"},
    "aura_executors/agents/local/program/main.py": {"os.environ", "sys.stdin", "Path.cwd"},
    "aura_executors/agents/local/program/session.py": {"Path.home"},
    # tests of whoever writes an executor
    "aura_executors/testing/executor.py": {"os.environ"},
    "aura_executors/supervisor/__main__.py": {"os.environ", "sys.argv", "sys.stdin"},
}

PRINTS = {"aura_cli/arguments/program.py", "aura_executors/agents/local/program/main.py"}
"""Where `print` is called: everything else is written by the terminal."""


def dotted(node: ast.AST) -> str:
    """Return the dotted name of an expression, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def names_in(path: Path) -> Iterator[str]:
    """Yield the dotted names that a module uses, also those it imports from modules."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute | ast.Name):
            yield dotted(node)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.fixture(scope="module")
def used() -> dict[str, set[str]]:
    """The dotted names that each module uses."""
    return {path.relative_to(SOURCE).as_posix(): set(names_in(path)) for path in SOURCE.rglob("*.py")}


@pytest.mark.deep
def test_only_the_edge_reads_environment_and_arguments(used):
    reads = {module: names & READS - ALLOWED.get(module, set()) for module, names in used.items()}
    assert {module: names for module, names in reads.items() if names} == {}


@pytest.mark.deep
def test_nothing_below_the_edge_prints(used):
    assert {module for module, names in used.items() if "print" in names} <= PRINTS


def test_the_rule_sees_every_way_to_write_it(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("import os\nfrom os import getenv\nfrom sys import argv\nprint(os.environ['A'])\n")
    assert set(names_in(module)) >= {"os.environ", "os.getenv", "sys.argv", "print"}
