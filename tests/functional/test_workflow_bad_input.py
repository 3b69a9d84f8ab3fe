"""Workflows that nothing should be started from: a typed error that names the place and the remedy, and no change."""

from itertools import pairwise

import pytest

from aura_contracts.errors import CyclicDefinitions, InvalidFile, TransitionRefused, WorkflowRunFailed
from aura_contracts.failures import FailureReason
from aura_contracts.workflow import (
    CommandStep,
    EndStep,
    StepDefinition,
    SubWorkflowStep,
    WorkflowDefinition,
    WorkflowStatus,
)

pytestmark = pytest.mark.anyio

HEAD = "name: bad\nsteps:\n"

BOMB = "a: &a [x, x]\n" + "".join(f"{new}: &{new} [*{old}, *{old}]\n" for old, new in pairwise("abcdefghi"))

FILES = {
    "of 10 MB": (HEAD + "  - {id: a, type: end}\n" + "#" * 10_000_000, "too_large"),
    "of 10,000 steps": (HEAD + "".join(f"  - {{id: s{n}, type: end}}\n" for n in range(10_000)), None),
    "a YAML bomb": (BOMB + HEAD + "  - {id: a, type: end}\n", "anchor"),
    "an anchor": (HEAD + "  - &a {id: a, type: end}\n", "anchor"),
}


def defined(name, *configs, **fields):
    steps = tuple(StepDefinition(id=f"s{number}", config=config, **fields) for number, config in enumerate(configs))
    return WorkflowDefinition(name=name, steps=steps)


@pytest.mark.parametrize("what", FILES)
async def test_files_are_refused_as_they_are_read(opened, tmp_path, what):
    content, code = FILES[what]
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    async with opened() as engine:
        with pytest.raises(InvalidFile) as refusal:
            await engine.workflows.read(file)
        faults = refusal.value.faults
        assert code is None or code in {fault.code for fault in faults}
        assert all(fault.line >= 1 and fault.message for fault in faults)
        assert len(faults) <= 100
        assert await engine.events.head() == 0


TEMPLATES = {
    "loops": ("{% for a in range(999999) %}{% for b in range(999999) %}x{% endfor %}{% endfor %}", ""),
    "grows": ("{{ ('x' * 999999) * 999999 }}", ""),
    "reads a file": ("{% include '/etc/passwd' %}", ""),
    "reaches the interpreter": ("{{ inputs.__class__.__mro__[1].__subclasses__() }}", ""),
    "a condition that is a number": ("true", "1 + 1"),
}


@pytest.mark.parametrize("what", TEMPLATES)
async def test_templates_fail_the_step_before_it_starts_anything(opened, repository, monkeypatch, what):
    monkeypatch.chdir(repository)
    run, when = TEMPLATES[what]
    async with opened() as engine:
        workflow = await engine.workflows.start(defined("bad", CommandStep(run=run), when=when))
        with pytest.raises(WorkflowRunFailed, match="s0"):
            await workflow.result()
        (step,) = (await workflow.state()).steps.values()
        assert (step.status, step.failure.reason, step.attempts) == ("failed", FailureReason.EXPRESSION_ERROR, 0)
        assert not (await engine.tasks.list()).rows


async def test_what_would_start_itself_through_another_is_refused(opened):
    async with opened() as engine:
        await engine.workflows.create(defined("one", SubWorkflowStep(workflow="other")))
        await engine.workflows.create(defined("other", SubWorkflowStep(workflow="one")))
        before = await engine.events.head()
        with pytest.raises(CyclicDefinitions, match="one@1 > other@1 > one"):
            await engine.workflows.start("one")
        assert await engine.events.head() == before
        assert not (await engine.workflows.list()).rows


async def test_a_signal_to_what_has_ended_is_refused(opened):
    async with opened() as engine:
        run = await engine.workflows.start(defined("over", EndStep(status=WorkflowStatus.COMPLETED)))
        ended, before = await run.result(), await engine.events.head()
        with pytest.raises(TransitionRefused) as refusal:
            await engine.workflows.signal(run.id, "go", 1)
        assert refusal.value.status == "completed"
        assert await engine.workflows.get(run.id) == ended
        assert await engine.events.head() == before
