"""Commit of a batch: lock, look up, plan, insert, remember. Blocking; runs in one worker thread at a time.

Invariants:

- The memory (`_tips`, `_known_head`) is used only inside a transaction that holds the write lock and finds the head
  where it was remembered; after any error it is cleared.
- A commit with an unknown outcome is looked up, under the write lock, before anything else is committed. So nothing is
  stored twice, and callers learn that an append was stored only if it was.
- Outcomes found in this way are kept until the call that returns them.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from aura_contracts.errors import AuraError, LogDamaged
from aura_contracts.ids import StreamId
from aura_store.log._group_commit import CommitOutcome, EncodedCommand
from aura_store.log._recorder import Recorder, WriteTransaction
from aura_store.log._seal import CommitPlan, Tip, plan_commit

TIPS_KEPT = 20_000
"""Streams whose last digest is kept in memory, so that appending to them reads nothing; about 300 bytes each."""


class _InDoubt(NamedTuple):
    """A commit whose outcome is unknown."""

    commands: Sequence[EncodedCommand]
    plan: CommitPlan


class BatchCommitter:
    """Commits batches to a `Recorder`. See `aura_store.log._group_commit.Committer`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tips: OrderedDict[StreamId, Tip] = OrderedDict()
        self._known_head = -1
        self._in_doubt: _InDoubt | None = None
        self._arrived: list[tuple[EncodedCommand, CommitOutcome]] = []
        """Commands found to be stored after doubt, whose callers do not know it yet."""

    def commit(self, commands: Sequence[EncodedCommand]) -> Sequence[CommitOutcome]:
        if self._in_doubt is not None:
            self._arrived += self._resolve(self._in_doubt)
            self._in_doubt = None
        if not self._arrived:
            return self._outcomes(commands)
        decided = {id(command): outcome for command, outcome in self._arrived}
        rest = [command for command in commands if id(command) not in decided]
        if rest:
            decided |= {id(command): outcome for command, outcome in zip(rest, self._outcomes(rest), strict=True)}
        self._arrived.clear()
        return [decided[id(command)] for command in commands]

    def _outcomes(self, commands: Sequence[EncodedCommand]) -> Sequence[CommitOutcome]:
        try:
            return self._commit(commands).outcomes
        except AuraError as error:
            return [error] * len(commands)  # only these: others may have been stored before

    def _commit(self, commands: Sequence[EncodedCommand]) -> CommitPlan:
        plan: CommitPlan | None = None
        try:
            unknown = self._unknown(commands)
            with self._recorder.writing(unknown) as transaction:
                plan = self._plan_from_memory(transaction, commands, unknown)
                plan = plan or self._plan_from_log(transaction, commands, unknown)
                if plan.rows:
                    transaction.insert(plan.rows)
        except BaseException as error:
            self._known_head = -1
            if plan is not None and plan.rows and not isinstance(error, AuraError):
                self._in_doubt = _InDoubt(commands, plan)
            raise
        self._remember(plan)
        return plan

    def _plan_from_memory(
        self, transaction: WriteTransaction, commands: Sequence[EncodedCommand], unknown: list[StreamId]
    ) -> CommitPlan | None:
        """Plan as if no other process has appended, which saves a read: moving the head proves it.

        Return None where that is not so or not proven: a plan without rows, of commands that are all refused, moves
        nothing.
        """
        if self._known_head < 0:
            return None
        if unknown:
            self._tips.update(transaction.tips(unknown))
        plan = plan_commit(self._known_head, self._tips.get, commands)
        return plan if plan.rows and transaction.move_head(self._known_head, plan.head) else None

    def _plan_from_log(
        self, transaction: WriteTransaction, commands: Sequence[EncodedCommand], unknown: list[StreamId]
    ) -> CommitPlan:
        head = transaction.head()
        self._look_up(transaction, head, commands, unknown)
        self._known_head = head
        plan = plan_commit(head, self._tips.get, commands)
        if plan.rows and not transaction.move_head(head, plan.head):
            raise LogDamaged(reason=f"the head of the log, which is {head}, cannot be moved")
        return plan

    def _resolve(self, doubt: _InDoubt) -> list[tuple[EncodedCommand, CommitOutcome]]:
        """Find out whether the interrupted commit was stored; return its commands with their outcomes if so.

        The lookup takes the write lock, which is free only after the database has ended the broken transaction. The
        digest covers content, position and predecessor, so a match cannot be another process's commit.
        """
        position, *_, digest = doubt.plan.rows[-1]
        with self._recorder.writing() as transaction:
            arrived = transaction.digest_at(position) == digest
        return list(zip(doubt.commands, doubt.plan.outcomes, strict=True)) if arrived else []

    def _look_up(
        self, transaction: WriteTransaction, head: int, commands: Sequence[EncodedCommand], unknown: list[StreamId]
    ) -> None:
        """Load the tips of all streams. The memory is valid as long as no other process has appended."""
        if head != self._known_head:
            self._tips.clear()
            unknown = self._unknown(commands)
        if unknown and head:
            self._tips.update(transaction.tips(unknown))

    def _unknown(self, commands: Sequence[EncodedCommand]) -> list[StreamId]:
        tips = self._tips
        return list({append.stream_id for appends in commands for append in appends if append.stream_id not in tips})

    def _remember(self, plan: CommitPlan) -> None:
        self._known_head = plan.head or self._known_head
        self._tips.update(plan.tips)
        while len(self._tips) > TIPS_KEPT:
            self._tips.popitem(last=False)


def check_ends(recorder: Recorder) -> int:
    """Return the head. Raises `LogDamaged` unless the last event is there: events are never removed."""
    last, head = recorder.ends()
    if last > head:
        reason = f"the log should end at position {head}, but continues to {last}"
        raise LogDamaged(store=recorder.name, position=head + 1, reason=reason)
    if last < head:
        reason = f"the log should end at position {head}, but ends at {last}"
        raise LogDamaged(store=recorder.name, position=last + 1, reason=reason)
    return head
