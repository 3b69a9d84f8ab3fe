"""The site: every page is in the navigation, every package in the API reference. `.ci/run` builds it strictly."""

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType

import pytest

import aura_engine
from aura_engine import open_engine_sync

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]

PACKAGES = sorted(
    path.parent.name
    for path in (ROOT / "src").glob("*/__init__.py")
    if {"__all__", "export_lazily"} & set(re.findall(r"\w+", path.read_text("utf-8")))
)
DOCUMENTED = {
    name
    for page in (DOCS / "reference/api").rglob("*.md")
    for name in re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.MULTILINE)
}


def pages_in(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        for below in entry.values():
            yield from pages_in(below)
    elif isinstance(entry, list):
        for below in entry:
            yield from pages_in(below)


def test_every_page_is_in_the_navigation_once():
    listed = list(pages_in(SITE["nav"]))
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def is_lazy(module: ModuleType) -> bool:
    """Whether a module exports names that it only imports for type checkers: its page shows none of them."""
    return "export_lazily" in vars(module)


def is_documented(package: str, name: str) -> bool:
    value = getattr(import_module(package), name)
    modules = [target for target in map(resolve_name, DOCUMENTED) if isinstance(target, ModuleType)]
    return f"{package}.{name}" in DOCUMENTED or any(
        getattr(module, name, None) is value for module in modules if not is_lazy(module)
    )


@pytest.mark.deep
@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_is_in_the_reference(package):
    missing = {name for name in import_module(package).__all__ if not is_documented(package, name)}
    assert missing <= {"__version__"}


def test_every_noun_of_the_engine_is_in_the_reference():
    page = (DOCS / "reference/api/engine/nouns.md").read_text("utf-8")
    with open_engine_sync("memory:") as engine:
        nouns = {name: type(noun).__name__.removeprefix("Blocking") for name, noun in vars(engine).items()}
    section = r'^::: aura_engine[.]facade[.]\w+[.](\w+)\n(?: .+\n)*? +heading: "engine[.](\w+)"'
    sections = re.findall(section, page, re.MULTILINE)
    public = {name: kind for name, kind in nouns.items() if not name.startswith("_")}
    assert {name: kind for kind, name in sections} == public
    for text in ((ROOT / "README.md").read_text("utf-8"), aura_engine.__doc__ or ""):
        assert not [name for name in public if f"`{name}`" not in text.replace("engine.", "")]


def test_what_the_reference_documents_exists():
    for name in DOCUMENTED:
        resolve_name(name)
