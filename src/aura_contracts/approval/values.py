"""The values of approvals: see `aura_contracts.approval`."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from aura_contracts.actors import system
from aura_contracts.approval.evidence import Evidence
from aura_contracts.events import Instant
from aura_contracts.ids import AgentId, ExecutionId, TaskId, WorkflowId
from aura_contracts.patches import LineAnchor

POLICY = system("policy")
"""The only actor besides humans that may decide: a rule that humans configured."""

REMIND_AFTER = 24 * 3600.0
"""Seconds until the first reminder, and between reminders (specification, "Approval Timeouts")."""

ESCALATE_AFTER = 48 * 3600.0
"""Seconds until the question is escalated (specification, "Approval Timeouts")."""

ANSWER_WITHIN = 24 * 3600.0
"""Seconds that an agent waits for the answer to a tool call; silence means no."""

WAIT_LIMIT = 366 * 24 * 3600.0
"""Seconds; what waits for more than a year is a typing error."""

LINK_LIFETIME = timedelta(days=31)
"""The longest that a link lives: what lies in an inbox is found by others in time."""


class WaitingTimes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How long questions wait where no policy says otherwise: above 0 seconds, and at most `WAIT_LIMIT`."""

    remind_after: float = REMIND_AFTER
    """Until the first reminder, and between reminders."""
    escalate_after: float = ESCALATE_AFTER
    """Until the question goes to more people, if it names any."""
    answer_within: float = ANSWER_WITHIN
    """Until no answer to a tool call means no."""

    def timed(self, question: "Question", at: datetime) -> "Question":
        """Return a question asked at `at` that waits as long as questions do without a policy."""
        calls = question.kind is ApprovalKind.TOOL_CALL
        deadline = at + timedelta(seconds=self.answer_within) if calls else question.deadline
        times = {"remind_after": self.remind_after, "escalate_after": self.escalate_after}
        return msgspec.structs.replace(question, deadline=deadline, **times)


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_CHANGES = "needs_changes"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class ApprovalKind(StrEnum):
    """The subject of the question."""

    PLAN = "plan"
    CHANGES = "changes"
    TOOL_CALL = "tool_call"
    """An agent asks for permission to use a tool."""
    DECOMPOSITION = "decomposition"
    MERGE_CONFLICT = "merge_conflict"
    LOCK_CONFLICT = "lock_conflict"
    """A task needs a lock that another one has."""
    QUESTION = "question"
    """An agent asks something in the middle of its work; the agent decides what to do with the answer."""
    WORKFLOW_STEP = "workflow_step"
    INSTRUCTIONS = "instructions"
    """An edit of an agent's own instructions, from what reviewers asked it for."""


class ApprovalDecision(StrEnum):
    """The three answers of the specification, section "Approval"."""

    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_CHANGES = "needs_changes"


class OnExpiry(StrEnum):
    """The meaning of no answer."""

    DENY = "deny"
    CONTINUE = "continue"
    """The work continues without approval (specification, "Approval Timeouts": configurable)."""


class Remember(StrEnum):
    """How long the answer to a tool call applies."""

    ONCE = "once"
    SESSION = "session"
    """The same call in the same agent session."""
    TASK = "task"
    """The same call in all runs of the task."""
    PATTERN = "pattern"
    """All calls that match the given pattern."""


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A tool call that an agent asks permission for. Secrets in `arguments` are already redacted.

    `fingerprint` is a digest that identifies the same call, even in a resumed session. `diff` is the change the call
    would make, as a unified diff, if known in advance.
    """

    tool: str
    fingerprint: str
    arguments: dict[str, Any] = {}
    diff: str | None = None


class Channel(StrEnum):
    """The edge through which an answer arrived."""

    CLI = "cli"
    LIBRARY = "library"
    MCP = "mcp"
    HTTP = "http"
    LINK = "link"
    """A page that a link opened: anyone who had the link may have answered, see `Ballot.link`."""


class AnswerSource(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where an answer came from: the edge, the machine, and the terminal or login session there; "" if unknown."""

    channel: Channel = Channel.LIBRARY
    host: str = ""
    session: str = ""


class Entitlement(StrEnum):
    """The rule by which a human could vote for a seat."""

    REVIEWER = "reviewer"
    """The seat is their own: they created the work, or were named to review it."""
    ESCALATION = "escalation"
    """The question was escalated to them."""
    DELEGATION = "delegation"
    """The owner of the seat delegated it, to them or to a person who delegated it to them."""


