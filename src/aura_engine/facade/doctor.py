"""Doctor: leftovers and stuck tasks, and their fixes. Examining changes nothing.

Doctor leaves alone what another engine drives. It reports leftovers that the store does not know, but fixes them only
on request: several stores may share one home, and they may belong to another store.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import anyio
import attrs

from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import AuraError, InvalidInput
from aura_contracts.execution import EXECUTION, ProcessToken
from aura_contracts.ids import TaskId
from aura_contracts.ports.read_models import TaskQuery
from aura_contracts.ports.workspaces import Orphan
from aura_contracts.task import TaskStatus
from aura_contracts.workspace import WORKSPACE
from aura_engine.facade.core import Core
from aura_engine.facade.findings import Finding
from aura_engine.facade.gate import gated
from aura_engine.facade.noun import Noun
from aura_engine.runtime.steps import STARTING, Do, Step, next_step
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import not_found
from aura_worker_protocol.messages import ForgetProcess

if TYPE_CHECKING:
    from aura_engine.facade.notifications import Notifications
    from aura_engine.facade.workspaces import Workspaces

GIVE_UP_AFTER = 15.0
"""Seconds for which one error may hold up a task before its fix is abandoned."""

CHECK_EVERY = 0.2
"""Seconds between two checks for that error."""

_FIX = "doctor.fix(finding)"
_UNKNOWN = "fix it with doctor.list(unknown=True), if no other store uses this home"


@gated
@attrs.frozen
class Doctor:
    """Checks this machine, the store, stuck tasks and leftovers."""

    _core: Core
    _workspaces: ClassVar["Noun[Workspaces]"] = Noun()
    _notifications: ClassVar["Noun[Notifications]"] = Noun()

    async def get(self, finding: str, *, unknown: bool = False) -> Finding:
        """Return one finding by its id. Raises `AggregateNotFound`."""
        for found in await self.list(unknown=unknown):
            if found.id == finding:
                return found
        raise not_found("finding", finding)

    async def list(self, *, unknown: bool = False) -> Sequence[Finding]:
        """Return all findings. With `unknown`, leftovers that this store does not know have a fix too."""
        async with aclosing(self.examine(unknown=unknown)) as findings:
            return [finding async for finding in findings]

    async def examine(self, *, unknown: bool = False) -> AsyncGenerator[Finding, None]:
        """Yield findings one by one: the machine, the store, notifications, stuck tasks, processes, worktrees."""
        for finding in self._core.examine_host():
            yield finding
        try:
            await self._core.runtime.profiles.load()
        except InvalidInput as error:
            yield Finding(id=error.field, kind="profiles", status="wrong", text=error.message(), remedy=error.remedy)
        store = await self._store()
        yield store
        if store.status == "wrong":
            return
        for finding in await self._notifications.examine():
            yield finding
        await self._core.runtime.gateway.connect()
        stuck: set[TaskId] = set()
        async with aclosing(self._core.reads.rows(TaskQuery(unfinished=True, descending=False))) as tasks:
            async for task in tasks:
                view = await self._core.view(task.id)
                step = self._waiting_step(view)
                if step is not None and not await self._core.follower.is_driven(task.id):
                    stuck.add(task.id)
                    yield self._task(view, step)
        for token in sorted(self._core.runtime.gateway.known):
            process = await self._process(token, stuck, unknown=unknown)
            if process is not None:
                yield process
        for orphan in await self._workspaces.orphans():
            yield await self._orphan(orphan, unknown=unknown)

    async def fix(self, finding: Finding) -> Finding:
        """Fix a finding; return its new state. If the fix fails, the finding stays wrong and its text says why.

        No agent and no script is started: a task that was cut off is repaired, and the remedy then resumes it.
        """
        if finding.fix is None:
            return finding
        await self._core.require_member(finding.kind, finding.id, "fix")
        try:
            done = await finding.fix()
        except AuraError as error:
            text = f"{finding.text}: {error.message()}"
            return attrs.evolve(finding, status="wrong", text=text, remedy=error.remedy)
        if isinstance(done, Finding):
            return done
        return attrs.evolve(finding, status="fixed", text=f"{finding.text}: {done}", remedy="")

    # --- The store ----------------------------------------------------------------------------------------------------

    async def _store(self) -> Finding:
        """Have the database check its files. Altered events are the business of `audit.verify`."""
        name = self._core.log.name
        try:
            damage = await self._core.archive.damage()
            events = await self._core.log.head()
        except AuraError as error:
            return Finding(id=name, kind="store", status="wrong", text=error.message(), remedy=error.remedy)
        if damage:
            remedy = "keep the file as it is; audit.verify() names the first event that is damaged"
            return Finding(id=name, kind="store", status="wrong", text=damage, remedy=remedy)
        return Finding(id=name, kind="store", status="ok", text=f"its files are sound, {events:,} events")

    # --- Tasks --------------------------------------------------------------------------------------------------------

    def _waiting_step(self, view: View) -> Step | None:
        """Return the step that no engine performs, now or later; None if the task waits for a human, or has ended."""
        asked = {
            TaskStatus.AWAITING_APPROVAL: view.approval,
            TaskStatus.BLOCKED: view.conflict,
        }.get(view.task.status)
        if asked is not None and asked.status is ApprovalStatus.PENDING:
            return None
        gateway = self._core.runtime.gateway
        driver = "" if view.lease is None else view.lease.engine_id
        step = next_step(view, self._core.bus.clock(), gateway.worker_id, driver)
        if step.do not in (Do.NOTHING, Do.REST) or step.until is not None:
            return step
        works = view.execution is not None and not view.execution.final
        return step if works and gateway.worker_id is None else None

    def _task(self, view: View, step: Step) -> Finding:
        """Return a finding about a stuck task. It has no fix if nothing is left but to start its agent again."""
        task, execution = view.task, view.execution
        stage = "" if execution is None else f", its run is in {execution.status}"
        resumes = step.do in STARTING or step.do is Do.NOTHING
        first = f"engine.resume({task.id!r}) resumes it" if resumes else f"{_FIX} repairs it"
        return Finding(
            id=task.id,
            kind="task",
            status="wrong",
            text=f"{task.title!r} is {task.status}{stage}, and no engine drives it",
            remedy=f"{first}; tasks.cancel({task.id!r}) cancels it",
            fix=None if resumes else partial(self._repair, task.id),
        )

    async def _repair(self, task_id: TaskId) -> "str | Finding":
        """Perform the steps that are left and start nothing. Raises an error that holds them up for too long."""
        follower = self._core.follower
        if not await follower.drive(task_id, starts=False):
            return "another process drives it now"
        errors: list[AuraError] = []
        async with anyio.create_task_group() as group:

            async def settle() -> None:
                await follower.undriven(task_id)
                group.cancel_scope.cancel()

            group.start_soon(settle)
            errors.append(await self._blocking_error(task_id))
            group.cancel_scope.cancel()
        if errors:
            raise errors[0]
        view = await self._core.view(task_id)
        step = self._waiting_step(view)
        return f"it is {view.task.status} now" if step is None else self._task(view, step)

    async def _blocking_error(self, task_id: TaskId) -> AuraError:
        """Wait until one error has held up a task for too long; return it."""
        last, rounds = "", 0
        while True:
            await anyio.sleep(CHECK_EVERY)
            error = self._core.follower.blockers.get(task_id)
            rounds = rounds + 1 if error is not None and str(error) == last else 0
            last = str(error)
            if error is not None and rounds * CHECK_EVERY >= GIVE_UP_AFTER:
                return error

    # --- Leftovers ----------------------------------------------------------------------------------------------------

    async def _process(self, token: str, stuck: set[TaskId], *, unknown: bool) -> Finding | None:
        """Return a finding about a leftover process; None if its task is driven, or will be."""
        try:
            parsed = ProcessToken.parse(token)
        except InvalidInput:
            parsed = None
        execution = None if parsed is None else await self._core.bus.fetch(EXECUTION, parsed.execution_id)
        stage = "some stage" if parsed is None else str(parsed.stage)
        whose = token if parsed is None else f"execution {parsed.execution_id}"
        text = f"a process of {stage} of {whose} is kept, and may run"
        if execution is None:
            return Finding(
                id=token,
                kind="process",
                status="wrong" if unknown else "note",
                text=f"{text}, which this store does not know",
                remedy=_UNKNOWN,
                fix=partial(self._end, token) if unknown else None,
            )
        task_id = execution.task_id
        if not execution.final or task_id in stuck or await self._core.follower.is_driven(task_id):
            return None
        return Finding(
            id=token,
            kind="process",
            status="wrong",
            text=f"{text}, which is {execution.status}",
            remedy=f"{_FIX} ends it",
            fix=partial(self._end, token),
        )

    async def _end(self, token: str) -> str:
        gateway = self._core.runtime.gateway
        await gateway.interrupt(token, "it was left behind")
        await gateway.request(ForgetProcess(token=token))
        gateway.known.discard(token)
        return "ended"

    async def _orphan(self, orphan: Orphan, *, unknown: bool) -> Finding:
        known = await self._core.bus.fetch(WORKSPACE, orphan.workspace_id) is not None
        fixable = known or unknown
        holds = "with work that is saved nowhere else" if orphan.dirty else "with nothing unsaved"
        state = "was removed" if known else "this store does not know"
        return Finding(
            id=orphan.path,
            kind="worktree",
            status="wrong" if fixable else "note",
            text=f"{orphan.path} is left of workspace {orphan.workspace_id}, which {state}; {holds}",
            remedy=f"{_FIX} removes it, after a safety copy" if known else _UNKNOWN,
            fix=partial(self._remove, orphan) if fixable else None,
        )

    async def _remove(self, orphan: Orphan) -> str:
        taken = await self._workspaces.remove_orphan(orphan)
        copies = ", ".join(f"{one.commit} in {one.repository}" for one in taken)
        return f"removed, safety copy {copies}" if copies else "removed"
