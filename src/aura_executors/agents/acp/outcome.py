"""Outcome: how a turn ended and why, from the agent's stop reason, errors, messages and calls. Pure."""

import re

import msgspec

from aura_contracts.entries import Usage, UsageReported
from aura_contracts.failures import Failure, FailureReason
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, clipped
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_rpc import RpcError
from aura_executors.agents.acp.wire import PromptReply, Tokens

Counts = tuple[int, int, int, int]
"""Tokens: input, output, cache reads, cache writes."""

AUTH_REQUIRED = -32_000
"""The protocol's code for an agent that requires a login."""

_STATUS = re.compile(r"(?:details: )?([45][0-9]{2})\b")
"""Matches an error that consists of a status and the service's message (qwen 0.15.10)."""

_TROUBLE = re.compile(
    r"[\W_]{0,4}(?:(?:fatal|internal|api|provider|unexpected|stream|http|request) )*error\b"
    r"|failed to (?:authenticate|connect|reach)|(?:request|authentication|connection) failed|unexpected status"
    r"|exceeded retry limit|(?:you are )?not logged in|please (?:log in|login|run /login)",
    re.IGNORECASE,
)
"""Matches a message that is probably the agent's own, not the model's."""

_OWN = re.compile(r"Error: (?:Failed to get response from the AI model|Authentication failed with provider)")
"""Matches the message with which copilot gives up (1.0.102). It may follow half an answer of the model."""

_LAST_STATUS = re.compile(r"\bLast error: (?P<status>[45][0-9]{2})\b")
"""Matches the status in such a message."""

_STOPPED = {
    "max_tokens": (FailureReason.AGENT_ERROR, "it reached the limit of tokens before it was done"),
    "max_turn_requests": (
        FailureReason.AGENT_ERROR,
        "it reached its limit of requests to the model before it was done",
    ),
    "refusal": (FailureReason.REFUSED, "it declined to continue"),
    "cancelled": (FailureReason.CANCELLED, "its turn was cancelled"),
}


def failure_of_error(error: RpcError, doing: str = "") -> Failure:
    """Return the failure that an error response describes; `doing` is what was requested."""
    details = _words(error.data)
    numbers = (_STATUS.match(details), _STATUS.match(error.message or ""))
    status = error.code if 400 <= error.code < 600 else next((int(found[1]) for found in numbers if found), None)
    words = ": ".join(part for part in (error.message, details) if part and part.strip()) or f"error {error.code}"
    failure = failure_from(f"{doing}: {words}" if doing else words, status)
    if error.code == AUTH_REQUIRED and failure.reason is FailureReason.AGENT_ERROR:
        return msgspec.structs.replace(failure, reason=FailureReason.AUTHENTICATION)
    return failure


def is_own_error(piece: str) -> bool:
    """Whether a piece of a message is a known error of the agent's own, not words of the model."""
    return _OWN.match(piece) is not None


def failure_of_turn(reply: PromptReply, words: str, *, worked: bool) -> Failure | None:
    """Return why a turn failed, or None. `words` is its last message, `worked` whether it used any tool.

    Some agents end a turn successfully after the model's service has failed, and only mention it in a message. A
    message counts as such a failure if it is known to be the agent's own, or if it looks like one and nothing else
    happened in the turn: no tool was used, and no tokens were counted. gemini counts the tokens of each turn, and none
    if it took half an answer for the whole.
    """
    reason = reply.stop_reason
    if reason in _STOPPED:
        what, message = _STOPPED[reason]
        return Failure(what, message)
    if reason != "end_turn":
        return Failure(FailureReason.AGENT_ERROR, f"it stopped for a reason that is not known: {clipped(reason, 200)}")
    if is_own_error(words):
        status = _LAST_STATUS.search(words)
        return failure_from(words, int(status["status"]) if status else None)
    return None if worked or tokens(reply) else _failure_of_idle_turn(reply, words)


def _failure_of_idle_turn(reply: PromptReply, words: str) -> Failure | None:
    """Return why a turn in which nothing was used or counted failed, or None."""
    if not words:
        return Failure(FailureReason.AGENT_ERROR, "it ended its turn without a word, and without using any tool")
    if _TROUBLE.match(words.lstrip()):
        return failure_from(words)
    if reply.meta is not None and reply.meta.quota is not None and reply.meta.quota.token_count is not None:
        return Failure(FailureReason.AGENT_ERROR, "the model's answer broke off: the agent counted no tokens for it")
    return None


def tokens(reply: PromptReply) -> list[UsageReported]:
    """Return the tokens of a turn, by model if the agent reports models."""
    by_model = reply.meta.quota.model_usage or [] if reply.meta is not None and reply.meta.quota is not None else []
    if reply.usage is not None:
        model = clipped(by_model[0].model, 200) if len(by_model) == 1 else ""
        reports = [UsageReported(usage=usage_of(reply.usage), model=model)]
    else:
        reports = [
            UsageReported(
                usage=Usage(input_tokens=one.token_count.input_tokens, output_tokens=one.token_count.output_tokens),
                model=clipped(one.model, 200),
            )
            for one in by_model
        ]
    return [one for one in reports if one.usage != Usage()]


def usage_of(counted: Tokens) -> Usage:
    """Return tokens by kind, as computed by `counts_of`.

    >>> usage_of(Tokens(total_tokens=110, input_tokens=100, output_tokens=10, cached_read_tokens=90)).input_tokens
    10
    >>> usage_of(Tokens(total_tokens=200, input_tokens=100, output_tokens=10, cached_read_tokens=90)).input_tokens
    100
    """
    return Usage(*counts_of(counted))


def counts_of(counted: Tokens) -> Counts:
    """Return tokens by kind, in the order of `Usage`. Thoughts count as output, as they are billed.

    The protocol does not define whether input includes cache reads and writes, or whether output includes thoughts, and
    agents differ. The total decides: kinds that would exceed it are already included in others.
    """
    read, written, thoughts = (
        counted.cached_read_tokens or 0,
        counted.cached_write_tokens or 0,
        counted.thought_tokens or 0,
    )
    surplus = counted.total_tokens - counted.input_tokens - counted.output_tokens
    apart = surplus >= read + written
    return (
        max(0, counted.input_tokens - (0 if apart else read + written)),
        counted.output_tokens + (thoughts if surplus - (read + written if apart else 0) >= thoughts else 0),
        read,
        written,
    )


def _words(data: object) -> str:
    """Return the details of an error, in addition to its message."""
    if isinstance(data, dict):
        parts = [f"{name}: {value}" for name, value in data.items() if isinstance(value, str | int) and name != "stack"]
        return clipped("; ".join(parts), MESSAGE_LIMIT)
    return clipped(data, MESSAGE_LIMIT) if isinstance(data, str) else ""
