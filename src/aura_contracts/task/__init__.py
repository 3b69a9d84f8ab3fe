"""Task: a unit of work with one clear objective, from request to result (specification, "Task").

    pending ──assigned──► in_progress ──proposal──► awaiting_approval ──approved──► approved ──► completed
                               ▲                          │ rejected / changes requested
                               └──────── feedback ◄───────┘

A rejected task passes through ``rejected``. Normally the revision starts at once, and the task is ``in_progress``
again, with the feedback; after a final rejection it stays there until it is assigned again. ``blocked`` means paused by
a conflict, over a shared resource or a merge, until a human resolves it. It leads back to ``in_progress``, because what
was approved is no longer what would be merged.
"""

from aura_contracts.task.commands import AddPart as AddPart
from aura_contracts.task.commands import ApproveTask as ApproveTask
from aura_contracts.task.commands import AssignTask as AssignTask
from aura_contracts.task.commands import BlockTask as BlockTask
from aura_contracts.task.commands import CancelTask as CancelTask
from aura_contracts.task.commands import CompleteTask as CompleteTask
from aura_contracts.task.commands import CreateTask as CreateTask
from aura_contracts.task.commands import DecomposeTask as DecomposeTask
from aura_contracts.task.commands import DeleteTask as DeleteTask
from aura_contracts.task.commands import EditTask as EditTask
from aura_contracts.task.commands import FailTask as FailTask
from aura_contracts.task.commands import ProposeDecomposition as ProposeDecomposition
from aura_contracts.task.commands import QueueTask as QueueTask
from aura_contracts.task.commands import RecordAttemptFailure as RecordAttemptFailure
from aura_contracts.task.commands import RecordDependencyEnd as RecordDependencyEnd
from aura_contracts.task.commands import RecordTaskRefusal as RecordTaskRefusal
from aura_contracts.task.commands import RejectTask as RejectTask
from aura_contracts.task.commands import RemovePart as RemovePart
from aura_contracts.task.commands import ReopenTask as ReopenTask
from aura_contracts.task.commands import ReparentTask as ReparentTask
from aura_contracts.task.commands import RequestTaskChanges as RequestTaskChanges
from aura_contracts.task.commands import RetryTask as RetryTask
from aura_contracts.task.commands import StartExecution as StartExecution
from aura_contracts.task.commands import SubmitProposal as SubmitProposal
from aura_contracts.task.commands import UnassignTask as UnassignTask
from aura_contracts.task.commands import UnblockTask as UnblockTask
from aura_contracts.task.commands import UnqueueTask as UnqueueTask
from aura_contracts.task.event_types import AttemptFailed as AttemptFailed
from aura_contracts.task.event_types import DecompositionProposed as DecompositionProposed
from aura_contracts.task.event_types import DependencyEnded as DependencyEnded
from aura_contracts.task.event_types import ExecutionStarted as ExecutionStarted
from aura_contracts.task.event_types import PartAdded as PartAdded
from aura_contracts.task.event_types import PartRemoved as PartRemoved
from aura_contracts.task.event_types import ProposalSubmitted as ProposalSubmitted
from aura_contracts.task.event_types import RevisionStarted as RevisionStarted
from aura_contracts.task.event_types import TaskApproved as TaskApproved
from aura_contracts.task.event_types import TaskAssigned as TaskAssigned
from aura_contracts.task.event_types import TaskBlocked as TaskBlocked
from aura_contracts.task.event_types import TaskCancelled as TaskCancelled
from aura_contracts.task.event_types import TaskChangesRequested as TaskChangesRequested
from aura_contracts.task.event_types import TaskCommandRefused as TaskCommandRefused
from aura_contracts.task.event_types import TaskCompleted as TaskCompleted
from aura_contracts.task.event_types import TaskCreated as TaskCreated
from aura_contracts.task.event_types import TaskDecomposed as TaskDecomposed
from aura_contracts.task.event_types import TaskDeleted as TaskDeleted
from aura_contracts.task.event_types import TaskEdited as TaskEdited
from aura_contracts.task.event_types import TaskFailed as TaskFailed
from aura_contracts.task.event_types import TaskQueued as TaskQueued
from aura_contracts.task.event_types import TaskRejected as TaskRejected
from aura_contracts.task.event_types import TaskReopened as TaskReopened
from aura_contracts.task.event_types import TaskReparented as TaskReparented
from aura_contracts.task.event_types import TaskRetried as TaskRetried
from aura_contracts.task.event_types import TaskUnassigned as TaskUnassigned
from aura_contracts.task.event_types import TaskUnblocked as TaskUnblocked
from aura_contracts.task.event_types import TaskUnqueued as TaskUnqueued
from aura_contracts.task.parts import are_over as are_over
from aura_contracts.task.parts import has_completed as has_completed
from aura_contracts.task.parts import held_up as held_up
from aura_contracts.task.state import TASK as TASK
from aura_contracts.task.state import Task as Task
from aura_contracts.task.values import AGENT_TYPE_LIMIT as AGENT_TYPE_LIMIT
from aura_contracts.task.values import AGENT_TYPES as AGENT_TYPES
from aura_contracts.task.values import LABEL_LIMIT as LABEL_LIMIT
from aura_contracts.task.values import LOCK_LENGTH as LOCK_LENGTH
from aura_contracts.task.values import LOCK_LIMIT as LOCK_LIMIT
from aura_contracts.task.values import WAITS_FOR_HUMAN as WAITS_FOR_HUMAN
from aura_contracts.task.values import AgentType as AgentType
from aura_contracts.task.values import ApprovalMode as ApprovalMode
from aura_contracts.task.values import Candidate as Candidate
from aura_contracts.task.values import CollisionPolicy as CollisionPolicy
from aura_contracts.task.values import Conflict as Conflict
from aura_contracts.task.values import DependencyPolicy as DependencyPolicy
from aura_contracts.task.values import Feedback as Feedback
from aura_contracts.task.values import PartPolicy as PartPolicy
from aura_contracts.task.values import PoolRequest as PoolRequest
from aura_contracts.task.values import Priority as Priority
from aura_contracts.task.values import Proposal as Proposal
from aura_contracts.task.values import RetryPolicy as RetryPolicy
from aura_contracts.task.values import Selection as Selection
from aura_contracts.task.values import Subtask as Subtask
from aura_contracts.task.values import TaskChanges as TaskChanges
from aura_contracts.task.values import TaskSpec as TaskSpec
from aura_contracts.task.values import TaskStatus as TaskStatus
from aura_contracts.task.values import parse_agent_type as parse_agent_type
