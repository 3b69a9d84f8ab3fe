"""opencode: what was recorded of it, replayed; how it is started."""

import json
import random
from collections.abc import Iterable
from pathlib import Path

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import (
    AgentRun,
    Entry,
    Executor,
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
    ToolServer,
    Unknown,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents.opencode import CUT_OFF_LIMIT, OpencodeExecutor
from aura_executors.agents.opencode.conversation import OpencodeConversation
from aura_executors.testing.executor import ExecutorConformance

CAPTURES = Path(__file__).parent / "captures" / "opencode"

TURN = ["session_started", "tool_call", "tool_result", "file_change", "usage", "message", "usage"]
WRITTEN = TURN[:5]


@attrs.frozen
class Expected:
    """What becomes of a capture. `session` is the end of the session's id."""

    kinds: list[str]
    session: str = ""
    reason: FailureReason | None = None
    tokens: int = 0
    blocked: str = ""


CASES = {
    "first": Expected(TURN, "i8NSbmwOpu3781", tokens=36),
    "resume": Expected(TURN, "1OE706qziRyEyK", tokens=36),
    "resumefork": Expected(TURN, "uzVBOmS3ASg6", tokens=36),
    "shell": Expected(TURN[:3] + TURN[4:], "cyxVPh6HbB6MJa", tokens=36),
    "deny": Expected(WRITTEN[:3] + WRITTEN[4:], "ck9CGLnkYz0R", tokens=18, blocked="rejected permission"),
    "drop": Expected(
        ["session_started", *["message"] * CUT_OFF_LIMIT, "finished"], "SzBqpFTJDMg", FailureReason.AGENT_ERROR
    ),
    "fail401": Expected(["session_started", "error"], "yYvcT80TkNcE", FailureReason.AUTHENTICATION),
    "fail429": Expected(["session_started", "error"], "P82SvRTbj14BiW", FailureReason.RATE_LIMITED),
    "fail500": Expected(["session_started", "error"], "JqIuAaDYIOMZH2", FailureReason.AGENT_ERROR),
    "malformed": Expected(["session_started", "error"], "z0jo73U", FailureReason.AGENT_ERROR),
    "badresume": Expected([], "", FailureReason.SESSION_LOST),
    "dashprompt": Expected([], "", FailureReason.AGENT_ERROR),
    "sigint": Expected(WRITTEN, "OwI0uI13icnteV", FailureReason.AGENT_ERROR, tokens=18),
    "sigterm": Expected(WRITTEN, "v7XU5f7cFn5", FailureReason.AGENT_ERROR, tokens=18),
    "toolsigterm": Expected(["session_started"], "PyQg2yu3jMM", FailureReason.AGENT_ERROR),
}


def exited(code: int | None = 0, cause: ExitCause = ExitCause.OWN, signal: int | None = None) -> ProcessExit:
    return ProcessExit(token="t", cause=cause, exit_code=code, signal=signal)


def ended(case: str) -> ProcessExit:
    code = json.loads((CAPTURES / f"{case}.meta.json").read_text())["exit_code"]
    return exited(code) if code >= 0 else exited(None, signal=-code)


def replayed(
    pieces: Iterable[bytes], end: ProcessExit, errors: bytes = b"", session: str = ""
) -> tuple[list[Entry], OpencodeConversation, Failure | None]:
    conversation = OpencodeConversation(session, "fake/fake-model")
    entries = [one for piece in pieces for one in conversation.receive(OutputSource.STDOUT, piece)]
    entries += conversation.receive(OutputSource.STDERR, errors)
    entries += conversation.end(end)
    return [one for one in entries if isinstance(one, Entry)], conversation, conversation.judge(end)


def written(case: str, source: str = "stdout") -> bytes:
    return (CAPTURES / f"{case}.{source}").read_bytes()


def replay(case: str) -> tuple[list[Entry], OpencodeConversation, Failure | None]:
    session = "ses_asked" if "resume" in case else ""
    return replayed([written(case)], ended(case), written(case, "stderr"), session)


def line(kind: str, **part: object) -> bytes:
    return json.dumps({"type": kind, "sessionID": "ses_1", "part": part}).encode() + b"\n"


@pytest.mark.parametrize("case", CASES)
def test_every_capture_is_understood(case: str) -> None:
    expected = CASES[case]
    entries, conversation, failure = replay(case)
    assert [type(entry).__struct_config__.tag for entry in entries] == expected.kinds
    sessions = [entry.session_id for entry in entries if isinstance(entry, SessionStarted)]
    assert all(session.startswith("ses_") and session.endswith(expected.session) for session in sessions)
    assert len(sessions) == (expected.kinds[:1] == ["session_started"])
    used = sum((entry.usage for entry in entries if isinstance(entry, UsageReported)), Usage())
    assert used.input_tokens + used.output_tokens == expected.tokens
    assert (failure and failure.reason) == expected.reason
    assert expected.blocked in conversation.blocked
    assert bool(expected.blocked) == bool(conversation.blocked)
    assert conversation.unknown == 0


def test_what_it_did_is_told() -> None:
    entries, _, failure = replay("first")
    assert failure is None
    called, finished, changed, used = entries[1:5]
    assert isinstance(called, ToolCalled)
    assert called.tool == "write"
    assert called.arguments == {"filePath": "/tmp/demo-repo/hello.txt", "content": "hello from the fake model\n"}
    assert finished == ToolFinished(call_id=called.call_id, output="Wrote file successfully.")
    assert changed == FileChanged(path="/tmp/demo-repo/hello.txt", change=FileChange.ADDED, call_id=called.call_id)
    assert used == UsageReported(usage=Usage(input_tokens=11, output_tokens=7), model="fake/fake-model")
    assert entries[5] == Message(text="Done: hello.txt created.")


def test_a_command_has_its_exit_code_and_output() -> None:
    entries, _, _ = replay("shell")
    finished = next(entry for entry in entries if isinstance(entry, ToolFinished))
    assert (finished.success, finished.exit_code, finished.output) == (True, 0, "README.md\nshell.txt\n")


def test_a_session_that_it_does_not_know_is_lost_only_if_one_was_asked_for() -> None:
    _, _, failure = replayed([], exited(1), written("badresume", "stderr"), "ses_asked")
    assert failure is not None
    assert failure.reason is FailureReason.SESSION_LOST
    assert failure.message == "it cannot resume session ses_asked: Error: Session not found"
    assert failure.exit_code == 1
    _, _, failure = replayed([], exited(1), written("badresume", "stderr"))
    assert failure is not None
    assert failure.reason is FailureReason.AGENT_ERROR


def test_it_is_given_up_when_its_answers_keep_breaking_off() -> None:
    entries, conversation, failure = replayed([written("drop")], exited(None, ExitCause.FAREWELL, 9))
    assert isinstance(entries[-1], Finished)
    assert entries[-1].failure is not None
    assert failure is not None
    assert failure.message == "the model's answer broke off 20 times in a row"
    assert list(conversation.receive(OutputSource.STDOUT, line("text", text="more"))) == []


def test_what_we_ended_is_judged_by_why() -> None:
    for cause, reason in ((ExitCause.INTERRUPTED, FailureReason.CANCELLED), (ExitCause.TIMEOUT, FailureReason.TIMEOUT)):
        _, _, failure = replayed([written("sigint")], exited(None, cause, 2))
        assert failure is not None
        assert failure.reason is reason


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
    _, _, judged = replayed([line("step_start"), line("step_finish", reason=reason)], exited())
    assert (judged and judged.reason) == failure


def test_a_stream_that_was_cut_off_is_a_failure_although_it_exits_well() -> None:
    lines = written("first").splitlines(keepends=True)
    for end in range(len(lines)):
        _, _, failure = replayed(lines[:end], exited())
        assert failure is not None
        assert failure.reason is FailureReason.AGENT_ERROR


def test_an_error_that_it_went_on_after_is_none() -> None:
    error = b'{"type":"error","sessionID":"ses_1","error":{"name":"UnknownError","data":{"message":"oops"}}}\n'
    _, _, failure = replayed([error], exited())
    assert failure is not None
    assert failure.message == "oops"
    _, _, failure = replayed([error, line("step_start"), line("step_finish", reason="stop")], exited())
    assert failure is None
    login = error.replace(b"UnknownError", b"ProviderAuthError")
    _, _, failure = replayed([login], exited(1))
    assert failure is not None
    assert failure.reason is FailureReason.AUTHENTICATION


def test_thoughts_plans_and_tokens() -> None:
    todos = [
        {"content": "Look", "status": "completed"},
        {"content": "Write", "status": "in_progress"},
        {"content": "x"},
    ]
    state = {"status": "completed", "input": {"todos": todos}, "output": "[]", "metadata": {"exit": "?"}}
    tokens = {"input": 1, "output": 2, "reasoning": 4, "cache": {"read": 8, "write": 16}}
    entries, conversation, _ = replayed(
        [
            line("reasoning", text="Hm."),
            line("tool_use", tool="todowrite", callID="c", state=state),
            line("step_finish", reason="stop", tokens=tokens, cost=0.5),
        ],
        exited(),
    )
    assert entries[1] == Thinking(text="Hm.")
    steps = (PlanStep("Look", "completed"), PlanStep("Write", "in_progress"), PlanStep("x"))
    assert entries[4] == PlanUpdated(steps=steps)
    usage = Usage(input_tokens=1, output_tokens=6, cache_read_tokens=8, cache_write_tokens=16, cost=0.5)
    assert entries[5] == UsageReported(usage=usage, model="fake/fake-model")
    assert conversation.unknown == 0


def test_a_rule_that_denies_is_a_lack_of_permission() -> None:
    error = "The user has specified a rule which prevents you from using this specific tool call. Here are ..."
    state = {"status": "error", "input": {"command": "ls"}, "error": error}
    entries, conversation, failure = replayed([line("tool_use", tool="bash", callID="c", state=state)], exited())
    assert conversation.blocked.startswith("bash: The user has specified a rule")
    assert failure is None
    assert entries[-1] == ToolFinished(call_id="c", success=False, output=error)


@pytest.mark.parametrize("case", CASES)
def test_the_pieces_in_which_it_comes_do_not_matter(case: str) -> None:
    data = written(case)
    whole = replay(case)[0]
    chance = random.Random(case)
    for _ in range(5):
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(20))
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert replayed(pieces, ended(case))[0] == whole
    assert replayed([data[place : place + 1] for place in range(len(data))], ended(case))[0] == whole


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(CASES)), st.data())
def test_what_is_not_understood_is_kept_and_counted(case: str, data: st.DataObject) -> None:
    changed = bytearray(written(case)[:6_000])
    for _ in range(data.draw(st.integers(1, 8)) if changed else 0):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    entries, conversation, _ = replayed([bytes(changed)], exited())
    assert sum(isinstance(entry, Unknown) for entry in entries) == conversation.unknown
    for entry in entries:
        msgspec.json.encode(entry)


