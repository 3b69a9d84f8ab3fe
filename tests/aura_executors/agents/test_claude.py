"""Executor `claude`: how it is started, and what Claude Code is understood to say."""

import sys
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from replays import Outcome, a_run, captures, exited, json_lines, recorded, replay, written

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    MessageTaken,
    PermissionRequested,
    PermissionWithdrawn,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Unknown,
    UsageReported,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason as Reason
from aura_contracts.output import OutputSource
from aura_contracts.permission import fingerprint_of
from aura_contracts.ports.executors import AgentRun, Answer, Send, ToolServer
from aura_executors.adapter.questions import LIMIT as OPEN_LIMIT
from aura_executors.agents.claude import ClaudeExecutor
from aura_executors.agents.claude.command import PROGRAM
from aura_executors.agents.claude.conversation import ClaudeConversation
from aura_executors.agents.claude.edits import COMPARED_LIMIT, DIFF_LIMIT, diff_of

CLAUDE = ClaudeExecutor()
FOLDERS = ("claude", "claude22")
DONE = "Done: hello.txt created."
SECOND = "Done: second.txt created too."
CUT = "This is a very slow answer. This is "
TURN, ONE = (22, 14), (11, 7)
BROKEN = (11, 1)
"""Of a message that nothing came after: its tokens were counted when it began."""
BLOCKED = "it was not permitted to use Write /tmp/demo-repo/hello.txt"

OUTCOMES: dict[tuple[str, str], tuple[int, Reason | None, str | None, str | None, tuple[int, int] | None]] = {
    # captures of, case: exit code, failure, last message, tool, input and output tokens
    **{
        (folder, case): outcome
        for folder in FOLDERS
        for case, outcome in {
            "first": (0, None, DONE, "Write", TURN),
            "stdin": (0, None, DONE, "Write", TURN),
            "openstdin": (0, None, DONE, "Write", TURN),
            "retry500": (0, None, DONE, "Write", TURN),
            "deny": (0, None, DONE, "Write", TURN),
            "shell": (0, None, "Done by shell.", "Bash", TURN),
            "resume": (0, None, SECOND, "Write", TURN),
            "resumeworktree": (0, None, SECOND, "Write", TURN),
            "fail401": (1, Reason.AUTHENTICATION, None, None, None),
            "fail429": (1, Reason.RATE_LIMITED, None, None, None),
            "fail500": (1, Reason.AGENT_ERROR, None, None, None),
            "midfail500": (1, Reason.AGENT_ERROR, None, "Write", ONE),
            "sigint": (0, Reason.AGENT_ERROR, CUT, "Write", ONE),
            "toolsigint": (1, Reason.AGENT_ERROR, None, "Bash", ONE),
            "sigterm": (143, Reason.AGENT_ERROR, None, "Write", BROKEN),
            "toolsigterm": (143, Reason.AGENT_ERROR, None, "Bash", BROKEN),
            "toolsigtermgrp": (143, Reason.AGENT_ERROR, None, "Bash", BROKEN),
        }.items()
    },
    ("claude", "sigtermgrp"): (143, Reason.AGENT_ERROR, None, "Write", BROKEN),
    ("claude", "partial"): (0, None, DONE, "Write", TURN),
    ("claude", "drop"): (0, None, "half an answer that is cut", None, ONE),
    ("claude22", "drop"): (0, None, "half an answer that is cut", None, (33, 13)),
    ("claude", "malformed"): (0, None, "never", None, ONE),
    ("claude22", "malformed"): (0, None, "never", None, (22, 8)),
    ("claude22", "sigint"): (0, Reason.AGENT_ERROR, CUT, "Write", (22, 19)),
    ("claude22", "toolsigint"): (0, Reason.AGENT_ERROR, None, "Bash", ONE),
    ("claude22", "badresume"): (1, Reason.SESSION_LOST, None, None, None),
    ("claude22", "dashprompt"): (1, Reason.AGENT_ERROR, None, None, None),
    ("claude", "control_allow"): (0, None, SECOND, "Write", (44, 28)),
    ("claude", "control_deny"): (0, None, DONE, "Write", TURN),
    ("claude", "control_interrupt"): (1, Reason.AGENT_ERROR, CUT, "Write", ONE),
    ("claude22", "control_allow"): (0, None, "done", "Write", TURN),
    ("claude22", "control_resume"): (0, None, "done", "Write", TURN),
    ("claude22", "control_deny"): (0, None, "done", "Write", TURN),
    ("claude22", "control_edit"): (0, None, "done", "Edit", (33, 21)),
    ("claude22", "control_interrupt_asked"): (1, Reason.AGENT_ERROR, None, "Write", ONE),
    ("claude22", "control_background"): (0, None, "started it", "Write", (55, 35)),
    ("claude22", "control_shell_background"): (0, None, "started", "Bash", (33, 21)),
    ("claude22", "max_turns"): (1, Reason.AGENT_ERROR, None, "Bash", TURN),
}

