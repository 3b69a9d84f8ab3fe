"""``aura replay``: states by folding, now and then, and what changed in between."""

import pytest

from command_line import call_aura


def replay(store: str, *words: object) -> list[dict]:
    answer = call_aura("replay", "--json", "--store", store, *words)
    assert answer.code == 0, answer.err
    return answer.objects


def test_everything_is_listed_with_its_state(store, tasks):
    rows = replay(store)
    assert {row["aggregate"] for row in rows} == {"agent", "task", "approval", "ledger"}
    whole = next(row for row in rows if row["id"] == tasks[0])
    assert whole["status"] == whole["state"]["status"] == "completed"
    assert whole["state"]["subtask_ids"] == tasks[1:]


def test_everything_as_of_a_position(store, tasks):
    assert replay(store, "--at", 0) == []
    then = {row["id"]: row["status"] for row in replay(store, "--at", 19)}
    assert then[tasks[1]] == "awaiting_approval"
    assert then[tasks[2]] == "pending"


def test_everything_as_of_a_time(store):
    events = call_aura("events", "--json", "--store", store).objects
    then = replay(store, "--at", events[18]["time"])
    assert then == replay(store, "--at", 19)


def test_a_task_comes_with_its_history(store, tasks):
    (task,) = replay(store, "--task", tasks[1])
    assert task["state"]["title"] == "Write the search"
    types = [line["type"] for line in task["history"]]
    assert types[0] == "task.created"
    assert types[-1] == "task.completed"
    assert {"field": "status", "before": "awaiting_approval", "after": "rejected"} in task["history"][3]["changes"]


def test_people_read_the_history_in_lines(store, tasks):
    out = call_aura("replay", "--store", store, "--task", tasks[1]).out
    assert out.startswith(f"task {tasks[1]} completed\n")
    assert "task.rejected  awaiting_approval → rejected" in out


def test_a_task_as_of_then_has_no_later_history(store, tasks):
    (task,) = replay(store, "--task", tasks[1], "--at", 19)
    assert task["status"] == "awaiting_approval"
    assert task["history"][-1]["type"] == "task.proposal_submitted"


def test_a_task_that_did_not_exist_yet(store, tasks):
    (task,) = replay(store, "--task", tasks[1], "--at", 5)
    assert (task["status"], task["state"], task["history"]) == (None, None, [])
    assert "did not exist yet" in call_aura("replay", "--store", store, "--task", tasks[1], "--at", 5).out


def test_several_tasks_are_several_objects(store, tasks):
    assert [row["id"] for row in replay(store, "--task", tasks[2], "--task", tasks[0])] == [tasks[2], tasks[0]]


def test_any_aggregate_is_replayed_by_its_stream(store):
    (ledger,) = replay(store, "--stream", "00000000")
    assert (ledger["aggregate"], ledger["state"]["checkpoints"]) == ("ledger", 1)


def test_a_date_alone_is_its_first_instant_in_utc(store):
    day = call_aura("events", "--json", "--store", store).objects[0]["time"][:10]
    assert replay(store, "--at", day) == replay(store, "--at", f"{day}T00:00:00Z") == []
    assert replay(store, "--at", "2999-12-31") == replay(store)
    usage = ("usage", "--json", "--store", store, "--since")
    assert call_aura(*usage, day).out == call_aura(*usage, f"{day}T00:00:00Z").out


def test_what_changed_between_two_moments(store, tasks):
    changed = replay(store, "--diff", 24, "--at", 31)
    task = next(row for row in changed if row["id"] == tasks[1])
    fields = {change["field"]: (change["before"], change["after"]) for change in task["changes"]}
    assert fields["status"] == ("in_progress", "approved")
    assert fields["feedback"] == ("There are 80,000 recipes: search on the server", None)
    assert tasks[2] not in {row["id"] for row in changed}


def test_what_changed_in_one_task(store, tasks):
    (task,) = replay(store, "--task", tasks[1], "--diff", 24)
    assert (task["id"], task["status"]) == (tasks[1], "completed")
    assert replay(store, "--task", tasks[1], "--diff", 33) == []


def test_what_was_created_in_between_changed_from_nothing(store, tasks):
    created = next(row for row in replay(store, "--diff", 0) if row["id"] == tasks[0])
    assert {"field": "status", "before": None, "after": "completed"} in created["changes"]


@pytest.mark.parametrize("option", ["--at", "--diff"])
def test_a_position_behind_the_end_is_refused(store, option):
    answer = call_aura("replay", option, 1000, "--json", "--store", store)
    assert (answer.code, answer.out) == (1, "")
    assert "position 1000 is past the end of the log at 54" in answer.error["message"]
