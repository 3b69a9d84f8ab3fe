"""Agent record: all that is known of how an agent's work was received, with its evidence. Pure."""

from collections.abc import Mapping
from typing import Self

import msgspec

from aura_contracts.plain_data import Plain
from aura_contracts.ports.milestones import Milestone
from aura_engine.record.acceptance import Acceptance
from aura_engine.record.calibration import Calibration
from aura_engine.record.verdicts import JUDGED, PROPOSALS, Verdicts


class CellRecord(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """How humans received an agent's work of one kind, with one executor and model, for one type of task."""

    kind: str
    agent_type: str | None
    executor: str | None
    model: str | None
    """None if the agent's program did not name it."""
    acceptance: Acceptance
    rejected: int
    needs_changes: int
    at_once: int
    """Approved without having been sent back before; the others of `acceptance.approved` were revised."""


class AgentRecord(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """How an agent's work was received; only answers of humans count.

    Acceptance is not quality: what came back afterwards is counted apart.
    """

    agent_id: str
    acceptance: Acceptance
    """Of its proposals: plans, changes and decompositions, whatever the model and the type of task."""
    cells: tuple[CellRecord, ...] = ()
    """With tool calls; those with most verdicts first."""
    calibration: Calibration
    """Of the confidence that it stated with proposals."""
    completed: int = 0
    """Tasks; one that was reopened and completed again counts twice."""
    failed: int = 0
    cancelled: int = 0
    reopened: int = 0
    """Completed tasks that a human had continued."""
    repaired: int = 0
    """Tasks that were created to repair its work."""
    reverted: int = 0
    """Merged work that was undone."""

    @classmethod
    def of(cls, agent_id: str, verdicts: Verdicts, reached: Mapping[Milestone, int]) -> Self:
        """Return the record of an agent; `reached` is how often its tasks ended, and what came back."""
        cells = {cell: received for cell, received in verdicts.cells_of(agent_id).items() if cell.kind in JUDGED}
        own = [received for cell, received in cells.items() if cell.kind in PROPOSALS]
        approved, decided = sum(each.approved for each in own), sum(each.decided for each in own)
        names = (Milestone.COMPLETED, Milestone.FAILED, Milestone.CANCELLED)
        after = (Milestone.REOPENED, Milestone.REPAIRED, Milestone.REVERTED)
        listed = [
            CellRecord(
                kind=cell.kind,
                agent_type=cell.agent_type,
                executor=cell.executor,
                model=cell.model,
                acceptance=received.acceptance,
                rejected=received.rejected,
                needs_changes=received.needs_changes,
                at_once=received.at_once,
            )
            for cell, received in cells.items()
        ]
        return cls(
            agent_id=agent_id,
            acceptance=Acceptance.of(approved, decided),
            cells=tuple(sorted(listed, key=_order)),
            calibration=Calibration.of(verdicts.answers_of(agent_id)),
            **{str(name): reached.get(name, 0) for name in (*names, *after)},
        )


def _order(cell: CellRecord) -> tuple[int, str, str, str, str]:
    names = (cell.kind, cell.agent_type or "", cell.executor or "", cell.model or "")
    return (-cell.acceptance.decided, *names)
