"""How workflows run, once more: a naive interpreter, written from the documentation without a look at the engine.

`Reference` keeps a tree of steps (`workflow_tree`) and walks all of it again after each thing that happens, until
nothing changes. What the world does comes from outside: `start` and `evaluate` are what a driver does, `end` says that
what a step started has ended, the rest are the commands of humans and the clock. How work ends is asked of `Outcomes`.

It has no commands and no events; it is slow, and short enough to be compared with the documentation by eye.
"""

from collections import Counter

from aura_contracts.failures import FailureReason
from aura_contracts.workflow import values as v
from aura_contracts.workflow.values import Join, WorkflowStatus
from aura_contracts.workflow.values import StepStatus as S
from workflow_graphs import Outcomes
from workflow_tree import CONTAINERS, Block, Step

FINAL = FailureReason.CONFLICT  # a reason that no retry is for


class Reference:
    """A workflow from its start on. `effects` are the attempts of work that were started, in their order."""

    def __init__(self, definition: v.WorkflowDefinition, outcomes: Outcomes):
        self.definition, self.outcomes, self.now, self.left = definition, outcomes, 0.0, definition.deadline
        self.status, self.paused, self.ending, self.final = WorkflowStatus.ACTIVE, False, None, False
        self.attempts, self.effects, self.completions, self.undo, self.signals = Counter(), [], [], [], []
        self.top = Block(definition.steps)
        self.settle()

    # --- What is to be done, in the order of the definition -----------------------------------------------------------

    @property
    def all(self):
        return [*self.top.walk(), *self.undo]

    def step(self, address):
        return next(step for step in self.all if step.address == address)

    def may_start(self) -> list[str]:
        """The steps whose work a driver has to start; compensations one after the other."""
        undo = next((step for step in self.undo if not step.settled), None)
        steps = [step for step in self.top.walk() if step.ready and (step.decided or not step.definition.when)]
        steps += [undo] if undo and undo.status is S.PENDING else []
        inside = (*CONTAINERS, v.EndStep, v.WaitStep)
        taken, found = set(), []
        for step in steps:
            locks = set(step.definition.locks)
            if not (self.paused or isinstance(step.config, inside) or taken & locks or self._locked(step)):
                taken |= locks
                found.append(step.address)
        return found

    def _locked(self, step):
        """Whether a step that runs has a lock that this one needs, other than those around it."""
        around = list(step.around())
        held = [one for one in self.all if one.busy and one.status is not S.RETRYING and one not in around]
        return any(set(one.definition.locks) & set(step.definition.locks) for one in held)

    def may_evaluate(self) -> list[str]:
        return [] if self.paused else [step.address for step in self.all if step.asks]

    def working(self) -> list[str]:
        works = [step for step in self.all if step.works and step.status is S.RUNNING]
        return [step.address for step in works if not isinstance(step.config, v.WaitStep)]

    def to_cancel(self) -> list[str]:
        return [step.address for step in self.all if step.works and step.status is S.CANCELLING]

    def statuses(self):
        return {step.address: step.status for step in self.all}

    def next_moment(self) -> float | None:
        """When time alone changes something, in seconds from the start."""
        active = self.status is WorkflowStatus.ACTIVE
        moments = [self.now + self.left] if self.left is not None and active else []
        for step in self.all:
            if step.due is not None and not (step.status is S.RETRYING and self.paused):
                moments.append(step.due)
            if step.timed and not self.paused:
                moments.append(self.now + step.left)
        return min(moments, default=None)

    # --- What happens -------------------------------------------------------------------------------------------------

    def start(self, address):
        assert address in self.may_start(), address
        step = self.step(address)
        self._begin(step)
        self.effects.append((address, self.attempts[address]))
        self.settle()

    def evaluate(self, address):
        assert address in self.may_evaluate(), address
        step = self.step(address)
        if step.status is S.PENDING:
            step.decided = self.outcomes.when(address)
            step.status = S.PENDING if step.decided else S.SKIPPED
        elif isinstance(step.config, v.ConditionalStep):
            step.choose(self.outcomes.case(address))
        elif isinstance(step.config, v.ForEachStep):
            items = self.outcomes.items(address)
            if len(items) <= step.config.limit:
                step.items = items
            else:
                self._fail(step, FINAL)
        else:
            self._end_round(step)
        self.settle()

    def end(self, address, in_time=False):
        """What a step started has ended: by itself, or because it was cancelled."""
        step, attempt = self.step(address), self.attempts[address]
        assert step.works, address
        if step.status is S.CANCELLING and not in_time:
            self._cancelled(step)
        elif (reason := self.outcomes.work(address, attempt)) is None:
            self._complete(step, self.outcomes.output(address, attempt))
        elif step.status is S.CANCELLING:
            self._cancelled(step)
        else:
            self._fail(step, reason)
        self.settle()

    def end_in_time(self, address):  # too late to cancel it: what it did is done
        self.end(address, in_time=True)

    def signal(self, name, data=None):
        self.signals.append((name, {} if data is None else data))
        self.settle()

    def pause(self):
        assert self.status is WorkflowStatus.ACTIVE
        self.status, self.paused = WorkflowStatus.PAUSED, True
        self.settle()

    def resume(self):
        assert self.status is WorkflowStatus.PAUSED
        self.status, self.paused = WorkflowStatus.ACTIVE, False
        self.settle()

    def cancel(self):
        assert not self.ending
        self._end_as(WorkflowStatus.CANCELLED)
        self.settle()

    def cancel_step(self, address):
        self._cancel(self.step(address), S.CANCELLED)
        self.settle()

    def skip(self, address):
        step = self.step(address)
        if step.status is S.FAILED:
            step.status = S.SKIPPED
            self._reactivate_around(step)
        else:
            self._cancel(step, S.SKIPPED)
        self.settle()

    def retry(self, address):
        step = self.step(address)
        if step.status is S.RETRYING:
            step.due = self.now
        elif not step.clear_failed():
            step.clear()
        self._reactivate(step)
        self.settle()

    def advance(self, moment):
        passed, self.now = moment - self.now, moment
        if self.left is not None and self.status is WorkflowStatus.ACTIVE:
            self.left -= passed
        running = [step for step in self.all if step.timed and not self.paused]
        for step in running:
            step.left -= passed
        for step in self.all:
            if step.status is S.RUNNING and step.due is not None and step.due <= self.now:
                self._complete(step, {})
        for step in running:
            if step.left <= 0:
                self._cancel(step, S.FAILED)
        if self.left is not None and self.left <= 0:
            self._end_as(WorkflowStatus.FAILED)
        self.settle()

    # --- Consequences -------------------------------------------------------------------------------------------------

    def settle(self):
        before = None
        while before != (before := self._picture()):
            for step in sorted(self.all, key=lambda step: -len(list(step.around()))):  # containers after what is inside
                self._settle_step(step)
            self._settle_whole()
            if before == self._picture():
                self._give_signal()

    def _picture(self):
        steps = [(s.address, s.status, s.handler is None, len(s.body), s.asks_until, s.spent, s.due) for s in self.all]
        return self.status, self.ending, steps, len(self.signals)

    def _settle_step(self, step):
        if step.status is S.PENDING and step.block.active:
            self._settle_join(step)
        elif step.status is S.RETRYING and not self.paused and step.due <= self.now:
            step.restart()
            step.status, step.decided = S.PENDING, True
        elif step.status is S.CANCELLING and not step.works and not step.busy_below:
            self._cancelled(step)
        elif step.status is S.RUNNING and step.handler:
            self._settle_handler(step)
        elif step.status is S.RUNNING and isinstance(step.config, CONTAINERS):
            self._settle_container(step)
        elif step.status is S.COMPLETED and not step.handler and step.items and step.block.active:
            step.open_items()

    def _settle_join(self, step):
        """Skip it, cancel those that lost, or start what needs nothing outside."""
        if step.join == "skip":
            step.status, step.unreached = S.SKIPPED, True
        elif step.join == "cancel":
            for other in step.dependencies:
                if not other.settled:
                    self._cancel(other, S.CANCELLED)
        elif step.join == "go" and not self.paused and (step.decided or not step.definition.when):
            self._start_inside(step)

    def _start_inside(self, step):
        match step.config:
            case _ if self._locked(step):
                return
            case v.EndStep(status=status):
                self._begin(step)
                self._complete(step, None)
                self._end_as(status)
            case v.ParallelStep(steps=steps):
                self._begin(step)
                step.body = step.body or [Block(steps, step, step.block.prefix)]
            case v.LoopStep():
                self._begin(step)
                if not step.body:
                    step.open()
            case v.WaitStep(seconds=seconds):
                self._begin(step)
                step.due = None if seconds is None else self.now + seconds
            case v.ConditionalStep() | v.ForEachStep():
                self._begin(step)

    def _settle_handler(self, step):
        if step.handler.verdict is S.COMPLETED:
            self._complete(step, step.handler.output)
        elif step.handler.verdict is S.FAILED:
            step.status = S.FAILED

    def _settle_container(self, step):
        match step.config:
            case v.ParallelStep(join=join, n=n):
                self._settle_members(step, [member.ended for member in step.body[0].steps], join, n)
            case v.ForEachStep(join=join, n=n) if step.items is not None:
                step.open_items()
                missing = [None] * (len(step.items) - len(step.body))
                self._settle_members(step, [*(block.verdict for block in step.body), *missing], join, n)
            case v.ConditionalStep() if step.body:
                self._settle_members(step, [step.body[0].verdict], Join.ALL_SUCCEEDED, None)
            case v.LoopStep():
                verdict = step.body[-1].verdict
                step.asks_until = verdict is S.COMPLETED and not step.spent
                if verdict is S.FAILED or (step.spent and all(block.quiet for block in step.body)):
                    self._fail(step, step.reason or FINAL)

    def _settle_members(self, step, members, join, n):
        done, quiet = members.count(S.COMPLETED), all(block.quiet for block in step.body)
        enough = all(members) or quiet if join is Join.ALL_DONE else done >= (n or 1)
        enough = all(members) and S.FAILED not in members if join is Join.ALL_SUCCEEDED else enough
        if enough and join is Join.FIRST:
            enough = self._losers_are_over(step)
        if enough:
            self._complete(step, step.output)
        elif quiet and not step.closed:
            self._fail(step, step.reason or FINAL)

    def _losers_are_over(self, step):
        """Cancel what lost; what goes on within a member that completed early has not lost."""
        if isinstance(step.config, v.ForEachStep):
            losers = [member for block in step.body if not block.verdict for member in block.steps]
        else:
            losers = [member for member in step.body[0].steps if not member.settled]
        step.closed = True
        for loser in losers:
            self._cancel(loser, S.CANCELLED)
        return not any(loser.busy for loser in losers)

    def _settle_whole(self):
        if self.final or self.status is WorkflowStatus.COMPLETED:
            return
        if self.undo:
            if all(step.settled for step in self.undo):
                failed = any(step.status is S.FAILED for step in self.undo)
                self._finish(WorkflowStatus.FAILED if failed else self.ending)
        elif self.ending:
            if not any(step.busy for step in self.all):
                self._compensate()
        elif self.top.verdict is S.COMPLETED and self.top.quiet:
            self._finish(WorkflowStatus.COMPLETED)
        elif self.top.verdict is S.FAILED and self.definition.on_failure is v.OnWorkflowFailure.ASK:
            self.status, self.paused = WorkflowStatus.FAILED, False
        elif self.top.verdict is S.FAILED and not self.paused:
            self._end_as(WorkflowStatus.FAILED)

    def _compensate(self):
        existing = list(self.top.walk())
        for step in reversed(self.completions):
            named = self.ending in self.definition.compensate_on and step.definition.compensation
            if named and step.status is S.COMPLETED and step in existing:
                self.undo.append(Step(step.definition.compensation, step.block))
        if self.undo:
            self.status = WorkflowStatus.COMPENSATING
        else:
            self._finish(self.ending)

    def _finish(self, status):
        self.status, self.final, self.top.closed = status, True, True

    def _end_as(self, status):
        if not self.ending:
            self.ending, self.status, self.paused, self.top.closed = status, WorkflowStatus.CANCELLING, False, True
            for step in self.all:
                self._cancel(step, S.CANCELLED, outer=True)

    # --- One step -----------------------------------------------------------------------------------------------------

    def _begin(self, step):
        self.attempts[step.address] += 1
        step.tries += 1
        step.status, step.began, step.left = S.RUNNING, self.now, step.definition.timeout

    def _end_round(self, step):
        step.asks_until = False
        if self.outcomes.until(step.address, len(step.body)):
            self._complete(step, step.body[-1].output)
        elif len(step.body) < step.config.limit:
            step.open()
        else:
            step.spent = True

    def _complete(self, step, result):
        step.status, step.result, step.due = S.COMPLETED, result, None
        self.completions = [other for other in self.completions if other is not step] + [step]

    def _fail(self, step, reason):
        step.failure, step.due, retry = reason, None, step.definition.retry
        if reason in retry.on and step.tries < retry.attempts:
            step.status = S.RETRYING
            step.due = self.now + min(retry.pause * retry.factor ** (step.tries - 1), retry.longest)
        elif step.definition.handler:
            step.status, step.handler = S.RUNNING, Block(step.definition.handler, step, step.block.prefix)
        else:
            step.status = S.FAILED

    def _cancel(self, step, becomes, outer=False):
        """Cancel a step and all within it. The first who cancels says what it becomes, but what is around it wins."""
        if step.status in (S.PENDING, S.RETRYING) or (step.works and isinstance(step.config, v.WaitStep)):
            step.becomes = becomes
            self._cancelled(step)
        elif step.status is S.RUNNING or (step.status is S.CANCELLING and outer):
            step.status, step.becomes = S.CANCELLING, becomes
        for inner in list(step.below()):
            self._cancel(inner, S.CANCELLED, outer=True)

    def _cancelled(self, step):
        step.due = None
        if step.becomes is S.FAILED:
            self._fail(step, FailureReason.TIMEOUT)
        else:
            step.status = step.becomes

    def _reactivate(self, step):
        """Undo what followed from how a step ended: skips because of it, and what failed around it."""
        for other in step.block.steps:
            if other.unreached and step.definition.id in other.definition.dependencies:
                other.clear()
                self._reactivate(other)
        self._reactivate_around(step, self._reactivate)

    def _reactivate_around(self, step, also=lambda _: None):
        for owner in step.around():
            if owner.status is S.FAILED:
                owner.status = S.RUNNING
                also(owner)
        if self.status is WorkflowStatus.FAILED:
            self.status = WorkflowStatus.ACTIVE

    def _give_signal(self):
        """The oldest signal that a step waits for, to the one that has waited longest."""
        for name, data in self.signals:
            running = (step for step in self.all if step.works and step.status is S.RUNNING)
            if line := [step for step in running if getattr(step.config, "signal", None) == name]:
                self.signals.remove((name, data))
                self._complete(min(line, key=lambda step: step.began), data)
                break
