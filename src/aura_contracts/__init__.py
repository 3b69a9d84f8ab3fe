"""Contracts: ids, events, commands, states, transition tables, errors and ports. Depends on no other AURA package.

The package exports its base types and, for each aggregate, the definition, the state and the statuses. Import an
aggregate's events, commands and values from the module named after it:

    from aura_contracts import CATALOGUE, EventLog, Task
    from aura_contracts.actors import human
    from aura_contracts.task import CreateTask, TaskCreated
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_contracts._version import __version__ as __version__
    from aura_contracts.actors import Actor as Actor
    from aura_contracts.actors import ActorKind as ActorKind
    from aura_contracts.actors import actor_kind as actor_kind
    from aura_contracts.actors import actor_name as actor_name
    from aura_contracts.actors import parse_actor as parse_actor
    from aura_contracts.agent import AGENT as AGENT
    from aura_contracts.agent import Agent as Agent
    from aura_contracts.agent import AgentStatus as AgentStatus
    from aura_contracts.aggregate import Aggregate as Aggregate
    from aura_contracts.aggregate import Command as Command
    from aura_contracts.aggregate import HappenedFact as HappenedFact
    from aura_contracts.aggregate import State as State
    from aura_contracts.aggregate import Table as Table
    from aura_contracts.alerts import ALERTS as ALERTS
    from aura_contracts.alerts import ALERTS_ID as ALERTS_ID
    from aura_contracts.alerts import Alerts as Alerts
    from aura_contracts.alerts import AlertsStatus as AlertsStatus
    from aura_contracts.approval import APPROVAL as APPROVAL
    from aura_contracts.approval import Approval as Approval
    from aura_contracts.approval import ApprovalStatus as ApprovalStatus
    from aura_contracts.board import BOARD as BOARD
    from aura_contracts.board import Board as Board
    from aura_contracts.board import BoardStatus as BoardStatus
    from aura_contracts.catalogue import AGGREGATES as AGGREGATES
    from aura_contracts.catalogue import CATALOGUE as CATALOGUE
    from aura_contracts.catalogue import Event as Event
    from aura_contracts.catalogue import EventCatalogue as EventCatalogue
    from aura_contracts.catalogue import EventRecord as EventRecord
    from aura_contracts.catalogue import Upcaster as Upcaster
    from aura_contracts.errors import ActorNotAllowed as ActorNotAllowed
    from aura_contracts.errors import AggregateExists as AggregateExists
    from aura_contracts.errors import AggregateNotFound as AggregateNotFound
    from aura_contracts.errors import AuraError as AuraError
    from aura_contracts.errors import CommandRefused as CommandRefused
    from aura_contracts.errors import CyclicDependency as CyclicDependency
    from aura_contracts.errors import CyclicParent as CyclicParent
    from aura_contracts.errors import EventOutOfOrder as EventOutOfOrder
    from aura_contracts.errors import EventTooLarge as EventTooLarge
    from aura_contracts.errors import ImpossibleTransition as ImpossibleTransition
    from aura_contracts.errors import InvalidId as InvalidId
    from aura_contracts.errors import InvalidInput as InvalidInput
    from aura_contracts.errors import InvalidText as InvalidText
    from aura_contracts.errors import LogDamaged as LogDamaged
    from aura_contracts.errors import NaiveDatetime as NaiveDatetime
    from aura_contracts.errors import NewerEventVersion as NewerEventVersion
    from aura_contracts.errors import RuleViolated as RuleViolated
    from aura_contracts.errors import StoreClosed as StoreClosed
    from aura_contracts.errors import StoreError as StoreError
    from aura_contracts.errors import StoreFull as StoreFull
    from aura_contracts.errors import StoreMisconfigured as StoreMisconfigured
    from aura_contracts.errors import StoreReadOnly as StoreReadOnly
    from aura_contracts.errors import StoreUnavailable as StoreUnavailable
    from aura_contracts.errors import TransitionRefused as TransitionRefused
    from aura_contracts.errors import UndecodableEvent as UndecodableEvent
    from aura_contracts.errors import UnknownEventType as UnknownEventType
    from aura_contracts.errors import VersionConflict as VersionConflict
    from aura_contracts.errors import require_aware as require_aware
    from aura_contracts.events import Append as Append
    from aura_contracts.events import Fact as Fact
    from aura_contracts.events import Instant as Instant
    from aura_contracts.events import SealedRow as SealedRow
    from aura_contracts.events import Snapshot as Snapshot
    from aura_contracts.events import event_fields as event_fields
    from aura_contracts.execution import EXECUTION as EXECUTION
    from aura_contracts.execution import Execution as Execution
    from aura_contracts.execution import ExecutionStatus as ExecutionStatus
    from aura_contracts.failures import RETRYABLE as RETRYABLE
    from aura_contracts.failures import Failure as Failure
    from aura_contracts.failures import FailureReason as FailureReason
    from aura_contracts.ids import AgentId as AgentId
    from aura_contracts.ids import ApprovalId as ApprovalId
    from aura_contracts.ids import BoardId as BoardId
    from aura_contracts.ids import DefinitionId as DefinitionId
    from aura_contracts.ids import ExecutionId as ExecutionId
    from aura_contracts.ids import IdFactory as IdFactory
    from aura_contracts.ids import LeaseId as LeaseId
    from aura_contracts.ids import ProjectId as ProjectId
    from aura_contracts.ids import ScheduleId as ScheduleId
    from aura_contracts.ids import StreamId as StreamId
    from aura_contracts.ids import TaskId as TaskId
    from aura_contracts.ids import TemplateId as TemplateId
    from aura_contracts.ids import WorkerId as WorkerId
    from aura_contracts.ids import WorkflowId as WorkflowId
    from aura_contracts.ids import WorkspaceId as WorkspaceId
    from aura_contracts.ids import is_canonical_id as is_canonical_id
    from aura_contracts.ids import output_stream as output_stream
    from aura_contracts.ids import parse_id as parse_id
    from aura_contracts.ids import uuid7_factory as uuid7_factory
    from aura_contracts.lease import WORKER_LEASE as WORKER_LEASE
    from aura_contracts.lease import LeaseStatus as LeaseStatus
    from aura_contracts.lease import WorkerLease as WorkerLease
    from aura_contracts.ledger import LEDGER as LEDGER
    from aura_contracts.ledger import LEDGER_ID as LEDGER_ID
    from aura_contracts.ledger import Ledger as Ledger
    from aura_contracts.ledger import LedgerStatus as LedgerStatus
    from aura_contracts.lock_table import LOCK_TABLE as LOCK_TABLE
    from aura_contracts.lock_table import LOCK_TABLE_ID as LOCK_TABLE_ID
    from aura_contracts.lock_table import LockTable as LockTable
    from aura_contracts.lock_table import LockTableStatus as LockTableStatus
    from aura_contracts.outbox import OUTBOX as OUTBOX
    from aura_contracts.outbox import Outbox as Outbox
    from aura_contracts.outbox import OutboxStatus as OutboxStatus
    from aura_contracts.output import OUTPUT as OUTPUT
    from aura_contracts.output import Output as Output
    from aura_contracts.output import OutputStatus as OutputStatus
    from aura_contracts.ports import Clock as Clock
    from aura_contracts.ports import EventLog as EventLog
    from aura_contracts.ports import SelfChecking as SelfChecking
    from aura_contracts.project import PROJECT as PROJECT
    from aura_contracts.project import Project as Project
    from aura_contracts.project import ProjectStatus as ProjectStatus
    from aura_contracts.service import SERVICE as SERVICE
    from aura_contracts.service import SERVICE_ID as SERVICE_ID
    from aura_contracts.service import Service as Service
    from aura_contracts.service import ServiceStatus as ServiceStatus
    from aura_contracts.task import TASK as TASK
    from aura_contracts.task import Task as Task
    from aura_contracts.task import TaskStatus as TaskStatus
    from aura_contracts.template import PROMPT_TEMPLATE as PROMPT_TEMPLATE
    from aura_contracts.template import PromptTemplate as PromptTemplate
    from aura_contracts.template import TemplateStatus as TemplateStatus
    from aura_contracts.workflow import WORKFLOW as WORKFLOW
    from aura_contracts.workflow import StepStatus as StepStatus
    from aura_contracts.workflow import Workflow as Workflow
    from aura_contracts.workflow import WorkflowStatus as WorkflowStatus
    from aura_contracts.workflow_definition import WORKFLOW_DEFINITION as WORKFLOW_DEFINITION
    from aura_contracts.workflow_definition import DefinitionStatus as DefinitionStatus
    from aura_contracts.workflow_definition import StoredDefinition as StoredDefinition
    from aura_contracts.workflow_schedule import WORKFLOW_SCHEDULE as WORKFLOW_SCHEDULE
    from aura_contracts.workflow_schedule import ScheduleStatus as ScheduleStatus
    from aura_contracts.workflow_schedule import WorkflowSchedule as WorkflowSchedule
    from aura_contracts.workspace import WORKSPACE as WORKSPACE
    from aura_contracts.workspace import Workspace as Workspace
    from aura_contracts.workspace import WorkspaceStatus as WorkspaceStatus

export_lazily(__name__)
