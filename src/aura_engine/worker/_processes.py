"""Processes: what the engine asks about scripts and agents, carried out by the process runner.

What the worker knows of a process outlives the connection: its conversation, and how far it has been told. The pump
that brings output to the engine belongs to one connection, and ends with it; `process.start`, asked again over the next
one, starts another. A restarted worker knows nothing and learns all: what runs, and what the engine does not have yet,
from the runner; what the agent said before, from the engine, so that its conversation goes on where it was.
"""

import logging
from collections.abc import Callable, Mapping

import anyio
import attrs
from anyio.abc import TaskGroup

from aura_contracts.errors import AuraError, ProcessError, ProcessGone, RuleViolated, WorkerUnavailable
from aura_contracts.ports.executors import Launch
from aura_contracts.ports.processes import OutputBatch, ProcessRunner, RunningProcess
from aura_engine.worker._launching import Executors, ToolsOf, assignment_of
from aura_engine.worker._pump import Pump
from aura_engine.worker._turns import Turns
from aura_engine.worker._understanding import Understanding
from aura_worker_protocol.messages import (
    AnswerPermission,
    AwaitProcess,
    ForgetProcess,
    InterruptProcess,
    KnownProcess,
    ProcessFinished,
    ProcessStarted,
    ReadOutput,
    StartProcess,
)
from aura_worker_protocol.peer import Peer

_log = logging.getLogger(__name__)


@attrs.define
class _Pumping:
    """A pump at work, or what came of it."""

    pump: Pump
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)
    over: anyio.Event = attrs.field(factory=anyio.Event)
    outcome: ProcessFinished | AuraError | None = None
    """None while it works, and when it was stopped."""


@attrs.define
class _Known:
    order: StartProcess
    running: RunningProcess
    understanding: Understanding
    launch: Launch
    pumping: _Pumping | None = None


@attrs.define
class _Line:
    """The connection of the moment."""

    peer: Peer
    tasks: TaskGroup


