"""Health: what was left behind or is stuck, found and put right. Finding changes nothing.

Whatever another engine drives right now is left alone. So is what the store knows nothing of: several stores may share
one home, and each would take for lost what belongs to the others; it is told, and only put right when asked for.
"""

import platform
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Literal

import anyio
import attrs

from aura_cli.streaming.narration import stage_of
from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import AuraError, InvalidId
from aura_contracts.execution import EXECUTION
from aura_contracts.ids import TaskId, parse_id
from aura_contracts.ports import EventLog, SelfChecking
from aura_contracts.ports.workspaces import Orphan
from aura_contracts.task import TaskStatus
from aura_contracts.workspace import WORKSPACE
from aura_engine.engine import Engine
from aura_engine.runtime.directory import unfinished_tasks
from aura_engine.runtime.steps import Do, next_step
from aura_engine.runtime.views import View
from aura_git import find_git
from aura_worker_protocol.messages import ForgetProcess, InterruptProcess

PATIENCE = 15.0
"""Seconds for which the same thing may be in the way of a task before it is given up here."""

PAUSE = 0.2
"""Seconds between two looks at that."""

_FIX = "`aura doctor --fix`"
_UNKNOWN = "`aura doctor --fix --unknown` ends it, if no other store uses this AURA_HOME"

Status = Literal["ok", "note", "wrong", "fixed"]


@attrs.frozen(kw_only=True)
class Finding:
    """Something that was looked at. `fix` puts it right and returns what was done; None: that is people's to do."""

    id: str
    kind: str
    status: Status
    text: str
    remedy: str = ""
    fix: Callable[[], Awaitable[str]] | None = attrs.field(default=None, eq=False, repr=False)

    async def fixed(self) -> "Finding":
        """Put it right; return how it is then. A fix that fails leaves it wrong, and says why."""
        if self.fix is None:
            return self
        try:
            done = await self.fix()
        except AuraError as error:
            return attrs.evolve(self, status="wrong", text=f"{self.text}: {error.message()}", remedy=error.remedy)
        return attrs.evolve(self, status="fixed", text=f"{self.text}: {done}", remedy="")


# --- The machine and the store ----------------------------------------------------------------------------------------


def check_machine(environment: Mapping[str, str]) -> Sequence[Finding]:
    """Look at what AURA runs on: Python, and git or what stands in for it."""
    python = Finding(id=sys.executable, kind="python", status="ok", text=f"Python {platform.python_version()}")
    found = find_git(environment.get("PATH"), environment)
    if found.usable:
        return python, Finding(id=str(found.executable), kind="git", status="ok", text=found.reason)
    instead = find_spec("dulwich") is not None
    git = Finding(
        id=found.executable or "git",
        kind="git",
        status="note" if instead else "wrong",
        text=f"{found.reason}{'; using dulwich instead, which is slower' if instead else ''}",
        remedy="install git 2.38 or newer",
    )
    return python, git


async def check_store(log: EventLog) -> Finding:
    """Have the database check its files, where it can. What the events say is `aura audit verify`'s to prove."""
    try:
        trouble = await log.check() if isinstance(log, SelfChecking) else None
        events = await log.head()
    except AuraError as error:
        return Finding(id=log.name, kind="store", status="wrong", text=error.message(), remedy=error.remedy)
    if trouble:
        remedy = "keep the file as it is; `aura audit verify` names the first damaged event"
        return Finding(id=log.name, kind="store", status="wrong", text=trouble, remedy=remedy)
    return Finding(id=log.name, kind="store", status="ok", text=f"its files are sound, {events:,} events")


# --- What runs, and what is left --------------------------------------------------------------------------------------


async def check_engine(engine: Engine, *, unknown: bool) -> AsyncIterator[Finding]:
    """Yield what is not in order about tasks, processes and worktrees. With `unknown` all of it has a fix."""
    stuck: set[TaskId] = set()
    for task_id in await unfinished_tasks(engine.runtime.desk):
        view = await engine.view(task_id)
        if _is_stuck(engine, view) and not await engine.is_driven(task_id):
            stuck.add(task_id)
            yield _task_finding(engine, view)
    for token in sorted(engine.runtime.gateway.known):
        finding = await _process_finding(engine, token, stuck, unknown=unknown)
        if finding is not None:
            yield finding
    for orphan in await engine.workspaces.orphans():
        yield await _orphan_finding(engine, orphan, unknown=unknown)


