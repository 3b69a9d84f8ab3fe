"""Modules are nouns of the domain, and a name stands once: the rules and their exceptions are in `docs/names.toml`."""

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
RULES = tomllib.loads((ROOT / "docs/names.toml").read_text("utf-8"))

SOURCES = [path.relative_to(SRC) for path in sorted(SRC.rglob("*.py"))]
MODULES = [path for path in SOURCES if not path.stem.startswith("__")]
FOLDERS = [path.parent for path in SOURCES if path.stem == "__init__" and len(path.parts) > 2]
PACKAGES = sorted(path.parent.name for path in SRC.glob("*/__init__.py"))

AGENTS = "aura_executors/agents/"


def name_of(path: Path) -> str:
    return path.stem.strip("_")


def is_noun(name: str) -> bool:
    return name in RULES["nouns"] or not (name.endswith("ing") or name in RULES["riddles"])


def mirrored(name: str, places: Iterable[Path]) -> bool:
    """Whether a module's name may stand in all these places, because their folders mirror one another."""
    return any(
        name in names and all(path.is_relative_to(folder) and len(path.parts) > 2 for path in places)
        for folder, names in RULES["mirrored"].items()
    )


def agent_of(path: Path) -> str | None:
    """Return the agent whose adapter `path` belongs to; None for all other code, the adapters' package included."""
    _, found, within = path.as_posix().partition(AGENTS)
    return within.removesuffix(".py").partition("/")[0] if found and within != "__init__.py" else None


def repeated(places: Iterable[Path]) -> bool:
    """Whether a name stands twice, other than once each in the adapters of several agents."""
    agents = [agent_of(path) for path in places]
    return len(agents) > 1 and (None in agents or len(set(agents)) < len(agents))


def test_a_module_is_a_noun_of_the_domain():
    wrong = {path.as_posix() for path in MODULES if not is_noun(name_of(path))}
    assert not wrong


def test_a_module_name_stands_once_in_a_package():
    places: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in MODULES + FOLDERS:
        places[path.parts[0], name_of(path)].append(path)
    twice = {
        key: [path.as_posix() for path in paths]
        for key, paths in places.items()
        if len(paths) > 1 and not mirrored(key[1], paths)
    }
    assert not twice


@pytest.mark.deep
def test_a_class_name_stands_once():
    places: dict[str, list[Path]] = defaultdict(list)
    for path in SOURCES:
        for node in ast.walk(ast.parse((SRC / path).read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    twice = {
        name: [path.as_posix() for path in paths]
        for name, paths in places.items()
        if repeated(paths) and [path.as_posix() for path in paths] != RULES["homonyms"].get(name)
    }
    assert not twice


def test_an_exception_is_needed():
    defined = {path.as_posix(): (SRC / path).read_text("utf-8") for path in SOURCES}
    assert all(f"class {name}" in defined[path] for name, paths in RULES["homonyms"].items() for path in paths)
    for folder, names in RULES["mirrored"].items():
        within = [name_of(path) for path in MODULES if path.is_relative_to(folder)]
        assert all(within.count(name) > 1 for name in names)


def test_a_public_name_means_one_thing():
    meanings: dict[str, object] = {}
    for package in PACKAGES:
        module = import_module(package)
        for name in getattr(module, "__all__", ()):
            assert meanings.setdefault(name, getattr(module, name)) is getattr(module, name), name
