"""Workflow kind: how workflows are driven, and what is left of them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import attrs

from aura_contracts.ids import StreamId, WorkflowId
from aura_contracts.ports.read_models import WorkflowQuery
from aura_contracts.workflow import WorkflowStatus
from aura_engine.orchestration.workflow_driver import WorkflowDriver
from aura_engine.orchestration.world import StepWorld
from aura_engine.runtime.subjects import Listeners, SubjectKind

DRIVEN = (WorkflowStatus.ACTIVE, WorkflowStatus.PAUSED, WorkflowStatus.CANCELLING, WorkflowStatus.COMPENSATING)
"""The statuses in which something of a workflow may run, or start."""


@attrs.frozen(eq=False)
class WorkflowKind(SubjectKind):
    """Workflows, as subjects of drivers."""

    _world: StepWorld
    name = "workflow"
    needs_worker = False

    def driver(self, subject_id: StreamId, listeners: Listeners, *, starts: bool) -> WorkflowDriver:
        return WorkflowDriver(self._world, WorkflowId(subject_id), listeners, starts=starts)

    async def has_work(self, subject_id: StreamId) -> bool:
        query = WorkflowQuery(id=WorkflowId(subject_id), status=DRIVEN)
        return bool((await self._world.runtime.reads.list(query)).rows)

    async def unfinished(self) -> AsyncGenerator[StreamId, None]:
        rows = self._world.runtime.reads.rows(WorkflowQuery(status=DRIVEN, descending=False))
        async with aclosing(rows) as workflows:
            async for workflow in workflows:
                yield workflow.id

    def taken(self, subject_id: StreamId) -> None:
        """Do nothing more: its driver does all."""
