"""opencode: what was recorded of it, replayed; how it is started."""

import json

import attrs
import pytest
from replays import Case, Replay, a_run, cases, exited, json_lines, recorded, replay, written

from aura_contracts.entries import (
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
from aura_contracts.failures import FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, ToolServer
from aura_contracts.ports.processes import ExitCause
from aura_executors.agents.opencode import CUT_OFF_LIMIT, OpencodeExecutor

EXECUTOR = OpencodeExecutor()
RUN = a_run("ses_asked", model="fake/fake-model")

WRITTEN = "session_started tool_call tool_result file_change usage"
RAN = "session_started tool_call tool_result usage"
TURN = Usage(input_tokens=22, output_tokens=14)
ONE = Usage(input_tokens=11, output_tokens=7)
FAILED = FailureReason.AGENT_ERROR
ERROR = "session_started error"

CASES = {
    # case: the end of the session's id, what is understood
    "first": ("i8NSbmwOpu3781", Case(f"{WRITTEN} message usage", usage=TURN)),
    "resume": ("1OE706qziRyEyK", Case(f"{WRITTEN} message usage", usage=TURN)),
    "resumefork": ("uzVBOmS3ASg6", Case(f"{WRITTEN} message usage", usage=TURN)),
    "shell": ("cyxVPh6HbB6MJa", Case(f"{RAN} message usage", usage=TURN)),
    "deny": ("ck9CGLnkYz0R", Case(RAN, blocked="rejected permission", usage=ONE)),
    "drop": (
        "SzBqpFTJDMg",
        Case(f"session_started {'message ' * CUT_OFF_LIMIT}finished", -9, FAILED, "broke off 20 times"),
    ),
    "fail401": ("yYvcT80TkNcE", Case(ERROR, 1, FailureReason.AUTHENTICATION)),
    "fail429": ("P82SvRTbj14BiW", Case(ERROR, 1, FailureReason.RATE_LIMITED)),
    "fail500": ("JqIuAaDYIOMZH2", Case(ERROR, 1, FAILED)),
    "malformed": ("z0jo73U", Case(ERROR, 1, FAILED)),
    "badresume": ("", Case("", 1, FailureReason.SESSION_LOST, "cannot resume session ses_asked: Error: Session not")),
    "dashprompt": ("", Case("", 1, FAILED)),
    "sigint": ("OwI0uI13icnteV", Case(WRITTEN, -2, FAILED, usage=ONE)),
    "sigterm": ("v7XU5f7cFn5", Case(WRITTEN, -15, FAILED, usage=ONE)),
    "toolsigterm": ("PyQg2yu3jMM", Case("session_started", -15, FAILED)),
}


def line(kind: str, **part: object) -> bytes:
    return json_lines({"type": kind, "sessionID": "ses_1", "part": part})


def understood(*pieces: bytes, code: int = 0) -> Replay:
    return replay(EXECUTOR, pieces, exited(code), run=RUN)


def test_every_capture_is_expected() -> None:
    assert set(cases("opencode")) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_capture_is_understood(case: str) -> None:
    session, expected = CASES[case]
    seen = recorded(EXECUTOR, f"opencode/{case}", expected.exit_code, RUN)
    seen.must_be(expected)
    started = [entry.session_id for entry in seen.of(SessionStarted)]
    assert [name.startswith("ses_") and name.endswith(session) for name in started] == [True] * bool(seen.entries)


def test_what_it_did_is_told() -> None:
    entries = recorded(EXECUTOR, "opencode/first", run=RUN).entries
    called, finished, changed, used = entries[1:5]
    assert isinstance(called, ToolCalled)
    assert called.tool == "write"
    assert called.arguments == {"filePath": "/tmp/demo-repo/hello.txt", "content": "hello from the fake model\n"}
    assert finished == ToolFinished(call_id=called.call_id, output="Wrote file successfully.")
    assert changed == FileChanged(path="/tmp/demo-repo/hello.txt", change=FileChange.ADDED, call_id=called.call_id)
    assert used == UsageReported(usage=Usage(input_tokens=11, output_tokens=7), model="fake/fake-model")
    assert entries[5] == Message(text="Done: hello.txt created.")


def test_a_command_has_its_exit_code_and_output() -> None:
    (finished,) = recorded(EXECUTOR, "opencode/shell").of(ToolFinished)
    assert (finished.success, finished.exit_code, finished.output) == (True, 0, "README.md\nshell.txt\n")


def test_a_session_is_lost_only_if_one_was_asked_for() -> None:
    assert recorded(EXECUTOR, "opencode/badresume", 1).reason is FailureReason.AGENT_ERROR


def test_it_is_given_up_when_its_answers_keep_breaking_off() -> None:
    seen = replay(EXECUTOR, written("opencode", "drop"), exited(-9, ExitCause.EXIT_GRACE))
    assert seen.failure is not None
    assert seen.failure.message == "the model's answer broke off 20 times in a row"
    assert seen.of(Finished)[0].failure is not None
    assert list(seen.conversation.receive(OutputSource.STDOUT, line("text", text="more"))) == []


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("stop", None),
        ("other", None),
        ("unknown", None),
        ("length", FailureReason.AGENT_ERROR),
        ("error", FailureReason.AGENT_ERROR),
        ("content-filter", FailureReason.REFUSED),
        ("tool-calls", FailureReason.AGENT_ERROR),
    ],
)
def test_how_the_last_step_finished_decides(reason: str, failure: FailureReason | None) -> None:
    assert understood(line("step_start"), line("step_finish", reason=reason)).reason == failure


