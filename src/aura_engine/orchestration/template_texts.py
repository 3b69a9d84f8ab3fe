"""Template texts: the expressions and templates of a definition, where they are and where they are evaluated. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from aura_contracts.workflow.values import (
    AgentTaskStep,
    ApprovalStep,
    CommandStep,
    ConditionalStep,
    ForEachStep,
    LoopStep,
    SubWorkflowStep,
    WaitStep,
    WorkflowDefinition,
)
from aura_engine.decisions.workflow_rules import Path, PlacedStep


class TemplateText(NamedTuple):
    """A text that is evaluated, and where."""

    path: Path
    text: str
    is_template: bool
    """Whether it is a template; otherwise an expression."""
    step: PlacedStep | None
    """The step that it is evaluated for; None for the workflow as a whole."""
    within: bool = False
    """Whether it is evaluated after the members of this step."""


def texts_of(definition: WorkflowDefinition) -> Iterator[TemplateText]:
    """Yield the texts of a definition that belong to no step."""
    for name, expression in definition.outputs.items():
        yield TemplateText(("outputs", name), expression, is_template=False, step=None)


_TEXTS: Mapping[type, tuple[str, bool, bool]] = {
    AgentTaskStep: ("task_template", True, False),
    ApprovalStep: ("question", True, False),
    ForEachStep: ("items", False, False),
    LoopStep: ("until", False, True),
    WaitStep: ("until", True, False),
    CommandStep: ("run", True, False),
}
"""The key of a type's text, and `TemplateText.is_template` and `within` of it."""


def texts_of_step(placed: PlacedStep) -> Iterator[TemplateText]:
    """Yield the texts of a step, without those of the steps within it."""
    config, path = placed.step.config, placed.path
    if placed.step.when:
        yield TemplateText((*path, "when"), placed.step.when, is_template=False, step=placed)
    if type(config) in _TEXTS:
        key, is_template, within = _TEXTS[type(config)]
        if text := getattr(config, key):
            yield TemplateText((*path, key), text, is_template, placed, within)
    if isinstance(config, ConditionalStep):
        for number, case in enumerate(config.cases):
            yield TemplateText((*path, "cases", number, "when"), case.when, is_template=False, step=placed)
    if isinstance(config, SubWorkflowStep):
        for inner, value in _texts_in(config.inputs, (*path, "inputs")):
            yield TemplateText(inner, value, is_template=True, step=placed)


def _texts_in(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    match value:
        case str():
            yield path, value
        case Mapping():
            for name, inner in value.items():
                yield from _texts_in(inner, (*path, name))
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from _texts_in(inner, (*path, number))
        case _:
            pass
