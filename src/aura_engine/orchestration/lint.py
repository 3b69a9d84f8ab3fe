"""Lint: the faults of a definition that only its templates, or the whole graph, show. Pure.

For definitions that follow the rules of `aura_engine.decisions.workflow_rules`. What can never work is an error; what
works only sometimes, or has no effect, is a warning.
"""

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from functools import partial

from aura_contracts.errors import DefinitionFault, ExpressionError, InvalidDefinition, InvalidInput, InvalidSchema
from aura_contracts.workflow.values import (
    ConditionalStep,
    ForEachStep,
    Join,
    LoopStep,
    StepDefinition,
    StepType,
    SubWorkflowStep,
    WorkflowDefinition,
)
from aura_engine.decisions.workflow_rules import (
    Path,
    PlacedStep,
    StepBlock,
    blocks_of,
    placed_steps,
    require_correct_definition,
)
from aura_engine.orchestration.data_flow import DataFlow
from aura_engine.orchestration.reads import Read, Reads, names_read
from aura_engine.orchestration.schemas import require_inputs, require_schema
from aura_engine.orchestration.template_texts import TemplateText, texts_of, texts_of_step

Known = Callable[[str], WorkflowDefinition | None]
"""Returns the definition that a step of type workflow names, if it is known."""

_NAMES = ("inputs", "context", "steps", "workflow")

_PARTS = ("status", "output", "outcome", "attempts", "failure")

_YES, _NO = ("true", "True"), ("false", "False")


def lint(definition: WorkflowDefinition, known: Known = lambda _: None) -> tuple[DefinitionFault, ...]:
    """Return what is wrong, or seems to be, with a definition that follows the rules."""
    flow = DataFlow(definition)
    texts = [*texts_of(definition), *(text for one in flow.placed.values() for text in texts_of_step(one))]
    blocks = [StepBlock(("steps",), definition.steps)]
    blocks += [block for one in flow.placed.values() for block in blocks_of(one.step, one.path)]
    return (
        *(fault for text in texts for fault in _text_faults(text, flow, definition)),
        *_schema_faults(definition),
        *(fault for block in blocks for fault in _unreachable(block)),
        *(fault for one in flow.placed.values() for fault in _step_faults(one)),
        *_collisions(flow),
        *_calls(definition, flow, known),
    )


def _warning(path: Path, code: str, message: str, other: Path | None = None) -> DefinitionFault:
    return DefinitionFault(path, code, message, other, severity="warning")


def require_sound_definition(definition: WorkflowDefinition) -> None:
    """Refuse a definition that breaks a rule, or whose inputs and outputs are not declared in JSON Schema.

    Raises `InvalidDefinition` with all of its faults.
    """
    require_correct_definition(definition)
    if faults := tuple(_schema_faults(definition)):
        remedy = "correct them; `aura workflow validate` shows them"
        raise InvalidDefinition(field="definition", faults=faults, remedy=remedy)


def _schema_faults(definition: WorkflowDefinition) -> Iterator[DefinitionFault]:
    """Yield the schemas of inputs and outputs that are not schemas, and defaults that do not fit theirs."""
    for name, schema in definition.inputs.items():
        yield from _schema_fault(("inputs", name), f"inputs.{name}", partial(require_inputs, {name: schema}))
    for one in placed_steps(definition):
        if (schema := getattr(one.step.config, "output", None)) is not None:
            yield from _schema_fault((*one.path, "output"), "output", partial(require_schema, schema))


def _schema_fault(path: Path, field: str, require: Callable[[], None]) -> Iterator[DefinitionFault]:
    try:
        require()
    except InvalidSchema as error:
        place = f"schema{error.field.removeprefix(field)}"
        yield DefinitionFault(path, "schema", f"{place}: {error.reason}; {error.remedy}")


# --- Texts ------------------------------------------------------------------------------------------------------------


def _text_faults(text: TemplateText, flow: DataFlow, definition: WorkflowDefinition) -> Iterator[DefinitionFault]:
    try:
        reads = names_read(text.text, template=text.is_template)
    except (ExpressionError, InvalidInput) as error:
        reason = error.reason if isinstance(error, ExpressionError | InvalidInput) else str(error)
        kind = "a template" if text.is_template else "an expression"
        yield DefinitionFault(text.path, "expression", f"this is not {kind}: {reason}")
        return
    yield from _name_faults(text, reads, flow)
    declared = list(definition.inputs)
    for read in _once(reads, "inputs"):
        if read.path[1] not in declared and not read.guarded:
            end = _meant(str(read.path[1]), declared)
            yield DefinitionFault(text.path, "unknown_input", f"there is no input {str(read.path[1])!r}{end}")
    yield from _output_faults(text, reads, flow)


def _once(reads: Reads, variable: str) -> Sequence[Read]:
    """Return the first read of each part of a variable."""
    found: dict[object, Read] = {}
    for read in reads.all:
        if read.path[0] == variable and len(read.path) > 1:
            found.setdefault(read.path[1], read)
    return list(found.values())


def _meant(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(known)}" if known else ""


