"""Evaluation: expressions and templates, evaluated where a step is, and what their values say about it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from aura_contracts.aggregate import Command
from aura_contracts.errors import ExpressionError
from aura_contracts.workflow import (
    ChooseCase,
    CompleteWorkflow,
    ConditionalStep,
    DecideStep,
    EndRound,
    ExpandStep,
    ForEachStep,
    LoopStep,
    Workflow,
    definition_of,
)
from aura_engine.orchestration import expressions
from aura_engine.orchestration.acts import Act, StepInquiry
from aura_engine.orchestration.scope import scope_of


@attrs.frozen
class Evaluation:
    """Evaluates the texts of one step. All methods raise `ExpressionError`."""

    _scope: Mapping[str, object]
    _step_id: str

    @classmethod
    def of(cls, workflow: Workflow, step_id: str) -> "Evaluation":
        """Return what evaluates the texts of a step, by its address."""
        return cls(scope_of(workflow, step_id), step_id)

    def text(self, template: str, field: str) -> str:
        """Return the text of a template."""
        return expressions.render(template, self._scope, field=field)

    def value(self, value: Any, field: str) -> Any:
        """Return a value with all texts in it rendered."""
        return expressions.rendered(value, self._scope, field=field)

    def instant(self, template: str, field: str) -> datetime:
        """Return the instant that a template writes, as ISO 8601 with a zone."""
        text = self.text(template, field).strip()
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.utcoffset() is None:
            reason, remedy = f"{text[:80]!r} is not an instant", "write it as 2026-03-01T09:00:00+01:00"
            raise ExpressionError(field=field, step=self._step_id, line=1, reason=reason, remedy=remedy)
        return moment


def evaluate(workflow: Workflow, act: Act) -> Command[Workflow]:
    """Return what the value of the expression that an act asks about says. Raises `ExpressionError`."""
    if act.what is StepInquiry.OUTPUTS:
        scope, outputs = scope_of(workflow, ""), workflow.definition.outputs
        values = {name: expressions.evaluate(one, scope, field=f"outputs.{name}") for name, one in outputs.items()}
        return CompleteWorkflow(outputs=values)
    step, definition = workflow.steps[act.step_id], definition_of(workflow, act.step_id)
    scope, config = scope_of(workflow, act.step_id), definition.config
    match act.what, config:
        case StepInquiry.WHEN, _:
            return DecideStep(step_id=step.id, runs=expressions.is_true(definition.when, scope))
        case StepInquiry.CASE, ConditionalStep(cases=cases):
            holds = (
                number
                for number, case in enumerate(cases)
                if expressions.is_true(case.when, scope, field=f"cases[{number}].when")
            )
            return ChooseCase(step_id=step.id, outcome=next(holds, len(cases)))
        case StepInquiry.ITEMS, ForEachStep(items=items, limit=limit):
            return ExpandStep(step_id=step.id, items=expressions.items_of(items, scope, limit=limit))
        case StepInquiry.UNTIL, LoopStep(until=until):
            scope = scope_of(workflow, f"{step.id}[{step.round}]")
            return EndRound(step_id=step.id, done=expressions.is_true(until, scope, field="until"))
    raise AssertionError(f"{act} asks about no expression of its step")