def test_an_error_that_it_went_on_after_is_none() -> None:
    error = b'{"type":"error","sessionID":"ses_1","error":{"name":"UnknownError","data":{"message":"oops"}}}\n'
    seen = understood(error)
    assert seen.failure is not None
    assert seen.failure.message == "oops"
    assert understood(error, line("step_start"), line("step_finish", reason="stop")).failure is None
    login = error.replace(b"UnknownError", b"ProviderAuthError")
    assert understood(login, code=1).reason is FailureReason.AUTHENTICATION


def test_thoughts_plans_and_tokens() -> None:
    todos = [
        {"content": "Look", "status": "completed"},
        {"content": "Write", "status": "in_progress"},
        {"content": "x"},
    ]
    state = {"status": "completed", "input": {"todos": todos}, "output": "[]", "metadata": {"exit": "?"}}
    tokens = {"input": 1, "output": 2, "reasoning": 4, "cache": {"read": 8, "write": 16}}
    seen = understood(
        line("reasoning", text="Hm."),
        line("tool_use", tool="todowrite", callID="c", state=state),
        line("step_finish", reason="stop", tokens=tokens, cost=0.5),
    )
    entries = seen.entries
    assert entries[1] == Thinking(text="Hm.")
    steps = (PlanStep("Look", "completed"), PlanStep("Write", "in_progress"), PlanStep("x"))
    assert entries[4] == PlanUpdated(steps=steps)
    usage = Usage(input_tokens=1, output_tokens=6, cache_read_tokens=8, cache_write_tokens=16, cost=0.5)
    assert entries[5] == UsageReported(usage=usage, model="fake/fake-model")
    assert seen.unknown == 0


def test_a_rule_that_denies_is_a_lack_of_permission() -> None:
    error = "The user has specified a rule which prevents you from using this specific tool call. Here are ..."
    state = {"status": "error", "input": {"command": "ls"}, "error": error}
    seen = understood(line("tool_use", tool="bash", callID="c", state=state))
    assert seen.blocked.startswith("bash: The user has specified a rule")
    assert seen.failure is None
    assert seen.entries[-1] == ToolFinished(call_id="c", success=False, output=error)


# --- How it is started


def launched(**options: object) -> tuple[tuple[str, ...], dict[str, str | None]]:
    launch = EXECUTOR.launch(AgentRun(prompt="p", cwd="/tmp/w", options={"executable": "oc", **options}))
    return launch.argv, launch.env


def test_its_command() -> None:
    run = AgentRun(prompt="--help", cwd="/tmp/w", options={"executable": "oc", "append_prompt": "more"})
    launch = EXECUTOR.launch(run)
    assert launch.argv == ("oc", "run", "--format", "json", "--thinking")
    assert launch.stdin == b"--help\n\nmore"
    assert launch.env["PWD"] == "/tmp/w"
    assert json.loads(launch.env["OPENCODE_CONFIG_CONTENT"] or "") == {"autoupdate": False, "share": "disabled"}
    assert "OPENCODE_PERMISSION" not in launch.env
    forked = attrs.evolve(run, session_id="ses_1", fork=True)
    assert EXECUTOR.launch(forked).argv[-2:] == ("--session=ses_1", "--fork")


def test_its_options() -> None:
    argv, env = launched(
        model="a/b", agent="plan", reasoning_effort="high", yolo=True, files=("x.md",), params=("--pure",), share=True,
        permission={"bash": "ask"}, config={"username": "u"}, env={"A": "b"},
    )  # fmt: skip
    assert argv[5:] == ("--model=a/b", "--agent=plan", "--variant=high", "--auto", "--file=x.md", "--pure")
    assert json.loads(env["OPENCODE_PERMISSION"] or "") == {"bash": "ask"}
    assert json.loads(env["OPENCODE_CONFIG_CONTENT"] or "") == {"autoupdate": False, "username": "u"}
    assert env["A"] == "b"


def test_tool_servers_and_what_the_environment_says_already_are_kept_together() -> None:
    before = {"OPENCODE_CONFIG_CONTENT": '{"mcp": {"mine": {"type": "remote"}}, "share": "auto"}'}
    server = ToolServer(name="aura", command=("aura", "mcp"), environment=("X",))
    run = AgentRun(prompt="p", cwd="/tmp", environment=before, tool_servers=(server,))
    config = json.loads(EXECUTOR.launch(run).env["OPENCODE_CONFIG_CONTENT"] or "")
    assert config["mcp"]["aura"] == {"type": "local", "command": ["aura", "mcp"], "enabled": True}
    assert config["mcp"]["mine"] == {"type": "remote"}
    assert config["share"] == "disabled"
    with pytest.raises(InvalidInput, match="not a JSON object"):
        EXECUTOR.launch(attrs.evolve(run, environment={"OPENCODE_CONFIG_CONTENT": "// none"}))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"model": "gpt"}, "provider"),
        ({"model": "/gpt"}, "provider"),
        ({"agent": " "}, "agent"),
        ({"files": ("",)}, "files"),
        ({"config": {"provider": {"x": {"apiKey": "sk-1"}}}}, "secret"),
        ({"permission": "allow"}, "permission"),
        ({"colour": 1}, "colour"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        launched(**options)
