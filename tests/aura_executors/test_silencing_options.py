"""The options with which agents ask for nothing: each adapter knows its own, and the documentation names them all."""

import re
from pathlib import Path

import pytest

from aura_contracts.errors import InvalidInput
from aura_executors import ExecutorRegistry
from aura_executors.agents.acp import AcpOptions
from aura_executors.agents.local import LocalOptions

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "permissions.md"
REGISTRY = ExecutorRegistry()
ASKING = [name for name in REGISTRY.names() if REGISTRY.get(name).capability.permissions]
KINDS = {"acp": AcpOptions, "local": LocalOptions}
BASE = {"acp": {"agent": "goose"}, "scripted": {"steps": []}}

SILENT = [
    *((name, option, True) for name in ASKING if name != "scripted" for option in ("yolo", "allow_all_tools")),
    *(("claude", "permission_mode", mode) for mode in ("dontAsk", "bypassPermissions")),
    ("qwen-code", "approval_mode", "yolo"),
    *(("codex", "approval_policy", "never"), ("codex", "protocol", "exec")),
    *(("local", "autonomy", autonomy) for autonomy in ("read-only", "full")),
]


@pytest.mark.parametrize(("name", "option", "value"), SILENT)
def test_an_agent_is_silenced_by(name, option, value):
    assert REGISTRY.get(name).silencing_option({**BASE.get(name, {}), option: value}) == option


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, BASE.get(name, {})) for name in ASKING),
        *(("codex", {"full_auto": True}), ("codex", {"approval_policy": "on-request"})),
        *(("claude", {"permission_mode": "acceptEdits"}), ("local", {"autonomy": "edit"})),
    ],
)
def test_an_agent_asks_with(name, options):
    assert REGISTRY.get(name).silencing_option(options) is None


def test_an_unknown_option_is_refused():
    with pytest.raises(InvalidInput):
        REGISTRY.get("claude").silencing_option({"yollo": True})


def test_the_page_names_them_all():
    (about,) = re.findall(r"asks for nothing: (.*?)\. AURA", PAGE.read_text(), re.DOTALL)
    documented = set(re.findall(r"`([a-z_]+(?:=[\w-]+)?)`", about))
    kinds = [KINDS.get(name) or REGISTRY.get(name).options for name in ASKING if name != "scripted"]
    known = {
        option if value is True else f"{option}={value}"
        for kind in kinds
        for option, values in kind.silencing.items()
        for value in values
    }
    assert documented == known