BACKGROUND = ("claude22", "control_background")


def assistant(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "assistant", "message": {"id": "m1", "role": "assistant", "content": list(blocks)}, **more}


def result(**more: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, "result": "", **more}


def asking(request_id: str = "r1", tool: str = "Write", call_id: str = "t1", **given: Any) -> dict[str, Any]:
    request = {"subtype": "can_use_tool", "tool_name": tool, "input": given, "tool_use_id": call_id}
    return {"type": "control_request", "request_id": request_id, "request": request}


def understood(*lines: dict[str, Any]) -> list[Entry | Send]:
    return list(ClaudeConversation(a_run()).receive(OutputSource.STDOUT, json_lines(*lines)))


# --- Replays


def test_every_capture_has_an_expected_outcome() -> None:
    assert set(captures(*FOLDERS)) == {"/".join(capture) for capture in OUTCOMES}


@pytest.mark.parametrize(("folder", "case"), OUTCOMES)
def test_a_recorded_run_has_the_outcome_that_it_had(folder: str, case: str) -> None:
    code, *outcome = OUTCOMES[folder, case]
    seen = recorded(CLAUDE, f"{folder}/{case}", code, a_run("s"))
    assert seen.outcome == Outcome(*outcome)
    assert seen.failure is None or seen.failure.exit_code == code
    assert seen.unknown == 0
    sessions = {part.split(b'"')[0].decode() for part in written(folder, case).split(b'"session_id":"')[1:]}
    started = seen.of(SessionStarted)
    assert {one.session_id for one in started} == (sessions if case != "badresume" else set())
    assert len(started) <= 1
    assert len(seen.of(Finished)) == (0 if code == 143 or case == "dashprompt" else 1)


def test_a_turn_with_a_new_file() -> None:
    seen = replay(CLAUDE, written("claude22", "first"))
    call = seen.of(ToolCalled)[0]
    assert call.arguments == {"file_path": "/tmp/demo-repo/hello.txt", "content": "hello from the fake model\n"}
    assert seen.of(ToolFinished)[0].success
    assert seen.of(FileChanged) == [
        FileChanged(path="/tmp/demo-repo/hello.txt", change=FileChange.ADDED, call_id=call.call_id)
    ]
    (usage,) = seen.of(UsageReported)
    assert (usage.model, usage.usage.cost) == ("claude-opus-5-5", pytest.approx(0.000368))
    assert seen.of(Finished) == [Finished()]
    assert seen.sends == [Send(close=True)]


def test_an_edit_is_told_with_what_it_changed() -> None:
    seen = replay(CLAUDE, written("claude22", "control_edit"))
    (asked,) = seen.of(PermissionRequested)
    assert asked.diff == "--- /tmp/demo-repo/a.txt\n+++ /tmp/demo-repo/a.txt\n@@ -1 +1 @@\n-hi\n+ho"
    (change,) = seen.of(FileChanged)
    assert change.change is FileChange.MODIFIED
    assert change.diff == "--- /tmp/demo-repo/a.txt\n+++ /tmp/demo-repo/a.txt\n@@ -1,1 +1,1 @@\n-hi\n+ho"


