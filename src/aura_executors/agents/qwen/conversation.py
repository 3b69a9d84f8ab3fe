"""What Qwen Code says and how it ended. Pure.

Tokens are counted by message: those in a result are of the whole session, the turns before a resume included. A failure
of the service is a message in brackets, which consumed nothing: ``[API Error: 401 ...]``; after a rate limit, a line of
advice follows.

A question that is not answered within 30 or 60 seconds is cancelled by qwen, which then continues without the call and
reports success. The turn is ended there instead: the question stays open, and its answer waits for the resumed session,
which makes the same call again. So the cancelled call has no `ToolFinished`: it was never made.
"""

import re
from collections.abc import Iterable

from aura_contracts.entries import Message, Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import AgentRun
from aura_executors.adapter.bounded_text import clipped
from aura_executors.adapter.json_lines import Item, lost_session
from aura_executors.agents.claude.stream import StreamJson, failure_of_words, report, status_of, words_of
from aura_executors.agents.claude.wire import Assistant, Block, ResultMessage, Tokens

_LOST = "No saved session found with ID"

_PREFIX = "[API Error: "

_FAILURE = re.compile(
    r"\[API Error: (?P<words>(?:(?!\[API Error: ).)*)\]"
    r"(?:\n(?:Possible quota limitations|Please wait and try again)[^\n]*)?\s*\Z",
    re.DOTALL,
)
"""Matches a failure at the end of a message, with qwen's advice about limits."""

_GIVEN_UP = "Control request timeout"
"""Matches the result of a call whose question qwen no longer asks."""

_LIMITS = {"error_max_turns": "it reached the limit of turns that it was given"}


class QwenConversation(StreamJson):
    """Understands one run of Qwen Code."""

    edits = frozenset({"write_file", "edit"})
    plans = frozenset({"todo_write"})

    def __init__(self, run: AgentRun) -> None:
        super().__init__()
        self._resumed = run.session_id or ""
        self._last_error = ""
        """The last failure of the service, if nothing came after it."""

    def special(self, line: Assistant) -> Iterable[Item] | None:
        self._last_error = ""
        content, usage = line.message.content, line.message.usage
        if usage is None or usage.output_tokens:
            return None
        texts = [content] if isinstance(content, str) else [block.text for block in content]
        text = "".join(texts)
        if _PREFIX not in text or (found := _FAILURE.search(text)) is None:
            return None
        before, self._last_error = text[: found.start()], found["words"]
        return [*([Message(text=clipped(before))] if before else []), *report(self._last_error)]

    def failure_in(self, result: ResultMessage) -> Failure | None:
        if isinstance(result.subtype, str) and (limit := _LIMITS.get(result.subtype)):
            return Failure(FailureReason.AGENT_ERROR, limit)
        if self._last_error or result.is_error or result.subtype != "success":
            return failure_of_words(_inside(self._last_error or words_of(result)), status_of(result))
        return None

    def lost(self, words: str) -> Failure | None:
        return lost_session(self._resumed, words) if _LOST in words else None

    def given_up(self, block: Block) -> Failure | None:
        content = block.content
        if not block.is_error or not isinstance(content, str) or _GIVEN_UP not in content:
            return None
        tool = self.permissions.pending_tool(clipped(block.tool_use_id, 1_000))
        if not tool:
            return None
        words = f"it stopped waiting for permission to use {tool}; answer the question, and it continues its session"
        return Failure(FailureReason.PERMISSION_DENIED, words)

    def usage_in(self, result: ResultMessage) -> Iterable[Item]:
        return self.spent()

    def usage_of(self, tokens: Tokens) -> Usage:
        """Return them without those that were read from the cache, which qwen counts as input too."""
        cached = tokens.cache_read_input_tokens or 0
        given = max(0, (tokens.input_tokens or 0) - cached)
        return Usage(input_tokens=given, output_tokens=tokens.output_tokens or 0, cache_read_tokens=cached)


def _inside(words: str) -> str:
    """Return the words of a failure as the service said them; a status comes first, for those who look for one."""
    words = words.strip().removeprefix(_PREFIX).removesuffix("]")
    return f"API Error: {words}" if words[:3].isdecimal() else words
