"""The Agent Client Protocol: what is understood of everything that agents were recorded to say in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import Replay, cases, cut, exited, mutated, replay, written

from aura_contracts.entries import (
    TEXT_LIMIT,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    PermissionRequested,
    SessionStarted,
    ToolCalled,
    ToolFinished,
    Unknown,
    Usage,
    UsageReported,
)
from aura_contracts.failures import FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Executor
from aura_contracts.ports.processes import ExitCause
from aura_executors.agents.acp import AcpExecutor
from aura_executors.testing.executor import ExecutorConformance

EXECUTOR = AcpExecutor()
RUN = AgentRun(prompt="Create hello.txt", cwd="/tmp/demo-repo", options={"agent": "claude-agent-acp"})
FOLDERS = (
    "acp-example",
    "claude-agent-acp",
    "codex-acp",
    "copilot-acp",
    "gemini-acp",
    "opencode-acp",
    "qwen-acp",
)
ALL = [(folder, case) for folder in FOLDERS for case in cases(folder)]

CALLED = "session_started tool_call permission_request"
WROTE = f"{CALLED} file_change tool_result message usage finished"
DENIED = f"{CALLED} tool_result message usage finished"
RAN = "session_started message tool_call tool_result message usage finished"
LOST = FailureReason.SESSION_LOST
UNPERMITTED = FailureReason.PERMISSION_DENIED
UNKNOWN_LOGIN = FailureReason.AUTHENTICATION
ERROR = FailureReason.AGENT_ERROR
TURN = Usage(input_tokens=22, output_tokens=14)
REQUEST = Usage(input_tokens=11, output_tokens=7)


class Case(NamedTuple):
    entries: str
    reason: FailureReason | None = None
    message: str = ""
    usage: Usage | None = None


def cost(usage: Usage, dollars: float) -> Usage:
    return usage + Usage(cost=dollars)


CASES = {
    "acp-example/first": Case("session_started message finished"),
    "acp-example/cancel": Case("session_started message finished"),
    "acp-example/load": Case("finished", LOST, "does not offer session/resume"),
    "claude-agent-acp/first": Case(WROTE, usage=cost(TURN, 0.00046)),
    "claude-agent-acp/fs": Case(WROTE, usage=cost(TURN, 0.00046)),
    "claude-agent-acp/load": Case(WROTE, usage=cost(TURN, 0.00046)),
    "claude-agent-acp/resume": Case(WROTE, usage=cost(TURN, 0.00046)),
    "claude-agent-acp/fork": Case(WROTE, usage=cost(TURN, 0.00046)),
    "claude-agent-acp/badresume": Case("finished", LOST, "Resource not found: 00000000"),
    "claude-agent-acp/reject": Case(DENIED, usage=cost(TURN, 0.00046)),
    "claude-agent-acp/permcancel": Case(DENIED, usage=cost(TURN, 0.00046)),
    "claude-agent-acp/cancel": Case(WROTE, FailureReason.CANCELLED, "cancelled", usage=Usage(cost=0.00023)),
    "claude-agent-acp/sigterm": Case(
        f"{CALLED} file_change tool_result message usage", ERROR, "without its final message", Usage()
    ),
    "claude-agent-acp/fail401": Case("session_started message finished", UNKNOWN_LOGIN, "401 scripted failure"),
    "claude-agent-acp/fail500": Case("session_started message finished", ERROR, "500 scripted failure"),
    "codex-acp/first": Case(RAN, usage=TURN),
    "codex-acp/resume": Case(RAN, usage=TURN),
    "codex-acp/fork": Case(RAN, usage=TURN),
    "codex-acp/badresume": Case("finished", LOST, "no rollout found for thread id 00000000"),
    "codex-acp/cancel": Case(RAN, FailureReason.CANCELLED, "cancelled", usage=REQUEST),
    "codex-acp/fail401": Case("session_started message finished", UNKNOWN_LOGIN, "Authentication required"),
    "codex-acp/fail500": Case("session_started message error message finished", ERROR, "high demand"),
    "codex-acp/midfail500": Case(
        "session_started message tool_call tool_result error message usage finished", ERROR, "high demand", REQUEST
    ),
    "codex-acp/escalate": Case(
        "session_started message tool_call permission_request tool_result message usage finished", usage=TURN
    ),
    "codex-acp/escalatereject": Case(
        "session_started message tool_call permission_request tool_result usage finished",
        UNPERMITTED,
        "it stopped, because it was not permitted to use execute",
        REQUEST,
    ),
    "copilot-acp/first": Case(WROTE.replace("request file", "request message file"), usage=TURN),
    "copilot-acp/resume": Case("finished", LOST, "does not offer session/resume"),
    "copilot-acp/reject": Case(DENIED, usage=REQUEST),
    "copilot-acp/cancel": Case(
        WROTE.replace("request file", "request message file"), FailureReason.CANCELLED, "cancelled", REQUEST
    ),
    "copilot-acp/fail401": Case(f"session_started {'message ' * 3}finished", UNKNOWN_LOGIN, "(HTTP 401)"),
    "copilot-acp/fail500": Case(f"session_started {'message ' * 6}finished", ERROR, "500 scripted failure"),
    "copilot-acp/midfail500": Case(
        f"{CALLED} message file_change tool_result {'message ' * 6}usage finished", ERROR, "500 scripted", REQUEST
    ),
    "copilot-acp/fail429": Case(
        "session_started message finished", FailureReason.RATE_LIMITED, "Last error: 429 scripted failure"
    ),
    "copilot-acp/drop": Case(f"session_started {'message ' * 7}finished", ERROR, "missing finish_reason"),
    "gemini-acp/drop": Case("session_started message finished", ERROR, "broke off"),
    "gemini-acp/fail429": Case("session_started finished", FailureReason.RATE_LIMITED, "scripted failure 429"),
    "gemini-acp/first": Case(WROTE, usage=TURN),
    "gemini-acp/resume": Case("finished", LOST, "does not offer session/resume"),
    "gemini-acp/reject": Case(f"{CALLED} message tool_result usage finished", usage=TURN),
    "gemini-acp/cancel": Case(WROTE.replace("usage ", ""), FailureReason.CANCELLED, "cancelled"),
    "gemini-acp/fail401": Case("session_started finished", UNKNOWN_LOGIN, "scripted failure 401"),
    "gemini-acp/fail500": Case("session_started finished", ERROR, "scripted failure 500"),
    "opencode-acp/first": Case(WROTE, usage=REQUEST),
    "opencode-acp/resume": Case(WROTE, usage=REQUEST),
    "opencode-acp/fork": Case(WROTE, usage=REQUEST),
    "opencode-acp/badresume": Case("finished", LOST, "OpenCode service failure"),
    "opencode-acp/reject": Case(f"{CALLED} tool_result usage finished", usage=REQUEST),
    "opencode-acp/cancel": Case(WROTE.replace("usage ", ""), FailureReason.CANCELLED, "cancelled"),
    "opencode-acp/fail401": Case("session_started finished", ERROR, "scripted failure 401"),  # tells no status
    "opencode-acp/drop": Case(f"session_started {'message ' * 21}finished", ERROR, "broke off 20 times in a row"),
    "qwen-acp/first": Case(WROTE, usage=TURN),
    "qwen-acp/resume": Case("finished", LOST, "Method not found"),
    "qwen-acp/reject": Case(f"{CALLED} message tool_result usage finished", usage=TURN),
    "qwen-acp/cancel": Case(WROTE, FailureReason.CANCELLED, "cancelled", REQUEST),
    "qwen-acp/fail401": Case("session_started finished", UNKNOWN_LOGIN, "401 scripted failure"),
}


def run_of(case: str) -> AgentRun:
    if case in ("load", "resume", "badresume", "fork"):
        return attrs.evolve(RUN, session_id="the-session-before", fork=case == "fork")
    if case.startswith("escalate"):
        return attrs.evolve(RUN, options={"agent": "codex-acp", "mode": "workspace-write"})
    return RUN


def asked_in(folder: str, case: str) -> list[str]:
    found = replay(EXECUTOR, [written(folder, case)], run=run_of(case))
    return [entry.request_id for entry in found.of(PermissionRequested)]


def replayed(folder: str, case: str, pieces: Sequence[bytes] | None = None) -> Replay:
    """Replay a capture, with the answers that were given then."""
    answer = Answer(granted="reject" not in case and "permcancel" not in case)
    answers = [(name, answer) for name in asked_in(folder, case)]
    whole = [written(folder, case)] if pieces is None else pieces
    return replay(EXECUTOR, whole, exited(), run=run_of(case), answers=answers)


class TestConformance(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Executor:
        return EXECUTOR

    @pytest.fixture
    def runs(self, executor: Executor) -> Sequence[AgentRun]:
        other = attrs.evolve(RUN, options={"base_command": "an-agent", "params": ["--acp"], "mode": "plan"})
        return [RUN, run_of("resume"), run_of("fork"), other]

    @pytest.fixture
    def transcripts(self) -> Sequence[bytes]:
        return [written(folder, "first") for folder in ("acp-example", "gemini-acp", "opencode-acp")]


class TestCaptures:
    def test_there_is_an_expectation_for_every_capture(self) -> None:
        assert {f"{folder}/{case}" for folder, case in ALL} == set(CASES)

    @pytest.mark.parametrize(("folder", "case"), ALL)
    def test_what_is_understood(self, folder: str, case: str) -> None:
        expected = CASES[f"{folder}/{case}"]
        found = replayed(folder, case)
        assert " ".join(str(entry.__struct_config__.tag) for entry in found.entries) == expected.entries
        assert (found.failure.reason if found.failure else None) == expected.reason
        assert expected.message in (found.failure.message if found.failure else "")
        used = found.of(UsageReported)
        assert [tokens(entry.usage) for entry in used] == ([] if expected.usage is None else [tokens(expected.usage)])
        assert sum(entry.usage.cost for entry in used) == pytest.approx(expected.usage.cost if expected.usage else 0)
        assert found.conversation.unknown == 0

    @pytest.mark.parametrize(("folder", "case"), ALL)
    def test_it_is_the_same_however_it_is_cut(self, folder: str, case: str) -> None:
        whole = replayed(folder, case)
        for seed in range(12):
            pieces = replayed(folder, case, cut(written(folder, case), seed))
            assert (pieces.entries, pieces.failure) == (whole.entries, whole.failure)
            assert sorted(send.data for send in pieces.sends) == sorted(send.data for send in whole.sends)

    @pytest.mark.parametrize(("folder", "case"), ALL)
    def test_one_that_breaks_off_has_failed(self, folder: str, case: str) -> None:
        data = written(folder, case)
        half = replay(EXECUTOR, [data[: len(data) // 2]], run=run_of(case))
        assert half.failure is not None or half.of(Finished)

    @settings(deadline=None, max_examples=150)
    @given(st.sampled_from(ALL), st.integers(0, 2**32))
    def test_nothing_that_is_damaged_is_an_error(self, which: tuple[str, str], seed: int) -> None:
        folder, case = which
        found = replay(EXECUTOR, cut(mutated(written(folder, case), seed), seed), run=run_of(case))
        assert found.conversation.unknown >= len(found.of(Unknown))


def tokens(usage: Usage) -> Usage:
    return Usage(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens)


class TestWhatIsTold:
    def test_the_session_is_named_with_its_model(self) -> None:
        (started,) = replayed("gemini-acp", "first").of(SessionStarted)
        assert started.model == "gemini-2.5-flash"
        assert len(started.session_id) == 36

    def test_a_session_that_is_resumed_keeps_its_name_and_a_copy_gets_another(self) -> None:
        (resumed,) = replayed("opencode-acp", "resume").of(SessionStarted)
        assert resumed.session_id == "the-session-before"
        (copied,) = replayed("claude-agent-acp", "fork").of(SessionStarted)
        assert copied.session_id not in ("", "the-session-before")

    def test_what_was_said_before_is_not_told_again(self) -> None:
        calls = replayed("claude-agent-acp", "load").of(ToolCalled)
        assert [call.arguments["file_path"] for call in calls] == ["/tmp/demo-repo/second.txt"]

    def test_a_message_is_whole(self) -> None:
        assert replayed("claude-agent-acp", "first").of(Message) == [Message(text="Done: hello.txt created.")]

    def test_a_new_file_is_told_with_its_diff(self) -> None:
        for folder in ("claude-agent-acp", "copilot-acp", "gemini-acp", "opencode-acp", "qwen-acp"):
            (changed,) = replayed(folder, "first").of(FileChanged)
            assert changed.change is FileChange.ADDED
            assert Path(changed.path).name == "hello.txt"
            assert changed.diff is not None
            assert changed.diff.startswith("--- /dev/null\n+++ b/")
            assert changed.diff.endswith("@@ -0,0 +1,1 @@\n+hello from the fake model\n")

    def test_a_request_tells_what_would_be_done(self) -> None:
        (asked,) = replayed("claude-agent-acp", "first").of(PermissionRequested)
        assert asked.tool == "Write"
        assert asked.arguments["content"] == "hello from the fake model\n"
        assert "+hello from the fake model" in (asked.diff or "")
        (call,) = replayed("claude-agent-acp", "first").of(ToolCalled)
        assert (asked.call_id, asked.arguments) == (call.call_id, call.arguments)

    @pytest.mark.parametrize("folder", FOLDERS[1:])
    def test_the_same_call_has_the_same_fingerprint_in_another_process(self, folder: str) -> None:
        first, other = ("escalate", "escalatereject") if folder == "codex-acp" else ("first", "reject")
        one, again = (replayed(folder, case).of(PermissionRequested)[0] for case in (first, other))
        assert one.fingerprint == again.fingerprint
        assert one.call_id != again.call_id

    def test_what_was_denied_is_told_as_a_call_that_failed(self) -> None:
        for folder in ("claude-agent-acp", "copilot-acp", "gemini-acp", "opencode-acp", "qwen-acp"):
            found = replayed(folder, "reject")
            assert [finished.success for finished in found.of(ToolFinished)] == [False]
            assert found.conversation.blocked.startswith("it was not permitted to use ")
            assert found.failure is None

    def test_an_agent_that_says_itself_that_it_was_not_permitted_is_believed(self) -> None:
        found = replay(EXECUTOR, [written("claude-agent-acp", "reject")], run=RUN)
        assert "User refused permission" in found.conversation.blocked

    def test_a_failure_in_the_middle_of_the_work_is_no_success(self) -> None:
        assert [error.retrying for error in replayed("codex-acp", "midfail500").of(ErrorReported)] == [True]
        assert replayed("copilot-acp", "midfail500").failure is not None

    def test_an_exit_code_changes_nothing_and_an_interruption_does(self) -> None:
        data = [written("claude-agent-acp", "first")]
        assert replay(EXECUTOR, data, exited(137), run=RUN).failure is None
        assert replay(EXECUTOR, data, exited(-9, ExitCause.EXIT_GRACE), run=RUN).failure is None
        stopped = replay(EXECUTOR, data, exited(-2, ExitCause.INTERRUPTED), run=RUN).failure
        assert stopped is not None
        assert stopped.reason is FailureReason.CANCELLED

    def test_an_agent_that_does_not_start_says_why_on_standard_error(self) -> None:
        found = replay(EXECUTOR, [], exited(1), b"Error: not logged in, run agent login\n", run=RUN)
        assert found.failure is not None
        assert found.failure.reason is FailureReason.AUTHENTICATION


class TestBounds:
    def test_a_message_without_end_is_cut(self) -> None:
        conversation = EXECUTOR.converse(RUN)
        begun = written("claude-agent-acp", "first").splitlines(keepends=True)[:2]
        conversation.receive(OutputSource.STDOUT, b"".join(begun))
        update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "x" * 50_000}}
        line = {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": update}}
        for _ in range(40):
            assert not list(conversation.receive(OutputSource.STDOUT, msgspec.json.encode(line) + b"\n"))
        message, _ = conversation.end(exited())
        assert isinstance(message, Message)
        assert len(message.text) < TEXT_LIMIT + 200
        assert "left out" in message.text

    def test_a_line_may_be_longer_than_a_pipe_holds(self) -> None:
        begun = written("claude-agent-acp", "first").splitlines(keepends=True)[:2]
        diff = {"type": "diff", "path": "big.txt", "oldText": None, "newText": "line\n" * 400_000}
        update = {"sessionUpdate": "tool_call", "toolCallId": "c", "title": "Write", "status": "completed"}
        params = {"sessionId": "s", "update": {**update, "content": [diff]}}
        line = msgspec.json.encode({"jsonrpc": "2.0", "method": "session/update", "params": params}) + b"\n"
        found = replay(EXECUTOR, [*begun, *cut(line, 1)], run=RUN)
        (changed,) = found.of(FileChanged)
        assert changed.diff is not None
        assert len(changed.diff) < TEXT_LIMIT + 200
