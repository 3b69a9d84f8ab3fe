"""Scope: what the expressions and templates of a step may read. Pure.

    scope_of(workflow, "each[2]/check")     for a step
    scope_of(workflow, "rework[3]")         for a round of a loop or an item, from within: `until` after round 3
    scope_of(workflow, "")                  for the workflow as a whole: its outputs

| name       | what it is                                                                                     |
| ---------- | ---------------------------------------------------------------------------------------------- |
| `inputs`   | the inputs of the workflow                                                                      |
| `context`  | its context, as it is now                                                                       |
| `steps`    | by id: those of the same block, of blocks around it, and within `parallel`, `conditional`, handlers |
| `item`     | the item of the innermost `for_each` around the step; `index` counts items from 0               |
| `round`    | the round of the innermost `loop` around the step, from 1                                       |
| `workflow` | `id` and `name`                                                                                 |

A step within a `for_each` or a `loop` is visible from inside the same item or round only. A scope takes nothing from
the state before it is read: to make one costs the same for a workflow of three steps and of a thousand.
"""

import re
from collections.abc import Sequence
from typing import Any

from msgspec import to_builtins

from aura_contracts.workflow import StepStatus, Workflow, WorkflowStep
from aura_contracts.workflow.outline import BlockRole, Outline, outline_of
from aura_contracts.workflow.state import status_of
from aura_contracts.workflow.values import ForEachStep, LoopStep
from aura_engine.orchestration.expressions import Scope
from aura_engine.orchestration.lazy_tables import AbsentValue, Lazy

_PARTS = ("status", "output", "outcome", "attempts", "failure")

_HINTS = {
    "item": "only the steps of a for_each have one",
    "index": "only the steps of a for_each have one",
    "round": "only the steps of a loop have one",
    "output": "name the step: steps.ID.output",
}

_REPEATED = re.compile(r"([^/\[\]]+)\[(\d+)\]")


def scope_of(workflow: Workflow, address: str) -> Scope:
    """Return the scope of a step, item or round by its address; that of the whole workflow for an empty one."""
    around = _REPEATED.findall(address)
    prefix = "".join(f"{name}[{number}]/" for name, number in around)
    scope = Scope(
        inputs=workflow.inputs,
        context=workflow.context,
        workflow={"id": str(workflow.id), "name": workflow.definition.name},
        steps=_StepsTable(workflow, tuple(name for name, _ in around), prefix),
    )
    scope.step = address
    scope.hints = _HINTS
    outline = outline_of(workflow.definition)
    outer = ""
    for name, number in around:
        match outline[name].definition.config:
            case ForEachStep():
                step = workflow.steps.get(outer + name)
                if step is not None and step.items is not None and int(number) < len(step.items):
                    scope["item"] = step.items[int(number)]
                scope["index"] = int(number)
            case LoopStep():
                scope["round"] = int(number)
        outer = f"{outer}{name}[{number}]/"
    return scope


def repeated_around(outline: Outline, step_id: str) -> tuple[str, ...]:
    """Return the ids of the `for_each` and `loop` steps around a step of a definition, from the outside."""
    around: list[str] = []
    place = outline[step_id]
    while place.parent is not None:
        parent = outline[place.parent]
        if place.role is BlockRole.MEMBER and isinstance(parent.definition.config, ForEachStep | LoopStep):
            around.append(place.parent)
        place = parent
    return tuple(reversed(around))


class _StepsTable(Lazy):
    """The steps that are visible from a place. `around`: the ids of what repeats around it; `prefix`: its address."""

    __slots__ = ("_around", "_outline", "_prefix", "_workflow")

    def __init__(self, workflow: Workflow, around: tuple[str, ...], prefix: str) -> None:
        self._workflow = workflow
        self._around = around
        self._prefix = prefix
        self._outline = outline_of(workflow.definition)

    def names(self) -> Sequence[str]:
        return [name for name in self._outline if self._sees(repeated_around(self._outline, name))]

    def part(self, name: str) -> "_StepTable":
        around = repeated_around(self._outline, name)
        if not self._sees(around):
            raise KeyError(name)
        pieces = self._prefix.split("/")[: len(around)]
        return _StepTable(self._workflow, "/".join((*pieces, name)))

    def hint(self, name: str) -> str:
        if name not in self._outline:
            return ""
        shut = next(one for one in repeated_around(self._outline, name) if one not in self._around)
        return f"it is within {shut}, which repeats it; read steps.{shut}.output"

    def _sees(self, around: tuple[str, ...]) -> bool:
        return self._around[: len(around)] == around


class _StepTable(Lazy):
    """A step as others see it."""

    __slots__ = ("_address", "_workflow")

    def __init__(self, workflow: Workflow, address: str) -> None:
        self._workflow = workflow
        self._address = address

    def names(self) -> Sequence[str]:
        return _PARTS

    def part(self, name: str) -> Any:
        step = self._workflow.steps.get(self._address)
        match name:
            case "status":
                return self._status(step)
            case "output":
                if step is not None and step.status is StepStatus.COMPLETED:
                    return step.result
                return AbsentValue(self._address, self._status(step))
            case "outcome":
                return None if step is None else step.outcome
            case "attempts":
                return 0 if step is None else step.attempts
            case "failure":
                failed = step is not None and step.failure is not None
                return to_builtins(step.failure) if step is not None and failed else None
        raise KeyError(name)

    def _status(self, step: WorkflowStep | None) -> str:
        return str(status_of(self._workflow, self._address) if step is None else step.status)