def test_usage_of_several_turns_and_of_resumed_sessions_is_counted_once() -> None:
    for folder, case, cost in (("claude", "control_allow", 0.00092), ("claude22", "control_resume", 0.000368)):
        seen = replay(CLAUDE, written(folder, case))
        assert sum(one.usage.cost for one in seen.of(UsageReported)) == pytest.approx(cost)


def test_retries_are_told() -> None:
    seen = replay(CLAUDE, written("claude22", "fail429"), exited(1))
    again, last = seen.of(ErrorReported)
    assert again == ErrorReported(message="rate_limit (429), attempt 1 of 1", retrying=True)
    assert "429" in last.message


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_was_not_permitted_is_told(folder: str) -> None:
    assert replay(CLAUDE, written(folder, "deny")).conversation.blocked == BLOCKED
    assert replay(CLAUDE, written(folder, "first")).conversation.blocked == ""


def test_subagents_in_the_background_are_waited_for() -> None:
    data = written(*BACKGROUND)
    results = [place for place, line in enumerate(data.splitlines()) if b'"type":"result"' in line]
    assert len(results) == 2
    first = b"".join(data.splitlines(keepends=True)[: results[0] + 1])
    early = replay(CLAUDE, [first], exited(1))
    assert early.sends == []
    assert early.of(Finished) == []
    assert early.failure is not None, "it was ended before they were done"
    seen = replay(CLAUDE, [data])
    assert [type(entry) for entry in seen.entries[-2:]] == [UsageReported, Finished]
    assert seen.sends == [Send(close=True)]


def test_shell_commands_in_the_background_are_given_the_farewell() -> None:
    seen = replay(CLAUDE, written("claude22", "control_shell_background"))
    kinds = [type(entry) for entry in seen.entries]
    assert kinds.index(Finished) < kinds.index(Message, kinds.index(Finished))
    assert CLAUDE.launch(a_run()).exit_grace > 5


# --- Permissions


def test_a_permission_is_asked_for_and_the_input_goes_back_as_it_came() -> None:
    conversation = ClaudeConversation(a_run())
    line = asking(tool="Write", file_path="a.txt", content="é\u2028\n")
    (entry,) = conversation.receive(OutputSource.STDOUT, json_lines(line))
    assert isinstance(entry, PermissionRequested)
    given = {"file_path": "a.txt", "content": "é\u2028\n"}
    assert (entry.tool, entry.call_id, entry.arguments) == ("Write", "t1", given)
    assert entry.fingerprint == fingerprint_of("Write", given)
    (send,) = conversation.answer("r1", Answer(granted=True))
    assert msgspec.json.decode(send.data) == {
        "type": "control_response",
        "response": {
            "subtype": "success",
            "request_id": "r1",
            "response": {"behavior": "allow", "updatedInput": given},
        },
    }
    assert send.data.count(b"\n") == 1
    assert list(conversation.answer("r1", Answer(granted=True))) == [], "it is answered once"


@pytest.mark.parametrize(("feedback", "message"), [('not "today"', 'not "today"'), ("", "This was not permitted.")])
def test_a_denial_says_why(feedback: str, message: str) -> None:
    conversation = ClaudeConversation(a_run())
    list(conversation.receive(OutputSource.STDOUT, json_lines(asking())))
    (send,) = conversation.answer("r1", Answer(granted=False, feedback=feedback))
    decision = msgspec.json.decode(send.data)["response"]["response"]
    assert decision == {"behavior": "deny", "message": message}
    list(conversation.receive(OutputSource.STDOUT, json_lines(result())))
    assert conversation.blocked == "it was not permitted to use Write"


