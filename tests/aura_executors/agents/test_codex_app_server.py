"""What `codex app-server` is understood to say, and what it is told."""

import json

import attrs
import msgspec
import pytest
from replays import Outcome, Replay, a_run, cases, recorded, replay, written

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    PermissionRequested,
    PermissionWithdrawn,
    SessionStarted,
    ToolCalled,
    ToolFinished,
    Unknown,
    Usage,
    UsageReported,
)
from aura_contracts.failures import FailureReason as Reason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Send
from aura_executors.agents.codex import CodexExecutor
from aura_executors.agents.codex.permissions import bare

DECLINED = {"action": "decline", "content": None, "_meta": None}
CODEX = CodexExecutor()
THREAD = "01a1fb74-d4e2-7b61-b7d6-db4a545e7032"
"""Of the capture `resume`."""
YES, NO = Answer(granted=True), Answer(granted=False)
TURN = Usage(input_tokens=22, output_tokens=14)

CASES = {
    # case: failure, message, tool, questions, usage, blocked
    "first": (None, "Done: hello.txt created.", "shell", 1, TURN, ""),
    "applypatch": (None, "Done: hello.txt created.", "apply_patch", 1, TURN, ""),
    "resume": (None, "Done: second.txt created too.", "shell", 1, TURN, ""),
    "fork": (None, "Done two", "shell", 0, TURN, ""),
    "decline": (None, "Done: hello.txt created.", "shell", 1, TURN, "not permitted to run: /bin/bash"),
    "patchdeny": (None, "understood", "apply_patch", 1, TURN, "not permitted to change /tmp/demo-repo/hello.txt"),
    "mcpdeny": (None, "Done mcp", "aura.note", 1, TURN, ""),
    "readonly": (None, "Done one", None, 0, TURN, "rejected in the read-only sandbox"),
    "interrupt": (Reason.CANCELLED, None, "shell", 1, Usage(input_tokens=11, output_tokens=7), ""),
    "badresume": (Reason.SESSION_LOST, None, None, 0, None, ""),
    "fail401": (Reason.AUTHENTICATION, None, None, 0, None, ""),
    "fail429": (Reason.RATE_LIMITED, None, None, 0, None, ""),
    "fail500": (Reason.AGENT_ERROR, None, None, 0, None, ""),
    "drop": (Reason.AGENT_ERROR, None, None, 0, None, ""),
}


def run_of(case: str) -> AgentRun:
    session = THREAD if case in {"resume", "fork", "badresume"} else None
    run = a_run(session, fork=case == "fork")
    if case == "readonly":
        return attrs.evolve(run, options={"sandbox": "read-only"})
    return run


def by_app_server(case: str) -> Replay:
    return recorded(CODEX, f"codex-app-server/{case}", 0, run_of(case))


def told(sends: list[Send]) -> list[dict]:
    return [json.loads(line) for send in sends for line in send.data.splitlines()]


def test_every_capture_has_an_expectation():
    assert set(cases("codex-app-server")) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_run_is_understood(case):
    reason, message, tool, questions, usage, blocked = CASES[case]
    done = by_app_server(case)
    assert done.outcome == Outcome(reason, message, tool, usage and (usage.input_tokens, usage.output_tokens))
    assert len(done.of(Message)) <= 1
    assert [one.call_id for one in done.of(ToolFinished)] == [one.call_id for one in done.of(ToolCalled)]
    assert len(done.of(PermissionRequested)) == len(done.of(PermissionWithdrawn)) == questions
    assert len(done.of(UsageReported)) <= 1
    assert [one.model for one in done.of(SessionStarted)] == ([] if case == "badresume" else ["fake-model"])
    assert blocked in done.blocked
    assert bool(blocked) == bool(done.blocked)
    assert not done.of(Unknown)
    assert len(done.of(Finished)) == 1
    assert done.sends[-1].close
    assert isinstance(done.entries[-1], Finished)


