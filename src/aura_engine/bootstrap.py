"""Bootstrap: where the engine meets its adapters. No other module of the engine imports them.

async with open_engine("sqlite:///aura.db") as engine:
    task = await engine.run("Fix the login", executor="claude")
"""

import os.path
import platform
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from aura_contracts import __version__
from aura_contracts.actors import actor_name, human
from aura_contracts.ids import IdFactory, WorkerId
from aura_contracts.lease import RETURN_GRACE, WorkerIdentity
from aura_contracts.ports import Clock, EventLog
from aura_contracts.ports.executors import Executor
from aura_engine.engine import Engine, alone
from aura_engine.machine import Machine
from aura_engine.profiles import Profiles, load_profiles
from aura_engine.runtime.context import Runtime, reviewers_of
from aura_engine.runtime.gateway import Gateway
from aura_engine.runtime.prompts import Prompts
from aura_engine.runtime.slots import Slots
from aura_engine.scope import TaskScope, token_for
from aura_engine.secret import secret_of
from aura_engine.tools import Tools, tools_for
from aura_engine.unit_of_work import CommandBus
from aura_engine.worker import ToolsOf, Worker
from aura_executors import SupervisedRunner
from aura_executors.registry import ExecutorRegistry
from aura_git import choose_git
from aura_store import Compression, Repository, locks_for, open_log
from aura_worker_protocol import Role, Transport
from aura_worker_protocol.memory import memory_pair
from aura_worker_protocol.peer import Peer
from aura_workspace import LocalWorkspaces

if TYPE_CHECKING:
    from aura_engine.blocking import BlockingEngine


@asynccontextmanager
async def open_bus(
    url: str,
    *,
    clock: Clock,
    ids: IdFactory,
    encryption_key: str | None = None,
    compression: Compression | None = None,
) -> AsyncIterator[CommandBus]:
    """Open the log at `url`, see `aura_store.open_log`, and give a bus at which commands on it are handled."""
    async with open_log(url, encryption_key=encryption_key, compression=compression, clock=clock) as log:
        yield bus_on(log, clock=clock, ids=ids)


def bus_on(log: EventLog, *, clock: Clock, ids: IdFactory) -> CommandBus:
    """Return a bus on a log that is open already."""
    return CommandBus(log=log, load=Repository(log).load, clock=clock, ids=ids)


@asynccontextmanager
async def open_engine(
    url: str,
    *,
    user: str | None = None,
    home: Path | str | None = None,
    executors: Sequence[Executor] = (),
    project: Path | str | None = None,
    executions: int | None = None,
    executions_of: Mapping[str, int] | None = None,
    grace: float = RETURN_GRACE,
    drive_all: bool = True,
    encryption_key: str | None = None,
    compression: Compression | None = None,
    outage_timeout: float | None = None,
    machine: Machine | None = None,
) -> AsyncIterator[Engine]:
    """Open an engine on the log at `url`, with a worker in this process. Works on asyncio and on trio.

    `user` is the name in which things are done (default: AURA_USER, or the login). `home` is where worktrees and the
    spools of processes are kept (default: AURA_HOME, or the platform's folder). `executors` are added to the installed
    ones. `project` is a folder whose ``.aura/profiles.toml`` counts, see `aura_engine.profiles`. `executions` limits
    how many work at once, `executions_of` the same for each executor by name. `grace` is for how many seconds agents
    run on when this process dies, before they are ended. With `drive_all` (the default) tasks
    that an earlier engine left unfinished are gone on with at once; without it only what this engine is told to.

    Leaving it stops driving: what runs goes on under its supervisor for `grace` seconds, for the next engine to find.
    """
    machine = machine or Machine()
    folder = machine.home if home is None else Path(os.path.abspath(home))  # noqa: ASYNC240, PTH100 - looks at no file
    waiting: dict[str, Any] = {} if outage_timeout is None else {"outage_timeout": outage_timeout}
    async with open_log(
        url, encryption_key=encryption_key, compression=compression, clock=machine.clock, **waiting
    ) as log:
        bus = bus_on(log, clock=machine.clock, ids=machine.ids)
        locks = locks_for(url)
        acting = human(user) if user else machine.user
        nobody_else = (actor_name(acting),)
        gateway = Gateway(bus=bus, engine_id=machine.ids(), reviewers=lambda task: reviewers_of(task) or nobody_else)
        runtime = Runtime(
            bus=bus,
            gateway=gateway,
            prompts=Prompts(bus),
            slots=Slots(executions, executions_of or {}),
            profiles=await anyio.to_thread.run_sync(_profiles, folder, project),
            random=machine.random,
            grace=grace,
        )
        engine = Engine(runtime, locks, acting, drive_all=drive_all)
        try:
            store = {"store": url, "encryption_key": encryption_key, "compression": compression}
            worker = partial(_local_worker, folder, executors, machine, _tools_of(folder, machine.folder, **store))
            async with _serving(engine, gateway, worker):
                yield engine
        finally:
            with anyio.CancelScope(shield=True):
                await locks.aclose()


