"""Boards: cards that people move and cards that follow their tasks, with real agents, worktrees and engines."""

from contextlib import suppress
from itertools import product
from pathlib import Path

import anyio
import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.approval import ApprovalKind, Question, RequestApproval
from aura_contracts.board import (
    BOARD,
    DEFAULT_COLUMNS,
    FINISHED_KEPT,
    USER_MOVES,
    BoardChanges,
    CanonicalState,
    CardMoved,
    ColumnDefinition,
    MoveRule,
    canonical_of_task,
)
from aura_contracts.errors import (
    ActorNotAllowed,
    AggregateNotFound,
    AmbiguousId,
    CommandRefused,
    InvalidInput,
    RuleViolated,
)
from aura_contracts.task import TASK, TaskChanges, TaskStatus
from engines import events_of, scripted, settled, write

pytestmark = pytest.mark.anyio

C = CanonicalState


def column(name, state, **more):
    return ColumnDefinition(id=name.lower(), name=name, state=state, **more)


PLAIN = DEFAULT_COLUMNS
"""One column for each state."""

SEVERAL = (
    column("Ideas", C.BACKLOG),
    column("Next", C.READY),
    column("Soon", C.BACKLOG),
    column("Coding", C.RUNNING),
    column("Testing", C.RUNNING),
    column("Review", C.REVIEW),
    column("Stuck", C.BLOCKED),
    column("Waiting", C.BLOCKED),
    column("Done", C.DONE),
    column("Gone", C.CANCELLED),
)
"""Several columns for a state."""

STRICT = tuple(
    column(state.value.title(), state, rules=tuple(MoveRule), wip_limit=2 if state is C.READY else None) for state in C
)
"""With every rule on every column, and a limit."""


def place_of(view, task_id):
    """Return the id of the column with a card, which no other column has."""
    (found,) = [one.id for one in view.columns if task_id in {card.id for card in one.cards}]
    return found


async def column_of(engine, board, task_id):
    return place_of(await engine.boards.view(board), task_id)


async def followed(engine, board, task_id, wanted):
    """Wait until a card is recorded in a column."""
    with anyio.fail_after(30):
        head = 0
        while True:
            recorded = {one.id: one.cards for one in (await engine.boards.get(board)).columns}
            if task_id in recorded[wanted]:
                return
            head = await engine._core.log.wait(max(head, await engine.events.head() - 1))


# --- The table: every pair of columns of three boards -----------------------------------------------------------------


async def make(engine, state, repository):
    """Return a task in a canonical state that no agent works on."""
    task = await engine.tasks.create(f"A task that is {state}")
    if state in (C.RUNNING, C.REVIEW, C.DONE, C.BLOCKED):
        agent = await engine.agents.add(f"agent for {task.id}", "custom")
        await engine.tasks.assign(task.id, agent=agent.id)
    if state is C.READY:
        await engine.tasks.move(task.id, "ready")
    elif state is C.REVIEW:
        await engine.tasks.submit(task.id, "I propose")
    elif state is C.DONE:
        await engine.approvals.approve((await engine.tasks.submit(task.id, "I propose")).id)
        await engine.tasks.complete(task.id)
    elif state is C.CANCELLED:
        await engine.tasks.cancel(task.id)
    elif state is C.BLOCKED:
        await engine.tasks.move(task.id, "blocked", "it waits")
    task = await engine.tasks.get(task.id)
    assert canonical_of_task(task) is state
    return task


NEEDS_MORE = {
    (C.BACKLOG, C.RUNNING): "tasks.assign(",
    (C.READY, C.RUNNING): "tasks.assign(",
    (C.REVIEW, C.RUNNING): "approvals.reject(",
}
"""Moves that stand for a command with more to say than a column; the remedy names the call."""


