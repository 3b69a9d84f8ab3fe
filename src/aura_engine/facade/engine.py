"""Engine: the facade. Each part of AURA is a noun here, with `get`, `list` and commands.

    async with open_engine("sqlite:///aura.db") as engine:
        run = await engine.run("Fix the login", executor="claude")
        async for question in run.questions():
            await engine.approvals.approve(question.id)
        task = await run.result()

Commands run on behalf of the engine's user unless `by` names another actor. Ids may be shortened to a unique prefix or
suffix. Any method may raise `InvalidInput` for a bad argument, `AggregateNotFound` or `AmbiguousId` for an id with no
match or several, `CommandRefused` if a rule forbids the command, `StoreReadOnly` for a command on a read-only store,
and the errors of the log. Any method may be cancelled: a command is recorded completely or not at all.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Unpack
from uuid import NAMESPACE_URL, uuid5

from attrs import evolve

from aura_contracts.actors import actor_name
from aura_contracts.errors import AggregateExists, KeyReused
from aura_contracts.events import Event, EventRecord
from aura_contracts.ids import TaskId
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.task import TASK, Task, TaskStatus
from aura_engine.facade.agents import Agents
from aura_engine.facade.approvals import Approvals
from aura_engine.facade.arguments import checked
from aura_engine.facade.audit import Audit
from aura_engine.facade.core import Core
from aura_engine.facade.doctor import Doctor
from aura_engine.facade.events import Events
from aura_engine.facade.executors import Executors
from aura_engine.facade.history import History
from aura_engine.facade.logs import Logs
from aura_engine.facade.options import RunOptions
from aura_engine.facade.run import Run
from aura_engine.facade.sessions import Sessions
from aura_engine.facade.store import Store
from aura_engine.facade.subscription import Subscription
from aura_engine.facade.tasks import Tasks
from aura_engine.facade.usage import Usage
from aura_engine.facade.workspaces import Workspaces

if TYPE_CHECKING:
    from aura_engine.inputs import RunRequest

E = TypeVar("E", bound=Event)

_WAITING = (TaskStatus.AWAITING_APPROVAL, TaskStatus.BLOCKED)


@checked
class Engine:
    """Tasks on a log, and everything that belongs to them. Opened by `open_engine`; bound to its event loop.

    It drives the tasks that it starts or gives work to; with ``drive_all``, also those that other engines left. With
    ``record_only`` it drives none.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.tasks = core.tasks = Tasks(core)
        self.approvals = core.approvals = Approvals(core)
        self.agents = Agents(core)
        self.workspaces = core.workspaces = Workspaces(core)
        self.sessions = Sessions(core)
        self.executors = core.executors = Executors(core)
        self.usage = Usage(core)
        self.events = Events(core)
        self.history = History(core)
        self.audit = Audit(core)
        self.logs = Logs(core)
        self.store = Store(core)
        self.doctor = Doctor(core)

    @property
    def user(self) -> str:
        """The user on whose behalf commands run."""
        return actor_name(self._core.user)

    # --- Runs ---------------------------------------------------------------------------------------------------------

    async def run(
        self,
        prompt: str,
        *,
        executor: str,
        key: str | None = None,
        after: Sequence[Run | str] = (),
        **options: Unpack[RunOptions],
    ) -> Run:
        """Start a task from a prompt and return its handle. `options` are the fields of `RunRequest`.

        The executor examines the request first; then everything the task needs is recorded in one append, and driven in
        the background. Raises `UnknownExecutor`, and `InvalidInput` for what the executor would refuse.

        `key` makes the call idempotent: the same key returns the same task, even after a crash, and resumes an
        interrupted run. Raises `KeyReused` if the key belongs to a different request.

        `after` names runs or tasks that must complete first; if one of them fails or is cancelled, this one fails.
        """
        from aura_engine.inputs import RunRequest  # noqa: PLC0415 - pydantic, where an input comes in

        request = RunRequest.model_validate({"prompt": prompt, "executor": executor, **options})
        return await self.start(request, key=key, after=after)

    async def start(self, request: "RunRequest", *, key: str | None = None, after: Sequence[Run | str] = ()) -> Run:
        """Start a task from a request; see `run`."""
        core = self._core
        core.follower.require_open()
        task_id = TaskId(core.bus.ids()) if key is None else task_of_key(key)
        if key is not None and (task := await core.bus.fetch(TASK, task_id)) is not None:
            return await self._again(task, request, key)
        core.bus.require_writable()
        await self.executors.check(request)
        since = await core.log.head()
        waits_for = [one.id if isinstance(one, Run) else TaskId(await core.find("task", one)) for one in after]

        async def create() -> Task:
            return await self.tasks.begin(task_id, request, key=key, after=waits_for)

        try:
            driven = await core.begin(task_id, create)
        except AggregateExists:
            if key is None:
                raise
            return await self._again(await self.tasks.get(task_id), request, key)  # another engine was first
        return Run(task_id, core, since=since, whole=True, driven=driven)

    async def _again(self, task: Task, request: "RunRequest", key: str) -> Run:
        """Return the handle of the task that belongs to a key, and resume it if it was interrupted."""
        if task.request_digest != request.digest:
            raise KeyReused(key=key, task_id=task.id)
        if not task.ended:
            await self._core.drive(task.id)
        return await self.attach(task.id)

    async def attach(self, task: str) -> Run:
        """Return a handle of an existing task. Starts nothing; `Run.events` yields what happens from now on.

        Raises `AggregateNotFound`, `AmbiguousId`.
        """
        task_id = (await self.tasks.get(task)).id
        driven = self._core.follower.drives(task_id)
        return Run(task_id, self._core, since=await self._core.log.head(), driven=driven)

    async def resume(self, task: str) -> Run:
        """Resume a task and return its handle. `Run.driven` is False if another engine drives it."""
        self._core.follower.require_open()
        run = await self.attach(task)
        return evolve(run, driven=await self._core.drive(run.id))

    async def interrupted(self, request: "RunRequest") -> Run | None:
        """Resume the newest interrupted run of the same request and return it; None without one.

        A run that waits for a human was not interrupted; one that failed or was cancelled is only cleaned up. One that
        completed but was not yet cleaned up counts as interrupted.
        """
        query = TaskQuery(unfinished=True, limit=1000)
        async for task in self._core.reads.rows(query):
            if task.request_digest != request.digest or task.status in _WAITING:
                continue
            if await self._core.drive(task.id) and (not task.ended or task.status is TaskStatus.COMPLETED):
                return await self.attach(task.id)
        return None

    # --- Events -------------------------------------------------------------------------------------------------------

    def on(
        self,
        event_type: type[E],
        callback: Callable[[EventRecord[E]], Awaitable[Any] | Any],
        *,
        name: str | None = None,
    ) -> Subscription:
        """Call `callback` with the record of every event of a type, in the order of the log.

        Events count no matter which process records them. Without `name` the subscription is live: it starts now and
        ends with the engine. With `name` it is durable: it continues after the last event whose callback returned, also
        after a restart, so each event is delivered at least once. Only one subscription at a time serves a name, across
        all engines. If the callback raises, a durable subscription calls it again after a pause, and a live one skips
        the event; see `Subscription.failure`.
        """
        subscription = Subscription(self._core, event_type, callback, name)
        self._core.follower.require_open().start_soon(subscription.serve)
        return subscription


def task_of_key(key: str) -> TaskId:
    """Return the id of the task that belongs to a key (UUIDv5)."""
    return TaskId(str(uuid5(NAMESPACE_URL, f"urn:aura:key:{key}")))
