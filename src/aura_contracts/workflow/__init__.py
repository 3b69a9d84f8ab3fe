"""Workflow: steps with dependencies, from start to end (specification, "Workflow" and "Workflow Orchestration").

      workflow   active ◄──paused, resumed──► paused
                   │ └──failed──► failed ──step retried or skipped──► active
                   ├──► completed
                   └──cancelled, ended, too late──► cancelling ──► (compensating) ──► cancelled, failed, completed

      step       pending ──started──► running ◄──asks, resumes──► awaiting_approval ──► completed
                   │ ▲                   ├──► retrying ──due──► pending
                   │ │                   ├──► handling ──► completed
                   │ │                   ├──► cancelling ──► cancelled, failed, skipped, completed
                   │ └─────retried───── failed
                   └──► skipped ◄────────┘

There are two tables: status x event for the workflow, and step status x event for each step. An event about a step
needs a row in both.

Definitions are nested: a container (conditional, parallel, for_each, loop) holds its steps. As a workflow runs, its
steps are in one table by **address**: the id of the definition after the items and rounds around it. A step is there
from the moment on at which its block begins; `status_of` answers for the others.

A step is **over** when it is completed, skipped or cancelled, or has failed and that is tolerated. One that failed for
good otherwise blocks the steps that depend on it until it is retried or skipped.

    values        what definitions are made of
    records       what running workflows are made of
    outline       where each step is in a definition
    event_types   the events
    commands      the commands
    state         the state, and questions about it
    progress      how far it is, and what it waits for
    _timeouts     timeouts that stand still
    _tables       the two tables
    _steps        the steps of a state, as evolvers change them
    _resets       how steps become pending again
    evolution     how events change the state, and the aggregate
"""