def test_the_conversation_is_led():
    begun = CODEX.launch(run_of("first"))
    done = by_app_server("first")
    assert begun.interactive
    assert begun.stdin
    assert json.loads(begun.stdin)["method"] == "initialize"
    initialized, start, turn = told(done.sends)
    assert initialized == {"method": "initialized"}
    assert start["method"] == "thread/start"
    assert start["params"] == {"cwd": "/tmp/demo-repo", "sandbox": "workspace-write", "approvalPolicy": "on-request"}
    assert turn["method"] == "turn/start"
    assert turn["params"]["threadId"] == done.of(SessionStarted)[0].session_id
    assert turn["params"]["input"][0]["text"] == "Create hello.txt"


def test_a_session_is_gone_on_with_or_forked():
    for fork, method in ((False, "thread/resume"), (True, "thread/fork")):
        run = a_run(THREAD, fork=fork, yolo=True, local_provider="ollama")
        start = told(replay(CODEX, [written("codex-app-server", "resume")], run=run).sends)[1]
        assert start["method"] == method
        assert start["params"]["threadId"] == THREAD
        assert start["params"]["sandbox"] == "danger-full-access"
        assert start["params"]["approvalPolicy"] == "never"
        assert (start["params"]["modelProvider"], start["params"]["model"]) == ("ollama", "gpt-oss:20b")


def test_a_fork_has_an_id_of_its_own():
    forked = by_app_server("fork").of(SessionStarted)[0]
    assert forked.session_id != THREAD


# --- Permissions


def asked(case: str, answer: Answer | None = None) -> tuple[PermissionRequested, list[dict]]:
    """Return the question of a capture, and what codex is told when it is answered while codex waits."""
    data = written("codex-app-server", case)
    conversation = CODEX.converse(run_of(case))
    said = [*conversation.receive(OutputSource.STDOUT, data[: data.index(b'{"method":"serverRequest/resolved"')])]
    question = next(one for one in said if isinstance(one, PermissionRequested))
    return question, told([*conversation.answer(question.request_id, answer)]) if answer else []


def test_a_question_shows_what_would_be_done():
    command, _ = asked("first")
    assert (command.tool, command.arguments["cwd"]) == ("shell", "/tmp/demo-repo")
    assert "hello from the fake model" in command.arguments["command"]
    patch, _ = asked("applypatch")
    assert patch.tool == "apply_patch"
    assert patch.diff == "--- /dev/null\n+++ /tmp/demo-repo/hello.txt\n@@ -0,0 +1,1 @@\n+hello from the fake model\n"
    tool, _ = asked("mcpdeny")
    assert (tool.tool, tool.arguments["tool_params"]) == ("aura.note", {"text": "hi"})
    for case in ("first", "applypatch", "mcpdeny"):
        done = by_app_server(case)
        assert done.of(PermissionRequested)[0].call_id == done.of(ToolCalled)[0].call_id


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("/bin/bash -lc 'rm -r x'", "rm -r x"),
        ("zsh -c \"echo 'a' > b; ls\"", "echo 'a' > b; ls"),
        ("rm -r x", "rm -r x"),
        ("bash -lc 'rm x' y", "bash -lc 'rm x' y"),
        ("sudo bash 'rm x'", "sudo bash 'rm x'"),
        ("bash -lc 'rm x", "bash -lc 'rm x"),
    ],
)
def test_rules_are_about_the_command_and_not_the_shell_around_it(command, told):
    assert bare(command) == told


def test_the_same_call_is_known_again_and_another_is_not():
    assert asked("first")[0].fingerprint == asked("decline")[0].fingerprint == asked("interrupt")[0].fingerprint
    assert len({asked(case)[0].fingerprint for case in ("first", "resume", "applypatch", "patchdeny")}) == 4
    assert asked("first")[0].request_id != asked("decline")[0].request_id