@pytest.mark.deep_but_first
@pytest.mark.parametrize("columns", [PLAIN, SEVERAL, STRICT], ids=["plain", "several", "strict"])
async def test_every_pair_of_columns_does_what_the_table_says_and_no_more(opened, repository, columns):
    async with opened(record_only=True) as engine:
        board = await engine.boards.create("Team", columns=columns)
        assert {one.state for one in board.columns} == set(C)
        for source, target in product(columns, columns):
            task = await make(engine, source.state, repository)
            if await column_of(engine, "Team", task.id) != source.id:
                await engine.boards.move("Team", task.id, source.name)
            assert await column_of(engine, "Team", task.id) == source.id
            before = await engine.events.list(stream=task.id)
            pair = f"{source.name} to {target.name}"
            try:
                await engine.boards.move("Team", task.id, target.id, reason="so")
            except RuleViolated as refused:
                moved, remedy = False, refused.remedy
            else:
                moved, remedy = True, ""
            after = await engine.tasks.get(task.id)
            events = [one.event for one in await engine.events.list(stream=task.id)][len(before) :]
            asks = columns is STRICT and source.state is C.REVIEW and source is not target
            if source.state is target.state:
                assert moved, pair
                assert not events, pair
                assert await column_of(engine, "Team", task.id) == target.id, pair
            elif (
                target.state in USER_MOVES[source.state] and not asks and (source.state, target.state) not in NEEDS_MORE
            ):
                assert moved, pair
                assert canonical_of_task(after) is target.state, pair
                commands = USER_MOVES[source.state][target.state]
                allowed = {kind for command in commands for kind in command.emits}
                assert type(events[0]) in allowed, pair
                assert await column_of(engine, "Team", task.id) == target.id, pair
            else:
                assert not moved, pair
                assert remedy, pair
                assert not events, pair
                assert after.status is task.status, pair
                assert await column_of(engine, "Team", task.id) == source.id, pair
                if not asks and (source.state, target.state) in NEEDS_MORE:
                    assert NEEDS_MORE[source.state, target.state] in remedy, pair
            TASK.fold(await engine.events.list(stream=task.id))  # raises for what its own table forbids
            if not after.ended:
                await engine.tasks.cancel(task.id)


# --- Following --------------------------------------------------------------------------------------------------------


async def test_cards_follow_a_real_run_from_backlog_to_done(opened, repository):
    async with opened(drive_all=True) as engine:
        board = await engine.boards.create("Team", columns=SEVERAL)
        task = await engine.tasks.create("Write it", repositories=[str(repository)])
        await followed(engine, board.id, task.id, "ideas")
        await engine.boards.move("Team", task.id, "soon")
        await engine.tasks.assign(task.id, **scripted([write("new.txt", "x\n")]))
        await settled(engine, task.id)
        await followed(engine, board.id, task.id, "review")
        (question,) = await engine._core.pending(task.id)
        await engine.approvals.approve(question.id)
        await followed(engine, board.id, task.id, "done")
        with pytest.raises(RuleViolated, match="a task that is done stays so"):
            await engine.boards.move("Team", task.id, "coding")
        moves = [one for one in await events_of(engine, board.id) if type(one).__name__ == "CardMoved"]
        assert moves[0].to_column == "soon"
        assert moves[-1].to_column == "done"
        actors = {one.actor for one in await engine.events.list(stream=board.id)}
        assert actors == {"human:alice", "system:engine"}


async def test_what_happened_while_no_engine_looked_is_shown_at_once_and_recorded_later(opened):
    async with opened(record_only=True) as engine:
        board = await engine.boards.create("Team")
        one = await engine.tasks.create("One")
        two = await engine.tasks.create("Two")
        await engine.tasks.move(one.id, "ready")
        await engine.tasks.cancel(two.id)
        assert await column_of(engine, "Team", one.id) == "ready"
        assert await column_of(engine, "Team", two.id) == "cancelled"
        assert len(await events_of(engine, board.id)) == 1, "reading records nothing"
    async with opened(read_only=True) as reader:
        assert await column_of(reader, "Team", one.id) == "ready"
        assert len(await events_of(reader, board.id)) == 1
    async with opened(drive_all=True) as engine:
        await followed(engine, board.id, one.id, "ready")
        await followed(engine, board.id, two.id, "cancelled")


