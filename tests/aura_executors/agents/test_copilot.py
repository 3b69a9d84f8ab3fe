"""The GitHub Copilot CLI: its command, and what is understood of everything that it was recorded to write."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import (
    TEXT_LIMIT,
    AgentRun,
    Entry,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    ToolServer,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents.copilot import CopilotConversation, CopilotExecutor
from aura_executors.testing.executor import ExecutorConformance, pieces

CAPTURES = Path(__file__).parent / "captures"
EXECUTOR = CopilotExecutor()
FILES = [path for folder in ("copilot", "copilot-native") for path in sorted((CAPTURES / folder).glob("*.stdout"))]

NEW = "58f26511-6d53-484a-a228-622e507daaf7"

WROTE = "session_started tool_call file_change tool_result"
WORK = f"{WROTE} message finished"
CALLED = "session_started tool_call tool_result message finished"
SIX_ERRORS = "error error error error error error"


class Case(NamedTuple):
    """What is understood of a capture; `exit_code` is negative for a signal."""

    entries: str
    exit_code: int = 0
    reason: FailureReason | None = None
    message: str = ""
    blocked: str = ""


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


def ended(code: int = 0, cause: ExitCause = ExitCause.OWN) -> ProcessExit:
    return ProcessExit(
        token="t", cause=cause, exit_code=code if code >= 0 else None, signal=-code if code < 0 else None
    )


def run_of(session_id: str | None = None, **options: object) -> AgentRun:
    return AgentRun(prompt="Do it", cwd="/tmp", options=dict(options), session_id=session_id, new_session_id=NEW)


def replay(
    stdout: bytes, stderr: bytes = b"", code: int = 0, session_id: str | None = None, cuts: Sequence[int] = ()
) -> tuple[list[Entry], Failure | None, CopilotConversation]:
    conversation = EXECUTOR.converse(run_of(session_id))
    list(conversation.receive(OutputSource.STDERR, stderr))
    entries: list[Entry] = []
    for source, data in pieces(stdout, cuts):
        entries += [entry for entry in conversation.receive(source, data) if isinstance(entry, Entry)]
    entries += conversation.end(ended(code))
    return entries, conversation.judge(ended(code)), conversation


def recorded(name: str) -> tuple[bytes, bytes]:
    errors = CAPTURES / f"{name}.stderr"
    return (CAPTURES / f"{name}.stdout").read_bytes(), errors.read_bytes() if errors.exists() else b""


def kinds(entries: Sequence[Entry]) -> str:
    return " ".join(str(type(entry).__struct_config__.tag) for entry in entries)


def of(kind: type[Entry], entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if isinstance(entry, kind)]


def events(*lines: tuple[str, dict[str, object]]) -> bytes:
    return b"".join(json.dumps({"type": kind, "data": data}).encode() + b"\n" for kind, data in lines)


class TestCopilot(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> CopilotExecutor:
        return EXECUTOR

    @pytest.fixture
    def transcripts(self) -> Sequence[bytes]:
        return [data for path in FILES if (data := path.read_bytes())]


# --- What it wrote


def test_every_capture_is_expected() -> None:
    assert {f"{path.parent.name}/{path.stem}" for path in FILES} == set(CASES)


def session_of(name: str) -> str:
    """Return the session that the last event of a capture names; any other where it names none."""
    lines = recorded(name)[0].splitlines()
    last = json.loads(lines[-1]) if lines else {}
    return str(last.get("sessionId", "00000000-0000-4000-8000-000000000000"))


@pytest.mark.parametrize("name", CASES)
def test_a_capture_is_understood(name: str) -> None:
    case = CASES[name]
    session = session_of(name)

    entries, failure, conversation = replay(*recorded(name), case.exit_code, session)

    assert kinds(entries) == case.entries
    assert conversation.unknown == 0
    assert of(SessionStarted, entries) == ([SessionStarted(session_id=session, model="fake-model")] if entries else [])
    assert case.blocked in conversation.blocked
    assert bool(case.blocked) == bool(conversation.blocked)
    if case.reason is None:
        assert failure is None
    else:
        assert failure is not None
        assert (failure.reason, case.message in failure.message) == (case.reason, True)


def test_the_particulars_of_a_capture() -> None:
    entries, _, _ = replay(*recorded("copilot/first"))
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
    entries, _, _ = replay(*recorded("copilot/shell"))
    (finished,) = of(ToolFinished, entries)
    assert isinstance(finished, ToolFinished)
    assert finished.exit_code == 0


def test_it_says_that_it_tries_again() -> None:
    entries, _, _ = replay(*recorded("copilot/fail429"))
    errors = [entry for entry in entries if isinstance(entry, ErrorReported)]
    assert [error.retrying for error in errors] == [True] * 5 + [False]
    assert errors[0].message.startswith("rate_limit: status 429: ")


@given(st.sampled_from(FILES), st.lists(st.integers(min_value=0), max_size=20))
@settings(max_examples=60, deadline=None)
def test_pieces_do_not_matter(path: Path, cuts: list[int]) -> None:
    data = path.read_bytes()
    assert replay(data, cuts=cuts)[:2] == replay(data)[:2]


@given(st.sampled_from(FILES), st.integers(min_value=0), st.integers(min_value=0, max_value=40), st.binary(max_size=20))
@settings(max_examples=150, deadline=None)
def test_nothing_that_is_damaged_is_an_error_or_lost(path: Path, place: int, size: int, put: bytes) -> None:
    data = path.read_bytes()
    place %= len(data) + 1
    damaged = data[:place] + put + data[place + size :]

    entries, _, conversation = replay(damaged)

    assert conversation.unknown == len([entry for entry in entries if kinds([entry]) == "unknown"])


def test_what_is_not_known_is_kept_and_counted() -> None:
    lines = (
        b'{"type":"assistant.hologram","data":{}}\nplain words\n{"type":"abort"}\n{"type":"result"}\n[1]\n{"type":"x\n'
    )
    entries, failure, conversation = replay(lines)

    assert (set(kinds(entries).split()), conversation.unknown) == ({"unknown"}, 6)
    assert failure is not None


def test_the_type_is_found_wherever_it_is() -> None:
    entries, _, _ = replay(b'{ "exitCode": 0, "sessionId": "s", "type": "result" }\n', session_id="s")
    assert kinds(entries) == "session_started finished"


# --- The session


def test_a_session_is_told_when_there_is_something_in_it() -> None:
    loaded = events(("session.skills_loaded", {}), ("session.mcp_server_status_changed", {}))
    assert replay(loaded)[0] == []

    entries, _, _ = replay(loaded + events(("session.tools_updated", {"model": "m"}), ("user.message", {})))
    assert entries == [SessionStarted(session_id=NEW, model="m")]
    assert replay(loaded + events(("user.message", {})))[0] == [SessionStarted(session_id=NEW)]


def test_another_session_than_the_chosen_one_is_told_in_the_end() -> None:
    entries, _, _ = replay(*recorded("copilot/stdin"))
    assert [entry.session_id for entry in entries if isinstance(entry, SessionStarted)] == [
        NEW,
        session_of("copilot/stdin"),
    ]


# --- How it ended


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (ExitCause.INTERRUPTED, FailureReason.CANCELLED),
        (ExitCause.TIMEOUT, FailureReason.TIMEOUT),
        (ExitCause.VANISHED, FailureReason.WORKER_LOST),
    ],
)
def test_who_ended_it_decides(cause: ExitCause, reason: FailureReason) -> None:
    _, _, conversation = replay(*recorded("copilot-native/sigint"))
    failure = conversation.judge(ended(0, cause))
    assert failure is not None
    assert failure.reason is reason


def test_one_that_did_not_go_is_judged_by_what_it_said() -> None:
    _, _, done = replay(*recorded("copilot/first"))
    _, _, failed = replay(*recorded("copilot/fail401"))

    assert done.judge(ended(-9, ExitCause.FAREWELL)) is None
    failure = failed.judge(ended(-9, ExitCause.FAREWELL))
    assert failure is not None
    assert (failure.reason, failure.signal) == (FailureReason.AUTHENTICATION, 9)


def test_an_error_that_passed_is_no_failure() -> None:
    error = events(("session.error", {"errorType": "rate_limit", "message": "slow down"}))
    well, badly = (error + json.dumps({"type": "result", "exitCode": code}).encode() for code in (0, 1))

    assert replay(well)[1] is None
    assert replay(badly)[1] == Failure(FailureReason.RATE_LIMITED, "slow down", exit_code=0)
    assert replay(error)[1] == Failure(FailureReason.RATE_LIMITED, "slow down", exit_code=0)


def test_a_refusal_is_told_apart() -> None:
    refused = events(("session.error", {"errorType": "content_filter", "message": "no"}))
    assert replay(refused + b'{"type":"result","exitCode":1}')[1] == Failure(FailureReason.REFUSED, "no", exit_code=0)


def test_an_end_without_a_final_word_is_a_failure() -> None:
    stdout = recorded("copilot/first")[0].splitlines(keepends=True)
    _, failure, _ = replay(b"".join(stdout[:-1]))
    assert failure == Failure(FAILED, "it ended without its final word", exit_code=0)


# --- Words and numbers


def test_thoughts_are_told_once_and_tokens_of_answers_are_added_up() -> None:
    lines = events(
        ("assistant.reasoning", {"reasoningId": "r", "content": "Hm."}),
        ("assistant.message", {"content": "Yes.", "model": "m", "reasoningText": "Hm.", "outputTokens": 3}),
        ("assistant.message", {"content": "So.", "model": "m", "reasoningText": "Well.", "outputTokens": 4}),
    )
    entries, _, _ = replay(lines + b'{"type":"result","exitCode":0}')

    assert entries[1:] == [
        Thinking(text="Hm."),
        Message(text="Yes."),
        Thinking(text="Well."),
        Message(text="So."),
        UsageReported(usage=Usage(output_tokens=7), model="m"),
        Finished(),
    ]


def test_what_sub_agents_say_is_not_said_to_the_human() -> None:
    lines = events(
        ("assistant.message_delta", {"messageId": "1", "deltaContent": "psst", "parentToolCallId": "c"}),
        ("assistant.message", {"content": "psst", "parentToolCallId": "c"}),
    )
    assert kinds(replay(lines)[0]) == "session_started"


def test_a_message_that_is_cut_off_is_told_as_far_as_it_goes() -> None:
    delta = events(("assistant.message_delta", {"messageId": "1", "deltaContent": "x" * 50_000}))
    entries, _, _ = replay(delta * 100)

    (message,) = of(Message, entries)
    assert isinstance(message, Message)
    assert len(message.text) < TEXT_LIMIT + 200
    assert "4950000 characters left out" in message.text


def test_arguments_that_are_no_object_are_kept() -> None:
    start = events(("tool.execution_start", {"toolCallId": "c", "toolName": "apply_patch", "arguments": "*** Begin"}))
    assert replay(start)[0][1] == ToolCalled(call_id="c", tool="apply_patch", arguments={"input": "*** Begin"})


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


@pytest.mark.parametrize(
    ("run", "field"),
    [
        (run_of(reasoning_effort="endless"), "option reasoning_effort"),
        (AgentRun(prompt="x", cwd="/tmp", session_id="s", fork=True), "fork"),
    ],
)
def test_what_it_could_not_work_with_is_refused(run: AgentRun, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        EXECUTOR.launch(run)
    assert refused.value.field == field


def test_a_login_may_be_in_the_keychain(tmp_path: Path) -> None:
    program = tmp_path / "copilot"
    program.write_text("#!/bin/sh\necho GitHub Copilot CLI 1.0.102.\n")
    program.chmod(0o755)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}

    found = EXECUTOR.availability(environment)
    assert (found.available, found.logged_in) == (True, None)
    assert "keychain" in found.login
    assert EXECUTOR.availability({**environment, "GH_TOKEN": "x"}).logged_in