@pytest.mark.parametrize(
    ("case", "yes", "no"),
    [
        ("first", {"decision": "accept"}, {"decision": "decline"}),
        ("applypatch", {"decision": "accept"}, {"decision": "decline"}),
        (
            "mcpdeny",
            {"action": "accept", "content": {}, "_meta": None},
            {"action": "decline", "content": None, "_meta": None},
        ),
    ],
)
def test_an_answer_is_told(case, yes, no):
    assert asked(case, YES)[1] == [{"id": 0, "result": yes}]
    assert asked(case, NO)[1] == [{"id": 0, "result": no}]


def test_feedback_is_a_message_to_the_turn():
    steer, response = asked("first", Answer(granted=False, feedback="use another name \ud800"))[1]
    assert steer["method"] == "turn/steer"
    assert steer["params"]["input"][0]["text"] == "The user did not permit this: use another name ?"
    assert response == {"id": 0, "result": {"decision": "decline"}}


def test_an_answer_may_come_before_its_question():
    question, live = asked("first", YES)
    conversation = CODEX.converse(run_of("first"))
    assert not [*conversation.answer(question.request_id, YES)]
    said = [*conversation.receive(OutputSource.STDOUT, written("codex-app-server", "first"))]
    assert told([one for one in said if isinstance(one, Send)])[3:] == live
    assert not [*conversation.answer(question.request_id, YES)]


@pytest.mark.parametrize("case", ["first", "applypatch", "patchdeny", "mcpdeny"])
def test_the_entries_are_the_same_whenever_the_answer_comes(case):
    question, _ = asked(case)
    data = written("codex-app-server", case)
    plain = replay(CODEX, data, run=run_of(case)).entries
    for place in (0, data.index(b'{"method":"serverRequest/resolved"'), len(data)):
        conversation = CODEX.converse(run_of(case))
        said = [*conversation.receive(OutputSource.STDOUT, data[:place])]
        said += conversation.answer(question.request_id, NO)
        said += conversation.receive(OutputSource.STDOUT, data[place:])
        assert [one for one in said if isinstance(one, Entry)] == plain


def request(method: str, **params) -> bytes:
    return msgspec.json.encode({"method": method, "id": 7, "params": params}) + b"\n"


@pytest.mark.parametrize("method", ["item/tool/requestUserInput", "attestation/generate", "something/new"])
def test_what_nobody_can_answer_is_refused(method):
    done = replay(CODEX, request(method, threadId="t"))
    assert told(done.sends)[0]["error"]["code"] == -32601
    assert method in done.of(ErrorReported)[0].message


def test_a_question_that_makes_no_sense_is_refused():
    done = replay(CODEX, request("item/commandExecution/requestApproval", command=5))
    assert told(done.sends)[0]["error"]["code"] == -32602


def test_what_is_not_told_is_never_the_same_call():
    one = replay(CODEX, request("item/fileChange/requestApproval", itemId="a")).of(PermissionRequested)[0]
    other = replay(CODEX, request("item/fileChange/requestApproval", itemId="b")).of(PermissionRequested)[0]
    assert one.fingerprint != other.fingerprint
    stdin = {"kind": "writeStdin", "command": "sh", "cwd": "/"}
    typed = [
        replay(CODEX, request("item/commandExecution/requestApproval", itemId=item, **stdin)).of(PermissionRequested)
        for item in ("a", "b")
    ]
    assert typed[0][0].fingerprint != typed[1][0].fingerprint


def test_more_permissions_are_granted_for_the_turn():
    wanted = {"network": {"enabled": True}, "fileSystem": None}
    conversation = CODEX.converse(a_run())
    line = request("item/permissions/requestApproval", itemId="i", cwd="/", permissions=wanted)
    (question,) = conversation.receive(OutputSource.STDOUT, line)
    assert isinstance(question, PermissionRequested)
    answered = told([*conversation.answer(question.request_id, YES)])
    assert answered[0]["result"] == {"permissions": {"network": {"enabled": True}}, "scope": "turn"}


