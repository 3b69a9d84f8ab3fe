"""Back-test: which past answers other policies would change. Pure: it looks at nothing but what was recorded.

Of a tool call, the log has the arguments without secrets, so a rule that matches a part with a secret is not seen.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from aura_contracts.approval import Approval, ApprovalDecision, ApprovalKind, PolicyVerdict
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.plain_data import Plain
from aura_engine.policy.conditions import PolicySubject
from aura_engine.policy.rulebook import Rulebook

_REFUSALS = frozenset({ApprovalDecision.REJECTED, ApprovalDecision.NEEDS_CHANGES})


class ChangedVerdict(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A past question that other policies would have answered, or asked, in another way."""

    approval: ApprovalId
    was: PolicyVerdict
    """The verdict in effect; an answer given in advance counts as the one it gave."""
    would_be: PolicyVerdict
    rules: tuple[str, ...] = ()
    """The rules that match."""
    decision: ApprovalDecision | None = None
    """What humans decided; None if they did not."""
    kind: ApprovalKind
    task: TaskId | None = None
    requested_at: datetime

    @property
    def refused(self) -> bool:
        """Whether a human refused what would be approved."""
        return self.decision in _REFUSALS and self.would_be is PolicyVerdict.APPROVE


def changed_verdicts(book: Rulebook, approvals: Iterable[Approval]) -> list[ChangedVerdict]:
    """Return the changes that `book` would make: first what humans refused and it approves, then by direction."""
    changed = [one for approval in approvals if (one := _changed(book, approval)) is not None]
    return sorted(changed, key=_order)


def _changed(book: Rulebook, approval: Approval) -> ChangedVerdict | None:
    would_be, matched = book.verdict(PolicySubject.recorded(approval), approval.id)
    was = _was(approval)
    held_back = any(match.verdict is PolicyVerdict.REJECT for match in matched)
    if would_be is PolicyVerdict.ASK and not held_back and _is_given_in_advance(approval):
        would_be = PolicyVerdict.APPROVE
    if would_be is was or (was is PolicyVerdict.REJECT and _is_refused_by_run(approval)):
        return None
    return ChangedVerdict(
        approval=approval.id,
        was=was,
        would_be=would_be,
        rules=tuple(dict.fromkeys(match.rule for match in matched)),
        decision=None if approval.automatic else approval.decision,
        kind=approval.kind,
        task=approval.task_id,
        requested_at=approval.requested_at,
    )


def _was(approval: Approval) -> PolicyVerdict:
    if approval.automatic:
        return PolicyVerdict.APPROVE if approval.decision is ApprovalDecision.APPROVED else PolicyVerdict.REJECT
    never = approval.policy is not None and approval.policy.verdict is PolicyVerdict.NEVER
    return PolicyVerdict.NEVER if never else PolicyVerdict.ASK


def _is_given_in_advance(approval: Approval) -> bool:
    """Whether an approval mode, a rule of the run or a remembered answer approved it, rather than a policy."""
    by_policy = approval.policy is not None and approval.policy.verdict is PolicyVerdict.APPROVE
    return approval.automatic and approval.decision is ApprovalDecision.APPROVED and not by_policy


def _is_refused_by_run(approval: Approval) -> bool:
    """Whether a rule of the run refused it, which no policy changes."""
    return approval.policy is None or approval.policy.verdict is not PolicyVerdict.REJECT


def _order(change: ChangedVerdict) -> tuple[bool, int, int, float]:
    """Sort by how dangerous a change is: to approve more, then to refuse more, then to ask."""
    return not change.refused, _DIRECTIONS[change.would_be], change.was.rank, -change.requested_at.timestamp()


_DIRECTIONS = {PolicyVerdict.APPROVE: 0, PolicyVerdict.REJECT: 1, PolicyVerdict.ASK: 2, PolicyVerdict.NEVER: 3}
