"""The documents that agents read by themselves: what an adapter says, and what the documentation says."""

import re
from pathlib import Path

import pytest

from aura_contracts.errors import InvalidInput
from aura_executors import ExecutorRegistry

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "project.md"
REGISTRY = ExecutorRegistry()


def test_the_documentation_names_them_all():
    rows = re.findall(
        r"^\| (`.*`) \| (`.*`).* \|$", PAGE.read_text("utf-8").partition("read by themselves\n")[2], re.MULTILINE
    )
    shown = {
        name: set(re.findall(r"`([^`]+[.]md)`", files))
        for names, files in rows
        for name in re.findall(r"`(.+?)`", names)
    }
    options = {"acp": {"agent": "goose"}, "scripted": {"steps": []}}
    read = {name: set(REGISTRY.get(name).documents_read(options.get(name, {}))) for name in REGISTRY.names()}
    assert shown == {name: files for name, files in read.items() if files}


@pytest.mark.parametrize(
    ("sources", "reads"), [(None, True), ("user,project", True), ("project", True), ("user,local", False), ("", False)]
)
def test_claude_reads_them_with_the_settings_of_the_project(sources, reads):
    claude = REGISTRY.get("claude")
    assert ("CLAUDE.md" in claude.documents_read({"setting_sources": sources})) is reads
    with pytest.raises(InvalidInput):
        claude.documents_read({"setting_source": "user"})