def test_an_answer_that_comes_before_the_question_is_remembered() -> None:
    seen = replay(CLAUDE, json_lines(asking()), answers=[("r1", Answer(granted=True))])
    assert len(seen.of(PermissionRequested)) == 1
    assert len(seen.sends) == 1
    assert b'"allow"' in seen.sends[0].data


def test_a_question_is_withdrawn_when_it_is_cancelled() -> None:
    seen = replay(CLAUDE, written("claude22", "control_interrupt_asked"), exited(1))
    (asked,) = seen.of(PermissionRequested)
    assert seen.of(PermissionWithdrawn) == [PermissionWithdrawn(request_id=asked.request_id)]
    assert list(seen.conversation.answer(asked.request_id, Answer(granted=True))) == []


def test_what_is_no_question_about_a_tool_is_refused() -> None:
    line = {"type": "control_request", "request_id": "r1", "request": {"subtype": "hook_callback"}}
    (send,) = understood(line)
    assert isinstance(send, Send)
    assert msgspec.json.decode(send.data)["response"]["error"] == "hook_callback is not supported"
    (send,) = understood({"type": "control_request", "request_id": "r1", "request": {"subtype": "can_use_tool"}})
    assert isinstance(send, Send)
    assert b'"error"' in send.data


def test_half_a_character_does_not_keep_a_question_from_being_asked() -> None:
    line = json_lines(asking(content="half HALF")).replace(b"HALF", b"\\ud83d")
    seen = replay(CLAUDE, [line], answers=[("r1", Answer(granted=True))])
    assert seen.of(PermissionRequested)[0].arguments == {"content": "half \ufffd"}
    assert b"\\ufffd" in seen.sends[0].data
    whole = json_lines(asking(content="HALF")).replace(b"HALF", b"\\ud83d\\ude00")
    assert replay(CLAUDE, [whole]).of(PermissionRequested)[0].arguments == {"content": "\U0001f600"}


def test_arguments_are_bounded_and_can_be_stored() -> None:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    given = {"content": "x" * 200_000, "deep": deep, "nul": "a\0"}
    seen = replay(
        CLAUDE, [json_lines(asking(**given), assistant({"type": "tool_use", "id": "t", "name": "X", "input": given}))]
    )
    for entry in seen.of(PermissionRequested, ToolCalled):
        assert len(msgspec.json.encode(entry)) < 150_000
        assert entry.arguments["nul"] == "a\ufffd"
    asked = seen.of(PermissionRequested)[0]
    assert asked.fingerprint == fingerprint_of("Write", given), "of all that there is"
    (send,) = seen.conversation.answer("r1", Answer(granted=True))
    assert msgspec.json.decode(send.data)["response"]["response"]["updatedInput"] == given


def test_questions_that_are_too_many_are_denied() -> None:
    said = understood(*(asking(f"r{number}", call_id=f"t{number}") for number in range(OPEN_LIMIT + 1)))
    assert len([one for one in said if isinstance(one, PermissionRequested)]) == OPEN_LIMIT
    assert isinstance(said[-1], Send)
    assert b'"deny"' in said[-1].data


def test_diffs_are_bounded() -> None:
    many = "\n".join(str(number) for number in range(COMPARED_LIMIT * 20))
    shown = diff_of({"file_path": "a", "old_string": many, "new_string": many + "x"})
    assert shown is not None
    assert len(shown) < DIFF_LIMIT + 200
    assert diff_of({"command": "ls"}) is None
    assert diff_of({"file_path": "a"}) is None
    edits = [{"old_string": "a", "new_string": "b"}, {"old_string": "c", "new_string": "d"}, 5]
    assert diff_of({"file_path": "f", "edits": edits}) == "--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b\n@@ -1 +1 @@\n-c\n+d"


# --- Being told something while it works


TOLD = "0192f0c1-2d3e-7abc-8def-0123456789ab"
BEGUN = {"type": "system", "subtype": "init", "session_id": "s", "capabilities": ["msg_lifecycle_v1"]}


