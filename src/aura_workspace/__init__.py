"""Workspaces on this machine: `LocalWorkspaces` implements the port of `aura_contracts.ports.workspaces`."""

from aura_workspace._local import LocalWorkspaces

__all__ = ["LocalWorkspaces"]
