"""Canonical states: every task and execution has one, and moves of cards mean what task commands do."""

from datetime import UTC, datetime

import pytest

from aura_contracts.actors import human
from aura_contracts.board import (
    DEFAULT_COLUMNS,
    USER_MOVES,
    CanonicalState,
    canonical_of_task,
)
from aura_contracts.task import TASK, Priority, Task, TaskQueued, TaskStatus, TaskUnassigned, TaskUnqueued

C = CanonicalState


def task(status, *, queued=False):
    return Task(
        id="0192f0c1-2d3e-7abc-8def-000000000001",
        status=status,
        title="x",
        description="",
        priority=Priority.LOW,
        created_by=human("alice"),
        created_at=datetime(2026, 1, 4, tzinfo=UTC),
        queued=queued,
    )


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", C.BACKLOG),
        ("in_progress", C.RUNNING),
        ("awaiting_approval", C.REVIEW),
        ("approved", C.RUNNING),
        ("rejected", C.BLOCKED),
        ("blocked", C.BLOCKED),
        ("failed", C.BLOCKED),
        ("completed", C.DONE),
        ("cancelled", C.CANCELLED),
        ("deleted", C.CANCELLED),
    ],
)
def test_each_status_of_a_task_has_a_canonical_state(status, state):
    assert canonical_of_task(task(TaskStatus(status))) is state


def test_a_queued_task_is_ready_and_only_a_pending_one_can_be():
    assert canonical_of_task(task(TaskStatus.PENDING, queued=True)) is C.READY
    assert canonical_of_task(task(TaskStatus.IN_PROGRESS, queued=True)) is C.RUNNING


def test_no_status_of_a_task_is_without_a_canonical_state():
    assert {canonical_of_task(task(status, queued=True)) for status in TaskStatus} == set(C) - {C.BACKLOG}


MOVES = [
    (source, target, command)
    for source, targets in USER_MOVES.items()
    for target, commands in targets.items()
    for command in commands
]


@pytest.mark.parametrize(("source", "target", "command"), MOVES)
def test_a_move_means_a_command_that_takes_a_task_from_the_one_state_to_the_other(source, target, command):
    """Checked against the task's own table, so that no move promises what the task would refuse."""
    event = command.emits[0]
    queued_after = {TaskQueued: True, TaskUnqueued: False, TaskUnassigned: True}.get(event, False)
    led_to = {
        canonical_of_task(task(TASK.table[status][event], queued=queued_after))
        for status in TaskStatus
        for queued in (True, False)
        if canonical_of_task(task(status, queued=queued)) is source and event in TASK.table.get(status, {})
    }
    assert led_to == {target}


def test_no_move_by_people_completes_or_revives_a_task():
    assert set(USER_MOVES) == set(C)
    assert not any(C.DONE in targets for targets in USER_MOVES.values())
    assert not USER_MOVES[C.DONE]
    assert not USER_MOVES[C.CANCELLED]


def test_every_task_that_has_not_ended_can_be_called_off_by_a_move():
    assert all(C.CANCELLED in USER_MOVES[state] for state in set(C) - {C.DONE, C.CANCELLED})


def test_the_default_board_shows_every_canonical_state_once():
    assert [column.state for column in DEFAULT_COLUMNS] == list(C)
    assert [column.name for column in DEFAULT_COLUMNS][:2] == ["Backlog", "Ready"]