def lifecycle(state: Any, message_id: Any = TOLD) -> dict[str, Any]:
    return {"type": "command_lifecycle", "command_uuid": message_id, "state": state}


def heard(conversation: ClaudeConversation, *lines: dict[str, Any]) -> list[Any]:
    data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    return list(conversation.receive(OutputSource.STDOUT, data))


def test_it_is_told_in_its_turn_and_confirms_it() -> None:
    conversation = ClaudeConversation(a_run())
    assert not conversation.tell(TOLD, "stop"), "it has not begun"
    heard(conversation, BEGUN)
    (send,) = conversation.tell(TOLD, "/stop")
    sent = msgspec.json.decode(send.data)
    assert (sent["type"], sent["uuid"], send.close) == ("user", TOLD, False)
    assert sent["message"]["content"] == [{"type": "text", "text": " /stop"}], "no command of its own"
    entries = heard(conversation, lifecycle("queued"), lifecycle("started"), lifecycle("completed"))
    assert entries == [MessageTaken(message_id=TOLD), MessageTaken(message_id=TOLD, answered=True)]
    assert heard(conversation, lifecycle(None), lifecycle("queued", 7), lifecycle({})) == []


def test_a_message_that_waits_for_a_turn_of_its_own_keeps_the_conversation_open() -> None:
    conversation = ClaudeConversation(a_run())
    heard(conversation, BEGUN)
    assert conversation.tell(TOLD, "blue")
    assert heard(conversation, lifecycle("queued"), result(queued_turn_count=1)) == [MessageTaken(message_id=TOLD)]
    assert conversation.finished is None
    *_, taken, finished, send = heard(conversation, BEGUN, lifecycle("completed"), result(queued_turn_count=0))
    assert (taken.answered, finished, send) == (True, Finished(), Send(close=True))


def test_it_is_told_nothing_once_it_is_done_or_to_stop_or_confirms_nothing() -> None:
    done, stopped, old = (ClaudeConversation(a_run()) for _ in range(3))
    heard(done, BEGUN, result())
    heard(stopped, BEGUN)
    list(stopped.interrupt())
    for capabilities in ([], "msg_lifecycle_v1", None, 7, ["other"]):
        heard(old, {**BEGUN, "capabilities": capabilities})
        assert not old.tell(TOLD, "blue")
    assert not done.tell(TOLD, "blue")
    assert not stopped.tell(TOLD, "blue")


# --- Being stopped, and being judged


def test_it_is_asked_to_stop_in_its_own_words() -> None:
    conversation = ClaudeConversation(a_run())
    (send,) = conversation.interrupt()
    assert msgspec.json.decode(send.data)["request"] == {"subtype": "interrupt"}
    list(conversation.receive(OutputSource.STDOUT, written("claude", "control_interrupt")))
    failure = conversation.judge(exited(1))
    assert failure is not None
    assert failure.reason is Reason.CANCELLED
    assert list(conversation.interrupt()) == [], "it is done"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (result(stop_reason="refusal"), Reason.REFUSED),
        (result(is_error=True, result="This request appears to violate our Usage Policy"), Reason.REFUSED),
        (result(is_error=True, result="Not logged in · Please run /login"), Reason.AUTHENTICATION),
        (result(is_error=True, result="Overloaded", api_error_status=529), Reason.RATE_LIMITED),
        (result(is_error=True, result=None), Reason.AGENT_ERROR),
        (result(subtype="error_max_turns", is_error=True), Reason.AGENT_ERROR),
        (result(subtype="error_during_execution", is_error=True, errors=["boom"]), Reason.AGENT_ERROR),
        (result(subtype="something_new"), Reason.AGENT_ERROR),
        (result(), None),
        (result(usage="?", modelUsage=[], permission_denials=7, total_cost_usd="x"), None),
    ],
)
def test_results_are_judged(line: dict[str, Any], reason: Reason | None) -> None:
    failure = replay(CLAUDE, json_lines(line)).failure
    assert (failure.reason if failure else None) == reason


