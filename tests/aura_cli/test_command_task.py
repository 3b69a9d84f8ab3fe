"""``aura task``: from a request to work, and what people do with tasks."""

import json

import pytest

from aura_cli.commands import task
from aura_contracts.board import CanonicalState
from aura_contracts.task import TaskStatus
from command_line import call_aura
from repositories import content


def create(title="Say more", *more):
    """Create a task and return its id."""
    answer = call_aura("task", "create", title, *more, "--json")
    assert answer.code == 0, answer.err
    return answer.objects[0]["id"]


def status_of(task_id):
    return call_aura("task", "show", task_id, "--json").objects[0]["status"]


def scripted(*steps):
    return ("--executor", "scripted", "--option", f"steps={json.dumps(steps)}")


WRITES = scripted({"print": "hello"}, {"write": {"path": "new.txt", "text": "more\n"}})
FAILS = scripted({"print": "oh"}, {"fail": {"exit_code": 3}})


def test_a_task_is_created_listed_and_shown(place):
    given = ("--context", "issue=7", "--context", "labels=[1]", "--context", "by=Eve")
    task_id = create("Say more", "--description", "please", "--priority", "high", "--reviewer", "bob", *given)
    other = create("Another")
    assert call_aura("task", "cancel", other).code == 0
    listed = call_aura("task", "list", "--json").objects
    assert [(row["id"], row["status"]) for row in listed] == [(task_id, "pending"), (other, "cancelled")]
    (pending,) = call_aura("task", "list", "--status", "pending", "--json").objects
    assert (pending["canonical_state"], pending["priority"], pending["reviewers"]) == ("backlog", "high", ["bob"])
    (shown,) = call_aura("task", "show", task_id[:24], "--json").objects
    assert shown["context"] == {"issue": 7, "labels": [1], "by": "Eve"}
    assert (shown["description"], shown["created_by"], shown["workspace"]) == ("please", "human:alice", None)
    text = call_aura("task", "show", task_id)
    assert f"task {task_id} pending (backlog)" in text.out
    assert f"aura replay --task {task_id}" in text.err
    assert "Say more" in call_aura("task", "list").out


def test_a_list_says_where_each_task_works(place):
    create("Say more", "--repo", ".")
    create("Think")
    header, works, thinks = call_aura("task", "list").out.splitlines()
    column = header.index("repository")
    assert works[column:].split(maxsplit=1) == [place.name, "Say more"]
    assert thinks[column:].split() == ["Think"]
    assert [row["repositories"] for row in call_aura("task", "list", "--json").objects] == [[str(place)], []]


def test_a_task_is_edited_and_deleted(place):
    task_id = create("Say more", "--description", "please")
    words = ("--title", "Say less", "--priority", "low", "--approval", "plan", "--reviewer", "bob")
    (edited,) = call_aura("task", "edit", task_id[:24], *words, "--json").objects
    assert (edited["title"], edited["priority"], edited["approval_mode"]) == ("Say less", "low", "plan")
    assert (edited["description"], edited["reviewers"]) == ("please", ["bob"])
    assert call_aura("task", "edit", task_id, "--title", " ", "--json").error["code"] == "rule_violated"
    deleted = call_aura("task", "delete", task_id, "--reason", "a mistake")
    assert (deleted.code, deleted.out) == (0, f"task {task_id} is deleted: Say less\n")
    assert call_aura("task", "list", "--json").objects == []
    assert [row["id"] for row in call_aura("task", "list", "--status", "deleted", "--json").objects] == [task_id]
    (last,) = call_aura("events", "--task", task_id, "--type", "task.deleted", "--json").objects
    assert last["fields"]["reason"] == "a mistake"
    assert call_aura("task", "edit", task_id, "--title", "Again", "--json").code == 1


