"""What the expressions of a step may read, from its own place in the definition and the state."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from aura_contracts.actors import Actor
from aura_contracts.errors import ExpressionError, MissingName, MissingOutput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import WorkflowId
from aura_contracts.workflow import StepStatus, Workflow, WorkflowDefinition, WorkflowStatus, WorkflowStep
from aura_contracts.workflow.outline import outline_of
from aura_contracts.workflow.values import (
    Case,
    CommandStep,
    ConditionalStep,
    ForEachStep,
    LoopStep,
    ParallelStep,
    StepDefinition,
)
from aura_engine.orchestration.expressions import evaluate, is_true, items_of, render
from aura_engine.orchestration.scope import repeated_around, scope_of

STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def step(name: str, config: Any = None, **more: Any) -> StepDefinition:
    return StepDefinition(id=name, config=config or CommandStep(run="true"), **more)


DEFINITION = WorkflowDefinition(
    name="build",
    steps=(
        step("plan", compensation=step("unplan")),
        step("both", ParallelStep(steps=(step("left"), step("right")))),
        step(
            "choice", ConditionalStep(cases=(Case(when="true", steps=(step("chosen"),)),), otherwise=(step("other"),))
        ),
        step(
            "each",
            ForEachStep(
                items="steps.plan.output.files",
                steps=(
                    step("check"),
                    step("rework", LoopStep(until="true", limit=3, steps=(step("fix"), step("test")))),
                ),
            ),
            handler=(step("rescue"),),
            compensation=step("undo"),
        ),
        step("last"),
    ),
)


def state(*steps: WorkflowStep, **more: Any) -> Workflow:
    return Workflow(
        id=WorkflowId("0192f0c1-2d3e-7abc-8def-0123456789ab"),
        status=WorkflowStatus.ACTIVE,
        definition=DEFINITION,
        steps={one.id: one for one in steps},
        created_by=Actor("human:alice"),
        created_at=STARTED,
        **{"inputs": {"title": "Fix"}, "context": {"tries": 2}} | more,
    )


def done(address: str, result: Any = None, **more: Any) -> WorkflowStep:
    return WorkflowStep(id=address, status=StepStatus.COMPLETED, attempts=1, result=result, **more)


def at(address: str, status: StepStatus, **more: Any) -> WorkflowStep:
    return WorkflowStep(id=address, status=status, **more)


EACH = at("each", StepStatus.RUNNING, items=("a.py", {"name": "b.py"}), attempts=1)


def test_inputs_context_and_the_workflow_are_visible():
    scope = scope_of(state(), "plan")
    text = "{{ inputs.title }} {{ context.tries }} {{ workflow.name }} {{ workflow.id }}"
    assert render(text, scope) == "Fix 2 build 0192f0c1-2d3e-7abc-8def-0123456789ab"


def test_steps_of_the_own_block_and_of_static_containers_are_visible():
    workflow = state(
        done("plan", {"files": ["a.py"]}),
        done("both", {}),
        done("left", 1),
        done("right", 2),
        done("choice", {}, outcome=0),
        done("chosen", "c"),
        EACH,
    )
    scope = scope_of(workflow, "last")
    assert items_of("steps.plan.output.files", scope_of(workflow, "each")) == ("a.py",)
    assert evaluate("[steps.left.output, steps.right.output, steps.chosen.output]", scope) == [1, 2, "c"]
    assert evaluate("steps.choice.outcome", scope) == 0
    assert evaluate("steps['plan'].attempts", scope) == 1
    assert evaluate("steps.each.status", scope) == "running"
    assert evaluate("steps.left.output", scope_of(workflow, "chosen")) == 1
    assert evaluate("steps.plan.output", scope_of(workflow, "left")) == {"files": ["a.py"]}


def test_steps_within_items_and_rounds_are_visible_from_the_same_item_and_round_only():
    workflow = state(
        done("plan", "p"),
        EACH,
        done("each[0]/check", "first"),
        done("each[1]/check", "second"),
        at("each[1]/rework", StepStatus.RUNNING, round=2),
        done("each[1]/rework[1]/fix", "f1"),
        done("each[1]/rework[2]/fix", "f2"),
        done("each[1]/rework[2]/test", {"ok": True}),
    )
    inner = scope_of(workflow, "each[1]/rework[2]/test")
    assert evaluate("[steps.plan.output, steps.check.output, steps.fix.output]", inner) == ["p", "second", "f2"]
    assert evaluate("[item.name, index, round]", inner) == ["b.py", 1, 2]
    assert evaluate("steps.rework.status ~ steps.each.status", inner) == "runningrunning"
    assert evaluate("steps.fix.output", scope_of(workflow, "each[1]/rework[1]/test")) == "f1"
    assert evaluate("[item, index, steps.check.output]", scope_of(workflow, "each[0]/check")) == ["a.py", 0, "first"]
    assert is_true("steps.test.output.ok and round == 2", scope_of(workflow, "each[1]/rework[2]"))


def test_handlers_and_compensations_stand_outside_of_what_repeats():
    outline = outline_of(DEFINITION)
    assert {name: repeated_around(outline, name) for name in ("check", "rework", "test", "rescue", "undo", "last")} == {
        "check": ("each",),
        "rework": ("each",),
        "test": ("each", "rework"),
        "rescue": (),
        "undo": (),
        "last": (),
    }
    failure = Failure(FailureReason.STAGE_ERROR, "exit 1", exit_code=1)
    workflow = state(done("plan", 1), at("each", StepStatus.FAILED, failure=failure), at("rescue", StepStatus.RUNNING))
    scope = scope_of(workflow, "rescue")
    assert evaluate("steps.each.failure.reason ~ steps.each.failure.exit_code", scope) == "StageError1"
    assert evaluate("steps.plan.failure", scope) is None
    assert evaluate("steps.plan.output", scope_of(workflow, "unplan")) == 1


@pytest.mark.parametrize(
    ("expression", "address", "said"),
    [
        ("steps.check.output", "last", "it is within each, which repeats it; read steps.each.output"),
        ("steps.test.output", "each[0]/check", "it is within rework, which repeats it; read steps.rework.output"),
        ("steps.plna.output", "last", "did you mean plan?"),
        ("steps.plan.outptu", "last", "did you mean output?"),
        ("item", "last", "only the steps of a for_each have one"),
        ("round + 1", "each[0]/check", "only the steps of a loop have one"),
        ("output", "last", "name the step: steps.ID.output"),
        ("inputs.titel", "last", "did you mean title?"),
    ],
)
def test_what_is_not_visible_is_said_with_the_reason(expression: str, address: str, said: str):
    with pytest.raises(MissingName) as caught:
        evaluate(expression, scope_of(state(EACH), address), field="when")
    assert said in str(caught.value)
    assert (caught.value.step, caught.value.field) == (address, "when")


@pytest.mark.parametrize("status", [status for status in StepStatus if status is not StepStatus.COMPLETED])
def test_the_output_of_a_step_that_has_none_is_an_error_and_may_be_tested_for(status: StepStatus):
    scope = scope_of(state(at("plan", status, result="old")), "last")
    for part in ("", ".files[0].name", " == 1", " | upper"):
        expression = f"steps.plan.output{part}"
        with pytest.raises(MissingOutput) as caught:
            evaluate(expression, scope)
        assert (caught.value.source, caught.value.status, caught.value.step) == ("plan", str(status), "last")
        assert "default" in caught.value.remedy
    assert evaluate("steps.plan.status", scope) == status
    assert evaluate("steps.plan.output | default('none')", scope) == "none"
    assert evaluate("steps.plan.output.files[0] | default([])", scope) == []
    assert evaluate("steps.plan.output is defined", scope) is False
    assert render("{{ steps.plan.output | default('-') }}", scope) == "-"
    with pytest.raises(MissingOutput, match=r"line 2: step plan is .*, so it has no output"):
        render("a\n{{ steps.plan.output.text }}", scope)


def test_a_step_that_has_not_begun_is_pending_and_has_no_output():
    scope = scope_of(state(), "last")
    assert evaluate("steps.left.status", scope) == "pending"
    assert evaluate("steps.left.attempts", scope) == 0
    with pytest.raises(MissingOutput, match="step left is pending"):
        evaluate("steps.left.output", scope)


def test_an_output_of_null_is_an_output():
    assert evaluate("steps.plan.output is none", scope_of(state(done("plan")), "last")) is True


def test_steps_are_no_values_but_what_they_have_is():
    for expression in ("steps", "steps.plan", "[steps.plan]", "steps | list", "steps.plan | tojson", "steps.items()"):
        with pytest.raises(ExpressionError):
            evaluate(expression, scope_of(state(done("plan")), "last"))


def test_a_scope_copies_nothing_of_the_state():
    class Counted(dict[str, WorkflowStep]):
        reads = 0

        def __getitem__(self, key: str) -> WorkflowStep:
            self.reads += 1
            return super().__getitem__(key)

        def get(self, key: str, default: Any = None) -> Any:
            self.reads += 1
            return super().get(key, default)

        def __iter__(self) -> Any:
            raise AssertionError("all steps were read")

        items = values = keys = __iter__

    items = tuple(range(1000))
    steps = Counted({"each": at("each", StepStatus.RUNNING, items=items)})
    for number in items:
        dict.__setitem__(steps, f"each[{number}]/check", done(f"each[{number}]/check", number))
    workflow = replace(state(), steps=steps)
    assert evaluate("steps.check.output + item", scope_of(workflow, "each[700]/rework[1]/fix")) == 1400
    assert steps.reads <= 3
