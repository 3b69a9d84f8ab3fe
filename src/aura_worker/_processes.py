"""Processes: requests about scripts and agents, carried out by the process runner.

What the worker knows of a process outlives the connection: its agent session. The pump that carries output to the
engine belongs to one connection and ends with it; `process.start`, repeated over the next one, starts another. A
restarted worker knows nothing and learns everything again: what runs, and the output that the engine does not have yet,
from the runner; the output before that from the engine, so that the conversation resumes where it was. Invariants:

- A process is started, taken over and forgotten under the lock of its token. Only its holder changes `_known`, and
  which pump a process has.
- A process has one pump at work at most: another starts only after the one before is done.
- A pump's `outcome` is set before `done`, once; `finish` reads it only after that.
- Requests older than the epoch under which the worker holds a process are refused; none changes it back.
"""

import logging
from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

import anyio
import attrs
from anyio.abc import TaskGroup

from aura_contracts.errors import AuraError, DomainRule, ProcessError, ProcessGone, RuleViolated, WorkerUnavailable
from aura_contracts.ports.executors import Launch
from aura_contracts.ports.processes import OutputBatch, ProcessRunner, RunningProcess
from aura_contracts.secret_mask import SecretMask
from aura_worker._agent_session import AgentSession
from aura_worker._launch import ExecutorSource, ToolsFactory, assignment_of
from aura_worker._path_resolution import place_finder
from aura_worker._pump import Pump
from aura_worker_protocol.messages import (
    AnswerPermission,
    AwaitProcess,
    ForgetProcess,
    InterruptProcess,
    KnownProcess,
    NoteWaiting,
    ProcessFinished,
    ReadOutput,
    StartedProcess,
    StartProcess,
    TellAgent,
)
from aura_worker_protocol.peer import Peer

_log = logging.getLogger(__name__)

TRANSITION = 10.0
"""Seconds that a process from before may take to start or to end while the worker reports what it knows."""


@attrs.define
class _PumpRun:
    """A pump at work, or its outcome."""

    pump: Pump
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope)
    done: anyio.Event = attrs.field(factory=anyio.Event)
    outcome: ProcessFinished | AuraError | None = None
    """None while it works, and when it was stopped."""


@attrs.define
class _KnownProcess:
    """A process that this worker has started or taken over, by the request that it did so for."""

    request: StartProcess
    running: RunningProcess
    session: AgentSession
    launch: Launch
    mask: SecretMask
    pump_run: _PumpRun | None = None


@attrs.define
class _WorkerConnection:
    """The current connection."""

    peer: Peer
    tasks: TaskGroup