def test_forms_of_tool_servers_are_declined():
    done = replay(
        CODEX, [request("mcpServer/elicitation/request", serverName="s", mode="form", message="Who?")], run=a_run()
    )
    assert told(done.sends)[0]["result"]["action"] == "decline"
    assert "Who?" in done.blocked


# --- The rest


def test_an_interrupt_is_asked_for_in_the_protocol():
    data = written("codex-app-server", "interrupt")
    conversation = CODEX.converse(run_of("interrupt"))
    assert not [*conversation.interrupt()]
    list(conversation.receive(OutputSource.STDOUT, data[: data.index(b'{"id":4')]))
    (asking,) = told([*conversation.interrupt()])
    assert asking["method"] == "turn/interrupt"
    assert asking["params"]["turnId"]
    list(conversation.receive(OutputSource.STDOUT, data[data.index(b'{"id":4') :]))
    assert not [*conversation.interrupt()]


def test_a_stream_that_breaks_off_is_a_failure_and_its_tokens_count():
    data = written("codex-app-server", "first")
    done = replay(CODEX, [data[: data.index(b'{"method":"turn/completed"')]], run=run_of("first"))
    assert done.failure
    assert done.failure.reason is Reason.AGENT_ERROR
    assert [one.usage for one in done.of(UsageReported)] == [TURN]


def test_turns_and_words_of_other_agents_do_not_count():
    data = written("codex-app-server", "first")
    thread = replay(CODEX, data, run=run_of("first")).of(SessionStarted)[0].session_id.encode()
    at = data.index(b'{"method":"item/started","params":{"item":{"type":"agentMessage"')
    other = b"".join(line for line in data[at:].splitlines(keepends=True)).replace(thread, b"another")
    done = replay(CODEX, [data[:at] + other + data[at:]], run=run_of("first"))
    assert len(done.of(Finished)) == len(done.of(Message)) == 1


def test_a_patch_says_what_it_does_to_each_file():
    changes = [
        {"path": "a", "kind": {"type": "update", "move_path": None}, "diff": "@@ -1 +1 @@\n-x\n+y\n"},
        {"path": "b", "kind": {"type": "delete"}, "diff": "gone\n"},
        {"path": "c", "kind": {"type": "update", "move_path": "d"}, "diff": ""},
    ]
    item = {"type": "fileChange", "id": "i", "changes": changes, "status": "completed"}
    line = msgspec.json.encode({"method": "item/completed", "params": {"item": item, "threadId": "t"}})
    changed = replay(CODEX, line + b"\n").of(FileChanged)
    kinds = [FileChange.MODIFIED, FileChange.DELETED, FileChange.RENAMED]
    assert [(one.path, one.change) for one in changed] == list(zip("abd", kinds, strict=True))
    assert changed[1].diff == "--- b\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-gone\n"


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ("usageLimitExceeded", Reason.RATE_LIMITED),
        ("unauthorized", Reason.AUTHENTICATION),
        ("cyberPolicy", Reason.REFUSED),
        ("contextWindowExceeded", Reason.AGENT_ERROR),
        ({"responseTooManyFailedAttempts": {"httpStatusCode": 429}}, Reason.RATE_LIMITED),
        ({"httpConnectionFailed": {"httpStatusCode": None}}, Reason.AGENT_ERROR),
        (None, Reason.AGENT_ERROR),
    ],
)
def test_codex_says_why_a_turn_failed(info, reason):
    data = written("codex-app-server", "fail500").replace(b'"internalServerError"', msgspec.json.encode(info))
    done = replay(CODEX, data, run=run_of("fail500"))
    assert done.failure
    assert done.failure.reason is reason


def test_what_is_new_is_kept_and_counted():
    lines = [
        b'{"method":"item/melted","params":{}}',
        b'{"method":"item/started","params":{"item":{"type":"x","id":"1"}}}',
    ]
    done = replay(CODEX, [line + b"\n" for line in lines])
    assert [one.text.encode() for one in done.of(Unknown)] == lines
    assert done.unknown == 2
