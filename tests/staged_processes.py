"""Processes without an operating system: they do what the port says and no more, at the moment the test says."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import anyio
import anyio.lowlevel

from aura_contracts.errors import ExecutableNotFound, ProcessGone
from aura_contracts.execution import SupervisedProcess
from aura_contracts.ids import ProcessIdentity
from aura_contracts.output import Chunk, OutputSource
from aura_contracts.ports.processes import (
    ExitCause,
    OutputBatch,
    ProcessExit,
    ProcessRunner,
    ProcessSpec,
    RunningProcess,
)

NOW = datetime(2026, 1, 4, 12, 30, tzinfo=UTC)
BATCH = 1_048_576


class StagedProcess(RunningProcess):
    """A process whose output and end the test decides."""

    def __init__(self, spec: ProcessSpec) -> None:
        identity = ProcessIdentity(pid=1, started="1", token=spec.token)
        self.process = SupervisedProcess(identity)
        self.spec = spec
        self.first_record = spec.first_record
        self.keys: list[str] = []
        self.exit_graces: list[float] = []
        self.pauses: list[bool] = []
        self.records: list[Chunk] = []
        self.acknowledged = spec.first_record - 1
        self.written = b""
        self.closed = False
        self.interrupts: list[str] = []
        self.exit: ProcessExit | None = None
        self._news = anyio.Event()

    @property
    def ended(self) -> bool:
        return self.exit is not None

    @property
    def next(self) -> int:
        return self.spec.first_record + len(self.records)

    def say(self, raw: bytes, source: OutputSource = OutputSource.STDOUT) -> None:
        self.records.append(Chunk.of(source, NOW, raw))
        self._tell()

    def end(self, exit_code: int | None = 0, cause: ExitCause = ExitCause.OWN) -> None:
        self.exit = ProcessExit(token=self.spec.token, cause=cause, exit_code=exit_code, records=len(self.records))
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    async def output(self, after: int = 0) -> AsyncIterator[OutputBatch]:
        assert after >= self.acknowledged, "what was acknowledged is gone"
        position = after + 1
        while True:
            if position < self.next:
                chunks, size = [], 0
                for chunk in self.records[position - self.spec.first_record :]:
                    chunks.append(chunk)
                    size += len(chunk.raw)
                    if size >= BATCH:
                        break
                yield OutputBatch(position, tuple(chunks))
                position += len(chunks)
            elif self.exit is not None:
                return
            else:
                await self._news.wait()

    async def acknowledge(self, upto: int) -> None:
        await anyio.lowlevel.checkpoint()
        assert upto < self.next, "what was not written cannot be acknowledged"
        self.acknowledged = max(self.acknowledged, upto)

    async def write(self, data: bytes, *, key: str = "", close: bool = False) -> None:
        await anyio.lowlevel.checkpoint()
        if key and key in self.keys:
            return
        if self.closed or self.exit is not None:
            raise ProcessGone(token=self.spec.token, reason="it takes no input any more")
        self.keys.append(key)
        self.written += data
        self.closed = close

    async def expect_exit(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.exit_graces.append(seconds)

    async def pause_limits(self, paused: bool) -> None:
        await anyio.lowlevel.checkpoint()
        self.pauses.append(paused)

    async def interrupt(self, reason: str = "", *, after: float = 0.0) -> None:
        await anyio.lowlevel.checkpoint()
        self.interrupts.append(reason)
        if self.exit is None:
            self.end(None, ExitCause.INTERRUPTED)

    async def wait(self) -> ProcessExit:
        while self.exit is None:
            await self._news.wait()
        await anyio.lowlevel.checkpoint()
        return self.exit


class StagedRunner(ProcessRunner):
    """Keeps processes for as long as the test runs, whatever becomes of workers."""

    def __init__(self) -> None:
        self.processes: dict[str, StagedProcess] = {}
        self.started: list[str] = []

    async def prepare(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def start(self, spec: ProcessSpec) -> StagedProcess:
        await anyio.lowlevel.checkpoint()
        if spec.argv[0] == "missing":
            raise ExecutableNotFound(token=spec.token, executable="missing", reason="not on the path")
        if spec.token not in self.processes:
            self.started.append(spec.token)
            self.processes[spec.token] = StagedProcess(spec)
        return self.processes[spec.token]

    async def find(self, token: str) -> StagedProcess | None:
        await anyio.lowlevel.checkpoint()
        return self.processes.get(token)

    async def tokens(self) -> Sequence[str]:
        return tuple(self.processes)

    async def forget(self, token: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.processes.pop(token, None)
