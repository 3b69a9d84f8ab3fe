"""Steps of a workflow as a tree, with the rules that tell from the tree alone what holds: see `workflow_reference`."""

from aura_contracts.workflow import values as v
from aura_contracts.workflow.values import Join, StepStatus

PENDING, RUNNING, RETRYING = StepStatus.PENDING, StepStatus.RUNNING, StepStatus.RETRYING
CANCELLING, CANCELLED = StepStatus.CANCELLING, StepStatus.CANCELLED
FAILED, COMPLETED, SKIPPED = StepStatus.FAILED, StepStatus.COMPLETED, StepStatus.SKIPPED
CONTAINERS = (v.ConditionalStep, v.ParallelStep, v.ForEachStep, v.LoopStep)


class Block:
    """Steps that belong together: the top level, a case, the members of a container, an item, a round, a handler."""

    def __init__(self, definitions, owner=None, prefix=""):
        self.owner, self.prefix, self.closed = owner, prefix, False
        self.steps = [Step(definition, self) for definition in definitions]

    def walk(self):
        for step in self.steps:
            yield step
            yield from step.below()

    @property
    def active(self):
        """Whether its steps may start: what contains it runs, or completed without waiting for it."""
        owner = self.owner
        if self.closed or owner is None:
            return not self.closed
        going = owner.status in (RUNNING, COMPLETED) and owner.handler in (None, self)
        return going and owner.block.active

    @property
    def quiet(self):
        """Whether nothing runs in it and nothing can start."""
        return not any(step.busy or step.moves for step in self.walk())

    @property
    def verdict(self):
        """How it ended: COMPLETED, FAILED or not yet."""
        if all(step.over for step in self.steps):
            return COMPLETED
        return FAILED if self.quiet and any(step.status is FAILED for step in self.steps) else None

    @property
    def output(self):
        last = self.steps[-1] if self.steps else None
        return last.result if last and last.status is COMPLETED else None


class Step:
    """A step instance. `body` are the blocks that its attempt has begun."""

    def __init__(self, definition, block):
        self.definition, self.block = definition, block
        self.config, self.address = definition.config, block.prefix + definition.id
        self.items = None  # asked for once
        self.clear()

    def clear(self):
        self.status, self.tries, self.decided, self.unreached = PENDING, 0, False, False
        self.restart()

    def restart(self):
        self.body, self.handler, self.closed, self.asks_until, self.spent = [], None, False, False, False
        self.outcome = self.result = self.failure = self.due = self.left = self.becomes = None

    def clear_failed(self):
        """Clear what in a container did not complete, as a human's retry does; return whether there was any."""
        members = [member for block in self.body for member in block.steps if isinstance(self.config, CONTAINERS)]
        again = [member for member in members if member.status in (FAILED, CANCELLED) or member.unreached]
        for member in again:
            if not member.clear_failed():
                member.clear()
        if again:
            self.status, self.tries, self.decided, self.unreached = PENDING, 0, False, False
            self.handler, self.closed, self.asks_until, self.spent = None, False, False, False
        return bool(again)

    # --- Blocks that begin

    def choose(self, case):
        self.outcome = len(self.config.cases) if case is None else case
        steps = self.config.otherwise if case is None else self.config.cases[case].steps
        self.body = [Block(steps, self, self.block.prefix)]

    def open(self):
        """Begin the next item or round."""
        number = len(self.body) + isinstance(self.config, v.LoopStep)
        self.body.append(Block(self.config.steps, self, f"{self.address}[{number}]/"))

    def open_items(self):
        at_most = self.config.concurrency or len(self.items)
        verdicts = [block.verdict for block in self.body]
        decided = self.config.join is Join.FIRST and verdicts.count(COMPLETED) >= (self.config.n or 1)
        while len(self.body) < len(self.items) and not (self.closed or decided):
            if sum(block.verdict is None for block in self.body) >= at_most:
                return
            self.open()

    # --- What is around and below

    def below(self):
        for block in [*self.body, *([self.handler] if self.handler else [])]:
            yield from block.walk()

    def around(self):
        owner = self.block.owner
        while owner is not None:
            yield owner
            owner = owner.block.owner

    @property
    def busy(self):
        return self.status in (RUNNING, RETRYING, CANCELLING)

    @property
    def busy_below(self):
        return any(inner.busy for inner in self.below())

    @property
    def works(self):
        """Whether something outside runs for it."""
        return self.status in (RUNNING, CANCELLING) and not self.handler and not isinstance(self.config, CONTAINERS)

    @property
    def timed(self):
        """Whether its timeout comes nearer, unless the workflow is paused: not while a human is asked."""
        asked = any(s.status is RUNNING and isinstance(s.config, v.ApprovalStep) for s in (self, *self.below()))
        return self.status is RUNNING and self.left is not None and not (self.handler or asked)

    @property
    def over(self):
        tolerated = self.status is FAILED and self.definition.on_failure is v.OnStepFailure.CONTINUE
        return self.status in v.OVER or tolerated

    @property
    def ended(self):
        """How it ended, as its container counts it; None if it has not."""
        return SKIPPED if self.over and self.status is FAILED else self.status if self.settled else None

    @property
    def settled(self):
        return self.over or self.status is FAILED

    # --- Joins --------------------------------------------------------------------------------------------------------

    @property
    def dependencies(self):
        return [other for other in self.block.steps if other.definition.id in self.definition.dependencies]

    @property
    def join(self):
        """``go``, ``skip`` or ``wait``."""
        others, rule = self.dependencies, self.definition.join
        if not others:
            return "go"
        if rule is Join.ALL_DONE:
            return "go" if all(other.over for other in others) else "wait"
        needed = {Join.ALL_SUCCEEDED: len(others), Join.ANY_SUCCEEDED: 1}.get(rule, self.definition.n or 1)
        done = sum(other.status is COMPLETED for other in others)
        if done + sum(not other.over for other in others) < needed:
            return "skip"
        if done < needed:
            return "wait"
        return "cancel" if rule is Join.FIRST and not all(other.settled for other in others) else "go"

    @property
    def moves(self):
        """Whether its join is decided, and what follows has not been done."""
        if self.status is COMPLETED and self.items and not (self.closed or self.handler):  # it completed early
            return len(self.body) < len(self.items) and self.block.active
        return self.status is PENDING and self.block.active and self.join != "wait"

    @property
    def ready(self):
        """Whether it is to start, or its condition to be evaluated."""
        return self.status is PENDING and self.block.active and self.join == "go"

    @property
    def asks(self):
        """Whether it needs the value of an expression: its condition, its case, its items, or the end of its rounds."""
        if self.status is PENDING:
            return bool(self.definition.when) and not self.decided and self.ready
        if self.status is not RUNNING or self.handler:
            return False
        choice = isinstance(self.config, v.ConditionalStep) and not self.body
        return choice or (isinstance(self.config, v.ForEachStep) and self.items is None) or self.asks_until

    # --- What a container tells of its members ------------------------------------------------------------------------

    @property
    def reason(self):
        """Why the first of its members failed, in the order of the definition."""
        failed = [s for block in self.body for s in block.steps if s.status is FAILED and not s.over]
        return failed[0].failure if failed else None

    @property
    def output(self):
        match self.config:
            case v.ParallelStep():
                return {s.definition.id: s.result if s.status is COMPLETED else None for s in self.body[0].steps}
            case v.ForEachStep():
                return [block.output for block in self.body]
            case v.ConditionalStep(cases=cases):
                return {"case": None if self.outcome == len(cases) else self.outcome, "output": self.body[0].output}
