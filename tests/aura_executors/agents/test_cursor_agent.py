"""cursor-agent: streams as its documentation and others show them."""

import pytest
from replays import Replay, a_run, exited, json_lines, replay

from aura_contracts.entries import (
    TEXT_LIMIT,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Usage,
    UsageReported,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import AgentRun
from aura_executors.agents.cursor_agent import CursorAgentExecutor

EXECUTOR = CursorAgentExecutor()
CHAT = "c6b62c6f-7ead-4fd6-9922-e952131177ff"


def line(kind: str, subtype: str = "", **fields: object) -> bytes:
    named = {"subtype": subtype} if subtype else {}
    return json_lines({"type": kind, **named, **fields, "session_id": CHAT})


def said(kind: str, words: str) -> bytes:
    return line(kind, message={"role": kind, "content": [{"type": "text", "text": words}]})


def call(tool: str, args: dict[str, object], result: dict[str, object] | None = None, name: str = "c\n1") -> bytes:
    told = {"args": args} if result is None else {"args": args, "result": result}
    subtype = "started" if result is None else "completed"
    return line("tool_call", subtype, call_id=name, tool_call={f"{tool}ToolCall": told, "startedAtMs": "1"})


EDIT: dict[str, object] = {"path": "a.txt", "streamContent": "x"}
USED = {"inputTokens": 10, "outputTokens": 3, "cacheReadTokens": 4, "cacheWriteTokens": 2}
BEGIN = line("system", "init", apiKeySource="login", cwd="/tmp/w", model="Auto", permissionMode="default")
END = line("result", "success", duration_ms=9, is_error=False, result="On it.Done.", request_id="r", usage=USED)

TURN = b"".join(
    [
        BEGIN,
        said("user", "Do it"),
        line("thinking", "delta", text="Let me "),
        line("thinking", "delta", text="see."),
        line("thinking", "completed"),
        said("assistant", "On it."),
        call("edit", EDIT),
        call("edit", EDIT, {"success": {"path": "a.txt", "linesAdded": 1, "diffString": "+x", "message": "Wrote"}}),
        call("shell", {"command": "false"}, name="c2"),
        call("shell", {"command": "false"}, {"success": {"exitCode": 1, "stdout": "a", "stderr": "b"}}, name="c2"),
        said("assistant", "Done."),
        END,
    ]
)


def understood(*pieces: bytes, errors: bytes = b"", code: int = 0, session: str | None = None) -> Replay:
    return replay(EXECUTOR, pieces, exited(code), errors, a_run(session))


def test_a_turn() -> None:
    seen = understood(TURN)
    usage = Usage(input_tokens=10, output_tokens=3, cache_read_tokens=4, cache_write_tokens=2)
    assert seen.entries == [
        SessionStarted(session_id=CHAT, model="Auto"),
        Thinking(text="Let me see."),
        Message(text="On it."),
        ToolCalled(call_id="c\n1", tool="edit", arguments=EDIT),
        ToolFinished(call_id="c\n1", output="Wrote"),
        FileChanged(path="a.txt", call_id="c\n1", diff="+x"),
        ToolCalled(call_id="c2", tool="shell", arguments={"command": "false"}),
        ToolFinished(call_id="c2", success=False, output="a\nb", exit_code=1),
        Message(text="Done."),
        UsageReported(usage=usage, model="Auto"),
        Finished(),
    ]
    assert seen.failure is None
    assert seen.unknown == 0


@pytest.mark.parametrize("how", ["rejected", "permissionDenied"])
def test_what_was_rejected_is_a_lack_of_permission_although_all_is_well(how: str) -> None:
    rejected = call("shell", {"command": "make"}, {how: {"command": "make", "reason": "not allowed"}})
    seen = understood(BEGIN, rejected, END)
    assert seen.entries[1] == ToolFinished(call_id="c\n1", success=False, output="not allowed")
    assert seen.blocked.startswith("shell was ")
    assert seen.blocked.endswith(": not allowed")
    assert seen.failure is None


def test_other_tools_plans_and_connections() -> None:
    todos: list[object] = [
        {"content": "Look", "status": "TODO_STATUS_COMPLETED"},
        {"content": "Do", "status": "in_progress"},
        {"content": "x", "status": "TODO_STATUS_PENDING"},
    ]
    function = {"name": "rename", "arguments": '{"to": "b"}'}
    query = {"id": 0, "createPlanRequestQuery": {"args": {"plan": "# Plan"}}}
    seen = understood(
        call("updateTodos", {"todos": todos}),
        call("mcp", {"toolName": "ask", "args": {}}),
        line("tool_call", "started", call_id="f", tool_call={"function": function}),
        call("delete", {"path": "b"}, {"success": {}}),
        call("read", {"path": "b"}, {"error": {"errorMessage": "File not found"}}),
        line("interaction_query", "request", query=query),
        line("interaction_query", "response", query={}),
        line("connection", "reconnecting"),
        line("connection", "reconnected"),
    )
    steps = (PlanStep("Look", "completed"), PlanStep("Do", "in_progress"), PlanStep("x"))
    assert seen.entries[1:] == [
        PlanUpdated(steps=steps),
        ToolCalled(call_id="c\n1", tool="ask", arguments={"toolName": "ask", "args": {}}),
        ToolCalled(call_id="f", tool="rename", arguments={"to": "b"}),
        ToolFinished(call_id="c\n1", output="{}"),
        FileChanged(path="b", change=FileChange.DELETED, call_id="c\n1"),
        ToolFinished(call_id="c\n1", success=False, output="File not found"),
        Message(text="# Plan"),
        ErrorReported(message="the connection was lost", retrying=True),
    ]
    assert seen.unknown == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("Error: something broke", FailureReason.AGENT_ERROR),
        ("Error: You've hit your usage limit", FailureReason.RATE_LIMITED),
        ("Error: Authentication required. Please run 'agent login' first", FailureReason.AUTHENTICATION),
    ],
)
def test_why_it_failed_is_on_standard_error(words: str, reason: FailureReason) -> None:
    seen = understood(errors=words.encode(), code=1)
    lasting = "usage limit" in words
    assert seen.failure == Failure(reason, words, exit_code=1, lasting=lasting)
    seen = understood(BEGIN, line("result", "error", is_error=True, result=words))
    assert seen.failure == Failure(reason, words, exit_code=0, lasting=lasting)


