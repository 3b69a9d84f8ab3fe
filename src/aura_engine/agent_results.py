"""Agent results: what an agent says about its own run, as JSON at the end of its last message. Pure.

Every prompt of a run asks for it, see `SCHEMA`. Reading is tolerant: the object may stand in prose or in a code block,
keys may be missing, and further ones are ignored. What is absent or malformed is unknown. Where an agent was asked
whether a human should look, and it is unknown what it says, a human is asked: see `wants_human`.
"""

import math
from collections.abc import Mapping
from typing import Any

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import AgentResult
from aura_engine.message_objects import objects_in

KEYS = ("proposal", "confidence", "requires_approval", "error")

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "proposal": {"type": "string", "description": "what you propose, or what you have done, for the reviewer"},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "requires_approval": {"type": "boolean", "description": "whether a human should look at it in any case"},
        "error": {"type": ["string", "null"], "description": "why the task could not be done, otherwise null"},
    },
    "required": list(KEYS),
}
"""The JSON Schema of a result."""

REQUEST = "end your last message with one JSON object that follows this JSON Schema"
"""The words of the template ``result`` by which a prompt is known that asks for one."""

ASKED = frozenset(
    {
        *("acp", "amp", "claude", "codex", "copilot", "cursor-agent", "droid"),
        *("gemini", "lms", "local", "ollama", "opencode", "qwen-code"),
    }
)
"""Executors whose agents are asked for a result. Others get their prompt to the character: it may be a command's."""


def read_result(message: str) -> AgentResult | None:
    """Return the last result in a message; None without one, or if one of its keys occurs twice.

    >>> read_result('Done. {"confidence": 0.8, "error": null}')
    AgentResult(proposal=None, confidence=0.8, requires_approval=None, error=None)
    """
    try:
        results = [one for one in objects_in(message) if len(one.data.keys() & set(KEYS)) > 1]
    except InvalidInput:
        return None
    if not results or results[-1].repeated is not None:
        return None
    found = results[-1].data
    return AgentResult(
        proposal=_text(found.get("proposal")),
        confidence=_share(found.get("confidence")),
        requires_approval=_flag(found.get("requires_approval")),
        error=_text(found.get("error")),
    )


def wants_human(prompt: str, result: AgentResult | None) -> bool:
    """Whether a human has to look although none is required: the agent says so, or says nothing although it was asked.

    An agent that `prompt` does not ask, such as a command of one's own, decides nothing by its silence.

    >>> wants_human("Fix it", None)
    False
    """
    if result is None or result.requires_approval is None:
        return REQUEST in prompt
    return result.requires_approval


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    cleaned = value.replace("\0", "").encode("utf-8", "replace").decode()
    return cleaned.strip() or None


def _share(value: object) -> float | None:
    """Return a number from 0 to 1; anything else is not known to be one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value <= 1 else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
