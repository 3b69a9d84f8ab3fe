"""The loop of the agent: asks the model and carries out its calls until it is done."""

import json
from uuid import uuid4

from aura_executors.agents.local.program.chat import Chat
from aura_executors.agents.local.program.interruption import Interruption
from aura_executors.agents.local.program.model_client import ModelClient
from aura_executors.agents.local.program.replies import ModelCall, ModelReply
from aura_executors.agents.local.program.request import AgentRequest
from aura_executors.agents.local.program.session import Session
from aura_executors.agents.local.program.toolbox import Toolbox
from aura_executors.agents.local.program.tools import offered

SYSTEM = """\
You are a coding agent. You work in the folder {cwd}, by calling tools; paths are relative to it. Look at the \
files before you change them, change no more than the task needs, and run the tests, if there are any, after a \
change. A call that the user did not permit you do not try another way. When all is done, answer without calling a \
tool: say briefly what you did."""


class LoopFailed(Exception):
    """The run has failed, and not by an error of the model's server. `reason` is one of `FailureReason`."""

    def __init__(self, message: str, reason: str = "AgentError") -> None:
        super().__init__(message)
        self.reason = reason


class Loop:
    """One run."""

    def __init__(
        self,
        request: AgentRequest,
        cwd: str,
        model: ModelClient,
        session: Session,
        toolbox: Toolbox,
        chat: Chat,
        interruption: Interruption,
    ) -> None:
        self._request = request
        self._model = model
        self._session = session
        self._toolbox = toolbox
        self._chat = chat
        self._interruption = interruption
        self._used = 0
        self._system = "\n\n".join(part for part in (SYSTEM.format(cwd=cwd), request.append_system_prompt) if part)

    def run(self) -> None:
        """Work until the model is done. Raises `LoopFailed`, `ModelFailed`, `InputClosed`, `Stopped`, `OSError`."""
        tools = offered(self._request.autonomy)
        for _ in range(self._request.max_turns):
            reply = self._model.answer(self._system, self._session.messages, tools)
            self._take_in(reply)
            if not reply.calls:
                self._require_whole(reply)
                return
            self._require_budget()
            for call in reply.calls:
                self._toolbox.carry_out(call)
        remedy = "raise the option max_turns, or follow up to continue"
        raise LoopFailed(f"it was not done after {self._request.max_turns} turns; {remedy}")

    def _take_in(self, reply: ModelReply) -> None:
        known = {call["id"] for message in self._session.messages for call in message.get("tool_calls", ())}
        for call in reply.calls:
            if not call.id or call.id in known:  # some servers restart numbering in each answer
                call.id = f"call_{uuid4().hex[:16]}"
            known.add(call.id)
        with self._interruption.held():
            self._session.messages.append(_message(reply))
            self._session.save()
        if reply.usage is not None:
            self._used += sum(reply.usage.values())
            self._chat.send("usage", usage=reply.usage, model=reply.model or self._model.name)
        if reply.thinking.strip():
            self._chat.send("thinking", text=reply.thinking.strip())
        if text := (reply.text or reply.refusal).strip():
            self._chat.send("message", text=text)

    def _require_whole(self, reply: ModelReply) -> None:
        if reply.refusal or reply.finish_reason == "content_filter":
            raise LoopFailed(reply.refusal or "the server withheld the model's answer", "Refused")
        if reply.finish_reason == "length":
            raise LoopFailed("the model's answer was cut off at its limit of tokens; raise the option max_tokens")

    def _require_budget(self) -> None:
        limit = self._request.max_total_tokens
        if limit is not None and self._used > limit:
            raise LoopFailed(f"it used {self._used} tokens, more than the {limit} of the option max_total_tokens")


def _message(reply: ModelReply) -> dict[str, object]:
    """Return the reply as a message of the conversation; broken arguments as an empty object, which servers read."""
    text = (reply.text or reply.refusal).encode("utf-8", "replace").decode()
    message: dict[str, object] = {"role": "assistant", "content": text}
    if reply.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _readable(call)}}
            for call in reply.calls
        ]
    return message


def _readable(call: ModelCall) -> str:
    try:
        return call.arguments if isinstance(json.loads(call.arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"
