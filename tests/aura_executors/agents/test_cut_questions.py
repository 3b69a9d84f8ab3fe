"""Questions about more files than are shown: said, so that no rule and no human decides on a part of them."""

from aura_contracts.first_use import convert
from aura_contracts.permission import is_cut
from aura_executors.agents.acp.tool_calls import CHANGES_LIMIT as ACP_LIMIT
from aura_executors.agents.acp.tool_calls import Calls
from aura_executors.agents.acp.tool_calls import diff_of as acp_diff_of
from aura_executors.agents.acp.wire import CallFields
from aura_executors.agents.claude.edits import EDITS_LIMIT
from aura_executors.agents.claude.edits import diff_of as claude_diff_of
from aura_executors.agents.codex.items import CHANGES_LIMIT, FileUpdateChange, changes_as_arguments, diff_of

FORGED = "a\n+++ b/harmless\n@@ -1 +1 @@"
"""A file's name that would look like lines of a diff."""


def change(path):
    return convert({"path": path, "kind": {"type": "update"}, "diff": "@@ -1 +1 @@\n-a\n+b\n"}, FileUpdateChange)


def test_codex():
    many = [change(f"src/{number}") for number in range(CHANGES_LIMIT)]
    assert not is_cut({"changes": changes_as_arguments(many)})
    assert is_cut({"changes": changes_as_arguments([*many, change("/etc/x")])})
    assert "left out" in diff_of([*many, change("/etc/x")])
    assert diff_of([change(FORGED)]).splitlines()[2] == "@@ -1 +1 @@"


def test_agents_by_acp():
    for more in (0, 1):
        places = [{"path": f"src/{number}"} for number in range(ACP_LIMIT + more)]
        call = Calls().known(convert({"toolCallId": "1", "title": "Edit", "locations": places}, CallFields))
        assert is_cut(call.arguments) is bool(more)
    assert acp_diff_of(FORGED, "a", "b").splitlines()[2].startswith("@@")
    assert acp_diff_of(FORGED, None, "b").splitlines()[2].startswith("@@")


def test_claude():
    edits = [{"old_string": "a", "new_string": "b"}] * EDITS_LIMIT
    assert "left out" not in claude_diff_of({"file_path": "a", "edits": edits})
    assert "left out" in claude_diff_of({"file_path": "a", "edits": [*edits, *edits[:1]]})
    assert claude_diff_of({"file_path": FORGED, "edits": edits}).splitlines()[2].startswith("@@")
