"""Dependencies: what the end of a task means for one that waits for it, if it did not complete."""

from collections.abc import Iterable

import attrs

from aura_contracts.actors import ENGINE
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import TaskId
from aura_contracts.task import TASK, DependencyPolicy, RecordDependencyEnd
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.failures import fail
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import UnitOfWork


async def end_dependency(runtime: Runtime, view: View) -> None:
    """Record that a dependency ended without completing, and fail the task if its policy says so."""
    lost = view.lost_dependency
    assert lost is not None, "the step is one for a lost dependency"

    async def decide(unit: UnitOfWork) -> None:
        found = await unit.require(TASK, lost.id)
        if not found.ended or lost.id not in (await unit.require(TASK, view.task.id)).after:
            return  # retried, or not waited for any more
        await unit.handle(view.task.id, RecordDependencyEnd(dependency_id=found.id, outcome=found.status))
        if view.task.on_dependency_failure is DependencyPolicy.FAIL:
            text = f"it waits for task {found.id} ({found.title}), which is {found.status}"
            await fail(unit, view, Failure(FailureReason.DEPENDENCY_FAILED, text))

    await runtime.bus.transact(ENGINE, decide)


@attrs.define
class Dependents:
    """The tasks that wait for others, by each that they wait for."""

    _waiting: dict[TaskId, set[TaskId]] = attrs.field(factory=dict)

    def add(self, task_id: TaskId, others: Iterable[TaskId]) -> None:
        """Note that a task waits for others."""
        for other in others:
            self._waiting.setdefault(other, set()).add(task_id)

    def discard(self, task_id: TaskId, others: Iterable[TaskId]) -> None:
        """Note that a task does not wait for these."""
        for other in others:
            waiting = self._waiting.get(other, set())
            waiting.discard(task_id)
            if not waiting:
                self._waiting.pop(other, None)

    def pop(self, other: TaskId) -> set[TaskId]:
        """Return the tasks that wait for one, and forget them."""
        return self._waiting.pop(other, set())

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()
