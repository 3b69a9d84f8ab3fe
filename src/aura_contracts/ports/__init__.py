"""Ports: what AURA asks of the world outside its rules, as interfaces that adapters fulfil.

    event_log    where events are kept
    locks        who drives what, when several engines share a log
    git          repositories, branches, worktrees, merges
    workspaces   the worktrees of a task, together
    processes    processes that outlive their parent, and what they write
    executors    how an agent is started, understood and judged

Each adapter is blind to the others; they meet through these interfaces alone.
"""

from aura_contracts.ports.event_log import Clock, EventLog, SelfChecking

__all__ = ["Clock", "EventLog", "SelfChecking"]
