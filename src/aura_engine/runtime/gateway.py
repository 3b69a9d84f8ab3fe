"""Gateway: the engine's end of the connection to a worker.

What the worker says becomes commands, under the epoch it says it in; what is asked of the worker is a request that may
be repeated. A report under a past epoch changes nothing: it is recorded on the lease, and refused.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID, uuid5

import attrs
import msgspec

from aura_contracts.actors import system
from aura_contracts.approval import ApprovalKind, RequestApproval, ToolCall
from aura_contracts.errors import (
    AggregateExists,
    CommandRefused,
    InvalidInput,
    RuleViolated,
    StoreError,
    WorkerUnavailable,
)
from aura_contracts.execution import EXECUTION, Execution, LogAction, RecordSession, RecordUsage
from aura_contracts.ids import ApprovalId, ExecutionId, WorkerId
from aura_contracts.lease import RecordStaleReport, WorkerIdentity
from aura_contracts.ports.executors import (
    AnyEntry,
    ErrorReported,
    Message,
    PermissionRequested,
    SessionStarted,
    ToolCalled,
    UsageReported,
)
from aura_contracts.task import TASK, Task
from aura_engine.commands import Desk, Unit
from aura_engine.runtime.output import OutputRecorder
from aura_engine.runtime.views import lease_of
from aura_worker_protocol.messages import (
    PROTOCOL_VERSION,
    AppendOutput,
    Heartbeat,
    Hello,
    OutputAccepted,
    ReportEntries,
    Request,
    Result,
    Welcome,
)
from aura_worker_protocol.peer import Peer

WORKER = system("worker")
R = TypeVar("R", bound=Result)

PERMISSION_WAIT = timedelta(hours=24)
"""How long an agent waits for an answer; silence is no."""

_NONSENSE = frozenset({"usage", "session", "action", "tool_call"})
"""Rules that an entry breaks by what it says, not by when it is said."""


@attrs.define
class Gateway:
    """The worker that is connected, if there is one, and what it reports."""

    desk: Desk
    engine_id: str
    reviewers: Callable[[Task], tuple[str, ...]]
    """Who may answer an agent's question about a task."""
    worker_id: WorkerId | None = None
    identity: WorkerIdentity | None = None
    known: set[str] = attrs.field(factory=set)
    """Tokens of processes that the worker may have: kept from before, or asked for."""
    outputs: OutputRecorder = attrs.field(init=False)
    on_change: Callable[[], None] = lambda: None
    """Called when a worker comes or goes, or when reports can no longer be recorded."""
    trouble: StoreError | None = None
    """Why the last report could not be recorded; None when it was. The worker keeps it, and tries again."""
    _peer: Peer | None = None
    _epochs: dict[ExecutionId, int] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.outputs = OutputRecorder(self.desk)

    @property
    def handlers(self) -> Mapping[type[Request[Any]], Callable[[Any], Awaitable[Result]]]:
        """What answers the worker."""
        return MappingProxyType(
            {
                Hello: self._hello,
                Heartbeat: self._heartbeat,
                AppendOutput: self._append_output,
                ReportEntries: self._report_entries,
            }
        )

    async def serve(self, peer: Peer) -> None:
        """Serve the connection until it closes."""
        self._peer = peer
        try:
            await peer.run()
        finally:
            self._peer, self.worker_id, self.identity = None, None, None
            self.on_change()

    async def request(self, request: Request[R]) -> R:
        """Have the worker do something; return its answer. Raises `WorkerUnavailable`, or what the worker raised."""
        if self._peer is None or self.worker_id is None:
            raise WorkerUnavailable(reason="no worker is connected")
        return await self._peer.request(request)

    # --- What the worker says -----------------------------------------------------------------------------------------

    async def _hello(self, hello: Hello) -> Result:
        assert hello.protocol == PROTOCOL_VERSION, "the connection has checked it"
        self.worker_id, self.identity = hello.worker_id, hello.identity
        self.known = {process.token for process in hello.processes}
        self.on_change()
        return Welcome(engine_id=self.engine_id)

    async def _heartbeat(self, _: Heartbeat) -> Result:
        return Result()

    async def _append_output(self, batch: AppendOutput) -> Result:
        await self._require_epoch(batch.execution_id, batch)
        try:
            accepted = await self.outputs.record(batch.execution_id, batch.first, batch.chunks)
        except StoreError as error:
            self.trouble = error
            self.on_change()
            raise
        self.trouble = None
        return OutputAccepted(next=accepted)

    async def _report_entries(self, report: ReportEntries) -> Result:
        await self._require_epoch(report.execution_id, report)
        try:
            await self._record_entries(report, report.entries)
        except (InvalidInput, RuleViolated):  # one of them is nonsense; the others are not to suffer for it
            for entry in report.entries:
                await self._record_or_leave_out(report, entry)
        return Result()

    async def _record_or_leave_out(self, report: ReportEntries, entry: AnyEntry) -> None:
        try:
            await self._record_entries(report, [entry])
        except (InvalidInput, RuleViolated) as error:
            if isinstance(error, RuleViolated) and error.rule not in _NONSENSE:
                raise
            said = ErrorReported(message=f"{type(entry).__name__} is left out: {error.reason}")
            await self._record_entries(report, [said])

    async def _record_entries(self, report: ReportEntries, entries: Sequence[AnyEntry]) -> None:
        """Record entries together, so that a report which is made again after a failure counts nothing twice."""

        async def decide(unit: Unit) -> None:
            for entry in entries:
                await self._record_entry(unit, report, entry)

        await self.desk.retrying(WORKER, decide)

    def forget(self, execution_id: ExecutionId) -> None:
        """Keep nothing in mind of an execution that is over."""
        self._epochs.pop(execution_id, None)

    async def _require_epoch(self, execution_id: ExecutionId, report: AppendOutput | ReportEntries) -> None:
        """Refuse what comes under a past epoch, on the record. The epoch is looked up only when in doubt."""
        if self._epochs.get(execution_id) == report.epoch:
            return
        execution: Execution | None = await self.desk.get(EXECUTION, execution_id)
        epoch = 0 if execution is None else execution.epoch
        self._epochs[execution_id] = epoch
        if report.epoch == epoch:
            return
        about = {"aggregate": "execution", "aggregate_id": execution_id, "command": type(report).__name__}
        if 1 <= report.epoch < epoch:
            await self._record_stale(execution_id, report)
        reason = f"the lease is in epoch {epoch}, the report came from epoch {report.epoch}"
        raise RuleViolated(**about, rule="stale_epoch", reason=reason, remedy="end what still runs of it")

    async def _record_stale(self, execution_id: ExecutionId, report: AppendOutput | ReportEntries) -> None:
        digest = sha256(msgspec.json.encode(report)).hexdigest()
        lease_id = lease_of(execution_id)
        command = RecordStaleReport(
            report_id=str(uuid5(UUID(lease_id), digest)), epoch=report.epoch, kind=report.method, digest=digest
        )
        try:
            await self.desk.handle(WORKER, lease_id, command)
        except CommandRefused:
            return  # the lease is closed: the execution is over, and the report is refused all the same

    async def _record_entry(self, unit: Unit, report: ReportEntries, entry: AnyEntry) -> None:
        about, epoch = report.execution_id, report.epoch
        match entry:
            case SessionStarted():
                await unit.handle(about, RecordSession(epoch=epoch, session_id=entry.session_id))
            case UsageReported():
                await unit.handle(about, RecordUsage(epoch=epoch, usage=entry.usage))
            case Message():
                await self._log(unit, report, "message", {"text": entry.text})
            case ToolCalled():
                await self._log(unit, report, "tool_call", {"tool": entry.tool, "arguments": entry.arguments})
            case ErrorReported():
                await self._log(unit, report, "error", {}, error=entry.message)
            case PermissionRequested():
                await self._ask(unit, report, entry)
            case _:
                return

    async def _log(
        self, unit: Unit, report: ReportEntries, action: str, result: dict[str, Any], error: str | None = None
    ) -> None:
        command = LogAction(epoch=report.epoch, action=action, success=error is None, result=result, error=error)
        await unit.handle(report.execution_id, command)

    async def _ask(self, unit: Unit, report: ReportEntries, entry: PermissionRequested) -> None:
        """Make an approval of an agent's question; the same question again finds the same approval."""
        approval_id = ApprovalId(str(uuid5(UUID(report.execution_id), f"{report.token}:{entry.request_id}")))
        execution = await self.desk.get(EXECUTION, report.execution_id)
        assert execution is not None, "its epoch was looked up"
        task = await self.desk.get(TASK, execution.task_id)
        assert task is not None, "an execution is one of a task"
        question = ToolCall(tool=entry.tool, fingerprint=entry.fingerprint, arguments=entry.arguments, diff=entry.diff)
        about = {"approval_id": approval_id, "request_id": entry.request_id, "token": report.token, "tool": entry.tool}
        try:
            await unit.acting_as(system("engine")).handle(
                approval_id,
                RequestApproval(
                    approval_id=approval_id,
                    kind=ApprovalKind.TOOL_CALL,
                    reviewers=self.reviewers(task),
                    task_id=execution.task_id,
                    execution_id=report.execution_id,
                    tool_call=question,
                    deadline=self.desk.clock() + PERMISSION_WAIT,
                ),
            )
        except AggregateExists:
            return  # asked before a restart
        await self._log(unit, report, "permission_requested", about)
