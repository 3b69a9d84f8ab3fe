"""Starts: what steps need from outside of their workflow to start: a task, an approval, a sub-workflow, an instant."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import attrs
from msgspec.structs import replace

from aura_contracts.actors import ENGINE, actor_kind, actor_name
from aura_contracts.approval import ApprovalKind, Question, RequestApproval
from aura_contracts.quoting import one_line
from aura_contracts.workflow import (
    WORKFLOW,
    AgentTaskStep,
    ApprovalStep,
    CommandStep,
    ParentStep,
    StartStep,
    StartWorkflow,
    StepDefinition,
    SubWorkflowStep,
    WaitStep,
    Workflow,
    WorkflowStep,
    definition_of,
)
from aura_engine.orchestration.evaluation import Evaluation
from aura_engine.orchestration.orders import TaskOrder
from aura_engine.orchestration.outputs import asked_for
from aura_engine.orchestration.schemas import completed_inputs
from aura_engine.orchestration.step_ids import approval_of, child_of, task_of
from aura_engine.orchestration.world import LoadState, StepWorld, WorldChange, report
from aura_engine.policy.consultation import pose_unjudged
from aura_engine.unit_of_work import UnitOfWork

TITLE_LIMIT = 120
"""Characters of the title of a step's task."""


@attrs.frozen
class Starts:
    """Starts the steps of one workflow, as its driver sees it."""

    _world: StepWorld
    _load: LoadState
    now: datetime

    async def start(self, workflow: Workflow, step: WorkflowStep) -> WorldChange:
        """Look up all that a step needs, and return what starts it.

        Raises the errors of expressions, and of an order, a question or a reference that cannot be carried out.
        """
        definition = definition_of(workflow, step.id)
        evaluation = Evaluation.of(workflow, step.id)
        match definition.config:
            case AgentTaskStep() | CommandStep():
                return await self._task(workflow, step, definition, evaluation)
            case ApprovalStep() as config:
                return await self._approval(workflow, step, config, evaluation)
            case SubWorkflowStep() as config:
                return await self._child(workflow, step, config, evaluation)
            case WaitStep(until=until):
                moment = evaluation.instant(until, "until")
                return WorldChange(step.id, report(workflow.id, StartStep(step_id=step.id, until=moment)))
            case _:
                raise AssertionError(f"step {step.id} starts by itself")

    # --- Tasks --------------------------------------------------------------------------------------------------------

    async def _task(
        self, workflow: Workflow, step: WorkflowStep, definition: StepDefinition, evaluation: Evaluation
    ) -> WorldChange:
        config = definition.config
        assert isinstance(config, AgentTaskStep | CommandStep), "only these have tasks"
        if isinstance(config, CommandStep):
            text = evaluation.text(config.run, "run")
        else:
            text = evaluation.text(config.task_template, "task_template")
            text += "" if config.output is None else asked_for(config.output)
        attempt = step.attempts + 1
        task_id = task_of(workflow.id, step.id, attempt)
        order = TaskOrder(
            task_id=task_id,
            text=text,
            title=one_line(f"{workflow.name}: {definition.title or step.id}")[:TITLE_LIMIT],
            options={**_project(workflow), **workflow.definition.options, **config.options},
            context={"id": workflow.id, "name": workflow.name, "step": step.id, "attempt": attempt}
            | await self._root(workflow),
            on_behalf_of=await self._requester(workflow),
            is_command=isinstance(config, CommandStep),
            agent_type=config.agent_type if isinstance(config, AgentTaskStep) else None,
            requires_approval=isinstance(config, AgentTaskStep) and config.requires_approval,
            locks=definition.locks,
            priority=definition.priority,
        )
        create = await self._world.tasks.prepare(order)

        async def add(unit: UnitOfWork) -> None:
            await create(unit)
            await unit.handle(workflow.id, StartStep(step_id=step.id, task_id=task_id))

        return WorldChange(step.id, add, partial(self._world.drivers.take_on_part, task_id))

    async def _root(self, workflow: Workflow) -> dict[str, str]:
        """Return the id of the outermost workflow that one is a step of: all tasks below it take turns as one."""
        above = workflow
        while above.parent is not None:
            around = await self._load(WORKFLOW, above.parent.workflow_id)
            if around is None:
                break
            above = around
        return {} if above is workflow else {"root": above.id}

    async def _requester(self, workflow: Workflow) -> str | None:
        """Return the name of the human who started the workflow, or the one that it is a step of."""
        above: Workflow | None = workflow
        while above is not None:
            if actor_kind(above.created_by) == "human":
                return actor_name(above.created_by)
            above = None if above.parent is None else await self._load(WORKFLOW, above.parent.workflow_id)
        return None

    # --- Approvals ----------------------------------------------------------------------------------------------------

    async def _approval(
        self, workflow: Workflow, step: WorkflowStep, config: ApprovalStep, evaluation: Evaluation
    ) -> WorldChange:
        approval_id = approval_of(workflow.id, step.id, step.attempts + 1)
        requester = await self._requester(workflow)
        own = () if requester is None or config.no_self_approval else (requester,)
        later = {name for level in config.levels for name in level.reviewers}
        question = Question(
            kind=ApprovalKind.WORKFLOW_STEP,
            reviewers=tuple(name for name in (*own, *config.reviewers) if name not in later),
            workflow_id=workflow.id,
            step_id=step.id,
            proposed_solution=evaluation.text(config.question, "question"),
            choices=config.choices,
            quorum=config.quorum,
            levels=config.levels,
            barred=(requester,) if requester is not None and config.no_self_approval else (),
            deadline=None if config.deadline is None else self.now + timedelta(seconds=config.deadline),
            on_expiry=config.on_expiry,
        )
        book = await self._world.runtime.policies.book()
        request = RequestApproval(approval_id=approval_id, question=question)

        async def add(unit: UnitOfWork) -> None:
            await pose_unjudged(unit, book, request)
            await unit.handle(workflow.id, StartStep(step_id=step.id, approval_id=approval_id))

        return WorldChange(step.id, add)

    # --- Sub-workflows ------------------------------------------------------------------------------------------------

    async def _child(
        self, workflow: Workflow, step: WorkflowStep, config: SubWorkflowStep, evaluation: Evaluation
    ) -> WorldChange:
        child_id = child_of(workflow.id, step.id, step.attempts + 1)
        found = await self._world.library.pinned(config.workflow, workflow.pins)
        given: Mapping[str, Any] = evaluation.value(config.inputs, "inputs")
        start = StartWorkflow(
            workflow_id=child_id,
            definition=replace(found.definition, options={**workflow.definition.options, **found.definition.options}),
            inputs=completed_inputs(found.definition.inputs, given),
            context=found.definition.context,
            parent=ParentStep(workflow.id, step.id),
            pins=workflow.pins,
            revision=str(found),
        )

        async def add(unit: UnitOfWork) -> None:
            await unit.acting_as(ENGINE).handle(child_id, start)
            await unit.handle(workflow.id, StartStep(step_id=step.id, child_id=child_id))

        return WorldChange(step.id, add, partial(self._world.drivers.take_on_workflow, child_id))


def _project(workflow: Workflow) -> dict[str, Any]:
    return {} if workflow.project is None else {"project": workflow.project}
