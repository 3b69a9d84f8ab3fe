"""Reverts: undo the merged work of a task with git, in a worktree, for a human to approve."""

from collections.abc import Mapping

from aura_contracts.actors import WORKER
from aura_contracts.errors import AuraError, Recovery
from aura_contracts.execution import FailExecution, FinishCoding
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.workspaces import CollectedWork
from aura_contracts.quoting import bounded, one_line, quoted
from aura_contracts.workspace import ConflictedFiles, RecordCommit
from aura_engine.runtime.attempts import stage_failure
from aura_engine.runtime.collection import collect, is_news
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.failures import failure_from_error
from aura_engine.runtime.views import View, spec_of
from aura_worker_protocol.messages import RevertWork


async def run_revert(runtime: Runtime, view: View) -> None:
    """Revert the commits of the plan on the branch, and count what that changes; a conflict fails the task."""
    execution, workspace = view.working()
    commits = execution.plan.reverts
    request = RevertWork(workspace=spec_of(workspace), commits=commits, message=_message(view, commits))
    try:
        done = await runtime.gateway.request(request)
    except AuraError as error:
        if error.recovery is Recovery.LATER:
            raise
        await runtime.bus.handle(WORKER, execution.id, stage_failure(runtime, execution, failure_from_error(error)))
        return
    if done.conflicts:
        failure = Failure(FailureReason.CONFLICT, bounded(_conflict_text(view, done.conflicts)), str(execution.status))
        await runtime.bus.handle(WORKER, execution.id, FailExecution(failure=failure))
        return
    collected = await collect(runtime, view, "With git revert.")
    async with runtime.bus.unit(WORKER) as unit:
        if not isinstance(collected, CollectedWork):
            await unit.handle(execution.id, collected)
            return
        if is_news(workspace, collected):
            await unit.handle(workspace.id, RecordCommit(heads=collected.heads, clean=collected.clean))
        await unit.handle(execution.id, FinishCoding(epoch=execution.epoch, outcome=collected.outcome))


def _message(view: View, commits: Mapping[str, str]) -> str:
    what = "\n".join(f"This reverts commit {commit}." for commit in dict.fromkeys(commits.values()))
    return f"{one_line(view.task.title)}\n\n{what}\n"


def _conflict_text(view: View, conflicts: tuple[ConflictedFiles, ...]) -> str:
    lines = [f"{quoted(files.repository)}: {', '.join(map(quoted, files.paths))}" for files in conflicts]
    remedy = f"assign it to an agent, which then undoes it: aura task assign {view.task.id} --executor NAME"
    return f"others have changed the same lines since, in {'; '.join(lines)}; {remedy}"