def _profiles(home: Path, project: Path | str | None) -> Profiles:
    return load_profiles(home / "profiles.toml", None if project is None else Path(project) / ".aura/profiles.toml")


@asynccontextmanager
async def _serving(
    engine: Engine, gateway: Gateway, local_worker: Callable[[Transport], AbstractAsyncContextManager[Worker]]
) -> AsyncIterator[None]:
    """Run worker and engine, each at its end of a connection, while the body runs.

    What the body raises is raised as it is, not as part of a group with what the engine's tasks might raise; and what
    one of these raises, which ends the body, is not in a group by itself.
    """
    ours, theirs = memory_pair()
    peer = Peer(ours, Role.ENGINE, gateway.handlers)
    raised: Exception | None = None
    try:
        async with local_worker(theirs) as worker, anyio.create_task_group() as group:
            group.start_soon(gateway.serve, peer)
            group.start_soon(worker.run)
            await peer.wait_ready()
            await group.start(engine.serve)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised again below
                raised = error
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        if raised is None:
            raise alone(errors) from None
    if raised is not None:
        raise raised


@asynccontextmanager
async def _local_worker(
    home: Path, executors: Sequence[Executor], machine: Machine, tools_of: ToolsOf, transport: Transport
) -> AsyncIterator[Worker]:
    environment = machine.environment
    git = choose_git(environment.get("PATH"), environment=environment)
    instance = await anyio.to_thread.run_sync(_instance, home)
    async with SupervisedRunner(home, clock=machine.clock, python=sys.executable) as runner:
        yield Worker(
            worker_id=WorkerId(str(uuid.uuid5(uuid.NAMESPACE_OID, instance))),
            identity=WorkerIdentity(host=platform.node(), instance=instance),
            workspaces=LocalWorkspaces(home, git),
            runner=runner,
            executors=ExecutorRegistry(executors),
            environment=environment,
            tools_of=tools_of,
            transport=transport,
            version=__version__,
        )


def _tools_of(home: Path, folder: Path, **store: Any) -> ToolsOf:
    """Return what makes AURA's own tools for an agent: a process on the same store, with a token of this home."""

    def tools_of(scope: TaskScope) -> Tools:
        token = token_for(secret_of(home), scope)
        return tools_for(token, python=sys.executable, home=home, folder=folder, **store)

    return tools_of


def _instance(home: Path) -> str:
    """Return the word by which the worker of this folder is known again; made when there is none."""
    path = home / "worker"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        home.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=home, delete=False, encoding="utf-8") as file:
        file.write(uuid.uuid4().hex)
    try:
        Path(path).hardlink_to(file.name)  # whoever is first; a file that is there is never half written
    except FileExistsError:
        pass
    finally:
        Path(file.name).unlink()
    return path.read_text(encoding="utf-8")


@contextmanager
def open_engine_sync(url: str, **options: Any) -> Iterator["BlockingEngine"]:
    """Open an engine for code that is not asynchronous; the options are those of `open_engine`.

    It runs on an event loop in a thread of its own, so that tasks go on while the caller does something else.
    """
    from aura_engine.blocking import BlockingEngine  # noqa: PLC0415 - of no use to anybody else

    with BlockingEngine.running(open_engine(url, **options)) as engine:
        yield engine
