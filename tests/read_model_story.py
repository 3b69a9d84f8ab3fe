"""The lives of tasks and all that goes with them, as events to fold into read models."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from aura_contracts import agent as ag
from aura_contracts import approval as ap
from aura_contracts import execution as ex
from aura_contracts import lease as le
from aura_contracts import task as ta
from aura_contracts import workflow as wf
from aura_contracts import workspace as ws
from aura_contracts.actors import human
from aura_contracts.entries import Usage
from aura_contracts.events import Append, Event, Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import (
    AgentId,
    ApprovalId,
    ExecutionId,
    LeaseId,
    StreamId,
    TaskId,
    WorkerId,
    WorkflowId,
    WorkspaceId,
)
from aura_contracts.ports import EventLog

NOW = datetime(2026, 1, 4, 12, 0, 0, 123456, tzinfo=UTC)


def an_id(number: int) -> str:
    """Return id `number`; different numbers give different ids."""
    return str(UUID(int=0x0192F0C1_2D3E_7ABC_8DEF_000000000000 + number))


def story(chapter: int = 0) -> list[tuple[StreamId, Event]]:
    """Return the life of a task, its agent, execution, approval and workflow: events by stream, in order."""
    ids = [an_id(100 * chapter + number) for number in range(9)]
    task, agent, run, approval, flow = ids[:5]
    start, asked = _beginnings(ids)
    steps = (wf.StepDefinition(id="code", config=wf.AgentTaskStep(task_template="build")),)
    worker = ex.ExecutionLeased(lease_id=LeaseId(ids[6]), epoch=1, worker_id=WorkerId(ids[7]))
    failure = Failure(FailureReason.WORKER_LOST, "silent for 15 s", stage="Setup")
    return [
        *start,
        (
            flow,
            wf.WorkflowStarted(
                workflow_id=WorkflowId(flow),
                definition=wf.WorkflowDefinition(name="all", steps=steps, context={"π": [1.5, None]}),
            ),
        ),
        (flow, wf.StepStarted(step_id="code", task_id=TaskId(task))),
        (task, ta.TaskQueued()),
        (task, ta.TaskAssigned(agent_id=AgentId(agent), agent_type=ta.AgentType("developer"))),
        (agent, ag.TaskTaken(task_id=TaskId(task))),
        (task, ta.ExecutionStarted(execution_id=ExecutionId(run))),
        (run, worker),
        (ids[6], _lease(ids)),
        (ids[8], _workspace(ids)),
        (run, ex.PreparationStarted()),
        (run, ex.ProgressReported(message="installed", step="3 packages")),
        (run, ex.UsageRecorded(usage=Usage(input_tokens=5))),
        *asked,
        (agent, ag.AgentPaused(task_id=TaskId(task), approval_id=ApprovalId(approval))),
        (
            approval,
            ap.VoteCast(ballot=ap.Ballot(reviewer="alice", seat="alice", decision=ap.ApprovalDecision.APPROVED)),
        ),
        (approval, ap.ApprovalGranted(feedback="good")),
        (task, ta.TaskApproved(approval_id=ApprovalId(approval), notes="good")),
        (run, ex.ExecutionFailed(failure=failure)),
        (ids[5], ap.ApprovalExpired()),
        (task, ta.TaskCompleted(result={"files": 2})),
        (agent, ag.AgentReleased(task_id=TaskId(task), outcome=ag.TaskOutcome.COMPLETED)),
        (flow, wf.StepCompleted(step_id="code", result={"ok": True})),
        (flow, wf.WorkflowCompleted()),
    ]


def _beginnings(ids: Sequence[str]) -> tuple[list[tuple[StreamId, Event]], list[tuple[StreamId, Event]]]:
    task, agent, run, approval = ids[:4]
    start: list[tuple[StreamId, Event]] = [
        (
            task,
            ta.TaskCreated(
                task_id=TaskId(task), spec=ta.TaskSpec(title="Straße 道", context={"n": 1e300, "deep": {"x": [{}]}})
            ),
        ),
        (
            agent,
            ag.AgentRegistered(
                agent_id=AgentId(agent),
                spec=ag.AgentSpec(name="Ada", type=ta.AgentType("developer"), executor="x", capabilities=("c", "go")),
            ),
        ),
        (
            run,
            ex.ExecutionQueued(
                execution_id=ExecutionId(run),
                spec=ex.ExecutionSpec(task_id=TaskId(task), executor="codex", prompt="p", session_id="s"),
            ),
        ),
    ]

    def question(number: str) -> ap.ApprovalRequested:
        return ap.ApprovalRequested(
            approval_id=ApprovalId(number),
            requested_by=human("bob"),
            question=ap.Question(kind=ap.ApprovalKind.CHANGES, reviewers=("alice", "bob"), task_id=TaskId(task)),
        )

    asked: list[tuple[StreamId, Event]] = [
        (task, ta.ProposalSubmitted(approval_id=ApprovalId(approval), proposal="a diff", confidence=0.5)),
        (approval, question(approval)),
        (ids[5], question(ids[5])),
    ]
    return start, asked


def _lease(ids: Sequence[str]) -> le.LeaseGranted:
    return le.LeaseGranted(
        lease_id=LeaseId(ids[6]),
        execution_id=ExecutionId(ids[2]),
        worker_id=WorkerId(ids[7]),
        identity=le.WorkerIdentity(host="h", instance="i"),
        epoch=1,
        grace=30.0,
    )


def _workspace(ids: Sequence[str]) -> ws.WorkspaceRequested:
    layout = ws.WorkspaceLayout(
        task_id=TaskId(ids[0]),
        title="t",
        slug="t",
        branch="aura/t",
        repositories=(ws.Repository("app", "/srv/app", "main"),),
    )
    return ws.WorkspaceRequested(workspace_id=WorkspaceId(ids[8]), layout=layout)


async def tell(log: EventLog, events: Sequence[tuple[StreamId, Event]]) -> int:
    """Append `events` one after the other; return the last position."""
    position = await log.head()
    for stream_id, each in events:
        version = len(await log.facts(stream_id))
        fact = Fact(each, NOW + timedelta(seconds=position), human("alice"), "talk", "cause")
        position = await log.append(Append(stream_id, version, (fact,)))
    return position
