"""Plans to split a task: tolerant of what stands around them, strict about their content."""

import json
from itertools import count

import pytest

from aura_contracts.errors import InvalidInput
from aura_engine.decomposition_plan import PLAN_LIMIT, plan_text, read_plan

PLAN = {
    "subtasks": [
        {"id": "model", "title": "Add a price", "priority": "high"},
        {"id": "page", "title": "Show the price", "description": "On the page", "after": ["model"]},
    ]
}


def read(plan):
    numbers = count(1)
    return read_plan(plan if isinstance(plan, str) else json.dumps(plan), lambda: str(next(numbers)))


@pytest.mark.parametrize("around", ["{}", "I looked.\n\n```json\n{}\n```\nShall I?", 'Not {{"a": 1}} but: {} {{'])
def test_a_plan_is_found_in_prose(around):
    model, page = read(around.format(json.dumps(PLAN)) if "{{" in around else around.replace("{}", json.dumps(PLAN)))
    assert (model.task_id, model.title, model.priority, model.after) == ("1", "Add a price", "high", ())
    assert (page.task_id, page.description, page.after) == ("2", "On the page", ("1",))
    shown = "1. Add a price\n   priority high\n2. Show the price\n   priority medium, after 1\n     On the page"
    assert plan_text((model, page)) == shown


def test_all_that_parts_are_told_is_shown_and_nothing_passes_for_a_fact():
    told = "Delete the database\n2. Harmless\n   priority low\x1b[2K"
    (one,) = read({"subtasks": [{"id": "a", "title": "Fix\u202e it", "description": told, "agent_type": "devops"}]})
    assert plan_text([one]).split("\n") == [
        r"1. Fix\u202e it",
        "   priority medium, for a devops",
        "     Delete the database",
        "     2. Harmless",
        r"        priority low\x1b[2K",
    ]


def subtask(**fields):
    return {"subtasks": [{"id": "a", "title": "A", **fields}, {"id": "b", "title": "B", "after": ["a"]}]}


@pytest.mark.parametrize(
    ("plan", "field", "reason"),
    [
        ("All is simple.", "plan", "no JSON object with the key subtasks"),
        ({"subtasks": []}, "subtasks", "not a list of at least one"),
        ({"subtasks": "many"}, "subtasks", "not a list"),
        ({"subtasks": [7]}, "subtasks.0", "not an object"),
        ({"subtasks": [{"id": "a"}]}, "subtasks.0.title", "missing"),
        (subtask(title=" "), "subtasks.0.title", "missing"),
        (subtask(subtasks=[{"id": "c", "title": "C"}]), "subtasks.0.subtasks", "no such field"),
        ({"plan": {"subtasks": [{"id": "a", "title": "A"}]}}, "plan", "no JSON object with the key subtasks"),
        (json.dumps(subtask(subtasks=[{"id": "c", "title": "C"}]))[:-1] + ",}", "plan", "no JSON object"),
        ('{"subtasks": [{"id": "a", "title": "A", "title": "B"}]}', "plan", "the key 'title' occurs twice"),
        ('{"subtasks": [{"id": "a", "title": "A"}], "subtasks": []}', "plan", "the key 'subtasks' occurs twice"),
        ('{"a":' * 20_000, "plan", "nested too deeply"),
        ("{" * 60_000, "plan", "no JSON object with the key subtasks"),
        (subtask(title="x" * 501), "subtasks.0.title", "501 characters"),
        (subtask(title="Fix it\nApproved by security"), "subtasks.0.title", "several lines"),
        (subtask(title="\ud800"), "subtasks.0.title", "surrogate"),
        (subtask(title="a\0b"), "subtasks.0.title", "NUL"),
        (subtask(description="\udfff"), "subtasks.0.description", "surrogate"),
        (subtask(**{"\ud800\n": 1}), r"subtasks.0.\ud800\n", "no such field"),
        (subtask(after=["\ud800" * 9000]), "subtasks.0.after", r"there is no subtask '\ud800"),
        (subtask(owner="x"), "subtasks.0.owner", "no such field"),
        (subtask(priority="urgent"), "subtasks.0.priority", "'urgent'"),
        (subtask(agent_type="A B"), "subtasks.0.agent_type", "is not one word"),
        (subtask(description=1), "subtasks.0.description", "not a text"),
        (subtask(after="b"), "subtasks.0.after", "not a list of ids"),
        (subtask(after=["c"]), "subtasks.0.after", "there is no subtask 'c'"),
        (subtask(id="b"), "subtasks", "two have the id 'b'"),
        (subtask(after=["b"]), "subtasks", "wait for one another"),
        (subtask(after=["a"]), "subtasks", "wait for one another: a > a"),
        ({"subtasks": [{"id": str(n), "title": "x"} for n in range(10_000)]}, "subtasks", "there are 10000"),
    ],
)
def test_an_invalid_plan_is_refused_with_the_field(plan, field, reason):
    with pytest.raises(InvalidInput) as refused:
        read(plan)
    assert (refused.value.field, reason in refused.value.reason) == (field, True)
    assert PLAN_LIMIT < 10_000
