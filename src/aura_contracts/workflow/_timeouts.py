"""The clocks of workflows: timeouts that stand still in a pause, and while a human is asked.

The clock of a container stands still as long as anything in it waits for a human.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from aura_contracts.workflow.records import WorkflowStep
from aura_contracts.workflow.state import Workflow
from aura_contracts.workflow.values import StepStatus, WorkflowStatus


def later(now: datetime, seconds: float | None) -> datetime | None:
    """Return the moment `seconds` from now; None for None, and for a moment that no calendar has."""
    if seconds is None:
        return None
    try:
        return now + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def left(moment: datetime | None, now: datetime) -> float | None:
    """Return the seconds until a moment, at least 0; None for None."""
    return None if moment is None else max((moment - now).total_seconds(), 0.0)


def stopped(step: WorkflowStep, now: datetime) -> WorkflowStep:
    """Return the step with its clock standing still."""
    if step.times_out_at is None:
        return step
    return replace(step, times_out_at=None, time_left=left(step.times_out_at, now))


def running(step: WorkflowStep, now: datetime) -> WorkflowStep:
    """Return the step with its clock running on, if it runs itself."""
    if step.time_left is None or step.status is not StepStatus.RUNNING:
        return step
    return replace(step, times_out_at=later(now, step.time_left), time_left=None)


def held(steps: Mapping[str, WorkflowStep]) -> set[str]:
    """Return the addresses of the steps that wait for a human, and of those around them."""
    found: set[str] = set()
    for step in steps.values():
        if step.status is StepStatus.AWAITING_APPROVAL:
            address: str | None = step.id
            while address is not None and address not in found:
                found.add(address)
                address = steps[address].parent if address in steps else None
    return found


def set_around(state: Workflow, steps: dict[str, WorkflowStep], step: WorkflowStep, now: datetime) -> None:
    """Stop the clocks of the containers around a step that wait for a human now, and start those that do so no more."""
    around: list[WorkflowStep] = []
    address = step.parent
    while address is not None:
        around.append(steps[address])
        address = steps[address].parent
    around = [each for each in around if each.times_out_at is not None or each.time_left is not None]
    if not around:
        return
    waiting = held(steps)
    for each in around:
        if each.id in waiting:
            steps[each.id] = stopped(each, now)
        elif state.status is not WorkflowStatus.PAUSED:
            steps[each.id] = running(each, now)
