"""Seals and the plan of a commit: pure functions, so the tests are properties of all their inputs."""

from collections.abc import Sequence
from hashlib import sha256

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import LogDamaged, VersionConflict
from aura_contracts.events import SealedRow
from aura_store.log._seal import GENESIS, NO_STREAM, CommitPlan, EncodedAppend, Tip, plan_commit, seal
from aura_store.testing.log_conformance import digest_of, stream_id

streams = st.integers(1, 4).map(stream_id)
events = st.lists(st.tuples(st.sampled_from(["a@1", "b@2"]), st.binary(max_size=4)), max_size=3)
expectations = st.none() | st.integers(0, 4)
appends = st.builds(EncodedAppend, streams, expectations, events)
commands = st.lists(st.lists(appends, min_size=1, max_size=3), max_size=8)
digests = st.binary(min_size=32, max_size=32)
tips = st.dictionaries(streams, st.builds(Tip, st.integers(1, 4), digests), max_size=4)
heads = st.integers(0, 2**62)


@attrs.define
class Model:
    """What a commit means, said simply: versions as counters; a command is tried, and undone if one append is stale."""

    versions: dict[str, int]
    rows: list[tuple[str, int, str, bytes]] = attrs.field(factory=list)

    def apply(self, command: Sequence[EncodedAppend]) -> tuple[str, int | None, int] | None:
        versions, rows = dict(self.versions), list(self.rows)
        for stream, expected, new in command:
            if expected not in (None, versions.get(stream, 0)):
                return stream, expected, versions.get(stream, 0)
            for topic, state in new:
                versions[stream] = versions.get(stream, 0) + 1
                rows.append((stream, versions[stream], topic, state))
        self.versions, self.rows = versions, rows
        return None


def plan_of(head: int, known: dict[str, Tip], batch: list[list[EncodedAppend]]) -> CommitPlan:
    plan = plan_commit(head, known.get, batch)
    return plan._replace(rows=[SealedRow._make(row) for row in plan.rows])


@given(heads, tips, commands)
def test_a_plan_is_what_one_after_the_other_would_do(head, known, batch):
    plan = plan_of(head, known, batch)
    model = Model({stream: tip.version for stream, tip in known.items()})
    for command, outcome in zip(batch, plan.outcomes, strict=True):
        if conflict := model.apply(command):
            assert isinstance(outcome, VersionConflict)
            assert (outcome.stream_id, outcome.expected, outcome.actual) == conflict
        else:
            assert outcome == head + len(model.rows)
    assert [(row.stream_id, row.version, row.topic, row.state) for row in plan.rows] == model.rows
    assert [row.position for row in plan.rows] == list(range(head + 1, head + 1 + len(plan.rows)))
    assert plan.head == (plan.rows[-1].position if plan.rows else 0)


@given(heads, tips, commands)
def test_every_planned_row_is_chained_to_the_one_before_in_its_stream(head, known, batch):
    plan = plan_of(head, known, batch)
    last = dict(known)
    for row in plan.rows:
        tip = last.get(row.stream_id, NO_STREAM)
        assert (row.version, row.previous) == (tip.version + 1, tip.digest)
        assert row.digest == digest_of(row)
        last[row.stream_id] = Tip(row.version, row.digest)
    assert {stream: tip for stream, tip in plan.tips.items() if tip != NO_STREAM} == {
        stream: last[stream] for stream in plan.tips if stream in last
    }
    assert {row.stream_id for row in plan.rows} <= set(plan.tips)


@given(heads, tips, commands, st.data())
def test_a_refused_command_leaves_no_trace(head, known, batch, data):
    plan = plan_of(head, known, batch)
    accepted = [command for command, outcome in zip(batch, plan.outcomes, strict=True) if isinstance(outcome, int)]
    assert plan_of(head, known, accepted).rows == plan.rows


rows = st.builds(
    SealedRow,
    st.integers(0, 2**63 - 1),
    streams,
    st.integers(0, 2**63 - 1),
    st.text(max_size=5),
    st.binary(max_size=5),
    digests,
    digests,
)


@given(rows, rows)
def test_rows_that_differ_in_anything_have_different_seals(one, other):
    def content(row: SealedRow) -> tuple[object, ...]:
        return row.previous, row.position, row.version, row.stream_id, row.topic, row.state

    def sealed(row: SealedRow) -> bytes:
        return seal(row.previous, row.position, row.version, row.stream_id, row.topic, row.state)

    assert (sealed(one) == sealed(other)) == (content(one) == content(other))
    assert sealed(one) == digest_of(one)


@pytest.mark.parametrize(("topic", "state"), [("ab", b"c"), ("a", b"bc"), ("abc", b"")])
def test_the_border_between_topic_and_bytes_is_sealed(topic, state):
    others = {seal(GENESIS, 1, 1, stream_id(1), t, s) for t, s in [("ab", b"c"), ("a", b"bc"), ("abc", b"")]}
    assert len(others) == 3
    assert seal(GENESIS, 1, 1, stream_id(1), topic, state) in others


def test_the_formula_never_changes():
    """Written out once more, byte by byte: logs of years ago are verified with it."""
    stream = b"0192f0c1-2d3e-7abc-8def-000000000001"
    content = bytes(32) + bytes(7) + b"\x05" + bytes(7) + b"\x02" + b"\x00\x24" + b"\x00\x0e" + stream
    assert (
        seal(GENESIS, 5, 2, stream.decode(), "task.created@1", b"[]")
        == sha256(content + b"task.created@1" + b"[]").digest()
    )
    assert seal(GENESIS, 5, 2, stream.decode(), "task.created@1", b"[]").hex() == (
        "c7a4e45d274595b900c208664f1314c853de5ba3b8d1088287720a461f26e9d3"
    )


@pytest.mark.parametrize("tip", [("3", bytes(32)), (3, "abc"), (3, b"abc"), (3, None)])
def test_who_appends_to_a_damaged_stream_is_refused_alone(tip):
    known = {stream_id(1): Tip(*tip)}
    batch = [[EncodedAppend(stream_id(n), None, [("x@1", b"")])] for n in (1, 2)]
    refused, position = plan_of(3, known, batch).outcomes
    assert isinstance(refused, LogDamaged)
    assert refused.stream_id == stream_id(1)
    assert position == 4