@pytest.mark.parametrize("kind", ["rate_limit", "billing_error", "overloaded"])
def test_the_name_of_a_failure_counts_where_there_is_no_status(kind: str) -> None:
    words = {"type": "text", "text": "You've hit your limit"}
    seen = replay(
        CLAUDE, [json_lines(assistant(words, error=kind), result(is_error=True, result="You've hit your limit"))]
    )
    assert seen.failure is not None
    assert seen.failure.reason is Reason.RATE_LIMITED
    assert seen.of(Message) == []
    assert seen.of(ErrorReported) == [ErrorReported(message="You've hit your limit")]


def test_a_usage_limit_is_told() -> None:
    said = understood(
        {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "rateLimitType": "five_hour"}}
    )
    assert said == [ErrorReported(message="the usage limit is reached five_hour")]
    assert understood({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}) == []


# --- Messages


def test_thoughts_and_plans_are_told() -> None:
    todos = [{"content": "a", "status": "completed"}, {"content": "b", "status": "?"}, {"content": 5}]
    said = understood(
        assistant(
            {"type": "thinking", "thinking": "hm"},
            {"type": "thinking", "thinking": ""},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": "t1", "name": "TodoWrite", "input": {"todos": todos}},
        )
    )
    assert said == [
        Thinking(text="hm"),
        ToolCalled(call_id="t1", tool="TodoWrite", arguments={"todos": todos}),
        PlanUpdated(steps=(PlanStep("a", "completed"), PlanStep("b", "pending"))),
    ]


def test_results_of_tools_are_told() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image", "source": {}}, {"type": "text", "text": "b"}]
    blocks = [
        {"type": "tool_result", "tool_use_id": "t1", "content": parts},
        {"type": "tool_result", "tool_use_id": "t2", "content": "Exit code 2\nno", "is_error": True},
        {"type": "tool_result", "tool_use_id": "t3"},
    ]
    said = understood({"type": "user", "message": {"role": "user", "content": blocks}})
    assert said == [
        ToolFinished(call_id="t1", output="a\n[image]\nb"),
        ToolFinished(call_id="t2", success=False, output="Exit code 2\nno", exit_code=2),
        ToolFinished(call_id="t3"),
    ]


def test_strange_lines_are_kept() -> None:
    seen = replay(CLAUDE, [b"not json\n", json_lines({"type": "novelty"}, assistant({"type": "novelty"}), result())])
    assert [entry.text for entry in seen.of(Unknown)] == [
        "not json",
        '{"type":"novelty"}',
        "a part of a message, of type novelty",
    ]
    assert seen.conversation.unknown == 3


# --- The command


def test_the_prompt_goes_by_standard_input() -> None:
    launch = CLAUDE.launch(attrs.evolve(a_run(append_prompt="Be brief."), prompt="--help \ud800"))
    assert launch.interactive
    assert "--help" not in launch.argv
    assert launch.stdin is not None
    message = msgspec.json.decode(launch.stdin)
    assert message["type"] == "user"
    assert message["message"]["content"] == [{"type": "text", "text": "--help \ufffd\ufffd\ufffd\n\nBe brief."}]


def test_a_new_session_has_the_id_that_was_chosen_for_it() -> None:
    new = "e58b6b92-6bd1-48b4-b71a-6e0e3ecf5a1f"

    def given(run: AgentRun) -> list[str]:
        names = ("--resume", "--fork", "--session-id")
        return [word for word in CLAUDE.launch(run).argv if word.startswith(names)]

    assert given(attrs.evolve(a_run(), new_session_id=new)) == [f"--session-id={new}"]
    assert given(attrs.evolve(a_run("old"), new_session_id=new)) == ["--resume=old"]
    assert given(attrs.evolve(a_run("old"), new_session_id=new, fork=True)) == [
        "--resume=old",
        "--fork-session",
        f"--session-id={new}",
    ]


