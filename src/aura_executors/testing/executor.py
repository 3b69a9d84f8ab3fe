"""Conformance of executors: what every implementation of `aura_contracts.ports.executors.Executor` must do.

An executor proves itself with one small class in its own tests:

    class TestCowsay(ExecutorConformance):
        @pytest.fixture
        def executor(self):
            return Cowsay()

Where it needs options, or takes no session, the fixture `runs` says which runs it accepts. Give `transcripts`, what its
agent really writes to standard output when it runs the first of them, and what is understood of them is tested too: the
same entries however they are cut, with answers that come in time or before their questions, and with every text in them
replaced by a huge one. No agent is started.
"""

import os
import random
import re
import tracemalloc
from collections.abc import Sequence

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.entries import TEXT_LIMIT, AnyEntry, Entry, Finished, PermissionRequested, SessionStarted
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure
from aura_contracts.first_use import decode_json
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Availability, Capability, Executor, Launch, Send
from aura_contracts.ports.processes import ExitCause
from aura_executors.testing._material import (
    EXITS,
    GARBAGE,
    GOOD_EXIT,
    SOURCES,
    answered,
    jsonlike,
    pieces,
    spoilings,
    texts_in,
    understood,
)

__all__ = ["GARBAGE", "GOOD_EXIT", "ExecutorConformance", "pieces", "understood"]

PIECE = 1 << 20
ENDLESS = 64 * PIECE
MEMORY_LIMIT = 48 * PIECE
"""Bytes: a line without end, the pieces it comes in, and the memory that a conversation may use meanwhile."""

CUT_NOTE = 200
"""Characters for saying that a text was cut."""

PATIENT = settings(deadline=None, max_examples=25)


