"""Collecting: the work of an agent or a script that has ended is committed on its branches, and counted."""

from msgspec.structs import replace

from aura_contracts.actors import ENGINE
from aura_contracts.errors import AuraError, GitError, Recovery, WorkspaceError
from aura_contracts.execution import Execution, FailExecution, RecordStageFailure
from aura_contracts.ports.workspaces import CollectedWork
from aura_contracts.quoting import one_line
from aura_contracts.workspace import RecordCommit, Workspace
from aura_engine.retries import retrying
from aura_engine.runtime.attempts import stage_failure
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.failures import failure_from_error
from aura_engine.runtime.views import View, spec_of
from aura_worker_protocol import messages

_COLLECT_PAUSES = (0.1, 0.5, 2.0)
"""Seconds between attempts to commit the work of an agent that has ended."""


async def collect(runtime: Runtime, view: View, by: str) -> CollectedWork | FailExecution | RecordStageFailure:
    """Commit everything on the branch and count it; the message ends with `by`. Returns what to record if that failed.

    What git refuses is tried again after short pauses; if it still does, the execution fails. It does not retry the
    stage: the work is done, and running the agent again would not remove what is in the way.
    """
    execution, workspace = view.working()
    message = f"{one_line(workspace.title)}\n\n{by}"
    request = messages.CollectWork(workspace=spec_of(workspace), message=message)
    try:
        return await retrying(lambda: runtime.gateway.request(request), _COLLECT_PAUSES, on=_may_pass)
    except AuraError as error:
        if error.recovery is Recovery.LATER:
            raise
        return _uncollected(runtime, view, execution, error)


def _may_pass(error: AuraError) -> bool:
    return isinstance(error, GitError) and error.recovery not in (Recovery.LATER, Recovery.HUMAN)


def _uncollected(
    runtime: Runtime, view: View, execution: Execution, error: AuraError
) -> FailExecution | RecordStageFailure:
    """Return what to record of work that cannot be collected: it is in the worktree, unless that is gone."""
    gone = isinstance(error, WorkspaceError) and error.recovery is not Recovery.HUMAN
    failure = replace(failure_from_error(error, str(execution.status)), work_done=not (gone or view.planning))
    return stage_failure(runtime, execution, failure) if gone else FailExecution(failure=failure)


async def collect_since(runtime: Runtime, workspace: Workspace) -> CollectedWork:
    """Commit changes made in the worktrees since the agent finished, and record the heads of the branches."""
    message = f"{one_line(workspace.title)}\n\nDuring review."
    request = messages.CollectWork(workspace=spec_of(workspace), message=message, from_branch=True)
    collected = await runtime.gateway.request(request)
    if is_news(workspace, collected):
        commit = RecordCommit(heads=collected.heads, clean=collected.clean)
        await runtime.bus.handle(ENGINE, workspace.id, commit)
    return collected


def differs(workspace: Workspace, execution: Execution, collected: CollectedWork) -> bool:
    """Whether the agent has changed anything since its latest start."""
    if workspace.in_place:
        return collected.outcome != execution.outcome
    before = () if execution.outcome is None else execution.outcome.unrecorded
    return is_news(workspace, collected) or collected.outcome.unrecorded != before


def is_news(workspace: Workspace, collected: CollectedWork) -> bool:
    """Whether a branch has another head than the one recorded last."""
    had = {tree.repository: tree.head for tree in workspace.worktrees}
    return any(had.get(head.repository) != head.commit for head in collected.heads)
