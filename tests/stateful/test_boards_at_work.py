"""Whole engines with a board keep their promises; and the machine can fail: planted mutations are found."""

import pytest
from board_machine import BoardsAtWork
from hypothesis.stateful import run_state_machine_as_test
from test_engine_machine import DEEP, QUICK
from test_planted_faults import Fault, create, require_found

from aura_contracts.board import CanonicalState, MoveRule
from aura_engine.facade.board_moves import BoardMoves
from aura_engine.facade.boards import Boards


def test_boards_of_whole_engines_keep_their_promises():
    run_state_machine_as_test(BoardsAtWork, settings=QUICK)


@pytest.mark.deep
def test_boards_of_whole_engines_keep_their_promises_for_long():
    run_state_machine_as_test(BoardsAtWork, settings=DEEP)


def board_story(machine, fault):
    """Every task is moved to every column, at each point of its life, with rules and limits."""
    machine.start([2])
    machine.edit_board(0, "Ready", [], 1)
    for which in range(2):
        create(machine, way="backlog")
        machine.move(0, which, "Ready", wait=True)
    for rules in ([MoveRule.APPROVALS_ANSWERED], [MoveRule.CLEAN_GIT], [MoveRule.NO_PROCESS]):
        machine.edit_board(0, "Cancelled", rules, None)
        for way in ("backlog", "executor"):
            create(machine, way=way)
        everywhere(machine, len(machine.judge.tasks) - 2)
        newest = len(machine.judge.tasks) - 1
        machine.move(0, newest, "Testing", wait=True)
        if rules != [MoveRule.APPROVALS_ANSWERED]:
            machine.leave_uncommitted(newest)
        if rules != [MoveRule.NO_PROCESS]:
            machine.finish(0, "changes", wait=True)
        if rules == [MoveRule.CLEAN_GIT]:
            machine.leave_uncommitted(newest)
        everywhere(machine, newest)
    fault.done(machine)


def everywhere(machine, which):
    for column in ("Backlog", "Ready", "Blocked", "Review", "Done", "Running", "Testing", "Cancelled"):
        machine.move(0, which, column, wait=True)


AMISS = Boards._amiss


def without(rule):
    async def amiss(boards, given, view):
        return None if given is rule else await AMISS(boards, given, view)

    return amiss


async def add_nothing(*_):
    return ()


async def go_anywhere(moves, unit, view, target, reason):
    return () if target is CanonicalState.REVIEW else await ADD(moves, unit, view, target, reason)


ADD = BoardMoves.add
FREE = (BoardMoves, "add", go_anywhere)
DECISIONS = "aura_engine.decisions.board"
FAULTS = {
    "none": Fault(""),
    "cards go anywhere": Fault("no one may move", ((DECISIONS, "_require_allowed_move", lambda *_: None), FREE)),
    "limits are not kept": Fault("a limit is kept", ((DECISIONS, "_require_room", lambda *_: None),)),
    "rules are not asked for": Fault(
        "a question waits", ((DECISIONS, "_require_met", lambda *_: None), (Boards, "_met", add_nothing))
    ),
    "questions are not looked for": Fault(
        "a question waits", ((Boards, "_amiss", without(MoveRule.APPROVALS_ANSWERED)),)
    ),
    "files are not looked at": Fault("is not committed", ((Boards, "_amiss", without(MoveRule.CLEAN_GIT)),)),
    "agents are not looked at": Fault("an agent works on it", ((Boards, "_amiss", without(MoveRule.NO_PROCESS)),)),
    "a card moves without its task": Fault("a task moves with its card", ((BoardMoves, "add", add_nothing),)),
}
QUICK_FAULTS = ("limits are not kept",)


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[pytest.mark.deep] * (one not in QUICK_FAULTS)) for one in FAULTS]
)
def test_what_is_wrong_with_boards_is_found(name):
    require_found(FAULTS[name], board_story, BoardsAtWork)
