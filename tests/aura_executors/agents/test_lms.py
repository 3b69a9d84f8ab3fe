"""LM Studio's command line: an answer in plain text. The streams are as its source writes them."""

import pytest

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Entry, Executor, Message, Send, Thinking, UsageReported
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents.lms import LmsExecutor
from aura_executors.testing.executor import ExecutorConformance

RUN = AgentRun(prompt="--stats", cwd="/tmp", options={"model": "qwen3-4b", "executable": "lms"})

STATS = (
    b"\n\nPrediction Stats:\n  Stop Reason: eosFound\n  Prompt Tokens: 21\n  Predicted Tokens: 9\n  Total Tokens: 30\n"
)


def replayed(out: bytes, errors: bytes = b"", code: int = 0) -> tuple[list[Entry | Send], Failure | None]:
    conversation = LmsExecutor().converse(RUN)
    end = ProcessExit(token="t", cause=ExitCause.OWN, exit_code=code)
    said = [*conversation.receive(OutputSource.STDOUT, out), *conversation.receive(OutputSource.STDERR, errors)]
    return [*said, *conversation.end(end)], conversation.judge(end)


def test_the_answer_and_what_it_took() -> None:
    said, failure = replayed(b"<think>\nHm.\n</think>\nHello.\n", STATS)
    usage = Usage(input_tokens=21, output_tokens=9)
    assert said == [
        Thinking(text="Hm."),
        Message(text="Hello."),
        UsageReported(usage=usage, model="qwen3-4b"),
    ]
    assert failure is None


def test_why_it_failed_is_on_standard_error() -> None:
    _, failure = replayed(b"", b'\x1b[91mError:\x1b[0m Cannot find a model matching "x".\n', 1)
    assert failure is not None
    assert failure.reason is FailureReason.AGENT_ERROR
    assert failure.message == 'Error: Cannot find a model matching "x".'
    _, failure = replayed(b"", b"Error: No prompt provided for non-interactive chat.\n")
    assert failure is not None
    assert "No prompt provided" in failure.message


def test_its_command() -> None:
    launch = LmsExecutor().launch(RUN)
    assert launch.argv == ("lms", "chat", "qwen3-4b", "--stats", "--dont-fetch-catalog")
    assert launch.stdin == b"--stats"
    more = {"system_prompt": "Be brief.", "ttl": 60, "host": "box", "port": 1234, "download": True, "params": ("-q",)}
    launch = LmsExecutor().launch(AgentRun(prompt="p", cwd="/tmp", options={**RUN.options, **more}))
    assert launch.argv[5:] == ("--system-prompt=Be brief.", "--ttl=60", "--host=box", "--port=1234", "--yes", "-q")


@pytest.mark.parametrize("options", [{}, {"model": "-x"}, {"model": "m", "ttl": 0}, {"model": "m", "host": " "}])
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        LmsExecutor().launch(AgentRun(prompt="p", cwd="/tmp", options=options))


class TestConformance(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Executor:
        return LmsExecutor()

    @pytest.fixture
    def runs(self, executor: Executor) -> list[AgentRun]:
        return [RUN]

    @pytest.fixture
    def transcripts(self) -> list[bytes]:
        return [b"<think>\nHm.\n</think>\nHello.\n"]
