"""Workflow: steps with dependencies, from start to end (specification, "Workflow" and "Workflow Orchestration").

    workflow   active ◄──paused, resumed──► paused
                 │ └──failed──► failed ──step retried, resumed──► active
                 └──► completed                  · any but completed ► cancelled

    step       pending ──started──► running ◄──asks, resumes──► awaiting_approval ──► completed
                 │ ▲                   │  └────────────────────────────────────────────► completed
                 │ └─────retried───── failed
                 └──► skipped ◄────────┘         · any that has not ended ► cancelled, with its workflow

There are two tables: status x event for the workflow, and step status x event for each step. An event about a step
needs a row in both. A step is **over** when it is completed or skipped; only then do the steps that depend on it start.
A failed step is not over: it blocks them until it is retried or skipped.

All steps are in one flat list. A **parallel** step starts before its children and completes after the last of them. A
**conditional** step completes first; its outcome decides which branch may start, and the other branch is skipped.
"""

from aura_contracts.workflow.commands import AwaitStepApproval as AwaitStepApproval
from aura_contracts.workflow.commands import CancelWorkflow as CancelWorkflow
from aura_contracts.workflow.commands import CompleteStep as CompleteStep
from aura_contracts.workflow.commands import CompleteWorkflow as CompleteWorkflow
from aura_contracts.workflow.commands import FailStep as FailStep
from aura_contracts.workflow.commands import FailWorkflow as FailWorkflow
from aura_contracts.workflow.commands import PauseWorkflow as PauseWorkflow
from aura_contracts.workflow.commands import RecordWorkflowRefusal as RecordWorkflowRefusal
from aura_contracts.workflow.commands import ResumeStep as ResumeStep
from aura_contracts.workflow.commands import ResumeWorkflow as ResumeWorkflow
from aura_contracts.workflow.commands import RetryStep as RetryStep
from aura_contracts.workflow.commands import SkipStep as SkipStep
from aura_contracts.workflow.commands import StartStep as StartStep
from aura_contracts.workflow.commands import StartWorkflow as StartWorkflow
from aura_contracts.workflow.commands import StepCommand as StepCommand
from aura_contracts.workflow.commands import UpdateWorkflowContext as UpdateWorkflowContext
from aura_contracts.workflow.event_types import StepAwaitingApproval as StepAwaitingApproval
from aura_contracts.workflow.event_types import StepCompleted as StepCompleted
from aura_contracts.workflow.event_types import StepEvent as StepEvent
from aura_contracts.workflow.event_types import StepFailed as StepFailed
from aura_contracts.workflow.event_types import StepResumed as StepResumed
from aura_contracts.workflow.event_types import StepRetried as StepRetried
from aura_contracts.workflow.event_types import StepSkipped as StepSkipped
from aura_contracts.workflow.event_types import StepStarted as StepStarted
from aura_contracts.workflow.event_types import WorkflowCancelled as WorkflowCancelled
from aura_contracts.workflow.event_types import WorkflowCommandRefused as WorkflowCommandRefused
from aura_contracts.workflow.event_types import WorkflowCompleted as WorkflowCompleted
from aura_contracts.workflow.event_types import WorkflowContextUpdated as WorkflowContextUpdated
from aura_contracts.workflow.event_types import WorkflowFailed as WorkflowFailed
from aura_contracts.workflow.event_types import WorkflowPaused as WorkflowPaused
from aura_contracts.workflow.event_types import WorkflowResumed as WorkflowResumed
from aura_contracts.workflow.event_types import WorkflowStarted as WorkflowStarted
from aura_contracts.workflow.state import STEP_TABLE as STEP_TABLE
from aura_contracts.workflow.state import WORKFLOW as WORKFLOW
from aura_contracts.workflow.state import Workflow as Workflow
from aura_contracts.workflow.state import find_cycle as find_cycle
from aura_contracts.workflow.state import find_step as find_step
from aura_contracts.workflow.state import waits_for as waits_for
from aura_contracts.workflow.values import OVER as OVER
from aura_contracts.workflow.values import StepConfig as StepConfig
from aura_contracts.workflow.values import StepDefinition as StepDefinition
from aura_contracts.workflow.values import StepStatus as StepStatus
from aura_contracts.workflow.values import StepType as StepType
from aura_contracts.workflow.values import WorkflowDefinition as WorkflowDefinition
from aura_contracts.workflow.values import WorkflowStatus as WorkflowStatus
from aura_contracts.workflow.values import WorkflowStep as WorkflowStep
