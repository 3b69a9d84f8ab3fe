"""What engines have to do without help, by the notes of a judge: begin what can run, let go of what has ended."""

from collections.abc import Iterator, Sequence
from uuid import UUID, uuid5

from notes import Crew, Notes, Run, Work


def duties_of(notes: Notes, world) -> Iterator[str]:
    """Yield what engines have to do without anyone's help, in words."""
    at_work = {start.execution_id for start in world.runner.at_work}
    for task_id, task in notes.tasks.items():
        for duty in _ended(notes, task_id, task) if task.ended else _open(notes, task_id, task, at_work):
            yield f"{task_id} is {task.status}: {duty}\n{notes.story_of(task_id)}"
    for run in at_work:
        if notes.runs[run].status not in ("queued", "works"):
            yield f"ends the agent of {run}, which is over\n{notes.story_of(notes.runs[run].task)}"


def _ended(notes: Notes, task_id: str, task: Work) -> Iterator[str]:
    runs = [key for key, run in notes.runs.items() if run.task == task_id and run.status in ("queued", "works")]
    if runs:
        yield f"ends its runs {runs}"
    if held := [key for key, agent in notes.agents.items() if task_id in agent.holds]:
        yield f"releases its agents {held}"
    if task.run is not None and notes.pending(task_id):
        yield "withdraws its questions"
    workspace = next((one for one in notes.workspaces.values() if one[0] == task_id), None)
    if workspace is not None and workspace[2] is not None:
        yield "releases its workspace"
    if workspace is not None and task.run and task.status == "completed" and workspace[1] != "removed":
        yield f"clears its workspace, {workspace[1]}"
    open_leases = [run for run in notes.runs if notes.runs[run].task == task_id and _lease_is_open(notes, run)]
    if open_leases:
        yield f"closes its leases {open_leases}"


def _lease_is_open(notes: Notes, run: str) -> bool:
    return notes.leases.get(lease_of(run), "closed") != "closed"


def _open(notes: Notes, task_id: str, task: Work, at_work: Sequence[str]) -> Iterator[str]:
    unmet = notes.unmet(task)
    lost = [one for one in unmet if notes.tasks[one].ended and one not in task.lost]
    run = None if task.run is None else notes.runs[task.run]
    if lost and (task.pooled is not None or (run is not None and run.status == "queued")):
        yield f"hears of the end of {lost}"
    elif task.pooled is not None:
        free = [key for key, one in notes.agents.items() if _suits(one, task.pooled)]
        if free and not unmet:
            yield f"gets one of the agents {free}"
    elif run is not None and not _waits(notes, task_id, task, run, unmet, at_work):
        yield f"goes on with its run {task.run}, {run.status}"
    parts = {notes.tasks[one].status for one in task.parts}
    if parts == {"completed"} and (task.split or (task.agent is None and task.run is None)):
        yield "completes with its parts"


def _suits(agent: Crew, wanted) -> bool:
    free = agent.pool and agent.enabled and len(agent.holds) < agent.capacity
    return free and wanted.agent_type in (None, agent.type)


def _waits(notes: Notes, task_id: str, task: Work, run: Run, unmet: Sequence[str], at_work: Sequence[str]) -> bool:
    """Whether a task with a run waits for something that no engine can do."""
    if task.split and run.status not in ("queued", "works"):
        return True
    if task.run in at_work:
        return True
    if run.status == "queued" and unmet:
        return True
    return task.status in ("awaiting_approval", "blocked") and bool(notes.pending(task_id))


def lease_of(run: str) -> str:
    """Return the lease of a run."""
    return str(uuid5(UUID(run), "lease"))
