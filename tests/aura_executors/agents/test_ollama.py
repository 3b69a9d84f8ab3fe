"""ollama: an answer in plain text. The streams are as its source writes them."""

import pytest
from replays import Replay, exited, replay

from aura_contracts.entries import TEXT_LIMIT, Message, Thinking, Usage, UsageReported
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun
from aura_contracts.ports.processes import ExitCause
from aura_executors.agents.ollama import OllamaExecutor

EXECUTOR = OllamaExecutor()
RUN = AgentRun(prompt="Say hello", cwd="/tmp", options={"model": "llama3.2", "executable": "ollama"})

STATS = (
    b"\x1b[?25l\xe2\xa0\x99 \x1b[K\x1b[?25h\x1b[2K\x1b[1G\ntotal duration:       4.9s\n"
    b"prompt eval count:    26 token(s)\nprompt eval rate:     100.00 tokens/s\neval count:           298 token(s)\n"
)


def understood(*pieces: bytes, errors: bytes = b"", code: int = 0) -> Replay:
    return replay(EXECUTOR, pieces, exited(code), errors, RUN)


def test_the_answer_is_one_message_at_the_end_without_what_is_for_a_terminal() -> None:
    seen = understood(b"\x1b[?25lHel", b"lo\x1b[K,\n\x1b]0;title\x07wor", b"ld\x1b[?25h\n\n", errors=STATS)
    assert seen.entries[0] == Message(text="Hello,\nworld")
    assert seen.entries[1] == UsageReported(usage=Usage(input_tokens=26, output_tokens=298), model="llama3.2")
    assert seen.failure is None


def test_thoughts_are_told_apart() -> None:
    seen = understood(b"Thinking...\nLet me see.\n...done thinking.\n\nHello.\n")
    assert seen.entries == [Thinking(text="Let me see."), Message(text="Hello.")]
    assert seen.failure is None
    seen = understood(b"Thinking...\nLet me s")
    assert seen.entries == [Thinking(text="Let me s")]
    assert seen.failure is not None


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
    seen = understood(errors=errors, code=1)
    assert seen.entries == []
    assert seen.failure is not None
    assert seen.failure.reason == reason
    assert seen.failure.message.startswith(("Error: ", "pull", "\nError"))
    assert "\x1b" not in seen.failure.message
    assert seen.failure.exit_code == 1


def test_nothing_said_is_a_failure_and_half_an_answer_is_kept() -> None:
    seen = understood(b" \n")
    assert seen.failure is not None
    assert seen.failure.message == "no output"
    seen = replay(EXECUTOR, b"Half an", exited(-2, ExitCause.INTERRUPTED), run=RUN)
    assert seen.entries == [Message(text="Half an")]
    assert seen.failure is not None
    assert seen.failure.reason is FailureReason.CANCELLED


def test_memory_is_bounded() -> None:
    conversation = EXECUTOR.converse(RUN)
    for _ in range(200):
        list(conversation.receive(OutputSource.STDOUT, b"x" * 65_536))
    (message,) = conversation.end(exited())
    assert isinstance(message, Message)
    assert len(message.text) < TEXT_LIMIT + 200
    assert "left out" in message.text


def test_its_command() -> None:
    launch = EXECUTOR.launch(RUN)
    assert launch.argv == ("ollama", "run", "llama3.2", "--verbose", "--nowordwrap")
    assert launch.stdin == b"Say hello"
    options = {**RUN.options, "system_prompt": "Be brief.", "append_prompt": "Now.", "think": "high", "keepalive": "0"}
    launch = EXECUTOR.launch(AgentRun(prompt="Say hello", cwd="/tmp", options=options))
    assert launch.argv[5:] == ("--think=high", "--keepalive=0")
    assert launch.stdin == b"Be brief.\n\nSay hello\n\nNow."


@pytest.mark.parametrize(
    "options", [{}, {"model": "-x"}, {"model": "m", "keepalive": ""}, {"model": "m", "think": "maybe"}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        EXECUTOR.launch(AgentRun(prompt="p", cwd="/tmp", options=options))
