"""The messages of a conversation, and which of them a model is sent. Pure."""

import json
from typing import Any

Message = dict[str, Any]
"""A message of the chat completions API: role, content, tool_calls, tool_call_id."""

NOT_RUN = "This call was not carried out: the run ended before it. Call again if it is still needed."
INTERRUPTED = (
    "This call was interrupted while it ran. It may have taken effect in part, and was not repeated: look before you "
    "call again."
)

_LEFT_OUT = "\n\nEarlier messages of this conversation were left out, because it has become long."

CHARACTERS_PER_TOKEN = 3
"""Estimated low, so that histories are cut rather too early than too late."""


def mended(messages: list[Message], running: str | None) -> list[Message]:
    """Return `messages` with a result for every call that has none, because the run was cut off.

    `running` is the id of the call that was being carried out.
    """
    answered = {message.get("tool_call_id") for message in messages if message["role"] == "tool"}
    whole: list[Message] = []
    for group in groups(messages):
        whole += group
        for call in group[0].get("tool_calls", ()):
            if call["id"] not in answered:
                whole.append(result(call["id"], INTERRUPTED if call["id"] == running else NOT_RUN))
    return whole


def result(call_id: str, text: str) -> Message:
    """Return the message that tells the result of a call."""
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def groups(messages: list[Message]) -> list[list[Message]]:
    """Return `messages` in groups that cannot be parted: calls with their results; all others alone."""
    parts: list[list[Message]] = []
    for message in messages:
        if message["role"] == "tool" and parts and parts[-1][0].get("tool_calls"):
            parts[-1].append(message)
        else:
            parts.append([message])
    return parts


def asked(messages: list[Message], prompt: str) -> list[Message]:
    """Return `messages` and the prompt after them, unless it is what they end with: that run came to nothing."""
    question = {"role": "user", "content": prompt}
    return messages if messages and messages[-1] == question else [*messages, question]


def sent(system: str, messages: list[Message], tokens: int) -> list[Message]:
    """Return what a model is sent: the system's message, the latest prompt, and as much of the rest as fits.

    What is oldest is left out first. The latest prompt and the latest group stay, whatever their size, and the first
    prompt too where there is room. Prompts that follow one another are joined: the templates of some models refuse
    two of them.
    """
    parts = groups(messages)
    prompts = [number for number, group in enumerate(parts) if group[0]["role"] == "user"]
    kept = {len(parts) - 1, *prompts[-1:]} if parts else set()
    room = tokens * CHARACTERS_PER_TOKEN - len(system) - sum(_size(parts[number]) for number in kept)
    for number in (*prompts[:1], *reversed(range(len(parts)))):
        if number in kept:
            continue
        room -= _size(parts[number])
        if room < 0:
            break
        kept.add(number)
    chosen = [message for number, group in enumerate(parts) if number in kept for message in group]
    head = system if len(kept) == len(parts) else system + _LEFT_OUT
    return [{"role": "system", "content": head}, *_joined(chosen)]


def _size(group: list[Message]) -> int:
    return sum(len(json.dumps(message, ensure_ascii=False)) for message in group)


def _joined(messages: list[Message]) -> list[Message]:
    joined: list[Message] = []
    for message in messages:
        if joined and message["role"] == "user" == joined[-1]["role"]:
            joined[-1] = {"role": "user", "content": f"{joined[-1]['content']}\n\n{message['content']}"}
        else:
            joined.append(message)
    return joined
