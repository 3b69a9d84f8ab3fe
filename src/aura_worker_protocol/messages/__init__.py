"""Messages: the requests of engine and worker and their results, method by method.

The **engine decides, the worker does**. All requests of the engine are repeatable: sent again after a crash of either
side they do nothing twice and have the same result. Reports of a worker about an execution carry the **epoch** of its
lease; a report under an older one is refused, and the worker then ends what it still runs.

    workspaces    engine ──► worker    workspace.*   worktrees of a task
    processes     engine ──► worker    process.*     scripts and agents
    executors     engine ──► worker    executors.*   agents that can run there
    reports       worker ──► engine    worker.*      hello, heartbeat
                                       output.*      output of processes and the entries in it, in order, acknowledged

Names of methods and fields are the wire format: never renamed. Fields may be added with a default.
"""

from aura_worker_protocol.messages.executors import CheckOptions as CheckOptions
from aura_worker_protocol.messages.executors import ExecutorsListed as ExecutorsListed
from aura_worker_protocol.messages.executors import ListExecutors as ListExecutors
from aura_worker_protocol.messages.executors import OptionsChecked as OptionsChecked
from aura_worker_protocol.messages.processes import AgentWork as AgentWork
from aura_worker_protocol.messages.processes import AnswerPermission as AnswerPermission
from aura_worker_protocol.messages.processes import AwaitProcess as AwaitProcess
from aura_worker_protocol.messages.processes import ForgetProcess as ForgetProcess
from aura_worker_protocol.messages.processes import InterruptProcess as InterruptProcess
from aura_worker_protocol.messages.processes import NoteWaiting as NoteWaiting
from aura_worker_protocol.messages.processes import ProcessFinished as ProcessFinished
from aura_worker_protocol.messages.processes import StartedProcess as StartedProcess
from aura_worker_protocol.messages.processes import StartProcess as StartProcess
from aura_worker_protocol.messages.processes import TellAgent as TellAgent
from aura_worker_protocol.messages.reports import AppendOutput as AppendOutput
from aura_worker_protocol.messages.reports import Heartbeat as Heartbeat
from aura_worker_protocol.messages.reports import Hello as Hello
from aura_worker_protocol.messages.reports import KnownProcess as KnownProcess
from aura_worker_protocol.messages.reports import OutputAccepted as OutputAccepted
from aura_worker_protocol.messages.reports import OutputRead as OutputRead
from aura_worker_protocol.messages.reports import ParsedRecord as ParsedRecord
from aura_worker_protocol.messages.reports import ReadOutput as ReadOutput
from aura_worker_protocol.messages.reports import Welcome as Welcome
from aura_worker_protocol.messages.workspaces import CollectWork as CollectWork
from aura_worker_protocol.messages.workspaces import DescribeRepository as DescribeRepository
from aura_worker_protocol.messages.workspaces import DiffWork as DiffWork
from aura_worker_protocol.messages.workspaces import FindOrphans as FindOrphans
from aura_worker_protocol.messages.workspaces import InspectWorkspace as InspectWorkspace
from aura_worker_protocol.messages.workspaces import MergeWork as MergeWork
from aura_worker_protocol.messages.workspaces import OrphansFound as OrphansFound
from aura_worker_protocol.messages.workspaces import PoolWarmed as PoolWarmed
from aura_worker_protocol.messages.workspaces import PrepareWorkspace as PrepareWorkspace
from aura_worker_protocol.messages.workspaces import ReadDocuments as ReadDocuments
from aura_worker_protocol.messages.workspaces import RemoveOrphan as RemoveOrphan
from aura_worker_protocol.messages.workspaces import RemoveWorktrees as RemoveWorktrees
from aura_worker_protocol.messages.workspaces import RepairWorkspace as RepairWorkspace
from aura_worker_protocol.messages.workspaces import ResetToSnapshot as ResetToSnapshot
from aura_worker_protocol.messages.workspaces import RevertWork as RevertWork
from aura_worker_protocol.messages.workspaces import TakeSnapshot as TakeSnapshot
from aura_worker_protocol.messages.workspaces import WarmPool as WarmPool
from aura_worker_protocol.request import ToEngine, ToWorker, by_method

PROTOCOL_VERSION = 1
TO_WORKER = by_method(ToWorker)
TO_ENGINE = by_method(ToEngine)