def test_thoughts_that_are_cut_off_are_told() -> None:
    seen = understood(BEGIN, line("thinking", "delta", text="Let"))
    assert seen.entries[-1] == Thinking(text="Let")


def test_a_session_that_it_does_not_know_is_lost() -> None:
    errors = b"Error: Chat x not found"
    assert understood(errors=errors, code=1, session="x").reason is FailureReason.SESSION_LOST
    assert understood(errors=errors, code=1).reason is FailureReason.AGENT_ERROR


def test_memory_is_bounded() -> None:
    delta = line("thinking", "delta", text="x" * 10_000)
    seen = understood(*[delta] * 100, line("thinking", "completed"))
    assert isinstance(seen.entries[-1], Thinking)
    assert len(seen.entries[-1].text) < TEXT_LIMIT + 200


def test_its_command() -> None:
    def argv(session: str | None = None, **options: object) -> tuple[str, ...]:
        run = AgentRun(prompt="-p", cwd="/tmp", session_id=session, options={"executable": "agent", **options})
        launch = EXECUTOR.launch(run)
        assert launch.stdin == b"-p"
        return launch.argv

    begin = ("agent", "--print", "--output-format=stream-json")
    assert argv() == (*begin, "--trust")
    assert argv(trust=False) == begin
    assert argv(CHAT, force=True, model="gpt-5", mode="plan", sandbox="enabled", approve_mcps=True, params=["-x"]) == (
        *begin,
        *("--force", "--model=gpt-5", "--mode=plan", "--sandbox=enabled", "--approve-mcps", f"--resume={CHAT}", "-x"),
    )


@pytest.mark.parametrize("options", [{"mode": "agent"}, {"sandbox": "on"}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        EXECUTOR.launch(AgentRun(prompt="p", cwd="/tmp", options=options))
