"""The conformance suite finds what it is there to find."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BAD = '''
import json
import random
import pytest
from aura_contracts.entries import Message, PermissionRequested, ToolFinished
from aura_contracts.ports.executors import Capability, Conversation, Executor, Launch, Send
from aura_executors.testing.executor import ExecutorConformance

class Loose(Conversation):
    """Takes each piece for a whole line, and what it reads for JSON."""
    def receive(self, source, data):
        return [Message(text=str(json.loads(line))) for line in data.splitlines()]
    def judge(self, exit):
        return None

class Bad(Executor):
    name = "Bad Executor"
    def launch(self, run):
        return Launch(argv=("bad", run.prompt, str(random.random())))
    def converse(self, run):
        return Loose()
    def availability(self, environment):
        raise OSError("no")

class TestBad(ExecutorConformance):
    @pytest.fixture
    def executor(self):
        return Bad()
    @pytest.fixture
    def transcripts(self):
        return [b'{"a": 1}\\n{"b": 2}\\n']

class Careless(Conversation):
    """Keeps whatever has no end, says all of it, forgets early answers, and counts conversations."""
    made = 0
    def __init__(self):
        self.line = bytearray()
        self.blocked = None
        Careless.made += 1
    def receive(self, source, data):
        self.line += data
        if b"\\n" not in data:
            return
        *lines, self.line = self.line.split(b"\\n")
        for line in lines:
            try:
                said = json.loads(line)["ask"]
            except Exception:
                continue
            yield PermissionRequested(request_id=said, tool="t", fingerprint=str(Careless.made))
    def answer(self, request_id, answer):
        if request_id == "never-asked":
            return [ToolFinished(call_id="")]
        return [Send(b"yes")] if not self.line else ()
    def interrupt(self):
        return [Send(b"stop")]

class Leaky(Executor):
    name = "leaky"
    capability = Capability(resume=True)
    def launch(self, run):
        if run.options:
            raise __import__("aura_contracts.errors").errors.InvalidInput(field="options", reason=str(run.options))
        return Launch(argv=("leaky", run.environment.get("OPENAI_API_KEY", "")))
    def converse(self, run):
        return Careless()
    def availability(self, environment):
        return Availability(available=True, executable=environment["PATH"])

class TestLeaky(ExecutorConformance):
    @pytest.fixture
    def executor(self):
        return Leaky()
    @pytest.fixture
    def transcripts(self):
        return [b'{"ask": "1"}\\n{"ask": "2"}\\n']

class Silent(Executor):
    name = "silent"
    capability = Capability(permissions=True)
    def launch(self, run):
        if {*run.options} - {"yolo"}:
            raise __import__("aura_contracts.errors").errors.InvalidInput(field="options", reason=str(run.options))
        return Launch(argv=("silent",))

class TestSilent(ExecutorConformance):
    @pytest.fixture
    def executor(self):
        return Silent()

class TestUnfinished(ExecutorConformance):
    pass
'''

WITHOUT_SHRINKING = """
from hypothesis import Phase, settings
settings.register_profile("without shrinking", phases=[Phase.explicit, Phase.generate])
settings.load_profile("without shrinking")
"""

LEAKS = {
    "test_a_copy_of_a_session_is_refused_by_who_cannot_make_one",
    "test_a_line_without_an_end_does_not_fill_the_memory",
    "test_an_answer_that_comes_before_its_question_is_kept_for_it",
    "test_an_unexpected_answer_is_not_an_error",
    "test_it_can_be_asked_for_where_there_is_nothing",
    "test_secrets_are_not_shown_to_everybody_on_the_machine",
    "test_told_the_same_again_it_says_the_same",
    "test_what_it_asks_for_can_be_answered",
    "test_what_it_is_not_permitted_to_do_is_a_text",
    "test_what_it_says_is_bounded_and_can_be_stored",
    "test_what_it_sends_can_be_written",
}


@pytest.mark.deep
def test_a_bad_executor_is_found_out(tmp_path: Path):
    (tmp_path / "test_bad.py").write_text(BAD)
    (tmp_path / "conftest.py").write_text(WITHOUT_SHRINKING)
    chosen = f"not (TestLeaky or TestSilent) or {' or '.join(LEAKS)} or everything_is_named"
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider"]
    command += ["-k", chosen]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    failed = set(re.findall(r"FAILED test_bad.py::TestBad::(\w+)", done.stdout))
    assert failed == {
        "test_its_name_can_be_typed",
        "test_whether_it_can_run_here_is_an_answer_and_no_error",
        "test_the_same_run_is_the_same_command",
        "test_options_that_it_does_not_have_are_refused",
        "test_nothing_that_an_agent_writes_is_an_error",
        "test_what_is_understood_does_not_depend_on_the_pieces_it_comes_in",
        "test_a_transcript_that_breaks_off_is_understood_as_far_as_it_goes",
        "test_two_conversations_know_nothing_of_one_another",
        "test_every_end_is_judged",
        "test_what_aura_ended_has_failed",
        "test_a_line_without_an_end_does_not_fill_the_memory",
        "test_it_can_be_asked_for_where_there_is_nothing",
        "test_what_it_says_is_bounded_and_can_be_stored",
    }
    leaks = set(re.findall(r"FAILED test_bad.py::TestLeaky::(\w+)", done.stdout))
    assert leaks == LEAKS
    assert "it does not say that yolo silences it" in done.stdout
    assert "the fixture `executor` returns the executor to be tested" in done.stdout
