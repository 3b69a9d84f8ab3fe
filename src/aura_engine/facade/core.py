"""Core: the state that the nouns of the facade share, and their lookup of names and ids."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakValueDictionary

import anyio
import attrs

from aura_contracts.actors import Actor, actor_kind, human, parse_actor
from aura_contracts.aggregate import Aggregate, Command, State
from aura_contracts.approval import AnswerSource, Approval
from aura_contracts.errors import ActorNotAllowed, AmbiguousId, EngineClosed, InvalidInput
from aura_contracts.ids import TaskId, WorkflowId
from aura_contracts.ports import EventLog
from aura_contracts.ports.event_log import Locks
from aura_contracts.ports.read_models import ApprovalQuery, ReadModels
from aura_contracts.task import TASK, Task
from aura_contracts.workspace import WORKSPACE, Workspace, WorkspaceStatus
from aura_engine import decisions, record
from aura_engine.runtime.views import View, load_view, workspace_of
from aura_engine.store_turn import StoreTurn
from aura_engine.unit_of_work import CommandBus, existing, not_found

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from aura_contracts.ports.archive import Archive
    from aura_engine.approval_links.issuer import LinkIssuer
    from aura_engine.approval_links.keys import LinkKeys
    from aura_engine.clockwork.wall_clock import WallClock
    from aura_engine.facade.findings import Finding
    from aura_engine.notification.notifier import Notifier
    from aura_engine.policy.sources import PolicySources
    from aura_engine.record.tally import Tally
    from aura_engine.runtime.context import Runtime
    from aura_engine.runtime.follower import Follower

S = TypeVar("S", bound=State)

CLOSING_PATIENCE = 5.0
"""Seconds that a closing engine waits for callbacks that are running."""

CLEARING_PATIENCE = 10.0
"""Seconds to wait until a worktree is removed."""


class BackgroundReader(Protocol):
    """A subscription, as the engine ends it."""

    def cancel(self) -> None: ...
    async def wait(self) -> None: ...


class OwnWorker(Protocol):
    """The worker of this process, as the engine ends it."""

    def end(self) -> None: ...
    async def stop(self) -> None: ...


@attrs.frozen
class Services:
    """The services of steps, what drives tasks with them, and the worker of this process."""

    runtime: "Runtime"
    follower: "Follower"
    worker: OwnWorker


@attrs.define(kw_only=True)
class Core:
    """The parts of an engine that its nouns use. Those that a query does not need are made when first used."""

    bus: CommandBus
    reads: ReadModels
    locks: Locks
    clock: "WallClock"
    """How long to wait for a moment; shared by all that wait."""
    make_archive: "Callable[[], Archive]"
    make_services: Callable[[], Services]
    make_policies: "Callable[[], PolicySources]"
    make_notifier: "Callable[[], Notifier]"
    """Reads the settings of notifications, a file, so it is for a thread, except once before all begins. Raises
    `InvalidFile`."""
    examine_host: "Callable[[], Sequence[Finding]]"
    """Checks the machine: Python, git."""
    identify: Callable[[], Actor]
    """Returns the actor of commands that do not name one."""
    home: Path
    """The folder of AURA's data."""
    source: AnswerSource = attrs.field(factory=AnswerSource)
    """Where decisions come from that do not say so themselves."""
    base_url: str | None = None
    """Where the pages of this installation are."""
    record_only: bool = False
    """Commands are only recorded; another engine carries them out."""
    read_only: bool = False
    """The store was opened without the right to write."""
    closed: bool = attrs.field(default=False, init=False)
    """The engine is closing or closed: its methods raise `EngineClosed`; see `aura_engine.facade.gate`."""
    services: Services | None = attrs.field(default=None, init=False)
    """What drives tasks, once it was needed."""
    kept_archive: "Archive | None" = attrs.field(default=None, init=False)
    """The archive, once it was needed."""
    _policies: "PolicySources | None" = attrs.field(default=None, init=False)
    _tally: "Tally | None" = attrs.field(default=None, init=False)
    nouns: dict[str, Any] = attrs.field(init=False, factory=dict)
    """The nouns used so far, by name; see `aura_engine.facade.noun`."""
    group: "TaskGroup | None" = attrs.field(default=None, init=False)
    """The group of all background work, for as long as it lasts."""
    leave: Callable[[BaseException], None] = attrs.field(init=False)
    """Closes the engine, which then raises this exception where it was opened."""
    subscriptions: set[BackgroundReader] = attrs.field(init=False, factory=set)
    """Those that have not ended."""
    starting: set[anyio.Event] = attrs.field(init=False, factory=set)
    """One for each subscription that does not know yet which event it starts after; set once it does."""
    readers: WeakValueDictionary[str, anyio.Lock] = attrs.field(init=False, factory=WeakValueDictionary)
    """By name, the lock that a durable subscription holds while it serves that name."""
    _turns: dict[str, StoreTurn] = attrs.field(init=False, factory=dict)

    def turn_of(self, key: str) -> StoreTurn:
        """Return what one engine of the store at a time does, under the lock `key`; the same within this engine."""
        return self._turns.setdefault(key, StoreTurn(self.locks, key))

    @property
    def user(self) -> Actor:
        """The actor of commands that do not name one. Raises `InvalidInput` if the login name is unknown."""
        return self.identify()

    @property
    def log(self) -> EventLog:
        return self.bus.log

    @property
    def archive(self) -> "Archive":
        if self.kept_archive is None:
            self.kept_archive = self.make_archive()
        return self.kept_archive

    @property
    def policies(self) -> "PolicySources":
        """Where the policies in force come from."""
        if self._policies is None:
            self._policies = self.make_policies()
        return self._policies

    @property
    def link_keys(self) -> "LinkKeys":
        """The keys of links."""
        from aura_engine.approval_links.keys import LinkKeys  # noqa: PLC0415 - few commands are about links

        return LinkKeys.of(self.home, self.bus.clock)

    @property
    def tally(self) -> "Tally":
        """What humans decided about agents' work."""
        if self._tally is None:
            self._tally = record.Tally(self.reads)
        return self._tally

    def link_issuer(self, base_url: str | None = None) -> "LinkIssuer":
        """Return what issues links whose pages are at `base_url` (default: that of this installation)."""
        from aura_engine.approval_links.issuer import LinkIssuer  # noqa: PLC0415 - as above

        return LinkIssuer(self.bus, self.link_keys, base_url or self.base_url)

    @property
    def runtime(self) -> "Runtime":
        return self._require_services().runtime

    @property
    def follower(self) -> "Follower":
        return self._require_services().follower

    def _require_services(self) -> Services:
        if self.services is None:
            self.services = self.make_services()
        return self.services

    # --- Background work ----------------------------------------------------------------------------------------------

    def require_open(self) -> "TaskGroup":
        """Return the group that background work runs in. Raises `EngineClosed`."""
        if self.group is None:
            raise EngineClosed
        return self.group

    async def close(self) -> None:
        """End all subscriptions, after waiting a while for callbacks that are running; then stop the worker."""
        with anyio.move_on_after(CLOSING_PATIENCE):
            while self.subscriptions:
                for subscription in tuple(self.subscriptions):
                    subscription.cancel()
                with suppress(Exception):  # it was reported when it ended the subscription
                    await next(iter(self.subscriptions)).wait()
        self.closed = True
        if self.services is not None:
            await self.services.worker.stop()

    def abandon(self) -> None:
        """Close without waiting; the group waits for the worker."""
        self.closed = True
        if self.services is not None:
            self.services.worker.end()

    # --- Names and ids ------------------------------------------------------------------------------------------------

    def new_task_id(self) -> TaskId:
        """Return the id of a task to create: neither the task nor its workspace has a stream yet."""
        task_id = TaskId(self.bus.new_id())
        self.bus.states.recent.expect_none(workspace_of(task_id))
        return task_id

    def actor(self, by: str | None) -> Actor:
        """Return the actor `by` names: a person (``alice``), an agent (``agent:<id>``), an observer; None is the user.

        A user who is an observer acts for no one else. Raises `InvalidInput` for a part of AURA (``system:``).
        """
        user = self.user
        if by is None or actor_kind(user) == "observer":
            return user
        actor = parse_actor(by) if ":" in by else human(by)
        if actor_kind(actor) == "system":
            reason = f"{actor} is a part of AURA, for which no one else acts"
            raise InvalidInput(field="by", reason=reason, remedy="name a person, or an agent as agent:ID")
        return actor

    async def require_member(self, aggregate: str, aggregate_id: str, command: str, by: str | None = None) -> Actor:
        """Return the actor `by` names, before something is done that no decider looks at.

        Raises `StoreReadOnly`, and `ActorNotAllowed` for an observer, which is recorded.
        """
        self.bus.require_writable()
        actor = self.actor(by)
        async with self.refusals_recorded():
            decisions.refuse_observer(actor, aggregate, aggregate_id, command)
        return actor

    async def require_concern(self, task: Task, actor: Actor, command: str) -> None:
        """Refuse an actor whom a task does not concern, before something is done that no decider looks at.

        Raises `ActorNotAllowed`, which is recorded.
        """
        async with self.refusals_recorded():
            decisions.require_concern(task, actor, command)

    @asynccontextmanager
    async def refusals_recorded(self) -> AsyncIterator[None]:
        """Record that an actor is refused what no decider looks at."""
        try:
            yield
        except ActorNotAllowed as refused:
            await self.bus.record_refusal(refused)
            raise

    async def find(self, kind: str, text: str, field: str = "") -> str:
        """Return the id that `text` is, or is a unique prefix or suffix of; approvals are found by their task's id too.

        Raises `AggregateNotFound`, `AmbiguousId`, and `InvalidId` for text that cannot be part of an id, as that of
        `field` if it is not the kind that names the argument."""
        if self.bus.states.recent.knows(kind, text):
            return text
        try:
            matches = await self.reads.find(kind, text)
        except InvalidInput as error:
            raise (error.replaced(field=field) if field else error) from None
        if len(matches) == 1:
            return matches[0].id
        if matches:
            raise AmbiguousId(kind=kind, text=text, candidates=tuple(match.id for match in matches))
        raise not_found(kind or "aggregate", text)

    # --- States -------------------------------------------------------------------------------------------------------

    async def load(self, aggregate: Aggregate[S], text: str) -> S:
        """Return the stored state of the aggregate that `text` names. Raises the errors of `find`."""
        return await self.stored(aggregate, await self.find(aggregate.name, text))

    async def stored(self, aggregate: Aggregate[S], aggregate_id: str) -> S:
        """Return the stored state of an aggregate by its full id. Raises `AggregateNotFound`."""
        return existing(await self.bus.fetch(aggregate, aggregate_id), aggregate, aggregate_id)

    async def handle(self, aggregate: Aggregate[S], text: str, command: Command[S], by: str | None) -> S:
        """Handle a command for the aggregate that `text` names; return its new state. Raises the errors of `find`."""
        return await self.bus.handle(self.actor(by), await self.find(aggregate.name, text), command)

    async def pending(self, task_id: TaskId) -> Sequence[Approval]:
        """Return the open questions about a task, oldest first."""
        query = ApprovalQuery(pending=True, task=task_id, descending=False, limit=1000)
        return (await self.reads.list(query)).rows

    async def view(self, task_id: TaskId) -> View:
        """Return a task with everything that belongs to it, read from the store. Raises `AggregateNotFound`."""
        return await load_view(self.bus, task_id)

    # --- Driving ------------------------------------------------------------------------------------------------------

    async def begin(self, task_id: TaskId, create: Callable[[], Awaitable[Any]], since: int) -> bool:
        """Record a task with `create`, then drive it as `drive` does, before any other engine can.

        `since` is a position of the log before that of the task.
        """
        if (follower := self._driving()) is None:
            await create()
            return False
        return await follower.begin(task_id, create, since)

    async def drive(self, task_id: TaskId) -> bool:
        """Drive a task, unless this engine only records; return whether it drives the task now, or waits for an agent.

        Unless it has one, an engine that only records gives it to a free agent outside AURA."""
        pooled = (await self.stored(TASK, task_id)).pooled
        if (follower := self._driving()) is None:
            if pooled and await self.bus.fetch(WORKSPACE, workspace_of(task_id)) is None:
                await self.follower.pool.assign_once(task_id)
            return False
        if pooled:
            await follower.wait_in_queue(task_id)
            return True
        return await follower.drive(task_id)

    async def take_on(self, task_id: TaskId) -> bool:
        """Drive a task as `drive` does; if another engine drives it, take it over when that engine stops."""
        follower = self._driving()
        if follower is not None and (await self.stored(TASK, task_id)).pooled:
            await follower.wait_in_queue(task_id)
            return True
        return follower is not None and await follower.take_on(task_id)

    async def clear(self, task_id: TaskId) -> None:
        """Wait until a completed task's worktree is removed, by this engine or the one that drives it; not for long."""
        with anyio.move_on_after(CLEARING_PATIENCE):
            head = await self.log.head()
            while not await self.drive(task_id) and not is_clear((await self.view(task_id)).workspace):
                head = await self.log.wait(head)
            await self.follower.undriven(task_id)

    async def begin_workflow(self, workflow_id: WorkflowId, create: Callable[[], Awaitable[Any]], since: int) -> bool:
        """Record a workflow with `create`, then drive it before any other engine can; see `begin`."""
        if (follower := self._driving()) is None:
            await create()
            return False
        return await follower.drivers.begin(follower.workflow(workflow_id), create, since)

    async def drive_workflow(self, workflow_id: WorkflowId) -> bool:
        """Drive a workflow, unless this engine only records or another one drives it; return whether it does."""
        follower = self._driving()
        return follower is not None and await follower.drivers.drive(follower.workflow(workflow_id))

    async def take_on_workflow(self, workflow_id: WorkflowId) -> bool:
        """Drive a workflow as `drive_workflow` does; if another engine does, take it over when that engine stops."""
        follower = self._driving()
        return follower is not None and await follower.drivers.take_on(follower.workflow(workflow_id))

    def _driving(self) -> "Follower | None":
        """Return what drives tasks, None if this engine only records. Raises `StoreReadOnly`."""
        self.bus.require_writable()
        return None if self.record_only else self.follower


def is_clear(workspace: Workspace | None) -> bool:
    """Whether the worktrees of a completed task were removed, or stay."""
    if workspace is None or workspace.in_place or workspace.kept:
        return True
    return workspace.status is WorkspaceStatus.REMOVED
