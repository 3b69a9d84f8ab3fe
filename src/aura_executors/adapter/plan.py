"""Plan: the steps in the arguments of a tool that writes a list of things to do. Agents write them alike."""

from aura_contracts.entries import PlanStep
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped

STEPS_LIMIT = 500

_STATUSES = frozenset({"in_progress", "completed"})


def plan_of(todos: object) -> tuple[PlanStep, ...]:
    """Return the steps in a list of tables with a text and a status; cancelled ones are left out.

    >>> plan_of([{"content": "Look", "status": "TODO_STATUS_COMPLETED"}, {"description": "Write", "status": "todo"}])
    (PlanStep(text='Look', status='completed'), PlanStep(text='Write', status='pending'))
    """
    steps = []
    for todo in todos[:STEPS_LIMIT] if isinstance(todos, list) else ():
        text = (todo.get("content") or todo.get("description")) if isinstance(todo, dict) else None
        if isinstance(text, str):
            status = str(todo.get("status")).lower().removeprefix("todo_status_")
            if status != "cancelled":
                steps.append(PlanStep(clipped(text, MESSAGE_LIMIT), status if status in _STATUSES else "pending"))
    return tuple(steps)
