"""No module imports itself through others: neither when Python runs, nor when a function or a type checker asks.

`lint-imports` finds circles between the rooms of a package; this finds those within one, of a package and its modules.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"


def modules_below(folder: Path) -> dict[str, Path]:
    named = {".".join(path.relative_to(folder).with_suffix("").parts): path for path in folder.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


def imported_by(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Yield the modules that a module imports anywhere; a package's own name only where the package defines what is
    imported.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules else str(node.module)


def graph_of(folder: Path) -> TopologicalSorter[str]:
    modules = modules_below(folder)
    return TopologicalSorter({name: set(imported_by(path, modules)) for name, path in modules.items()})


@pytest.mark.deep
def test_no_module_imports_itself_through_others():
    graph_of(SOURCE).prepare()


@pytest.mark.parametrize(
    "late",
    [
        "import a.c",
        "from a import c",
        "def f():\n    from a.c import d",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.c import d",
    ],
)
def test_a_circle_is_found(tmp_path, late):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "__init__.py").write_text("")
    (tmp_path / "a" / "b.py").write_text(late)
    (tmp_path / "a" / "c.py").write_text("from a.b import f\nd = f\n")
    with pytest.raises(CycleError) as found:
        graph_of(tmp_path).prepare()
    assert set(found.value.args[1]) == {"a.b", "a.c"}
