"""The steps of running workflows, as evolvers change them: see `aura_contracts.workflow`."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from aura_contracts.errors import ImpossibleTransition
from aura_contracts.events import Event
from aura_contracts.workflow._tables import STEP_TABLE
from aura_contracts.workflow.records import WorkflowStep
from aura_contracts.workflow.state import Workflow, is_over
from aura_contracts.workflow.values import StepDefinition, StepStatus

Steps = dict[str, WorkflowStep]

_S = StepStatus


def open_block(
    steps: Steps, earlier: Mapping[str, int], block: Iterable[StepDefinition], prefix: str, parent: str | None
) -> None:
    """Add the steps of a block that are not there yet."""
    for definition in block:
        address = prefix + definition.id
        if address not in steps:
            attempts = earlier.get(address, 0)
            steps[address] = WorkflowStep(id=address, status=_S.PENDING, parent=parent, attempts=attempts)


def children_of(steps: Mapping[str, WorkflowStep]) -> dict[str | None, list[str]]:
    """Return the addresses of the steps by that of the step that they are in."""
    children: dict[str | None, list[str]] = {}
    for step in steps.values():
        children.setdefault(step.parent, []).append(step.id)
    return children


def descendants(children: Mapping[str | None, list[str]], step_id: str) -> list[str]:
    """Return the addresses of everything in a step, outermost first."""
    found, ahead = [], [step_id]
    while ahead:
        inner = children.get(ahead.pop(), [])
        found += inner
        ahead += inner
    return found


def status_after(status: StepStatus | None, event: type[Event]) -> Any:
    """Return the next status of a step, or those possible. Raises `ImpossibleTransition` if the table has no row."""
    try:
        return STEP_TABLE[status][event]
    except KeyError:
        raise ImpossibleTransition(aggregate="workflow step", status=status or "", event=event.topic) from None


def top_index(state: Workflow, steps: Steps, known: int = 0) -> int:
    """Return the number of steps of the top level before the first that is not over; `known` of them are over."""
    block = state.definition.steps
    for index in range(known, len(block)):
        if not is_over(state, steps[block[index].id]):
            return index
    return len(block)


def ended(step: WorkflowStep, now: datetime | None, **changes: Any) -> WorkflowStep:
    """Return a step that runs no more."""
    still: dict[str, Any] = {"ended_at": now, "due_at": None, "times_out_at": None, "time_left": None, "ends_as": None}
    return replace(step, **still | changes)