async def test_an_engine_that_is_cut_off_before_it_moves_the_cursor_loses_and_doubles_nothing(opened, monkeypatch):
    async with opened(record_only=True) as engine:
        board = await engine.boards.create("Team")
        tasks = [await engine.tasks.create(f"Task {number}") for number in range(3)]
        await engine.tasks.move(tasks[0].id, "ready")
        log, cards = engine._core.log, engine._core.follower.cards

        async def fails(name, position):
            raise RuntimeError("the power went out")

        with monkeypatch.context() as cut:
            cut.setattr(log, "save_cursor", fails)
            with pytest.raises(RuntimeError):
                await cards.catch_up()
        recorded = await events_of(engine, board.id)
        assert await cards.catch_up()
        assert await events_of(engine, board.id) == recorded
        found = await engine.boards.get("Team")
        assert [one.id for one in found.columns if one.cards] == ["backlog", "ready"]
        assert sorted(card for one in found.columns for card in one.cards) == sorted(task.id for task in tasks)


@pytest.mark.parametrize("target", ["soon", "backlog"])
@pytest.mark.parametrize("mover", ["same engine", "other engine"])
async def test_a_card_that_a_person_moves_after_its_task_was_read_stays_in_the_column_that_was_chosen(
    opened, monkeypatch, mover, target
):
    async with opened(record_only=True) as engine, opened(record_only=True) as other:
        soon = column("Soon", C.READY)
        board = await engine.boards.create("Team", columns=(*PLAIN, soon))
        task = await engine.tasks.create("Write it")
        cards, transact = engine._core.follower.cards, engine._core.bus.transact
        await cards.caught_up()
        await engine.tasks.move(task.id, "ready")
        person = engine if mover == "same engine" else other
        moved = []

        async def moves_first(actor, decide, **more):
            if actor == ENGINE and not moved:
                moved.append(True)
                await person.boards.move("Team", task.id, target)
            return await transact(actor, decide, **more)

        monkeypatch.setattr(type(cards), "caught_up", _nothing)
        monkeypatch.setattr(type(engine._core.bus), "transact", lambda _, *args, **more: moves_first(*args, **more))
        assert await cards.catch_up()
        assert moved
        assert await cards.catch_up()
        assert await column_of(engine, "Team", task.id) == target
        recorded = [event for event in await events_of(engine, board.id) if isinstance(event, CardMoved)]
        assert [(one.from_column, one.to_column) for one in recorded] == [("backlog", "ready"), ("ready", target)]


async def test_an_event_that_moves_no_card_looks_at_no_board(opened, monkeypatch):
    async with opened(record_only=True) as engine:
        await engine.boards.create("Team")
        task = await engine.tasks.create("Write it")
        cards = engine._core.follower.cards
        await cards.caught_up()
        asked = []
        transact = type(engine._core.bus).transact

        async def counted(bus, actor, decide, **more):
            asked.append(actor)
            return await transact(bus, actor, decide, **more)

        await engine.tasks.edit(task.id, TaskChanges(title="Write it well"))
        with monkeypatch.context() as watched:
            watched.setattr(type(engine._core.bus), "transact", counted)
            assert await cards.catch_up()
        assert asked == []
        await engine.tasks.move(task.id, "ready")
        with monkeypatch.context() as watched:
            watched.setattr(type(engine._core.bus), "transact", counted)
            assert await cards.catch_up()
        assert asked == [ENGINE]


