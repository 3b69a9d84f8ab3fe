"""The conversation with Claude Code and its outcome. Pure.

Usage: ``modelUsage`` counts from the beginning of the process in 2.1.197, and of the session in 2.1.329, a resumed one
included; the newer ``model_usage_since_last_result`` is the relevant figure.

A result ends a turn, but not always the work: claude 2.1.329 runs subagents in the background and continues when they
are done. Meanwhile it asks for permissions, so standard input stays open until the next result. Background shell
commands are different: they may be servers that never end, and claude 2.1.329 waits for them forever, even with
standard input closed. They get `Launch.exit_grace` to end.

A message of the user that arrives during a turn reaches the model with the next result of a tool, or begins a turn of
its own, which the result before it announces (``queued_turn_count``). One that arrives after the last result is
answered if `Launch.exit_grace` suffices; else nothing confirms it, and it stays queued.
"""

from collections.abc import Iterable

from aura_contracts.entries import MessageTaken, Usage, UsageReported
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import AgentRun, Send
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped
from aura_executors.adapter.json_lines import Item, lost_session
from aura_executors.agents.claude.command import user_message
from aura_executors.agents.claude.stream import StreamJson, failure_of_words, report, status_of, words_of
from aura_executors.agents.claude.wire import (
    BACKGROUND_TASKS,
    MODEL_USAGES,
    RATE_LIMIT,
    RETRY,
    TOKENS,
    Assistant,
    CommandLifecycle,
    ModelUsage,
    RateLimit,
    ResultMessage,
    System,
    Tokens,
    read,
)

_LOST = ("No conversation found with session ID", "No conversation found to continue")

_REASONS = {
    "authentication_failed": FailureReason.AUTHENTICATION,
    "oauth_org_not_allowed": FailureReason.AUTHENTICATION,
    "rate_limit": FailureReason.RATE_LIMITED,
    "overloaded": FailureReason.RATE_LIMITED,
    "billing_error": FailureReason.RATE_LIMITED,
}
"""Claude's names for failures of its service that say more than the status; there are others."""

_LIMITS = {
    "error_max_turns": "it reached the limit of turns that it was given",
    "error_max_budget_usd": "it reached the limit of dollars that it was given",
    "error_max_structured_output_retries": "its answer did not fit the schema that it was given",
}

_CONFIRMS = "msg_lifecycle_v1"
"""What claude names among its capabilities if it reports what becomes of a message."""

_WAITED_FOR = frozenset({"local_agent", "local_workflow"})
"""Background tasks that come to an end; a shell command may be a server."""

_REFUSAL = "appears to violate our Usage Policy"

_MODELS_LIMIT = 100


