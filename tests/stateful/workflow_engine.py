"""A workflow as the engine decides it, folded in memory: a world with the methods of `workflow_reference.Reference`."""

from datetime import timedelta
from itertools import count

from msgspec.json import encode
from msgspec.structs import replace

from aura_contracts import workflow as wf
from aura_contracts.actors import human, system
from aura_contracts.errors import AuraError
from aura_contracts.events import Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.first_use import decode_json
from aura_contracts.workflow.values import StepStatus, StepType, WorkflowDefinition
from aura_engine.decisions import Context
from aura_engine.decisions.workflow import WORKFLOW_DECIDER
from aura_engine.orchestration.acts import ActKind, acts
from strategies import EPOCH

ENGINE, ALICE = system("engine"), human("alice")
ID = "0192f0c1-2d3e-7abc-8def-0000000000f1"
OUTSIDE = {
    StepType.AGENT_TASK: "task_id",
    StepType.COMMAND: "task_id",
    StepType.HUMAN_APPROVAL: "approval_id",
    StepType.WORKFLOW: "child_id",
}


class EngineWorld:
    """`facts` is what was recorded; `effects` are the attempts of work that were started, in their order."""

    def __init__(self, definition: WorkflowDefinition, outcomes):
        self.outcomes, self.facts, self.effects, self.now = outcomes, [], [], EPOCH
        self.state, self.last, self.ids = None, None, count(1)
        self.tell(wf.StartWorkflow(workflow_id=ID, definition=definition), ALICE)

    # --- Commands -----------------------------------------------------------------------------------------------------

    def decide(self, command, actor=ENGINE):
        return WORKFLOW_DECIDER.decide(ID, self.state, command, Context(actor=actor, now=self.now))

    def tell(self, command, actor=ENGINE):
        decision = self.decide(command, actor)
        self.facts += [Fact(event, self.now, actor, "", "") for event in decision.events]
        self.state, self.last = decision.state, (command, actor)

    def reload(self):
        """Crash: only what was recorded is left."""
        stored = [replace(fact, event=decode_json(encode(fact.event), type(fact.event))) for fact in self.facts]
        again = wf.WORKFLOW.fold(stored)
        assert again == self.state, "replay equals live state"
        self.facts, self.state = stored, again

    def changes_nothing(self, command, actor=ENGINE):
        """Whether a command is refused, or has no consequence."""
        before = encode(self.state)
        try:
            decision = self.decide(command, actor)
        except AuraError:
            return encode(self.state) == before
        return not decision.events and decision.state == self.state

    def last_again_changes_nothing(self):
        return self.changes_nothing(*self.last)

    def late_reports_change_nothing(self, address):
        reports = [
            wf.CompleteStep(step_id=address, result="late"),
            wf.FailStep(step_id=address, failure=Failure(FailureReason.AGENT_ERROR)),
            wf.ReportStepCancelled(step_id=address),
        ]
        return all(map(self.changes_nothing, reports))

    # --- What is to be done -------------------------------------------------------------------------------------------

    @property
    def status(self):
        return self.state.status

    def statuses(self):
        return {address: step.status for address, step in self.state.steps.items()}

    def attempts(self, address):
        return self.state.steps[address].attempts

    def _acts(self, kind):
        return [act.step_id for act in acts(self.state, self.now) if act.kind is kind]

    def may_start(self):
        return self._acts(ActKind.START)

    def may_evaluate(self):
        return self._acts(ActKind.EVALUATE)

    def working(self):
        return self._acts(ActKind.FOLLOW)

    def to_cancel(self):
        return self._acts(ActKind.CANCEL_BELOW)

    def next_moment(self):
        due = wf.workflow_due(self.state)
        return None if due is None else (due - EPOCH).total_seconds()

    # --- What happens -------------------------------------------------------------------------------------------------

    def start(self, address):
        field = OUTSIDE[self._definition(address).type]
        work = f"0192f0c1-2d3e-7abc-8def-{next(self.ids):012}"
        self.tell(wf.StartStep(step_id=address, **{field: work}))
        self.effects.append((address, self.state.steps[address].attempts))

    def evaluate(self, address):
        step, outcomes = self.state.steps[address], self.outcomes
        kind = self._definition(address).type
        if step.status is StepStatus.PENDING:
            self.tell(wf.DecideStep(step_id=address, runs=outcomes.when(address)))
        elif kind is StepType.CONDITIONAL:
            case = outcomes.case(address)
            cases = len(self._definition(address).config.cases)
            self.tell(wf.ChooseCase(step_id=address, outcome=cases if case is None else case))
        elif kind is StepType.FOR_EACH:
            self.tell(wf.ExpandStep(step_id=address, items=tuple(outcomes.items(address))))
        else:
            self.tell(wf.EndRound(step_id=address, done=outcomes.until(address, step.round)))

    def end(self, address, in_time=False):
        step = self.state.steps[address]
        if step.status is StepStatus.CANCELLING and not in_time:
            self.tell(wf.ReportStepCancelled(step_id=address))
        elif (reason := self.outcomes.work(address, step.attempts)) is None:
            self.tell(wf.CompleteStep(step_id=address, result=self.outcomes.output(address, step.attempts)))
        else:
            self.tell(wf.FailStep(step_id=address, failure=Failure(reason)))

    def end_in_time(self, address):
        self.end(address, in_time=True)

    def advance(self, moment):
        self.now = EPOCH + timedelta(seconds=moment)
        self.tell(wf.AdvanceWorkflow())

    def signal(self, name):
        self.tell(wf.SendSignal(name=name), ALICE)

    def pause(self):
        self.tell(wf.PauseWorkflow(), ALICE)

    def resume(self):
        self.tell(wf.ResumeWorkflow(), ALICE)

    def cancel(self):
        self.tell(wf.CancelWorkflow(reason="not needed"), ALICE)

    def cancel_step(self, address):
        self.tell(wf.CancelStep(step_id=address, reason="not needed"), ALICE)

    def skip(self, address):
        self.tell(wf.SkipStep(step_id=address, reason="not needed"), ALICE)

    def retry(self, address):
        self.tell(wf.RetryStep(step_id=address), ALICE)

    def _definition(self, address):
        name = address.rpartition("/")[2]
        return next(step for step in self.state.definition.walk() if step.id == name)
