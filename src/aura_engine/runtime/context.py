"""Context: the services that steps use."""

from collections.abc import Callable
from weakref import WeakValueDictionary

import anyio
import attrs

from aura_contracts.actors import actor_kind, actor_name
from aura_contracts.ids import WorkspaceId
from aura_contracts.lease import RETURN_GRACE
from aura_contracts.ports.read_models import ReadModels
from aura_contracts.task import AgentType, Priority, RetryPolicy, Task, TaskSpec
from aura_engine.profiles import Profiles
from aura_engine.runtime.gateway import Gateway
from aura_engine.runtime.prompts import Prompts
from aura_engine.runtime.slots import Slots
from aura_engine.unit_of_work import CommandBus


@attrs.frozen(kw_only=True)
class Runtime:
    """The services of the engine, shared by all drivers."""

    bus: CommandBus
    reads: ReadModels
    """Lists and look-ups, as current as each query demands."""
    gateway: Gateway
    prompts: Prompts
    slots: Slots
    profiles: Profiles
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
