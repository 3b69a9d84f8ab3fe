"""What a judge of whole engines notes of tasks, questions, agents and runs."""

from datetime import datetime

import attrs

EDITABLE = ("after", "locks", "locked_paths", "on_collision", "context")
"""What a task is created with, and can be changed."""


@attrs.define
class Work:
    """What is known of a task."""

    spec: object
    creator: str
    status: str = "pending"
    type: str | None = None
    after: tuple = ()
    parts: set = attrs.field(factory=set)
    pooled: object = None
    """What it asks of the pool while it waits there."""
    agent: str | None = None
    run: str | None = None
    next_run: str | None = None
    question: str | None = None
    split: bool = False
    locks: tuple = ()
    locked_paths: tuple = ()
    on_collision: str = "wait"
    context: dict = attrs.field(factory=dict)
    queued: bool = False
    held: bool = False
    """Whether a person holds it up."""
    by_pool: bool = False
    """Whether it was the pool that gave it to its agent."""
    lost: set = attrs.field(factory=set)

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled", "deleted")

    @property
    def mode(self) -> str:
        return self.spec.approval_mode.value


@attrs.define
class Asked:
    """What is known of a question."""

    question: object
    kind: str
    task: str
    levels: list
    """Names and quorum of each level."""
    status: str = "pending"
    level: int = 1
    votes: list = attrs.field(factory=list)
    delegations: dict = attrs.field(factory=dict)
    verdict: str = ""
    asked_at: int = 0
    """The position at which it was asked."""
    closed_at: int = 0
    """The position at which it was closed."""
    rejections: int = 0
    """How often the task's proposals had been sent back when it was asked."""
    watched: bool = False
    """Whether the policy says that people are reminded early, and others asked."""
    requested_at: datetime | None = None
    since: datetime | None = None
    """When its level was asked."""
    counts_from: datetime | None = None
    """When the time until the next reminder began."""
    lasts_from: datetime | None = None
    """When the time until its deadline began."""
    reminders: int = 0
    escalated: set | None = None
    """Whom its level was escalated to."""
    ends: list = attrs.field(factory=list)
    """When delegations end."""
    coming: list = attrs.field(factory=list)
    """Those of `ends` that nobody has been reminded of."""
    untouched: bool = True
    """Whether nothing has happened since it was asked."""

    @property
    def granted(self) -> bool:
        """Whether the work may go on: it was approved, or nobody answered and silence means yes."""
        return self.status in ("approved", "continued")

    @property
    def seats(self) -> set[str]:
        """Who may decide in their own right."""
        return set(self.levels[self.level - 1][0]) | (self.escalated or set())

    def chain(self, owner: str, now: datetime) -> list[str]:
        """Return who may vote for a seat: its owner, and whom they delegated to."""
        names = [owner]
        while names[-1] in self.delegations:
            delegate, until = self.delegations[names[-1]]
            if delegate in names or (until is not None and now >= until):
                break
            names.append(delegate)
        return names


@attrs.define
class Crew:
    """What is known of an agent."""

    type: str
    capacity: int
    pool: bool
    enabled: bool = True
    holds: set = attrs.field(factory=set)


@attrs.define
class Run:
    """What is known of an execution."""

    task: str
    agent: str | None
    plans: bool = False
    """Whether it only plans how to split its task."""
    status: str = "queued"
    retry_at: datetime | None = None
    """When a stage that failed is tried again, if no answer comes before."""
    retry_since: int = 0
    """The position at which that was recorded."""
    leased: bool = False
    """Whether a worker has, or may still have, something of it."""


@attrs.define
class Notes:
    """What is known of everything, up to a position of the log."""

    position: int = 0
    tasks: dict[str, Work] = attrs.field(factory=dict)
    asked: dict[str, Asked] = attrs.field(factory=dict)
    agents: dict[str, Crew] = attrs.field(factory=dict)
    runs: dict[str, Run] = attrs.field(factory=dict)
    workspaces: dict[str, list] = attrs.field(factory=dict)
    """By workspace: its task, status and holder."""
    leases: dict[str, str] = attrs.field(factory=dict)
    """By lease: its run."""
    claims: dict = attrs.field(factory=dict)
    """By task: what it has for itself alone, or waits for."""
    unused_claims: dict = attrs.field(factory=dict)
    """By task: claims that a human allowed, and that were given back before a run had begun."""
    projects: dict = attrs.field(factory=dict)
    """By stream."""
    calls: list = attrs.field(factory=list)
    """What agents asked permission for, in order."""
    boards: dict = attrs.field(factory=dict)
    """By board: its columns."""
    before: object = None
    """What was when the latest command began."""
    moves: list = attrs.field(factory=list)
    """Moves of cards whose command has not ended."""
    merged: set = attrs.field(factory=set)
    said: list = attrs.field(factory=list)
    """The last messages of agents."""
    rejections: dict = attrs.field(factory=dict)
    history: list = attrs.field(factory=list)

    def story_of(self, task_id: str) -> str:
        """Return what has happened to a task and to what belongs to it, one event a line."""
        streams = {task_id, *(key for key, run in self.runs.items() if run.task == task_id)}
        streams |= {key for key, one in self.asked.items() if one.task == task_id}
        told = [
            f"  {one.position} {one.event.topic} {one.stream_id[-5:]} by {one.actor}"
            for one in self.history
            if one.stream_id in streams or getattr(one.event, "task_id", None) == task_id
        ]
        return "\n".join(told)

    def unmet(self, task: Work) -> list[str]:
        """Return what has to complete before a task can begin."""
        starts = task.spec.on_dependency_failure == "start"
        return [
            one for one in task.after if self.tasks[one].status != "completed" and not (starts and one in task.lost)
        ]

    def pending(self, task_id: str | None = None) -> list[str]:
        """Return the questions that wait for a human."""
        return [key for key, one in self.asked.items() if one.status == "pending" and task_id in (None, one.task)]
