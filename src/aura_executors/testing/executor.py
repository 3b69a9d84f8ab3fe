"""Conformance of executors: what every implementation of `aura_contracts.ports.executors.Executor` must do.

An executor proves itself with one small class in its own tests:

    class TestCowsay(ExecutorConformance):
        @pytest.fixture
        def executor(self):
            return Cowsay()

Where it needs options, or takes no session, the fixture `runs` says which runs it accepts. Give `transcripts`, what its
agent really writes to standard output, and what is understood of them is tested too. No agent is started.
"""

import json
import os
import random
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import (
    AgentRun,
    Answer,
    AnyEntry,
    Availability,
    Capability,
    Conversation,
    Entry,
    Executor,
    Launch,
    Send,
    SessionStarted,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit

SOURCES = (OutputSource.STDOUT, OutputSource.STDERR)

EXITS = tuple(
    ProcessExit(token="t", cause=cause, exit_code=code, signal=signal, message=message)  # noqa: S106 - no password
    for cause in ExitCause
    for code, signal in ((0, None), (1, None), (255, None), (None, 9), (None, 15), (None, None))
    for message in ("", "the reason")
)
"""Every way to end: all causes, with every kind of exit code and signal."""

GOOD_EXIT = ProcessExit(token="t", cause=ExitCause.OWN, exit_code=0)  # noqa: S106 - no password

GARBAGE = (
    b"",
    b"\n",
    b"\r\n\r\n",
    b"\0\0\0\n",
    b"\xff\xfe\x00\n",
    b"{}\n",
    b"[]\n",
    b"null\n",
    b'{"type"\n',
    b'{"type":null}\n',
    b'{"type":"message","text":5}\n',
    b'{"id":"\\ud800\\u0000"}\n',
    b'{"n":' + b"9" * 5000 + b"}\n",
    b"[" * 100_000 + b"\n",
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"\n",
    b"x" * 3_000_000,
    b"data: {\n\n",
    b"\x1b[2J\x1b[31mred\n",
)
"""What no agent should write, and some will."""

PATIENT = settings(deadline=None, max_examples=50)


def understood(
    conversation: Conversation, written: Iterable[tuple[OutputSource, bytes]]
) -> tuple[list[Entry], bytes, Failure | None]:
    """Return the entries, the bytes to send, and the judgement, when the agent writes this and ends well."""
    items: list[Entry | Send] = []
    for source, data in written:
        items += conversation.receive(source, data)
    items += conversation.end(GOOD_EXIT)
    for item in items:
        assert isinstance(item, Entry | Send), f"{item!r} is neither an entry nor something to send"
    entries = [item for item in items if isinstance(item, Entry)]
    return entries, b"".join(item.data for item in items if isinstance(item, Send)), conversation.judge(GOOD_EXIT)


def pieces(data: bytes, cuts: Iterable[int]) -> list[tuple[OutputSource, bytes]]:
    """Return `data` as standard output, cut at these places."""
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [(OutputSource.STDOUT, data[start:end]) for start, end in pairwise(places)]


def jsonlike() -> st.SearchStrategy[bytes]:
    """Return lines that look as if they meant something."""
    names = st.sampled_from(["type", "aura", "id", "method", "params", "result", "session_id", "message", "text"])
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
    lines = st.dictionaries(names, values, max_size=4).map(lambda value: json.dumps(value).encode() + b"\n")
    return st.lists(lines | st.binary(max_size=20), max_size=6).map(b"".join)


@pytest.mark.aura_conformance
class ExecutorConformance:
    """Inherit, give the fixture `executor`, and override `runs` and `transcripts` where they do not fit."""

    @pytest.fixture
    def executor(self) -> Executor:
        """Return the executor under test."""
        raise NotImplementedError("the fixture `executor` returns the executor to be tested")

    @pytest.fixture
    def runs(self, executor: Executor) -> Sequence[AgentRun]:
        """Return runs that the executor accepts; one of them goes on in a session if the executor can resume."""
        first = AgentRun(prompt="Say hello", cwd="/tmp")  # noqa: S108 - nothing is written there
        return [first, attrs.evolve(first, session_id="a-session")] if executor.capability.resume else [first]

    @pytest.fixture
    def transcripts(self) -> Sequence[bytes]:
        """Return what the agent wrote to standard output in real runs."""
        return ()

    # --- What it is

    def test_its_name_can_be_typed(self, executor: Executor) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", executor.name)

    def test_it_says_what_it_can_do(self, executor: Executor) -> None:
        assert isinstance(executor.capability, Capability)
        assert isinstance(executor.summary, str)
        assert "\n" not in executor.summary

    def test_whether_it_can_run_here_is_an_answer_and_no_error(self, executor: Executor) -> None:
        availability = executor.availability(dict(os.environ))
        assert isinstance(availability, Availability)
        assert availability.available or availability.reason, "say what is missing"

    # --- How it starts its agent

    def test_its_command_can_be_started(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        for run in runs:
            launch = executor.launch(run)
            assert isinstance(launch, Launch)
            assert launch.argv
            assert launch.argv[0]
            values = [value for value in launch.env.values() if value is not None]
            for text in (*launch.argv, *launch.env, *values):
                assert isinstance(text, str)
                assert "\0" not in text, "no system can pass a NUL in an argument or a variable"
            assert not any(not name or "=" in name for name in launch.env)
            assert launch.stdin is None or isinstance(launch.stdin, bytes)

    def test_the_same_run_is_the_same_command(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        for run in runs:
            before = (dict(run.options), dict(run.environment))
            assert executor.launch(run) == executor.launch(attrs.evolve(run))
            assert (run.options, run.environment) == before, "a run is not changed by being started"

    def test_options_that_it_does_not_have_are_refused(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        for run in runs:
            strange = attrs.evolve(run, options={**run.options, "no_such_option": 1})
            with pytest.raises(InvalidInput, match="no_such_option"):
                executor.launch(strange)

    def test_hardly_any_prompt_is_too_strange(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        """A prompt is a command for some agents if it begins with a hyphen, and for no agent of ours."""
        for prompt in ("", " ", "--help", "-", "a\nb\n", "äöü \U0001f600", "$HOME `id` $(id)", '"\\'):
            for run in runs:
                assert executor.launch(attrs.evolve(run, prompt=prompt)).argv

    # --- How it understands its agent

    def test_nothing_that_an_agent_writes_is_an_error(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        for run in runs:
            for source in SOURCES:
                for data in GARBAGE:
                    understood(executor.converse(run), [(source, data), (source, b"\n"), (source, data)])

        @PATIENT
        @given(st.lists(st.tuples(st.sampled_from(SOURCES), st.binary(max_size=60) | jsonlike()), max_size=6))
        def generated(written: list[tuple[OutputSource, bytes]]) -> None:
            understood(executor.converse(runs[0]), written)

        generated()

    def test_what_is_understood_does_not_depend_on_the_pieces_it_comes_in(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        small = [data for data in (*transcripts, *GARBAGE) if len(data) <= 20_000]

        @PATIENT
        @given(
            st.binary(max_size=60) | jsonlike() | st.sampled_from(small), st.lists(st.integers(0, 20_000), max_size=9)
        )
        def generated(data: bytes, cuts: list[int]) -> None:
            whole = understood(executor.converse(runs[0]), [(OutputSource.STDOUT, data)])
            assert understood(executor.converse(runs[0]), pieces(data, cuts)) == whole

        generated()
        for data in transcripts:
            single = [(OutputSource.STDOUT, bytes([byte])) for byte in data]
            whole = understood(executor.converse(runs[0]), [(OutputSource.STDOUT, data)])
            assert understood(executor.converse(runs[0]), single) == whole

    def test_a_transcript_is_understood_and_its_entries_can_be_stored(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        for data in transcripts:
            entries, _, _ = understood(executor.converse(runs[0]), [(OutputSource.STDOUT, data)])
            assert entries, "nothing was understood"
            for entry in entries:
                assert msgspec.json.decode(msgspec.json.encode(entry), type=AnyEntry) == entry
                if isinstance(entry, SessionStarted):
                    assert entry.session_id

    def test_a_transcript_that_breaks_off_is_understood_as_far_as_it_goes(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        chance = random.Random(0)  # noqa: S311 - places to cut at, no secrets
        for data in transcripts:
            for end in {0, 1, len(data) - 1, *(chance.randrange(len(data) + 1) for _ in range(50))}:
                understood(executor.converse(runs[0]), [(OutputSource.STDOUT, data[:end])])

    def test_two_conversations_know_nothing_of_one_another(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        for data in transcripts:
            alone = understood(executor.converse(runs[0]), [(OutputSource.STDOUT, data)])
            one, other = executor.converse(runs[0]), executor.converse(runs[0])
            half = len(data) // 2
            first = [*one.receive(OutputSource.STDOUT, data[:half])]
            list(other.receive(OutputSource.STDOUT, data[::-1]))
            entries, sent, failure = understood(one, [(OutputSource.STDOUT, data[half:])])
            begun = [item for item in first if isinstance(item, Entry)]
            before = b"".join(item.data for item in first if isinstance(item, Send))
            assert ([*begun, *entries], before + sent, failure) == alone

    def test_an_answer_that_nobody_waits_for_is_no_error(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        """A worker that was restarted answers a question that its conversation has not seen."""
        for run in runs:
            for answer in (Answer(granted=True), Answer(granted=False, feedback='no "way"\n\u2028')):
                items = list(executor.converse(run).answer("never-asked", answer))
                assert all(isinstance(item, Entry | Send) for item in items)

    # --- How it judges

    def test_every_end_is_judged(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        for run in runs:
            for exit in EXITS:  # noqa: A001 - the word for it
                conversation = executor.converse(run)
                list(conversation.receive(OutputSource.STDOUT, b"some output\n"))
                list(conversation.end(exit))
                failure = conversation.judge(exit)
                assert failure is None or isinstance(failure, Failure)
                assert conversation.judge(exit) == failure, "judging changes nothing"

    def test_what_aura_ended_has_failed(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        for exit in EXITS:  # noqa: A001 - the word for it
            conversation = executor.converse(runs[0])
            list(conversation.end(exit))
            assert exit.cause is ExitCause.OWN or conversation.judge(exit) is not None, exit.cause
