"""Requests: what somebody asks for with a run, as values, checked before anything is done."""

from collections.abc import Sequence
from typing import Any

import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import OUTPUT_LIMIT, RunPlan, Script, Shell
from aura_contracts.permission import PermissionRules, is_rule
from aura_contracts.secrets import require_no_secrets
from aura_contracts.task import ApprovalMode, Priority, RetryPolicy

TITLE_LENGTH = 72
"""Characters of a title that is made of a prompt."""


def title_of(prompt: str) -> str:
    """Return a title for what `prompt` asks for: its first line with something in it, cut at a word."""
    line = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    if len(line) <= TITLE_LENGTH:
        return line
    return f"{line[:TITLE_LENGTH].rpartition(' ')[0] or line[:TITLE_LENGTH]}..."


def _script(value: str | Script | None) -> Script | None:
    return Script(text=value) if isinstance(value, str) else value


def _texts(_: Any, field: "attrs.Attribute[Any]", value: Sequence[str]) -> None:
    if isinstance(value, str) or not all(isinstance(one, str) for one in value):
        raise InvalidInput(field=field.name, reason=f"{value!r} is no list of texts", remedy="put it in a list")


def _rules(_: Any, field: "attrs.Attribute[Any]", value: Sequence[str]) -> None:
    _texts(_, field, value)
    for rule in value:
        if not is_rule(rule):
            remedy = "write the name of a tool, or Tool(what it is used on)"
            raise InvalidInput(field=field.name, reason=f"{rule!r} is no rule", remedy=remedy)


def _mode(value: str) -> ApprovalMode:
    try:
        return ApprovalMode(value)
    except ValueError as error:
        remedy = f"it is one of {', '.join(ApprovalMode)}"
        raise InvalidInput(field="approval", reason=f"{value!r} is no approval mode", remedy=remedy) from error


def _positive(_: Any, field: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise InvalidInput(field=field.name, reason=f"{value} is no number of seconds above 0")


def _bytes(_: Any, field: "attrs.Attribute[Any]", value: int) -> None:
    if value < 1:
        raise InvalidInput(field=field.name, reason=f"{value} is no number of bytes above 0")


def _filled(_: Any, field: "attrs.Attribute[Any]", value: str) -> None:
    if not isinstance(value, str):
        raise InvalidInput(field=field.name, reason=f"{value!r} is no text")
    if not value.strip():
        raise InvalidInput(field=field.name, reason="it is empty")


@attrs.frozen(kw_only=True)
class RunRequest:
    """One task from prompt to result. Times are in seconds."""

    prompt: str = attrs.field(validator=_filled)
    executor: str = attrs.field(validator=_filled)
    options: dict[str, Any] = attrs.field(factory=dict)
    """Settings of the executor, see there. Never secrets: the log keeps them for ever."""
    title: str = ""
    """Empty: made of the prompt."""
    repositories: Sequence[str] = attrs.field(default=(".",), validator=_texts)
    """Paths; a folder that is in no repository is worked in as it is."""
    in_place: bool = False
    """Work where the files are, without a worktree."""
    target_branch: str = ""
    """What the work is merged into; empty: the branch that each repository is on."""
    copy: Sequence[str] = attrs.field(default=(), validator=_texts)
    """Untracked files to take along into the worktrees: patterns such as ``.env``."""
    approval: ApprovalMode = attrs.field(default=ApprovalMode.CHANGES, converter=_mode)
    reviewers: Sequence[str] = attrs.field(default=(), validator=_texts)
    setup: Script | None = attrs.field(default=None, converter=_script)
    cleanup: Script | None = attrs.field(default=None, converter=_script)
    timeout: float | None = attrs.field(default=None, validator=_positive)
    idle_timeout: float | None = attrs.field(default=None, validator=_positive)
    output_limit: int = attrs.field(default=OUTPUT_LIMIT, validator=_bytes)
    """Bytes that each process may write before it is ended."""
    retry: RetryPolicy = attrs.field(factory=RetryPolicy)
    variant: str | None = None
    """A named set of the executor's options, see `aura_engine.profiles`."""
    session_id: str | None = None
    """The agent's session to go on with."""
    fork: bool = False
    """Go on with a copy of that session, and leave it as it is."""
    allow: Sequence[str] = attrs.field(default=(), validator=_rules)
    """Tool calls that need no human: rules such as ``Bash(npm test)``, see `aura_contracts.permission`."""
    tools: bool = False
    """Give the agent AURA's own tools: to report, to ask, to create subtasks; see `aura_engine.tools`."""
    deny: Sequence[str] = attrs.field(default=(), validator=_rules)
    """Tool calls that are refused without asking; they go before what is allowed."""
    variables: dict[str, str] = attrs.field(factory=dict)
    """For prompt templates."""
    priority: Priority = attrs.field(default=Priority.MEDIUM, converter=Priority)
    project: str | None = None
    context: dict[str, Any] = attrs.field(factory=dict)
    """Anything that belongs to the task, as JSON values."""

    def __attrs_post_init__(self) -> None:
        require_no_secrets(self.options)
        require_no_secrets(self.variables, "variables")
        require_no_secrets(self.context, "context")
        if self.fork and self.session_id is None:
            raise InvalidInput(field="fork", reason="there is no session to copy", remedy="name a session_id")

    @property
    def plan(self) -> RunPlan:
        """The part of the request that is kept with the execution."""
        return RunPlan(
            options=self.options,
            variables=self.variables,
            setup=self.setup,
            cleanup=self.cleanup,
            timeout=self.timeout,
            idle_timeout=self.idle_timeout,
            output_limit=self.output_limit,
            permissions=PermissionRules(allow=tuple(self.allow), deny=tuple(self.deny)),
            fork=self.fork,
            tools=self.tools,
        )


__all__ = ["RunRequest", "Script", "Shell", "title_of"]
