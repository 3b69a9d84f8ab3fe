"""The promises of the port, by the suite that AURA ships: no agent is started here."""

from collections.abc import Sequence

import attrs
import pytest
from agent import CASES, captured
from aura_executors import AgentRun, Executor, InvalidInput
from aura_executors.testing.executor import ExecutorConformance

from aura_executor_renamer import RenamerExecutor

RUN = AgentRun(prompt="Rename fetch to load", cwd="/", new_session_id="8a7d0f5e-0000-4000-8000-000000000000")


class TestRenamer(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> Executor:
        return RenamerExecutor()

    @pytest.fixture
    def runs(self) -> Sequence[AgentRun]:
        return [RUN, attrs.evolve(RUN, session_id="s-1", options={"ask": False, "only": "*.py"})]

    @pytest.fixture
    def transcripts(self) -> Sequence[bytes]:
        return [captured(name) for name in CASES]


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, ["--only=*", "--ask", f"--new-session={RUN.new_session_id}"]),
        ({"ask": False, "params": ["--version"]}, ["--only=*", f"--new-session={RUN.new_session_id}", "--version"]),
    ],
)
def test_options_become_arguments(options: dict[str, object], arguments: list[str]) -> None:
    launch = RenamerExecutor().launch(attrs.evolve(RUN, options={"executable": "/opt/renamer", **options}))
    assert launch.argv == ("/opt/renamer", *arguments)
    assert launch.stdin == b'{"prompt":"Rename fetch to load"}\n'


def test_the_option_that_silences_it_is_named() -> None:
    assert RenamerExecutor().silencing_option({"ask": False}) == "ask"
    assert RenamerExecutor().silencing_option({"ask": True}) is None


@pytest.mark.parametrize(
    ("options", "field"), [({"model": "large"}, "model"), ({"onyl": "*.py"}, "onyl"), ({"ask": "yes"}, "ask")]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        RenamerExecutor().launch(attrs.evolve(RUN, options=options))
