"""Modules are nouns of the domain, and a name stands once: the rules and their exceptions are in `docs/names.toml`."""

import tomllib
from collections import Counter
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
RULES = tomllib.loads((ROOT / "docs/names.toml").read_text("utf-8"))

MODULES = [path for path in sorted(SRC.rglob("*.py")) if not path.stem.startswith("__")]
PACKAGES = sorted(path.parent.name for path in SRC.glob("*/__init__.py"))


def name_of(path: Path) -> str:
    return path.stem.strip("_")


def is_noun(name: str) -> bool:
    return name in RULES["nouns"] or not (name.endswith("ing") or name in RULES["riddles"])


def test_a_module_is_a_noun_of_the_domain():
    wrong = {path.relative_to(SRC).as_posix() for path in MODULES if not is_noun(name_of(path))}
    assert not wrong


def test_a_module_name_stands_once_in_a_package():
    counted = Counter((path.relative_to(SRC).parts[0], name_of(path)) for path in MODULES)
    twice = {
        f"{package} {name}"
        for (package, name), times in counted.items()
        if times > 1 and name not in RULES["repeated"].get(package, [])
    }
    assert not twice


def test_a_public_name_means_one_thing():
    meanings: dict[str, object] = {}
    for package in PACKAGES:
        module = import_module(package)
        for name in getattr(module, "__all__", ()):
            assert meanings.setdefault(name, getattr(module, name)) is getattr(module, name), name
