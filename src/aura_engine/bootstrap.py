"""Bootstrap: connects the engine to its adapters. No other module of the engine imports them.

Adapters are imported when first needed: an engine that only answers queries opens a store, but loads no git, executor
or worker.
"""

import os.path
import platform
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import attrs
from anyio.abc import TaskGroup

from aura_contracts import __version__
from aura_contracts.actors import Actor, actor_name, human
from aura_contracts.errors import StoreMisconfigured
from aura_contracts.identity import WorkerIdentity
from aura_contracts.ids import ExecutionId, TaskId, WorkerId
from aura_contracts.lease import RETURN_GRACE
from aura_contracts.ports.executors import AgentTools, Executor
from aura_contracts.store_url import Compression, StoreUrl
from aura_engine.agent_tools.api import OwnTask
from aura_engine.agent_tools.key import key_of, scope_in
from aura_engine.agent_tools.server import tools_for
from aura_engine.agent_tools.token import TaskScope, token_for
from aura_engine.engine_options import EngineOptions
from aura_engine.facade.core import Core
from aura_engine.facade.doctor import Finding
from aura_engine.facade.engine import Engine
from aura_engine.facade.subscription import end_subscriptions
from aura_engine.host import Host, new_ids, now, read_or_create
from aura_engine.profiles import Profiles, load_profiles
from aura_engine.runtime.context import Runtime, reviewers_of
from aura_engine.runtime.follower import Follower, unwrap_group
from aura_engine.runtime.gateway import Gateway
from aura_engine.runtime.prompts import Prompts
from aura_engine.runtime.slots import Slots
from aura_engine.state_cache import StateCache
from aura_engine.unit_of_work import CommandBus
from aura_store import AggregateRepository, StoreArchive, locks_for, open_log, open_read_models
from aura_worker_protocol import Peer, Role, memory_pair

MakeWorker = Callable[[], AbstractAsyncContextManager[Any]]


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
    drive_all: bool = False,
    record_only: bool = False,
    read_only: bool = False,
    auditing: bool = False,
    encryption_key: str | None = None,
    compression: Compression | None = None,
    outage_timeout: float | None = None,
    host: Host | None = None,
) -> AsyncIterator[Engine]:
    """Open an engine on the store at `url` (``sqlite:///aura.db``, ``postgresql://...``, ``memory:``).

    Works on asyncio and on trio. Opening starts nothing: tasks that earlier engines left unfinished stay as they are.
    With `drive_all` this engine drives them, every task that another program starts, and those of engines that stop.

    - `user`: on whose behalf commands run (default: AURA_USER, or the login name; a read-only engine needs neither).
    - `home`: the folder of worktrees and process output (default: AURA_HOME, or the platform's data folder).
    - `executors`: executors to use besides the installed ones.
    - `project`: a folder whose ``.aura/profiles.toml`` applies.
    - `executions`, `executions_of`: how many runs may work at once, in total and by executor.
    - `grace`: seconds that agents may outlive this process before they are ended (30 by default).
    - `record_only`: only record commands; another engine carries them out.
    - `read_only`: refuse commands. `auditing` also opens a damaged store, or one without its key, for `audit`.
    - `encryption_key`, `compression`, `outage_timeout` (seconds): see `aura_store.open_log`.

    Closing the engine stops driving: agents at work continue under their supervisors for `grace` seconds, so that the
    next engine can take over. Raises `InvalidInput` for a bad argument or profile file, `StoreMisconfigured`,
    `StoreUnavailable` and `LogDamaged`.
    """
    given = EngineOptions(
        url=url,
        user=user,
        home=home,
        executors=executors,
        project=project,
        executions=executions,
        executions_of=executions_of,
        grace=grace,
        drive_all=drive_all,
        record_only=record_only,
        read_only=read_only,
        auditing=auditing,
        encryption_key=encryption_key,
        compression=compression,
        outage_timeout=outage_timeout,
        host=host,
    )
    host = host or Host()
    identify = partial(_user, user, host)
    if not given.reading:
        identify()  # fails early: commands need the name
    folder = host.home if home is None else Path(os.path.abspath(home))  # noqa: ASYNC240, PTH100 - looks at no file
    options: dict[str, Any] = {"encryption_key": encryption_key, "compression": compression}
    waiting: dict[str, Any] = {} if outage_timeout is None else {"outage_timeout": outage_timeout}
    opening = open_log(url, clock=host.clock, read_only=read_only, auditing=auditing, **options, **waiting)
    async with opening as log, open_read_models(log) as reads:
        bus = CommandBus(
            log=log,
            states=StateCache(AggregateRepository(log).load),
            clock=host.clock,
            ids=host.ids,
            read_only=given.reading,
        )
        gateway = Gateway(
            bus=bus,
            engine_id=host.ids(),
            reviewers=lambda task: reviewers_of(task) or (actor_name(identify()),),
        )
        runtime = Runtime(
            bus=bus,
            reads=reads,
            gateway=gateway,
            prompts=Prompts(reads),
            slots=Slots(executions, executions_of or {}),
            profiles=await anyio.to_thread.run_sync(_profiles, folder, project),
            random=host.random,
            grace=grace,
        )
        locks = locks_for(url)
        follower = Follower(runtime, locks, drive_all=drive_all)
        archive = StoreArchive(
            log=log,
            models=reads,
            clock=host.clock,
            ids=host.ids,
            prices=folder / "prices.toml",
            path=StoreUrl.parse(url).path,
            compression=compression or "none",
            encrypted=encryption_key is not None,
        )
        core = Core(
            runtime=runtime,
            follower=follower,
            archive=archive,
            examine_host=partial(_examine_host, host),
            identify=identify,
            record_only=record_only,
            read_only=read_only or auditing or StoreUrl.parse(url).read_only,
        )
        make_tools = _tools_factory(folder, host.folder, store=url, **options)
        worker = _LocalWorker(gateway, partial(_local_worker, folder, executors, host, make_tools))
        try:
            async with _serving(core, worker):
                yield Engine(core)
        finally:
            with anyio.CancelScope(shield=True):
                await locks.aclose()