async def test_an_engine_whose_boards_lag_behind_others_loses_no_move(opened):
    """Another engine lays the board out anew and moves cards; this one knows only what it has read before."""
    async with opened(record_only=True) as engine, opened(record_only=True) as other:
        board = await engine.boards.create("Team")
        archived = await engine.boards.create("Old")
        tasks = [await engine.tasks.create(f"Task {number}") for number in range(3)]
        cards = engine._core.follower.cards
        engine._core.bus.states.keep([board.id, *(task.id for task in tasks)])  # as in the background, but unheard
        await cards.caught_up()
        await engine._core.bus.get(BOARD, board.id)
        soon = column("Soon", C.READY)
        await other.boards.edit("Team", BoardChanges(add=(soon,)))
        await other.boards.edit("Team", BoardChanges(order=("Soon", *(one.name for one in PLAIN))))
        await other.boards.archive("Old")
        for task in tasks:
            await other.boards.move("Team", task.id, "Soon")
        await other.tasks.move(tasks[0].id, "backlog")
        await other.boards.remove("Team", tasks[1].id)
        await other.tasks.move(tasks[1].id, "backlog")
        await other.tasks.cancel(tasks[2].id)
        assert await cards.catch_up()
        recorded = {card: one.id for one in (await other.boards.get(board.id)).columns for card in one.cards}
        assert recorded == {tasks[0].id: "backlog", tasks[2].id: "cancelled"}
        assert len((await other.boards.get(archived.id)).columns[0].cards) == 3


async def _nothing(cards):
    """The engine that moves the cursor takes too long: a command goes on."""


async def test_engines_that_catch_up_at_once_place_each_card_once(opened):
    async with opened(record_only=True) as one, opened(record_only=True) as other, opened(record_only=True) as third:
        board = await one.boards.create("Team")
        tasks = [await one.tasks.create(f"Task {number}") for number in range(20)]
        async with anyio.create_task_group() as group:
            for engine in (one, other, third):
                group.start_soon(engine._core.follower.cards.caught_up)
        placed = [event.task_id for event in await events_of(one, board.id) if type(event).__name__ == "CardPlaced"]
        assert sorted(placed) == sorted(task.id for task in tasks)


async def test_a_board_of_a_project_takes_its_tasks_and_one_of_none_takes_all(opened):
    async with opened(record_only=True) as engine:
        await engine.projects.create("shop")
        old = await engine.tasks.create("Old", project="shop")
        over = await engine.tasks.create("Over", project="shop")
        await engine.tasks.cancel(over.id)
        await engine.boards.create("Shop", project="shop")
        await engine.boards.create("All")
        new = await engine.tasks.create("New", project="shop")
        other = await engine.tasks.create("Other")

        async def titles(board):
            return [card.title for one in (await engine.boards.view(board)).columns for card in one.cards]

        assert await titles("Shop") == ["Old", "New"]
        assert await titles("All") == ["Old", "New", "Other"]
        await engine.boards.remove("Shop", new.id)
        await engine.tasks.move(new.id, "ready")
        assert await titles("Shop") == ["Old"], "what was taken off stays off"
        await engine.boards.place("Shop", other.id, rank=0)
        await engine.boards.place("Shop", new.id)
        assert await titles("Shop") == ["Other", "Old", "New"]
        await engine.tasks.delete(old.id)
        view = await engine.boards.view("Shop")
        assert place_of(view, old.id) == "cancelled"
        await engine.boards.archive("Shop")
        assert (await engine.boards.list(status="open")).rows[0].name == "All"


async def test_finished_cards_leave_a_board_when_newer_ones_come(opened):
    async with opened(record_only=True) as engine:
        board = await engine.boards.create("Team")
        tasks = [await engine.tasks.create(f"Task {number}") for number in range(FINISHED_KEPT + 5)]
        await engine._core.follower.cards.caught_up()
        for task in tasks:
            await engine.tasks.cancel(task.id)
        await engine._core.follower.cards.caught_up()
        (gone,) = [one for one in (await engine.boards.get(board.id)).columns if one.state is C.CANCELLED]
        assert len(gone.cards) == FINISHED_KEPT
        assert [one.id for one in (await engine.boards.list()).rows] == [board.id]


# --- Moving -----------------------------------------------------------------------------------------------------------


async def test_two_who_move_one_card_at_one_moment_leave_task_and_card_together(opened):
    async with opened(record_only=True) as one, opened(record_only=True, user="bob") as other:
        await one.boards.create("Team")
        for number in range(5):
            task = await one.tasks.create(f"Task {number}")
            await one._core.follower.cards.caught_up()

            async def move(engine, target, task=task):
                with suppress(CommandRefused):
                    await engine.boards.move("Team", task.id, target)

            async with anyio.create_task_group() as group:
                group.start_soon(move, one, "ready")
                group.start_soon(move, other, "cancelled")
            after = await one.tasks.get(task.id)
            recorded = await one.boards.get("Team")
            (place,) = [column for column in recorded.columns if task.id in column.cards]
            assert place.state is canonical_of_task(after)