def _name_faults(text: TemplateText, reads: Reads, flow: DataFlow) -> Iterator[DefinitionFault]:
    repeats = flow.repeats_around(text)
    known = [
        *_NAMES,
        *(("item", "index") if ForEachStep in repeats else ()),
        *(("round",) if LoopStep in repeats else ()),
    ]
    for variable in reads.names:
        if variable not in known:
            yield DefinitionFault(text.path, "unknown_name", f"there is no {variable!r} here{_meant(variable, known)}")
    for read in _once(reads, "steps"):
        step = read.path[1]
        if not isinstance(step, str) or read.guarded:
            continue
        if step not in flow.placed:
            message = f"there is no step {step!r}{_meant(step, [*flow.placed][:20])}"
            yield DefinitionFault(text.path, "unknown_step", message)
        elif not flow.is_visible(step, text):
            message = f"step {step!r} is repeated, and can be read in the same item or round only"
            yield DefinitionFault(text.path, "not_visible", message, flow.placed[step].path)
    for read in reads.all:
        if read.path[0] == "steps" and len(read.path) > 2 and read.path[2] not in _PARTS and not read.guarded:
            message = f"a step has no {str(read.path[2])!r}{_meant(str(read.path[2]), _PARTS)}"
            yield DefinitionFault(text.path, "unknown_name", message)


def _output_faults(text: TemplateText, reads: Reads, flow: DataFlow) -> Iterator[DefinitionFault]:
    """Yield reads of outputs of steps that may not have one."""
    own = None if text.step is None else text.step.step.id
    names = [name for name in reads.outputs if name in flow.placed and flow.is_visible(name, text)]
    before, certain = flow.before(text), flow.certain(text)
    for name in names:
        if name in certain:
            continue
        if name == own or (name not in before and _is_around(name, text)):
            message = f"step {name!r} has no output before this is evaluated"
            yield DefinitionFault(text.path, "no_output", message)
        elif name not in before:
            message = f"step {name!r} may not have completed: this step does not depend on it"
            yield _warning(text.path, "not_before", message, flow.placed[name].path)
        else:
            message = (
                f"step {name!r} may have been skipped, or have failed; test `steps.{name}.status`, or use `default`"
            )
            yield _warning(text.path, "may_be_missing", message, flow.placed[name].path)


def _is_around(name: str, text: TemplateText) -> bool:
    one = text.step
    while one is not None:
        if one.step.id == name:
            return True
        one = one.holder
    return False


# --- Steps ------------------------------------------------------------------------------------------------------------


def _unreachable(block: StepBlock) -> Iterator[DefinitionFault]:
    """Yield the steps of a block that never run."""
    never: set[str] = set()
    steps = {step.id: step for step in block.steps}
    changed = True
    while changed:
        found = {step.id for step in block.steps if _never_runs(step, steps, never)}
        changed = found != never
        never = found
    for number, step in enumerate(block.steps):
        if step.id in never:
            after = [name for name in step.dependencies if name in never or steps[name].type is StepType.END]
            reason = "its condition is never true" if step.when in _NO else f"it waits for {' and '.join(after)}"
            yield _warning((*block.path, number, "id"), "unreachable", f"step {step.id!r} never runs: {reason}")


def _never_runs(step: StepDefinition, steps: dict[str, StepDefinition], never: set[str]) -> bool:
    if step.when in _NO:
        return True
    gone = [name in never or steps[name].type is StepType.END for name in step.dependencies]
    match step.join:
        case Join.ALL_SUCCEEDED:
            return any(gone)
        case Join.ALL_DONE:
            return any(steps[name].type is StepType.END and not steps[name].when for name in step.dependencies)
        case _:
            return bool(gone) and len(gone) - sum(gone) < (step.n or 1)


def _step_faults(placed: PlacedStep) -> Iterator[DefinitionFault]:
    config, path = placed.step.config, placed.path
    if isinstance(config, ConditionalStep):
        sure = next((number for number, case in enumerate(config.cases) if case.when in _YES), len(config.cases))
        later = [(*path, "cases", number) for number in range(sure + 1, len(config.cases))]
        later += [(*path, "otherwise")] if config.otherwise and sure < len(config.cases) else []
        for place in later:
            yield _warning(place, "unreachable", "these steps never run: a case before is always true")
        for number, case in enumerate(config.cases):
            if case.when in _NO:
                place = (*path, "cases", number, "when")
                yield _warning(place, "unreachable", "these steps never run: the condition is never true")
    if isinstance(config, ForEachStep) and config.concurrency is not None and config.concurrency > config.limit:
        message = f"{config.concurrency} is more than the limit of {config.limit} items, so it has no effect"
        yield _warning((*path, "concurrency"), "no_effect", message)


def _collisions(flow: DataFlow) -> Iterator[DefinitionFault]:
    """Yield ids that differ only in ways that are easily overlooked."""
    first: dict[str, PlacedStep] = {}
    for name, placed in flow.placed.items():
        other = first.setdefault(name.lower().replace("-", "_"), placed)
        if other is not placed:
            message = f"the ids {name!r} and {other.step.id!r} are easily confused"
            yield _warning((*placed.path, "id"), "similar_ids", message, (*other.path, "id"))


# --- Sub-workflows ----------------------------------------------------------------------------------------------------


def _calls(definition: WorkflowDefinition, flow: DataFlow, known: Known) -> Iterator[DefinitionFault]:
    """Yield the steps through which a workflow would start itself."""
    for placed in flow.placed.values():
        config = placed.step.config
        if isinstance(config, SubWorkflowStep):
            circle = _circle(config.workflow, (definition.name,), known)
            if circle:
                message = f"the workflow would start itself: {' -> '.join(circle)}"
                yield DefinitionFault((*placed.path, "workflow"), "cycle", message)


def _circle(reference: str, above: tuple[str, ...], known: Known) -> tuple[str, ...]:
    name = reference.partition("@")[0]
    if name in above:
        return (*above[above.index(name) :], name)
    called = known(reference)
    configs = [step.config for step in called.walk()] if called is not None else []
    found = (_circle(one.workflow, (*above, name), known) for one in configs if isinstance(one, SubWorkflowStep))
    return next(filter(None, found), ())
