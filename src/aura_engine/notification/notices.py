"""Notices: from an event to what people are notified about it. Of the world it sees states only, which it is given."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Protocol
from uuid import UUID, uuid5

import attrs

from aura_contracts.actors import Actor, actor_kind, actor_name
from aura_contracts.aggregate import Aggregate
from aura_contracts.alerts import AlertRaised
from aura_contracts.approval import APPROVAL, Approval, ApprovalStatus
from aura_contracts.approval.event_types import ApprovalEscalated, ApprovalExpired, ApprovalRequested, ReminderSent
from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import EXECUTION
from aura_contracts.lease import WORKER_LEASE, LeaseLost, WorkerLease
from aura_contracts.ledger import OutageEnded
from aura_contracts.notification import MessageItem
from aura_contracts.quoting import cut, one_line
from aura_contracts.task import TASK, Task, TaskBlocked, TaskFailed
from aura_contracts.workflow import WORKFLOW, WorkflowFailed, WorkflowPaused
from aura_contracts.workflow_schedule import WORKFLOW_SCHEDULE, ScheduleFailed, WorkflowSchedule
from aura_engine.notification.kinds import NoticeKind

SUBJECT_LIMIT = 200
"""Characters of a subject."""

ABOUT_THEN = timedelta(hours=1)
"""How long after an alert a reminder of the same still stands for it."""

TEXT_LIMIT = 2000
"""Characters of what an agent proposes, in a message."""

_NAMESPACE = UUID("5c3a6a0e-1d9e-5d0b-8f27-9a4c6f6f3d10")
"""The UUID namespace of event ids; never changed."""


class Fetch(Protocol):
    """Returns the stored state of an aggregate, None without one."""

    async def __call__(self, aggregate: Aggregate[Any], aggregate_id: str, /) -> Any: ...


@attrs.frozen
class Notice:
    """What people are notified about an event."""

    kind: NoticeKind
    position: int
    item: MessageItem
    text: str
    to: tuple[str, ...]
    """Names of those whom it concerns."""
    operators: bool = False
    """Whether it also concerns operators of AURA."""
    reminded: tuple[str, ...] = ()
    """Names of those who are reminded of the same at the same time."""


def event_key(record: EventRecord[Any]) -> str:
    """Return the id of an event: the same whenever it is computed, and of no other event in any log (UUIDv5)."""
    return str(uuid5(_NAMESPACE, f"{record.stream_id}:{record.version}:{record.time.isoformat()}"))


async def notice_of(record: EventRecord[Any], fetch: Fetch) -> Notice | None:
    """Return what people are notified about an event, None if it concerns no one any more."""
    tell = _TELLERS.get(type(record.event))
    told = None if tell is None else await tell(record, fetch)
    if told is None:
        return None
    item = MessageItem(
        key=event_key(record),
        kind=str(told.kind),
        subject=cut(one_line(told.subject), SUBJECT_LIMIT),
        time=record.time,
        about=told.about,
    )
    return Notice(told.kind, record.position, item, told.text, told.to, told.operators, told.reminded)


@attrs.frozen
class _Draft:
    kind: NoticeKind
    subject: str
    text: str
    about: str
    to: tuple[str, ...]
    operators: bool = False
    reminded: tuple[str, ...] = ()


# --- Approvals --------------------------------------------------------------------------------------------------------


async def _asked(record: EventRecord[ApprovalRequested], fetch: Fetch) -> _Draft | None:
    approval = await fetch(APPROVAL, record.stream_id)
    if approval is None or approval.status is not ApprovalStatus.PENDING:
        return None  # a policy, or someone who was faster, has answered
    asked = tuple(name for name in approval.awaited if name not in approval.escalated_to)  # who hear of the escalation
    return await _of_question(NoticeKind.ASKED, approval, asked, fetch, "is asked for")


async def _reminded(record: EventRecord[ReminderSent], fetch: Fetch) -> _Draft | None:
    approval = await fetch(APPROVAL, record.stream_id)
    if approval is None or approval.status is not ApprovalStatus.PENDING:
        return None
    return await _of_question(NoticeKind.REMINDER, approval, record.event.to, fetch, "still waits for")


async def _escalated(record: EventRecord[ApprovalEscalated], fetch: Fetch) -> _Draft | None:
    approval = await fetch(APPROVAL, record.stream_id)
    if approval is None or approval.status is not ApprovalStatus.PENDING:
        return None
    return await _of_question(NoticeKind.ESCALATED, approval, record.event.to, fetch, "was escalated:")


async def _expired(record: EventRecord[ApprovalExpired], fetch: Fetch) -> _Draft | None:
    approval = await fetch(APPROVAL, record.stream_id)
    if approval is None:
        return None
    outcome = "the work continues" if record.event.continued else "that means no"
    return await _of_question(NoticeKind.EXPIRED, approval, approval.seats, fetch, f"got no answer, {outcome}:")


async def _of_question(kind: NoticeKind, approval: Approval, to: tuple[str, ...], fetch: Fetch, says: str) -> _Draft:
    task = None if approval.task_id is None else await fetch(TASK, approval.task_id)
    title = task.title if task is not None else approval.id
    question = f"approval of {approval.kind}"
    lines = [f"{question}: {title}", f"approval {approval.id}"]
    if approval.proposed_solution:
        lines += ["", cut(approval.proposed_solution, TEXT_LIMIT)]
    return _Draft(kind, f"{title}: {question} {says} {', '.join(to)}", "\n".join(lines), approval.id, tuple(to))


# --- Tasks and workflows ----------------------------------------------------------------------------------------------


async def _failed(record: EventRecord[TaskFailed], fetch: Fetch) -> _Draft | None:
    failure = record.event.failure
    task = await fetch(TASK, record.stream_id)
    return None if task is None else _of_task(NoticeKind.FAILED, task, f"failed: {failure.reason}", failure.message)


async def _blocked(record: EventRecord[TaskBlocked], fetch: Fetch) -> _Draft | None:
    task = await fetch(TASK, record.stream_id)
    return None if task is None else _of_task(NoticeKind.BLOCKED, task, "is held up by a conflict", "")


def _of_task(kind: NoticeKind, task: Task, says: str, more: str) -> _Draft:
    lines = [f"{task.title} {says}", f"task {task.id}", *(["", cut(more, TEXT_LIMIT)] if more else [])]
    return _Draft(kind, f"{task.title} {says}", "\n".join(lines), task.id, _creator(task))


def _creator(task: Task) -> tuple[str, ...]:
    """Return who asked for a task; its reviewers if that was not a human."""
    return task.reviewers if task.requester is None else (task.requester,)


def _people(actor: Actor) -> tuple[str, ...]:
    return (actor_name(actor),) if actor_kind(actor) in ("human", "observer") else ()


async def _lost(record: EventRecord[LeaseLost], fetch: Fetch) -> _Draft | None:
    lease: WorkerLease | None = await fetch(WORKER_LEASE, record.stream_id)
    execution = None if lease is None else await fetch(EXECUTION, lease.execution_id)
    task = None if execution is None else await fetch(TASK, execution.task_id)
    if task is None:
        return None
    return _of_task(NoticeKind.WORKER_LOST, task, "lost its worker", record.event.failure.message)


async def _workflow(record: EventRecord[Any], fetch: Fetch) -> _Draft | None:
    workflow = await fetch(WORKFLOW, record.stream_id)
    if workflow is None:
        return None
    paused = isinstance(record.event, WorkflowPaused)
    kind = NoticeKind.WORKFLOW_PAUSED if paused else NoticeKind.WORKFLOW_FAILED
    says = f"was paused {record.event.reason}".strip() if paused else f"failed: {record.event.failure.reason}"
    subject = f"workflow {workflow.name} {says}"
    more = "" if paused else record.event.failure.message
    lines = [subject, f"workflow {workflow.id}", *(["", cut(more, TEXT_LIMIT)] if more else [])]
    return _Draft(kind, subject, "\n".join(lines), workflow.id, _people(workflow.created_by))


async def _schedule(record: EventRecord[ScheduleFailed], fetch: Fetch) -> _Draft | None:
    schedule: WorkflowSchedule | None = await fetch(WORKFLOW_SCHEDULE, record.stream_id)
    if schedule is None or record.event.again:
        return None
    subject = f"schedule {schedule.name} could not start {schedule.plan.workflow}"
    text = "\n".join([subject, f"schedule {schedule.id}", "", cut(record.event.reason, TEXT_LIMIT)])
    to = _people(schedule.revised_by)
    return _Draft(NoticeKind.SCHEDULE_FAILED, subject, text, schedule.id, to, operators=True)


# --- The system -------------------------------------------------------------------------------------------------------


async def _alert(record: EventRecord[AlertRaised], fetch: Fetch) -> _Draft | None:
    alert = record.event
    try:
        kind = NoticeKind(alert.kind)
    except ValueError:
        return None  # a newer program raised it
    reminded = await _reminded_by(record, fetch) if kind is NoticeKind.WAITING else ()
    operators = kind is not NoticeKind.STUCK
    return _Draft(kind, alert.subject, alert.subject, alert.about, alert.to, operators, reminded)


async def _reminded_by(record: EventRecord[AlertRaised], fetch: Fetch) -> tuple[str, ...]:
    """Return who is reminded of the question of an alert, then or about then: they need no other message."""
    approval: Approval | None = await fetch(APPROVAL, record.event.about)
    if approval is None:
        return ()
    due = approval.remind_at is not None and approval.remind_at <= record.time + ABOUT_THEN
    return approval.awaited if due or approval.reminders else ()


async def _outage_ended(record: EventRecord[OutageEnded], fetch: Fetch) -> _Draft | None:
    seconds = (record.time - record.event.began_at).total_seconds()
    subject = f"the store is back after {seconds:.0f} s"
    return _Draft(NoticeKind.OUTAGE_ENDED, subject, f"{subject}\n{record.event.reason}", "", (), operators=True)


_Teller = Callable[[EventRecord[Any], Fetch], Awaitable[_Draft | None]]

_TELLERS: Mapping[type[Event], _Teller] = MappingProxyType(
    {
        ApprovalRequested: _asked,
        ReminderSent: _reminded,
        ApprovalEscalated: _escalated,
        ApprovalExpired: _expired,
        TaskFailed: _failed,
        TaskBlocked: _blocked,
        LeaseLost: _lost,
        WorkflowFailed: _workflow,
        WorkflowPaused: _workflow,
        ScheduleFailed: _schedule,
        AlertRaised: _alert,
        OutageEnded: _outage_ended,
    }
)
"""By event, who is notified what."""
