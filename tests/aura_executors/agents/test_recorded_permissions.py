"""Rules on what real agents were recorded asking for: each request is allowed and refused by the name of its file."""

import posixpath

import pytest
from msgspec.structs import replace
from replays import a_run, replay, written

from aura_contracts.approval import ToolCall
from aura_contracts.entries import PermissionRequested
from aura_contracts.permission import PermissionRules, Places, Ruling, judge
from aura_contracts.permission.files import paths_in
from aura_executors.registry import ExecutorRegistry

RECORDED = [
    ("claude", "claude", "control_deny", {}),
    ("claude-agent-acp", "acp", "first", {"agent": "claude-agent-acp"}),
    ("codex-app-server", "codex", "applypatch", {}),
    ("copilot-acp", "acp", "first", {"agent": "copilot"}),
    ("gemini-acp", "acp", "first", {"agent": "gemini"}),
    ("opencode-acp", "acp", "first", {"agent": "opencode"}),
    ("qwen", "qwen", "control_deny", {}),
    ("qwen-acp", "acp", "first", {"agent": "qwen"}),
]


def asked(folder, executor, case, options):
    """Return the first request in a capture, and where its paths lead."""
    seen = replay(ExecutorRegistry().get(executor), written(folder, case), run=a_run(**options))
    request = seen.of(PermissionRequested)[0]
    places = Places(folder="/tmp/demo-repo")
    names = (*paths_in(request.arguments), places.folder)
    real = {one: posixpath.normpath(places.below(one)) for one in names}
    return ToolCall(request.tool, request.fingerprint, request.arguments), replace(places, real=real)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda one: one[0])
def test_a_request_to_write_a_file(recorded):
    call, places = asked(*recorded)
    for rules, verdict in (
        (PermissionRules(allow=(f"{call.tool}(hello.txt)",)), Ruling.ALLOWED),
        (PermissionRules(allow=(f"{call.tool}(*)",)), Ruling.ALLOWED),
        (PermissionRules(allow=(f"{call.tool}(src/*)",)), Ruling.ASKED),
        (PermissionRules(allow=("*",), deny=("Edit(hello.*)",)), Ruling.REFUSED),
        (PermissionRules(allow=("*",), deny=("Edit(src/*)", "Bash(rm *)", "Read(.env)")), Ruling.ALLOWED),
    ):
        assert judge(rules, call, places).verdict is verdict


def test_a_request_to_run_a_command():
    call, places = asked("codex-app-server", "codex", "first", {})
    for rules, verdict in (
        (PermissionRules(allow=("shell(printf *)",)), Ruling.ASKED),  # it writes a file
        (PermissionRules(allow=("shell",)), Ruling.ALLOWED),
        (PermissionRules(allow=("*",), deny=("Bash(printf:*)",)), Ruling.REFUSED),
        (PermissionRules(allow=("*",), deny=("Edit(hello.txt)",)), Ruling.REFUSED),
    ):
        assert judge(rules, call, places).verdict is verdict
