"""Gateway: the engine's end of the connection to a worker.

Reports of the worker become commands, under the epoch they name; requests to the worker may be repeated. A report under
a past epoch changes nothing: it is recorded on the lease, and refused. If the lease went to another engine with the
same worker (several may share a home), nothing is lost with the report, since the process reports to that engine too;
then it is only refused, as ``taken_over``, and the process is left alone.
"""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, TypeVar
from uuid import UUID, uuid5

import attrs
import msgspec

from aura_contracts.actors import WORKER
from aura_contracts.errors import (
    CommandRefused,
    DomainRule,
    RuleViolated,
    StoreError,
    VersionConflict,
    WorkerUnavailable,
)
from aura_contracts.execution import EXECUTION, Execution
from aura_contracts.ids import ExecutionId, WorkerId, WorkerIdentity, lease_of
from aura_contracts.lease import LateReport, RecordStaleReport
from aura_contracts.ports.executors import Capability, ExecutorInfo
from aura_engine.permissions.questions import Reviewers
from aura_engine.runtime.entries import record_entries
from aura_engine.runtime.output_recorder import OutputRecorder
from aura_engine.unit_of_work import CommandBus, UnitOfWork
from aura_worker_protocol.messages import (
    PROTOCOL_VERSION,
    AppendOutput,
    CheckOptions,
    DescribeRepository,
    DiffWork,
    FindOrphans,
    Heartbeat,
    Hello,
    InspectWorkspace,
    InterruptProcess,
    ListExecutors,
    OutputAccepted,
    OutputRead,
    ReadDocuments,
    ReadOutput,
    Welcome,
)
from aura_worker_protocol.peer import Peer
from aura_worker_protocol.request import Request, Result

R = TypeVar("R", bound=msgspec.Struct)

_READING = (
    *(CheckOptions, DescribeRepository, DiffWork, FindOrphans, InspectWorkspace, ListExecutors),
    ReadDocuments,
)
"""The requests that change nothing, which a read-only engine may send."""


