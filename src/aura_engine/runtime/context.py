"""Context: the services that steps use, with the slots of executions and the prompts of agents."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakValueDictionary

import anyio
import attrs

from aura_contracts.actors import actor_kind, actor_name
from aura_contracts.ids import ExecutionId, WorkspaceId
from aura_contracts.lease import RETURN_GRACE
from aura_contracts.ports.read_models import ReadModels, TemplateQuery
from aura_contracts.task import AgentType, Priority, RetryPolicy, Task, TaskSpec
from aura_contracts.template import resolve
from aura_engine.profiles import ProfileFiles
from aura_engine.runtime.gateway import Gateway
from aura_engine.runtime.views import workspace_of
from aura_engine.templates import Template, builtin, render
from aura_engine.unit_of_work import CommandBus


@attrs.define
class Slots:
    """Slots for executions. An execution holds one while it works, not while it waits for a human. None: no limit."""

    total: int | None = None
    by_executor: Mapping[str, int] = attrs.field(factory=dict)
    _held: dict[ExecutionId, str] = attrs.field(factory=dict)
    _freed: anyio.Event = attrs.field(factory=anyio.Event)

    async def take(self, execution_id: ExecutionId, executor: str) -> None:
        """Wait for a free slot, and take it; returns at once if the execution has one."""
        while execution_id not in self._held and not self._has_room(executor):
            await self._freed.wait()
        self._held[execution_id] = executor

    def has(self, execution_id: ExecutionId) -> bool:
        """Whether the execution has a slot."""
        return execution_id in self._held

    def give_back(self, execution_id: ExecutionId) -> None:
        """Release the slot of an execution; harmless if it has none."""
        if self._held.pop(execution_id, None) is not None:
            self._freed.set()
            self._freed = anyio.Event()

    def _has_room(self, executor: str) -> bool:
        limit = self.by_executor.get(executor)
        busy = Counter(self._held.values())[executor]
        return (self.total is None or len(self._held) < self.total) and (limit is None or busy < limit)


@attrs.frozen
class Prompts:
    """Renders prompts for tasks. Raises `TemplateError`; a partly rendered prompt is never sent."""

    _reads: ReadModels

    async def make(self, name: str, task: Task, variables: Mapping[str, str], **known: Any) -> str:
        """Return the prompt `name` for `task`; `variables` are those of the run, `known` those that AURA adds."""
        template = await self._find(name, task)
        about = {
            "id": task.id,
            "title": task.title,
            "description": task.description,
            "priority": str(task.priority),
            "context": task.context,
        }
        return render(template, {**variables, **known, "task": about})

    async def _find(self, name: str, task: Task) -> Template:
        """Return the template of the narrowest scope that has one, else the built-in one."""
        found = await self._reads.list(TemplateQuery(name=name, limit=1000))
        place = workspace_of(task.id)
        chosen = resolve(found.rows, name, project=task.project, task_id=task.id, workspace_id=place)
        if chosen is None:
            return builtin(name)
        return Template(name=name, scope=str(chosen.scope), text=chosen.text, revision=chosen.revision)


@attrs.frozen(kw_only=True)
class Runtime:
    """The services of the engine, shared by all drivers."""

    bus: CommandBus
    reads: ReadModels
    """Lists and look-ups, as current as each query demands."""
    gateway: Gateway
    prompts: Prompts
    slots: Slots
    profiles: ProfileFiles
    random: Callable[[], float]
    """From 0 up to 1; for the jitter of delays."""
    grace: float = RETURN_GRACE
    """Seconds that processes keep running when their worker is gone."""
    _copying: WeakValueDictionary[str, anyio.Lock] = attrs.field(init=False, factory=WeakValueDictionary)

    def copying(self, workspace_id: WorkspaceId) -> anyio.Lock:
        """Return the lock that is held while a safety copy of a workspace is taken and recorded."""
        return self._copying.setdefault(workspace_id, anyio.Lock())

    def delay(self, policy: RetryPolicy, attempt: int) -> float:
        """Return the seconds before attempt `attempt` + 1, see `RetryPolicy`."""
        delay = min(policy.base_delay * 2.0 ** min(attempt - 1, 60), policy.max_delay)
        return max(delay * (1 + policy.jitter * (2 * self.random() - 1)), 0.0)


def reviewers_of(task: Task) -> tuple[str, ...]:
    """Return the people who may decide about a task: its creator, if human, and its reviewers."""
    creator = (actor_name(task.created_by),) if actor_kind(task.created_by) == "human" else ()
    return tuple(dict.fromkeys((*creator, *task.reviewers)))


def subtask_spec(
    task: Task, title: str, description: str, *, priority: Priority, agent_type: AgentType | None = None
) -> TaskSpec:
    """Return the spec of a subtask, reviewed, approved and retried like `task`."""
    return TaskSpec(
        title=title,
        description=description,
        priority=priority,
        parent_id=task.id,
        project=task.project,
        agent_type=agent_type,
        approval_mode=task.approval_mode,
        reviewers=reviewers_of(task),
        retry=task.retry,
    )


def snapshot_ref(workspace_id: WorkspaceId, number: int, distinction: str) -> str:
    """Return the hidden ref of a workspace's safety copy; `number` counts from 1.

    `distinction` keeps two engines that arrive at the same number from overwriting each other's copy.
    """
    return f"refs/aura/snapshots/{workspace_id}/{number}-{distinction}"
