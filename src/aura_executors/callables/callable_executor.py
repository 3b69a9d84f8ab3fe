"""The executor of one Python function."""

import json
import sys
from typing import Any

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, Capability, Conversation, Executor, Launch
from aura_executors import isolated
from aura_executors.adapter.option_reader import read_options
from aura_executors.scripted.transcript import ScriptedConversation


class CallableOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a Python agent."""

    arguments: dict[str, Any] = {}
    """Data for the function, as JSON values."""


class CallableExecutor(Executor):
    """Runs a function that `CallableServer` serves at `socket`, in the protocol of the scripted agent."""

    capability = Capability(plan=True, protocol=True)

    def __init__(self, name: str, summary: str, socket: str) -> None:
        self.name = name
        self.summary = summary
        self._socket = socket

    def launch(self, run: AgentRun) -> Launch:
        options = read_options(self.name, run.options, CallableOptions)
        if run.session_id is not None:
            reason, remedy = f"{self.name} is a function, which has no sessions", "leave it out"
            raise InvalidInput(field="fork" if run.fork else "session_id", reason=reason, remedy=remedy)
        order = {
            "socket": self._socket,
            "name": self.name,
            "prompt": run.prompt,
            "folder": run.cwd,
            "arguments": options.arguments,
        }
        return Launch(
            argv=(sys.executable, "-I", "-S", isolated.__file__, "aura_executors.callables.relay"),
            stdin=json.dumps(order).encode() + b"\n",
        )

    def converse(self, run: AgentRun) -> Conversation:
        return ScriptedConversation()
