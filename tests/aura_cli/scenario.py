"""A story for tests: two agents, one human, and everything that can come between a request and its result.

What the agents say is scripted. Everything else is real: each step is decided by the engine and recorded in the log,
all that it concerns at once, and what is told of it is what was recorded.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import anyio
import attrs

from aura_contracts import actors
from aura_contracts.actors import Actor, actor_name
from aura_contracts.agent import AgentSpec, PauseAgent, RegisterAgent, ReleaseAgent, ResumeAgent, TakeTask, TaskOutcome
from aura_contracts.aggregate import Command, State
from aura_contracts.approval import ApprovalKind, Approve, ExpireApproval, Question, Reject, RequestApproval, ToolCall
from aura_contracts.errors import CommandRefused
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import AgentId, ApprovalId, StreamId, TaskId
from aura_contracts.ports import Clock
from aura_contracts.task import (
    ApproveTask,
    AssignTask,
    CompleteTask,
    CreateTask,
    DecomposeTask,
    ProposeDecomposition,
    RecordAttemptFailure,
    RejectTask,
    RetryPolicy,
    RetryTask,
    SubmitProposal,
    Subtask,
    TaskSpec,
)
from aura_engine.unit_of_work import CommandBus, UnitOfWork

ALICE = actors.human("alice")
AURA = actors.system("engine")

PATIENCE = timedelta(seconds=1)
"""How long the story waits for an answer that does not come. In earnest a deadline is hours or days away."""


@attrs.frozen
class Moved:
    """A thing whose status changed in a step. `before` is None for what the step created."""

    id: StreamId
    name: str
    before: str | None
    after: str


@attrs.frozen
class Step:
    """Something somebody did: what was recorded of it, or why it was refused."""

    chapter: str
    who: str
    says: str
    moved: tuple[Moved, ...] = ()
    """What changed its status; what the step is mainly about comes first."""

    position: int = 0
    """Of the last event of the step in the log."""

    refusal: CommandRefused | None = None


Tell = Callable[[Step], None]


class Story:
    """Acts at a bus, tells of it, and keeps every state that the decisions led to."""

    def __init__(self, bus: CommandBus, tell: Tell) -> None:
        self.bus = bus
        self.kept: dict[StreamId, State] = {}
        """The last state of everything in the story, as its decisions left it."""

        self.task_told: TaskId
        """The task whose history is worth showing."""

        self.position_of_rejection = 0
        self._tell = tell
        self.names: dict[StreamId, str] = {}
        """What the story calls things, by their ids."""

        self._chapter = ""

    # --- Telling ------------------------------------------------------------------------------------------------------

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self._chapter = title

    def new_id(self, name: str) -> str:
        """Return a fresh id for something that the story calls `name`."""
        ident = self.bus.ids()
        self.names[ident] = name
        return ident

    async def act(self, who: Actor, says: str, *commands: tuple[StreamId, Command]) -> int:
        """Have `who` do all of `commands` at once; return the position of what was recorded."""
        states: dict[StreamId, State] = {}

        async def decide(unit: UnitOfWork) -> UnitOfWork:
            states.clear()
            for ident, command in commands:
                states[ident] = await unit.handle(ident, command)
            return unit

        unit = await self.bus.transact(who, decide)
        moved = [self._moved(ident, state) for ident, state in states.items()]
        self.kept |= states
        changes = tuple(one for one in moved if one.before != one.after)
        self._tell(Step(self._chapter, self._name(who), says, changes, unit.position))
        return unit.position

    async def fail_to(self, who: Actor, says: str, ident: StreamId, command: Command) -> None:
        """Have `who` try what the engine refuses."""
        try:
            await self.act(who, says, (ident, command))
        except CommandRefused as refusal:
            self._tell(Step(self._chapter, self._name(who), says, refusal=refusal))
        else:
            raise AssertionError(f"{who} was allowed to {type(command).__name__}")

    def _moved(self, ident: StreamId, state: State) -> Moved:
        before = self.kept.get(ident)
        return Moved(ident, self.names[ident], None if before is None else str(before.status), str(state.status))

    def _name(self, who: Actor) -> str:
        return self.names.get(actor_name(who), "AURA" if who == AURA else actor_name(who))


@attrs.frozen
class Worker:
    """An agent of the story."""

    id: AgentId
    actor: Actor


async def play(story: Story) -> None:
    """Play the whole story."""
    story.chapter("A request is taken apart")
    ada = await _register(story, "Ada", "developer", "claude")
    tess = await _register(story, "Tess", "tester", "codex")
    _, parts = await _decompose(story, ada)
    story.task_told = parts[0]
    story.chapter("A proposal is rejected, revised, approved")
    await _propose_until_approved(story, ada, parts[0])
    story.chapter("A run fails, a question finds no answer")
    await _fail_and_retry(story, tess, parts[1])
    await _ask_in_vain(story, tess, parts[1])
    await _finish(story, tess, parts[1], "All 42 cases pass; the report is attached", "thank you")


async def _register(story: Story, name: str, kind: str, executor: str) -> Worker:
    ident = AgentId(story.new_id(name))
    command = RegisterAgent(agent_id=ident, spec=AgentSpec(name=name, type=kind, executor=executor))
    await story.act(ALICE, f"adds {name}, a {kind} run by {executor}", (ident, command))
    return Worker(ident, actors.agent(ident))


async def _decompose(story: Story, ada: Worker) -> tuple[TaskId, list[TaskId]]:
    whole = TaskId(story.new_id("whole task"))
    title = "Let people search the recipes"
    await story.act(ALICE, f'asks: "{title}"', (whole, CreateTask(task_id=whole, spec=TaskSpec(title=title))))
    await _assign(story, ada, whole, "Ada")
    parts = [TaskId(story.new_id(name)) for name in ("search task", "test task")]
    subtasks = (
        Subtask(parts[0], "Write the search", agent_type="developer"),
        Subtask(parts[1], "Test the search", agent_type="tester"),
    )
    asked = ApprovalId(story.new_id("split"))
    await story.act(
        ada.actor,
        "proposes to split it: write it, test it",
        (whole, ProposeDecomposition(approval_id=asked, subtasks=subtasks)),
        (asked, _question(asked, ApprovalKind.DECOMPOSITION, whole, "Write the search; test the search")),
        (ada.id, PauseAgent(task_id=whole, approval_id=asked)),
    )
    retry = RetryPolicy(max_attempts=2)
    creations = [
        (part.task_id, CreateTask(task_id=part.task_id, spec=TaskSpec(title=part.title, parent_id=whole, retry=retry)))
        for part in subtasks
    ]
    await story.act(
        ALICE,
        "agrees: two tasks exist, Ada is free",
        (whole, DecomposeTask(approval_id=asked)),
        (asked, Approve()),
        *creations,
        (ada.id, ReleaseAgent(task_id=whole, outcome=TaskOutcome.UNASSIGNED)),
    )
    return whole, parts


async def _assign(story: Story, worker: Worker, task: TaskId, name: str) -> None:
    await story.act(
        ALICE,
        f"gives it to {name}",
        (task, AssignTask(agent_id=worker.id)),
        (worker.id, TakeTask(task_id=task)),
    )


def _question(
    asked: ApprovalId, kind: ApprovalKind, task: TaskId, proposal: str = "", **more: object
) -> RequestApproval:
    fields: dict[str, Any] = {"kind": kind, "task_id": task, "reviewers": ("alice",), **more}
    return RequestApproval(approval_id=asked, question=Question(proposed_solution=proposal, **fields))


async def _propose(story: Story, worker: Worker, task: TaskId, proposal: str) -> ApprovalId:
    asked = ApprovalId(story.new_id("approval"))
    await story.act(
        worker.actor,
        f'proposes: "{proposal}"',
        (task, SubmitProposal(approval_id=asked, proposal=proposal)),
        (asked, _question(asked, ApprovalKind.CHANGES, task, proposal)),
        (worker.id, PauseAgent(task_id=task, approval_id=asked)),
    )
    return asked


async def _propose_until_approved(story: Story, ada: Worker, task: TaskId) -> None:
    await _assign(story, ada, task, "Ada")
    asked = await _propose(story, ada, task, "Load all recipes, filter them in the browser")
    await story.fail_to(ada.actor, "tries to approve her own proposal", asked, Approve())
    feedback = "There are 80,000 recipes: search on the server"
    story.position_of_rejection = await story.act(
        ALICE,
        f'rejects it: "{feedback}"',
        (task, RejectTask(approval_id=asked, feedback=feedback)),
        (asked, Reject(feedback=feedback)),
        (ada.id, ResumeAgent(task_id=task)),
    )
    await _finish(story, ada, task, "A full-text index on the server, results in pages", "much better")


async def _finish(story: Story, worker: Worker, task: TaskId, proposal: str, notes: str) -> None:
    asked = await _propose(story, worker, task, proposal)
    await story.act(
        ALICE,
        f'approves it: "{notes}"',
        (task, ApproveTask(approval_id=asked, notes=notes)),
        (asked, Approve(feedback=notes)),
        (worker.id, ResumeAgent(task_id=task)),
    )
    await story.act(
        worker.actor,
        "carries it out",
        (task, CompleteTask(result={"proposal": proposal})),
        (worker.id, ReleaseAgent(task_id=task, outcome=TaskOutcome.COMPLETED)),
    )


async def _fail_and_retry(story: Story, tess: Worker, task: TaskId) -> None:
    await _assign(story, tess, task, "Tess")
    failed = RecordAttemptFailure(failure=Failure(FailureReason.AGENT_ERROR, "the test database did not start"))
    await story.act(tess.actor, "fails, attempt 1 of 2: the database did not start", (task, failed))
    freed = ReleaseAgent(task_id=task, outcome=TaskOutcome.FAILED)
    await story.act(tess.actor, "fails again, and the policy allows no third attempt", (task, failed), (tess.id, freed))
    await story.act(
        ALICE, "starts the database and has it retried", (task, RetryTask()), (tess.id, TakeTask(task_id=task))
    )


async def _ask_in_vain(story: Story, tess: Worker, task: TaskId) -> None:
    asked = ApprovalId(story.new_id("question"))
    deadline = story.bus.clock() + PATIENCE
    call = ToolCall("shell", "drop-recipes", {"command": "dropdb recipes"})
    await story.act(
        tess.actor,
        'asks: may I run "dropdb recipes"?',
        (asked, _question(asked, ApprovalKind.TOOL_CALL, task, tool_call=call, deadline=deadline)),
    )
    await _until(story.bus.clock, deadline)
    await story.act(AURA, "hears nothing until the deadline: silence is no", (asked, ExpireApproval()))


async def _until(clock: Clock, moment: datetime) -> None:
    while (left := (moment - clock()).total_seconds()) > 0:  # noqa: ASYNC110 - the clock of the wall, which may lag
        await anyio.sleep(left)
