"""Next steps: how to resume a task that was interrupted, and how to clear up after it. Pure."""

import shlex
from collections.abc import Iterator

from aura_contracts.approval import ApprovalStatus
from aura_contracts.task import TaskStatus
from aura_contracts.workspace import Workspace, WorkspaceStatus
from aura_engine import View

_GONE = (WorkspaceStatus.REMOVED, WorkspaceStatus.REQUESTED, WorkspaceStatus.FAILED)


def next_steps(view: View, hint: str) -> Iterator[str]:
    """Yield lines with the commands to paste; `hint` is the suffix that names the store."""
    task, workspace = view.task, view.workspace
    questions = [one for one in (view.conflict, view.approval) if one and one.status is ApprovalStatus.PENDING]
    if questions:
        yield f"the question stays open: aura approval show {questions[0].id}{hint}"
        yield f"to give the task up: aura task cancel {task.id}{hint}"
    elif task.status is not TaskStatus.CANCELLED:
        yield f"the task is {task.status}: aura task show {task.id}{hint}"
    elif workspace is None or workspace.status in _GONE:
        yield "nothing is left of it; to start over, run the same command again"
    else:
        yield f"to resume from its work: {_resuming(view, workspace)}{hint}"
        if not workspace.in_place:
            yield f"to clear up, and keep its branch: aura workspace clean {task.id}{hint}"


def _resuming(view: View, workspace: Workspace) -> str:
    execution = view.execution
    executor = "NAME" if execution is None else shlex.quote(execution.executor)
    session = None if execution is None else execution.session_id
    words = ["aura run --executor", executor, *(["--session", shlex.quote(session)] if session else [])]
    return " ".join([*words, "--cwd", shlex.quote(workspace.directory), "--in-place --prompt TEXT"])