def test_options_become_arguments() -> None:
    argv = CLAUDE.launch(
        a_run(
            model="opus",
            permission_mode="acceptEdits",
            allow_tools=["Bash(git log *)", "Read"],
            deny_tools=["WebFetch"],
            max_turns=3,
            reasoning_effort="high",
            append_system_prompt="-x",
            add_dirs=["/tmp"],
            params=["--debug"],
        )
    ).argv
    for word in (
        "--model=opus",
        "--permission-mode=acceptEdits",
        "--allowedTools=Bash(git log *)",
        "--allowedTools=Read",
        "--disallowedTools=WebFetch",
        "--disallowedTools=AskUserQuestion",
        "--max-turns=3",
        "--effort=high",
        "--append-system-prompt=-x",
        "--add-dir=/tmp",
        "--permission-prompt-tool=stdio",
    ):
        assert word in argv
    assert argv[-1] == "--debug"


def test_nobody_is_asked_in_yolo_mode() -> None:
    argv = CLAUDE.launch(a_run(yolo=True)).argv
    assert "--dangerously-skip-permissions" in argv
    assert "--permission-prompt-tool=stdio" not in argv


def test_the_environment_is_that_of_a_claude_of_its_own() -> None:
    env = CLAUDE.launch(a_run(env={"A": "b"}, disable_api_key=True)).env
    assert env["DISABLE_AUTOUPDATER"] == "1"
    assert env["A"] == "b"
    assert env["CLAUDECODE"] is None
    assert env["ANTHROPIC_API_KEY"] is None
    assert "ANTHROPIC_API_KEY" not in CLAUDE.launch(a_run()).env


def test_tool_servers_are_given_without_their_secrets() -> None:
    server = ToolServer(name="aura", command=("aura", "mcp"), environment=("AURA_TOKEN",))
    argv = CLAUDE.launch(attrs.evolve(a_run(), tool_servers=(server,))).argv
    (given,) = [word.removeprefix("--mcp-config=") for word in argv if word.startswith("--mcp-config=")]
    assert msgspec.json.decode(given)["mcpServers"]["aura"] == {
        "type": "stdio",
        "command": "aura",
        "args": ["mcp"],
        "env": {"AURA_TOKEN": "${AURA_TOKEN}"},
    }
    assert "--allowedTools=mcp__aura" in argv


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"yolo": True, "permission_mode": "plan"}, "yolo"),
        ({"permission_mode": "sometimes"}, "permission_mode"),
        ({"max_turns": 0}, "max_turns"),
        ({"max_budget_usd": 0.0}, "max_budget_usd"),
        ({"allow_tools": [""]}, "allow_tools"),
        ({"settings": " "}, "settings"),
        ({"append_system_prompt": "\0"}, "append_system_prompt"),
        ({"env": {"ANTHROPIC_API_KEY": "sk-1"}}, "ANTHROPIC_API_KEY"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        CLAUDE.launch(a_run(**options))


def test_the_program_of_the_python_sdk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "claude_agent_sdk"
    (package / "_bundled").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('it is not to be imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "claude_agent_sdk", raising=False)
    nowhere = {"PATH": str(tmp_path)}
    assert PROGRAM.locate(nowhere) is None
    program = package / "_bundled" / "claude"
    program.write_text("#!/bin/sh\necho '2.1.329 (Claude Code)'\n")
    program.chmod(0o755)
    assert PROGRAM.locate(nowhere) == str(program)
    assert CLAUDE.launch(attrs.evolve(a_run(), environment=nowhere)).argv[0] == str(program)
    found = CLAUDE.availability({**nowhere, "CLAUDE_CONFIG_DIR": str(tmp_path)})
    assert (found.available, found.version, found.logged_in) == (True, "2.1.329", False)
    (tmp_path / ".credentials.json").write_text("{}")
    assert CLAUDE.availability({**nowhere, "CLAUDE_CONFIG_DIR": str(tmp_path)}).logged_in
