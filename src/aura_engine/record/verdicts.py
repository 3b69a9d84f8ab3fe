"""Verdicts: what humans decided about the work of agents, counted by cell. Pure.

A cell is the work of one agent with one executor and model, for one type of task, of one kind: what an agent achieves
with another model, or at another type of work, says little about it here.
"""

import re
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


class _Share(NamedTuple):
    """Verdicts, and how many of them approved."""

    approved: int = 0
    decided: int = 0

    @classmethod
    def of(cls, parts: Iterable[Received]) -> Self:
        """Return the sum of several parts."""
        listed = list(parts)
        return cls(sum(each.approved for each in listed), sum(each.decided for each in listed))

    def without(self, *others: "_Share") -> "_Share":
        """Return those that are in none of several parts of it."""
        approved, decided = (sum(each) for each in zip(*others, strict=True))
        return _Share(self.approved - approved, self.decided - decided)


class AssessedAgent(NamedTuple):
    """An agent as its profile has it now, for whose work something is expected."""

    agent_id: str
    agent_type: str
    executor: str
    model: str = ""
    """As the profile names it; empty if that is left to the executor."""

    def did(self, cell: Cell) -> bool:
        """Whether the work of a cell is of this very kind: of its type, with its executor and model.

        Programs report the full name of a model for which profiles have a short one: ``opus`` is
        ``claude-opus-4-1``, and ``gpt-5`` is ``gpt-5-2025-08-07``, but neither ``gpt-5-mini`` nor ``gpt-5.1``.
        """
        if (cell.agent_id, cell.agent_type, cell.executor) != (self.agent_id, self.agent_type, self.executor):
            return False
        return cell.model is None or not self.model or _is_called(cell.model.casefold(), self.model.casefold())


def _is_called(full: str, short: str) -> bool:
    """Whether a short name, or the full one itself, means a model: after it comes its version, and nothing else."""
    versions = _RELEASE if short[-1].isdigit() else _VERSION
    return re.search(rf"(?<![a-z0-9]){re.escape(short)}{versions}$", full) is not None


_RELEASE: Final = r"(?:[-@](?:\d{4}-\d\d-\d\d|\d{4}|\d{6}|\d{8}|latest))?(?:-v\d+(?::\d+)?)?(?:\[\w+\])?"
"""What may follow a name that ends with its version: when, and how, that was released."""

_VERSION: Final = rf"(?:[-.]?\d{{1,3}}(?!\d))*{_RELEASE}"
"""What may follow the name of a family of models."""

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

    position: int = 0
    """That position, as far as the one who counts knows it."""
    _cells: dict[str | None, dict[Cell, Received]] = attrs.field(factory=dict)
    """By agent."""
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
            self._cells.setdefault(one.agent_id, {}).setdefault(cell, Received()).add(one)
            if one.kind == ApprovalKind.CHANGES:
                agent, agent_type = one.agent_id or "", one.agent_type or ""
                for key in ((agent, agent_type), (agent, None), (None, agent_type), (None, None)):
                    self._changes.setdefault(key, Received()).add(one)
            approved = one.verdict is Milestone.APPROVED
            if one.confidence is not None and one.kind in PROPOSALS:
                self._stated.setdefault(one.agent_id, Counter())[one.confidence, approved] += one.count

    def cells_of(self, agent_id: str) -> dict[Cell, Received]:
        """Return how an agent's work was received, by cell."""
        return dict(self._cells.get(agent_id, {}))

    def answers_of(self, agent_id: str) -> list[Answer]:
        """Return the confidences that an agent stated in proposals, and whether humans approved."""
        return list(self._stated.get(agent_id, Counter()).elements())

    def so_far(self, evidence: Evidence, kind: ApprovalKind) -> RecordSoFar | None:
        """Return what policies may know: the verdicts of this very cell; None without an agent, or of another kind."""
        if evidence.agent_id is None or kind not in JUDGED:
            return None
        cell = Cell(evidence.agent_id, evidence.executor, evidence.model, evidence.task_type, str(kind))
        received = self._cells.get(cell.agent_id, {}).get(cell, _NOTHING)
        known = received.decided >= ENOUGH
        return RecordSoFar(count=received.decided, lower_bound=received.acceptance.lower if known else None)

    @property
    def of_changes(self) -> int:
        """How many are about changes: what is expected of agents differs only if this does."""
        return self._changes.get((None, None), _NOTHING).decided

    def expected(self, agent: AssessedAgent) -> Posterior:
        """Return what to expect of an agent's changes for tasks of its type, with its executor and model.

        Its own such verdicts count for the most; its others, those of other agents for this type, and all others, are
        the prior of what is narrower.
        """
        keys = ((agent.agent_id, None), (agent.agent_id, agent.agent_type), (None, agent.agent_type), (None, None))
        own, of_type, same, every = (_Share.of([self._changes.get(key, _NOTHING)]) for key in keys)
        cells = self._cells.get(agent.agent_id, {}).items()
        here = _Share.of(received for cell, received in cells if cell.kind == ApprovalKind.CHANGES and agent.did(cell))
        others = same.without(of_type)
        return pooled([every.without(own, others), others, own.without(here), here])