@attrs.define
class Gateway:
    """The connected worker, if any, and its reports."""

    bus: CommandBus
    engine_id: str
    reviewers: Reviewers
    """Who may answer an agent's question about a task."""
    worker_id: WorkerId | None = None
    identity: WorkerIdentity | None = None
    known: set[str] = attrs.field(factory=set)
    """Tokens of processes that the worker may have: kept from before, or requested."""
    answered: set[tuple[str, str]] = attrs.field(factory=set)
    """Questions, by process and name, whose answer was recorded as received."""
    outputs: OutputRecorder = attrs.field(init=False)
    on_change: Callable[[], None] = lambda: None
    """Called when a worker comes or goes, or when reports can no longer be recorded."""
    start_worker: Callable[[], Awaitable[None]] | None = None
    """Starts the worker of this process, if it has not been started; None if workers connect by themselves."""
    last_error: StoreError | None = None
    """Why the last report could not be recorded, None if it was. The worker keeps and retries it."""
    _peer: Peer | None = None
    _capabilities: dict[str, Capability] = attrs.field(factory=dict)
    """By executor, once requested: they do not change while an engine is open."""
    _epochs: dict[ExecutionId, int] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.outputs = OutputRecorder(self.bus)

    @property
    def handlers(self) -> Mapping[type[Request[Any]], Callable[[Any], Awaitable[Result]]]:
        """The handlers of the worker's requests."""
        return MappingProxyType(
            {
                Hello: self._hello,
                Heartbeat: self._heartbeat,
                AppendOutput: self._append_output,
                ReadOutput: self._read_output,
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

    @property
    def is_connected(self) -> bool:
        """Whether a worker is connected."""
        return self._peer is not None and self.worker_id is not None

    async def connect(self) -> None:
        """Start the worker of this process unless it runs: an engine that only answers queries needs none."""
        if self.start_worker is not None:
            await self.start_worker()

    async def request(self, request: Request[R]) -> R:
        """Send a request to the worker; return its result.

        Raises `WorkerUnavailable`, the worker's error, and `StoreReadOnly` for a request that changes something if the
        change could not be recorded.
        """
        if type(request) not in _READING:
            self.bus.require_writable()
        await self.connect()
        if self._peer is None or not self.is_connected:
            raise WorkerUnavailable(reason="no worker is connected")
        return await self._peer.request(request)

    async def executor(self, name: str) -> ExecutorInfo:
        """Return what the worker knows about one executor. Raises `UnknownExecutor`."""
        (found,) = (await self.request(ListExecutors(names=(name,)))).executors
        self._capabilities[name] = found.capability
        return found

    async def capability(self, name: str) -> Capability:
        """Return what an executor can do, cached after the first call. Raises `UnknownExecutor`."""
        return self._capabilities.get(name) or (await self.executor(name)).capability

    async def interrupt(self, token: str, reason: str) -> None:
        """Have the worker take the next step of ending a process."""
        await self.request(InterruptProcess(token=token, reason=reason))

    # --- Reports of the worker ----------------------------------------------------------------------------------------

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

        async def understand(unit: UnitOfWork, first: int) -> None:
            for parsed in batch.parsed:
                if parsed.record >= first:
                    about = (batch.execution_id, batch.epoch, batch.token, parsed.entries)
                    await record_entries(unit, *about, self.reviewers)

        try:
            accepted = await self.outputs.record(
                batch.execution_id, batch.first, batch.chunks, understand if batch.parsed else None
            )
        except (VersionConflict, RuleViolated):  # perhaps another engine reports on it by now
            self.forget(batch.execution_id)
            await self._require_epoch(batch.execution_id, batch)
            raise
        except StoreError as error:
            self.last_error = error
            self.on_change()
            raise
        self.last_error = None
        return OutputAccepted(next=accepted)

    async def _read_output(self, request: ReadOutput) -> Result:
        await self._require_epoch(request.execution_id, request)
        first, chunks, after = await self.outputs.read(request.execution_id, request.after)
        return OutputRead(first=first, chunks=tuple(chunks), after=after)

    def forget(self, execution_id: ExecutionId) -> None:
        """Forget the epoch of an execution: it has ended, or another epoch has begun."""
        self._epochs.pop(execution_id, None)

    async def require_grant(self, execution: Execution) -> None:
        """Raise `RuleViolated` if the execution is by now granted to another engine or worker."""
        stored = await self.bus.fetch(EXECUTION, execution.id)
        if stored is not None and stored.epoch != execution.epoch:
            raise _taken_over("StartProcess", execution.id, stored.epoch, execution.epoch)

    async def _require_epoch(self, execution_id: ExecutionId, report: AppendOutput | ReadOutput) -> None:
        """Refuse a report under a past epoch. The epoch is loaded only when in doubt."""
        if self._epochs.get(execution_id) == report.epoch:
            return
        execution = await self.bus.fetch(EXECUTION, execution_id)
        epoch = 0 if execution is None else execution.epoch
        self._epochs[execution_id] = epoch
        if report.epoch == epoch:
            return
        about = {"aggregate": "execution", "aggregate_id": execution_id, "command": type(report).__name__}
        if 1 <= report.epoch < epoch:
            if execution is not None and execution.worker_id == self.worker_id:
                raise _taken_over(type(report).__name__, execution_id, epoch, report.epoch)
            await self._record_stale(execution_id, report)
        reason = f"the lease is in epoch {epoch}, the report came from epoch {report.epoch}"
        raise RuleViolated(**about, rule=DomainRule.STALE_EPOCH, reason=reason, remedy="end what still runs of it")

    async def _record_stale(self, execution_id: ExecutionId, report: AppendOutput | ReadOutput) -> None:
        digest = sha256(msgspec.json.encode(report)).hexdigest()
        lease_id = lease_of(execution_id)
        command = RecordStaleReport(
            report=LateReport(
                report_id=str(uuid5(UUID(lease_id), digest)), epoch=report.epoch, kind=report.method, digest=digest
            )
        )
        try:
            await self.bus.handle(WORKER, lease_id, command)
        except CommandRefused:
            return  # the lease is closed: the execution is over, and the report is refused all the same


def _taken_over(command: str, execution_id: ExecutionId, epoch: int, stale: int) -> RuleViolated:
    return RuleViolated(
        aggregate="execution",
        aggregate_id=execution_id,
        command=command,
        rule=DomainRule.TAKEN_OVER,
        reason=f"another engine drives it, under epoch {epoch}; this one had epoch {stale}",
        remedy="leave it to that engine",
    )
