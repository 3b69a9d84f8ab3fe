"""Engine: the facade. Each part of AURA is a noun here, with `get`, `list` and commands.

    async with open_engine("sqlite:///aura.db") as engine:
        run = await engine.run("Fix the login", executor="claude")
        async for question in run.questions():
            await engine.approvals.approve(question.id)
        task = await run.result()

Commands run on behalf of the engine's user unless `by` names another actor. Ids may be shortened to a unique prefix or
suffix. Any method may raise `InvalidInput` for a bad argument, `AggregateNotFound` or `AmbiguousId` for an id with no
match or several, `CommandRefused` if a rule forbids the command, `StoreReadOnly` for a command on a read-only store,
`EngineClosed` once the engine is closed, and the errors of the log. Any method may be cancelled: a command is recorded
completely or not at all.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar, Unpack
from uuid import NAMESPACE_URL, uuid5

import anyio
from attrs import evolve

from aura_contracts.actors import actor_name
from aura_contracts.errors import AggregateExists, KeyReused, NoSession
from aura_contracts.events import Event, EventRecord
from aura_contracts.ids import TaskId
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.service import Service
from aura_contracts.task import TASK, WAITS_FOR_HUMAN, Task, TaskStatus
from aura_engine import facade
from aura_engine.facade.arguments import Kept, ids_of
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.noun import Noun
from aura_engine.facade.options import RunOptions
from aura_engine.facade.run import Run

if TYPE_CHECKING:
    from aura_engine.facade.agents import Agents
    from aura_engine.facade.approvals import Approvals
    from aura_engine.facade.audit import Audit
    from aura_engine.facade.boards import Boards
    from aura_engine.facade.doctor import Doctor
    from aura_engine.facade.events import Events
    from aura_engine.facade.executions import Executions
    from aura_engine.facade.executors import Executors
    from aura_engine.facade.history import History
    from aura_engine.facade.links import Links
    from aura_engine.facade.logs import Logs
    from aura_engine.facade.notifications import Notifications
    from aura_engine.facade.policies import Policies
    from aura_engine.facade.projects import Projects
    from aura_engine.facade.schedules import Schedules
    from aura_engine.facade.service_turn import Serving
    from aura_engine.facade.sessions import Sessions
    from aura_engine.facade.stats import Stats
    from aura_engine.facade.store import Store
    from aura_engine.facade.subscription import Subscription
    from aura_engine.facade.tasks import Tasks
    from aura_engine.facade.templates import Templates
    from aura_engine.facade.timers import Timers
    from aura_engine.facade.usage import Usage
    from aura_engine.facade.workflows import Workflows
    from aura_engine.facade.workspaces import Workspaces
    from aura_engine.inputs import RunRequest

E = TypeVar("E", bound=Event)

_LOCK_PAUSE = 0.05
"""Seconds between two attempts to take the lock of an engine that may have been killed."""


@gated
class Engine:
    """Tasks on a log, and everything that belongs to them. Opened by `open_engine`; bound to its event loop.

    It drives the tasks that it starts or gives work to; with ``drive_all``, also those that other engines left. With
    ``record_only`` it drives none.
    """

    tasks: "Noun[Tasks]" = Noun()
    approvals: "Noun[Approvals]" = Noun()
    links: "Noun[Links]" = Noun()
    agents: "Noun[Agents]" = Noun()
    projects: "Noun[Projects]" = Noun()
    boards: "Noun[Boards]" = Noun()
    templates: "Noun[Templates]" = Noun()
    workflows: "Noun[Workflows]" = Noun()
    schedules: "Noun[Schedules]" = Noun()
    executions: "Noun[Executions]" = Noun()
    workspaces: "Noun[Workspaces]" = Noun()
    sessions: "Noun[Sessions]" = Noun()
    executors: "Noun[Executors]" = Noun()
    policies: "Noun[Policies]" = Noun()
    timers: "Noun[Timers]" = Noun()
    notifications: "Noun[Notifications]" = Noun()
    usage: "Noun[Usage]" = Noun()
    stats: "Noun[Stats]" = Noun()
    events: "Noun[Events]" = Noun()
    history: "Noun[History]" = Noun()
    audit: "Noun[Audit]" = Noun()
    logs: "Noun[Logs]" = Noun()
    store: "Noun[Store]" = Noun()
    doctor: "Noun[Doctor]" = Noun()

    def __init__(self, core: Core) -> None:
        self._core = core

    @property
    def user(self) -> str:
        """The user on whose behalf commands run. Raises `InvalidInput` if a read-only engine cannot tell."""
        return actor_name(self._core.user)

    # --- Runs ---------------------------------------------------------------------------------------------------------

    async def run(
        self,
        prompt: str,
        *,
        executor: str,
        key: Kept[str | None] = None,
        after: Sequence[Run | str] | Run | str = (),
        **options: Unpack[RunOptions],
    ) -> Run:
        """Start a task from a prompt and return its handle. `options` are the fields of `RunRequest`.

        The executor examines the request first; then everything the task needs is recorded in one append, and driven in
        the background. Raises `UnknownExecutor`, `InvalidInput` for what the executor would refuse, and `GitError` for
        what keeps a repository from being worked on: `NoCommit`, `FilterMissing`, `BranchInTheWay`, `IgnoredSubfolder`,
        `UncommittedSubfolder` and `UnsuitableFolder` say so unless `in_place` is true.

        `key` (up to 200 characters) makes the call idempotent: the same key returns the same task, even after a crash,
        and resumes an interrupted run. If another engine drives it, this one takes it over when that engine stops.
        Raises `KeyReused` if the key belongs to a different request: one with other options, other repositories (their
        real paths count, not how they are written) or another `after`. What the engine chooses itself, such as the
        session for `resume_latest`, is not part of the request.

        `after` names a run or task, or several, that must complete first; if one of them fails or is cancelled, this
        one fails. Raises `NoSession` if `resume_latest` finds no session.
        """
        request = facade.RunRequest.model_validate({"prompt": prompt, "executor": executor, **options})
        return await self.start(request, key=key, after=after)

    async def start(
        self, request: "RunRequest", *, key: Kept[str | None] = None, after: Sequence[Run | str] | Run | str = ()
    ) -> Run:
        """Start a task from a request; see `run`."""
        core = self._core
        core.require_open()
        facade.StartOptions.model_validate({"key": key, "after": ids_of(after)})
        request = request.located
        waits_for = await self._tasks(after)
        digest = request.digest(waits_for)
        task_id = core.new_task_id() if key is None else task_of_key(key)
        if key is not None and (task := await core.bus.fetch(TASK, task_id)) is not None:
            return await self._again(task, digest, key)
        await core.require_member("task", task_id, "start")  # before an executor is asked
        chosen = await self._with_session(request)
        await self.executors.check(chosen)
        since = await core.log.head()

        async def create() -> Task:
            return await facade.Placement(core).begin(task_id, chosen, key=key, digest=digest, after=waits_for)

        try:
            driven = await core.begin(task_id, create, since)
        except AggregateExists:
            if key is None:
                raise
            return await self._again(await self.tasks.get(task_id), digest, key)  # another engine was first
        return Run(task_id, core, since=since, whole=True, driven=driven)

    async def _again(self, task: Task, digest: str, key: str) -> Run:
        """Return the handle of the task that belongs to a key, and resume it if it was interrupted."""
        if task.request_digest != digest:
            raise KeyReused(key=key, aggregate="task", aggregate_id=task.id)
        if not task.ended:
            await self._core.require_member("task", task.id, "resume")
            await self._core.take_on(task.id)
        return await self.attach(task.id)

    async def _tasks(self, named: Sequence[Run | str] | Run | str) -> Sequence[TaskId]:
        """Return the ids of tasks that are named by their runs or by ids, each once."""
        found = [TaskId(await self._core.find("task", name)) for name in ids_of(named)]
        return tuple(dict.fromkeys(found))

    async def _with_session(self, request: "RunRequest") -> "RunRequest":
        """Return the request with the session that `resume_latest` stands for. Raises `NoSession`."""
        if not request.resume_latest:
            return request
        session = await self.sessions.latest(executor=request.executor, folders=request.repositories)
        if session is None:
            raise NoSession(executor=request.executor, place=", ".join(request.repositories))
        return request.model_copy(update={"session_id": session.id})

    async def attach(self, task: str) -> Run:
        """Return a handle of an existing task. Starts nothing; `Run.events` yields what happens from now on.

        To wait for the task needs an engine that drives it, or the wait raises `RunNotDriven`; see `resume`.

        Raises `AggregateNotFound`, `AmbiguousId`.
        """
        task_id = (await self.tasks.get(task)).id
        driven = self._core.follower.drives(task_id)
        return Run(task_id, self._core, since=await self._core.log.head(), driven=driven)

    async def resume(self, task: str) -> Run:
        """Resume a task and return its handle.

        `Run.driven` is False if another engine drives it; this one takes it over when that engine stops.
        """
        self._core.require_open()
        run = await self.attach(task)
        await self._core.require_member("task", run.id, "resume")
        return evolve(run, driven=await self._core.take_on(run.id))

    async def resume_interrupted(
        self, request: "RunRequest", *, after: Sequence[Run | str] | Run | str = ()
    ) -> Run | None:
        """Resume the newest interrupted run of the same request and return it; None without one.

        A run that waits for a human was not interrupted; one that failed or was cancelled is only cleaned up. One that
        completed but was not yet cleaned up counts as interrupted.
        """
        digest = request.digest(await self._tasks(after))
        query = TaskQuery(unfinished=True, request_digest=(digest,))
        async with aclosing(self._core.reads.rows(query)) as tasks:
            async for task in tasks:
                if task.status in WAITS_FOR_HUMAN:
                    continue
                await self._core.require_member("task", task.id, "resume")
                if task.ended and task.status is not TaskStatus.COMPLETED:
                    await self._core.drive(task.id)
                elif await self._drive_soon(task.id):
                    return await self.attach(task.id)
        return None

    async def _drive_soon(self, task_id: TaskId) -> bool:
        """Drive a task; wait a moment for its lock, where that may outlast an engine that was killed."""
        core = self._core
        driven = await core.drive(task_id)
        with anyio.move_on_after(0 if core.record_only else core.locks.lag):
            while not driven:
                await anyio.sleep(_LOCK_PAUSE)
                driven = await core.drive(task_id)
        return driven

    # --- Service ------------------------------------------------------------------------------------------------------

    def serve(self) -> "Serving":
        """Look after the store from now on, in the background: drive every task as `drive_all` does, and fire timers.

        One at a time serves a store, across all engines. If another one does, this one waits until it stops or dies,
        and takes over; `Serving.started` tells.

        The settings of notifications are read now, and again when they change; if they have faults then, those that
        were read last still apply. Raises `InvalidFile` for faults that they have now, `StoreReadOnly`, and
        `InvalidInput` for an engine that only records.
        """
        return facade.serve(self._core)

    async def service(self) -> Service | None:
        """Return the service that another engine is on this store, None without one."""
        return await facade.service_of(self._core)

    # --- Events -------------------------------------------------------------------------------------------------------

    def on(
        self,
        event_type: type[E],
        callback: Callable[[EventRecord[E]], Awaitable[Any] | Any],
        *,
        name: str | None = None,
        in_thread: bool = False,
    ) -> "Subscription":
        """Call `callback` with the record of every event of a type, in the order of the log.

        Events count no matter which process records them. Without `name` the subscription is live: it starts now and
        ends with the engine. With `name` it is durable: it continues after the last event whose callback returned, also
        after a restart, so each event is delivered at least once. Only one subscription at a time serves a name, across
        all engines. Names that begin with ``aura:`` are reserved.

        An asynchronous `callback` is awaited. A plain one blocks the event loop until it returns, so it should be
        quick; `in_thread` calls it in a thread of the subscription instead, where it may block.

        If the callback raises, a durable subscription calls it again after a pause, and a live one skips the event; see
        `Subscription.failure`. Errors of reading the log end the subscription, not the engine, and are raised by
        `Subscription.wait`. A callback that raises ``SystemExit`` or ``KeyboardInterrupt`` closes the engine, which
        raises it when it is left; the event counts as not delivered.

        Closing the engine waits up to five seconds for callbacks that are running. After that it cancels asynchronous
        ones and abandons threads, and durable subscriptions deliver their events again.

        Raises `InvalidInput`, and `StoreReadOnly` for a durable subscription on a read-only store.
        """
        return facade.subscribe(self._core, event_type, callback, name=name, in_thread=in_thread)


def task_of_key(key: str) -> TaskId:
    """Return the id of the task that belongs to a key (UUIDv5)."""
    return TaskId(str(uuid5(NAMESPACE_URL, f"urn:aura:key:{key}")))