class ClaudeConversation(StreamJson):
    """Parses one run of Claude Code."""

    edits = frozenset({"Write", "Edit", "MultiEdit", "NotebookEdit"})
    plans = frozenset({"TodoWrite"})

    def __init__(self, run: AgentRun) -> None:
        super().__init__()
        self._resumed = run.session_id or ""
        self._last_error = ""
        """Claude's name for the last failure of its service."""
        self._background = False
        self._counted: dict[str, ModelUsage] = {}
        self._confirms = False
        """Whether the agent reports what becomes of a message."""

    def begun(self, line: System) -> Iterable[Item] | None:
        self._confirms = isinstance(line.capabilities, list) and _CONFIRMS in line.capabilities
        return super().begun(line)

    def tell(self, message_id: str, text: str) -> Iterable[Send]:
        can = self._confirms and not self.interrupting and self.finished is None
        return [Send(user_message(text, message_id))] if can else ()

    def confirmed(self, line: CommandLifecycle) -> Iterable[Item]:
        if line.state not in ("queued", "completed") or not isinstance(line.command_uuid, str):
            return ()
        return [MessageTaken(message_id=clipped(line.command_uuid, 1_000), answered=line.state == "completed")]

    def note(self, line: System, raw: bytes) -> Iterable[Item]:
        if line.subtype == "api_retry":
            retry = RETRY.decode(raw)
            status = f" ({retry.error_status})" if retry.error_status else ""
            again = f"attempt {retry.attempt} of {retry.max_retries}"
            return report(f"{retry.error or 'the service failed'}{status}, {again}", retrying=True)
        if line.subtype == "background_tasks_changed":
            running = BACKGROUND_TASKS.decode(raw).tasks
            self._background = any(task.task_type in _WAITED_FOR for task in running)
        return ()

    def waiting(self, result: ResultMessage) -> bool:
        return self._background or result.queued_turn_count not in (0, None)

    def limited(self, line: RateLimit) -> Iterable[Item]:
        info = read(RATE_LIMIT, line.rate_limit_info)
        if info is None or info.status != "rejected":
            return ()
        self._last_error = "rate_limit"
        return report(f"the usage limit is reached {info.rate_limit_type}".strip())

    def special(self, line: Assistant) -> Iterable[Item] | None:
        if line.error is None:
            return None
        content = line.message.content
        self._last_error = line.error
        texts = [content] if isinstance(content, str) else [block.text for block in content]
        return report("\n".join(text for text in texts if text) or line.error)

    def failure_in(self, result: ResultMessage) -> Failure | None:
        words = words_of(result)
        if any(text in words for text in _LOST):
            return lost_session(self._resumed, words)
        if result.stop_reason == "refusal" or (result.is_error and _REFUSAL in words):
            return Failure(FailureReason.REFUSED, clipped(words, MESSAGE_LIMIT))
        if not result.is_error and result.subtype == "success":
            return None
        status = status_of(result)
        return self._cut_short(result) or self._named(words, status) or failure_of_words(words, status)

    def lost(self, words: str) -> Failure | None:
        return lost_session(self._resumed, words) if any(text in words for text in _LOST) else None

    def _cut_short(self, result: ResultMessage) -> Failure | None:
        if str(result.terminal_reason).startswith("aborted"):
            reason = FailureReason.CANCELLED if self.interrupting else FailureReason.AGENT_ERROR
            return Failure(reason, "it was interrupted")
        limit = _LIMITS.get(str(result.subtype))
        return None if limit is None else Failure(FailureReason.AGENT_ERROR, limit)

    def _named(self, words: str, status: int | None) -> Failure | None:
        reason = _REASONS.get(self._last_error) if status is None else None
        return None if reason is None else Failure(reason, clipped(words or self._last_error, MESSAGE_LIMIT))

    def usage_in(self, result: ResultMessage) -> Iterable[Item]:
        self._spent.clear()
        counted = read(MODEL_USAGES, result.model_usage) or {}
        since = read(MODEL_USAGES, result.model_usage_since_last_result)
        if since is None:
            since = {model: _less(usage, self._counted.get(model)) for model, usage in counted.items()}
            self._counted = dict(list(counted.items())[:_MODELS_LIMIT])
        if since or counted:
            return [_reported(model, usage) for model, usage in since.items() if usage != ModelUsage()]
        tokens = read(TOKENS, result.usage)
        cost = result.total_cost_usd if isinstance(result.total_cost_usd, (int, float)) else 0.0
        usage = _usage(tokens, float(cost)) if tokens is not None else Usage()
        return [UsageReported(usage=usage)] if usage != Usage() else ()

    def usage_of(self, tokens: Tokens) -> Usage:
        return _usage(tokens)


def _usage(tokens: Tokens, cost: float = 0.0) -> Usage:
    return Usage(
        input_tokens=tokens.input_tokens or 0,
        output_tokens=tokens.output_tokens or 0,
        cache_read_tokens=tokens.cache_read_input_tokens or 0,
        cache_write_tokens=tokens.cache_creation_input_tokens or 0,
        cost=cost,
    )


def _reported(model: str, usage: ModelUsage) -> UsageReported:
    spent = Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_input_tokens,
        cache_write_tokens=usage.cache_creation_input_tokens,
        cost=usage.cost,
    )
    return UsageReported(usage=spent, model=clipped(model, 1_000))


def _less(usage: ModelUsage, before: ModelUsage | None) -> ModelUsage:
    """Return the increase of a count; a count that decreased was reset."""
    if before is None or usage.output_tokens < before.output_tokens or usage.input_tokens < before.input_tokens:
        return usage
    return ModelUsage(
        input_tokens=usage.input_tokens - before.input_tokens,
        output_tokens=usage.output_tokens - before.output_tokens,
        cache_read_input_tokens=max(0, usage.cache_read_input_tokens - before.cache_read_input_tokens),
        cache_creation_input_tokens=max(0, usage.cache_creation_input_tokens - before.cache_creation_input_tokens),
        cost=max(0.0, usage.cost - before.cost),
    )