async def test_rules_of_a_column_hold_people_up_and_not_the_engine(opened, repository):
    async with opened(drive_all=True) as engine:
        await engine.boards.create("Team", columns=STRICT)
        task = await engine.tasks.create("Write it", repositories=[str(repository)])
        await engine.tasks.assign(task.id, **scripted([write("new.txt", "x\n")]))
        await settled(engine, task.id)
        assert await column_of(engine, "Team", task.id) == "review"
        (question,) = await engine._core.pending(task.id)
        with pytest.raises(RuleViolated) as refused:
            await engine.boards.move("Team", task.id, "cancelled")
        assert refused.value.rule in ("no_process", "approvals_answered")
        await engine.boards.edit("Team", BoardChanges(rules={"Cancelled": (MoveRule.APPROVALS_ANSWERED,)}))
        with pytest.raises(RuleViolated) as refused:
            await engine.boards.move("Team", task.id, "cancelled")
        assert question.id in refused.value.reason
        await engine.boards.edit("Team", BoardChanges(rules={"Cancelled": (MoveRule.CLEAN_GIT,)}))
        workspace = (await engine.tasks.view(task.id)).workspace
        _write(workspace, "left.txt")
        before = await engine.events.head()
        with pytest.raises(RuleViolated) as refused:
            await engine.boards.move("Team", task.id, "cancelled")
        assert (refused.value.rule, workspace.directory in refused.value.reason) == ("clean_git", True)
        assert await engine.events.head() == before
        _remove(workspace, "left.txt")
        await engine.boards.move("Team", task.id, "cancelled")
        assert (await engine.tasks.get(task.id)).status is TaskStatus.CANCELLED


async def test_who_removes_a_card_and_places_it_evades_no_rule(opened):
    async with opened(record_only=True) as engine:
        strict = column("Strict", C.BACKLOG, rules=(MoveRule.APPROVALS_ANSWERED,))
        await engine.boards.create("Team", columns=(*PLAIN, strict))
        task = await engine.tasks.create("Write it")
        bus = engine._core.bus
        ident = bus.new_id()
        question = Question(kind=ApprovalKind.QUESTION, proposed_solution="?", task_id=task.id, reviewers=("alice",))
        await bus.handle(ENGINE, ident, RequestApproval(approval_id=ident, question=question))
        await engine.boards.remove("Team", task.id)
        before = await engine.events.head()
        with pytest.raises(RuleViolated) as refused:
            await engine.boards.place("Team", task.id, column="Strict")
        assert (refused.value.command, refused.value.rule) == ("PlaceCard", "approvals_answered")
        assert ident in refused.value.reason
        with pytest.raises(RuleViolated, match="the task is backlog"):
            await engine.boards.place("Team", task.id, column="Ready")
        assert await engine.events.head() == before
        await engine.approvals.approve(ident, "so")
        await engine.boards.place("Team", task.id, column="Strict")
        assert await column_of(engine, "Team", task.id) == "strict"
        await engine.boards.place("Team", task.id, column="Strict")  # where it is already: nothing to keep


def _write(workspace, name):
    for path in Path(workspace.directory).iterdir():
        if path.is_dir() and (path / ".git").exists():
            (path / name).write_text("x\n")
            return
    Path(workspace.directory, name).write_text("x\n")


def _remove(workspace, name):
    for path in [Path(workspace.directory), *Path(workspace.directory).iterdir()]:
        (path / name).unlink(missing_ok=True) if path.is_dir() else None


