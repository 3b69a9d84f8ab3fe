"""What a judge of whole engines notes of tasks, questions, agents and runs."""

from datetime import datetime

import attrs


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
    rejections: int = 0
    """How often the task's proposals had been sent back when it was asked."""

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
    status: str = "queued"


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