@pytest.mark.aura_conformance
class ExecutorConformance:
    """Inherit, give the fixture `executor`, and override `runs` and `transcripts` where they do not fit."""

    @pytest.fixture
    def executor(self) -> Executor:
        """Return the executor under test."""
        raise NotImplementedError("the fixture `executor` returns the executor to be tested")

    @pytest.fixture
    def runs(self, executor: Executor) -> Sequence[AgentRun]:
        """Return runs that the executor accepts; one of them resumes a session if the executor can."""
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

    def test_it_can_be_asked_for_where_there_is_nothing(self, executor: Executor) -> None:
        availability = executor.availability({})
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

    def test_an_option_that_allows_everything_is_named(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        """AURA refuses rules with such an option, because the agent would not ask, and so follow none of them."""
        for name in ("yolo", "allow_all_tools"):
            for run in runs if executor.capability.permissions else ():
                silent = attrs.evolve(run, options={**run.options, name: True})
                try:
                    executor.launch(silent)
                except InvalidInput:
                    continue  # it has no such option
                assert executor.silencing_option(silent.options) is not None, f"it does not say that {name} silences it"

    def test_hardly_any_prompt_is_too_strange(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        """A prompt is a command for some agents if it begins with a hyphen, and for no agent of ours."""
        for prompt in ("", " ", "--help", "-", "a\nb\n", "äöü \U0001f600", "$HOME `id` $(id)", '"\\'):
            for run in runs:
                assert executor.launch(attrs.evolve(run, prompt=prompt)).argv

    def test_secrets_are_not_shown_to_everybody_on_the_machine(
        self, executor: Executor, runs: Sequence[AgentRun]
    ) -> None:
        """Arguments are: every user may list them."""
        names = ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GITHUB_TOKEN", "OPENAI_API_KEY", "AURA_TOKEN")
        for run in runs:
            secrets = {name: f"the-secret-{name}" for name in names}
            argv = executor.launch(attrs.evolve(run, environment={**run.environment, **secrets})).argv
            assert not any("the-secret-" in argument for argument in argv)

    def test_a_copy_of_a_session_is_refused_by_who_cannot_make_one(
        self, executor: Executor, runs: Sequence[AgentRun]
    ) -> None:
        for run in runs if executor.capability.resume and not executor.capability.fork else ():
            with pytest.raises(InvalidInput, match="fork"):
                executor.launch(attrs.evolve(run, session_id=run.session_id or "a-session", fork=True))

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
                assert decode_json(msgspec.json.encode(entry), AnyEntry) == entry
                if isinstance(entry, SessionStarted):
                    assert entry.session_id

    def test_a_transcript_that_breaks_off_is_understood_as_far_as_it_goes(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        chance = random.Random(0)  # noqa: S311 - places to cut at, not secrets
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

    def test_told_the_same_again_it_says_the_same(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        """A restarted worker replays to a new conversation what the agent wrote and what was answered."""
        for data in transcripts:
            for granted in (True, False):
                first = answered(executor.converse(runs[0]), data, Answer(granted=granted, feedback="so it is"))
                assert answered(executor.converse(runs[0]), data, Answer(granted=granted, feedback="so it is")) == first

    def test_what_it_says_is_bounded_and_can_be_stored(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        """Each text of a transcript in turn, some of them at most, is made huge, or what no log can store."""
        for data in (*transcripts, *GARBAGE):
            for spoilt in spoilings(data):
                conversation = executor.converse(runs[0])
                entries, _, failure = understood(conversation, [(OutputSource.STDOUT, spoilt)])
                for text in texts_in([entries, conversation.blocked, failure]):
                    assert len(text) <= TEXT_LIMIT + CUT_NOTE, f"a text of {len(text)} characters: {text[:100]}"
                    assert "\0" not in text, f"a NUL, which no log can store: {text[:100]!r}"

    def test_a_line_without_an_end_does_not_fill_the_memory(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        for source in SOURCES:
            conversation = executor.converse(runs[0])
            tracemalloc.start()
            try:
                for number in range(ENDLESS // PIECE):
                    for _ in conversation.receive(source, b"%c" % (97 + number % 26) * PIECE):
                        pass
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert peak < MEMORY_LIMIT, f"it keeps {peak} bytes of {ENDLESS} on {source}"

    def test_what_it_is_not_permitted_to_do_is_a_text(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        for data in (b"", *transcripts):
            conversation = executor.converse(runs[0])
            understood(conversation, [(OutputSource.STDOUT, data)])
            assert isinstance(conversation.blocked, str)

    # --- How it talks to its agent

    def test_an_unexpected_answer_is_not_an_error(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        """A worker that was restarted answers a question that its conversation has not seen."""
        for run in runs:
            for answer in (Answer(granted=True), Answer(granted=False, feedback='no "way"\n\u2028')):
                items = list(executor.converse(run).answer("never-asked", answer))
                assert all(isinstance(item, Send) for item in items), "an answer is something to send, and no entry"

    def test_an_answer_that_comes_before_its_question_is_kept_for_it(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        for data in transcripts:
            answer = Answer(granted=False, feedback="not this one")
            entries, sent = answered(executor.converse(runs[0]), data, answer)
            early = executor.converse(runs[0])
            asked = [entry.request_id for entry in entries if isinstance(entry, PermissionRequested)]
            before = [item.data for request_id in asked for item in early.answer(request_id, answer)]
            items = [*early.receive(OutputSource.STDOUT, data), *early.end(GOOD_EXIT)]
            assert [item for item in items if isinstance(item, Entry)] == entries
            after = [item.data for item in items if isinstance(item, Send)]
            assert sorted([*before, *after]) == sorted(sent), "the agent gets the same"

    def test_what_it_asks_for_can_be_answered(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        for data in transcripts:
            entries, _, _ = understood(executor.converse(runs[0]), [(OutputSource.STDOUT, data)])
            asked = [entry for entry in entries if isinstance(entry, PermissionRequested)]
            assert executor.capability.permissions or not asked, "its capability says that it does not ask"
            for entry in asked:
                assert entry.request_id
                assert entry.fingerprint
                assert entry.tool

    def test_what_it_sends_can_be_written(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        """An agent that is not interactive has no standard input to write to."""
        for run in runs:
            conversation = executor.converse(run)
            sent: list[Send] = [*conversation.interrupt()]
            for data in transcripts if run is runs[0] else ():
                sent += [item for item in conversation.receive(OutputSource.STDOUT, data) if isinstance(item, Send)]
                sent += conversation.interrupt()
            assert all(isinstance(item, Send) for item in sent), "an interruption is something to send, and no entry"
            assert executor.launch(run).interactive or not sent, "`Launch.interactive` keeps standard input open"

    def test_what_it_is_told_is_sent(
        self, executor: Executor, runs: Sequence[AgentRun], transcripts: Sequence[bytes]
    ) -> None:
        """Only an agent whose capability says so gets a message while it works, and none that is done."""
        for data in (b"", *transcripts):
            conversation = executor.converse(runs[0])
            entries = list(conversation.receive(OutputSource.STDOUT, data))
            told = list(conversation.tell("0192f0c1-2d3e-7abc-8def-0123456789ab", "stop"))
            assert all(isinstance(item, Send) and not item.close for item in told)
            assert executor.capability.messages or not told
            assert not told or not any(isinstance(entry, Finished) for entry in entries)

    # --- How it judges

    def test_every_end_is_judged(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        for run in runs:
            for exit in EXITS:
                conversation = executor.converse(run)
                list(conversation.receive(OutputSource.STDOUT, b"some output\n"))
                list(conversation.end(exit))
                failure = conversation.judge(exit)
                assert failure is None or isinstance(failure, Failure)
                assert conversation.judge(exit) == failure, "judging changes nothing"

    def test_what_aura_ended_has_failed(self, executor: Executor, runs: Sequence[AgentRun]) -> None:
        for exit in EXITS:
            conversation = executor.converse(runs[0])
            list(conversation.end(exit))
            if exit.cause not in (ExitCause.OWN, ExitCause.EXIT_GRACE):  # which are judged by what the agent said
                assert conversation.judge(exit) is not None, exit.cause
