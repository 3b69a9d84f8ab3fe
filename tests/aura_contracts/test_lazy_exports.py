"""Lazy exports are those that the source names, however it is laid out, or the package fails at once."""

import ast
import compileall
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import aura_contracts

SOURCE = Path(aura_contracts.__file__).parents[1]
USERS = [path for path in sorted(SOURCE.rglob("__init__.py")) if "export_lazily(__name__)" in path.read_text("utf-8")]

PACKAGE = '''"""A package.

    from colours import red as red

if TYPE_CHECKING:
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from colours.warm import red as red
    from colours.warm import (
        a_name_that_makes_the_line_too_long as a_name_that_makes_the_line_too_long,
    )

    from colours.cold import blue as blue

export_lazily(__name__)
'''
NAMES = ["a_name_that_makes_the_line_too_long", "blue", "red"]


def names_in(block):
    """Yield the names imported in a block of statements, each with its home."""
    for statement in block:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            assert alias.name == alias.asname
            yield alias.name, statement.module


@pytest.mark.parametrize("path", USERS, ids=lambda path: str(path.parent.relative_to(SOURCE)))
def test_a_package_exports_what_type_checkers_see(path):
    blocks = [
        statement.body
        for statement in ast.parse(path.read_text("utf-8")).body
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
    ]
    (block,) = blocks
    homes = dict(names_in(block))
    package = importlib.import_module(".".join(path.parent.relative_to(SOURCE).parts))
    assert package.__all__ == dir(package) == sorted(homes)
    for name, home in homes.items():
        assert getattr(package, name) is getattr(importlib.import_module(home), name)


@pytest.fixture
def package(tmp_path):
    """Return the folder of a package that exports names of two modules, not yet with its `__init__`."""
    folder = tmp_path / "colours"
    folder.mkdir()
    (folder / "warm.py").write_text("red = a_name_that_makes_the_line_too_long = 1\n", "utf-8")
    (folder / "cold.py").write_text("blue = 2\n", "utf-8")
    return folder


def run(folder, program="import colours; print(*colours.__all__, colours.red, colours.blue)"):
    """Run a program that may import the package, as a process of its own; return its output, or its error."""
    search = f"import sys; sys.path[:0] = {[str(folder.parent), str(SOURCE)]!r}; "
    done = subprocess.run([sys.executable, "-c", search + program], capture_output=True, text=True, check=False)
    return done.stdout.split() or done.stderr


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_layout_of_the_source_does_not_matter(package, newline):
    (package / "__init__.py").write_text(PACKAGE, "utf-8", newline=newline)
    assert run(package) == [*NAMES, "1", "2"]


def test_no_source_is_needed(package):
    (package / "__init__.py").write_text(PACKAGE, "utf-8")
    assert compileall.compile_dir(package, quiet=1, legacy=True)
    for source in package.glob("*.py"):
        source.unlink()
    assert run(package) == [*NAMES, "1", "2"]


@pytest.mark.parametrize(
    "line",
    [
        "from colours.warm import red",
        "from colours.warm import red as crimson",
        "from colours.warm import red as red, blue as blue",
        "import colours.warm",
        "red: int",
    ],
)
def test_a_line_of_another_form_fails_at_once(package, line):
    text = PACKAGE.replace("    from colours.cold import blue as blue\n", f"    {line}\n")
    (package / "__init__.py").write_text(text, "utf-8")
    assert f"ImportError: {package / '__init__.py'}: not an export of the form" in run(package)
    assert run(package).rstrip().endswith(line)


def test_a_package_without_exports_fails_at_once(package):
    text = PACKAGE.replace("\nif TYPE_CHECKING:\n    from", "\nif not TYPE_CHECKING:\n    from")
    (package / "__init__.py").write_text(text, "utf-8")
    assert "no exports under `if TYPE_CHECKING:`" in run(package)
