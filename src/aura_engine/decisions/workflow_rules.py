"""Workflow rules: what the definition of a workflow has to be, wherever it comes from. Pure.

`definition_faults` returns every fault with its path. The reader of files adds lines and columns, the builder and the
start of a workflow raise `InvalidDefinition`. What only templates and a whole graph show is checked by
`aura_engine.orchestration.lint`. A path has the keys of a file: see `key_of`.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from typing import NamedTuple, TypeAlias

import msgspec

from aura_contracts.errors import DefinitionFault, InvalidDefinition
from aura_contracts.workflow.values import (
    ConditionalStep,
    ForEachStep,
    LoopStep,
    ParallelStep,
    StepDefinition,
    StepType,
    SubWorkflowStep,
    WaitStep,
    WorkflowDefinition,
    WorkflowStatus,
)
from aura_engine.decisions._step_rules import (
    IDENTIFIER,
    NAME_LIMIT,
    Problem,
    bounds_problem,
    schema_problems,
    step_problems,
    value_problems,
)

STEP_LIMIT = 500
"""The most steps in a definition, compensations included; the state of a workflow is folded as a whole."""

NESTING_LIMIT = 8
"""The most blocks within one another; the steps of the workflow are the first."""

STEP_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")

COMPENSATING = (StepType.AGENT_TASK, StepType.COMMAND, StepType.WORKFLOW, StepType.HUMAN_APPROVAL)
"""The types of steps that can undo another."""

Path: TypeAlias = tuple[str | int, ...]

_KEYS: Mapping[tuple[type, str], str] = {
    (ParallelStep, "join"): "completion",
    (ParallelStep, "n"): "completion_n",
    (ForEachStep, "join"): "completion",
    (ForEachStep, "n"): "completion_n",
    (WaitStep, "seconds"): "duration",
}


def key_of(kind: type, field: str) -> str:
    """Return the key in files of a field of a step's config.

    In files the keys of a step and of its config are in one table. `join` is about dependencies, so how many members
    complete a container is its `completion`.
    """
    return _KEYS.get((kind, field), field)


class StepBlock(NamedTuple):
    """Steps that belong together: their dependencies name one another."""

    path: Path
    steps: Sequence[StepDefinition]


class PlacedStep(NamedTuple):
    """A step, and where it is."""

    path: Path
    step: StepDefinition
    block: StepBlock
    """What it is in; for a compensation, an otherwise empty block."""
    holder: "PlacedStep | None" = None
    """The step that contains it."""

    @property
    def depth(self) -> int:
        """The number of steps around it."""
        return 0 if self.holder is None else self.holder.depth + 1

    @property
    def compensates(self) -> bool:
        """Whether it is the compensation of its holder."""
        return self.path[-1] == "compensation"


def blocks_of(step: StepDefinition, path: Path) -> Iterator[StepBlock]:
    """Yield the blocks within a step, without its compensation, as they stand in a file."""
    match step.config:
        case ConditionalStep(cases=cases, otherwise=otherwise):
            for number, case in enumerate(cases):
                yield StepBlock((*path, "cases", number, "steps"), case.steps)
            if otherwise:
                yield StepBlock((*path, "otherwise"), otherwise)
        case ParallelStep(steps=steps) | ForEachStep(steps=steps) | LoopStep(steps=steps):
            yield StepBlock((*path, "steps"), steps)
        case _:
            pass
    if step.handler:
        yield StepBlock((*path, "handler"), step.handler)


def placed_steps(definition: WorkflowDefinition) -> Iterator[PlacedStep]:
    """Yield all steps in the order of the definition, down to one level more than is allowed."""
    yield from _placed(StepBlock(("steps",), definition.steps), None)


def _placed(block: StepBlock, holder: PlacedStep | None) -> Iterator[PlacedStep]:
    for number, step in enumerate(block.steps):
        yield from _with_inner(PlacedStep((*block.path, number), step, block, holder))


def _with_inner(placed: PlacedStep) -> Iterator[PlacedStep]:
    yield placed
    if placed.depth >= NESTING_LIMIT:
        return
    for inner in blocks_of(placed.step, placed.path):
        yield from _placed(inner, placed)
    if (undo := placed.step.compensation) is not None:
        path = (*placed.path, "compensation")
        yield from _with_inner(PlacedStep(path, undo, StepBlock(path, ()), placed))


# --- The whole --------------------------------------------------------------------------------------------------------


def require_correct_definition(definition: WorkflowDefinition, field: str = "definition") -> None:
    """Refuse a definition. Raises `InvalidDefinition` with all of its faults."""
    if faults := definition_faults(definition):
        raise InvalidDefinition(field=field, faults=faults, remedy="correct them; `aura workflow validate` shows them")


_KEPT = 256
_faultless: "OrderedDict[bytes, None]" = OrderedDict()
"""The digests of the latest definitions without faults: most workflows are started from the same few."""


def definition_faults(definition: WorkflowDefinition) -> tuple[DefinitionFault, ...]:
    """Return every fault of a definition, in the order of its steps; empty if it can be started."""
    try:
        digest = sha256(msgspec.msgpack.encode(definition)).digest()
    except (TypeError, ValueError, OverflowError, RecursionError):  # no data, which is a fault
        return _faults(definition)
    if digest in _faultless:
        return ()
    if not (faults := _faults(definition)):
        _faultless[digest] = None
        if len(_faultless) > _KEPT:
            _faultless.popitem(last=False)
    return faults


def _faults(definition: WorkflowDefinition) -> tuple[DefinitionFault, ...]:
    placed = tuple(placed_steps(definition))
    if len(placed) > STEP_LIMIT:
        message = f"a workflow has at most {STEP_LIMIT} steps, this one has {len(placed)}"
        return (DefinitionFault(("steps",), "too_many_steps", message),)
    if deepest := next((one for one in placed if one.depth >= NESTING_LIMIT), None):
        message = f"steps are nested more than {NESTING_LIMIT} deep"
        return (DefinitionFault(deepest.path, "too_deep", message),)
    blocks = [StepBlock(("steps",), definition.steps)]
    blocks += [block for one in placed for block in blocks_of(one.step, one.path)]
    return (
        *_at((), _head_problems(definition)),
        *_id_faults(placed),
        *(fault for block in blocks for fault in _block_faults(block, placed)),
        *(fault for one in placed for fault in _step_faults(one)),
    )


def _at(path: Path, problems: Iterable[Problem]) -> Iterator[DefinitionFault]:
    return (DefinitionFault((*path, *problem.path), problem.code, problem.message) for problem in problems)


def _head_problems(definition: WorkflowDefinition) -> Iterator[Problem]:
    name = definition.name
    if not name.strip() or name != name.strip() or len(name) > NAME_LIMIT or not name.isprintable() or "@" in name:
        reason = f"a name is one line of 1 to {NAME_LIMIT} characters, without blanks around it and without @"
        yield Problem(("name",), "name", reason)
    yield from bounds_problem("deadline", definition.deadline)
    for key in ("inputs", "outputs"):
        for wrong in (one for one in getattr(definition, key) if not IDENTIFIER.fullmatch(one)):
            reason = f"{wrong!r} is not a name that templates can read: letters, digits and _, no digit first"
            yield Problem((key, wrong), "identifier", reason)
    for name, schema in definition.inputs.items():
        yield from schema_problems(("inputs", name), schema)
    for name, expression in definition.outputs.items():
        if not expression.strip():
            yield Problem(("outputs", name), "empty", "the expression is empty")
    for number, end in enumerate(definition.compensate_on):
        if end not in (WorkflowStatus.FAILED, WorkflowStatus.CANCELLED):
            reason = f"{str(end)!r} is not an end after which steps are compensated: failed, cancelled"
            yield Problem(("compensate_on", number), "unknown_word", reason)
    for key in ("name", "description", "project", "inputs", "outputs", "context", "options"):
        yield from value_problems((key,), getattr(definition, key))


# --- Ids and dependencies ---------------------------------------------------------------------------------------------


def _id_faults(placed: Sequence[PlacedStep]) -> Iterator[DefinitionFault]:
    first: dict[str, Path] = {}
    for path, step, *_ in placed:
        place = (*path, "id")
        if not STEP_ID.fullmatch(step.id):
            message = f"{step.id!r} is not an id: up to 100 letters, digits, - and _"
            yield DefinitionFault(place, "id", message)
        elif step.id in first:
            message = f"there is a step with the id {step.id!r} already"
            yield DefinitionFault(place, "duplicate_id", message, other=first[step.id])
        else:
            first[step.id] = place


def _block_faults(block: StepBlock, placed: Sequence[PlacedStep]) -> Iterator[DefinitionFault]:
    """Dependencies name other steps of the same block, and no step waits for itself."""
    if not block.steps:
        yield DefinitionFault(block.path, "empty", "there are no steps")
    siblings = {step.id for step in block.steps}
    elsewhere = {one.step.id: one.path for one in placed}
    for number, step in enumerate(block.steps):
        for place, name in enumerate(step.dependencies):
            path = (*block.path, number, "dependencies", place)
            if name in step.dependencies[:place]:
                yield DefinitionFault(path, "doubled", f"{name!r} is named twice")
            elif name == step.id:
                yield DefinitionFault(path, "cycle", f"step {name!r} waits for itself")
            elif name not in siblings and name in elsewhere:
                message = f"step {name!r} is not in the same block; dependencies name steps next to one another"
                yield DefinitionFault(path, "unknown_step", message, other=elsewhere[name])
            elif name not in siblings:
                yield DefinitionFault(path, "unknown_step", _unknown(name, sorted(siblings - {step.id})))
    yield from _cycle_faults(block)


def _unknown(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, [one for one in known if STEP_ID.fullmatch(one)], n=1, cutoff=0.6)
    end = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no step {name!r} in this block{end}"


def _cycle_faults(block: StepBlock) -> Iterator[DefinitionFault]:
    """Yield each circle of steps once, at a dependency of its first step."""
    places: dict[str, int] = {}
    for number, step in enumerate(block.steps):
        places.setdefault(step.id, number)
    before = {name: [*block.steps[number].dependencies] for name, number in places.items()}
    for name, names in before.items():
        before[name] = [one for one in names if one in before and one != name]
    while circle := _circle(before):
        start = circle.index(min(circle, key=places.__getitem__))
        circle = circle[start:] + circle[:start]
        first, then = circle[0], circle[1]
        place = block.steps[places[first]].dependencies.index(then)
        message = f"steps wait for one another: {' -> '.join((*circle, first))}"
        yield DefinitionFault((*block.path, places[first], "dependencies", place), "cycle", message)
        before[first].remove(then)


def _circle(before: Mapping[str, Sequence[str]]) -> list[str]:
    """Return steps each of which waits for the next, and the last for the first; empty without any."""
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))[:-1]
    return []


# --- A step -----------------------------------------------------------------------------------------------------------


def _step_faults(placed: PlacedStep) -> Iterator[DefinitionFault]:
    step, config = placed.step, placed.step.config
    yield from _at(placed.path, step_problems(step))
    if placed.compensates:
        yield from _at(placed.path, _compensation_problems(step))
    if isinstance(config, SubWorkflowStep):
        yield from _at(placed.path, _reference_problems(config))
    for key, value in own_values(step).items():
        yield from _at(placed.path, value_problems((key,), value))


def _compensation_problems(step: StepDefinition) -> Iterator[Problem]:
    if step.type not in COMPENSATING:
        reason = f"a step of type {step.type} undoes nothing; {', '.join(COMPENSATING[:-1])} and {COMPENSATING[-1]} do"
        yield Problem(("type",), "contradiction", reason)
    for key in ("dependencies", "when", "handler", "compensation"):
        if getattr(step, key):
            yield Problem((key,), "contradiction", f"a compensation has no {key}")


def _reference_problems(config: SubWorkflowStep) -> Iterator[Problem]:
    if not re.fullmatch(r"[^@\s]([^@\n]*[^@\s])?(@[1-9][0-9]{0,8})?", config.workflow):
        reason = f"{config.workflow!r} is not the name of a workflow, as in build or build@3"
        yield Problem(("workflow",), "name", reason)


@cache
def _own_fields(kind: type) -> Sequence[str]:
    inner = {"id", "config", "retry", "levels", "cases", "otherwise", "steps", "handler", "compensation"}
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.name not in inner)


def own_values(step: StepDefinition) -> dict[str, object]:
    """Return the values of a step by their keys in files, without id, retry, levels and the steps within it."""
    values = {name: getattr(step, name) for name in _own_fields(StepDefinition)}
    kind = type(step.config)
    return values | {key_of(kind, name): getattr(step.config, name) for name in _own_fields(kind)}