class Processes:
    """Carries out `process.*`."""

    def __init__(
        self, runner: ProcessRunner, executors: ExecutorSource, environment: Mapping[str, str], make_tools: ToolsFactory
    ) -> None:
        self._make_tools = make_tools
        self._runner = runner
        self._executors = executors
        self._environment = environment
        self._known: dict[str, _KnownProcess] = {}
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()
        """By key, kept while a task holds the lock or waits for it."""
        self._connection: _WorkerConnection | None = None

    def connect(self, peer: Peer, tasks: TaskGroup) -> Callable[[], None]:
        """Report to `peer` from now on, by pumps in `tasks`; return what ends it."""
        self._connection = connection = _WorkerConnection(peer, tasks)

        def disconnect() -> None:
            if self._connection is connection:
                self._connection = None

        return disconnect

    def prepare(self) -> None:
        """Get ready to start a process, while something else is done for it."""
        if self._connection is not None:
            self._connection.tasks.start_soon(self._prepare)

    async def _prepare(self) -> None:
        try:
            await self._runner.prepare()
        except Exception as error:  # noqa: BLE001 - the start fails too, and says why
            _log.debug("the runner is not ready to start a process: %r", error)

    async def known(self) -> tuple[KnownProcess, ...]:
        """Return the processes from before: those that run, and those that have ended and are not forgotten.

        One that has been starting or ending for `TRANSITION` seconds counts as running: the others need not wait.
        """
        found: dict[str, bool] = {}

        async def find(token: str) -> None:
            with anyio.move_on_after(TRANSITION) as limit:
                try:
                    running = self._known[token].running if token in self._known else await self._runner.find(token)
                except ProcessError as error:
                    _log.warning("process %s exists and cannot be taken over: %s", token, error)
                    return
                if running is not None:
                    found[token] = not running.ended
            if limit.cancelled_caught:
                _log.warning("process %s has been starting or ending for %s seconds", token, TRANSITION)
                found[token] = True

        async with anyio.create_task_group() as tasks:
            for token in await self._runner.tokens():
                tasks.start_soon(find, token)
        return tuple(KnownProcess(token=token, running=found[token]) for token in sorted(found))

    async def start(self, request: StartProcess) -> StartedProcess:
        """Start the process or take it over, and carry its output to the engine from now on."""
        async with self._locks.setdefault(request.token, anyio.Lock()):
            known = self._known.get(request.token)
            if known is not None:
                _require_epoch("StartProcess", request, known.request)
            if known is None or known.session.fed < request.next_record - 1:  # another worker has recorded since
                if known is not None:
                    await _stop(known)
                known = self._known[request.token] = await self._begin(request)
            await self._keep_pumping(known, request)
            return StartedProcess(process=known.running.process)

    async def finish(self, request: AwaitProcess) -> ProcessFinished:
        """Return how the process ended, once the engine has all its output. Raises why it will never have it."""
        while True:
            known = self._known.get(request.token)
            if known is None or known.pump_run is None:
                raise _not_started(request.token)
            _require_epoch("AwaitProcess", request, known.request)
            run = known.pump_run
            await run.done.wait()
            if isinstance(run.outcome, AuraError):
                raise run.outcome
            if run.outcome is not None:
                return run.outcome
            if known.pump_run is run:  # stopped, and no other in its place
                raise WorkerUnavailable(reason=f"the output of process {request.token} is not being handed over")

    async def interrupt(self, request: InterruptProcess) -> None:
        """Begin to end the process, first by asking the agent, if it can be asked. An unknown process is ignored."""
        known = self._known.get(request.token)
        if known is None:
            running = await self._runner.find(request.token)
            if running is not None:
                await running.interrupt(request.reason)
            return
        known.session.interrupt()
        asked = bool(known.session.sends) and known.pump_run is not None
        patience = known.launch.interrupt.after_request if asked else 0.0
        await known.running.interrupt(request.reason, after=patience)
        if known.pump_run is not None:
            with anyio.move_on_after(patience):  # the agent may not be reading
                await known.pump_run.pump.write()

    async def answer(self, request: AnswerPermission) -> None:
        """Answer a waiting agent; repeating it has no effect."""
        session, pump = self._at_work(request.token)
        session.answer(request.request_id, request.answer)
        await pump.write()

    async def tell(self, request: TellAgent) -> None:
        """Give a message to an agent that takes messages while it works; repeating it has no effect."""
        session, pump = self._at_work(request.token)
        session.tell(request.message_id, request.text)
        await pump.write()

    async def note_waiting(self, request: NoteWaiting) -> None:
        """Stop the agent's clock for the given time, or resume it."""
        connection, (session, pump) = self._connected(), self._at_work(request.token)
        session.tool_wait = wait = object() if request.seconds > 0 else None
        if wait is not None:
            connection.tasks.start_soon(self._end_wait, request, session, wait)
        await pump.write()

    async def _end_wait(self, request: NoteWaiting, session: AgentSession, wait: object) -> None:
        """Resume the agent's clock after a wait, unless another one is noted by then."""
        await anyio.sleep(request.seconds)
        if session.tool_wait is wait:
            session.tool_wait = None
            try:
                await self._at_work(request.token)[1].write()
            except Exception as error:  # noqa: BLE001 - one process must not end the connection that others use
                _log.warning("the clock of %s is not resumed: %r", request.token, error)

    def _connected(self) -> _WorkerConnection:
        if self._connection is None:
            raise WorkerUnavailable(reason="the connection is closing")
        return self._connection

    def _at_work(self, token: str) -> tuple[AgentSession, Pump]:
        known = self._known.get(token)
        if known is None or known.pump_run is None:
            raise _not_started(token)
        if known.running.ended:
            raise ProcessGone(token=token, reason=f"process {token} has ended")
        return known.session, known.pump_run.pump

    async def forget(self, request: ForgetProcess) -> None:
        """Delete everything that is kept of the process."""
        async with self._locks.setdefault(request.token, anyio.Lock()):
            known = self._known.get(request.token)
            if known is not None:
                await _stop(known)
            await self._runner.forget(request.token)
            self._known.pop(request.token, None)

    # --- Pumps --------------------------------------------------------------------------------------------------------

    async def _begin(self, request: StartProcess) -> _KnownProcess:
        assignment = assignment_of(request, self._executors, self._environment, self._make_tools)
        running = await self._runner.start(assignment.spec)
        recorded = request.next_record - 1
        locate = place_finder(request.directory, assignment.spec.env, request.plan.permissions)
        session = AgentSession(assignment.conversation, assignment.judge, running.first_record - 1, recorded, locate)
        if running.first_record <= recorded:
            await self._recall(request, running.first_record, session)
        mask = SecretMask.of({**self._environment, **assignment.spec.env})
        return _KnownProcess(request, running, session, assignment.launch, mask)

    async def _recall(self, request: StartProcess, first: int, session: AgentSession) -> None:
        """Feed a new session with what the agent wrote before this worker started."""
        connection, after = self._connected(), 0
        while True:
            asked = ReadOutput(execution_id=request.execution_id, epoch=request.epoch, after=after)
            piece = await connection.peer.request(asked)
            if not piece.chunks:
                return
            after = piece.after
            if piece.first + len(piece.chunks) > first:
                others = max(0, first - piece.first)
                session.take(OutputBatch(piece.first + others, piece.chunks[others:]))

    async def _keep_pumping(self, known: _KnownProcess, request: StartProcess) -> None:
        """Ensure that a pump is at work in the epoch of `request`, over the current connection."""
        connection, run = self._connected(), known.pump_run
        if run is not None and request.epoch == known.request.epoch and not _failed(run):
            return
        await _stop(known)
        known.request = request
        known.session.tool_wait = None  # what would end it belonged to the connection before
        pump = Pump(connection.peer, request, known.running, known.session, known.launch.exit_grace, known.mask)
        known.pump_run = _PumpRun(pump)
        connection.tasks.start_soon(_run, known.pump_run, request.token)


