"""Audit: evidence that the log has not been altered."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import attrs

from aura_contracts.ledger import LEDGER_ID, Checkpointed
from aura_contracts.ports.archive import AuditReport, Progress, SealedEvent
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.unit_of_work import not_found


@gated
@attrs.frozen
class Audit:
    """Verification, checkpoints and exports. None of them needs the encryption key."""

    _core: Core

    async def get(self, position: int) -> Checkpointed:
        """Return the checkpoint of the log up to `position`. Raises `AggregateNotFound`."""
        for checkpoint in await self.list():
            if checkpoint.upto == position:
                return checkpoint
        raise not_found("checkpoint", str(position))

    async def list(self) -> Sequence[Checkpointed]:
        """Return the checkpoints recorded in the log, oldest first."""
        facts = await self._core.log.facts(LEDGER_ID)
        return [fact.event for fact in facts if isinstance(fact.event, Checkpointed)]

    async def verify(
        self, *, roots: Mapping[int, str] | None = None, on_progress: Progress | None = None
    ) -> AuditReport:
        """Check every event against its seal, and against `roots` (hex, by position) kept elsewhere.

        Damage is reported, not raised: `report.first_bad` names the first event that was changed, moved or removed.
        """
        return await self._core.archive.verify(roots or {}, on_progress)

    async def checkpoint(self, *, by: str | None = None) -> Checkpointed:
        """Verify the log and record its root hash; keep a copy elsewhere to detect changes. Raises `LogDamaged`."""
        actor = await self._core.require_member("ledger", LEDGER_ID, "checkpoint", by)
        return await self._core.archive.checkpoint(actor)

    async def export(self, *, since: int = 0, upto: int | None = None) -> AsyncGenerator[SealedEvent, None]:
        """Yield the sealed rows after position `since`, up to `upto`, with their events, for an auditor."""
        async with aclosing(self._core.archive.export(since, upto)) as rows:
            async for row in rows:
                yield row
