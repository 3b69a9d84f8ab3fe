"""Ports: the interfaces to the world outside AURA's rules, which adapters implement.

    event_log       where events are stored, and locks: which engine drives what, if several share a log
    archive         the log as a whole: audits, history, costs, maintenance
    read_models     lists and lookups, derived from the events
    rows            what the read models list besides states, and pages
    milestones      what the metrics and the record of agents are counted from
    time_arguments  how a caller names a place in the log
    git             repositories, branches, worktrees, merges
    git_values      what that takes and returns
    submodules      repositories inside a repository
    workspaces      the worktrees of a task as a unit
    processes       processes that outlive their parent, and their output
    executors       how to start, understand and judge an agent
    callables       Python functions as agents
    notifications   messages to people, and the channels that send them

Adapters do not know each other; they meet only through these interfaces.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_contracts.ports.event_log import Clock as Clock
    from aura_contracts.ports.event_log import EventLog as EventLog
    from aura_contracts.ports.event_log import SelfChecking as SelfChecking
    from aura_contracts.ports.executors import Executor as Executor
    from aura_contracts.ports.read_models import Query as Query
    from aura_contracts.ports.read_models import ReadModels as ReadModels
    from aura_contracts.ports.rows import Page as Page
    from aura_contracts.ports.workspaces import WorkspaceSpec as WorkspaceSpec

export_lazily(__name__)
