"""What a model answers, assembled from whatever pieces its server sends. Pure.

The format is that of OpenAI's chat completions, with the liberties that servers for local models take: whole answers
instead of a stream, calls without index or id, arguments as objects, thinking under several names or inside the text.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

THINKING = ("reasoning_content", "reasoning", "thinking")
"""Under which names servers send what a model thinks (DeepSeek and vLLM, OpenRouter and Ollama, llama.cpp)."""

_THOUGHT = re.compile(r"\s*<think>(?P<thought>.*?)</think>\s*", re.DOTALL)
_PRINTED = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
_FENCED = re.compile(r"\s*```(?:json|tool_call)?\s*\n(\{.*\})\s*\n?```\s*", re.DOTALL)


class BadReply(Exception):
    """An answer that nothing can be made of; the next attempt may bring a better one."""


class ServerError(Exception):
    """The server reports an error in the middle of its answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class ModelCall:
    """A tool call; `arguments` is the JSON text that the model wrote, which may be broken."""

    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass
class ModelReply:
    """What a model answered."""

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list[ModelCall] = field(default_factory=list)
    finish_reason: str = ""
    model: str = ""
    usage: dict[str, int] | None = None
    """The fields of `Usage`; None if the server does not say."""


class Collector:
    """Takes in the pieces of one answer."""

    def __init__(self) -> None:
        self._reply = ModelReply()
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, ModelCall] = {}
        self._done = False

    def feed(self, data: bytes) -> None:
        """Take in the data of an event, or the body of an answer. Raises `BadReply`, `ServerError`."""
        if data.strip() == b"[DONE]":
            self._done = True
            return
        try:
            piece = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadReply(f"the server sent malformed JSON: {data[:200].decode('utf-8', 'replace')!r}") from error
        if not isinstance(piece, dict):
            raise BadReply("the server sent JSON that is not an object")
        if reported := piece.get("error"):
            raise ServerError(message_of(piece), _status_in(reported))
        self._reply.model = _text(piece.get("model")) or self._reply.model
        self._reply.usage = _usage(piece.get("usage")) or self._reply.usage
        choices = piece.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._choice(choices[0])

    def reply(self, tools: frozenset[str]) -> ModelReply:
        """Return the whole answer. Raises `BadReply` if it broke off, or is empty. `tools` may be called in words."""
        reply = self._reply
        if not (self._done or reply.finish_reason):
            raise BadReply("the answer of the server broke off")
        reply.text, inline = without_thoughts("".join(self._text))
        reply.thinking = "".join(self._thinking) or inline
        reply.refusal = "".join(self._refusal)
        reply.calls = [self._calls[index] for index in sorted(self._calls) if self._calls[index].name]
        if not reply.calls:
            reply.text, reply.calls = printed_calls(reply.text, tools)
        empty = not reply.text.strip() and not reply.calls and not reply.refusal
        if empty and reply.finish_reason not in {"content_filter", "length"}:
            raise BadReply("the model answered nothing")
        return reply

    def _choice(self, choice: dict[str, Any]) -> None:
        self._reply.finish_reason = _text(choice.get("finish_reason")) or self._reply.finish_reason
        said = choice.get("delta") or choice.get("message")
        if not isinstance(said, dict):
            return
        self._text.append(_content(said.get("content")))
        self._refusal.append(_text(said.get("refusal")))
        self._thinking.append(next((text for name in THINKING if (text := _content(said.get(name)))), ""))
        calls = said.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                self._call(call, position)

    def _call(self, piece: dict[str, Any], position: int) -> None:
        function = piece.get("function")
        if not isinstance(function, dict):
            return
        call = self._calls[self._index(piece, function, position)]
        call.id = call.id or _text(piece.get("id"))
        call.name = call.name or _text(function.get("name"))
        arguments = function.get("arguments")
        call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""

    def _index(self, piece: dict[str, Any], function: dict[str, Any], position: int) -> int:
        """Return which call a piece belongs to. Servers that give every call the index 0 begin each with an id."""
        index = piece.get("index")
        begins = bool(function.get("name"))
        if type(index) is not int:
            index = len(self._calls) if begins else max(self._calls, default=position)
        known = self._calls.get(index)
        if known is not None and begins and known.name and _text(piece.get("id")) not in {"", known.id}:
            index = max(self._calls) + 1
        elif known is None and not begins and self._calls:
            index = max(self._calls)
        self._calls.setdefault(index, ModelCall())
        return index


def without_thoughts(text: str) -> tuple[str, str]:
    """Return a text, and the thoughts that it begins with.

    >>> without_thoughts("<think>two and two</think>four")
    ('four', 'two and two')
    """
    found = _THOUGHT.match(text)
    return (text[found.end() :], found["thought"].strip()) if found else (text, "")


def printed_calls(text: str, tools: frozenset[str]) -> tuple[str, list[ModelCall]]:
    """Return `text` without the calls that are printed in it, and these: of known tools only, marked as calls only.

    >>> printed_calls('<tool_call>{"name": "search", "arguments": {"pattern": "x"}}</tool_call>', frozenset({"search"}))
    ('', [ModelCall(id='', name='search', arguments='{"pattern": "x"}')])
    """
    fenced = _FENCED.fullmatch(text)
    printed = [fenced[1]] if fenced else _PRINTED.findall(text)
    calls = []
    for one in printed:
        try:
            call = json.loads(one)
        except (ValueError, RecursionError):
            return text, []
        name, arguments = call.get("name"), call.get("arguments", call.get("parameters"))
        if name not in tools or not isinstance(arguments, dict):
            return text, []
        calls.append(ModelCall(name=name, arguments=json.dumps(arguments)))
    if not calls:
        return text, []
    return ("" if fenced else _PRINTED.sub("", text).strip()), calls


def message_of(body: object) -> str:
    """Return the message in the body of an error: ``{"error": {"message": ...}}``, or what is most like it."""
    inner = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(inner, dict):
        inner = inner.get("message") or inner.get("detail") or json.dumps(inner)
    return str(inner)[:2_000]


def _status_in(error: object) -> int | None:
    code = error.get("code") if isinstance(error, dict) else None
    return code if type(code) is int and 400 <= code < 600 else None


def _usage(given: object) -> dict[str, int] | None:
    if not isinstance(given, dict):
        return None
    details = given.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    return {
        "input_tokens": max(0, _count(given.get("prompt_tokens")) - cached),
        "output_tokens": _count(given.get("completion_tokens")),
        "cache_read_tokens": cached,
    }


def _count(value: object) -> int:
    return value if type(value) is int and 0 <= value < 1 << 53 else 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _content(value: object) -> str:
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in value if isinstance(part, dict))
    return _text(value)
