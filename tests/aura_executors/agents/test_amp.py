"""amp: streams as its documentation shows them; what it says without a key is measured."""

import pytest
from replays import Replay, a_run, exited, json_lines, replay

from aura_contracts.entries import (
    Finished,
    Message,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Usage,
    UsageReported,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import AgentRun, ToolServer
from aura_contracts.ports.processes import ExitCause
from aura_executors.agents.amp import AmpExecutor

EXECUTOR = AmpExecutor()
THREAD = "T-2775dc92-90ed-4f85-8b73-8f9766029e83"


def line(**fields: object) -> bytes:
    return json_lines({**fields, "session_id": THREAD, "parent_tool_use_id": None})


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


def understood(*pieces: bytes, errors: bytes = b"", code: int = 0, session: str | None = None) -> Replay:
    return replay(EXECUTOR, pieces, exited(code), errors, a_run(session))


def test_a_turn() -> None:
    seen = understood(TURN)
    assert seen.entries == [
        SessionStarted(session_id=THREAD),
        Thinking(text="Hm."),
        ToolCalled(call_id="toolu_1", tool="Bash", arguments={"cmd": "ls"}),
        ToolFinished(call_id="toolu_1", output='{"output":"a","exitCode":0}'),
        Message(text="Four."),
        UsageReported(usage=Usage(input_tokens=30, output_tokens=10, cache_read_tokens=60, cache_write_tokens=30)),
        Finished(),
    ]
    assert seen.failure is None
    assert seen.unknown == 0
    assert not seen.blocked


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
    seen = understood(BEGIN, end)
    assert isinstance(seen.entries[-1], Finished)
    assert seen.failure == Failure(reason, words, exit_code=0)


def test_a_refusal_and_a_denial() -> None:
    seen = understood(BEGIN, assistant(text("No."), stop="refusal"), END)
    assert seen.reason is FailureReason.REFUSED
    denied = line(type="result", subtype="success", is_error=False, result="", permission_denials=["Bash"])
    seen = understood(BEGIN, denied)
    assert seen.blocked == "it was not permitted to use Bash"
    assert seen.failure is None


def test_without_a_key_it_asks_for_a_login_which_is_a_failure_at_once_and_shows_no_address() -> None:
    asked = b"No API key found. Starting login flow...\nIf your browser\n\nhttps://x.example/login?authToken=1\n"
    seen = replay(EXECUTOR, asked, exited(-15, ExitCause.EXIT_GRACE))
    assert len(seen.entries) == 1
    assert seen.reason is FailureReason.AUTHENTICATION


def test_what_standard_error_says() -> None:
    seen = understood(errors=b"Error: Cannot reach Amp servers. Are you offline?\n", code=1)
    assert seen.failure == Failure(
        FailureReason.AGENT_ERROR, "Error: Cannot reach Amp servers. Are you offline?", exit_code=1
    )
    lost = b"Error: Thread T-1 not found\n"
    seen = understood(errors=lost, code=1, session="T-1")
    assert seen.reason is FailureReason.SESSION_LOST
    seen = understood(BEGIN, errors=lost, code=1, session="T-1")
    assert seen.reason is FailureReason.AGENT_ERROR


def test_blocks_that_are_new_are_kept_beside_those_that_are_known() -> None:
    seen = understood(assistant({"type": "hologram", "data": 1}, text("Hello."), input_tokens=1))
    assert seen.kinds == "unknown message usage"
    assert seen.unknown == 1


def test_its_command() -> None:
    run = AgentRun(prompt="-x", cwd="/tmp", options={"executable": "amp"})
    launch = EXECUTOR.launch(run)
    plain = ("--no-ide", "--no-notifications", "--no-color", "--execute", "--stream-json", "--stream-json-thinking")
    assert launch.argv == ("amp", *plain)
    assert launch.stdin == b"-x"
    more = {"mode": "high", "yolo": True, "settings_file": "s.json", "params": ["--fast"]}
    servers = (ToolServer(name="aura", command=("aura", "mcp")),)
    run = AgentRun(
        prompt="p", cwd="/tmp", session_id=THREAD, tool_servers=servers, options={"executable": "amp", **more}
    )
    assert EXECUTOR.launch(run).argv == (
        *("amp", "threads", "continue", THREAD, *plain[:3], "--mode=high", "--settings-file=s.json"),
        *("--dangerously-allow-all", '--mcp-config={"aura":{"command":"aura","args":["mcp"]}}', *plain[3:], "--fast"),
    )


@pytest.mark.parametrize("options", [{"model": "gpt"}, {"mode": ""}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        EXECUTOR.launch(AgentRun(prompt="p", cwd="/tmp", options=options))
