"""amp: streams as its documentation shows them; what it says without a key is measured."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import (
    AgentRun,
    Entry,
    Executor,
    Finished,
    Message,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    ToolServer,
    Unknown,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents.amp import AmpConversation, AmpExecutor
from aura_executors.testing.executor import ExecutorConformance

THREAD = "T-2775dc92-90ed-4f85-8b73-8f9766029e83"


def line(**fields: object) -> bytes:
    return json.dumps({**fields, "session_id": THREAD, "parent_tool_use_id": None}).encode() + b"\n"


def user(*content: object) -> bytes:
    return line(type="user", message={"role": "user", "content": list(content)})


def assistant(*content: object, stop: str = "end_turn", **usage: object) -> bytes:
    message = {"type": "message", "role": "assistant", "content": list(content), "stop_reason": stop, "usage": usage}
    return line(type="assistant", message=message)


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


BEGIN = line(type="system", subtype="init", cwd="/tmp/w", tools=["Bash"], mcp_servers=[])
CALL = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"cmd": "ls"}}
DONE = {"type": "tool_result", "tool_use_id": "toolu_1", "content": '{"output":"a","exitCode":0}', "is_error": False}
END = line(type="result", subtype="success", duration_ms=9, is_error=False, num_turns=1, result="Four.")

TURN = b"".join(
    [
        BEGIN,
        user(text("what is 2+2?")),
        assistant({"type": "thinking", "thinking": "Hm."}, CALL, stop="tool_use", input_tokens=20, output_tokens=2),
        user(DONE),
        assistant(
            text("Four."),
            input_tokens=100,
            cache_creation_input_tokens=30,
            cache_read_input_tokens=60,
            output_tokens=8,
            max_tokens=224000,
        ),
        END,
    ]
)


def exited(code: int | None = 0, cause: ExitCause = ExitCause.OWN, signal: int | None = None) -> ProcessExit:
    return ProcessExit(token="t", cause=cause, exit_code=code, signal=signal)


def replayed(
    *pieces: bytes, errors: bytes = b"", end: ProcessExit | None = None, session: str = ""
) -> tuple[list[Entry], AmpConversation, Failure | None]:
    conversation = AmpConversation(session)
    said = [one for piece in pieces for one in conversation.receive(OutputSource.STDOUT, piece)]
    said += conversation.receive(OutputSource.STDERR, errors)
    said += conversation.end(end or exited())
    return [one for one in said if isinstance(one, Entry)], conversation, conversation.judge(end or exited())


def test_a_turn() -> None:
    entries, conversation, failure = replayed(TURN)
    assert entries == [
        SessionStarted(session_id=THREAD),
        Thinking(text="Hm."),
        ToolCalled(call_id="toolu_1", tool="Bash", arguments={"cmd": "ls"}),
        UsageReported(usage=Usage(input_tokens=20, output_tokens=2)),
        ToolFinished(call_id="toolu_1", output='{"output":"a","exitCode":0}'),
        Message(text="Four."),
        UsageReported(usage=Usage(input_tokens=10, output_tokens=8, cache_read_tokens=60, cache_write_tokens=30)),
        Finished(),
    ]
    assert failure is None
    assert conversation.unknown == 0
    assert not conversation.blocked


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("Something broke", FailureReason.AGENT_ERROR),
        ("429 Too Many Requests", FailureReason.RATE_LIMITED),
        ("Unauthorized", FailureReason.AUTHENTICATION),
    ],
)
def test_a_result_with_an_error(words: str, reason: FailureReason) -> None:
    end = line(type="result", subtype="error_during_execution", is_error=True, error=words)
    entries, _, failure = replayed(BEGIN, end)
    assert isinstance(entries[-1], Finished)
    assert failure == Failure(reason, words, exit_code=0)


def test_a_refusal_a_denial_and_a_stream_that_was_cut_off() -> None:
    _, _, failure = replayed(BEGIN, assistant(text("No."), stop="refusal"), END)
    assert failure is not None
    assert failure.reason is FailureReason.REFUSED
    denied = line(type="result", subtype="success", is_error=False, result="", permission_denials=["Bash"])
    _, conversation, failure = replayed(BEGIN, denied)
    assert conversation.blocked == "Bash"
    assert failure is None
    _, _, failure = replayed(TURN[: -len(END)])
    assert failure is not None
    assert failure.message == "it ended without its result"


def test_without_a_key_it_asks_for_a_login_which_is_a_failure_at_once_and_shows_no_address() -> None:
    asked = b"No API key found. Starting login flow...\nIf your browser\n\nhttps://x.example/login?authToken=1\n"
    entries, _, failure = replayed(asked, end=exited(None, ExitCause.FAREWELL, 15))
    assert len(entries) == 1
    assert failure is not None
    assert failure.reason is FailureReason.AUTHENTICATION


def test_what_standard_error_says() -> None:
    _, _, failure = replayed(errors=b"Error: Cannot reach Amp servers. Are you offline?\n", end=exited(1))
    assert failure == Failure(
        FailureReason.AGENT_ERROR, "Error: Cannot reach Amp servers. Are you offline?", exit_code=1
    )
    lost = b"Error: Thread T-1 not found\n"
    _, _, failure = replayed(errors=lost, end=exited(1), session="T-1")
    assert failure is not None
    assert failure.reason is FailureReason.SESSION_LOST
    _, _, failure = replayed(BEGIN, errors=lost, end=exited(1), session="T-1")
    assert failure is not None
    assert failure.reason is FailureReason.AGENT_ERROR


def test_blocks_that_are_new_are_kept_beside_those_that_are_known() -> None:
    entries, conversation, _ = replayed(assistant({"type": "hologram", "data": 1}, text("Hello.")))
    assert [type(entry) for entry in entries] == [Unknown, Message, UsageReported]
    assert conversation.unknown == 1


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, len(TURN)), max_size=6), st.integers(0, len(TURN) - 1), st.binary(max_size=3))
def test_pieces_do_not_matter_and_garbage_is_counted(places: list[int], place: int, change: bytes) -> None:
    cuts = sorted({0, len(TURN), *places})
    assert replayed(*(TURN[start:end] for start, end in pairwise(cuts)))[0] == replayed(TURN)[0]
    entries, conversation, _ = replayed(TURN[:place] + change + TURN[place + 1 :])
    assert sum(isinstance(entry, Unknown) for entry in entries) == conversation.unknown


def test_its_command() -> None:
    run = AgentRun(prompt="-x", cwd="/tmp", options={"executable": "amp"})
    launch = AmpExecutor().launch(run)
    plain = ("--no-ide", "--no-notifications", "--no-color", "--execute", "--stream-json", "--stream-json-thinking")
    assert launch.argv == ("amp", *plain)
    assert launch.stdin == b"-x"
    more = {"mode": "high", "dangerously_allow_all": True, "settings_file": "s.json", "params": ["--fast"]}
    servers = (ToolServer(name="aura", command=("aura", "mcp")),)
    run = AgentRun(
        prompt="p", cwd="/tmp", session_id=THREAD, tool_servers=servers, options={"executable": "amp", **more}
    )
    assert AmpExecutor().launch(run).argv == (
        *("amp", "threads", "continue", THREAD, *plain[:3], "--mode=high", "--settings-file=s.json"),
        *("--dangerously-allow-all", '--mcp-config={"aura":{"command":"aura","args":["mcp"]}}', *plain[3:], "--fast"),
    )


@pytest.mark.parametrize("options", [{"model": "gpt"}, {"mode": ""}, {"mood": "low"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        AmpExecutor().launch(AgentRun(prompt="p", cwd="/tmp", options=options))
    with pytest.raises(InvalidInput, match="fork"):
        AmpExecutor().launch(AgentRun(prompt="p", cwd="/tmp", session_id=THREAD, fork=True))


class TestConformance(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Executor:
        return AmpExecutor()

    @pytest.fixture
    def transcripts(self) -> list[bytes]:
        return [TURN]
