"""What engines have to do without help, by the notes of a judge: begin what can run, let go of what has ended."""

from collections.abc import Collection, Iterator
from datetime import datetime

from exclusion import is_locked_out, needs_now
from notes import Crew, Notes, Work
from silence import overdue
from timing import is_answered
from tool_calls import duties_about_calls


def duties_of(notes: Notes, world, now: datetime) -> Iterator[str]:
    """Yield what engines have to do without anyone's help, in words."""
    at_work = {start.execution_id for start in world.runner.at_work}
    for task_id, task in notes.tasks.items():
        ended = _ended(notes, task_id, task) if task.ended else _open(notes, task_id, task, at_work, now)
        for duty in (*ended, *_about_locks(notes, task_id, task)):
            yield f"{task_id} is {task.status}: {duty}\n{notes.story_of(task_id)}"
    yield from duties_about_calls(notes, world)
    yield from overdue(notes, now)
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
    if leased := [key for key, run in notes.runs.items() if run.task == task_id and run.leased]:
        yield f"closes its leases {leased}"


def _open(notes: Notes, task_id: str, task: Work, at_work: Collection[str], now: datetime) -> Iterator[str]:
    unmet = notes.unmet(task)
    lost = [one for one in unmet if notes.tasks[one].ended and one not in task.lost]
    run = None if task.run is None else notes.runs[task.run]
    if lost and (task.pooled is not None or (run is not None and run.status == "queued")):
        yield f"hears of the end of {lost}"
    elif task.pooled is not None:
        free = [key for key, one in notes.agents.items() if _suits(one, task.pooled)]
        if free and not unmet and not is_locked_out(notes, task_id):
            yield f"gets one of the agents {free}"
    elif run is not None and not _waits(notes, task_id, at_work, now):
        yield f"goes on with its run {task.run}, {run.status}"
    parts = {notes.tasks[one].status for one in task.parts}
    if parts == {"completed"} and (task.split or (task.agent is None and task.run is None)):
        yield "completes with its parts"


def _suits(agent: Crew, wanted) -> bool:
    free = agent.pool and agent.enabled and len(agent.holds) < agent.capacity
    return free and wanted.agent_type in (None, agent.type)


def _waits(notes: Notes, task_id: str, at_work: Collection[str], now: datetime) -> bool:
    """Whether a task with a run waits for something that no engine can do."""
    task = notes.tasks[task_id]
    run = notes.runs[task.run]
    if task.split and run.status not in ("queued", "works"):
        return True
    if task.held or task.run in at_work or (run.status == "queued" and notes.unmet(task)):
        return True
    asked = notes.pending(task_id)
    if run.status == "queued" and is_locked_out(notes, task_id):
        return bool(asked) == (task.status == "blocked")
    about_locks = {key for key in asked if notes.asked[key].kind == "lock_conflict"}
    if run.retry_at is not None and now < run.retry_at:
        return not is_answered(notes, run)
    if run.retry_at is not None and any(notes.asked[key].kind == "tool_call" for key in asked):
        return False  # its agent has given up waiting, not the question
    return task.status in ("awaiting_approval", "blocked") and bool({*asked} - about_locks)


def _about_locks(notes: Notes, task_id: str, task: Work) -> Iterator[str]:
    claim = notes.claims.get(task_id)
    if claim is None or task.pooled is not None:
        return  # a task of the queue takes a place in line after ten minutes, and may be asked about in it
    in_hand = task.status in ("in_progress", "awaiting_approval", "approved", "blocked") and not task.split
    run = None if task.run is None else notes.runs[task.run]
    queued = run is not None and run.status == "queued"
    if not in_hand or (queued and (notes.unmet(task) or not needs_now(notes, task))):
        yield "releases its locks, as it is not worked on"
    elif not claim.held and not is_locked_out(notes, task_id):
        yield "takes its locks"
    elif not claim.held and not claim.asked and task.on_collision == "ask":
        yield "asks a human about what it collides with"
    elif not claim.held and queued and task.by_pool:
        yield "gives its agent back while it waits for its locks"
