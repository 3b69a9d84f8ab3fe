"""What tasks need for themselves alone, as a judge of whole engines sees it: who has it, and who waits for whom.

The judge knows by heart which files each pattern is about, and looks at who works: not at how the engine orders claims.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

import attrs
from notes import Notes, Run, Work

FILES = {
    "src/*": {"src/a.py", "src/b.py", "src/api/a.py"},
    "src/a.*": {"src/a.py"},
    "*/a.py": {"src/a.py", "src/api/a.py"},
    "docs/?.md": {"docs/a.md"},
}
"""What there is of each pattern."""

LOCKS = (
    {},
    {},
    {"locks": ["deploy"]},
    {"locks": ["deploy", "release"], "on_collision": "ask"},
    {"locked_paths": ["src/*"]},
    {"locked_paths": ["src/a.*", "docs/?.md"]},
    {"locked_paths": ["*/a.py"], "on_collision": "ask"},
)
"""What a task may need."""


@attrs.define
class Claim:
    """What is known of a claim."""

    held: bool = False
    asked: bool = False
    """Whether a human was asked about what it collides with."""
    allowed: bool = False
    """Whether a human has decided that it holds although it collides."""


def needs(task: Work) -> set[str]:
    """Return the names, and the files, that a task needs."""
    return set(task.locks).union(*(FILES[pattern] for pattern in task.locked_paths))


def needs_now(notes: Notes, task: Work) -> set[str]:
    """Return what the run of a task needs, or the one that it waits for in the queue.

    One that only plans how to split it needs nothing.
    """
    if task.pooled is not None:
        plans = task.pooled.plan.decomposes
    else:
        plans = task.run is not None and notes.runs[task.run].plans
    return set() if plans else needs(task)


def note_claim(notes: Notes, topic: str, event) -> None:
    """Hold an event of the lock table against the notes, and note it."""
    task_id, task = event.task_id, notes.tasks[event.task_id]
    match topic:
        case "lock_table.requested":
            assert task_id not in notes.claims, "a task claims its locks once"
            assert needs(task), "a task that needs nothing claims nothing"
            notes.claims[task_id] = Claim()
            notes.unused_claims.pop(task_id, None)
        case "lock_table.asked":
            notes.claims[task_id].asked = True
        case "lock_table.taken":
            _note_taken(notes, task_id, event.allowed_by)
        case "lock_table.released":
            assert not occupies(notes, task_id), f"{task_id} is worked on without its locks"
            _note_released(notes, task_id, event.allowed_by)


def _note_taken(notes: Notes, task_id: str, approval_id: str | None) -> None:
    asked = None if approval_id is None else notes.asked[approval_id]
    if asked is None:
        assert not _rivals(notes, task_id, _holders(notes)), f"{task_id} has what another task has"
    else:
        assert (asked.kind, asked.task, asked.status) == ("lock_conflict", task_id, "approved"), "a human allows it"
    notes.claims[task_id] = Claim(held=True, allowed=asked is not None)


def _note_released(notes: Notes, task_id: str, approval_id: str | None) -> None:
    claim = notes.claims.pop(task_id, None) or notes.unused_claims.pop(task_id)
    if approval_id is not None:
        assert claim.allowed, "only a human's decision is kept"
        assert notes.tasks[task_id].pooled is not None, "it is kept for another place"
        notes.unused_claims[task_id] = claim


def require_alone(notes: Notes, run: Run) -> None:
    """Hold a run that is begun against the locks of its task, and against those that work meanwhile."""
    if run.plans or not needs(notes.tasks[run.task]):
        return
    claim = notes.claims.get(run.task)
    assert claim is not None, f"{run.task} begins without its locks"
    assert claim.held, f"{run.task} begins before it has its locks"
    occupied = [one for one in notes.tasks if one != run.task and occupies(notes, one)]
    for other in _rivals(notes, run.task, occupied):
        known = notes.claims.get(other, Claim())
        assert claim.allowed or known.allowed, f"{run.task} begins while {other} works on the same"


def occupies(notes: Notes, task_id: str) -> bool:
    """Whether work on a task is begun and neither merged nor given up, or something of it may still run."""
    task = notes.tasks[task_id]
    if task.split or task.status == "completed" or not needs(task):
        return False
    return any(run.leased and not run.plans for run in notes.runs.values() if run.task == task_id)


def require_apart(notes: Notes, at_work: Sequence[str]) -> None:
    """Hold the tasks of the agents that work against each other."""
    for one, other in combinations(at_work, 2):
        if needs_now(notes, notes.tasks[one]) & needs_now(notes, notes.tasks[other]):
            allowed = [task for task in (one, other) if notes.claims.get(task, Claim()).allowed]
            assert allowed, f"agents work on {one} and {other}, which need the same"


def _holders(notes: Notes) -> list[str]:
    return [one for one, claim in notes.claims.items() if claim.held]


def _rivals(notes: Notes, task_id: str, others: Iterable[str]) -> list[str]:
    """Return which of other tasks need something that this one needs, too."""
    wanted = needs(notes.tasks[task_id])
    return [one for one in others if one != task_id and wanted & needs(notes.tasks[one])]


def is_locked_out(notes: Notes, task_id: str) -> bool:
    """Whether a task waits for one that has its locks, directly or through others that wait."""
    if not needs_now(notes, notes.tasks[task_id]):
        return False
    reached, seen = [task_id], {task_id}
    while reached:
        one = reached.pop()
        rivals = _rivals(notes, one, notes.claims)
        if any(notes.claims[other].held for other in rivals):
            return True
        reached += [other for other in rivals if other not in seen]
        seen |= {*rivals}
    return False
