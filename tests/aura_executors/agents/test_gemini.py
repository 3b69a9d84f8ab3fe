"""The Gemini CLI: its command, and what is understood of everything that it was recorded to write."""

from pathlib import Path

import pytest
from replays import Case, a_run, captures, exited, json_lines, recorded, replay

from aura_contracts.entries import (
    TEXT_LIMIT,
    ErrorReported,
    FileChanged,
    Finished,
    Message,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    ToolCalled,
    ToolFinished,
    Usage,
    UsageReported,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import AgentRun
from aura_executors.agents.gemini import GeminiExecutor
from aura_executors.agents.gemini.command import PROMPT_LIMIT

EXECUTOR = GeminiExecutor()
MODEL = "gemini-2.5-flash"
FOLDERS = ("gemini", "gemini-norelaunch")
LOST = "00000000-0000-4000-8000-000000000000"

SAID = "message usage finished"
WROTE = "session_started tool_call file_change tool_result"
WORK = f"{WROTE} {SAID}"
CALLED = f"session_started tool_call tool_result {SAID}"


TWO_CALLS = Usage(input_tokens=22, output_tokens=14)
ONE_CALL = Usage(input_tokens=11, output_tokens=7)
NO_WORD = "without its final message"

CASES = {
    "gemini/first": Case(WORK, usage=TWO_CALLS),
    "gemini/stdin": Case(WORK, usage=TWO_CALLS),
    "gemini/openstdin": Case(WORK, usage=TWO_CALLS),
    "gemini/resume": Case(WORK, usage=TWO_CALLS),
    "gemini/retry500": Case(WORK, usage=TWO_CALLS),
    "gemini/shell": Case(CALLED, usage=TWO_CALLS),
    "gemini/plan": Case(f"session_started tool_call plan tool_result {SAID}", usage=TWO_CALLS),
    "gemini/deny": Case(CALLED, usage=TWO_CALLS),  # gave up without trying: no trace of why
    "gemini/notoffered": Case(CALLED, blocked="write_file: Tool", usage=TWO_CALLS),
    "gemini/confirmation": Case(CALLED, blocked="requires user confirmation", usage=TWO_CALLS),
    "gemini/badresume": Case("", 42, FailureReason.SESSION_LOST, "cannot resume session 0000"),
    "gemini/resumeworktree": Case("", 42, FailureReason.SESSION_LOST, "No previous sessions found"),
    "gemini/dashprompt": Case("", 1, FailureReason.AGENT_ERROR, "Not enough arguments following: p"),
    "gemini/nologin": Case("", 41, FailureReason.AUTHENTICATION, "GEMINI_API_KEY"),
    "gemini/untrusted": Case("", 55, FailureReason.PERMISSION_DENIED, "option trust is not set: Gemini CLI is not"),
    "gemini/fail401": Case("session_started finished", 145, FailureReason.AUTHENTICATION, "scripted failure 401"),
    "gemini/fail429": Case("session_started finished", 173, FailureReason.RATE_LIMITED, "scripted failure 429"),
    "gemini/fail500": Case("session_started finished", 244, FailureReason.AGENT_ERROR, "scripted failure 500"),
    "gemini/midfail500": Case(
        f"{WROTE} usage finished", 244, FailureReason.AGENT_ERROR, "scripted failure 500", usage=ONE_CALL
    ),
    "gemini/malformed": Case("session_started finished", 1, FailureReason.AGENT_ERROR, "in JSON at position 17"),
    "gemini/drop": Case(
        "session_started message error usage finished",
        reason=FailureReason.AGENT_ERROR,
        message="Model stream ended without a finish reason",
        usage=TWO_CALLS,
    ),
    "gemini/sigint": Case(f"{WROTE} message usage", -9, FailureReason.AGENT_ERROR, "signal 9"),
    "gemini/sigterm": Case(f"{WROTE} message usage", -9, FailureReason.AGENT_ERROR, "signal 9"),
    "gemini/sigtermgrp": Case(f"{WROTE} message usage", 0, FailureReason.AGENT_ERROR, NO_WORD),
    "gemini/toolsigint": Case("session_started tool_call usage", -9, FailureReason.AGENT_ERROR, "signal 9"),
    "gemini/toolsigterm": Case("session_started tool_call usage", -9, FailureReason.AGENT_ERROR, "signal 9"),
    "gemini/toolsigtermgrp": Case("session_started tool_call usage", 0, FailureReason.AGENT_ERROR, NO_WORD),
    "gemini-norelaunch/first": Case(WORK, usage=TWO_CALLS),
    "gemini-norelaunch/sigint": Case(f"{WROTE} message usage", 0, FailureReason.AGENT_ERROR, NO_WORD),
    "gemini-norelaunch/sigterm": Case(f"{WROTE} message usage", 0, FailureReason.AGENT_ERROR, NO_WORD),
    "gemini-norelaunch/toolsigterm": Case("session_started tool_call usage", 0, FailureReason.AGENT_ERROR, NO_WORD),
}


# --- What it wrote


def test_every_capture_is_expected() -> None:
    assert set(captures(*FOLDERS)) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_capture_is_understood(name: str) -> None:
    run = a_run(LOST if "resume" in name else None)
    seen = recorded(EXECUTOR, name, CASES[name].exit_code, run)
    seen.must_be(CASES[name])
    assert {used.model for used in seen.of(UsageReported)} <= {MODEL}


def test_the_particulars_of_a_capture() -> None:
    call = "write_file__write_file_1795221012603_0"
    path = "/tmp/demo-repo/hello.txt"

    assert recorded(EXECUTOR, "gemini/first").entries == [
        SessionStarted(session_id="a8543f14-16ac-4910-bd63-46b7287fd6ed", model=MODEL),
        ToolCalled(
            call_id=call,
            tool="write_file",
            arguments={"file_path": path, "content": "hello from the fake model\n"},
        ),
        FileChanged(path=path, call_id=call),
        ToolFinished(call_id=call),
        Message(text="Done: hello.txt created."),
        UsageReported(usage=TWO_CALLS, model=MODEL),
        Finished(),
    ]


def test_a_plan_is_what_is_still_to_be_done_or_done() -> None:
    plan = PlanUpdated(steps=(PlanStep("write it", "in_progress"), PlanStep("test it")))
    assert recorded(EXECUTOR, "gemini/plan").of(PlanUpdated) == [plan]


def test_the_same_session_goes_on() -> None:
    first, second = (recorded(EXECUTOR, f"gemini/{name}").entries[0] for name in ("first", "resume"))
    assert first == second


def test_what_is_not_known_is_kept_and_counted() -> None:
    seen = replay(EXECUTOR, b'{"type":"hologram","x":1}\nplain words\n{"type":"init"}\n[1]\n')
    assert (seen.kinds, seen.unknown) == ("unknown unknown unknown unknown", 4)
    assert seen.failure is not None


# --- How it ended


def test_an_answer_that_was_blocked_is_a_refusal() -> None:
    words = "The model response was blocked due to safety settings."
    error = {"type": "error", "severity": "error", "message": words}
    seen = replay(EXECUTOR, json_lines(error, {"type": "result", "status": "error"}))
    assert seen.of(ErrorReported) == [ErrorReported(message=words)]
    assert seen.failure == Failure(FailureReason.REFUSED, words, exit_code=0)


def test_a_status_on_standard_error_says_why() -> None:
    result = b'{"type":"result","status":"error","error":{"type":"Error","message":"[API Error: sorry]"}}\n'
    errors = b"ApiError: sorry\n    at Turn.run (x.js:1) {\n  status: 429\n}\n"
    seen = replay(EXECUTOR, result, exited(173), errors)
    assert seen.failure == Failure(FailureReason.RATE_LIMITED, "[API Error: sorry]", exit_code=173)


def test_a_session_is_lost_only_where_one_was_to_be_resumed() -> None:
    assert recorded(EXECUTOR, "gemini/badresume", 42).reason is FailureReason.AGENT_ERROR


# --- Words and numbers


def test_cached_tokens_are_counted_apart_and_thoughts_are_output() -> None:
    stats = b'{"total_tokens":150,"input_tokens":100,"output_tokens":20,"cached":60,"input":40}'
    data = b'{"type":"result","status":"success","stats":{"models":{"m":' + stats + b',"unused":{}}}}\n'
    usage = Usage(input_tokens=40, output_tokens=50, cache_read_tokens=60)
    assert replay(EXECUTOR, data).entries == [UsageReported(usage=usage, model="m"), Finished()]


def test_a_message_that_never_ends_is_cut() -> None:
    delta = b'{"type":"message","role":"assistant","content":"' + b"x" * 50_000 + b'","delta":true}\n'
    (message,) = replay(EXECUTOR, delta * 100).of(Message)
    assert len(message.text) < TEXT_LIMIT + 200
    assert "4950000 characters left out" in message.text


# --- The command


def test_the_prompt_goes_by_standard_input_however_long_it_is() -> None:
    prompt = "--help " + "x" * 200_000
    launch = EXECUTOR.launch(AgentRun(prompt=prompt, cwd="/tmp", options={"append_prompt": "Be quick."}))

    assert launch.argv[1:] == ("--output-format=stream-json",)
    assert launch.stdin == f"{prompt}\n\nBe quick.".encode()
    assert launch.env == {"GEMINI_CLI_NO_RELAUNCH": "true"}


@pytest.mark.parametrize("prompt", ["/help me", " /help me"])
def test_a_prompt_is_no_command_of_the_agent(prompt: str) -> None:
    assert EXECUTOR.launch(AgentRun(prompt=prompt, cwd="/tmp")).stdin == f"Task: {prompt}".encode()


def test_options_become_arguments() -> None:
    launch = EXECUTOR.launch(
        a_run(
            "an-id",
            model=MODEL,
            approval_mode="auto_edit",
            sandbox=True,
            trust=True,
            allow_tools=["a", "b"],
            policies=["/p.toml"],
            add_dirs=["/x"],
            extensions=[],
            allowed_mcp_server_names=["m"],
            executable="/opt/gemini",
            params=["--debug"],
            env={"GEMINI_CLI_NO_RELAUNCH": "false"},
        )
    )

    assert launch.argv == (
        "/opt/gemini",
        "--output-format=stream-json",
        "--resume=an-id",
        f"--model={MODEL}",
        "--approval-mode=auto_edit",
        "--sandbox",
        "--skip-trust",
        "--allowed-tools=a",
        "--allowed-tools=b",
        "--policy=/p.toml",
        "--include-directories=/x",
        "--allowed-mcp-server-names=m",
        "--extensions=none",
        "--debug",
    )
    assert launch.env == {"GEMINI_CLI_NO_RELAUNCH": "false"}


@pytest.mark.parametrize(
    ("run", "field"),
    [
        (a_run(yolo=True, approval_mode="plan"), "option yolo"),
        (a_run(approval_mode="sometimes"), "option approval_mode"),
        (AgentRun(prompt="x" * (PROMPT_LIMIT + 1), cwd="/tmp"), "prompt"),
    ],
)
def test_what_it_could_not_work_with_is_refused(run: AgentRun, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        EXECUTOR.launch(run)
    assert refused.value.field == field


def test_a_login_is_a_variable_or_a_file(tmp_path: Path) -> None:
    program = tmp_path / "gemini"
    program.write_text("#!/bin/sh\necho 0.61.0\n")
    program.chmod(0o755)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}

    without = EXECUTOR.availability(environment)
    assert (without.available, without.version, without.logged_in) == (True, "0.61.0", False)
    assert EXECUTOR.availability({**environment, "GEMINI_API_KEY": "x"}).logged_in
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".gemini" / "oauth_creds.json").write_text("{}")
    assert EXECUTOR.availability(environment).logged_in
