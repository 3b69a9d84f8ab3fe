"""A package whose docstring maps its modules names them all."""

import ast
import re
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
_MAPPED = re.compile(r"^ {4}(\w+) {2,}\S", re.MULTILINE)


def modules_of(folder: Path) -> set[str]:
    """Return the modules and packages of a package."""
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return {name for name in modules if not name.startswith("__")}


def maps() -> dict[str, str]:
    """Return the docstrings that have a map: a table in which two names or more are those of modules."""
    found = {}
    for path in SRC.rglob("__init__.py"):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        if len(modules_of(path.parent) & set(_MAPPED.findall(text))) > 1:
            found[str(path.parent.relative_to(SRC))] = text
    return found


MAPS = maps()


def test_there_are_maps():
    assert {"aura_engine/runtime", "aura_engine/permissions", "aura_executors/supervisor"} <= set(MAPS)


@pytest.mark.parametrize("package", sorted(MAPS))
def test_a_map_is_complete_and_names_nothing_else(package):
    modules = modules_of(SRC / package)
    assert modules - set(re.findall(r"\w+", MAPS[package])) == set()
    assert set(_MAPPED.findall(MAPS[package])) - modules == set()