async def _run(run: _PumpRun, token: str) -> None:
    try:
        with run.scope:
            run.outcome = await run.pump.run()
    except AuraError as error:
        run.outcome = error
    except Exception as error:  # noqa: BLE001 - one process must not end the connection that others use
        _log.error("the output of %s cannot be read: %r", token, error, exc_info=error)
        run.outcome = ProcessError(token=token, reason=f"its output cannot be read: {error!r}")
    finally:
        run.done.set()


async def _stop(known: _KnownProcess) -> None:
    if known.pump_run is not None:
        known.pump_run.scope.cancel()
        await known.pump_run.done.wait()


def _failed(run: _PumpRun) -> bool:
    """Whether the pump is done without having handed over everything."""
    return run.done.is_set() and not isinstance(run.outcome, ProcessFinished)


def _not_started(token: str) -> ProcessError:
    reason = f"this worker was not asked to start the process {token}"
    return ProcessError(token=token, reason=reason, remedy="send process.start again")


def _require_epoch(command: str, request: StartProcess | AwaitProcess, known: StartProcess) -> None:
    if request.epoch < known.epoch:
        raise RuleViolated(
            aggregate="execution",
            aggregate_id=request.execution_id,
            command=command,
            rule=DomainRule.STALE_EPOCH,
            reason=f"the worker holds it in epoch {known.epoch}, the request comes from epoch {request.epoch}",
        )
