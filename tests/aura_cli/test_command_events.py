"""``aura events``: which events are listed, and what is said of them."""

import pytest

from command_line import call_aura, running_aura


def events(store: str, *words: object) -> list[dict]:
    answer = call_aura("events", "--json", "--store", store, *words)
    assert answer.code == 0, answer.err
    return answer.objects


def test_all_events_are_listed_in_their_order(store):
    listed = events(store)
    assert [each["position"] for each in listed] == list(range(1, len(listed) + 1))
    first = listed[0]
    assert first["kind"] == "event"
    assert first["id"] == f"{first['stream_id']}:1"
    assert (first["type"], first["aggregate"], first["actor"]) == ("agent.registered", "agent", "human:alice")
    assert first["fields"]["spec"]["name"] == "Ada"
    assert first["time"].endswith("Z")


def test_people_get_a_line_for_each_event(store):
    answer = call_aura("events", "--store", store)
    lines = answer.out.splitlines()
    assert len(lines) == len(events(store))
    assert lines[0].startswith("#1  ")
    assert "agent.registered" in lines[0]
    assert answer.err == f"{len(lines)} events\n"


def test_since_lists_what_came_after(store):
    assert [each["position"] for each in events(store, "--since", 50)] == [51, 52, 53, 54]
    assert call_aura("events", "--since", 10**6, "--store", store).err == "0 events\n"


def test_since_a_time_or_a_date_lists_what_was_recorded_from_then_on(store):
    everything = events(store)
    assert events(store, "--since", everything[49]["time"]) == everything[49:]
    assert events(store, "--since", everything[0]["time"][:10]) == everything
    assert events(store, "--since", "2999-12-31") == []


def test_a_type_is_a_topic_or_an_aggregate(store):
    everything = events(store)
    assert events(store, "--type", "approval.expired") == [e for e in everything if e["type"] == "approval.expired"]
    assert events(store, "--type", "approval") == [e for e in everything if e["aggregate"] == "approval"]
    both = events(store, "--type", "task.created", "--type", "ledger")
    assert {each["type"] for each in both} == {"task.created", "ledger.checkpointed"}


def test_an_unknown_type_is_refused(store):
    answer = call_aura("events", "--json", "--type", "tusk", "--store", store)
    assert (answer.code, answer.error["code"]) == (1, "invalid_input")
    assert "approval" in answer.error["remedy"]


def test_what_concerns_a_task_is_more_than_its_own_events(store, tasks):
    concerned = events(store, "--task", tasks[2])
    own = events(store, "--stream", tasks[2])
    assert {each["stream_id"] for each in own} == {tasks[2]}
    assert [each for each in concerned if each["stream_id"] == tasks[2]] == own
    types = [each["type"] for each in concerned]
    assert "approval.expired" in types  # does not name the task: its approval did when it was asked
    assert "agent.task_taken" in types
    assert "agent.registered" not in types
    assert len(concerned) == len({each["position"] for each in concerned})


def test_filters_narrow_one_another(store, tasks):
    found = events(store, "--task", tasks[2], "--type", "approval", "--since", 44)
    assert {each["aggregate"] for each in found} == {"approval"}
    assert all(each["position"] > 44 for each in found)
    assert found


def test_what_concerns_one_task_is_not_another_s(store, tasks):
    one, other = ({each["position"] for each in events(store, "--task", task)} for task in tasks[1:])
    assert not one & other


# --- Prefixes ---------------------------------------------------------------------------------------------------------


def unique_prefix(wanted: str, ids: list[str]) -> str:
    others = [each for each in ids if each != wanted]
    return next(wanted[:n] for n in range(1, 37) if not any(each.startswith(wanted[:n]) for each in others))


def test_an_id_may_be_shortened_to_any_unique_prefix(store, tasks):
    for task in tasks:
        prefix = unique_prefix(task, tasks)
        full = events(store, "--task", task)
        assert events(store, "--task", prefix) == full
        assert events(store, "--task", prefix.upper().replace("-", "")) == full
        assert events(store, "--task", task.upper()) == full


def test_an_ambiguous_prefix_lists_the_candidates(store, tasks):
    answer = call_aura("events", "--json", "--store", store, "--task", tasks[0][:4])
    assert (answer.code, answer.error["code"]) == (1, "ambiguous_id")
    assert answer.error["facts"]["candidates"] == tasks
    assert all(task in answer.error["message"] for task in tasks)


@pytest.mark.parametrize("text", ["", "-", "xyz", "01g", "0192f0c1-2d3e-7abc-8def-0123456789abc0", "%"])
def test_what_begins_no_id_is_refused(store, text):
    answer = call_aura("events", "--json", "--store", store, f"--stream={text}")
    assert answer.code == 1
    assert answer.error["code"] in ("invalid_id", "not_found")


@pytest.mark.parametrize("text", ["ffff", "ffffffff-0000-7000-8000-000000000000"])
def test_an_id_that_nothing_has_is_not_found(store, text):
    answer = call_aura("events", "--json", "--store", store, "--task", text)
    assert (answer.code, answer.error["code"]) == (1, "not_found")


def test_an_id_of_another_kind_is_not_a_task(store):
    agent = events(store)[0]["stream_id"]
    answer = call_aura("events", "--store", store, "--task", agent)
    assert answer.code == 1
    assert f"there is no task {agent}" in answer.err


def test_following_ends_with_its_reader(store):
    with running_aura("events", "--follow", "--store", store) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("#1 ")
        process.stdout.close()
        assert process.wait(60) == 0
