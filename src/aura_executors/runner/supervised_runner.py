"""The runner: starts processes under supervisors and finds them again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from aura_contracts.ports import Clock
from aura_contracts.ports.processes import ProcessRunner, ProcessSpec, RunningProcess
from aura_executors.runner import custody, spawn
from aura_executors.runner.custody import Absent, Alive, Busy, Ended, NeverRan, State
from aura_executors.runner.new_supervisor import Supervisors
from aura_executors.runner.spawn import SupervisionSettings
from aura_executors.runner.supervised_run import BUSY_PAUSE, SupervisedRun

UNACKNOWLEDGED_LIMIT = 16 * 1024 * 1024
DRAIN_TIME = 2.0


class SupervisedRunner(ProcessRunner):
    """Runs each process under a supervisor of its own, a detached process that outlives the worker.

    Processes are recorded in the folder `home`; `python` is the interpreter for the supervisors (3.11 or newer, without
    libraries). Sockets are made in `run_dir`, a private folder, or else in `home`: not every file system
    supports sockets. Supervisors get only `environment`: what `python` itself needs. A process has to wait
    while more than `unacknowledged` bytes of its output are not acknowledged. What it leaves running has `drain_time`
    seconds to end by itself. With `control_groups` each gets one of version 2, where the system permits it.

    An async context manager, on asyncio and on trio: leaving it leaves the processes running, for their grace period.
    Several runners may use one home, in one program or in several.
    """

    def __init__(
        self,
        home: Path,
        *,
        clock: Clock,
        python: str,
        run_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        unacknowledged: int = UNACKNOWLEDGED_LIMIT,
        drain_time: float = DRAIN_TIME,
        control_groups: bool = True,
    ) -> None:
        self._settings = SupervisionSettings(
            home=home.absolute(),
            python=python,
            run_dir=run_dir,
            unacknowledged=unacknowledged,
            drain_time=drain_time,
            control_groups=control_groups,
            clock=clock,
        )
        self._supervisors = Supervisors(python, self._settings.processes, environment or {})
        self._tasks: TaskGroup | None = None
        self._runs: dict[str, SupervisedRun] = {}

    async def __aenter__(self) -> Self:
        await to_thread.run_sync(custody.tidy, self._settings.processes, self._settings.clock)
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._tasks is not None, "entered before"
        tasks, self._tasks = self._tasks, None
        self._runs.clear()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._supervisors.dismiss)
        return await tasks.__aexit__(kind, error, traceback)

    async def prepare(self) -> None:
        await to_thread.run_sync(self._supervisors.start_ahead)

    async def start(self, spec: ProcessSpec) -> RunningProcess:
        while True:
            run = self._known(spec.token)
            if run is not None:
                return run
            state = await to_thread.run_sync(spawn.start, self._settings, self._supervisors, spec)
            run = self._take_over(spec.token, state)
            if run is not None:
                return run
            await anyio.sleep(BUSY_PAUSE)

    async def find(self, token: str) -> RunningProcess | None:
        folder = self._settings.folder(token)
        while True:
            run = self._known(token)
            if run is not None:
                return run
            state = await to_thread.run_sync(custody.probe, folder, self._settings.clock)
            run = self._take_over(token, state)
            if run is not None or not isinstance(state, Busy):
                return run
            await anyio.sleep(BUSY_PAUSE)

    async def tokens(self) -> Sequence[str]:
        return await to_thread.run_sync(custody.list_tokens, self._settings.processes)

    async def forget(self, token: str) -> None:
        folder = self._settings.folder(token)
        while True:
            state = await to_thread.run_sync(custody.discard, folder, self._settings.clock)
            if isinstance(state, Absent | Ended | NeverRan):
                break
            run = self._take_over(token, state) if isinstance(state, Alive) else None
            if run is not None and not run.ended:
                await run.interrupt("its run was forgotten")
                await run.wait()
            await anyio.sleep(BUSY_PAUSE)
        self._runs.pop(token, None)

    def _known(self, token: str) -> SupervisedRun | None:
        if self._tasks is None:
            raise RuntimeError("the runner is used outside of `async with`")
        return self._runs.get(token)

    def _take_over(self, token: str, state: State) -> SupervisedRun | None:
        """Return the process described by `state`, or None. The connection of the state is used or closed."""
        known = self._known(token)
        if known is not None or not isinstance(state, Alive | Ended):
            custody.hang_up(state)
            return known
        run = self._runs[token] = SupervisedRun(
            token, self._settings.folder(token), state.running, self._settings.clock
        )
        if isinstance(state, Ended):
            run.end(state.exit)
        else:
            assert self._tasks is not None, "looked at above"
            self._tasks.start_soon(run.follow, state.stream)
        return run
