"""Execution: one run of an agent, stage by stage (specification, "Execution Model").

    Queued ► PrepareWorkspace ► Setup ► CodingInitial ► Cleanup ► Review ─────────► Done
                                             │             ▲      ▲  │
                                             │ no changes  │      │  └─► CodingFollowUp
                                             └─────────────┼──────┘            │ no changes: to Review
                                                           └───────────────────┘
    any running stage ► Failed(failure) · any live state ► Cancelled

The work happens on a worker, which holds the execution under a lease (see `aura_contracts.lease`). Each report names
the **epoch** of the lease, a number that increases with each grant, so an earlier holder can no longer change the
execution. This is how a restarted engine and a returning worker agree on who is running what.

A failed stage is retried within the same execution, as its retry policy says. An execution whose worker is lost has
failed; a new execution then resumes the agent's session.

    values ► events, with the actions of agents ► state, with its transition table and evolvers ► commands
"""

from aura_contracts.execution.actions import ACTIONS as ACTIONS
from aura_contracts.execution.actions import ENTRY_EVENTS as ENTRY_EVENTS
from aura_contracts.execution.actions import Action as Action
from aura_contracts.execution.actions import AgentErrorReported as AgentErrorReported
from aura_contracts.execution.actions import AgentFinished as AgentFinished
from aura_contracts.execution.actions import CallMade as CallMade
from aura_contracts.execution.actions import CallStarted as CallStarted
from aura_contracts.execution.actions import ConversationReplayed as ConversationReplayed
from aura_contracts.execution.actions import EntryNotUnderstood as EntryNotUnderstood
from aura_contracts.execution.actions import EntryRecorded as EntryRecorded
from aura_contracts.execution.actions import FileChangeReported as FileChangeReported
from aura_contracts.execution.actions import HumanMessageTaken as HumanMessageTaken
from aura_contracts.execution.actions import InquiryAnswered as InquiryAnswered
from aura_contracts.execution.actions import InquiryAwaited as InquiryAwaited
from aura_contracts.execution.actions import InquiryMade as InquiryMade
from aura_contracts.execution.actions import MessageSaid as MessageSaid
from aura_contracts.execution.actions import PermissionAnswered as PermissionAnswered
from aura_contracts.execution.actions import PermissionAsked as PermissionAsked
from aura_contracts.execution.actions import PlanReported as PlanReported
from aura_contracts.execution.actions import ProgressReported as ProgressReported
from aura_contracts.execution.actions import SubtaskCreated as SubtaskCreated
from aura_contracts.execution.actions import ThoughtShared as ThoughtShared
from aura_contracts.execution.commands import CancelExecution as CancelExecution
from aura_contracts.execution.commands import CompleteExecution as CompleteExecution
from aura_contracts.execution.commands import FailExecution as FailExecution
from aura_contracts.execution.commands import FinishCleanup as FinishCleanup
from aura_contracts.execution.commands import FinishCoding as FinishCoding
from aura_contracts.execution.commands import FinishPreparation as FinishPreparation
from aura_contracts.execution.commands import FinishSetup as FinishSetup
from aura_contracts.execution.commands import LeaseExecution as LeaseExecution
from aura_contracts.execution.commands import LoseWorker as LoseWorker
from aura_contracts.execution.commands import QueueExecution as QueueExecution
from aura_contracts.execution.commands import QueueMessage as QueueMessage
from aura_contracts.execution.commands import RecordAction as RecordAction
from aura_contracts.execution.commands import RecordContext as RecordContext
from aura_contracts.execution.commands import RecordExecutionRefusal as RecordExecutionRefusal
from aura_contracts.execution.commands import RecordProcessExit as RecordProcessExit
from aura_contracts.execution.commands import RecordProcessStart as RecordProcessStart
from aura_contracts.execution.commands import RecordSession as RecordSession
from aura_contracts.execution.commands import RecordStageFailure as RecordStageFailure
from aura_contracts.execution.commands import RecordUsage as RecordUsage
from aura_contracts.execution.commands import Report as Report
from aura_contracts.execution.commands import RequestFollowUp as RequestFollowUp
from aura_contracts.execution.commands import RequestInterrupt as RequestInterrupt
from aura_contracts.execution.commands import RetryStage as RetryStage
from aura_contracts.execution.commands import StartPreparation as StartPreparation
from aura_contracts.execution.event_types import CleanupFinished as CleanupFinished
from aura_contracts.execution.event_types import CodingChangedNothing as CodingChangedNothing
from aura_contracts.execution.event_types import CodingFinished as CodingFinished
from aura_contracts.execution.event_types import ContextRead as ContextRead
from aura_contracts.execution.event_types import ExecutionCancelled as ExecutionCancelled
from aura_contracts.execution.event_types import ExecutionCommandRefused as ExecutionCommandRefused
from aura_contracts.execution.event_types import ExecutionCompleted as ExecutionCompleted
from aura_contracts.execution.event_types import ExecutionFailed as ExecutionFailed
from aura_contracts.execution.event_types import ExecutionLeased as ExecutionLeased
from aura_contracts.execution.event_types import ExecutionQueued as ExecutionQueued
from aura_contracts.execution.event_types import FollowUpRequested as FollowUpRequested
from aura_contracts.execution.event_types import InterruptRequested as InterruptRequested
from aura_contracts.execution.event_types import MessageQueued as MessageQueued
from aura_contracts.execution.event_types import PreparationFinished as PreparationFinished
from aura_contracts.execution.event_types import PreparationStarted as PreparationStarted
from aura_contracts.execution.event_types import ProcessExited as ProcessExited
from aura_contracts.execution.event_types import ProcessStarted as ProcessStarted
from aura_contracts.execution.event_types import SessionDropped as SessionDropped
from aura_contracts.execution.event_types import SessionRecorded as SessionRecorded
from aura_contracts.execution.event_types import SetupFinished as SetupFinished
from aura_contracts.execution.event_types import StageRetried as StageRetried
from aura_contracts.execution.event_types import StageRetryScheduled as StageRetryScheduled
from aura_contracts.execution.event_types import UsageRecorded as UsageRecorded
from aura_contracts.execution.state import EXECUTION as EXECUTION
from aura_contracts.execution.state import Execution as Execution
from aura_contracts.execution.values import CODING as CODING
from aura_contracts.execution.values import RUNNING_STAGES as RUNNING_STAGES
from aura_contracts.execution.values import AgentResult as AgentResult
from aura_contracts.execution.values import ExecutionSpec as ExecutionSpec
from aura_contracts.execution.values import ExecutionStatus as ExecutionStatus
from aura_contracts.execution.values import Exit as Exit
from aura_contracts.execution.values import HumanMessage as HumanMessage
from aura_contracts.execution.values import Outcome as Outcome
from aura_contracts.execution.values import ProcessToken as ProcessToken
from aura_contracts.execution.values import SupervisedProcess as SupervisedProcess