# --- How it is started


def launched(**options: object) -> tuple[tuple[str, ...], dict[str, str | None]]:
    launch = OpencodeExecutor().launch(AgentRun(prompt="p", cwd="/tmp/w", options={"executable": "oc", **options}))
    return launch.argv, launch.env


def test_its_command() -> None:
    run = AgentRun(prompt="--help", cwd="/tmp/w", options={"executable": "oc", "append_prompt": "more"})
    launch = OpencodeExecutor().launch(run)
    assert launch.argv == ("oc", "run", "--format", "json", "--thinking")
    assert launch.stdin == b"--help\n\nmore"
    assert launch.env["PWD"] == "/tmp/w"
    assert json.loads(launch.env["OPENCODE_CONFIG_CONTENT"] or "") == {"autoupdate": False, "share": "disabled"}
    assert "OPENCODE_PERMISSION" not in launch.env
    forked = attrs.evolve(run, session_id="ses_1", fork=True)
    assert OpencodeExecutor().launch(forked).argv[-2:] == ("--session=ses_1", "--fork")


def test_its_options() -> None:
    argv, env = launched(
        model="a/b", agent="plan", variant="high", yolo=True, files=("x.md",), params=("--pure",), share=True,
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
    config = json.loads(OpencodeExecutor().launch(run).env["OPENCODE_CONFIG_CONTENT"] or "")
    assert config["mcp"]["aura"] == {"type": "local", "command": ["aura", "mcp"], "enabled": True}
    assert config["mcp"]["mine"] == {"type": "remote"}
    assert config["share"] == "disabled"
    with pytest.raises(InvalidInput, match="no JSON object"):
        OpencodeExecutor().launch(attrs.evolve(run, environment={"OPENCODE_CONFIG_CONTENT": "// none"}))


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


def test_a_fork_needs_a_session() -> None:
    with pytest.raises(InvalidInput, match="fork"):
        OpencodeExecutor().launch(AgentRun(prompt="p", cwd="/tmp", fork=True))


class TestConformance(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Executor:
        return OpencodeExecutor()

    @pytest.fixture
    def transcripts(self) -> list[bytes]:
        return [written(case) for case in ("first", "deny", "fail500")]
