"""Ports: what AURA asks of the world outside its rules, as interfaces that adapters fulfil.

    event_log    where events are kept
    read_models  lists and look-ups of what the events say
    locks        who drives what, when several engines share a log
    git          repositories, branches, worktrees, merges
    workspaces   the worktrees of a task, together
    processes    processes that outlive their parent, and what they write
    executors    how an agent is started, understood and judged

Each adapter is blind to the others; they meet through these interfaces alone.
"""

from typing import TYPE_CHECKING

from aura_contracts._lazy import export_lazily

if TYPE_CHECKING:
    from aura_contracts.ports.event_log import Clock as Clock
    from aura_contracts.ports.event_log import EventLog as EventLog
    from aura_contracts.ports.event_log import SelfChecking as SelfChecking
    from aura_contracts.ports.read_models import Page as Page
    from aura_contracts.ports.read_models import Query as Query
    from aura_contracts.ports.read_models import ReadModels as ReadModels

export_lazily(__name__)
