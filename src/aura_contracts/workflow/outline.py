"""The outline of a definition: where each step is in it, found once per definition.

`outline_of` remembers the latest definitions by identity, because everything that folds, decides and shows a workflow
asks for the same one again and again.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from enum import StrEnum
from threading import Lock
from typing import NamedTuple

from aura_contracts.workflow.values import (
    ConditionalStep,
    ForEachStep,
    LoopStep,
    ParallelStep,
    StepDefinition,
    WorkflowDefinition,
)


class BlockRole(StrEnum):
    """What a step is to the one that it is in."""

    MEMBER = "member"
    HANDLER = "handler"
    COMPENSATION = "compensation"


class StepPlace(NamedTuple):
    """Where a step is in its definition."""

    definition: StepDefinition
    number: int
    """Its place in the order of the definition, from 0."""
    parent: str | None
    """The id of the definition that it is in; None at the top level."""
    role: BlockRole
    block: tuple[StepDefinition, ...]
    """It and its siblings."""
    branch: int
    """The case of a conditional that it belongs to, as `WorkflowStep.outcome` counts; 0 elsewhere."""
    dependents: tuple[str, ...]
    """The ids of the siblings that depend on it."""


Outline = Mapping[str, StepPlace]
"""By the id of its definition, each step of a workflow, in the order of the definition."""

_KEPT = 50_000
"""Steps of all outlines that are remembered: some ten megabytes, the outlines of a thousand usual workflows."""

_known: "OrderedDict[int, tuple[WorkflowDefinition, Outline]]" = OrderedDict()
_steps_known = 0
_lock = Lock()


def outline_of(definition: WorkflowDefinition) -> Outline:
    """Return the outline of a definition whose ids are unique."""
    known = _known.get(id(definition))
    if known is not None and known[0] is definition:
        return known[1]
    outline = {place.definition.id: place for place in _places(definition)}
    _remember(definition, outline)
    return outline


def _remember(definition: WorkflowDefinition, outline: Outline) -> None:
    global _steps_known  # noqa: PLW0603 - with `_known`
    with _lock:
        replaced = _known.pop(id(definition), None)
        _known[id(definition)] = (definition, outline)
        _steps_known += len(outline) - (0 if replaced is None else len(replaced[1]))
        while _steps_known > _KEPT and len(_known) > 1:
            _, (_, oldest) = _known.popitem(last=False)
            _steps_known -= len(oldest)


def place_in_order(outline: Outline, address: str) -> tuple[int, ...]:
    """Return what sorts addresses by the order of the definition: items and rounds one after the other."""
    *around, step_id = address.split("/")
    parts: list[int] = []
    for part in around:
        name, _, number = part.rpartition("[")
        parts += (outline[name].number, int(number[:-1]))
    return (*parts, outline[step_id].number)


def case_blocks(config: ConditionalStep) -> tuple[tuple[StepDefinition, ...], ...]:
    """Return the blocks of a choice by outcome: its cases, then `otherwise`."""
    return (*(case.steps for case in config.cases), config.otherwise)


def inner_blocks(step: StepDefinition) -> tuple[tuple[StepDefinition, ...], ...]:
    """Return the blocks of the members of a container; of a choice, by outcome."""
    match step.config:
        case ConditionalStep():
            return case_blocks(step.config)
        case ParallelStep() | ForEachStep() | LoopStep():
            return (step.config.steps,)
        case _:
            return ()


def _places(definition: WorkflowDefinition) -> Iterator[StepPlace]:
    number = 0

    def block_of(
        block: tuple[StepDefinition, ...], parent: str | None, role: BlockRole, branch: int = 0
    ) -> Iterator[StepPlace]:
        nonlocal number
        dependents: dict[str, list[str]] = {}
        for step in block:
            for name in step.dependencies:
                dependents.setdefault(name, []).append(step.id)
        for step in block:
            yield StepPlace(step, number, parent, role, block, branch, tuple(dependents.get(step.id, ())))
            number += 1
            for index, inner in enumerate(inner_blocks(step)):
                yield from block_of(inner, step.id, BlockRole.MEMBER, index)
            yield from block_of(step.handler, step.id, BlockRole.HANDLER)
            if step.compensation is not None:
                yield from block_of((step.compensation,), step.id, BlockRole.COMPENSATION)

    yield from block_of(definition.steps, None, BlockRole.MEMBER)
