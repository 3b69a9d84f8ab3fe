"""Evidence: what is known about a question when it is asked, and what policies made of it. Kept for back-tests."""

from enum import StrEnum
from typing import Any

import msgspec

from aura_contracts.ids import AgentId


class PolicyVerdict(StrEnum):
    """What a policy says about a question, the strongest first: of several rules that match, the strongest counts."""

    NEVER = "never"
    """Never without a human, whatever else would answer: an approval mode, a rule of the run, a remembered answer."""
    REJECT = "reject"
    """Rejected with the words of the rule, which the agent receives."""
    ASK = "ask"
    """A human is asked, unless an answer was given in advance."""
    APPROVE = "approve"
    """Approved without a human."""

    @property
    def rank(self) -> int:
        """0 for the strongest."""
        return _RANKS[self]


_RANKS = {verdict: rank for rank, verdict in enumerate(PolicyVerdict)}
_REFUSING = frozenset({PolicyVerdict.NEVER, PolicyVerdict.REJECT})


class ChangeSize(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The size of changes, as git counts it. Lines are those of text files."""

    files: int
    added: int = 0
    """Lines."""
    deleted: int = 0
    """Lines."""
    binary: int = 0
    """Files."""
    renames: int = 0
    """Files."""
    policies: int = 0
    """Policy files of the project."""
    paths: tuple[str, ...] | None = None
    """Of all changed files, the old paths of renamed ones included; None if there are too many to record."""
    repositories: dict[str, int] = {}
    """How many of `paths` are of each repository, in their order; empty in old questions."""


class CommandRun(msgspec.Struct, frozen=True, gc=False):
    """The last time that a command ran in an execution, as the agent's program reported it."""

    command: str
    exit_code: int
    stale: bool = False
    """Whether files were changed after it."""


class RecordSoFar(msgspec.Struct, frozen=True, gc=False):
    """How humans received an agent's work of one kind before, with one model, for one type of task."""

    count: int
    """How many times they decided about it."""
    lower_bound: float | None = None
    """Of the share that they approved, the lower end of the 90 % interval; None after too few decisions."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known about the subject of a question when it is asked; None means unknown."""

    agent: str | None = None
    """The name of the agent."""
    agent_id: AgentId | None = None
    executor: str | None = None
    model: str | None = None
    task_type: str | None = None
    """The type of agent that the task is for."""
    priority: str | None = None
    project: str | None = None
    labels: tuple[str, ...] | None = None
    creator: str | None = None
    """The human who created the task, or the one that it is part of."""
    change: ChangeSize | None = None
    commands: tuple[CommandRun, ...] = ()
    rejections: int = 0
    """How often proposals of the task were sent back before."""
    in_place: bool = False
    """Whether the agent works in the user's own checkout."""
    places: dict[str, Any] | None = None
    """Of a tool call, the fields of `aura_contracts.permission.Places`."""
    record: RecordSoFar | None = None
    """How humans received such work of the agent before."""


class PolicyRef(msgspec.Struct, frozen=True, gc=False):
    """A policy that was in force. `digest` is the SHA-256 of its text in hexadecimal; empty for a callable."""

    name: str
    source: str = ""
    digest: str = ""


class RuleMatch(msgspec.Struct, frozen=True, gc=False):
    """A rule that matched. If not `sure`, it matches depending on a value that was unknown."""

    policy: str
    rule: str
    verdict: PolicyVerdict
    line: int = 0
    sure: bool = True


class PolicyDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What the policies in force said about a question, and why."""

    verdict: PolicyVerdict
    reason: str = ""
    """The words of the rules that decided."""
    policies: tuple[PolicyRef, ...] = ()
    matched: tuple[RuleMatch, ...] = ()
    """Every rule that matched, the strongest first."""
    values: dict[str, Any] = {}
    """Every value that rules looked at, by condition; None: unknown."""
    audited: bool = False
    """Whether policies would have approved, and a human is asked all the same, for a sample."""

    @property
    def holds_back(self) -> bool:
        """Whether no answer given in advance counts: a rule that refuses matches, even if unsure, or once too often."""
        return any(verdict in _REFUSING for verdict in (self.verdict, *(match.verdict for match in self.matched)))
