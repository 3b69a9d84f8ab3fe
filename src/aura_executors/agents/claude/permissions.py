"""Permissions: questions and answers in Claude Code's control protocol. Pure.

agent                                       AURA
control_request can_use_tool         ->
                                     <-     control_response allow, with the input    or deny, with a message
control_cancel_request               ->     (the agent no longer waits)
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from aura_contracts.entries import PermissionRequested, PermissionWithdrawn
from aura_contracts.permission import fingerprint_of
from aura_contracts.ports.executors import Answer, Send
from aura_executors.adapter.bounded_text import clipped, clipped_value
from aura_executors.adapter.json_lines import Item
from aura_executors.adapter.questions import LIMIT, OpenQuestions
from aura_executors.agents.claude.edits import diff_of
from aura_executors.agents.claude.wire import ARGUMENTS, CanUseTool, ControlRequest, read

DENIED = "This was not permitted."
"""The message for a denial without feedback: the protocol requires one."""


class _Open(msgspec.Struct, frozen=True, gc=False):
    given: bytes
    """The raw input."""
    call_id: str
    tool: str


class Permissions:
    """The open questions of one run. Each is answered once, repeating the agent's input byte for byte."""

    def __init__(self) -> None:
        self.denied = ""
        """A description of what was not permitted; empty if everything was."""
        self._questions = OpenQuestions[_Open]()

    def asked(self, line: ControlRequest) -> Iterable[Item]:
        """Process a request of the agent. Requests that are not about a tool are refused, so that it does not wait."""
        if clipped(line.request_id, 1_000) != line.request_id:
            return [_reply(line.request_id, error="request_id is not a name")]
        request = line.request
        if request.subtype != "can_use_tool":
            return [_reply(line.request_id, error=f"{request.subtype} is not supported")]
        arguments = read(ARGUMENTS, request.input)
        if arguments is None or not isinstance(request.tool_name, str):
            return [_reply(line.request_id, error="a tool has a name, and its input is an object")]
        return self._question(line.request_id, request, arguments)

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        """Return the response, or nothing if the agent does not wait for it."""
        question = self._questions.answer(request_id, answer)
        return () if question is None else [self._respond(request_id, question, answer)]

    def withdrawn(self, request_id: str) -> Iterable[Item]:
        """Record that the agent no longer waits for an answer."""
        self._questions.open.pop(request_id, None)
        return [PermissionWithdrawn(request_id=request_id)]

    def settled(self, call_id: str) -> None:
        """Record that a call ended, so its questions no longer need an answer."""
        if not self._questions.open:
            return
        for request_id in [one for one, question in self._questions.open.items() if question.call_id == call_id]:
            del self._questions.open[request_id]

    def pending_tool(self, call_id: str) -> str:
        """Return the tool of a call whose question is open, an empty text if none is."""
        return next((one.tool for one in self._questions.open.values() if call_id and one.call_id == call_id), "")

    def _question(self, request_id: str, request: CanUseTool, arguments: dict[str, object]) -> Iterable[Item]:
        call_id = clipped(request.tool_use_id, 1_000) if isinstance(request.tool_use_id, str) else ""
        if request_id not in self._questions.open and len(self._questions.open) >= LIMIT:
            return [_decision(request_id, Answer(granted=False, feedback="Too many questions are open."), b"{}")]
        tool = clipped(request.tool_name, 1_000)
        question = _Open(bytes(request.input), call_id, tool)
        entry = PermissionRequested(
            request_id=request_id,
            tool=tool,
            fingerprint=fingerprint_of(request.tool_name, arguments),
            arguments=clipped_value(arguments),
            diff=diff_of(arguments),
            call_id=call_id,
        )
        early = self._questions.ask(request_id, question)
        return [entry] if early is None else [entry, self._respond(request_id, question, early)]

    def _respond(self, request_id: str, question: _Open, answer: Answer) -> Send:
        if not answer.granted:
            self.denied = f"it was not permitted to use {question.tool}"
        return _decision(request_id, answer, question.given)


def _decision(request_id: str, answer: Answer, given: bytes) -> Send:
    if answer.granted:
        return _reply(request_id, b'{"behavior":"allow","updatedInput":' + given + b"}")
    message = clipped(answer.feedback).strip() or DENIED
    return _reply(request_id, msgspec.json.encode({"behavior": "deny", "message": message}))


def _reply(request_id: str, response: bytes = b"", error: str = "") -> Send:
    response_fields: dict[str, Any] = {"subtype": "error" if error else "success", "request_id": request_id}
    response_fields |= {"error": clipped(error, 500)} if error else {"response": msgspec.Raw(response)}
    return Send(msgspec.json.encode({"type": "control_response", "response": response_fields}) + b"\n")
