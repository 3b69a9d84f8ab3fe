"""Decomposition plans: how an agent or a person proposes to split a task, as JSON. Pure.

    {"subtasks": [{"id": "model", "title": "Add a price to the model"},
                  {"id": "page", "title": "Show the price", "after": ["model"], "agent_type": "developer"}]}

Reading is tolerant of what stands around the plan, and strict about its content. A plan is one object: parts have no
parts of their own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from aura_contracts.errors import InvalidInput
from aura_contracts.ids import TaskId
from aura_contracts.quoting import ERROR_LIMIT, block, cut, is_unicode, one_line
from aura_contracts.task import Priority, Subtask, parse_agent_type
from aura_engine.decisions import subtask_title_problem
from aura_engine.message_objects import objects_in

PLAN_LIMIT = 100
"""The most subtasks in a plan: a human has to read it."""

_SUBTASK: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "a short name, for after"},
        "title": {"type": "string"},
        "description": {"type": "string", "description": "all that an agent needs that reads only this"},
        "agent_type": {"type": "string"},
        "priority": {"enum": [str(one) for one in Priority]},
        "after": {"type": "array", "items": {"type": "string"}, "description": "ids that must be done first"},
    },
    "required": ["id", "title"],
    "additionalProperties": False,
}

PLAN_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"subtasks": {"type": "array", "items": _SUBTASK, "minItems": 1, "maxItems": PLAN_LIMIT}},
    "required": ["subtasks"],
}
"""The JSON Schema of a plan."""


def read_plan(text: str, ids: Callable[[], str]) -> tuple[Subtask, ...]:
    """Return the subtasks of the last plan in a text, with new ids. Raises `InvalidInput`, which names the field."""
    listed = _listed(text)
    if not isinstance(listed, list) or not listed:
        raise _refused("subtasks", "it is not a list of at least one subtask")
    if len(listed) > PLAN_LIMIT:
        raise _refused("subtasks", f"there are {len(listed)}", f"name at most {PLAN_LIMIT}")
    given = [_checked(one, f"subtasks.{place}") for place, one in enumerate(listed)]
    names = [one["id"] for one in given]
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise _refused("subtasks", f"two have the id {doubled!r}", "give each an id of its own")
    _require_order(given)
    task_ids = {name: TaskId(ids()) for name in names}
    return tuple(_subtask(one, task_ids) for one in given)


def plan_text(subtasks: Sequence[Subtask]) -> str:
    """Return all of the plan for people: each subtask with its number, those that must be done first, and its words.

    Titles begin lines, and other words are indented, so that no text of an agent can pass for a fact.
    """
    numbers = {one.task_id: number for number, one in enumerate(subtasks, 1)}
    return "\n".join(line for one in subtasks for line in _lines(one, numbers))


def _lines(one: Subtask, numbers: Mapping[TaskId, int]) -> Iterator[str]:
    yield f"{numbers[one.task_id]}. {one_line(one.title)}"
    facts = [f"priority {one.priority}"]
    if one.agent_type is not None:
        facts.append(f"for a {one.agent_type}")
    if one.after:
        facts.append(f"after {', '.join(str(numbers.get(other, other)) for other in one.after)}")
    yield f"   {', '.join(facts)}"
    if one.description.strip():
        yield from block(one.description.strip("\n"), "     ")


def _listed(text: str) -> object:
    try:
        plans = [one for one in objects_in(text) if "subtasks" in one.data]
    except InvalidInput as error:
        raise _refused("plan", error.reason, error.remedy) from error
    if not plans:
        raise _refused("plan", "it holds no JSON object with the key subtasks")
    if (repeated := plans[-1].repeated) is not None:
        raise _refused("plan", f"the key {repeated!r} occurs twice in an object", "give each key once")
    return plans[-1].data["subtasks"]


def _checked(given: object, place: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _refused(place, "it is not an object")
    if unknown := given.keys() - _SUBTASK["properties"].keys():
        raise _refused(f"{place}.{min(unknown)}", "there is no such field", f"use {', '.join(_SUBTASK['properties'])}")
    _check_texts(given, place)
    after = given.get("after", [])
    if not isinstance(after, list) or not all(isinstance(one, str) for one in after):
        raise _refused(f"{place}.after", "it is not a list of ids")
    if given.get("priority", "medium") not in [str(one) for one in Priority]:
        raise _refused(f"{place}.priority", f"{given['priority']!r} is not low, medium or high")
    if given.get("agent_type") is not None:
        if not isinstance(given["agent_type"], str):
            raise _refused(f"{place}.agent_type", "it is not a text")
        parse_agent_type(given["agent_type"], f"{place}.agent_type")
    return given


def _check_texts(given: Mapping[str, Any], place: str) -> None:
    """Refuse what the log would refuse, too, and what a human could not read in a list."""
    for name in ("id", "title"):
        if not isinstance(given.get(name), str) or not given[name].strip():
            raise _refused(f"{place}.{name}", "it is missing or not a text")
    if not isinstance(given.get("description", ""), str):
        raise _refused(f"{place}.description", "it is not a text")
    if (problem := subtask_title_problem(given["title"].strip())) is not None:
        raise _refused(f"{place}.title", problem, "put the rest into its description")
    for name in ("title", "description"):
        if "\0" in given.get(name, "") or not is_unicode(given.get(name, "")):
            raise _refused(f"{place}.{name}", "it holds NUL or half of a surrogate pair", "remove the character")


def _require_order(given: Sequence[Mapping[str, Any]]) -> None:
    names = {one["id"] for one in given}
    for place, one in enumerate(given):
        if unknown := next((other for other in one.get("after", []) if other not in names), None):
            raise _refused(f"subtasks.{place}.after", f"there is no subtask {unknown!r}", "name one of the plan")
    try:
        TopologicalSorter({one["id"]: one.get("after", []) for one in given}).prepare()
    except CycleError as circle:
        path = " > ".join(reversed(circle.args[1]))
        raise _refused("subtasks", f"they wait for one another: {path}", "leave out one of these") from None


def _subtask(given: Mapping[str, Any], task_ids: Mapping[str, TaskId]) -> Subtask:
    return Subtask(
        task_id=task_ids[given["id"]],
        title=given["title"].strip(),
        description=given.get("description", ""),
        agent_type=given.get("agent_type"),
        priority=Priority(given.get("priority", Priority.MEDIUM)),
        after=tuple(dict.fromkeys(task_ids[other] for other in given.get("after", []))),
    )


def _refused(field: str, reason: str, remedy: str = "follow the JSON Schema of plans") -> InvalidInput:
    """Return the error, which is recorded: it may name what an agent wrote."""
    return InvalidInput(field=cut(one_line(field)), reason=cut(one_line(reason), ERROR_LIMIT), remedy=remedy)