class Processes:
    """Carries out `process.*`."""

    def __init__(
        self, runner: ProcessRunner, executors: Executors, environment: Mapping[str, str], tools_of: ToolsOf
    ) -> None:
        self._tools_of = tools_of
        self._runner = runner
        self._executors = executors
        self._environment = environment
        self._known: dict[str, _Known] = {}
        self._turns = Turns()
        self._line: _Line | None = None

    def connect(self, peer: Peer, tasks: TaskGroup) -> Callable[[], None]:
        """Report to `peer` from now on, by pumps in `tasks`; return what ends it."""
        self._line = line = _Line(peer, tasks)

        def disconnect() -> None:
            if self._line is line:
                self._line = None

        return disconnect

    async def known(self) -> tuple[KnownProcess, ...]:
        """Return what there is from before: processes that run, and those that have ended and are not forgotten."""
        found: dict[str, bool] = {}

        async def look(token: str) -> None:
            try:
                running = self._known[token].running if token in self._known else await self._runner.find(token)
            except ProcessError as error:
                _log.warning("%s is there and cannot be taken over: %s", token, error)
                return
            if running is not None:
                found[token] = not running.ended

        async with anyio.create_task_group() as tasks:
            for token in await self._runner.tokens():
                tasks.start_soon(look, token)
        return tuple(KnownProcess(token=token, running=found[token]) for token in sorted(found))

    async def start(self, request: StartProcess) -> ProcessStarted:
        """Start the process or take it over, and bring its output to the engine from now on."""
        async with self._turns.of(request.token):
            known = self._known.get(request.token)
            if known is None:
                known = self._known[request.token] = await self._begin(request)
            else:
                _require_epoch("StartProcess", request, known.order)
            await self._keep_pumping(known, request)
            return ProcessStarted(process=known.running.process)

    async def finish(self, request: AwaitProcess) -> ProcessFinished:
        """Return how the process ended, once the engine has all its output. Raises why it will never have it."""
        while True:
            known = self._known.get(request.token)
            if known is None or known.pumping is None:
                reason = f"this worker was not asked to start the process {request.token}"
                raise ProcessError(token=request.token, reason=reason, remedy="ask for process.start again")
            _require_epoch("AwaitProcess", request, known.order)
            pumping = known.pumping
            await pumping.over.wait()
            if isinstance(pumping.outcome, AuraError):
                raise pumping.outcome
            if pumping.outcome is not None:
                return pumping.outcome
            if known.pumping is pumping:  # stopped, and no other in its place
                raise WorkerUnavailable(reason=f"the output of process {request.token} is not being handed over")

    async def interrupt(self, request: InterruptProcess) -> None:
        """Begin to end the process; one that nobody knows needs no ending. It is asked first, if it can be asked."""
        known = self._known.get(request.token)
        if known is None:
            running = await self._runner.find(request.token)
            if running is not None:
                await running.interrupt(request.reason)
            return
        known.understanding.interrupt()
        asked = bool(known.understanding.sends) and known.pumping is not None
        patience = known.launch.interrupt.after_request if asked else 0.0
        await known.running.interrupt(request.reason, after=patience)
        if known.pumping is not None:
            with anyio.move_on_after(patience):  # an agent that does not read is not to keep anybody waiting
                await known.pumping.pump.write()

    async def answer(self, request: AnswerPermission) -> None:
        """Tell a waiting agent what was decided; again is harmless."""
        known = self._known.get(request.token)
        if known is None or known.pumping is None:
            reason = f"this worker was not asked to start the process {request.token}"
            raise ProcessError(token=request.token, reason=reason, remedy="ask for process.start again")
        if known.running.ended:
            raise ProcessGone(token=request.token, reason=f"process {request.token} has ended")
        known.understanding.answer(request.request_id, request.answer)
        await known.pumping.pump.write()

    async def forget(self, request: ForgetProcess) -> None:
        """Delete what is kept of the process."""
        async with self._turns.of(request.token):
            known = self._known.get(request.token)
            if known is not None:
                await _stop(known)
            await self._runner.forget(request.token)
            self._known.pop(request.token, None)

    # --- Pumps --------------------------------------------------------------------------------------------------------

    async def _begin(self, request: StartProcess) -> _Known:
        assignment = assignment_of(request, self._executors, self._environment, self._tools_of)
        running = await self._runner.start(assignment.spec)
        recorded = request.next_record - 1
        understanding = Understanding(assignment.conversation, assignment.judge, running.first_record - 1, recorded)
        if running.first_record <= recorded:
            await self._recall(request, running.first_record, understanding)
        return _Known(request, running, understanding, assignment.launch)

    async def _recall(self, request: StartProcess, first: int, understanding: Understanding) -> None:
        """Tell a new conversation what the agent wrote before this worker was there."""
        line, after = self._line, 0
        if line is None:
            raise WorkerUnavailable(reason="the connection is closing")
        while True:
            asked = ReadOutput(execution_id=request.execution_id, epoch=request.epoch, after=after)
            piece = await line.peer.request(asked)
            if not piece.chunks:
                return
            after = piece.after
            if piece.first + len(piece.chunks) > first:
                others = max(0, first - piece.first)
                understanding.take(OutputBatch(piece.first + others, piece.chunks[others:]))

    async def _keep_pumping(self, known: _Known, request: StartProcess) -> None:
        """See that a pump is at work in the epoch of `request`, over the connection of the moment."""
        line, pumping = self._line, known.pumping
        if line is None:
            raise WorkerUnavailable(reason="the connection is closing")
        if pumping is not None and request.epoch == known.order.epoch and not _failed(pumping):
            return
        await _stop(known)
        known.order = request
        pump = Pump(line.peer, request, known.running, known.understanding, known.launch.exit_grace)
        known.pumping = _Pumping(pump)
        line.tasks.start_soon(_pump, known.pumping, request.token)


async def _pump(pumping: _Pumping, token: str) -> None:
    try:
        with pumping.scope:
            pumping.outcome = await pumping.pump.run()
    except AuraError as error:
        pumping.outcome = error
    except Exception as error:  # noqa: BLE001 - one process is not to end the connection that others use
        _log.error("the output of %s cannot be read: %r", token, error, exc_info=error)
        pumping.outcome = ProcessError(token=token, reason=f"its output cannot be read: {error!r}")
    finally:
        pumping.over.set()


async def _stop(known: _Known) -> None:
    if known.pumping is not None:
        known.pumping.scope.cancel()
        await known.pumping.over.wait()


def _failed(pumping: _Pumping) -> bool:
    """Whether the pump is over without having brought everything."""
    return pumping.over.is_set() and not isinstance(pumping.outcome, ProcessFinished)


def _require_epoch(command: str, request: StartProcess | AwaitProcess, known: StartProcess) -> None:
    if request.epoch < known.epoch:
        raise RuleViolated(
            aggregate="execution",
            aggregate_id=request.execution_id,
            command=command,
            rule="stale_epoch",
            reason=f"the worker holds it in epoch {known.epoch}, the request comes from epoch {request.epoch}",
        )
