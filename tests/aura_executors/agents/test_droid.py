"""droid: streams as its documentation and others show them."""

import pytest
from replays import Replay, a_run, exited, json_lines, replay

from aura_contracts.entries import (
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
from aura_contracts.ports.executors import AgentRun
from aura_executors.agents.droid import DroidExecutor

EXECUTOR = DroidExecutor()


def line(kind: str, **fields: object) -> bytes:
    return json_lines({"type": kind, **fields, "timestamp": 1, "session_id": "s-1"})


BEGIN = line("system", subtype="init", cwd="/tmp/w", tools=["Read"], model="claude-opus-4-8")
THOUGHT = line("reasoning", id="r1", text="Hm.")
CALL = line(
    "tool_call",
    id="c1",
    messageId="m1",
    toolId="Create",
    toolName="Create",
    parameters={"file_path": "a.txt", "content": "x"},
)
DONE = line("tool_result", id="c1", messageId="m2", toolId="Create", isError=False, value="created")
TOKENS = {"input_tokens": 10, "output_tokens": 3, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2}
END = line("completion", finalText="Done.", numTurns=2, durationMs=9, usage=TOKENS)
SAID = line("message", role="assistant", id="m3", text="Done.")

TURN = b"".join(
    [BEGIN, line("message", role="user", id="m0", text="Do it"), THOUGHT, THOUGHT, CALL, DONE, SAID, END, SAID]
)

NOT_PERMITTED = "Exec ended early: insufficient permission to proceed. Re-run with --auto high."


def understood(*pieces: bytes, errors: bytes = b"", code: int = 0, session: str | None = None) -> Replay:
    return replay(EXECUTOR, pieces, exited(code), errors, a_run(session))


def test_a_turn() -> None:
    seen = understood(TURN)
    usage = Usage(input_tokens=10, output_tokens=3, cache_read_tokens=4, cache_write_tokens=2)
    assert seen.entries == [
        SessionStarted(session_id="s-1", model="claude-opus-4-8"),
        Thinking(text="Hm."),
        ToolCalled(call_id="c1", tool="Create", arguments={"file_path": "a.txt", "content": "x"}),
        ToolFinished(call_id="c1", output="created"),
        FileChanged(path="a.txt", change=FileChange.ADDED, call_id="c1"),
        Message(text="Done."),
        UsageReported(usage=usage, model="claude-opus-4-8"),
        Finished(),
    ]
    assert seen.failure is None
    assert seen.unknown == 0


def test_a_result_without_an_id_belongs_to_the_oldest_call() -> None:
    seen = understood(CALL, CALL.replace(b"c1", b"c2"), line("tool_result", isError=True, value="no"))
    assert seen.entries[-1] == ToolFinished(call_id="c1", success=False, output="no")


@pytest.mark.parametrize(
    ("out", "errors"),
    [
        (line("result", subtype="failure", is_error=True, result=NOT_PERMITTED), b""),
        (line("error", source="cli", message=NOT_PERMITTED), b""),
        (b"", NOT_PERMITTED.encode()),
    ],
)
def test_what_its_autonomy_does_not_cover_is_a_lack_of_permission(out: bytes, errors: bytes) -> None:
    seen = understood(BEGIN, out, errors=errors, code=1)
    assert seen.failure == Failure(FailureReason.PERMISSION_DENIED, NOT_PERMITTED, exit_code=1)
    assert seen.blocked == NOT_PERMITTED


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("Something broke", FailureReason.AGENT_ERROR),
        ("429 rate limit exceeded", FailureReason.RATE_LIMITED),
        ("Invalid API key", FailureReason.AUTHENTICATION),
    ],
)
def test_errors(words: str, reason: FailureReason) -> None:
    seen = understood(BEGIN, line("error", error={"message": words}), code=1)
    assert seen.entries[-1] == ErrorReported(message=words)
    assert seen.failure == Failure(reason, words, exit_code=1)
    seen = understood(errors=words.encode(), code=1)
    assert seen.failure == Failure(reason, words, exit_code=1)
    seen = understood(BEGIN, line("error", message=words), END)
    assert seen.failure is None


def test_a_session_that_it_does_not_know_is_lost() -> None:
    errors = b"Error: Session s-9 not found"
    assert understood(errors=errors, code=1, session="s-9").reason is FailureReason.SESSION_LOST
    assert understood(errors=errors, code=1).reason is FailureReason.AGENT_ERROR


def test_its_command() -> None:
    def argv(session: str | None = None, **options: object) -> tuple[str, ...]:
        run = AgentRun(prompt="-p", cwd="/tmp", session_id=session, options={"executable": "droid", **options})
        launch = EXECUTOR.launch(run)
        assert launch.stdin == b"-p"
        return launch.argv

    begin = ("droid", "exec", "--output-format", "stream-json")
    assert argv() == (*begin, "--auto=medium")
    assert argv(autonomy="read-only") == begin
    assert argv("s-1", yolo=True, model="m", reasoning_effort="high", params=["-x"]) == (
        *begin,
        *("--skip-permissions-unsafe", "--model=m", "--reasoning-effort=high", "--session-id=s-1", "-x"),
    )


@pytest.mark.parametrize(
    "options",
    [{"autonomy": "max"}, {"autonomy": "low", "yolo": True}, {"reasoning_effort": ""}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        EXECUTOR.launch(AgentRun(prompt="p", cwd="/tmp", options=options))