def test_the_locks_of_a_task_are_edited_and_removed(place):
    task_id = create("Say more", "--lock", "deploy")
    locks = ("--lock", "staging", "--lock", "docs", "--lock-path", "src/*", "--on-collision", "ask")
    (edited,) = call_aura("task", "edit", task_id, *locks, "--json").objects
    assert (edited["locks"], edited["locked_paths"]) == (["staging", "docs"], ["src/*"])
    assert edited["on_collision"] == "ask"
    (edited,) = call_aura("task", "edit", task_id, "--no-locks", "--json").objects
    assert (edited["locks"], edited["locked_paths"], edited["on_collision"]) == ([], [], "ask")
    both = call_aura("task", "edit", task_id, "--no-locks", "--lock", "deploy", "--json").error
    assert (both["code"], both["facts"]["field"]) == ("invalid_input", "--no-locks")
    assert call_aura("task", "edit", task_id, "--lock", " ", "--json").error["code"] == "rule_violated"


def test_an_id_that_begins_nothing_is_an_error(place):
    create()
    answer = call_aura("task", "show", "ffff", "--json")
    assert (answer.code, answer.out, answer.error["code"]) == (1, "", "not_found")


@pytest.mark.deep
def test_assigning_streams_the_work_and_stops_where_a_human_is_asked(place):
    task_id = create()
    answer = call_aura("task", "assign", task_id, *WRITES)
    assert answer.code == 0, answer.err
    assert "[stdout] hello" in answer.out
    assert "[aura] process exited with 0" in answer.out
    assert "aura approval approve " in answer.out
    (shown,) = call_aura("task", "show", task_id, "--json").objects
    assert (shown["status"], shown["approval"]["status"]) == ("awaiting_approval", "pending")
    assert shown["workspace"]["repositories"][0]["path"] == str(place), "where it was called"
    approved = call_aura("approval", "approve", shown["approval_id"])
    assert approved.code == 0, approved.err
    assert status_of(task_id) == "completed"
    assert content(place, "main", "new.txt") == "more"


