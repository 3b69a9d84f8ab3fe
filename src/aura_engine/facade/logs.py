"""Logs: the raw output of agents, and the execution log of their actions."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Unpack

import attrs

from aura_contracts.ids import ExecutionId, output_stream
from aura_contracts.output import Chunk, OutputRecorded
from aura_contracts.ports.read_models import ExecutionLogQuery
from aura_contracts.ports.rows import ExecutionLogRow, Page
from aura_engine import runtime
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import ExecutionLogFilters


@gated
@attrs.frozen
class Logs:
    """Output by execution, and entries of the execution log."""

    _core: Core

    async def get(self, execution: str) -> bytes:
        """Return all output of an execution's processes, stdout and stderr in order of arrival."""
        return b"".join([chunk.raw async for chunk in self.read(execution)])

    async def list(self, **filters: Unpack[ExecutionLogFilters]) -> Page[ExecutionLogRow]:
        """Return a page of the execution log: tool calls, messages, plans, failures; newest first."""
        return await self._core.reads.list(ExecutionLogQuery(**filters))

    async def read(self, execution: str) -> AsyncGenerator[Chunk, None]:
        """Yield the output of an execution in chunks with source and time; all of it may not fit in memory."""
        execution_id = ExecutionId(await self._core.find("execution", execution))
        async with aclosing(runtime.pieces(self._core.log, output_stream(execution_id))) as batches:
            async for facts in batches:
                for fact in facts:
                    if isinstance(fact.event, OutputRecorded):
                        for chunk in fact.event.chunks:
                            yield chunk
