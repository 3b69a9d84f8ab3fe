"""A stage for tests of the worker: staged processes, and an engine that only keeps what it hears.

Tests with real processes are in `test_worker_for_real.py`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID, uuid5

import anyio
import anyio.lowlevel
import attrs

from aura_contracts.errors import (
    AuraError,
    RuleViolated,
    UnknownExecutor,
    WorkerUnavailable,
)
from aura_contracts.ids import WorkerIdentity
from aura_contracts.output import Chunk
from aura_contracts.ports.executors import AgentRun, AgentTools, Availability, Executor, ExecutorInfo, Launch
from aura_contracts.ports.processes import (
    ProcessRunner,
)
from aura_contracts.run_plan import RunPlan, Script
from aura_engine.agent_tools.access import tools_for
from aura_worker import Worker
from aura_worker_protocol import Peer, Role, memory_pair
from aura_worker_protocol.messages import (
    AgentWork,
    AppendOutput,
    AwaitProcess,
    Heartbeat,
    Hello,
    OutputAccepted,
    OutputRead,
    ParsedRecord,
    ReadOutput,
    StartProcess,
    Welcome,
)
from staged_processes import StagedRunner

EXECUTION = "0192f0c1-2d3e-7abc-8def-000000000001"
WORKER = "0192f0c1-2d3e-7abc-8def-000000000002"


def make_tools(task_id: str, execution_id: str) -> AgentTools:
    """Return AURA's own tools as an engine on a file would."""
    root = Path("/")
    return tools_for(f"for {task_id}", python="python", store="sqlite:////aura.db", home=root, folder=root)


@attrs.define
class StagedExecutors:
    """A registry of the executors given."""

    given: dict[str, Executor] = attrs.field(factory=dict)

    def names(self) -> Sequence[str]:
        return tuple(sorted(self.given))

    def get(self, name: str) -> Executor:
        if name not in self.given:
            raise UnknownExecutor(name=name, known=tuple(self.names()))
        return self.given[name]

    def describe(self, names: Sequence[str] = (), *, environment) -> Sequence[ExecutorInfo]:
        found = [self.get(name) for name in names or self.names()]
        return [
            ExecutorInfo(
                name=one.name,
                summary=one.summary,
                capability=one.capability,
                availability=one.availability(environment),
            )
            for one in found
        ]


class Plain(Executor):
    """The smallest executor."""

    name = "plain"

    def launch(self, run: AgentRun) -> Launch:
        return Launch(argv=("agent", run.prompt))

    def availability(self, environment) -> Availability:
        return Availability(available=False, reason="it is only a test")


class Engine:
    """The engine's side: keeps what it hears, and says what the test wants to be said."""

    def __init__(self) -> None:
        self.epoch = 1
        self.past = "stale_epoch"
        """The rule that refuses a past epoch."""
        self.chunks: list[Chunk] = []
        self.batches: list[AppendOutput] = []
        self.parsed: list[ParsedRecord] = []
        self.hellos: list[Hello] = []
        self.heartbeats = 0
        self.heartbeat = 5.0
        self.troubles: list[AuraError] = []
        """Raised instead of accepting output, one after another."""
        self.waiting = 0
        self.gate = anyio.Event()
        self.gate.set()

    @property
    def next(self) -> int:
        return len(self.chunks) + 1

    @property
    def output(self) -> bytes:
        return b"".join(chunk.raw for chunk in self.chunks)

    @property
    def entries(self) -> list[object]:
        return [entry for record in self.parsed for entry in record.entries]

    def handlers(self):
        return {Hello: self._hello, Heartbeat: self._beat, AppendOutput: self._append, ReadOutput: self._read}

    async def _hello(self, hello: Hello) -> Welcome:
        self.hellos.append(hello)
        return Welcome(engine_id="e", heartbeat=self.heartbeat)

    async def _beat(self, _: Heartbeat) -> None:
        self.heartbeats += 1

    async def _append(self, batch: AppendOutput) -> OutputAccepted:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        self._require_epoch(batch.epoch)
        if self.troubles:
            raise self.troubles.pop(0)
        if batch.first > self.next:
            raise refusal("sequence_gap")
        self.batches.append(batch)
        self.parsed += [one for one in batch.parsed if one.record >= self.next]
        self.chunks += batch.chunks[self.next - batch.first :]
        return OutputAccepted(next=self.next)

    async def _read(self, request: ReadOutput) -> OutputRead:
        self._require_epoch(request.epoch)
        return OutputRead(
            first=request.after + 1, chunks=tuple(self.chunks[request.after :][:2]), after=request.after + 2
        )

    def _require_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            raise refusal(self.past)


def refusal(rule: str) -> RuleViolated:
    return RuleViolated(aggregate="output", aggregate_id="x", command="RecordOutput", rule=rule, reason=rule)


@attrs.define
class Stage:
    """One engine, one runner, and workers that come and go."""

    engine: Engine = attrs.field(factory=Engine)
    runner: ProcessRunner = attrs.field(factory=StagedRunner)
    executors: object = attrs.field(factory=lambda: StagedExecutors({"plain": Plain()}))
    workspaces: object = None
    pair: Callable = memory_pair
    """Makes the two ends of a connection."""
    environment: dict[str, str] = attrs.field(factory=dict)

    def worker(self) -> Worker:
        return Worker(
            worker_id=WORKER,
            identity=WorkerIdentity(host="here", instance="one"),
            workspaces=self.workspaces,
            runner=self.runner,
            executors=self.executors,
            environment=self.environment,
            make_tools=make_tools,
            version="1",
        )

    @asynccontextmanager
    async def connected(self, worker: Worker | None = None) -> AsyncIterator[Peer]:
        """Connect `worker`, or a new one; yield the engine's peer. Leaving breaks the connection off."""
        ours, theirs = self.pair()
        peer = Peer(ours, Role.ENGINE, self.engine.handlers())
        worker = worker or self.worker()

        async def work() -> None:
            with suppress(WorkerUnavailable):
                await worker.run(theirs)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.run)
            tasks.start_soon(work)
            await peer.wait_ready()
            try:
                yield peer
            finally:
                peer.close()


def token_of(number: int = 1) -> str:
    return str(uuid5(UUID(EXECUTION), str(number)))


def script(text: str = "make", *, epoch: int = 1, next_record: int = 1, token: str = "", **given) -> StartProcess:
    return StartProcess(
        **{
            "execution_id": EXECUTION,
            "epoch": epoch,
            "token": token or token_of(),
            "stage": "Setup",
            "directory": "/",
            "next_record": next_record,
            "plan": RunPlan(),
            "script": Script(text),
            "grace": 30.0,
            **given,
        }
    )


def agent(prompt: str = "hello", executor: str = "plain", *, options=None, session_id=None, **given) -> StartProcess:
    work = AgentWork(executor=executor, prompt=prompt, options=options or {}, session_id=session_id)
    return script(script=None, agent=work, stage="CodingInitial", **given)


def end_of(started: StartProcess) -> AwaitProcess:
    return AwaitProcess(execution_id=started.execution_id, epoch=started.epoch, token=started.token)
