"""Every error that AURA raises deliberately.

    AuraError
    ├── InvalidInput                 an invalid value from outside: field, reason
    │   ├── InvalidId
    │   ├── InvalidText              NUL byte or lone surrogate
    │   ├── NaiveDatetime
    │   ├── EventTooLarge
    │   ├── UnknownDefinition        a workflow refers to a definition that is not stored: name
    │   ├── CyclicDefinitions        a workflow would start itself: path
    │   ├── InvalidFile              a policy or workflow file has faults: file, line, column
    │   ├── InvalidSchema            not a JSON Schema, or not a supported one
    │   └── InvalidDefinition        the definition of a workflow has faults: path
    ├── LinkRefused                  a link that was not issued here, or was changed
    ├── AgentFilesRefused            files that should define agents: problems
    ├── CommandRefused               the domain refuses a command: aggregate, id, command
    │   ├── AggregateNotFound
    │   ├── AggregateExists
    │   │   └── NameTaken
    │   ├── TransitionRefused        not allowed in this state
    │   │   ├── AlreadyAnswered      the question has been decided
    │   │   ├── QuestionWithdrawn
    │   │   └── QuestionExpired
    │   ├── QuestionChanged          the answer names other commits than the question shows
    │   ├── ActorNotAllowed          not allowed for this actor
    │   ├── RuleViolated             against a named rule of the domain
    │   ├── CyclicDependency
    │   └── CyclicParent
    ├── StoreError
    │   ├── VersionConflict          the stream changed concurrently
    │   ├── StoreUnavailable         locked or down for longer than the caller waits
    │   ├── StoreFull
    │   ├── StoreReadOnly
    │   ├── StoreClosed
    │   ├── StoreMisconfigured       wrong key, wrong compression, missing extra, unknown URL
    │   └── LogDamaged               the stored bytes are not those written: stream, position
    │       ├── UnknownEventType
    │       ├── NewerEventVersion
    │       ├── UndecodableEvent
    │       └── EventOutOfOrder
    ├── GitError                     an operation on a repository failed: repository
    │   ├── GitUnavailable           git is missing, or too old
    │   ├── NotARepository
    │   │   └── InsideGitDirectory
    │   ├── NoCommit                 a repository without a commit
    │   ├── IgnoredSubfolder         git ignores the folder to work in: subfolder
    │   ├── UncommittedSubfolder     the folder to work in is not committed: subfolder, branch
    │   ├── UnsuitableFolder         a folder in no repository, of which AURA cannot keep versions
    │   ├── UnknownRevision
    │   ├── InvalidBranchName
    │   ├── DirtyWorktree            uncommitted changes are in the way
    │   ├── OperationInProgress      a rebase, merge, ... is in progress
    │   ├── MergeConflict
    │   ├── RevertConflict
    │   ├── SubmoduleCommitMissing   a submodule's commit would be lost: paths, commit
    │   ├── RefChanged               the branch moved concurrently
    │   ├── BranchInUse              another worktree has it checked out
    │   ├── BranchInTheWay           another branch has the name of its folder
    │   ├── FilterMissing            a filter's program (git-lfs) is not installed
    │   ├── UnreadableFiles          folders or files that may not be read: paths
    │   ├── WorktreeExists
    │   ├── GitTimeout
    │   └── GitFailed                any other failure of git
    ├── WorkspaceError               worktrees could not be created or removed: workspace, path
    │   └── WorkspaceObstacle        only a human can change that
    ├── ProcessError                 a process could not be run or reached: token
    │   ├── ExecutableNotFound
    │   ├── WorkingDirectoryMissing
    │   ├── ProcessStartFailed
    │   └── ProcessGone
    ├── UnknownExecutor
    ├── TemplateError                a prompt cannot be rendered: template, line
    │   └── MissingVariable
    ├── ExpressionError              an expression of a workflow has no value: field, step, line, reason
    │   ├── MissingName
    │   ├── MissingOutput            of a step that was skipped, failed or did not run: source, status
    │   ├── ConditionNotBoolean
    │   ├── InvalidItems             not a list, or too long
    │   └── ExpressionLimit          it takes too much work or space
    ├── OutputMismatch               the output of a step does not fit its JSON Schema: step, path
    ├── ProtocolError                engine and worker violate the protocol
    │   ├── LocalProtocolError       this side violated the protocol, or would have
    │   │   └── FrameTooLarge        a message exceeds the size of a frame
    │   ├── RemoteProtocolError      the other side violated the protocol
    │   └── UnknownMethod
    ├── RemoteError                  the other side failed with an error unknown here
    ├── WorkerUnavailable            no worker, or it disconnected during a request
    ├── EngineClosed
    ├── AmbiguousId                  a partial id matches several ids: kind, candidates
    ├── KeyReused                    the same key with a different request: key, aggregate, id
    ├── NoSession                    no session to resume: executor, place
    ├── SessionBusy                  another run works in the session: session, task
    ├── SessionElsewhere             the agent resumes the session in its own folder only: session, executor
    ├── DeliveryFailed               a channel could not send a notification: channel, reason, retry_after
    │   └── DeliveryRefused          it will not take it, however often it is sent
    ├── RunFailed                    a run failed: task, failure
    ├── RunCancelled                 a run was cancelled, or its task deleted: task
    ├── RunNotDriven                 a run has not ended, but no engine drives it: task, status
    ├── WorkflowRunFailed            a workflow failed: workflow, failure, steps
    ├── WorkflowRunCancelled         a workflow was cancelled: workflow
    ├── WorkflowNotDriven            a workflow has not ended, but no engine drives it: workflow, status
    └── ImpossibleTransition         a table has no such row (a bug, or a damaged log)

For programs, each class has a stable `code`, its facts as attributes, and `recovery`, which says whether a later retry
or only a human can help. For people, `remedy` says what to do, and `str()` combines message and remedy.
"""

