"""Boards as a model: whatever people and tasks do, no task reaches a state that its own table forbids.

Random people move cards, edit columns and command tasks; the engine that follows them is cut off now and then, and two
of them look at once. After each step every stream is folded by its table, which raises for an event that it forbids,
and the board is compared with the tasks.
"""

from contextlib import suppress

import anyio
from board_judge import MOVES
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aura_contracts.board import (
    BOARD,
    BoardChanges,
    CanonicalState,
    ColumnDefinition,
    canonical_of_task,
)
from aura_contracts.catalogue import AGGREGATES
from aura_contracts.errors import AggregateNotFound, CommandRefused, InvalidInput
from aura_engine.blocking import open_engine_sync

C = CanonicalState
REFUSED = (CommandRefused, InvalidInput, AggregateNotFound)
COLUMNS = st.sampled_from(["backlog", "ready", "running", "review", "done", "cancelled", "blocked", "extra"])
BY_NAME = {aggregate.name: aggregate for aggregate in AGGREGATES}


class Boards(RuleBasedStateMachine):
    """One board in a log in memory, with tasks whose agents are outside AURA."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = open_engine_sync("memory:", user="alice", record_only=True)
        self.tasks: list[str] = []
        self.off: set[str] = set()

    @initialize(state=st.sampled_from(C))
    def create(self, state):
        self.board = self.engine.boards.create("Team").id
        extra = ColumnDefinition(id="extra", name="Extra", state=state, wip_limit=2)
        self.engine.boards.edit(self.board, BoardChanges(add=(extra,)))

    def teardown(self):
        self.engine.close()

    # --- People -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.tasks) < 5)
    @rule()
    def add_task(self):
        self.tasks.append(self.engine.tasks.create(f"Task {len(self.tasks)}").id)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), column=COLUMNS, rank=st.none() | st.integers(0, 3))
    def move(self, data, column, rank):
        task_id = data.draw(st.sampled_from(self.tasks))
        before = canonical_of_task(self.engine.tasks.get(task_id))
        target = next(one.state for one in self.engine.boards.get(self.board).columns if one.id == column)
        try:
            self.engine.boards.move(self.board, task_id, column, rank=rank, reason="so")
        except REFUSED:
            assert canonical_of_task(self.engine.tasks.get(task_id)) is before
        else:
            after = canonical_of_task(self.engine.tasks.get(task_id))
            assert after is target
            assert after is before or after.value in MOVES[before.value]

    @precondition(lambda self: self.tasks)
    @rule(
        data=st.data(), word=st.sampled_from(["assign", "submit", "approve", "complete", "cancel", "delete", "block"])
    )
    def command(self, data, word):
        task_id = data.draw(st.sampled_from(self.tasks))
        tasks = self.engine.tasks
        with suppress(*REFUSED):
            if word == "assign":
                agent = self.engine.agents.add(f"agent {self.engine.events.head()}", "custom")
                tasks.assign(task_id, agent=agent.id)
            elif word == "submit":
                tasks.submit(task_id, "I propose")
            elif word == "approve":
                for asked in self.engine.approvals.list(task=task_id, pending=True).rows:
                    self.engine.approvals.approve(asked.id)
            elif word == "complete":
                tasks.complete(task_id)
            elif word == "cancel":
                tasks.cancel(task_id)
            elif word == "delete":
                tasks.delete(task_id)
            else:
                tasks.move(task_id, "blocked", "so")

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), back=st.booleans())
    def take_off_or_put_back(self, data, back):
        task_id = data.draw(st.sampled_from(self.tasks))
        with suppress(*REFUSED):
            if back:
                self.engine.boards.place(self.board, task_id)
                self.off.discard(task_id)
            else:
                self.engine.boards.remove(self.board, task_id)
                self.off.add(task_id)

    @rule(state=st.sampled_from(C), limit=st.none() | st.integers(1, 3))
    def edit(self, state, limit):
        for changes in (BoardChanges(states={"extra": state}), BoardChanges(limits={"extra": limit})):
            with suppress(*REFUSED):
                self.engine.boards.edit(self.board, changes)

    # --- What follows -------------------------------------------------------------------------------------------------

    @property
    def _core(self):
        return self.engine._target._core

    @rule(fails=st.booleans())
    def catch_up(self, fails):
        core = self._core
        save = core.log.save_cursor

        async def cut_off(name, position):
            raise OSError("the power went out")

        async def look():
            async with anyio.create_task_group() as group:
                group.start_soon(core.follower.cards.catch_up)
                group.start_soon(core.follower.cards.catch_up)

        if not fails:
            self.engine._portal.call(look)
            recorded = {card for column in self.engine.boards.get(self.board).columns for card in column.cards}
            assert recorded == set(self.tasks) - self.off - self._deleted_early(recorded)
            return
        core.log.save_cursor = cut_off
        try:
            with suppress(OSError):
                self.engine._portal.call(core.follower.cards.catch_up)
        finally:
            core.log.save_cursor = save

    def _deleted_early(self, recorded):
        """Return tasks that were deleted before the board heard of them."""
        return {one for one in self.tasks if one not in recorded and self.engine.tasks.get(one).status == "deleted"}

    # --- Invariants ---------------------------------------------------------------------------------------------------

    @invariant()
    def every_stream_follows_its_table(self):
        by_stream = {}
        for record in self.engine.events.read():
            by_stream.setdefault(record.stream_id, []).append(record)
        for records in by_stream.values():
            aggregate = BY_NAME[records[0].event.topic.partition(".")[0]]
            aggregate.fold(records)  # raises for an event that the table forbids

    @precondition(lambda self: self.tasks)
    @invariant()
    def each_card_is_where_its_task_is_and_only_there(self):
        view = self.engine.boards.view(self.board)
        cards = [card.id for column in view.columns for card in column.cards]
        assert len(set(cards)) == len(cards)
        assert not self.off & set(cards)
        for column in view.columns:
            for card in column.cards:
                assert canonical_of_task(self.engine.tasks.get(card.id)) is column.state
        assert {column.state for column in view.columns} == set(C)

    @invariant()
    def people_finish_nothing_by_a_move(self):
        for task_id in self.tasks:
            for record in self.engine.events.list(stream=task_id, types=["task.completed"]):
                assert record.correlation_id not in self._moves()

    def _moves(self):
        records = self.engine.events.list(stream=self.board, types=[f"{BOARD.name}.card_moved"])
        return {record.correlation_id for record in records if record.actor == "human:alice"}


TestBoards = Boards.TestCase
TestBoards.settings = settings(
    max_examples=10, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