def test_the_parameters_of_a_command_may_look_like_options(place):
    answer = call_aura(
        "task", "assign", create("Say", "--approval", "auto"), "--executor", "custom", "--base-command", "sh",
        "--param", "-c", "--param", "echo out; echo err >&2", "--json",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    said = [(one["stream"], one["text"]) for one in answer.objects if one["kind"] == "output"]
    assert sorted(said) == [("stderr", "err"), ("stdout", "out")]


@pytest.mark.deep
def test_a_failed_task_is_tried_again(place):
    task_id = create("Fail", "--attempts", "1", "--repo", ".")
    failed = call_aura("task", "assign", task_id, *FAILS)
    assert failed.code == 3, "the agent's own"
    assert f"aura task retry {task_id}" in failed.err
    again = call_aura("task", "retry", task_id)
    assert again.code == 3
    assert again.out.count("process exited with 3") == 1, "only what is new is told"
    assert status_of(task_id) == "failed"
    moved = call_aura("task", "move", task_id, "running", "--no-wait")
    assert moved.out == f"task {task_id} is in_progress: Fail\n"
    assert call_aura("task", "cancel", task_id).code == 0
    assert call_aura("doctor", "--quiet").code == 0, "nothing was left behind"


def test_a_repository_is_named_once(place, tmp_path):
    task_id = create("Say", "--repo", place)
    answer = call_aura("task", "assign", task_id, "--executor", "custom", "--repo", tmp_path, "--json")
    assert (answer.code, answer.error["code"]) == (1, "invalid_input")
    assert answer.error["remedy"]


def test_secrets_are_refused(place):
    answer = call_aura("task", "assign", create(), "--executor", "custom", "--option", "api_key=hunter2", "--json")
    assert (answer.code, answer.error["code"]) == (1, "invalid_input")
    assert "hunter2" not in answer.err


@pytest.mark.deep
def test_only_recorded_it_waits_for_somebody_who_drives_it(place):
    task_id = create("Say", "--approval", "auto")
    answer = call_aura("task", "assign", task_id, *WRITES, "--no-wait")
    assert answer.out == f"task {task_id} is in_progress: Say\n"
    assert call_aura("doctor").code == 1
    assert call_aura("doctor", "--fix").code == 1, "it starts no agent"
    assert status_of(task_id) == "in_progress"
    assert call_aura("task", "resume", task_id).code == 0
    assert status_of(task_id) == "completed"
    assert content(place, "main", "new.txt") == "more"


# --- Follow-up --------------------------------------------------------------------------------------------------------


def test_a_follow_up_needs_work_in_review(place):
    answer = call_aura("task", "follow-up", create(), "--feedback", "louder", "--json")
    assert (answer.code, answer.error["code"]) == (1, "invalid_input")
    assert answer.error["remedy"]


@pytest.mark.deep
def test_a_follow_up_is_an_answer_to_who_asks(place):
    task_id = create()
    rounds = [[{"write": {"path": "new.txt", "text": "more\n"}}], [{"write": {"path": "new.txt", "text": "MORE\n"}}]]
    words = ("--executor", "scripted", "--option", f"rounds={json.dumps(rounds)}")
    assert call_aura("task", "assign", task_id, *words).code == 0
    answer = call_aura("task", "follow-up", task_id, "--feedback", "louder", "--review")
    assert answer.code == 0, answer.err
    assert "+MORE" in answer.out
    first, second = call_aura("approval", "list", "--all", "--json").objects
    assert (first["status"], first["feedback"], second["status"]) == ("needs_changes", "louder", "pending")


# --- Decompose --------------------------------------------------------------------------------------------------------


def test_an_approved_decomposition_makes_the_subtasks(place):
    task_id = create("Whole", "--reviewer", "bob")
    refused = call_aura("task", "decompose", task_id, "--subtask", "One", "--json")
    assert (refused.code, refused.error["code"]) == (1, "rule_violated")
    assert "--outside" in refused.error["remedy"]
    assert call_aura("task", "assign", task_id, "--executor", "custom", "--outside").code == 0
    answer = call_aura("task", "decompose", task_id, "--subtask", "One", "--subtask", "Two")
    assert answer.code == 0, answer.err
    (asked,) = call_aura("approval", "list", "--json").objects
    assert (asked["kind"], asked["proposed_solution"]) == (
        "decomposition",
        "1. One\n   priority medium\n2. Two\n   priority medium",
    )
    assert call_aura("approval", "approve", asked["id"]).code == 0
    tasks = call_aura("task", "list", "--json").objects
    assert [(row["title"], row["status"]) for row in tasks] == [
        ("Whole", "approved"),
        ("One", "pending"),
        ("Two", "pending"),
    ]
    assert {row["parent_id"] for row in tasks[1:]} == {task_id}
    assert tasks[1]["reviewers"] == ["alice", "bob"]
    assert [row["status"] for row in call_aura("agent", "list", "--json").objects] == ["idle"]


@pytest.mark.deep
def test_whoever_approves_a_plan_sees_its_parts_through(place):
    steps = ("--executor", "scripted", "--option", 'steps=[{"write": {"path": "a", "text": "x"}}]')
    assert call_aura("agent", "add", "dev", *steps).code == 0
    task_id = create("Whole", "--repo", ".", "--approval", "auto")
    named = {"subtasks": [{"id": "one", "title": "One"}, {"id": "two", "title": "Two", "agent_type": "designer"}]}
    assert call_aura("task", "decompose", task_id, *scripted({"say": json.dumps(named)})).code == 0
    answer = call_aura("approval", "approve", task_id)
    assert answer.code == 0, answer.err
    assert "(One) is completed" in answer.err
    assert "(Two) is pending: no agent of the pool is a designer; add one: aura agent add" in answer.err
    assert content(place, "main", "a") == "x"


def test_a_rejected_decomposition_leaves_the_task_to_its_agent(place):
    task_id = create("Whole")
    assert call_aura("task", "assign", task_id, "--executor", "custom", "--outside").code == 0
    assert call_aura("task", "decompose", task_id, "--subtask", "One").code == 0
    assert call_aura("approval", "reject", "--feedback", "finer").code == 0
    (shown,) = call_aura("task", "show", task_id, "--json").objects
    assert (shown["status"], shown["feedback"]) == ("in_progress", "finer")
    assert len(call_aura("task", "list", "--json").objects) == 1


def test_what_a_policy_has_answered_is_said(place):
    task_id = create("Whole")
    assert call_aura("task", "assign", task_id, "--executor", "custom", "--outside").code == 0
    policies = place.parent / "home" / "policies.yaml"
    policies.parent.mkdir(exist_ok=True)
    policies.write_text("rules: [{reject: plans, when: always, because: not today}]")
    for words in (("submit", task_id, "--proposal", "I do it"), ("decompose", task_id, "--subtask", "One")):
        answer = call_aura("task", *words)
        assert answer.code == 0, answer.err
        assert "rejected by system:policy: not today" in answer.err
        assert "is pending" not in answer.out + answer.err
    policies.write_text("rules: [{approve: plans, when: always}]")
    assert "approved by system:policy" in call_aura("task", "decompose", task_id, "--subtask", "One").err
    assert [row["title"] for row in call_aura("task", "list", "--json").objects] == ["Whole", "One"]


# --- Complete ---------------------------------------------------------------------------------------------------------


def outside(*words):
    """Return the id of a task that an agent outside AURA works on."""
    task_id = create("Rotate the keys", *words)
    assert call_aura("task", "assign", task_id, "--executor", "custom", "--outside").code == 0
    return task_id


def test_an_agent_outside_completes_what_was_approved_and_is_released(place):
    task_id = outside("--approval", "plan")
    early = call_aura("task", "complete", task_id, "--json")
    assert (early.code, early.error["code"]) == (1, "rule_violated")
    assert call_aura("task", "submit", task_id, "--proposal", "I replace them").code == 0
    assert call_aura("task", "complete", task_id).code == 1, "no one has approved it"
    assert call_aura("approval", "approve", task_id).code == 0
    answer = call_aura("task", "complete", task_id, "--result", "keys=3", "--result", "by=hand", "--json")
    (done,) = answer.objects
    assert (answer.code, done["status"], done["result"]) == (0, "completed", {"keys": 3, "by": "hand"})
    assert [row["status"] for row in call_aura("agent", "list", "--json").objects] == ["idle"]
    again = call_aura("task", "complete", task_id, "--json")
    assert (again.code, again.error["code"]) == (1, "wrong_state")


def test_a_task_without_approval_is_completed_at_once_by_whom_it_concerns(place, monkeypatch):
    task_id = outside("--approval", "auto")
    refused = call_aura("task", "complete", task_id, "--json", AURA_USER="mallory")
    assert (refused.code, refused.error["code"]) == (1, "not_allowed")
    assert call_aura("task", "complete", task_id, "--result", "keys").code == 2, "no KEY=VALUE"
    assert "is completed" in call_aura("task", "complete", task_id).out


@pytest.mark.deep
def test_what_an_agent_of_aura_works_on_is_not_completed_by_hand(place):
    task_id = create("Go", "--repo", place)
    assert call_aura("task", "assign", task_id, *scripted({"write": {"path": "a", "text": "x"}})).code == 0
    refused = call_aura("task", "complete", task_id, "--json")
    assert (refused.code, refused.error["code"]) == (1, "rule_violated")
    assert f"aura task cancel {task_id}" in refused.error["remedy"]


# --- Move -------------------------------------------------------------------------------------------------------------


def canonical(task_id):
    return call_aura("task", "show", task_id, "--json").objects[0]["canonical_state"]


def test_a_task_is_moved_between_backlog_and_ready(place):
    task_id = create()
    for state in ("ready", "ready", "backlog", "cancelled"):
        assert call_aura("task", "move", task_id, state).code == 0
        assert canonical(task_id) == state


def test_a_task_is_blocked_unblocked_and_given_back(place):
    task_id = create()
    assert call_aura("task", "assign", task_id, "--executor", "custom", "--outside").code == 0
    assert call_aura("task", "move", task_id, "blocked").code == 1, "without a reason"
    for words, state in (
        (("blocked", "--reason", "no key"), "blocked"),
        (("running",), "running"),
        (("ready",), "ready"),
    ):
        assert call_aura("task", "move", task_id, *words).code == 0
        assert canonical(task_id) == state
    assert [row["status"] for row in call_aura("agent", "list", "--json").objects] == ["idle"]


@pytest.mark.parametrize(("state", "remedy"), [("running", "aura task assign"), ("done", "ready, running, cancelled")])
def test_what_is_no_matter_of_the_board_is_refused(place, state, remedy):
    answer = call_aura("task", "move", create(), state, "--json")
    assert (answer.code, answer.error["code"]) == (1, "rule_violated")
    assert remedy in answer.error["remedy"]


@pytest.mark.deep
def test_nobody_decides_by_moving(place):
    task_id = create()
    assert call_aura("task", "assign", task_id, *WRITES).code == 0
    answer = call_aura("task", "move", task_id, "running", "--json")
    assert (answer.code, answer.error["code"]) == (1, "rule_violated")
    assert "aura approval reject" in answer.error["remedy"]
    assert call_aura("task", "move", task_id, "cancelled").code == 0
    assert status_of(task_id) == "cancelled"
    assert call_aura("approval", "list", "--json").objects == []


def test_the_words_of_the_arguments_are_those_of_the_domain():
    """They are written out, because importing them would slow ``--help`` down."""
    assert tuple(TaskStatus) == task._STATUSES
    assert tuple(CanonicalState) == task._STATES


def test_a_task_becomes_a_part_of_another_and_the_newest_are_listed(place):
    whole, part = (call_aura("task", "create", title, "--json").objects[0]["id"] for title in ("Whole", "Part"))
    (moved,) = call_aura("task", "edit", part, "--parent", whole, "--title", "A part", "--json").objects
    assert (moved["parent_id"], moved["title"]) == (whole, "A part")
    assert call_aura("task", "edit", whole, "--parent", part, "--json").error["code"] == "cyclic_parent"
    assert call_aura("task", "edit", part, "--no-parent", "--json").objects[0]["parent_id"] is None
    assert [row["id"] for row in call_aura("task", "list", "--limit", "1", "--json").objects] == [part]
    assert [row["id"] for row in call_aura("task", "list", "--limit", "5", "--json").objects] == [whole, part]


@pytest.mark.deep
def test_a_task_says_that_it_waits_because_of_its_parts(place):
    whole = create("Whole")
    parts = [create(title, "--parent", whole, "--approval", "auto", "--attempts", "1") for title in ("One", "Two")]
    assert call_aura("task", "show", whole, "--json").objects[0]["held_up"] == []
    assert call_aura("task", "assign", parts[0], "--repo", ".", *FAILS).code == 3
    failed = f"part {parts[0]} (One) has failed: it waits until that is retried and completes, or is cancelled"
    assert failed in call_aura("task", "show", whole).out.splitlines()
    assert call_aura("task", "edit", whole, "--on-part-failure", "ignore").code == 0
    assert call_aura("task", "show", whole, "--json").objects[0]["held_up"] == []
    assert call_aura("task", "cancel", parts[1]).code == 0
    none = "none of its parts has completed: it waits until you add another one, assign it, or cancel it"
    assert call_aura("task", "show", whole, "--json").objects[0]["held_up"] == [none]
    assert none in call_aura("task", "show", whole).out.splitlines()


def test_the_executions_of_a_task_are_listed(place):
    words = ("--executor", "custom", "--base-command", "true", "--prompt", "Do nothing", "--json")
    assert call_aura("run", *words).code == 0
    (task,) = call_aura("task", "list", "--json").objects
    (run,) = call_aura("task", "executions", task["id"], "--json").objects
    assert (run["task_id"], run["executor"], run["prompt"]) == (task["id"], "custom", "Do nothing")
    assert call_aura("task", "create", "Another", "--json").code == 0
    other = call_aura("task", "list", "--limit", "1", "--json").objects[0]["id"]
    assert call_aura("task", "executions", other).out.count("custom") == 0
