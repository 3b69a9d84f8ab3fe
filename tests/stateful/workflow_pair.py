"""The engine beside the reference: the same moves for both, and a comparison after each."""

from collections import Counter

from workflow_story import Move, late_moves, moves_of_humans, moves_of_the_world, moves_of_time

from aura_contracts.workflow.values import OVER, WorkflowStatus
from workflow_reference import Reference
from workflow_runs import LIKE_RUNNING
from workflow_tree import CANCELLED, FAILED, PENDING, SKIPPED

MOST_MOVES = 400


class Pair:
    """Both worlds; `told` are the moves made, which tell what happened if they differ."""

    def __init__(self, story, engine):
        self.reference, self.engine = Reference(story.definition, story.outcomes), engine
        self.told = []
        self.require_alike()

    def play(self, choices):
        """Make the moves that numbers stand for, then let the world go on until nothing is left to do."""
        for choice in choices:
            self.choose(choice)
        while moves := moves_of_the_world(self.reference) or moves_of_time(self.reference) or self._resume():
            assert len(self.told) < MOST_MOVES, "it does not come to an end"
            self.make(moves[0])
        self.engine.reload()
        assert self.reference.status in (WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.CANCELLED)

    def choose(self, choice):
        kind, number = choice % 8, choice // 8
        if kind == 7:
            moves = moves_of_humans(self.reference)
        elif kind == 6:
            moves = late_moves(self.reference) + moves_of_time(self.reference)
        elif kind == 5:
            return self._disturb(number)
        else:
            moves = moves_of_the_world(self.reference)
        if moves:
            self.make(moves[number % len(moves)])
        return None

    def make(self, move):
        self.told.append(move)
        move.make(self.reference)
        move.make(self.engine)
        self.require_alike()

    def _resume(self):
        return [Move("resume")] if self.reference.status is WorkflowStatus.PAUSED else []

    def _disturb(self, number):
        """A crash, a decision that was never recorded, the same report twice, or a report that comes too late."""
        if number % 3 == 0:
            self.engine.reload()
        elif number % 3 == 1 and self.told and self.told[-1].act in ("start", "end", "evaluate", "advance"):
            last, again = self.told[-1], moves_of_the_world(self.reference)
            assert last in again or self.engine.last_again_changes_nothing(), f"twice: {last}"
        elif over := [s.address for s in self.reference.all if s.status in OVER | {FAILED}]:
            address = over[number % len(over)]
            assert self.engine.late_reports_change_nothing(address), f"late: {address}"

    # --- Comparison ---------------------------------------------------------------------------------------------------

    def require_alike(self):
        reference, engine = self.reference, self.engine
        where = f"after {[tuple(move) for move in self.told]}"
        assert engine.status == reference.status, f"{engine.status}, not {reference.status}, {where}"
        self._require_steps_alike(where)
        for question in ("may_start", "may_evaluate", "working", "to_cancel"):
            asked, expected = getattr(engine, question)(), getattr(reference, question)()
            assert sorted(asked) == sorted(self._asked(question, expected)), f"{question} {where}"
        assert engine.next_moment() == reference.next_moment(), f"moments {where}"
        assert Counter(engine.effects) == Counter(reference.effects), f"effects {where}"

    def _asked(self, _question, expected):
        return expected

    def _require_steps_alike(self, where):
        seen = self.engine.statuses()
        for step in self.reference.all:
            status = seen.pop(step.address, PENDING)
            status = LIKE_RUNNING.get(status, status)
            assert status in self._expected(step), f"{step.address} is {status}, not {step.status}, {where}"
        started = [address for address in seen if self.engine.attempts(address)]
        assert not started, f"{started} started {where}"

    def _expected(self, step):
        """The statuses that mean the same; what never started is pending, or ended with the whole."""
        ended = self.reference.ending or self.reference.status is WorkflowStatus.COMPLETED
        if ended and step.status in (PENDING, CANCELLED) and not self.reference.attempts[step.address]:
            return {PENDING, CANCELLED, SKIPPED}
        return {step.status}