def _is_stuck(engine: Engine, view: View) -> bool:
    """Whether there is something to do for a task, now or at some moment, that no human has to decide about."""
    asked = {
        TaskStatus.AWAITING_APPROVAL: view.approval,
        TaskStatus.BLOCKED: view.conflict,
    }.get(view.task.status)
    if asked is not None and asked.status is ApprovalStatus.PENDING:
        return False
    step = next_step(view, engine.runtime.desk.clock(), engine.runtime.gateway.worker_id)
    return step.do not in (Do.NOTHING, Do.REST) or step.until is not None


def _task_finding(engine: Engine, view: View) -> Finding:
    task, execution = view.task, view.execution
    stage = "" if execution is None else f", its run is in {execution.status}"
    return Finding(
        id=task.id,
        kind="task",
        status="wrong",
        text=f"{task.title!r} is {task.status}{stage}, and nothing drives it",
        remedy=f"{_FIX} resumes it; `aura task cancel {task.id}` cancels it",
        fix=partial(_drive, engine, TaskId(task.id)),
    )


async def _drive(engine: Engine, task_id: TaskId) -> str:
    """Drive a task until it has ended or waits for a human. Raises what has been in the way for too long."""
    if not await engine.drive(task_id):
        return "another process drives it now"
    errors: list[AuraError] = []
    async with anyio.create_task_group() as group:

        async def settle() -> None:
            try:
                await engine.settled(task_id)
            except AuraError as error:
                errors.append(error)
            group.cancel_scope.cancel()

        group.start_soon(settle)
        errors.append(await _lasting_trouble(engine, task_id))
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    return f"it is {(await engine.view(task_id)).task.status} now"


async def _lasting_trouble(engine: Engine, task_id: TaskId) -> AuraError:
    """Wait until the same thing has been in the way of a task for too long; return it."""
    last, rounds = "", 0
    while True:
        await anyio.sleep(PAUSE)
        trouble = engine.troubles.get(task_id)
        rounds = rounds + 1 if trouble is not None and str(trouble) == last else 0
        last = str(trouble)
        if trouble is not None and rounds * PAUSE >= PATIENCE:
            return trouble


async def _process_finding(engine: Engine, token: str, stuck: set[TaskId], *, unknown: bool) -> Finding | None:
    """Return what is wrong about a process that is kept; None where somebody drives, or will drive, its task."""
    ident = token[:36]
    try:
        execution = await engine.runtime.desk.get(EXECUTION, parse_id(ident))
    except InvalidId:
        execution = None
    what = f"a process of {stage_of(token) or 'some stage'} of execution {ident} is kept, and may run"
    if execution is None:
        return Finding(
            id=token,
            kind="process",
            status="wrong" if unknown else "note",
            text=f"{what}, which this store does not know",
            remedy=_UNKNOWN,
            fix=partial(_end, engine, token) if unknown else None,
        )
    task_id = TaskId(execution.task_id)
    if execution.ended_at is None or task_id in stuck or await engine.is_driven(task_id):
        return None
    return Finding(
        id=token,
        kind="process",
        status="wrong",
        text=f"{what}, which is {execution.status}",
        remedy=f"{_FIX} ends it",
        fix=partial(_end, engine, token),
    )


async def _end(engine: Engine, token: str) -> str:
    gateway = engine.runtime.gateway
    await gateway.request(InterruptProcess(token=token, reason="left over"))
    await gateway.request(ForgetProcess(token=token))
    gateway.known.discard(token)
    return "ended"


async def _orphan_finding(engine: Engine, orphan: Orphan, *, unknown: bool) -> Finding:
    known = await engine.runtime.desk.get(WORKSPACE, orphan.workspace_id) is not None
    fixable = known or unknown
    holds = "with unsaved work" if orphan.dirty else "without unsaved work"
    of = "was abandoned" if known else "this store does not know"
    return Finding(
        id=orphan.path,
        kind="worktree",
        status="wrong" if fixable else "note",
        text=f"{orphan.path} is left over from workspace {orphan.workspace_id}, which {of}; {holds}",
        remedy=f"{_FIX} removes it, after a safety copy" if known else _UNKNOWN,
        fix=partial(_remove, engine, orphan) if fixable else None,
    )


async def _remove(engine: Engine, orphan: Orphan) -> str:
    taken = await engine.workspaces.remove_orphan(orphan)
    copies = ", ".join(f"{one.commit} in {one.repository}" for one in taken.commits)
    return f"removed, safety copy {copies}" if copies else "removed"
