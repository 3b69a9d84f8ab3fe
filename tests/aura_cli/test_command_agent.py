"""``aura agent``: the pool."""

from command_line import call_aura


def test_an_agent_is_added_listed_and_shown(place):
    words = ("--executor", "custom", "--type", "tester", "--option", 'params=["-c"]', "--capability", "python")
    (added,) = call_aura("agent", "add", "Tess", *words, "--json").objects
    assert (added["status"], added["name"], added["options"]) == ("idle", "Tess", {"params": ["-c"]})
    assert call_aura("agent", "add", "Ada", "--executor", "scripted").out.endswith(" is idle: Ada\n")
    listed = call_aura("agent", "list", "--json").objects
    assert [(row["name"], row["type"]) for row in listed] == [("Tess", "tester"), ("Ada", "developer")]
    (tester,) = call_aura("agent", "list", "--type", "tester", "--json").objects
    (shown,) = call_aura("agent", "show", added["id"][:24], "--json").objects
    assert shown.pop("record")["acceptance"]["decided"] == 0
    assert shown == tester
    assert "registered_by  human:alice" in call_aura("agent", "show", added["id"]).out


def test_a_disabled_agent_gets_no_task(place):
    agent_id = call_aura("agent", "add", "Ada", "--executor", "custom", "--json").objects[0]["id"]
    (disabled,) = call_aura("agent", "disable", agent_id, "--reason", "on leave", "--json").objects
    assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "on leave")
    task_id = call_aura("task", "create", "Say more", "--json").objects[0]["id"]
    answer = call_aura("task", "assign", task_id, "--agent", agent_id, "--outside", "--json")
    assert answer.code == 1
    assert call_aura("agent", "enable", agent_id).code == 0
    assert call_aura("task", "assign", task_id, "--agent", agent_id, "--outside").code == 0
    assert [row["status"] for row in call_aura("agent", "list", "--json").objects] == ["working"]
    refused = call_aura("agent", "disable", agent_id, "--json")
    assert (refused.code, refused.error["code"]) == (1, "rule_violated")
    assert refused.error["remedy"]
    assert call_aura("agent", "disable", agent_id, "--drop-task").code == 0


def test_an_agent_keeps_no_secret(place):
    answer = call_aura("agent", "add", "Ada", "--executor", "custom", "--option", "token=hunter2", "--json")
    assert (answer.code, answer.error["code"]) == (1, "invalid_input")


def test_without_a_store_there_is_no_pool(place):
    assert call_aura("agent", "list", "--json").error["code"] == "store_misconfigured"


def test_an_agent_is_edited(place):
    words = ("--executor", "custom", "--option", 'params=["-c"]', "--capability", "python", "--json")
    (added,) = call_aura("agent", "add", "Tess", *words).objects
    changes = ("--name", "Ada", "--type", "reviewer", "--option", "base_command=sh")
    (edited,) = call_aura("agent", "edit", added["id"], *changes, "--json").objects
    changed = {"name": "Ada", "type": "reviewer", "options": {"base_command": "sh"}}
    assert {name: value for name, value in edited.items() if value != added[name]}.keys() == {*changed, "updated_at"}
    assert edited | changed == edited
    refused = call_aura("agent", "edit", added["id"], "--option", "nonsense=1", "--json")
    assert (refused.code, refused.error["code"]) == (1, "invalid_input")


REVIEWER = """\
---
name: reviewer
description: Use it to review: it is strict
tools: Read
color: red
---
You review.
"""


def test_agents_of_claude_code_are_imported_and_edited_by_a_second_import(place, tmp_path):
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "reviewer.md").write_text(REVIEWER)
    answer = call_aura("agent", "import", str(folder), "--executor", "scripted", "--json")
    (added,) = answer.objects
    assert (added["name"], added["type"], added["prompt"]) == ("reviewer", "reviewer", "You review.")
    assert added["added"] is True
    assert (added["permissions"]["allow"], "Bash" in added["permissions"]["deny"]) == (["Read"], True)
    assert added["notes"] == ["color is left out: AURA does not know it"]
    (folder / "reviewer.md").write_text(REVIEWER.replace("You review.", "You review all."))
    (edited,) = call_aura("agent", "import", str(folder), "--json").objects
    assert (edited["id"], edited["executor"], edited["added"]) == (added["id"], "scripted", False)
    assert call_aura("agent", "show", added["id"], "--json").objects[0]["prompt"] == "You review all."


def test_tools_are_left_out_where_no_one_is_asked(place, tmp_path):
    (tmp_path / "reviewer.md").write_text(REVIEWER)
    (added,) = call_aura("agent", "import", str(tmp_path / "reviewer.md"), "--executor", "custom", "--json").objects
    assert added["permissions"] == {"allow": [], "deny": []}
    assert "tools are left out: executor custom asks for no permission" in added["notes"]


def test_denied_tools_are_not_left_out_where_no_one_is_asked(place, tmp_path):
    (tmp_path / "ada.md").write_text("---\nname: ada\ndisallowedTools: Bash\n---\n")
    refused = call_aura("agent", "import", str(tmp_path / "ada.md"), "--executor", "custom", "--json")
    assert (refused.code, refused.error["code"]) == (1, "agent_files_refused")
    assert call_aura("agent", "list", "--json").objects == []
    (added,) = call_aura("agent", "import", str(tmp_path / "ada.md"), "--executor", "scripted", "--json").objects
    assert added["permissions"] == {"allow": [], "deny": ["Bash"]}


def test_of_files_with_a_fault_none_is_imported(place, tmp_path):
    (tmp_path / "a.md").write_text(REVIEWER)
    (tmp_path / "b.md").write_text("# Read me")
    refused = call_aura("agent", "import", str(tmp_path), "--executor", "scripted", "--json")
    assert (refused.code, refused.error["code"]) == (1, "agent_files_refused")
    (problem,) = refused.error["facts"]["problems"]
    assert problem[1:3] == [1, "front matter"] or (problem["line"], problem["field"]) == (1, "front matter")
    assert call_aura("agent", "list", "--json").objects == []


def test_a_task_that_waits_is_listed_with_its_place_and_the_reason(place):
    task_id = call_aura("task", "create", "Model the data", "--json").objects[0]["id"]
    words = ("--type", "database", "--capability", "sql", "--outside")
    assert call_aura("task", "assign", task_id, *words, "--json").objects[0]["status"] == "pending"
    (listed,) = call_aura("task", "list", "--json").objects
    assert listed["queue"]["place"] == 1
    assert "no agent of the pool is a database and can do sql" in listed["queue"]["reason"]
    assert "is number 1 in the queue" in call_aura("task", "list").err
    agent = ("agent", "add", "Dora", "--executor", "custom", "--type", "database", "--capability", "sql")
    assert call_aura(*agent).code == 0
    assert call_aura("task", "assign", task_id, *words).code == 0
    assert call_aura("task", "list", "--json").objects[0]["status"] == "in_progress"
