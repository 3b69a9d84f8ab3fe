"""What the benchmarks store: a task's life as AURA's events, and the same as events of the `eventsourcing` library."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

from eventsourcing.domain import Aggregate, event

from aura_contracts.actors import human, system
from aura_contracts.events import Event, Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import AgentId, ApprovalId, ExecutionId, TaskId, uuid7_factory
from aura_contracts.task import (
    AttemptFailed,
    ExecutionStarted,
    ProposalSubmitted,
    TaskAssigned,
    TaskChangesRequested,
    TaskCreated,
    TaskSpec,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TITLE = "Make the parser say where the garbage begins"
TEXT = "It should name line and column, and go on after the broken statement."

_counter = count(1_700_000_000_000)
new_id = uuid7_factory(lambda: next(_counter), lambda bits: (1 << bits) // 3)


def fact(what: Event) -> Fact:
    """Return `what` with circumstances as large as they are in practice."""
    return Fact(what, NOW, human("alice"), new_id(), new_id())


def created() -> Fact:
    """Return the creating event of a task, about 400 bytes as stored."""
    return fact(
        TaskCreated(
            task_id=TaskId(new_id()), spec=TaskSpec(title=TITLE, description=TEXT, context={"module": "parser"})
        )
    )


def task_stream(events: int) -> Iterator[Fact]:
    """Yield a possible life of one task: created, assigned, then attempts, proposals and feedback over and over."""
    approval, failure = ApprovalId(new_id()), Failure(reason=FailureReason.TIMEOUT, message="no answer for 600 s")
    yield created()
    yield fact(TaskAssigned(agent_id=AgentId(new_id())))
    rounds: list[Event] = [
        ExecutionStarted(execution_id=ExecutionId(new_id())),
        AttemptFailed(failure=failure, attempt=1, retry_at=NOW),
        ProposalSubmitted(approval_id=approval, proposal=TEXT, confidence=0.8),
        TaskChangesRequested(approval_id=approval, feedback="Keep the error's code stable."),
    ]
    for number in range(events - 2):
        what = rounds[number % len(rounds)]
        yield Fact(what, NOW, system("engine"), new_id(), new_id())


class LibraryTask(Aggregate):
    """The same task with the library's own default means."""

    @event("Created")
    def __init__(self, title: str, description: str, context: dict[str, str]) -> None:
        self.title = title
        self.description = description
        self.context = context
        self.status = "pending"

    @event("Assigned")
    def assign(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.status = "in_progress"

    @event("ExecutionStarted")
    def start_execution(self, execution_id: str) -> None:
        self.execution_id = execution_id

    @event("AttemptFailed")
    def fail_attempt(self, reason: str, message: str, attempt: int, retry_at: datetime) -> None:
        self.failure = (reason, message)
        self.attempts_failed = attempt
        self.retry_at = retry_at

    @event("ProposalSubmitted")
    def submit(self, approval_id: str, proposal: str, confidence: float) -> None:
        self.approval_id = approval_id
        self.proposal = proposal
        self.confidence = confidence
        self.status = "awaiting_approval"

    @event("ChangesRequested")
    def request_changes(self, approval_id: str, feedback: str) -> None:
        self.approval_id = approval_id
        self.feedback = feedback
        self.status = "in_progress"


def library_task() -> LibraryTask:
    """Return a new task of the library."""
    return LibraryTask(TITLE, TEXT, {"module": "parser"})


def library_task_stream(events: int) -> LibraryTask:
    """Return a task of the library with as many pending events as `task_stream` yields, alike."""
    task = library_task()
    task.assign(new_id())
    approval = new_id()
    rounds = [
        lambda: task.start_execution(new_id()),
        lambda: task.fail_attempt("Timeout", "no answer for 600 s", 1, NOW),
        lambda: task.submit(approval, TEXT, 0.8),
        lambda: task.request_changes(approval, "Keep the error's code stable."),
    ]
    for number in range(events - 2):
        rounds[number % len(rounds)]()
    return task
