"""Worker: carries out the engine's requests about files and processes, and decides nothing.

    worker = Worker(worker_id=..., identity=..., workspaces=..., runner=..., executors=..., environment=..., ...)
    await worker.run(transport)

It says hello with the processes it knows from before, serves requests and sends heartbeats until the connection closes.
Leaving `run` leaves processes running, under their supervisors, with their output kept; run again, over another
transport, the same worker resumes.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from aura_contracts.errors import AuraError, WorkerUnavailable
from aura_contracts.ids import WorkerId, WorkerIdentity
from aura_contracts.ports.executors import AgentRun, ExecutorInfo
from aura_contracts.ports.processes import ProcessRunner
from aura_contracts.ports.workspaces import PreparedWorkspace, WorkspaceProvider
from aura_worker._launch import ExecutorSource, ToolsFactory, require_program
from aura_worker._processes import Processes
from aura_worker._workspaces import WorkspaceService
from aura_worker_protocol import PROTOCOL_VERSION, Handler, Peer, Request, Role, Transport
from aura_worker_protocol.messages import (
    AnswerPermission,
    AwaitProcess,
    CheckOptions,
    CollectWork,
    DescribeRepository,
    DiffWork,
    ExecutorsListed,
    FindOrphans,
    ForgetProcess,
    Heartbeat,
    Hello,
    InspectWorkspace,
    InterruptProcess,
    ListExecutors,
    MergeWork,
    NoteWaiting,
    OptionsChecked,
    PrepareWorkspace,
    ReadDocuments,
    RemoveOrphan,
    RemoveWorktrees,
    RepairWorkspace,
    ResetToSnapshot,
    RevertWork,
    StartProcess,
    TakeSnapshot,
    TellAgent,
    WarmPool,
)


class Worker:
    """One worker.

    Processes inherit `environment`; `runner` has been entered by the caller; `make_tools` makes AURA's own tools for
    the agents that get them.

    `executors` and `workspaces` are called in threads where they block. Runs on asyncio and on trio.
    """

    def __init__(
        self,
        *,
        worker_id: WorkerId,
        identity: WorkerIdentity,
        workspaces: WorkspaceProvider,
        runner: ProcessRunner,
        executors: ExecutorSource,
        environment: Mapping[str, str],
        make_tools: ToolsFactory,
        version: str,
    ) -> None:
        self._worker_id = worker_id
        self._identity = identity
        self._executors = executors
        self._version = version
        self._environment = environment
        self._workspaces = WorkspaceService(workspaces)
        self._processes = Processes(runner, executors, environment, make_tools)

    async def run(self, transport: Transport[Any]) -> None:
        """Serve one connection until it closes.

        Returns when the engine closes. Raises the engine's error if it refuses the hello, `WorkerUnavailable` if it is
        gone before it has answered that, `RemoteProtocolError` if it breaks the protocol. Cancelling closes the
        connection; work on files that has begun is finished first.
        """
        peer = Peer(transport, Role.WORKER, self._handlers())
        errors: list[AuraError] = []
        async with anyio.create_task_group() as tasks:

            async def serve() -> None:
                try:
                    await peer.run()
                except AuraError as error:
                    errors.insert(0, error)
                tasks.cancel_scope.cancel()

            disconnect = self._processes.connect(peer, tasks)
            tasks.start_soon(serve)
            try:
                await self._greet(peer, errors)
            finally:
                disconnect()
                peer.close()
        if errors:
            raise errors[0]

    async def _greet(self, peer: Peer, errors: list[AuraError]) -> None:
        """Say hello, then send heartbeats until the connection closes."""
        hello = Hello(
            protocol=PROTOCOL_VERSION,
            worker_id=self._worker_id,
            identity=self._identity,
            version=self._version,
            processes=await self._processes.known(),
        )
        try:
            welcome = await peer.request(hello)
        except AuraError as error:
            errors.append(error)
            return
        while True:
            await anyio.sleep(welcome.heartbeat)
            try:
                await peer.notify(Heartbeat())
            except WorkerUnavailable:
                return

    def _handlers(self) -> Mapping[type[Request[Any]], Handler]:
        """Handlers for all of `TO_WORKER`."""
        workspaces, processes = self._workspaces, self._processes
        return {
            PrepareWorkspace: self._prepare,
            RepairWorkspace: workspaces.repair,
            InspectWorkspace: workspaces.inspect,
            CollectWork: workspaces.collect,
            DiffWork: workspaces.diff,
            TakeSnapshot: workspaces.snapshot,
            ResetToSnapshot: workspaces.restore,
            MergeWork: workspaces.merge,
            RevertWork: workspaces.revert,
            RemoveWorktrees: workspaces.remove,
            DescribeRepository: workspaces.describe,
            ReadDocuments: workspaces.documents,
            FindOrphans: workspaces.orphans,
            RemoveOrphan: workspaces.remove_orphan,
            WarmPool: workspaces.warm,
            StartProcess: processes.start,
            AwaitProcess: processes.finish,
            InterruptProcess: processes.interrupt,
            AnswerPermission: processes.answer,
            TellAgent: processes.tell,
            NoteWaiting: processes.note_waiting,
            ForgetProcess: processes.forget,
            ListExecutors: self._list_executors,
            CheckOptions: self._check_options,
        }

    async def _prepare(self, request: PrepareWorkspace) -> PreparedWorkspace:
        """Prepare a workspace; a process is started in it next."""
        self._processes.prepare()
        return await self._workspaces.prepare(request)

    async def _list_executors(self, request: ListExecutors) -> ExecutorsListed:
        """Look for agents, all at once: each may run a program to learn its version."""
        names: Sequence[str] = request.names or await anyio.to_thread.run_sync(self._executors.names)
        found: dict[str, ExecutorInfo] = {}
        unknown: list[AuraError] = []

        async def describe(name: str) -> None:
            try:
                for info in await anyio.to_thread.run_sync(
                    partial(self._executors.describe, (name,), environment=self._environment)
                ):
                    found[name] = info
            except AuraError as error:
                unknown.append(error)

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(describe, name)
        if unknown:
            raise unknown[0]
        return ExecutorsListed(executors=tuple(found[name] for name in names))

    async def _check_options(self, request: CheckOptions) -> OptionsChecked:
        """Build the executor's command, to validate the options, and discard it."""
        executor = self._executors.get(request.executor)
        run = AgentRun(
            prompt=request.prompt,
            cwd=request.directory,
            options=request.options,
            session_id=request.session_id,
            fork=request.fork,
            environment=dict(self._environment),
            variables=request.variables,
        )
        launch = await anyio.to_thread.run_sync(executor.launch, run)
        if request.installed:
            await anyio.to_thread.run_sync(require_program, launch, self._environment)
        asks = executor.capability.permissions
        return OptionsChecked(
            silencing=executor.silencing_option(request.options) if asks else None,
            reads=executor.documents_read(request.options),
        )
