"""LM Studio's command line: an answer in plain text. The streams are as its source writes them."""

import pytest
from replays import Replay, exited, replay

from aura_contracts.entries import Message, Thinking, Usage, UsageReported
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason
from aura_contracts.ports.executors import AgentRun
from aura_executors.agents.lms import LmsExecutor

EXECUTOR = LmsExecutor()
RUN = AgentRun(prompt="--stats", cwd="/tmp", options={"model": "qwen3-4b", "executable": "lms"})

STATS = (
    b"\n\nPrediction Stats:\n  Stop Reason: eosFound\n  Prompt Tokens: 21\n  Predicted Tokens: 9\n  Total Tokens: 30\n"
)


def understood(data: bytes, errors: bytes = b"", code: int = 0) -> Replay:
    return replay(EXECUTOR, data, exited(code), errors, RUN)


def test_the_answer_and_what_it_took() -> None:
    seen = understood(b"<think>\nHm.\n</think>\nHello.\n", STATS)
    usage = Usage(input_tokens=21, output_tokens=9)
    assert seen.entries == [
        Thinking(text="Hm."),
        Message(text="Hello."),
        UsageReported(usage=usage, model="qwen3-4b"),
    ]
    assert seen.failure is None


def test_why_it_failed_is_on_standard_error() -> None:
    seen = understood(b"", b'\x1b[91mError:\x1b[0m Cannot find a model matching "x".\n', 1)
    assert seen.failure is not None
    assert seen.failure.reason is FailureReason.AGENT_ERROR
    assert seen.failure.message == 'Error: Cannot find a model matching "x".'
    seen = understood(b"", b"Error: No prompt provided for non-interactive chat.\n")
    assert seen.failure is not None
    assert "No prompt provided" in seen.failure.message


def test_its_command() -> None:
    launch = EXECUTOR.launch(RUN)
    assert launch.argv == ("lms", "chat", "qwen3-4b", "--stats", "--dont-fetch-catalog")
    assert launch.stdin == b"--stats"
    more = {"system_prompt": "Be brief.", "ttl": 60, "host": "box", "port": 1234, "download": True, "params": ("-q",)}
    launch = EXECUTOR.launch(AgentRun(prompt="p", cwd="/tmp", options={**RUN.options, **more}))
    assert launch.argv[5:] == ("--system-prompt=Be brief.", "--ttl=60", "--host=box", "--port=1234", "--yes", "-q")


@pytest.mark.parametrize("options", [{}, {"model": "-x"}, {"model": "m", "ttl": 0}, {"model": "m", "host": " "}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        EXECUTOR.launch(AgentRun(prompt="p", cwd="/tmp", options=options))
