"""Step tasks: makes the tasks of workflows' steps, in the way in which `Engine.run` and the pool make others."""

from collections.abc import Mapping
from typing import Any

import attrs

from aura_contracts.ids import TaskId
from aura_contracts.task import ApprovalMode, RetryPolicy, Task
from aura_engine import facade
from aura_engine.facade.core import Core
from aura_engine.facade.executors import Executors
from aura_engine.orchestration.orders import WORKFLOW_KEY, Add, TaskOrder
from aura_engine.runtime.views import view_in
from aura_engine.unit_of_work import UnitOfWork


@attrs.frozen
class FacadeStepTasks:
    """See `aura_engine.orchestration.orders.StepTasks`."""

    _core: Core

    async def prepare(self, order: TaskOrder) -> Add:
        options = _options(order)
        if order.is_command:
            script = {"base_command": "sh", "params": ("-c", order.text), "prompt_via": "none"}
            options |= {"executor": "custom", "approval": ApprovalMode.AUTO, "retry": RetryPolicy(max_attempts=1)}
            options["options"] = {**options.get("options", {}), **script}
        if "executor" in options:
            return await self._run(order, options)
        return await self._pooled(order, options)

    async def _run(self, order: TaskOrder, options: dict[str, Any]) -> Add:
        """Prepare a task for the executor that the options name."""
        request = facade.RunRequest.model_validate({"prompt": order.text, "title": order.title, **options}).located
        await Executors(self._core).check(request)
        return await facade.Placement(self._core).prepared(order.task_id, request, on_behalf_of=order.on_behalf_of)

    async def _pooled(self, order: TaskOrder, options: dict[str, Any]) -> Add:
        """Prepare a task for an agent of the pool."""
        own = (facade.HowToRun.model_fields.keys() | {"capabilities"}) - facade.Place.model_fields.keys()
        run = {name: value for name, value in options.items() if name in own}
        about = {name: value for name, value in options.items() if name not in own}
        if order.agent_type is not None:
            about["agent_type"] = order.agent_type
        given = facade.NewTask.model_validate({"title": order.title, "description": order.text, **about})
        placement = facade.Placement(self._core)
        create = await placement.created(order.task_id, given, on_behalf_of=order.on_behalf_of)
        assignment = facade.TaskAssignment(self._core, facade.Assignment.model_validate(run))

        async def add(unit: UnitOfWork) -> Task:
            await create(unit)
            return await assignment.enqueue(unit, order.task_id)

        return add

    async def cancel(self, unit: UnitOfWork, task_id: TaskId, reason: str) -> None:
        view = await view_in(unit, task_id)
        if not view.task.ended:
            await facade.cancel_tree(unit, view, reason, "its workflow")


def _options(order: TaskOrder) -> dict[str, Any]:
    """Return the options of the task, with what the step says."""
    options = dict(order.options)
    approval = ApprovalMode.CHANGES if order.requires_approval else options.get("approval", ApprovalMode.AUTO)
    context: Mapping[str, Any] = options.get("context") or {}
    locks = dict.fromkeys((*options.get("locks", ()), *order.locks))
    options |= {"approval": approval, "context": {**context, WORKFLOW_KEY: dict(order.context)}, "locks": tuple(locks)}
    if order.on_behalf_of is not None and not options.get("no_self_approval"):
        options["reviewers"] = tuple(dict.fromkeys((order.on_behalf_of, *options.get("reviewers", ()))))
    if order.priority is not None:
        options["priority"] = order.priority
    return options
