"""Executor `qwen-code`: how it is started, and what Qwen Code is understood to say."""

from typing import Any

import attrs
import pytest
from replays import Outcome, a_run, cases, exited, json_lines, recorded, replay, written

from aura_contracts.entries import (
    ErrorReported,
    FileChanged,
    Finished,
    Message,
    PermissionRequested,
    SessionStarted,
    Usage,
    UsageReported,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason as Reason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Send, ToolServer
from aura_executors.agents.qwen import QwenConversation, QwenExecutor

QWEN = QwenExecutor()
DONE = "Done: hello.txt created."
SECOND = "Done: second.txt created too."
TURN, ONE = (22, 14), (11, 7)

OUTCOMES: dict[str, tuple[int, Reason | None, str | None, str | None, tuple[int, int] | None]] = {
    # case: exit code, failure, last message, tool, input and output tokens
    "first": (0, None, DONE, "write_file", TURN),
    "resume": (0, None, SECOND, "write_file", TURN),
    "retry500": (0, None, DONE, "write_file", TURN),
    "shell": (0, None, "Done by shell.", "run_shell_command", TURN),
    "deny": (0, None, DONE, "tool_search", TURN),
    "badresume": (1, Reason.SESSION_LOST, None, None, None),
    "resumeworktree": (1, Reason.SESSION_LOST, None, None, None),
    "dashprompt": (1, Reason.AGENT_ERROR, None, None, None),
    "fail401": (0, Reason.AUTHENTICATION, None, None, None),
    "fail429": (0, Reason.RATE_LIMITED, None, None, None),
    "fail500": (0, Reason.AGENT_ERROR, None, None, None),
    "midfail500": (0, Reason.AGENT_ERROR, None, "write_file", ONE),
    "drop": (0, Reason.AGENT_ERROR, "half an ahalf an ahalf an a", None, None),
    "malformed": (0, Reason.AGENT_ERROR, None, None, None),
    "sigint": (-2, Reason.AGENT_ERROR, None, "write_file", ONE),
    "toolsigterm": (-15, Reason.AGENT_ERROR, None, "run_shell_command", ONE),
    "control_allow": (0, None, SECOND, "write_file", (44, 28)),
    "control_deny": (0, None, DONE, "write_file", TURN),
    "control_interrupt": (130, Reason.AGENT_ERROR, None, "write_file", ONE),
}


def message(text: str, **usage: int) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {"type": "assistant", "message": {"id": text, "model": "m", "content": content, "usage": usage}}


def test_every_capture_has_an_expected_outcome() -> None:
    assert set(cases("qwen")) == set(OUTCOMES)


@pytest.mark.parametrize("case", OUTCOMES)
def test_a_recorded_run_has_the_outcome_that_it_had(case: str) -> None:
    code, *outcome = OUTCOMES[case]
    seen = recorded(QWEN, f"qwen/{case}", code, a_run("s"))
    assert seen.outcome == Outcome(*outcome)
    assert seen.unknown == 0
    assert len(seen.of(SessionStarted)) == (1 if written("qwen", case) else 0)
    assert len(seen.of(Finished)) == (1 if code == 0 else 0)


def test_a_failure_of_the_service_is_an_error_and_no_message() -> None:
    seen = replay(QWEN, written("qwen", "fail401"))
    assert seen.of(ErrorReported) == [ErrorReported(message="401 scripted failure 401")]
    assert seen.of(Finished)[0].failure.reason is Reason.AUTHENTICATION


def test_an_answer_that_speaks_of_failures_is_none() -> None:
    text = "The log says [API Error: 401 no]"
    line = {"type": "result", "subtype": "success", "is_error": False, "result": text}
    seen = replay(QWEN, json_lines(message(text, input_tokens=9, output_tokens=9), line))
    assert seen.failure is None
    assert seen.of(Message) == [Message(text=text)]


def test_a_rate_limit_is_known() -> None:
    text = "[API Error: 429 slow down]"
    line = {"type": "result", "subtype": "success", "is_error": False, "result": text}
    failure = replay(QWEN, json_lines(message(text, input_tokens=0, output_tokens=0), line)).failure
    assert failure is not None
    assert failure.reason is Reason.RATE_LIMITED


def test_cached_tokens_are_counted_apart() -> None:
    line = message("a", input_tokens=100, output_tokens=5, cache_read_input_tokens=60)
    seen = replay(QWEN, json_lines(line, {"type": "result", "subtype": "success", "is_error": False}))
    assert seen.of(UsageReported) == [
        UsageReported(usage=Usage(input_tokens=40, output_tokens=5, cache_read_tokens=60), model="m")
    ]


@pytest.mark.parametrize(
    "advice",
    [
        "Possible quota limitations in place or slow response times detected. Please wait and try again later.",
        "Please wait and try again later. To increase your limits, request a quota increase through AI Studio",
    ],
)
def test_a_rate_limit_is_known_with_the_advice_that_follows(advice: str) -> None:
    text = f"half an a[API Error: slow down (Status: RESOURCE_EXHAUSTED)]\n{advice}"
    line = {"type": "result", "subtype": "success", "is_error": False, "result": text}
    seen = replay(QWEN, json_lines(message(text, input_tokens=0, output_tokens=0), line))
    assert seen.outcome == Outcome(Reason.RATE_LIMITED, "half an a")
    assert [error.message for error in seen.of(ErrorReported)] == ["slow down (Status: RESOURCE_EXHAUSTED)"]


def test_words_after_a_failure_make_it_a_message() -> None:
    text = "The log says\n[API Error: 500 x]\nI shall look into it."
    line = {"type": "result", "subtype": "success", "is_error": False, "result": text}
    assert replay(QWEN, json_lines(message(text), line)).outcome == Outcome(None, text)


def test_a_question_that_it_gave_up_ends_the_turn_and_stays_open() -> None:
    seen = recorded(QWEN, "qwen24/unanswered", 0)
    assert seen.outcome == Outcome(Reason.PERMISSION_DENIED, None, "run_shell_command", ONE)
    assert seen.kinds == "session_started tool_call permission_request usage finished"
    assert [sent.close for sent in seen.sends] == [False, True]
    assert b'"interrupt"' in seen.sends[0].data


def test_an_answered_call_may_fail_in_any_words() -> None:
    lines = written("qwen24", "unanswered").splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if line.startswith(b'{"type":"control_request"'))
    conversation = QwenConversation(a_run())
    said = list(conversation.receive(OutputSource.STDOUT, b"".join(lines[: place + 1])))
    asked = said[-1]
    assert isinstance(asked, PermissionRequested)
    list(conversation.answer(asked.request_id, Answer(granted=True)))
    list(conversation.receive(OutputSource.STDOUT, b"".join(lines[place + 1 :])))
    assert conversation.judge(exited()) is None


