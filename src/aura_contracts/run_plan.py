"""Run plan: how to run an agent, apart from which agent and with what prompt. A task in the queue has one already."""

from enum import StrEnum
from typing import Any

import msgspec

from aura_contracts.permission.values import PermissionRules
from aura_contracts.workspace.values import MergeStyle


class Shell(StrEnum):
    """The shell that a script is written for."""

    BASH = "bash"
    SH = "sh"
    ZSH = "zsh"
    PWSH = "pwsh"


class Script(msgspec.Struct, frozen=True, gc=False):
    """Commands to run in the workspace before or after the agent. Never put secrets here: the log keeps them."""

    text: str
    shell: Shell = Shell.BASH


OUTPUT_LIMIT = 512 * 1024 * 1024
"""The default limit of bytes that a process may write: far more than a human reads, far less than a disk."""


class RunPlan(msgspec.Struct, frozen=True, gc=False):
    """How to run an agent, apart from which agent and with what prompt; stored, so that a restart does the same.

    Never put secrets here: the log keeps them forever. Times are in seconds; None means no limit.
    """

    options: dict[str, Any] = {}
    """Executor settings for this run, on top of those of the agent."""
    variables: dict[str, str] = {}
    """Variables for prompt templates, in addition to those that AURA provides."""
    setup: Script | None = None
    cleanup: Script | None = None
    timeout: float | None = None
    """Wall-clock limit for each process; the time that it waits for a human does not count."""
    idle_timeout: float | None = None
    """Limit without output for each process; the time that it waits for a human does not count."""
    output_limit: int = OUTPUT_LIMIT
    """Bytes for each process; a process that writes more is terminated."""
    merge_style: MergeStyle = MergeStyle.MERGE
    permissions: PermissionRules = PermissionRules()
    """Which tool calls need no human."""
    tools: bool = False
    """Whether the agent gets AURA's own tools for its task (`aura_engine.agent_tools`)."""
    fork: bool = False
    """Resume a copy of the session and leave the original unchanged."""
    decomposes: bool = False
    """The agent proposes how to split the task, and changes nothing."""
    reverts: dict[str, str] = {}
    """Repository -> the commit to revert with git, instead of running an agent."""
