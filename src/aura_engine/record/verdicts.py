"""Verdicts: what humans decided about the work of agents, counted by cell. Pure.

A cell is the work of one agent with one executor and model, for one type of task, of one kind: what an agent achieves
with another model, or at another type of work, says little about it here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import attrs

from aura_contracts.approval import ApprovalKind, Evidence, RecordSoFar
from aura_contracts.ports.milestones import Milestone, VerdictCount
from aura_engine.record.acceptance import ENOUGH, Acceptance, Posterior, pooled
from aura_engine.record.calibration import Answer

PROPOSALS: Final = (ApprovalKind.PLAN, ApprovalKind.CHANGES, ApprovalKind.DECOMPOSITION)
"""The kinds of question about an agent's own work."""

JUDGED: Final = frozenset({*PROPOSALS, ApprovalKind.TOOL_CALL})
"""The kinds of question whose answer says something about the agent; that to a question of its own does not."""


class Cell(NamedTuple):
    """What is counted together; see the module. `agent_id` is None for work without an agent of AURA."""

    agent_id: str | None
    executor: str | None
    model: str | None
    agent_type: str | None
    kind: str


@attrs.define
class Received:
    """How the work of a cell was received."""

    approved: int = 0
    rejected: int = 0
    needs_changes: int = 0
    at_once: int = 0
    """Approved without having been sent back before."""

    @property
    def decided(self) -> int:
        """All verdicts."""
        return self.approved + self.rejected + self.needs_changes

    @property
    def acceptance(self) -> Acceptance:
        """What these verdicts say."""
        return Acceptance.of(self.approved, self.decided)

    def add(self, one: VerdictCount) -> None:
        """Count more verdicts."""
        name = _FIELD_OF[one.verdict]
        setattr(self, name, getattr(self, name) + one.count)
        if one.verdict is Milestone.APPROVED and not one.rounds:
            self.at_once += one.count

    def without(self, *others: "Received") -> tuple[int, int]:
        """Return (approved, decided) of those that are in none of several parts of it."""
        approved = self.approved - sum(each.approved for each in others)
        return approved, self.decided - sum(each.decided for each in others)


_NOTHING: Final = Received()
_FIELD_OF: Final[Mapping[Milestone, str]] = MappingProxyType(
    {
        Milestone.APPROVED: "approved",
        Milestone.REJECTED: "rejected",
        Milestone.NEEDS_CHANGES: "needs_changes",
    }
)


@attrs.define(eq=False)
class Verdicts:
    """All verdicts of humans up to a position of the log."""

    _cells: dict[Cell, Received] = attrs.field(factory=dict)
    _changes: dict[tuple[str | None, str | None], Received] = attrs.field(factory=dict)
    """How changes were received, by agent and type of task; None stands for any."""
    _stated: dict[str | None, Counter[Answer]] = attrs.field(factory=dict)
    """By agent, the confidences it stated in proposals, each with whether humans approved."""

    @classmethod
    def of(cls, counts: Iterable[VerdictCount]) -> Self:
        """Return the verdicts that `counts` are."""
        verdicts = cls()
        verdicts.add(counts)
        return verdicts

    def add(self, counts: Iterable[VerdictCount]) -> None:
        """Count more verdicts."""
        for one in counts:
            cell = Cell(one.agent_id, one.executor, one.model, one.agent_type, one.kind)
            self._cells.setdefault(cell, Received()).add(one)
            if one.kind == ApprovalKind.CHANGES:
                agent, agent_type = one.agent_id or "", one.agent_type or ""
                for key in ((agent, agent_type), (agent, None), (None, agent_type), (None, None)):
                    self._changes.setdefault(key, Received()).add(one)
            approved = one.verdict is Milestone.APPROVED
            if one.confidence is not None and one.kind in PROPOSALS:
                self._stated.setdefault(one.agent_id, Counter())[one.confidence, approved] += one.count

    def cells_of(self, agent_id: str) -> dict[Cell, Received]:
        """Return how an agent's work was received, by cell."""
        return {cell: received for cell, received in self._cells.items() if cell.agent_id == agent_id}

    def answers_of(self, agent_id: str) -> list[Answer]:
        """Return the confidences that an agent stated in proposals, and whether humans approved."""
        return list(self._stated.get(agent_id, Counter()).elements())

    def so_far(self, evidence: Evidence, kind: ApprovalKind) -> RecordSoFar | None:
        """Return what policies may know: the verdicts of this very cell; None without an agent, or of another kind."""
        if evidence.agent_id is None or kind not in JUDGED:
            return None
        cell = Cell(evidence.agent_id, evidence.executor, evidence.model, evidence.task_type, str(kind))
        received = self._cells.get(cell, _NOTHING)
        known = received.decided >= ENOUGH
        return RecordSoFar(count=received.decided, lower_bound=received.acceptance.lower if known else None)

    def expected(self, agent_id: str, agent_type: str) -> Posterior:
        """Return what to expect of an agent's changes for a type of task, whatever its model.

        Its own verdicts count for the most; those for other types, of other agents for this type, and all others, are
        the prior of what is narrower.
        """
        keys = ((agent_id, agent_type), (agent_id, None), (None, agent_type), (None, None))
        here, own, same, every = (self._changes.get(key, _NOTHING) for key in keys)
        rest = every.approved - same.approved - own.approved + here.approved
        decided = every.decided - same.decided - own.decided + here.decided
        return pooled([(rest, decided), same.without(here), own.without(here), here.without()])
