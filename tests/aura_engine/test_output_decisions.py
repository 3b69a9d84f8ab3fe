"""Output: every chunk once, in order, byte by byte what was written."""

from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aura_contracts.actors import agent, human, system
from aura_contracts.errors import ActorNotAllowed, CommandRefused, RuleViolated
from aura_contracts.events import Fact
from aura_contracts.ids import output_stream
from aura_contracts.output import OUTPUT, Chunk, CloseOutput, OutputClosed, OutputRecorded, OutputSource, RecordOutput
from aura_engine.decisions import Context
from aura_engine.decisions.output import OUTPUT_DECIDER

EXECUTION_ID = "0192f0c1-2d3e-7abc-8def-000000000001"
OTHER_ID = "0192f0c1-2d3e-7abc-8def-000000000002"
STREAM_ID = output_stream(EXECUTION_ID)
START = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
WORKER = system("worker")


def chunk(raw, source=OutputSource.STDOUT):
    return Chunk.of(source, START, raw)


class Story:
    """The output of one execution so far."""

    def __init__(self):
        self.facts = []

    @property
    def state(self):
        return OUTPUT.fold(self.facts)

    def do(self, command, actor=WORKER):
        decision = OUTPUT_DECIDER.decide(STREAM_ID, self.state, command, Context(actor=actor, now=START))
        self.facts += [Fact(event, START, actor, "", "") for event in decision.events]
        return list(decision.events)

    def record(self, first, *raws):
        return self.do(RecordOutput(execution_id=EXECUTION_ID, first=first, chunks=tuple(chunk(raw) for raw in raws)))


@contextmanager
def refused(rule):
    """Expect a rule of this name to refuse, with all facts."""
    with pytest.raises(RuleViolated) as refusal:
        yield refusal
    error = refusal.value
    assert (error.aggregate, error.aggregate_id, error.rule) == ("output", STREAM_ID, rule)
    assert error.reason


def test_the_stream_follows_from_the_execution():
    story = Story()
    story.record(1, b"a")
    assert (story.state.id, story.state.execution_id, story.state.status) == (STREAM_ID, EXECUTION_ID, "open")


def test_batches_follow_one_another():
    story = Story()
    events = story.record(1, b"one\n", b"two\n")
    assert events == [OutputRecorded(execution_id=EXECUTION_ID, first=1, chunks=(chunk(b"one\n"), chunk(b"two\n")))]
    assert (story.state.next, story.state.size) == (3, 8)
    story.record(3, b"three")
    assert (story.state.next, story.state.size) == (4, 13)


@pytest.mark.parametrize(("first", "rule"), [(2, "sequence_gap"), (0, "sequence_overlap"), (-5, "sequence_overlap")])
def test_the_first_chunk_is_number_one(first, rule):
    with refused(rule):
        Story().record(first, b"a")


@pytest.mark.parametrize(
    ("first", "rule"), [(5, "sequence_gap"), (100, "sequence_gap"), (3, "sequence_overlap"), (1, "sequence_overlap")]
)
def test_gaps_and_overlaps_are_refused_and_the_next_number_is_told(first, rule):
    story = Story()
    story.record(1, b"1", b"2", b"3")
    with refused(rule) as refusal:
        story.record(first, b"x")
    assert "from chunk 4 on" in refusal.value.remedy
    assert story.state.next == 4


def test_an_empty_batch_is_refused():
    with refused("empty"):
        Story().record(1)


@pytest.mark.parametrize("begun", [True, False])
def test_output_is_closed_whether_or_not_there_was_any(begun):
    story = Story()
    if begun:
        story.record(1, b"a")
    assert story.do(CloseOutput(execution_id=EXECUTION_ID)) == [OutputClosed(execution_id=EXECUTION_ID)]
    assert (story.state.status, story.state.id, story.state.size) == ("closed", STREAM_ID, int(begun))


def test_after_the_close_nothing_comes():
    story = Story()
    story.do(CloseOutput(execution_id=EXECUTION_ID))
    with pytest.raises(CommandRefused):
        story.record(1, b"a")
    with pytest.raises(CommandRefused):
        story.do(CloseOutput(execution_id=EXECUTION_ID))


@pytest.mark.parametrize(
    "command",
    [RecordOutput(execution_id=OTHER_ID, first=2, chunks=(chunk(b"a"),)), CloseOutput(execution_id=OTHER_ID)],
)
def test_outputs_of_two_executions_do_not_mix(command):
    story = Story()
    story.record(1, b"a")
    with pytest.raises(RuleViolated) as refusal:
        story.do(command)
    assert refusal.value.rule == "other_execution"


@pytest.mark.parametrize("actor", [human("alice"), agent("x")])
def test_aura_alone_records_output(actor):
    for command in (
        RecordOutput(execution_id=EXECUTION_ID, first=1, chunks=(chunk(b"a"),)),
        CloseOutput(execution_id=EXECUTION_ID),
    ):
        with pytest.raises(ActorNotAllowed) as refusal:
            Story().do(command, actor)
        assert (refusal.value.aggregate_id, refusal.value.actor) == (STREAM_ID, actor)


@pytest.mark.parametrize(
    "bad",
    [
        Chunk(OutputSource.STDOUT, START),
        Chunk(OutputSource.STDOUT, START, text="a", data=b"a"),
        Chunk(OutputSource.STDOUT, START, text="a\0b"),
        Chunk(OutputSource.STDOUT, START, text="\ud800"),
    ],
)
def test_what_no_database_can_hold_is_refused(bad):
    story = Story()
    with refused("chunk"):
        story.do(RecordOutput(execution_id=EXECUTION_ID, first=1, chunks=(chunk(b"a"), bad)))


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "ignore")))
@example(b"\xff\xfe")
@example(b"a\0b")
@example("żółć\r\n".encode())
def test_every_byte_comes_back_from_the_log(raw):
    story = Story()
    (event,) = story.record(1, raw)
    stored = msgspec.json.decode(msgspec.json.encode(event), type=OutputRecorded)
    assert stored == event
    assert stored.chunks[0].raw == raw
    assert story.state.size == len(raw)


def test_what_is_text_is_stored_as_text():
    assert (chunk(b"plain").text, chunk(b"plain").data) == ("plain", None)
    assert (chunk(b"\xff").text, chunk(b"\xff").data) == (None, b"\xff")
