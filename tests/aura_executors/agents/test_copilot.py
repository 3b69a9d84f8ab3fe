"""The GitHub Copilot CLI: its command, and what is understood of everything that it was recorded to write."""

import json
from pathlib import Path

import attrs
import pytest
from replays import Case, Replay, a_run, captures, json_lines, recorded, replay, written

from aura_contracts.entries import (
    TEXT_LIMIT,
    ErrorReported,
    FileChange,
    FileChanged,
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
from aura_executors.agents.copilot import CopilotExecutor

EXECUTOR = CopilotExecutor()
FOLDERS = ("copilot", "copilot-native")

NEW = "58f26511-6d53-484a-a228-622e507daaf7"

WROTE = "session_started tool_call file_change tool_result"
WORK = f"{WROTE} message finished"
CALLED = "session_started tool_call tool_result message finished"
SIX_ERRORS = "error error error error error error"


FAILED = FailureReason.AGENT_ERROR
STOPPED = "stopped in the middle of its work: user_abort"

CASES = {
    "copilot/first": Case(WORK),
    "copilot/stdin": Case(WORK),
    "copilot/openstdin": Case(WORK),
    "copilot/resume": Case(WORK),
    "copilot/resumeworktree": Case(WORK),
    "copilot/retry500": Case("session_started error tool_call file_change tool_result message finished"),
    "copilot/shell": Case(CALLED),
    "copilot/deny": Case(CALLED, blocked="create: Permission denied because no interactive user"),
    "copilot/denyrule": Case(CALLED, blocked="denied due to the following rules: `write`"),
    "copilot/badresume": Case("", 1, FailureReason.SESSION_LOST, "No session, task, or name matched"),
    "copilot/nologin": Case("", 1, FailureReason.AUTHENTICATION, "No authentication information found"),
    "copilot/dashprompt": Case("", 1, FAILED, "Invalid command format"),
    "copilot/fail401": Case(
        "session_started error error error finished", 1, FailureReason.AUTHENTICATION, "Authentication failed with"
    ),
    "copilot/fail429": Case(
        f"session_started {SIX_ERRORS} finished", 1, FailureReason.RATE_LIMITED, "429 scripted failure 429"
    ),
    "copilot/fail500": Case(f"session_started {SIX_ERRORS} finished", 1, FAILED, "500 scripted failure 500"),
    "copilot/midfail500": Case(f"{WROTE} {SIX_ERRORS} finished", 1, FAILED, "500 scripted failure 500"),
    "copilot/malformed": Case(f"session_started {SIX_ERRORS} finished", 1, FAILED, "Failed to get response"),
    "copilot/drop": Case(
        "session_started error error error error error message error finished", 1, FAILED, "missing finish_reason"
    ),
    "copilot/sigint": Case(f"{WROTE} message", -2, FAILED, "signal 2"),
    "copilot/sigterm": Case(f"{WROTE} message", -15, FAILED, "signal 15"),
    "copilot/toolsigint": Case("session_started tool_call", -2, FAILED, "signal 2"),
    "copilot/toolsigterm": Case("session_started tool_call", -15, FAILED, "signal 15"),
    "copilot/toolsigtermgrp": Case("session_started tool_call", -15, FAILED, STOPPED),
    "copilot-native/first": Case(WORK),
    "copilot-native/sigint": Case(f"{WROTE} message finished", 0, FAILED, STOPPED),
    "copilot-native/sigterm": Case(f"{WROTE} message", 0, FAILED, STOPPED),
    "copilot-native/toolsigterm": Case("session_started tool_call", 0, FAILED, STOPPED),
}


def run_of(session_id: str | None = None, **options: object) -> AgentRun:
    return attrs.evolve(a_run(session_id, **options), new_session_id=NEW)


def understood(data: bytes, session_id: str | None = None) -> Replay:
    return replay(EXECUTOR, data, run=run_of(session_id))


def events(*told: tuple[str, dict[str, object]]) -> bytes:
    return json_lines(*({"type": kind, "data": data} for kind, data in told))


def session_of(name: str) -> str:
    """Return the session that the last event of a capture names; any other where it names none."""
    told = written(*name.split("/")).splitlines()
    last = json.loads(told[-1]) if told else {}
    return str(last.get("sessionId", "00000000-0000-4000-8000-000000000000"))


# --- What it wrote


def test_every_capture_is_expected() -> None:
    assert set(captures(*FOLDERS)) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_capture_is_understood(name: str) -> None:
    session = session_of(name)
    seen = recorded(EXECUTOR, name, CASES[name].exit_code, run_of(session))
    seen.must_be(CASES[name])
    started = [SessionStarted(session_id=session, model="fake-model")]
    assert seen.of(SessionStarted) == (started if seen.entries else [])


def test_the_particulars_of_a_capture() -> None:
    entries = recorded(EXECUTOR, "copilot/first", run=run_of()).entries
    path = "/tmp/demo-repo/hello.txt"

    change = entries[2]
    assert isinstance(change, FileChanged)
    assert change.diff is not None
    assert change.diff.startswith("diff --git")
    assert change.diff.endswith("+hello from the fake model\n")
    assert entries == [
        SessionStarted(session_id=NEW, model="fake-model"),
        ToolCalled(
            call_id="call_e14a7289ef",
            tool="create",
            arguments={"path": path, "file_text": "hello from the fake model\n"},
        ),
        FileChanged(path=path, change=FileChange.ADDED, call_id="call_e14a7289ef", diff=change.diff),
        ToolFinished(call_id="call_e14a7289ef", output=f"Created file {path} with 26 characters"),
        Message(text="Done: hello.txt created."),
        Finished(),
    ]


def test_a_command_has_an_exit_code() -> None:
    (finished,) = recorded(EXECUTOR, "copilot/shell").of(ToolFinished)
    assert finished.exit_code == 0


def test_it_says_that_it_tries_again() -> None:
    errors = recorded(EXECUTOR, "copilot/fail429", 1).of(ErrorReported)
    assert [error.retrying for error in errors] == [True] * 5 + [False]
    assert errors[0].message.startswith("rate_limit: status 429: ")


def test_what_is_not_known_is_kept_and_counted() -> None:
    seen = understood(
        b'{"type":"assistant.hologram","data":{}}\nplain words\n{"type":"abort"}\n{"type":"result"}\n[1]\n{"type":"x\n'
    )
    assert (set(seen.kinds.split()), seen.unknown) == ({"unknown"}, 6)
    assert seen.failure is not None


def test_the_type_is_found_wherever_it_is() -> None:
    seen = understood(b'{ "exitCode": 0, "sessionId": "s", "type": "result" }\n', "s")
    assert seen.kinds == "session_started finished"


# --- The session


def test_a_session_is_told_when_there_is_something_in_it() -> None:
    loaded = events(("session.skills_loaded", {}), ("session.mcp_server_status_changed", {}))
    assert understood(loaded).entries == []

    more = events(("session.tools_updated", {"model": "m"}), ("user.message", {}))
    assert understood(loaded + more).entries == [SessionStarted(session_id=NEW, model="m")]
    assert understood(loaded + events(("user.message", {}))).entries == [SessionStarted(session_id=NEW)]


def test_another_session_than_the_chosen_one_is_told_in_the_end() -> None:
    started = recorded(EXECUTOR, "copilot/stdin", run=run_of()).of(SessionStarted)
    assert [one.session_id for one in started] == [NEW, session_of("copilot/stdin")]


# --- How it ended


def test_an_error_that_passed_is_no_failure() -> None:
    error = events(("session.error", {"errorType": "rate_limit", "message": "slow down"}))
    well, badly = (error + json.dumps({"type": "result", "exitCode": code}).encode() for code in (0, 1))

    assert understood(well).failure is None
    assert understood(badly).failure == Failure(FailureReason.RATE_LIMITED, "slow down", exit_code=0)
    assert understood(error).failure == Failure(FailureReason.RATE_LIMITED, "slow down", exit_code=0)


def test_a_refusal_is_told_apart() -> None:
    refused = events(("session.error", {"errorType": "content_filter", "message": "no"}))
    seen = understood(refused + b'{"type":"result","exitCode":1}')
    assert seen.failure == Failure(FailureReason.REFUSED, "no", exit_code=0)


# --- Words and numbers


def test_thoughts_are_told_once_and_tokens_of_answers_are_added_up() -> None:
    told = events(
        ("assistant.reasoning", {"reasoningId": "r", "content": "Hm."}),
        ("assistant.message", {"content": "Yes.", "model": "m", "reasoningText": "Hm.", "outputTokens": 3}),
        ("assistant.message", {"content": "So.", "model": "m", "reasoningText": "Well.", "outputTokens": 4}),
    )
    assert understood(told + b'{"type":"result","exitCode":0}').entries[1:] == [
        Thinking(text="Hm."),
        Message(text="Yes."),
        Thinking(text="Well."),
        Message(text="So."),
        UsageReported(usage=Usage(output_tokens=7), model="m", complete=False),
        Finished(),
    ]


def test_what_sub_agents_say_is_not_said_to_the_human() -> None:
    told = events(
        ("assistant.message_delta", {"messageId": "1", "deltaContent": "psst", "parentToolCallId": "c"}),
        ("assistant.message", {"content": "psst", "parentToolCallId": "c"}),
    )
    assert understood(told).kinds == "session_started"


def test_a_message_that_is_cut_off_is_told_as_far_as_it_goes() -> None:
    delta = events(("assistant.message_delta", {"messageId": "1", "deltaContent": "x" * 50_000}))
    (message,) = understood(delta * 100).of(Message)
    assert len(message.text) < TEXT_LIMIT + 200
    assert "4950000 characters left out" in message.text


def test_arguments_that_are_no_object_are_kept() -> None:
    start = events(("tool.execution_start", {"toolCallId": "c", "toolName": "apply_patch", "arguments": "*** Begin"}))
    assert understood(start).entries[1] == ToolCalled(call_id="c", tool="apply_patch", arguments={"input": "*** Begin"})


# --- The command


def test_the_prompt_goes_by_standard_input_however_long_it_is() -> None:
    prompt = "--help " + "x" * 200_000
    run = AgentRun(prompt=prompt, cwd="/tmp", options={"append_prompt": "Be quick."}, new_session_id=NEW)
    launch = EXECUTOR.launch(run)

    assert launch.argv[1:] == ("--output-format=json", f"--session-id={NEW}", "--no-ask-user")
    assert launch.stdin == f"{prompt}\n\nBe quick.".encode()
    assert launch.env == {"COPILOT_AUTO_UPDATE": "false"}


def test_options_become_arguments() -> None:
    launch = EXECUTOR.launch(
        run_of(
            "an-id",
            model="m",
            agent="a",
            mode="plan",
            reasoning_effort="high",
            yolo=True,
            allow_all_tools=True,
            allow_all_paths=True,
            allow_all_urls=True,
            no_ask_user=False,
            no_custom_instructions=True,
            allow_tools=["write", "shell(git:*)"],
            deny_tools=["shell(git push)"],
            allow_urls=["a.example"],
            deny_urls=["b.example"],
            available_tools=["bash"],
            excluded_tools=["view"],
            add_dirs=["/x"],
            disable_mcp_servers=["s"],
            executable="/opt/copilot",
            params=["--experimental"],
        )
    )

    assert launch.argv == (
        "/opt/copilot",
        "--output-format=json",
        "--resume=an-id",
        "--model=m",
        "--agent=a",
        "--mode=plan",
        "--reasoning-effort=high",
        "--allow-all",
        "--allow-all-tools",
        "--allow-all-paths",
        "--allow-all-urls",
        "--no-custom-instructions",
        "--allow-tool=write",
        "--allow-tool=shell(git:*)",
        "--deny-tool=shell(git push)",
        "--allow-url=a.example",
        "--deny-url=b.example",
        "--available-tools=bash",
        "--excluded-tools=view",
        "--add-dir=/x",
        "--disable-mcp-server=s",
        "--experimental",
    )


def test_tool_servers_are_given_and_allowed_with_no_secret_in_the_arguments() -> None:
    server = ToolServer(name="aura", command=("aura", "mcp", "a b"), environment=("AURA_TOKEN",))
    run = AgentRun(prompt="x", cwd="/tmp", tool_servers=(server,), environment={"AURA_TOKEN": "hidden"})
    launch = EXECUTOR.launch(run)

    flag, _, config = launch.argv[-2].partition("=")
    assert flag == "--additional-mcp-config"
    assert json.loads(config) == {
        "mcpServers": {
            "aura": {
                "type": "local",
                "command": "aura",
                "args": ["mcp", "a b"],
                "tools": ["*"],
                "env": {"AURA_TOKEN": "${AURA_TOKEN}"},
            }
        }
    }
    assert launch.argv[-1] == "--allow-tool=aura"
    assert "hidden" not in "".join(launch.argv)


def test_what_it_could_not_work_with_is_refused() -> None:
    with pytest.raises(InvalidInput, match="option reasoning_effort"):
        EXECUTOR.launch(a_run(reasoning_effort="endless"))


def test_a_login_may_be_in_the_keychain(tmp_path: Path) -> None:
    program = tmp_path / "copilot"
    program.write_text("#!/bin/sh\necho GitHub Copilot CLI 1.0.102.\n")
    program.chmod(0o755)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}

    found = EXECUTOR.availability(environment)
    assert (found.available, found.logged_in) == (True, None)
    assert "keychain" in found.login
    assert EXECUTOR.availability({**environment, "GH_TOKEN": "x"}).logged_in