def test_a_permission_is_asked_for_and_answered() -> None:
    lines = written("qwen", "control_deny").splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if b"can_use_tool" in line and b"control_request" in line)
    conversation = QwenConversation(a_run())
    said = list(conversation.receive(OutputSource.STDOUT, b"".join(lines[: place + 1])))
    asked = said[-1]
    assert isinstance(asked, PermissionRequested)
    assert asked.tool == "write_file"
    assert asked.diff is not None
    assert "+hello from the fake model" in asked.diff
    (send,) = conversation.answer(asked.request_id, Answer(granted=False, feedback="no"))
    assert b'"behavior":"deny"' in send.data
    said = list(conversation.receive(OutputSource.STDOUT, b"".join(lines[place + 1 :])))
    assert said[-1] == Send(close=True)
    assert not [one for one in said if isinstance(one, FileChanged)]
    assert conversation.blocked == "it was not permitted to use write_file"


def test_it_is_asked_to_stop_and_then_says_nothing_more() -> None:
    conversation = QwenConversation(a_run())
    lines = written("qwen", "control_interrupt")
    list(conversation.receive(OutputSource.STDOUT, lines))
    (send,) = conversation.interrupt()
    assert b'"interrupt"' in send.data
    failure = conversation.judge(exited(130))
    assert failure is not None
    assert (failure.reason, failure.exit_code) == (Reason.CANCELLED, 130)


def test_the_command() -> None:
    server = ToolServer(name="aura", command=("aura", "mcp"), environment=("AURA_TOKEN",))
    run = attrs.evolve(
        a_run(model="m", approval_mode="auto-edit", allow_tools=["run_shell_command(ls)"], max_turns=4),
        new_session_id="e58b6b92-6bd1-48b4-b71a-6e0e3ecf5a1f",
        tool_servers=(server,),
    )
    launch = QWEN.launch(run)
    for word in (
        "--session-id=e58b6b92-6bd1-48b4-b71a-6e0e3ecf5a1f",
        "--model=m",
        "--approval-mode=auto-edit",
        "--max-session-turns=4",
        "--allowed-tools=run_shell_command(ls)",
        "--exclude-tools=ask_user_question",
        '--mcp-config={"mcpServers":{"aura":{"command":"aura","args":["mcp"],"trust":true}}}',
    ):
        assert word in launch.argv
    assert launch.env["QWEN_CODE_NO_RELAUNCH"] == "true"
    assert launch.stdin is not None
    first, second = launch.stdin.splitlines()
    assert b'"initialize"' in first
    assert b"Create hello.txt" in second
    assert "--resume=old" in QWEN.launch(attrs.evolve(run, session_id="old")).argv


@pytest.mark.parametrize(
    ("run", "field"),
    [
        (a_run(yolo=True, approval_mode="plan"), "yolo"),
        (a_run(approval_mode="never"), "approval_mode"),
        (a_run(max_turns=0), "max_turns"),
        (a_run(add_dirs=["\0"]), "add_dirs"),
    ],
)
def test_runs_that_make_no_sense_are_refused(run: AgentRun, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        QWEN.launch(run)
