"""Executions: the runs of agents on tasks; `Engine.logs` has their output."""

from typing import Unpack

import attrs

from aura_contracts.execution import EXECUTION, Execution
from aura_contracts.ports.read_models import ExecutionQuery, Page
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import ExecutionFilters


@gated
@attrs.frozen
class Executions:
    """Every attempt at a task: its stage, prompt, sessions and failure. Commands go to the task; see `Engine.tasks`."""

    _core: Core

    async def get(self, execution: str) -> Execution:
        """Return an execution. Raises `AggregateNotFound`, `AmbiguousId`."""
        return await self._core.load(EXECUTION, execution)

    async def list(self, **filters: Unpack[ExecutionFilters]) -> Page[Execution]:
        """Return a page of executions, newest first; ``ended=False`` selects those that have not ended."""
        return await self._core.reads.list(ExecutionQuery(**filters))
