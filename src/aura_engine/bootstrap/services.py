"""Services: all that drives tasks, made when an engine first needs it; one that only answers queries does not."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
from anyio.abc import TaskGroup

from aura_contracts.actors import actor_name
from aura_engine.agent_types import AgentTypeFile
from aura_engine.bootstrap.engine_options import EngineOptions
from aura_engine.bootstrap.worker import local_worker
from aura_engine.exception_groups import unwrap_group
from aura_engine.facade.core import Core, Services
from aura_engine.facade.step_tasks import FacadeStepTasks
from aura_engine.host import Host
from aura_engine.orchestration.kind import WorkflowKind
from aura_engine.orchestration.library import Library
from aura_engine.orchestration.world import StepWorld
from aura_engine.permissions.questions import Reviewers
from aura_engine.profiles import ProfileFiles
from aura_engine.runtime.context import Runtime, Slots, reviewers_of
from aura_engine.runtime.follower import Follower
from aura_engine.runtime.gateway import Gateway
from aura_engine.runtime.prompts import Prompts
from aura_worker_protocol import Peer, Role, memory_pair

MakeWorker = Callable[[], AbstractAsyncContextManager[Any]]


def services_of(core: Core, given: EngineOptions, host: Host, home: Path) -> Services:
    """Return what drives the tasks of an engine that was opened with the options `given`."""
    project = None if given.project is None else Path(given.project)
    gateway = Gateway(
        bus=core.bus,
        engine_id=host.ids(),
        reviewers=Reviewers(lambda task: reviewers_of(task) or (actor_name(core.user),), core.policies),
    )
    runtime = Runtime(
        bus=core.bus,
        reads=core.reads,
        gateway=gateway,
        prompts=Prompts(core.reads),
        slots=Slots(given.executions, given.executions_of or {}),
        agent_types=AgentTypeFile(home / "agent-types.toml"),
        profiles=ProfileFiles(home / "profiles.toml", project and project / ".aura/profiles.toml"),
        policies=core.policies,
        clock=core.clock,
        tally=core.tally,
        samples_agents=given.sample_agents,
        random=host.random,
        grace=given.grace,
    )

    def workflows(follower: Follower) -> WorkflowKind:
        return WorkflowKind(StepWorld(runtime, FacadeStepTasks(core), Library(core.bus), follower))

    follower = Follower(runtime, core.locks, core.require_open, workflows, drive_all=given.drive_all)
    worker = LocalWorker(gateway, partial(local_worker, given, host, home), core.require_open())
    return Services(runtime, follower, worker)


@attrs.define(eq=False)
class _Running:
    """A worker from its start to its end."""

    settled: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when it is connected, or has failed before that."""
    stopped: anyio.Event = attrs.field(factory=anyio.Event)
    error: Exception | None = None
    """Why it could not be connected."""


class LocalWorker:
    """The worker of this process, connected in memory; started when the gateway first needs one.

    It runs in its own task, which enters and leaves the worker's contexts. The task is shielded from cancellation so
    that it leaves them in order; it stops on an event, set by the owner of the group. A caller that is cancelled while
    the worker starts leaves it to the others.
    """

    def __init__(self, gateway: Gateway, make: MakeWorker, group: TaskGroup) -> None:
        self._gateway = gateway
        self._make = make
        self._group = group
        self._stopping = anyio.Event()
        self._running: _Running | None = None
        gateway.start_worker = self.start

    async def start(self) -> None:
        """Start the worker unless it runs, and wait until it is connected. Raises the error that prevents this."""
        if self._running is None and not self._stopping.is_set():
            self._running = _Running()
            self._group.start_soon(self._run, self._running)
        if (running := self._running) is not None:
            await running.settled.wait()
            if running.error is not None:
                raise running.error

    def end(self) -> None:
        """Have the worker stop; the group waits for it. Its processes continue under their supervisors."""
        self._stopping.set()

    async def stop(self) -> None:
        """Stop the worker in order, and wait for it."""
        self.end()
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
                    await self._stopping.wait()
                    group.cancel_scope.cancel()
        except Exception as error:
            if running.settled.is_set():
                raise
            running.error = unwrap_group(error)
        finally:
            self._running = None  # a worker that could not be connected can be started again
            running.settled.set()
            running.stopped.set()
