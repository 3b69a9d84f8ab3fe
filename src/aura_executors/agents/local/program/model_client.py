"""One question to the model, retried where that may help, and made smaller where the server wants it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aura_executors.agents.local.program.chat import Chat
from aura_executors.agents.local.program.endpoint import Endpoint, ModelFailed
from aura_executors.agents.local.program.history import Message, sent
from aura_executors.agents.local.program.replies import ModelReply

LONGEST_WAIT = 60.0
"""Seconds between two attempts; a server that wants more has failed."""


@dataclass
class ModelClient:
    """A model that is asked. What its server does not understand is learnt from its answers, and left out."""

    endpoint: Endpoint
    name: str
    chat: Chat
    context_tokens: int
    settings: dict[str, Any]
    """Added to each request: temperature, max_tokens."""
    max_retries: int
    retry_delay: float
    """Seconds before the second attempt; doubled for each one after it."""
    sleep: Callable[[float], None] = time.sleep
    _stream: dict[str, Any] = field(default_factory=lambda: {"stream": True, "stream_options": {"include_usage": True}})

    def answer(self, system: str, messages: list[Message], tools: list[dict[str, Any]]) -> ModelReply:
        """Return what the model answers. Raises `ModelFailed`."""
        known = frozenset(tool["function"]["name"] for tool in tools)
        attempt = 0
        while True:
            body = {
                "model": self.name,
                "messages": sent(system, messages, self.context_tokens),
                "tools": tools,
                **self.settings,
                **self._stream,
            }
            try:
                return self.endpoint.complete(body, known, self.chat.keep_alive)
            except ModelFailed as failed:
                if self._made_smaller(failed, len(body["messages"])):
                    continue
                attempt += 1
                self._wait(failed, attempt)

    def _made_smaller(self, failed: ModelFailed, messages: int) -> bool:
        """Leave out what the server refused, if there is something that can be left out."""
        if failed.overflow:
            if messages > 4 and self.context_tokens >= 2_000:
                self.context_tokens //= 2
                self.chat.send("error", message=f"{failed}; older messages are left out", retrying=True)
                return True
            remedy = "begin a new session, or use a model with a larger context"
            raise ModelFailed(
                f"the conversation does not fit into the context of {self.name}: {failed}; {remedy}",
                status=failed.status,
            ) from failed
        if failed.status in {400, 422} and self._stream and "stream" in str(failed):
            self._stream = {"stream": True} if len(self._stream) > 1 else {}
            return True
        return False

    def _wait(self, failed: ModelFailed, attempt: int) -> None:
        wait = self.retry_delay * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        wait = max(min(wait, LONGEST_WAIT), failed.retry_after or 0.0)
        if not failed.again or attempt > self.max_retries:
            raise failed
        if wait > LONGEST_WAIT:
            message = f"{failed}; it says to try again in {wait:.0f} seconds"
            raise ModelFailed(message, status=failed.status) from failed
        self.chat.send("error", message=str(failed), retrying=True)
        self.sleep(wait)