from aura_contracts.workflow._resets import active_again as active_again
from aura_contracts.workflow._resets import enclosing_active_again as enclosing_active_again
from aura_contracts.workflow._resets import runs_again as runs_again
from aura_contracts.workflow._resets import step_retried as step_retried
from aura_contracts.workflow._steps import Steps as Steps
from aura_contracts.workflow._steps import children_of as children_of
from aura_contracts.workflow._steps import descendants as descendants
from aura_contracts.workflow._steps import ended as ended
from aura_contracts.workflow._steps import open_block as open_block
from aura_contracts.workflow._steps import status_after as status_after
from aura_contracts.workflow._steps import top_index as top_index
from aura_contracts.workflow._tables import STEP_TABLE as STEP_TABLE
from aura_contracts.workflow._tables import TABLE as TABLE
from aura_contracts.workflow._timeouts import held as held
from aura_contracts.workflow._timeouts import later as later
from aura_contracts.workflow._timeouts import left as left
from aura_contracts.workflow._timeouts import running as running
from aura_contracts.workflow._timeouts import set_around as set_around
from aura_contracts.workflow._timeouts import stopped as stopped
from aura_contracts.workflow.commands import AdvanceWorkflow as AdvanceWorkflow
from aura_contracts.workflow.commands import AwaitStepApproval as AwaitStepApproval
from aura_contracts.workflow.commands import CancelStep as CancelStep
from aura_contracts.workflow.commands import CancelWorkflow as CancelWorkflow
from aura_contracts.workflow.commands import ChooseCase as ChooseCase
from aura_contracts.workflow.commands import CompleteStep as CompleteStep
from aura_contracts.workflow.commands import CompleteWorkflow as CompleteWorkflow
from aura_contracts.workflow.commands import DecideStep as DecideStep
from aura_contracts.workflow.commands import EndRound as EndRound
from aura_contracts.workflow.commands import ExpandStep as ExpandStep
from aura_contracts.workflow.commands import FailStep as FailStep
from aura_contracts.workflow.commands import FailWorkflow as FailWorkflow
from aura_contracts.workflow.commands import PauseWorkflow as PauseWorkflow
from aura_contracts.workflow.commands import RecordWorkflowRefusal as RecordWorkflowRefusal
from aura_contracts.workflow.commands import ReportStepCancelled as ReportStepCancelled
from aura_contracts.workflow.commands import ResumeStep as ResumeStep
from aura_contracts.workflow.commands import ResumeWorkflow as ResumeWorkflow
from aura_contracts.workflow.commands import RetryStep as RetryStep
from aura_contracts.workflow.commands import SendSignal as SendSignal
from aura_contracts.workflow.commands import SkipStep as SkipStep
from aura_contracts.workflow.commands import StartStep as StartStep
from aura_contracts.workflow.commands import StartWorkflow as StartWorkflow
from aura_contracts.workflow.commands import StepCommand as StepCommand
from aura_contracts.workflow.commands import UpdateWorkflowContext as UpdateWorkflowContext
from aura_contracts.workflow.event_types import StepAwaitingApproval as StepAwaitingApproval
from aura_contracts.workflow.event_types import StepCancelled as StepCancelled
from aura_contracts.workflow.event_types import StepCancelling as StepCancelling
from aura_contracts.workflow.event_types import StepChosen as StepChosen
from aura_contracts.workflow.event_types import StepCompensationBegun as StepCompensationBegun
from aura_contracts.workflow.event_types import StepCompleted as StepCompleted
from aura_contracts.workflow.event_types import StepDecided as StepDecided
from aura_contracts.workflow.event_types import StepEvent as StepEvent
from aura_contracts.workflow.event_types import StepExpanded as StepExpanded
from aura_contracts.workflow.event_types import StepFailed as StepFailed
from aura_contracts.workflow.event_types import StepHandlerBegun as StepHandlerBegun
from aura_contracts.workflow.event_types import StepItemsBegun as StepItemsBegun
from aura_contracts.workflow.event_types import StepResumed as StepResumed
from aura_contracts.workflow.event_types import StepRetried as StepRetried
from aura_contracts.workflow.event_types import StepRetryScheduled as StepRetryScheduled
from aura_contracts.workflow.event_types import StepRoundBegun as StepRoundBegun
from aura_contracts.workflow.event_types import StepRoundEnded as StepRoundEnded
from aura_contracts.workflow.event_types import StepSkipped as StepSkipped
from aura_contracts.workflow.event_types import StepStarted as StepStarted
from aura_contracts.workflow.event_types import WorkflowCancelled as WorkflowCancelled
from aura_contracts.workflow.event_types import WorkflowCancelling as WorkflowCancelling
from aura_contracts.workflow.event_types import WorkflowCommandRefused as WorkflowCommandRefused
from aura_contracts.workflow.event_types import WorkflowCompensating as WorkflowCompensating
from aura_contracts.workflow.event_types import WorkflowCompleted as WorkflowCompleted
from aura_contracts.workflow.event_types import WorkflowContextUpdated as WorkflowContextUpdated
from aura_contracts.workflow.event_types import WorkflowFailed as WorkflowFailed
from aura_contracts.workflow.event_types import WorkflowPaused as WorkflowPaused
from aura_contracts.workflow.event_types import WorkflowResumed as WorkflowResumed
from aura_contracts.workflow.event_types import WorkflowSignalReceived as WorkflowSignalReceived
from aura_contracts.workflow.event_types import WorkflowStarted as WorkflowStarted
from aura_contracts.workflow.evolution import WORKFLOW as WORKFLOW
from aura_contracts.workflow.outline import BlockRole as BlockRole
from aura_contracts.workflow.outline import Outline as Outline
from aura_contracts.workflow.outline import StepPlace as StepPlace
from aura_contracts.workflow.outline import case_blocks as case_blocks
from aura_contracts.workflow.outline import inner_blocks as inner_blocks
from aura_contracts.workflow.outline import outline_of as outline_of
from aura_contracts.workflow.outline import place_in_order as place_in_order
from aura_contracts.workflow.progress import WorkflowProgress as WorkflowProgress
from aura_contracts.workflow.progress import awaiting_of as awaiting_of
from aura_contracts.workflow.progress import progress_of as progress_of
from aura_contracts.workflow.progress import type_of as type_of
from aura_contracts.workflow.progress import working_of as working_of
from aura_contracts.workflow.records import ParentStep as ParentStep
from aura_contracts.workflow.records import Signal as Signal
from aura_contracts.workflow.records import WorkflowStep as WorkflowStep
from aura_contracts.workflow.state import Workflow as Workflow
from aura_contracts.workflow.state import definition_of as definition_of
from aura_contracts.workflow.state import find_step as find_step
from aura_contracts.workflow.state import is_over as is_over
from aura_contracts.workflow.state import place_of as place_of
from aura_contracts.workflow.state import status_of as status_of
from aura_contracts.workflow.state import workflow_due as workflow_due
from aura_contracts.workflow.values import CONTAINERS as CONTAINERS
from aura_contracts.workflow.values import LIVE as LIVE
from aura_contracts.workflow.values import OUTSIDE as OUTSIDE
from aura_contracts.workflow.values import OVER as OVER
from aura_contracts.workflow.values import AgentTaskStep as AgentTaskStep
from aura_contracts.workflow.values import ApprovalStep as ApprovalStep
from aura_contracts.workflow.values import Case as Case
from aura_contracts.workflow.values import CommandStep as CommandStep
from aura_contracts.workflow.values import ConditionalStep as ConditionalStep
from aura_contracts.workflow.values import EndStep as EndStep
from aura_contracts.workflow.values import ForEachStep as ForEachStep
from aura_contracts.workflow.values import Join as Join
from aura_contracts.workflow.values import LoopStep as LoopStep
from aura_contracts.workflow.values import OnStepFailure as OnStepFailure
from aura_contracts.workflow.values import OnWorkflowFailure as OnWorkflowFailure
from aura_contracts.workflow.values import ParallelStep as ParallelStep
from aura_contracts.workflow.values import StepConfig as StepConfig
from aura_contracts.workflow.values import StepDefinition as StepDefinition
from aura_contracts.workflow.values import StepRecovery as StepRecovery
from aura_contracts.workflow.values import StepRetry as StepRetry
from aura_contracts.workflow.values import StepStatus as StepStatus
from aura_contracts.workflow.values import StepType as StepType
from aura_contracts.workflow.values import SubWorkflowStep as SubWorkflowStep
from aura_contracts.workflow.values import WaitStep as WaitStep
from aura_contracts.workflow.values import WorkflowDefinition as WorkflowDefinition
from aura_contracts.workflow.values import WorkflowStatus as WorkflowStatus
