"""Boards, as a judge of whole engines sees them: what people may move, where to, and what must hold then."""

from collections.abc import Iterator

import attrs
from notes import Notes

MOVES = {
    "backlog": {"ready", "cancelled"},
    "ready": {"backlog", "cancelled"},
    "running": {"ready", "blocked", "cancelled"},
    "review": {"cancelled"},
    "blocked": {"running", "cancelled"},
    "done": set(),
    "cancelled": set(),
}
"""The documented moves that a person can make without saying more."""

STATES = {
    "in_progress": "running",
    "approved": "running",
    "awaiting_approval": "review",
    "completed": "done",
    "cancelled": "cancelled",
    "deleted": "cancelled",
    "failed": "blocked",
    "rejected": "blocked",
    "blocked": "blocked",
}


@attrs.define
class Lane:
    """What is known of a column."""

    state: str
    limit: int | None
    rules: set
    cards: set = attrs.field(factory=set)


@attrs.define
class Move:
    """A person's move, whose task has to be in this state at the end of the same command."""

    task: str
    state: str
    command: str


@attrs.frozen
class Before:
    """What was when a command began: the events of one are in the log by stream."""

    command: str
    states: dict
    asked: set
    """Tasks about which a question waits."""
    at_work: set
    """Tasks that an agent works on, or is about to."""


def note_before(notes: Notes, record) -> None:
    """Note what is when a command begins."""
    if notes.boards and (notes.before is None or notes.before.command != record.causation_id):
        states = {key: state_of(notes, key) for key in notes.tasks}
        asked = {notes.asked[key].task for key in notes.pending()}
        at_work = {run.task for run in notes.runs.values() if run.status in ("queued", "works")}
        notes.before = Before(record.causation_id, states, asked, at_work)


def state_of(notes: Notes, task_id: str) -> str:
    task = notes.tasks[task_id]
    if task.status == "pending":
        return "ready" if task.queued else "backlog"
    return STATES[task.status]


def note_board(notes: Notes, record, topic: str, event) -> None:
    """Note what becomes of a board, and hold the moves of cards against the tasks."""
    lanes = notes.boards.setdefault(record.stream_id, {})
    match topic:
        case "board.created":
            lanes |= {one.id: _lane(one) for one in event.layout.columns}
        case "board.column_added":
            lanes[event.column.id] = _lane(event.column)
        case "board.wip_limit_set":
            lanes[event.column_id].limit = event.limit
        case "board.column_rules_set":
            lanes[event.column_id].rules = {rule.value for rule in event.rules}
        case "board.card_placed":
            assert not any(event.task_id in lane.cards for lane in lanes.values()), "a card is in one column"
            lanes[event.column_id].cards.add(event.task_id)
        case "board.card_moved":
            source, target = lanes[event.from_column], lanes[event.to_column]
            if record.actor.startswith("human:"):
                _moved(notes, record, event, source, target)
            source.cards.remove(event.task_id)
            target.cards.add(event.task_id)


def _lane(column) -> Lane:
    return Lane(column.state.value, column.wip_limit, {rule.value for rule in column.rules})


def unfollowed(notes: Notes) -> Iterator[str]:
    """Yield the cards that have to follow their tasks."""
    for lanes in notes.boards.values():
        for name, lane in lanes.items():
            for task_id in lane.cards:
                if state_of(notes, task_id) != lane.state:
                    yield f"moves the card of {task_id}, which is {state_of(notes, task_id)}, out of {name}"


def _moved(notes: Notes, record, event, source: Lane, target: Lane) -> None:
    if source is target:
        return
    task_id, before = event.task_id, notes.before
    assert source.state == before.states[task_id], f"a card is moved from where its task is: {record}"
    assert target.state in {source.state, *MOVES[source.state]}, f"no one may move a card there: {record}"
    assert target.limit is None or len(target.cards) < target.limit, f"a limit is kept: {record}"
    if "approvals_answered" in target.rules:
        assert task_id not in before.asked, f"a question waits: {record}"
    if "no_process" in target.rules:
        assert task_id not in before.at_work, f"an agent works on it: {record}"
    notes.moves.append(Move(task_id, target.state, record.causation_id))


def require_moved(notes: Notes, record) -> None:
    """Hold what a command has left of a task against the move that it was, before what comes next is noted."""
    for move in [one for one in notes.moves if record is None or one.command != record.causation_id]:
        found = state_of(notes, move.task)
        assert found == move.state, f"a task moves with its card, to {move.state}, not {found}: {move}"
        notes.moves.remove(move)
    if record is not None and notes.moves:
        topic = record.event.topic
        assert topic not in ("task.completed", "task.approved", "approval.approved"), f"no move decides: {record}"