@asynccontextmanager
async def open_own_task(
    url: str,
    *,
    home: Path,
    environment: Mapping[str, str],
    encryption_key: str | None = None,
    compression: Compression | None = None,
    outage_timeout: float | None = None,
) -> AsyncIterator[OwnTask]:
    """Open what an agent may see and do in AURA: its own task, which the token in its environment names.

    Uses the store only, alongside the engine that drives the task. Raises `TokenRefused` for a token that this home did
    not issue, before it opens anything, and the errors of `open_engine` for the store.
    """
    scope = scope_in(environment, home)
    path = StoreUrl.parse(url).path
    if path is not None and not path.exists():
        reason = "the store does not exist"
        raise StoreMisconfigured(store=url, reason=reason, remedy="set AURA_STORE as AURA does for its agents")
    options: dict[str, Any] = {"encryption_key": encryption_key, "compression": compression}
    waiting: dict[str, Any] = {} if outage_timeout is None else {"outage_timeout": outage_timeout}
    async with open_log(url, clock=now, **options, **waiting) as log, open_read_models(log) as reads:
        bus = CommandBus(log=log, states=StateCache(AggregateRepository(log).load), clock=now, ids=new_ids())
        yield OwnTask(bus, reads, scope)


def _user(name: str | None, host: Host) -> Actor:
    return host.user if name is None else human(name)


def _profiles(home: Path, project: Path | str | None) -> Profiles:
    return load_profiles(home / "profiles.toml", None if project is None else Path(project) / ".aura/profiles.toml")


@asynccontextmanager
async def _serving(core: Core, worker: "_LocalWorker") -> AsyncIterator[None]:
    """Run the follower and, once it is needed, the worker, while the body runs.

    An exception of the body, ``SystemExit`` and ``KeyboardInterrupt`` included, propagates as it is and not in a group;
    so does the one error of a background task that ends the body, and the exception that `Core.leave` was called with.
    """
    raised: BaseException | None = None
    try:
        async with anyio.create_task_group() as group:
            worker.group = group

            def leave(error: BaseException) -> None:
                nonlocal raised
                raised = raised or error
                group.cancel_scope.cancel()

            core.leave = leave
            try:
                await group.start(core.follower.serve)
                try:
                    yield
                except (anyio.get_cancelled_exc_class(), GeneratorExit):
                    raise
                except BaseException as error:  # noqa: BLE001 - raised again below
                    raised = raised or error
                await end_subscriptions(core)
                core.closed = True
                await worker.stop()
            finally:
                core.closed = True
                worker.stopping.set()  # the group waits for it
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        if raised is None:
            raise unwrap_group(errors) from None
    if raised is not None:
        raise raised