class Level(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A group of humans who are asked together, and how many of them must approve."""

    reviewers: tuple[str, ...]
    quorum: int = 1


class Delegation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who votes for a seat besides its owner, and until when; without an end until the question is closed."""

    delegate: str
    until: Instant | None = None
    reason: str = ""

    def holds(self, now: datetime | None) -> bool:
        """Whether it still applies at `now`; None asks whether it ever did."""
        return now is None or self.until is None or now < self.until


class LinkPurpose(StrEnum):
    """What a link is good for."""

    ANSWER = "answer"
    """It answers the question once, for its seat, and shows it."""
    VIEW = "view"
    """It shows the question, and answers nothing."""


class Link(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A link to a question: anyone who opens it before it expires may do what its purpose says.

    It proves that its user reads what was sent to `address`, not who they are.
    """

    id: str
    reviewer: str
    """The name of the human whom it was made out to."""
    seat: str
    """The seat that its answer counts for; "" if it only shows the question."""
    purpose: LinkPurpose = LinkPurpose.ANSWER
    address: str = ""
    """Where it was sent, such as an e-mail address; "" if AURA did not send it."""
    expires_at: Instant


class IssuedLink(Link, frozen=True, kw_only=True, gc=False):
    """A link, and what became of it; whether it was used is a vote's `link`."""

    issued_at: datetime
    revoked_at: datetime | None = None

    def is_alive(self, now: datetime) -> bool:
        """Whether it has neither expired nor been revoked at `now`."""
        return self.revoked_at is None and now < self.expires_at


class Ballot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One human's answer. `seat` is the seat it counts for: the reviewer's own name, or that of the delegator."""

    reviewer: str
    seat: str
    decision: ApprovalDecision
    feedback: str | None = None
    remember: Remember = Remember.ONCE
    pattern: str | None = None
    level: int = 1
    """The level that was asked, from 1."""
    entitlement: Entitlement = Entitlement.REVIEWER
    source: AnswerSource = AnswerSource()
    commits: dict[str, str] = {}
    """Repository -> the commit that the answer says was shown; empty if it names none."""
    link: str | None = None
    """The id of the link that it was given with: see `Approval.links`."""


class Vote(Ballot, frozen=True, kw_only=True, gc=False):
    """A ballot with the time it was cast."""

    time: datetime


class Comment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A comment on a line of the diff in question. An answer to another comment is about the line of that one."""

    id: str
    author: str
    """The name of the human who wrote it."""
    time: Instant
    anchor: LineAnchor
    text: str
    reply_to: str | None = None
    """The comment that begins its thread."""


class InstructionsEdit(msgspec.Struct, frozen=True, gc=False):
    """An edit of an agent's own instructions. It is made if they still are as they were `before`."""

    agent_id: AgentId
    before: str
    after: str


class Question(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The question: its subject, the people asked, and what happens without an answer."""

    kind: ApprovalKind
    reviewers: tuple[str, ...]
    """Names of the humans who may decide from the start: the creator and the assigned reviewers."""
    task_id: TaskId | None = None
    execution_id: ExecutionId | None = None
    workflow_id: WorkflowId | None = None
    step_id: str | None = None
    proposed_solution: str = ""
    confidence: float | None = None
    """The agent's confidence, 0 to 1."""
    choices: tuple[str, ...] = ()
    """The possible answers, if the question offers a choice."""
    tool_call: ToolCall | None = None
    edit: InstructionsEdit | None = None
    commits: dict[str, str] = {}
    """Repository -> the proposed commit. The approval covers this commit and nothing later."""
    quorum: int = 1
    """The number of reviewers who must approve."""
    levels: tuple[Level, ...] = ()
    """Those who are asked after the reviewers have approved: one level after another, and no one at two levels."""
    barred: tuple[str, ...] = ()
    """Names of the humans who may not decide, nor be delegated to: they asked for the work themselves."""
    deadline: Instant | None = None
    on_expiry: OnExpiry = OnExpiry.DENY
    remind_after: float | None = REMIND_AFTER
    """Seconds until the first reminder, and between reminders; None means never."""
    escalate_after: float | None = ESCALATE_AFTER
    """Seconds until the question goes to `escalate_to` as well; None means never."""
    escalate_to: tuple[str, ...] = ()
    """Names of the humans to escalate to."""
    evidence: Evidence = Evidence()
    """What policies can know about the subject."""
