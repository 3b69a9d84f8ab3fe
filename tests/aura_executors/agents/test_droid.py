"""droid: streams as its documentation and others show them."""

import json
from itertools import pairwise

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
    ErrorReported,
    Executor,
    FileChange,
    FileChanged,
    Finished,
    Message,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Unknown,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents.droid import DroidConversation, DroidExecutor
from aura_executors.testing.executor import ExecutorConformance


def line(kind: str, **fields: object) -> bytes:
    return json.dumps({"type": kind, **fields, "timestamp": 1, "session_id": "s-1"}).encode() + b"\n"


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


def exited(code: int | None = 0, cause: ExitCause = ExitCause.OWN, signal: int | None = None) -> ProcessExit:
    return ProcessExit(token="t", cause=cause, exit_code=code, signal=signal)


def replayed(
    *pieces: bytes, errors: bytes = b"", end: ProcessExit | None = None, session: str = ""
) -> tuple[list[Entry], DroidConversation, Failure | None]:
    conversation = DroidConversation(session)
    said = [one for piece in pieces for one in conversation.receive(OutputSource.STDOUT, piece)]
    said += conversation.receive(OutputSource.STDERR, errors)
    said += conversation.end(end or exited())
    return [one for one in said if isinstance(one, Entry)], conversation, conversation.judge(end or exited())


def test_a_turn() -> None:
    entries, conversation, failure = replayed(TURN)
    usage = Usage(input_tokens=10, output_tokens=3, cache_read_tokens=4, cache_write_tokens=2)
    assert entries == [
        SessionStarted(session_id="s-1", model="claude-opus-4-8"),
        Thinking(text="Hm."),
        ToolCalled(call_id="c1", tool="Create", arguments={"file_path": "a.txt", "content": "x"}),
        ToolFinished(call_id="c1", output="created"),
        FileChanged(path="a.txt", change=FileChange.ADDED, call_id="c1"),
        Message(text="Done."),
        UsageReported(usage=usage, model="claude-opus-4-8"),
        Finished(),
    ]
    assert failure is None
    assert conversation.unknown == 0


def test_a_result_without_an_id_belongs_to_the_oldest_call() -> None:
    entries, _, _ = replayed(CALL, CALL.replace(b"c1", b"c2"), line("tool_result", isError=True, value="no"))
    assert entries[-1] == ToolFinished(call_id="c1", success=False, output="no")


@pytest.mark.parametrize(
    ("out", "errors"),
    [
        (line("result", subtype="failure", is_error=True, result=NOT_PERMITTED), b""),
        (line("error", source="cli", message=NOT_PERMITTED), b""),
        (b"", NOT_PERMITTED.encode()),
    ],
)
def test_what_its_autonomy_does_not_cover_is_a_lack_of_permission(out: bytes, errors: bytes) -> None:
    _, conversation, failure = replayed(BEGIN, out, errors=errors, end=exited(1))
    assert failure == Failure(FailureReason.PERMISSION_DENIED, NOT_PERMITTED, exit_code=1)
    assert conversation.blocked == NOT_PERMITTED


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("Something broke", FailureReason.AGENT_ERROR),
        ("429 rate limit exceeded", FailureReason.RATE_LIMITED),
        ("Invalid API key", FailureReason.AUTHENTICATION),
    ],
)
def test_errors(words: str, reason: FailureReason) -> None:
    entries, _, failure = replayed(BEGIN, line("error", error={"message": words}), end=exited(1))
    assert entries[-1] == ErrorReported(message=words)
    assert failure == Failure(reason, words, exit_code=1)
    _, _, failure = replayed(errors=words.encode(), end=exited(1))
    assert failure == Failure(reason, words, exit_code=1)
    _, _, failure = replayed(BEGIN, line("error", message=words), END)
    assert failure is None


def test_cut_off_interrupted_and_lost() -> None:
    _, _, failure = replayed(BEGIN, CALL)
    assert failure is not None
    assert failure.message == "it ended without its completion"
    _, _, failure = replayed(BEGIN, end=exited(None, ExitCause.INTERRUPTED, 2))
    assert failure is not None
    assert failure.reason is FailureReason.CANCELLED
    _, _, failure = replayed(errors=b"Error: Session s-9 not found", end=exited(1), session="s-9")
    assert failure is not None
    assert failure.reason is FailureReason.SESSION_LOST


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, len(TURN)), max_size=6), st.integers(0, len(TURN) - 1), st.binary(max_size=3))
def test_pieces_do_not_matter_and_garbage_is_counted(places: list[int], place: int, change: bytes) -> None:
    cuts = sorted({0, len(TURN), *places})
    assert replayed(*(TURN[start:end] for start, end in pairwise(cuts)))[0] == replayed(TURN)[0]
    entries, conversation, _ = replayed(TURN[:place] + change + TURN[place + 1 :])
    assert sum(isinstance(entry, Unknown) for entry in entries) == conversation.unknown


def test_its_command() -> None:
    def argv(session: str | None = None, **options: object) -> tuple[str, ...]:
        run = AgentRun(prompt="-p", cwd="/tmp", session_id=session, options={"executable": "droid", **options})
        launch = DroidExecutor().launch(run)
        assert launch.stdin == b"-p"
        return launch.argv

    begin = ("droid", "exec", "--output-format", "stream-json")
    assert argv() == (*begin, "--auto=medium")
    assert argv(auto="read-only") == begin
    assert argv("s-1", skip_permissions_unsafe=True, model="m", reasoning_effort="high", params=["-x"]) == (
        *begin,
        *("--skip-permissions-unsafe", "--model=m", "--reasoning-effort=high", "--session-id=s-1", "-x"),
    )


@pytest.mark.parametrize(
    "options",
    [{"auto": "max"}, {"auto": "low", "skip_permissions_unsafe": True}, {"reasoning_effort": ""}, {"atuo": "low"}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        DroidExecutor().launch(AgentRun(prompt="p", cwd="/tmp", options=options))
    with pytest.raises(InvalidInput, match="fork"):
        DroidExecutor().launch(AgentRun(prompt="p", cwd="/tmp", session_id="s", fork=True))


class TestConformance(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Executor:
        return DroidExecutor()

    @pytest.fixture
    def transcripts(self) -> list[bytes]:
        return [TURN]