from aura_contracts.errors.base import AuraError as AuraError
from aura_contracts.errors.base import Recovery as Recovery
from aura_contracts.errors.delivery import DeliveryFailed as DeliveryFailed
from aura_contracts.errors.delivery import DeliveryRefused as DeliveryRefused
from aura_contracts.errors.faults import DefinitionFault as DefinitionFault
from aura_contracts.errors.faults import Fault as Fault
from aura_contracts.errors.faults import InvalidDefinition as InvalidDefinition
from aura_contracts.errors.faults import InvalidFile as InvalidFile
from aura_contracts.errors.faults import dotted as dotted
from aura_contracts.errors.protocol import FrameTooLarge as FrameTooLarge
from aura_contracts.errors.protocol import LocalProtocolError as LocalProtocolError
from aura_contracts.errors.protocol import ProtocolError as ProtocolError
from aura_contracts.errors.protocol import RemoteError as RemoteError
from aura_contracts.errors.protocol import RemoteProtocolError as RemoteProtocolError
from aura_contracts.errors.protocol import UnknownMethod as UnknownMethod
from aura_contracts.errors.protocol import WorkerUnavailable as WorkerUnavailable
from aura_contracts.errors.refusals import ActorNotAllowed as ActorNotAllowed
from aura_contracts.errors.refusals import AgentFileProblem as AgentFileProblem
from aura_contracts.errors.refusals import AgentFilesRefused as AgentFilesRefused
from aura_contracts.errors.refusals import AggregateExists as AggregateExists
from aura_contracts.errors.refusals import AggregateNotFound as AggregateNotFound
from aura_contracts.errors.refusals import AlreadyAnswered as AlreadyAnswered
from aura_contracts.errors.refusals import CommandRefused as CommandRefused
from aura_contracts.errors.refusals import CyclicDependency as CyclicDependency
from aura_contracts.errors.refusals import CyclicParent as CyclicParent
from aura_contracts.errors.refusals import DomainRule as DomainRule
from aura_contracts.errors.refusals import EventTooLarge as EventTooLarge
from aura_contracts.errors.refusals import ImpossibleTransition as ImpossibleTransition
from aura_contracts.errors.refusals import InvalidId as InvalidId
from aura_contracts.errors.refusals import InvalidInput as InvalidInput
from aura_contracts.errors.refusals import InvalidText as InvalidText
from aura_contracts.errors.refusals import LinkRefused as LinkRefused
from aura_contracts.errors.refusals import NaiveDatetime as NaiveDatetime
from aura_contracts.errors.refusals import NameTaken as NameTaken
from aura_contracts.errors.refusals import QuestionChanged as QuestionChanged
from aura_contracts.errors.refusals import QuestionExpired as QuestionExpired
from aura_contracts.errors.refusals import QuestionWithdrawn as QuestionWithdrawn
from aura_contracts.errors.refusals import RuleViolated as RuleViolated
from aura_contracts.errors.refusals import TransitionRefused as TransitionRefused
from aura_contracts.errors.refusals import require_aware as require_aware
from aura_contracts.errors.refusals import require_text as require_text
from aura_contracts.errors.repositories import BranchInTheWay as BranchInTheWay
from aura_contracts.errors.repositories import BranchInUse as BranchInUse
from aura_contracts.errors.repositories import DirtyWorktree as DirtyWorktree
from aura_contracts.errors.repositories import FilterMissing as FilterMissing
from aura_contracts.errors.repositories import GitError as GitError
from aura_contracts.errors.repositories import GitFailed as GitFailed
from aura_contracts.errors.repositories import GitTimeout as GitTimeout
from aura_contracts.errors.repositories import GitUnavailable as GitUnavailable
from aura_contracts.errors.repositories import IgnoredSubfolder as IgnoredSubfolder
from aura_contracts.errors.repositories import InsideGitDirectory as InsideGitDirectory
from aura_contracts.errors.repositories import InvalidBranchName as InvalidBranchName
from aura_contracts.errors.repositories import MergeConflict as MergeConflict
from aura_contracts.errors.repositories import NoCommit as NoCommit
from aura_contracts.errors.repositories import NotARepository as NotARepository
from aura_contracts.errors.repositories import OperationInProgress as OperationInProgress
from aura_contracts.errors.repositories import RefChanged as RefChanged
from aura_contracts.errors.repositories import RevertConflict as RevertConflict
from aura_contracts.errors.repositories import SubmoduleCommitMissing as SubmoduleCommitMissing
from aura_contracts.errors.repositories import UncommittedSubfolder as UncommittedSubfolder
from aura_contracts.errors.repositories import UnknownRevision as UnknownRevision
from aura_contracts.errors.repositories import UnreadableFiles as UnreadableFiles
from aura_contracts.errors.repositories import UnsuitableFolder as UnsuitableFolder
from aura_contracts.errors.repositories import WorkspaceError as WorkspaceError
from aura_contracts.errors.repositories import WorkspaceObstacle as WorkspaceObstacle
from aura_contracts.errors.repositories import WorktreeExists as WorktreeExists
from aura_contracts.errors.runs import AmbiguousId as AmbiguousId
from aura_contracts.errors.runs import EngineClosed as EngineClosed
from aura_contracts.errors.runs import ExecutableNotFound as ExecutableNotFound
from aura_contracts.errors.runs import KeyReused as KeyReused
from aura_contracts.errors.runs import MissingVariable as MissingVariable
from aura_contracts.errors.runs import NoSession as NoSession
from aura_contracts.errors.runs import ProcessError as ProcessError
from aura_contracts.errors.runs import ProcessGone as ProcessGone
from aura_contracts.errors.runs import ProcessStartFailed as ProcessStartFailed
from aura_contracts.errors.runs import RunCancelled as RunCancelled
from aura_contracts.errors.runs import RunFailed as RunFailed
from aura_contracts.errors.runs import RunNotDriven as RunNotDriven
from aura_contracts.errors.runs import SessionBusy as SessionBusy
from aura_contracts.errors.runs import SessionElsewhere as SessionElsewhere
from aura_contracts.errors.runs import TemplateError as TemplateError
from aura_contracts.errors.runs import UnknownExecutor as UnknownExecutor
from aura_contracts.errors.runs import WorkingDirectoryMissing as WorkingDirectoryMissing
from aura_contracts.errors.store import EventOutOfOrder as EventOutOfOrder
from aura_contracts.errors.store import LogDamaged as LogDamaged
from aura_contracts.errors.store import NewerEventVersion as NewerEventVersion
from aura_contracts.errors.store import StoreClosed as StoreClosed
from aura_contracts.errors.store import StoreError as StoreError
from aura_contracts.errors.store import StoreFull as StoreFull
from aura_contracts.errors.store import StoreMisconfigured as StoreMisconfigured
from aura_contracts.errors.store import StoreReadOnly as StoreReadOnly
from aura_contracts.errors.store import StoreUnavailable as StoreUnavailable
from aura_contracts.errors.store import UndecodableEvent as UndecodableEvent
from aura_contracts.errors.store import UnknownEventType as UnknownEventType
from aura_contracts.errors.store import VersionConflict as VersionConflict
from aura_contracts.errors.workflow_runs import CyclicDefinitions as CyclicDefinitions
from aura_contracts.errors.workflow_runs import UnknownDefinition as UnknownDefinition
from aura_contracts.errors.workflow_runs import WorkflowNotDriven as WorkflowNotDriven
from aura_contracts.errors.workflow_runs import WorkflowRunCancelled as WorkflowRunCancelled
from aura_contracts.errors.workflow_runs import WorkflowRunFailed as WorkflowRunFailed
from aura_contracts.errors.workflows import ConditionNotBoolean as ConditionNotBoolean
from aura_contracts.errors.workflows import ExpressionError as ExpressionError
from aura_contracts.errors.workflows import ExpressionLimit as ExpressionLimit
from aura_contracts.errors.workflows import InvalidItems as InvalidItems
from aura_contracts.errors.workflows import InvalidSchema as InvalidSchema
from aura_contracts.errors.workflows import MissingName as MissingName
from aura_contracts.errors.workflows import MissingOutput as MissingOutput
from aura_contracts.errors.workflows import OutputMismatch as OutputMismatch
