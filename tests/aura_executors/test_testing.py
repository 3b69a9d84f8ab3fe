"""The conformance suite finds what it is there to find."""

import re
import subprocess
import sys
from pathlib import Path

BAD = '''
import json
import random
import pytest
from aura_contracts.ports.executors import Conversation, Executor, Launch, Message
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

class TestUnfinished(ExecutorConformance):
    pass
'''


def test_a_bad_executor_is_found_out(tmp_path: Path):
    (tmp_path / "test_bad.py").write_text(BAD)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider"]
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
    }
    assert "the fixture `executor` returns the executor to be tested" in done.stdout
