"""Boards as a user meets them: columns, limits, what a card may do and what it never may."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.actors import agent, human, system
from aura_contracts.board import (
    BOARD,
    DEFAULT_COLUMNS,
    USER_MOVES,
    AddColumn,
    ArchiveBoard,
    BoardLayout,
    BoardStatus,
    CanonicalState,
    CardMoved,
    ColumnDefinition,
    CreateBoard,
    FollowTask,
    MoveCard,
    MoveRule,
    PlaceCard,
    RemapColumn,
    RemoveCard,
    RemoveColumn,
    RenameBoard,
    RenameColumn,
    ReorderColumns,
    SetWipLimit,
    column_of_card,
    column_of_state,
)
from aura_contracts.errors import ActorNotAllowed, AggregateNotFound, RuleViolated, TransitionRefused
from aura_contracts.events import Fact
from aura_engine.decisions._decider import Context
from aura_engine.decisions.board import BOARD_DECIDER, COLUMN_LIMIT, NAME_LIMIT

C = CanonicalState
ID = "0192f0c1-2d3e-7abc-8def-000000000001"
ONE, TWO, THREE = (f"0192f0c1-2d3e-7abc-8def-00000000001{n}" for n in (1, 2, 3))
NOW = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ENGINE, ALICE, AGENT = system("engine"), human("alice"), agent(ONE)
TESTING = ColumnDefinition(id="testing", name="Testing", state=C.RUNNING)


def decide(state, command, actor=ALICE):
    return BOARD_DECIDER.decide(ID, state, command, Context(actor=actor, now=NOW))


def after(state, *commands, actor=ALICE):
    """The state folded from the events of all commands, one after the other."""
    for command in commands:
        events = decide(state, command, actor).events
        state = BOARD.fold((Fact(event, NOW, actor, "", "") for event in events), state)
    return state


def board(*commands):
    return after(None, CreateBoard(board_id=ID, layout=BoardLayout(name="Team")), *commands)


def refusal(error, state, command, actor=ALICE):
    with pytest.raises(error) as caught:
        decide(state, command, actor)
    return caught.value


def column_ids(state):
    return [column.id for column in state.columns]


def cards(state, column_id):
    return next(column.cards for column in state.columns if column.id == column_id)


# --- Layout -----------------------------------------------------------------------------------------------------------


def test_a_board_has_a_column_for_each_canonical_state_unless_told_otherwise():
    state = board()
    assert (state.status, state.name, state.created_by) == (BoardStatus.OPEN, "Team", ALICE)
    assert [(column.name, column.state) for column in state.columns] == [
        ("Backlog", C.BACKLOG),
        ("Ready", C.READY),
        ("Running", C.RUNNING),
        ("Review", C.REVIEW),
        ("Done", C.DONE),
        ("Cancelled", C.CANCELLED),
        ("Blocked", C.BLOCKED),
    ]


def test_columns_have_the_names_that_people_give_them():
    state = board(RenameColumn(column_id="running", name="  Coding "), AddColumn(column=TESTING, index=3))
    assert [column.name for column in state.columns[2:4]] == ["Coding", "Testing"]
    assert board(AddColumn(column=TESTING)).columns[-1].id == "testing"
    assert board(AddColumn(column=TESTING, index=99)).columns[-1].id == "testing"


@pytest.mark.parametrize(
    ("columns", "rule", "facts"),
    [
        (DEFAULT_COLUMNS[:-2], "canonical_state_without_column", "cancelled, blocked"),
        (
            (*DEFAULT_COLUMNS, msgspec.structs.replace(TESTING, name=" done ")),
            "duplicate_name",
            "another column is named 'done'",
        ),
        ((*DEFAULT_COLUMNS, msgspec.structs.replace(TESTING, name=" ")), "name", f"1 to {NAME_LIMIT}"),
        ((*DEFAULT_COLUMNS, msgspec.structs.replace(TESTING, id="done")), "column_id", "'done'"),
        ((*DEFAULT_COLUMNS, msgspec.structs.replace(TESTING, wip_limit=0)), "limit", "at least 1, not 0"),
        (
            tuple(ColumnDefinition(id=str(n), name=str(n), state=C.READY) for n in range(COLUMN_LIMIT + 1)),
            "columns",
            f"at most {COLUMN_LIMIT} columns",
        ),
    ],
)
def test_a_layout_that_breaks_a_rule_is_refused(columns, rule, facts):
    error = refusal(RuleViolated, None, CreateBoard(board_id=ID, layout=BoardLayout(name="Team", columns=columns)))
    assert error.rule == rule
    assert facts in error.reason


@pytest.mark.parametrize("name", ["", "\t", "x" * (NAME_LIMIT + 1)])
def test_a_board_has_a_name(name):
    assert refusal(RuleViolated, None, CreateBoard(board_id=ID, layout=BoardLayout(name=name))).rule == "name"
    assert refusal(RuleViolated, board(), RenameBoard(name=name)).rule == "name"


def test_a_renamed_board_keeps_its_cards():
    state = board(PlaceCard(task_id=ONE, task_state=C.READY), RenameBoard(name="Core team"))
    assert (state.name, cards(state, "ready")) == ("Core team", (ONE,))
    assert decide(state, RenameBoard(name="Core team")).events == ()


def test_two_columns_do_not_share_a_name_but_one_may_change_its_case():
    error = refusal(RuleViolated, board(), RenameColumn(column_id="done", name="READY"))
    assert error.rule == "duplicate_name"
    assert board(RenameColumn(column_id="done", name="DONE")).columns[4].name == "DONE"
    assert decide(board(), RenameColumn(column_id="done", name="Done")).events == ()


def test_a_column_with_cards_is_neither_removed_nor_remapped():
    state = board(AddColumn(column=TESTING), PlaceCard(task_id=ONE, task_state=C.RUNNING, column_id="testing"))
    error = refusal(RuleViolated, state, RemoveColumn(column_id="testing"))
    assert (error.rule, error.reason) == ("column_not_empty", "column 'Testing' holds 1 cards")
    assert refusal(RuleViolated, state, RemapColumn(column_id="testing", state=C.REVIEW)).rule == "column_not_empty"
    state = after(state, MoveCard(task_id=ONE, to_column="running", task_state=C.RUNNING))
    assert "testing" not in column_ids(after(state, RemoveColumn(column_id="testing")))


def test_the_last_column_of_a_state_is_neither_removed_nor_remapped():
    for command in (RemoveColumn(column_id="review"), RemapColumn(column_id="review", state=C.DONE)):
        error = refusal(RuleViolated, board(), command)
        assert (error.rule, error.reason) == (
            "canonical_state_without_column",
            "no column would be left for tasks that are review",
        )


def test_an_empty_column_is_remapped_when_its_state_has_another():
    state = board(AddColumn(column=TESTING), RemapColumn(column_id="testing", state=C.REVIEW))
    assert state.columns[-1].state is C.REVIEW
    assert decide(state, RemapColumn(column_id="testing", state=C.REVIEW)).events == ()


def test_columns_are_reordered_all_at_once():
    order = tuple(reversed(column_ids(board())))
    state = board(PlaceCard(task_id=ONE, task_state=C.DONE), ReorderColumns(order=order))
    assert (tuple(column_ids(state)), cards(state, "done")) == (order, (ONE,))
    assert decide(state, ReorderColumns(order=order)).events == ()
    for wrong in (order[1:], (*order, "done"), (*order[1:], "ghost")):
        assert refusal(RuleViolated, state, ReorderColumns(order=wrong)).rule == "order"


def test_a_column_that_is_not_there_is_named_with_those_that_are():
    error = refusal(AggregateNotFound, board(), RemoveColumn(column_id="ghost"))
    assert (error.aggregate, error.aggregate_id) == ("column", f"{ID}/ghost")
    assert "backlog, ready" in str(error)


def test_an_archived_board_takes_nothing_more():
    state = board(ArchiveBoard())
    assert state.status is BoardStatus.ARCHIVED
    for command in (RenameBoard(name="x"), ArchiveBoard(), PlaceCard(task_id=ONE, task_state=C.READY)):
        assert refusal(TransitionRefused, state, command).status == "archived"


# --- Cards moved by people --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", C)
@pytest.mark.parametrize("target", C)
def test_people_move_cards_along_the_listed_moves_and_no_others(source, target):
    state = board(PlaceCard(task_id=ONE, task_state=source))
    command = MoveCard(task_id=ONE, to_column=target.value, task_state=source)
    if source is target:
        assert decide(state, command).events == ()
    elif target in USER_MOVES[source]:
        moved = CardMoved(task_id=ONE, from_column=source.value, to_column=target.value, rank=0)
        assert decide(state, command).events == (moved,)
        assert column_of_card(after(state, command), ONE).state is target
    else:
        error = refusal(RuleViolated, state, command)
        assert error.rule == "move"
        assert f"the task is {source}" in error.reason
        assert str(target) in error.reason


def test_nobody_finishes_a_task_by_moving_its_card():
    for source in (C.BACKLOG, C.READY, C.RUNNING, C.REVIEW, C.BLOCKED):
        state = board(PlaceCard(task_id=ONE, task_state=source))
        assert refusal(RuleViolated, state, MoveCard(task_id=ONE, to_column="done", task_state=source)).rule == "move"


def test_a_move_is_judged_by_the_task_not_by_where_its_card_still_is():
    state = board(PlaceCard(task_id=ONE, task_state=C.READY))
    error = refusal(RuleViolated, state, MoveCard(task_id=ONE, to_column="backlog", task_state=C.DONE))
    assert error.reason == "the task is done; column 'Backlog' is for tasks that are backlog"


def test_between_columns_of_one_state_cards_move_freely():
    shipped = ColumnDefinition(id="shipped", name="Shipped", state=C.DONE)
    state = board(AddColumn(column=shipped), PlaceCard(task_id=ONE, task_state=C.DONE))
    state = after(state, MoveCard(task_id=ONE, to_column="shipped", task_state=C.DONE))
    assert (cards(state, "done"), cards(state, "shipped")) == ((), (ONE,))


def test_a_card_gets_the_rank_it_was_dropped_at():
    state = board(*(PlaceCard(task_id=task, task_state=C.READY) for task in (ONE, TWO, THREE)))
    state = after(state, MoveCard(task_id=THREE, to_column="ready", task_state=C.READY, rank=0))
    assert cards(state, "ready") == (THREE, ONE, TWO)
    state = after(state, MoveCard(task_id=THREE, to_column="ready", task_state=C.READY, rank=1))
    assert cards(state, "ready") == (ONE, THREE, TWO)
    state = after(state, MoveCard(task_id=ONE, to_column="ready", task_state=C.READY))
    assert cards(state, "ready") == (THREE, TWO, ONE)
    (moved,) = decide(state, MoveCard(task_id=TWO, to_column="backlog", task_state=C.READY, rank=99)).events
    assert moved.rank == 0


def test_a_full_column_takes_no_card_from_people():
    state = board(
        SetWipLimit(column_id="running", limit=1),
        PlaceCard(task_id=ONE, task_state=C.RUNNING),
        PlaceCard(task_id=TWO, task_state=C.READY),
    )
    error = refusal(RuleViolated, state, MoveCard(task_id=TWO, to_column="running", task_state=C.READY))
    assert (error.rule, error.reason) == ("wip_limit", "column 'Running' holds 1 cards and its limit is 1")
    error = refusal(RuleViolated, state, PlaceCard(task_id=THREE, task_state=C.RUNNING))
    assert error.rule == "wip_limit"
    lifted = after(state, SetWipLimit(column_id="running", limit=None))
    assert cards(after(lifted, MoveCard(task_id=TWO, to_column="running", task_state=C.READY)), "running") == (ONE, TWO)


def test_a_limit_below_what_is_there_moves_nothing_out_and_lets_cards_be_sorted():
    state = board(*(PlaceCard(task_id=task, task_state=C.READY) for task in (ONE, TWO)))
    state = after(state, SetWipLimit(column_id="ready", limit=1))
    state = after(state, MoveCard(task_id=TWO, to_column="ready", task_state=C.READY, rank=0))
    assert cards(state, "ready") == (TWO, ONE)


def test_a_limit_is_at_least_one():
    assert refusal(RuleViolated, board(), SetWipLimit(column_id="ready", limit=0)).rule == "limit"
    assert decide(board(), SetWipLimit(column_id="ready", limit=None)).events == ()


def test_a_card_that_is_not_on_the_board_is_neither_moved_nor_removed():
    for command in (MoveCard(task_id=ONE, to_column="ready", task_state=C.BACKLOG), RemoveCard(task_id=ONE)):
        error = refusal(AggregateNotFound, board(), command)
        assert (error.aggregate, error.aggregate_id) == ("card", f"{ID}/{ONE}")


# --- Cards placed and removed -----------------------------------------------------------------------------------------


def test_a_card_is_placed_where_the_state_of_its_task_says():
    first = ColumnDefinition(id="first", name="First", state=C.RUNNING)
    state = board(AddColumn(column=first, index=0), PlaceCard(task_id=ONE, task_state=C.RUNNING))
    assert column_of_state(state, C.RUNNING).id == "first"
    assert cards(state, "first") == (ONE,)
    error = refusal(RuleViolated, state, PlaceCard(task_id=TWO, task_state=C.READY, column_id="first"))
    assert (error.rule, error.reason) == (
        "task_state",
        "the task is ready; column 'First' is for tasks that are running",
    )


def test_a_card_that_people_place_in_a_column_by_name_keeps_its_rules():
    strict = msgspec.structs.replace(TESTING, rules=(MoveRule.CLEAN_GIT, MoveRule.NO_PROCESS))
    state = board(AddColumn(column=strict, index=0))
    to = {"task_id": ONE, "task_state": C.RUNNING}
    error = refusal(RuleViolated, state, PlaceCard(**to, column_id="testing", met=(MoveRule.CLEAN_GIT,)))
    assert error.rule == "no_process"
    assert cards(after(state, PlaceCard(**to, column_id="testing", met=strict.rules)), "testing") == (ONE,)
    assert cards(after(state, PlaceCard(**to, column_id="testing"), actor=ENGINE), "testing") == (ONE,)
    assert cards(after(state, PlaceCard(**to)), "testing") == (ONE,)


def test_a_task_has_one_card_on_a_board():
    state = board(AddColumn(column=TESTING), PlaceCard(task_id=ONE, task_state=C.RUNNING, column_id="testing"))
    assert decide(state, PlaceCard(task_id=ONE, task_state=C.RUNNING)).events == ()
    error = refusal(RuleViolated, state, PlaceCard(task_id=ONE, task_state=C.RUNNING, column_id="running"))
    assert (error.rule, error.reason) == ("card_exists", "the card is in column 'Testing' already")


def test_a_removed_card_is_gone_and_stays_gone_whatever_its_task_does():
    state = board(PlaceCard(task_id=ONE, task_state=C.READY), RemoveCard(task_id=ONE))
    assert column_of_card(state, ONE) is None
    assert decide(state, FollowTask(task_id=ONE, task_state=C.RUNNING), ENGINE).events == ()


# --- Cards that follow their tasks ------------------------------------------------------------------------------------


def test_a_card_follows_its_task_to_the_bottom_of_a_full_column():
    state = board(
        SetWipLimit(column_id="done", limit=1),
        PlaceCard(task_id=ONE, task_state=C.DONE),
        PlaceCard(task_id=TWO, task_state=C.RUNNING),
    )
    state = after(state, FollowTask(task_id=TWO, task_state=C.DONE), actor=ENGINE)
    assert cards(state, "done") == (ONE, TWO)


def test_a_card_in_a_column_of_the_right_state_stays_there():
    state = board(AddColumn(column=TESTING), PlaceCard(task_id=ONE, task_state=C.RUNNING, column_id="testing"))
    assert decide(state, FollowTask(task_id=ONE, task_state=C.RUNNING), ENGINE).events == ()


# --- Who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "actor"),
    [
        (MoveCard(task_id=ONE, to_column="running", task_state=C.READY), AGENT),
        (MoveCard(task_id=ONE, to_column="running", task_state=C.READY), ENGINE),
        (FollowTask(task_id=ONE, task_state=C.DONE), ALICE),
        (FollowTask(task_id=ONE, task_state=C.DONE), AGENT),
        (RenameBoard(name="Mine"), AGENT),
        (AddColumn(column=TESTING), AGENT),
        (SetWipLimit(column_id="ready", limit=1), AGENT),
        (PlaceCard(task_id=TWO, task_state=C.READY), AGENT),
        (RemoveCard(task_id=ONE), AGENT),
        (ArchiveBoard(), AGENT),
    ],
)
def test_people_move_cards_aura_follows_agents_do_neither(command, actor):
    error = refusal(ActorNotAllowed, board(PlaceCard(task_id=ONE, task_state=C.READY)), command, actor)
    assert error.actor == actor
    remedies = {MoveCard: "ask a human to move it", FollowTask: "leave it to AURA"}
    assert error.remedy == remedies.get(type(command), "ask a human to do it")


# --- Invariants -------------------------------------------------------------------------------------------------------

tasks = st.sampled_from([ONE, TWO, THREE])
states = st.sampled_from(C)
columns = st.sampled_from([*(column.id for column in DEFAULT_COLUMNS), "testing"])
ranks = st.none() | st.integers(-1, 3)


@given(
    st.lists(
        st.builds(PlaceCard, task_id=tasks, task_state=states, column_id=st.none() | columns, rank=ranks)
        | st.builds(MoveCard, task_id=tasks, task_state=states, to_column=columns, rank=ranks)
        | st.builds(FollowTask, task_id=tasks, task_state=states)
        | st.builds(RemoveCard, task_id=tasks)
        | st.builds(RemoveColumn, column_id=columns)
        | st.builds(RemapColumn, column_id=columns, state=states)
        | st.just(AddColumn(column=TESTING)),
        max_size=15,
    )
)
def test_each_task_has_at_most_one_card_and_each_state_has_a_column(commands):
    state = board()
    for command in commands:
        try:
            state = after(state, command, actor=ENGINE if isinstance(command, FollowTask) else ALICE)
        except (RuleViolated, AggregateNotFound):
            continue
        if not isinstance(command, RemoveCard) and hasattr(command, "task_id"):
            assert (column := column_of_card(state, command.task_id)) is None or command.task_id in column.cards
        held = [card for column in state.columns for card in column.cards]
        assert len(held) == len(set(held))
        assert {column.state for column in state.columns} == set(C)
