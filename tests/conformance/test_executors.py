"""Every executor keeps the promises of `aura_contracts.ports.executors`: AURA's own, and one from outside."""

import json
from collections.abc import Sequence

import pytest
from cowsay import Cowsay

from aura_contracts.ports.executors import AgentRun, Executor
from aura_executors import CustomExecutor, ScriptedExecutor
from aura_executors.callables import CallableExecutor
from aura_executors.testing.executor import ExecutorConformance

USAGE = {"input_tokens": 12, "output_tokens": 3, "cost": 0.25}
TRANSCRIPT = b"".join(
    line if isinstance(line, bytes) else json.dumps({"aura": line}).encode() + b"\n"
    for line in (
        {"type": "session_started", "session_id": "scripted-0"},
        b"plain output, not a word of it understood\n",
        {"type": "message", "text": "a greeting: h\u00e4ll\u00f6\nworld"},
        b'{"aura": {"type": "message"}}\n',
        b'{"aura": {"type": "message", "text": "a NUL: \\u0000"}}\n',
        b'{"aurora": 1}\n\xff\xfe\x00\n\n',
        {"type": "permission_request", "request_id": "1", "tool": "rm", "fingerprint": "f", "arguments": {"path": "a"}},
        {"type": "tool_call", "call_id": "1", "tool": "rm", "arguments": {"path": "a"}},
        {"type": "usage", "usage": USAGE},
        {"type": "error", "message": "it went wrong"},
        {"type": "finished", "failure": {"reason": "Refused", "message": "I would rather not"}},
        b'{"aura": {"type": "session_started", "session_id": "scripted-1"}}',
    )
)


class TestCustom(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Executor:
        return CustomExecutor()

    @pytest.fixture
    def runs(self) -> Sequence[AgentRun]:
        options = [{}, {"prompt_via": "argument"}, {"prompt_via": "stdin", "env": {"A": "1"}}, {"params": ["{prompt}"]}]
        return [AgentRun(prompt="x", cwd="/tmp", options={"base_command": "sh", **more}) for more in options]


class TestScripted(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Executor:
        return ScriptedExecutor()

    @pytest.fixture
    def runs(self) -> Sequence[AgentRun]:
        rounds = [[{"say": "hello"}], [{"ask": "rm"}]]
        return [
            AgentRun(prompt="x", cwd="/tmp", options={"rounds": rounds}, session_id=session)
            for session in (None, "scripted-0", "scripted-1", "scripted-7", "mine")
        ]

    @pytest.fixture
    def transcripts(self) -> Sequence[bytes]:
        return [TRANSCRIPT]


class TestCowsay(ExecutorConformance):
    """The example in the port's documentation, with what it leaves out: unknown options are refused."""

    @pytest.fixture
    def executor(self) -> Executor:
        return Cowsay()


class TestPythonAgent(ExecutorConformance):
    """A function of the engine's process: the relay that stands for it keeps the promises of an executor."""

    @pytest.fixture
    def executor(self) -> Executor:
        return CallableExecutor("greeter", "greets", "/nowhere/calls")

    @pytest.fixture
    def runs(self) -> Sequence[AgentRun]:
        arguments = [{}, {"arguments": {"text": "hello"}}]
        return [AgentRun(prompt="x", cwd="/tmp", options=options) for options in arguments]

    @pytest.fixture
    def transcripts(self) -> Sequence[bytes]:
        lines = TRANSCRIPT.splitlines(keepends=True)
        return [b"".join(line for line in lines if b"permission_request" not in line)]
