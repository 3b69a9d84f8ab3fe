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
    assert call_aura("agent", "show", added["id"][:24], "--json").objects == [tester]
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
