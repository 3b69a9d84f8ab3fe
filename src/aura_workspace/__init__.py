"""Workspaces: the worktrees that a task is worked on in. See `aura_contracts.ports.workspaces` for what they are."""

from aura_workspace._local import LocalWorkspaces

__all__ = ["LocalWorkspaces"]
