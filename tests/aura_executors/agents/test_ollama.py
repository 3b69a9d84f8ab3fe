"""ollama: an answer in plain text. The streams are as its source writes them."""

from itertools import pairwise

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
    Executor,
    Message,
    Send,
    Thinking,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents.ollama import OllamaExecutor
from aura_executors.testing.executor import ExecutorConformance

RUN = AgentRun(prompt="Say hello", cwd="/tmp", options={"model": "llama3.2", "executable": "ollama"})

STATS = (
    b"\x1b[?25l\xe2\xa0\x99 \x1b[K\x1b[?25h\x1b[2K\x1b[1G\ntotal duration:       4.9s\n"
    b"prompt eval count:    26 token(s)\nprompt eval rate:     100.00 tokens/s\neval count:           298 token(s)\n"
)


def exited(code: int | None = 0, cause: ExitCause = ExitCause.OWN, signal: int | None = None) -> ProcessExit:
    return ProcessExit(token="t", cause=cause, exit_code=code, signal=signal)


def replayed(
    *pieces: bytes, errors: bytes = b"", end: ProcessExit | None = None
) -> tuple[list[Entry | Send], Failure | None]:
    conversation = OllamaExecutor().converse(RUN)
    said: list[Entry | Send] = []
    for piece in pieces:
        said += conversation.receive(OutputSource.STDOUT, piece)
    said += conversation.receive(OutputSource.STDERR, errors)
    said += conversation.end(end or exited())
    return said, conversation.judge(end or exited())


def test_the_answer_is_one_message_at_the_end_without_what_is_for_a_terminal() -> None:
    said, failure = replayed(b"\x1b[?25lHel", b"lo\x1b[K,\n\x1b]0;title\x07wor", b"ld\x1b[?25h\n\n", errors=STATS)
    assert said[0] == Message(text="Hello,\nworld")
    assert said[1] == UsageReported(usage=Usage(input_tokens=26, output_tokens=298), model="llama3.2")
    assert failure is None


def test_thoughts_are_told_apart() -> None:
    said, failure = replayed(b"Thinking...\nLet me see.\n...done thinking.\n\nHello.\n")
    assert said == [Thinking(text="Let me see."), Message(text="Hello.")]
    assert failure is None
    said, failure = replayed(b"Thinking...\nLet me s")
    assert said == [Thinking(text="Let me s")]
    assert failure is not None


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        (b"Error: model 'nope' not found\n", FailureReason.AGENT_ERROR),
        (b"\x1b[?25lpulling manifest\r\x1b[K\nError: pull model manifest: file does not exist\n", "AgentError"),
        (b"Error: could not connect to ollama server, run 'ollama serve' to start it\n", FailureReason.AGENT_ERROR),
        (b"Error: unauthorized\n", FailureReason.AUTHENTICATION),
        (b"Error: 429 Too Many Requests: you have reached your weekly usage limit\n", FailureReason.RATE_LIMITED),
    ],
)
def test_why_it_failed_is_on_standard_error(errors: bytes, reason: str) -> None:
    said, failure = replayed(errors=errors, end=exited(1))
    assert said == []
    assert failure is not None
    assert failure.reason == reason
    assert failure.message.startswith(("Error: ", "pull", "\nError"))
    assert "\x1b" not in failure.message
    assert failure.exit_code == 1


def test_nothing_said_is_a_failure_and_half_an_answer_is_kept() -> None:
    _, failure = replayed(b" \n")
    assert failure is not None
    assert failure.message == "it said nothing"
    said, failure = replayed(b"Half an", end=exited(None, ExitCause.INTERRUPTED, 2))
    assert said == [Message(text="Half an")]
    assert failure is not None
    assert failure.reason is FailureReason.CANCELLED


def test_memory_is_bounded() -> None:
    conversation = OllamaExecutor().converse(RUN)
    for _ in range(200):
        list(conversation.receive(OutputSource.STDOUT, b"x" * 65_536))
    (message,) = conversation.end(exited())
    assert isinstance(message, Message)
    assert len(message.text) < TEXT_LIMIT + 200
    assert "left out" in message.text


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_the_pieces_in_which_it_comes_do_not_matter(data: bytes, places: list[int]) -> None:
    cuts = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    pieces = [data[start:end] for start, end in pairwise(cuts)]
    assert replayed(*pieces) == replayed(data)


def test_its_command() -> None:
    launch = OllamaExecutor().launch(RUN)
    assert launch.argv == ("ollama", "run", "llama3.2", "--verbose", "--nowordwrap")
    assert launch.stdin == b"Say hello"
    options = {**RUN.options, "system_prompt": "Be brief.", "append_prompt": "Now.", "think": "high", "keepalive": "0"}
    launch = OllamaExecutor().launch(AgentRun(prompt="Say hello", cwd="/tmp", options=options))
    assert launch.argv[5:] == ("--think=high", "--keepalive=0")
    assert launch.stdin == b"Be brief.\n\nSay hello\n\nNow."


@pytest.mark.parametrize(
    "options", [{}, {"model": "-x"}, {"model": "m", "keepalive": ""}, {"model": "m", "think": "maybe"}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        OllamaExecutor().launch(AgentRun(prompt="p", cwd="/tmp", options=options))


class TestConformance(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Executor:
        return OllamaExecutor()

    @pytest.fixture
    def runs(self, executor: Executor) -> list[AgentRun]:
        return [RUN]

    @pytest.fixture
    def transcripts(self) -> list[bytes]:
        return [b"Thinking...\nHm.\n...done thinking.\n\nHello.\n"]
