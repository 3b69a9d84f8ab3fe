"""Whole engines with a board: people move cards while agents work, tables are edited, and engines die.

All that `engine_machine` demands holds here, too: no move brings a task or a run to a state that is forbidden.
"""

from board_judge import require_moved, unfollowed
from engine_house import RECORDER
from engine_machine import Engines, engines, some, waits
from hypothesis import strategies as st
from hypothesis.stateful import rule

from aura_contracts.board import BoardChanges, CanonicalState, ColumnDefinition, MoveRule

COLUMNS = ("Backlog", "Ready", "Running", "Review", "Done", "Cancelled", "Blocked", "Testing")
columns = st.sampled_from(COLUMNS)


class BoardsAtWork(Engines):
    """Fewer of the other rules, so that cards are moved often."""

    change_project = change_locks = change_agent = delegate = reassign = depend = write = ask = make = None
    retry_letter = fail_to_send = change_dead_channel = die_at_a_letter = stop_serving = None

    def move_in(self):
        super().move_in()
        testing = ColumnDefinition(id="testing", name="Testing", state=CanonicalState.RUNNING)
        self.give(RECORDER, lambda engine: engine.boards.create("Team"), wait=False)
        self.give(RECORDER, lambda engine: engine.boards.edit("Team", BoardChanges(add=(testing,))), wait=False)

    @rule(via=engines, which=some, column=columns, wait=waits)
    def move(self, via, which, column, wait):
        """Move a card; what is not committed is looked at while nothing happens."""
        self.settle()
        task = self.pick(self.judge.tasks, which)
        if task is None:
            return
        dirty, before = self.is_dirty(task), len(self.judge.history)
        moved = self.give(via, lambda engine: engine.boards.move("Team", task, column, reason="so"), wait=wait)
        self.catch_up()
        made = [one for one in self.judge.history[before:] if one.event.topic == "board.card_moved"]
        into = [one.event.to_column for one in made if one.actor == "human:alice" and one.event.task_id == task]
        lanes = next(iter(self.judge.boards.values()))
        if moved is not None and any("clean_git" in lanes[one].rules for one in into):
            assert not dirty, "what is not committed keeps a card where it is"

    @rule(via=engines, which=some, column=columns, wait=waits)
    def move_again(self, via, which, column, wait):
        self.move(via, which, column, wait)

    @rule(
        via=engines,
        column=columns,
        rules=st.lists(st.sampled_from(MoveRule), max_size=3, unique=True),
        limit=st.sampled_from([None, 1, 2]),
    )
    def edit_board(self, via, column, rules, limit):
        changes = BoardChanges(rules={column: tuple(rules)}, limits={column: limit})
        self.give(via, lambda engine: engine.boards.edit("Team", changes))

    @rule(which=some)
    def leave_uncommitted(self, which):
        """Somebody edits a file in the worktree of a task."""
        branch = self.branch_of(self.pick(self.judge.tasks, which))
        if branch is not None and branch.prepared:
            branch.uncommitted.append("edited by hand")

    def due(self):
        yield from super().due()
        yield from unfollowed(self.judge)

    def branch_of(self, task):
        found = [key for key, one in self.judge.workspaces.items() if one[0] == task]
        return self.world.workspaces.branches.get(found[0]) if found else None

    def is_dirty(self, task):
        """Whether the worktree of a task holds what is not committed, while no agent works in it."""
        branch = self.branch_of(task)
        return branch is not None and branch.prepared and bool(branch.uncommitted)

    def all_is_told(self):
        super().all_is_told()
        require_moved(self.judge, None)
        view = self.portal.call(self._view)
        for column in view.columns:
            for card in column.cards:
                assert card.status in ("completed", "failed", "cancelled", "deleted")

    async def _view(self):
        return await self.running[RECORDER].engine.boards.view("Team")