@attrs.define(eq=False)
class _Running:
    """A worker from its start to its end."""

    settled: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when it is connected, or has failed before that."""
    stopped: anyio.Event = attrs.field(factory=anyio.Event)
    error: Exception | None = None
    """Why it could not be connected."""


class _LocalWorker:
    """The worker of this process, connected in memory; started when the gateway first needs one.

    It runs in its own task, which enters and leaves the worker's contexts. The task is shielded from cancellation so
    that it leaves them in order; it stops on an event, set by the owner of the group. A caller that is cancelled while
    the worker starts leaves it to the others.
    """

    def __init__(self, gateway: Gateway, make: MakeWorker) -> None:
        self._gateway = gateway
        self._make = make
        self.stopping = anyio.Event()
        self._running: _Running | None = None
        self.group: TaskGroup
        gateway.start_worker = self.start

    async def start(self) -> None:
        """Start the worker unless it runs, and wait until it is connected. Raises the error that prevents this."""
        if self._running is None and not self.stopping.is_set():
            self._running = _Running()
            self.group.start_soon(self._run, self._running)
        if (running := self._running) is not None:
            await running.settled.wait()
            if running.error is not None:
                raise running.error

    async def stop(self) -> None:
        """Stop the worker in order; its processes continue under their supervisors."""
        self.stopping.set()
        if (running := self._running) is not None:
            await running.stopped.wait()

    async def _run(self, running: _Running) -> None:
        ours, theirs = memory_pair()
        peer = Peer(ours, Role.ENGINE, self._gateway.handlers)
        try:
            with anyio.CancelScope(shield=True):
                async with self._make() as worker, anyio.create_task_group() as group:
                    group.start_soon(self._gateway.serve, peer)
                    group.start_soon(worker.run, theirs)
                    await peer.wait_ready()
                    running.settled.set()
                    await self.stopping.wait()
                    group.cancel_scope.cancel()
        except Exception as error:
            if running.settled.is_set():
                raise
            running.error = unwrap_group(error)
        finally:
            self._running = None  # a worker that could not be connected can be started again
            running.settled.set()
            running.stopped.set()


@asynccontextmanager
async def _local_worker(
    home: Path,
    executors: Sequence[Executor],
    host: Host,
    make_tools: Callable[[TaskId, ExecutionId], AgentTools],
) -> AsyncIterator[Any]:
    from aura_executors import SupervisedRunner  # noqa: PLC0415 - adapters are imported where they are needed
    from aura_executors.registry import ExecutorRegistry  # noqa: PLC0415
    from aura_git import CommandLineGit  # noqa: PLC0415
    from aura_worker import Worker  # noqa: PLC0415
    from aura_workspace import LocalWorkspaces  # noqa: PLC0415

    environment = host.environment
    git = CommandLineGit(environment=environment)
    named = await anyio.to_thread.run_sync(read_or_create, home / "worker", uuid.uuid4().hex.encode)
    instance = named.decode()  # the permanent name of this folder's worker
    async with SupervisedRunner(home, clock=host.clock, python=sys.executable) as runner:
        yield Worker(
            worker_id=WorkerId(str(uuid.uuid5(uuid.NAMESPACE_OID, instance))),
            identity=WorkerIdentity(host=platform.node(), instance=instance),
            workspaces=LocalWorkspaces(home, git),
            runner=runner,
            executors=ExecutorRegistry(executors),
            environment=environment,
            make_tools=make_tools,
            version=__version__,
        )


def _tools_factory(home: Path, folder: Path, **store: Any) -> Callable[[TaskId, ExecutionId], AgentTools]:
    """Return a factory of AURA's tools for an agent: a process on the same store, with a token of this home."""

    def make_tools(task_id: TaskId, execution_id: ExecutionId) -> AgentTools:
        token = token_for(key_of(home), TaskScope(task_id=task_id, execution_id=execution_id))
        return tools_for(token, python=sys.executable, home=home, folder=folder, **store)

    return make_tools


def _examine_host(host: Host) -> Sequence[Finding]:
    """Check the programs that AURA depends on: Python and git."""
    from aura_git import find_git  # noqa: PLC0415 - adapters are imported where they are needed

    python = Finding(id=sys.executable, kind="python", status="ok", text=f"Python {platform.python_version()}")
    found = find_git(host.environment.get("PATH"), host.environment)
    status: Literal["ok", "wrong"] = "ok" if found.usable else "wrong"
    remedy = "" if found.usable else "install git 2.34 or newer"
    return python, Finding(id=found.executable or "git", kind="git", status=status, text=found.reason, remedy=remedy)
