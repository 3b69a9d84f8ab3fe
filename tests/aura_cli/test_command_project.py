"""``aura project``: projects, and what belongs to them."""

import pytest

from command_line import call_aura
from repositories import make_repository


@pytest.fixture
def shop(place, tmp_path):
    return make_repository(tmp_path / "shop", {"CLAUDE.md": "Use tabs.\n", "docs/a.md": "# A\n"})


def test_a_project_is_added_listed_shown_edited_and_removed(place, shop):
    words = ("--repo", str(shop), "--document", "CLAUDE.md", "--document", "docs/*.md", "--type", "tester")
    (added,) = call_aura("project", "add", "shop", *words, "--json").objects
    assert (added["status"], added["name"], added["agent_type"]) == ("active", "shop", "tester")
    assert (added["repositories"], added["documents"]) == ([str(shop)], ["CLAUDE.md", "docs/*.md"])
    assert call_aura("project", "list", "--json").objects == [added]
    assert call_aura("project", "show", "shop", "--json").objects == [added]
    assert call_aura("project", "show", added["id"][:13], "--json").objects == [added]
    assert "created_by     human:alice" in call_aura("project", "show", "shop").out
    (edited,) = call_aura("project", "edit", "shop", "--document", "docs/a.md", "--type", "", "--json").objects
    assert (edited["documents"], edited["agent_type"]) == (["docs/a.md"], "")
    (edited,) = call_aura("project", "edit", "shop", "--no-documents", "--no-repos", "--json").objects
    assert (edited["documents"], edited["repositories"]) == ([], [])
    for word, sampled in (("--sample-agents", True), ("--no-sample-agents", False)):
        (edited,) = call_aura("project", "edit", "shop", word, "--json").objects
        assert edited["sample_agents"] is sampled
    assert call_aura("project", "remove", "shop", "--reason", "sold").out.startswith("project shop is removed: ")
    assert call_aura("project", "list", "--json").objects == []
    assert [row["status"] for row in call_aura("project", "list", "--all", "--json").objects] == ["removed"]


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("add", "shop"), "name_taken", "there is a project named shop already"),
        (("add", "web", "--repo", "gone"), "not_a_repository", "gone"),
        (("add", "web", "--document", "../a.md"), "invalid_input", "leads out of the repository"),
        (("edit", "shop", "--document", "gone.md"), "invalid_input", "there is no such file"),
        (("show", "web"), "not_found", "web"),
        (("remove", "web"), "not_found", "web"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_code(place, shop, words, code, says):
    assert call_aura("project", "add", "shop", "--repo", str(shop)).code == 0
    answer = call_aura("project", *words, "--json")
    assert (answer.code, answer.error["code"]) == (1, code)
    assert says in answer.error["message"]


@pytest.mark.deep
def test_tasks_and_approvals_are_listed_by_project(place, shop):
    assert call_aura("project", "add", "shop", "--repo", str(shop), "--document", "CLAUDE.md").code == 0
    assert call_aura("project", "add", "web").code == 0
    (task,) = call_aura("task", "create", "Fix it", "--repo", str(shop), "--json").objects
    assert (task["project"], task["project_reason"]) == ("shop", f"it works on {shop}")
    assert call_aura("task", "create", "Draw it", "--project", "web").code == 0
    assert [row["title"] for row in call_aura("task", "list", "--project", "web", "--json").objects] == ["Draw it"]
    agent = ("--executor", "custom", "--base-command", "sh", "--param", "-c", "--param", 'echo "$AURA_PROMPT" > told')
    told = call_aura("run", *agent, "--prompt", "Fix it", "--cwd", str(shop), "--no-tui")
    assert told.code == 0
    assert len(call_aura("approval", "list", "--project", "shop", "--json").objects) == 1
    assert call_aura("approval", "list", "--project", "web", "--json").objects == []
    diff = call_aura("approval", "show", "--diff").out
    assert "+Use tabs." in diff
    refused = call_aura("run", *agent, "--prompt", "Fix it", "--cwd", str(shop), "--project", "wbe")
    assert refused.code == 1
    assert "did you mean web?" in refused.err
