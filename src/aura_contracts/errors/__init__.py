"""Every error that AURA raises deliberately.

    AuraError
    ├── InvalidInput                 an invalid value from outside: field, reason
    │   ├── InvalidId
    │   ├── InvalidText              NUL byte or lone surrogate
    │   ├── NaiveDatetime
    │   └── EventTooLarge
    ├── CommandRefused               the domain refuses a command: aggregate, id, command
    │   ├── AggregateNotFound
    │   ├── AggregateExists
    │   ├── TransitionRefused        not allowed in this state
    │   ├── ActorNotAllowed          not allowed for this actor
    │   ├── RuleViolated             against a named rule of the domain
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
    │   ├── UnknownRevision
    │   ├── InvalidBranchName
    │   ├── DirtyWorktree            uncommitted changes are in the way
    │   ├── OperationInProgress      a rebase, merge, ... is in progress
    │   ├── MergeConflict
    │   ├── RefChanged               the branch moved concurrently
    │   ├── BranchInUse              another worktree has it checked out
    │   ├── WorktreeExists
    │   ├── GitTimeout
    │   └── GitFailed                any other failure of git
    ├── WorkspaceError               worktrees could not be created or removed: workspace, path
    ├── ProcessError                 a process could not be run or reached: token
    │   ├── ExecutableNotFound
    │   ├── WorkingDirectoryMissing
    │   ├── ProcessStartFailed
    │   └── ProcessGone
    ├── UnknownExecutor
    ├── TemplateError                a prompt cannot be rendered: template, line
    │   └── MissingVariable
    ├── ProtocolError                engine and worker violate the protocol
    │   ├── LocalProtocolError       this side violated the protocol, or would have
    │   │   └── FrameTooLarge        a message exceeds the size of a frame
    │   ├── RemoteProtocolError      the other side violated the protocol
    │   └── UnknownMethod
    ├── RemoteError                  the other side failed with an error unknown here
    ├── WorkerUnavailable            no worker, or it disconnected during a request
    ├── EngineClosed
    ├── AmbiguousId                  a partial id matches several ids: kind, candidates
    ├── KeyReused                    the same key with a different request: key, task
    ├── NoSession                    no session to resume: executor, place
    ├── RunFailed                    a run failed: task, failure
    ├── RunCancelled                 a run was cancelled, or its task deleted: task
    ├── RunNotDriven                 a run has not ended, but no engine drives it: task, status
    └── ImpossibleTransition         a table has no such row (a bug, or a damaged log)

For programs, each class has a stable `code`, its facts as attributes, and `transient`, which says whether a later retry
may help. For people, `remedy` says what to do, and `str()` combines message and remedy.
"""

from aura_contracts.errors.base import *
from aura_contracts.errors.protocol import *
from aura_contracts.errors.refusals import *
from aura_contracts.errors.repositories import *
from aura_contracts.errors.runs import *
from aura_contracts.errors.store import *
