"""The site: every page is in the navigation, every package in the API reference. `.ci/run` builds it strictly."""

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SITE = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]

PACKAGES = sorted(
    path.parent.name for path in (ROOT / "src").glob("*/__init__.py") if "__all__" in path.read_text("utf-8")
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


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_is_in_the_reference(package):
    module = import_module(package)
    homes = {getattr(getattr(module, name), "__module__", "") for name in module.__all__}
    assert package in DOCUMENTED or {home for home in homes if home.startswith(f"{package}.")} <= DOCUMENTED


def test_what_the_reference_documents_exists():
    for name in DOCUMENTED:
        import_module(name)