async def test_cards_move_within_a_column_and_up_to_its_limit(opened):
    async with opened(record_only=True) as engine:
        await engine.boards.create("Team", columns=STRICT)
        tasks = [await engine.tasks.create(name) for name in "abc"]
        for task in tasks[:2]:
            await engine.boards.move("Team", task.id, "Ready")
        with pytest.raises(RuleViolated, match="its limit is 2"):
            await engine.boards.move("Team", tasks[2].id, "Ready")
        assert (await engine.tasks.get(tasks[2].id)).queued is False
        await engine.tasks.move(tasks[2].id, "ready")  # the limit is for the column, not for the task
        view = await engine.boards.view("Team")
        assert [card.title for card in view.columns[1].cards] == ["a", "b", "c"]
        await engine.boards.move("Team", tasks[2].id, "Ready", rank=0)
        view = await engine.boards.view("Team")
        assert [card.title for card in view.columns[1].cards] == ["c", "a", "b"]


# --- Layout and bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", C)
async def test_a_board_whose_columns_miss_a_state_is_refused(opened, missing):
    async with opened(record_only=True) as engine:
        columns = [one for one in PLAIN if one.state is not missing]
        with pytest.raises(RuleViolated) as refused:
            await engine.boards.create("Team", columns=columns)
        assert (refused.value.rule, refused.value.reason) == (
            "canonical_state_without_column",
            f"no column would be left for tasks that are {missing}",
        )
        assert (await engine.boards.list()).rows == ()
        board = await engine.boards.create("Team")
        for changes in (BoardChanges(remove=(missing,)), BoardChanges(states={missing: _other(missing)})):
            with pytest.raises(RuleViolated):
                await engine.boards.edit("Team", changes)
        assert await engine.boards.get("Team") == board


def _other(state):
    return next(one for one in C if one is not state)


async def test_a_board_is_edited_all_at_once_or_not_at_all(opened):
    async with opened(record_only=True) as engine:
        before = await engine.boards.create("Team")
        bad = BoardChanges(name="New", add=(column("Testing", C.RUNNING),), limits={"Nowhere": 2})
        with pytest.raises(InvalidInput, match="has no column 'Nowhere'"):
            await engine.boards.edit("Team", bad)
        assert await engine.boards.get("Team") == before
        changes = BoardChanges(
            name="New",
            add=(column("Testing", C.RUNNING),),
            limits={"testing": 2, "Ready": 5},
            rules={"Testing": (MoveRule.CLEAN_GIT, MoveRule.CLEAN_GIT)},
            remove=("Running",),
            order=("Testing", "Backlog", "Ready", "Review", "Done", "Cancelled", "Blocked"),
            names={"Backlog": "Ideas"},
        )
        after = await engine.boards.edit("Team", changes)
        assert after.name == "New"
        assert [one.name for one in after.columns][:2] == ["Testing", "Ideas"]
        assert (after.columns[0].wip_limit, after.columns[0].rules) == (2, (MoveRule.CLEAN_GIT,))
        with pytest.raises(InvalidInput):
            await engine.boards.edit("New", BoardChanges(limits={"testing": "x"}))


async def test_who_and_what_is_refused(opened):
    async with opened(record_only=True) as engine:
        await engine.boards.create("Team")
        await engine.boards.create("Team")
        with pytest.raises(AmbiguousId):
            await engine.boards.get("Team")
        board = await engine.boards.create("One")
        task = await engine.tasks.create("Do it")
        agent = await engine.agents.add("helper", "custom")
        with pytest.raises(ActorNotAllowed):
            await engine.boards.move("One", task.id, "ready", by=f"agent:{agent.id}")
        for call in (
            engine.boards.get("Nowhere"),
            engine.boards.view("a b"),
            engine.boards.remove("One", "0192f0c1-2d3e-7abc-8def-00000000dead"),
        ):
            with pytest.raises(AggregateNotFound):
                await call
        with pytest.raises(InvalidInput):
            await engine.boards.create("Shop", project="gone")
        with pytest.raises((InvalidInput, RuleViolated)):
            await engine.boards.create(" ")
        await engine.boards.archive("One")
        with pytest.raises(CommandRefused):
            await engine.boards.move(board.id, task.id, "ready")
        assert (await engine.tasks.get(task.id)).queued is False
