"""Locks: names that a step has for itself, within its workflow, while it runs. Pure."""

from aura_contracts.workflow import (
    LIVE,
    StepDefinition,
    StepStatus,
    Workflow,
    WorkflowStep,
    outline_of,
)


def is_locked(workflow: Workflow, step: WorkflowStep, definition: StepDefinition) -> bool:
    """Whether another step runs that has a lock which this one needs. What is around a step shares its locks."""
    return bool(definition.locks) and not held_locks(workflow, around=step).isdisjoint(definition.locks)


def held_locks(workflow: Workflow, around: WorkflowStep | None = None) -> set[str]:
    """Return the locks of all steps that run, but not of those around a step."""
    outline = outline_of(workflow.definition)
    own: set[str] = set()
    parent = None if around is None else around.parent
    while parent is not None:
        own.add(parent)
        parent = workflow.steps[parent].parent
    return {
        lock
        for step in workflow.steps.values()
        if step.status in LIVE and step.status is not StepStatus.RETRYING and step.id not in own
        for lock in outline[step.definition_id].definition.locks
    }
