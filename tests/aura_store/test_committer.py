"""Commits of which nobody knows whether they arrived: each is found out, told once, and applied once."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aura_contracts.errors import StoreFull, VersionConflict
from aura_store.log import _committer
from aura_store.log._committer import BatchCommitter
from aura_store.log._memory import MemoryRecorder
from aura_store.log._recorder import DatabaseAway
from aura_store.log._seal import EncodedAppend
from aura_store.testing.log_conformance import assert_sealed, stream_id
from aura_store.testing.stateful import Faults, FaultyRecorder


class Bench:
    """A committer on a memory log whose database goes away as `faults` says."""

    def __init__(self) -> None:
        self.memory = MemoryRecorder()
        self.memory.open({})
        self.faults = Faults()
        self.committer = BatchCommitter(FaultyRecorder(self.memory, self.faults))

    def commit(self, *commands: Sequence[EncodedAppend]) -> Sequence[Any]:
        return self.committer.commit(commands)

    def stored(self) -> list[bytes]:
        rows = self.memory.select_sealed(0, 1000)
        assert_sealed(rows)
        return [row.state for row in rows]


def command(stream: int, text: bytes, expected: int | None = 0) -> list[EncodedAppend]:
    return [EncodedAppend(stream_id(stream), expected, [("x@1", text)])]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("step", ["insert", "move_head", "commit"])
def test_a_commit_that_did_not_arrive_is_made_again(bench: Bench, step: Any) -> None:
    a, b = command(1, b"a"), command(2, b"b")
    bench.faults.away = {step: 1}
    with pytest.raises(DatabaseAway):
        bench.commit(a)
    assert bench.stored() == []
    assert bench.commit(a, b) == [1, 2]
    assert bench.stored() == [b"a", b"b"]


def test_a_commit_whose_answer_was_lost_is_not_made_again(bench: Bench) -> None:
    a, b = command(1, b"a", None), command(1, b"b", None)
    bench.faults.away = {"committed": 1}
    with pytest.raises(DatabaseAway):
        bench.commit(a)
    assert bench.stored() == [b"a"]
    assert bench.commit(a, b) == [1, 2]
    assert bench.stored() == [b"a", b"b"]


@pytest.mark.parametrize("step", ["begin", "digest_at", "commit", "committed", "insert"])
def test_it_stays_known_when_the_database_goes_away_again(bench: Bench, step: Any) -> None:
    a, b, c = command(1, b"a"), command(2, b"b"), command(1, b"c", 1)
    bench.faults.away = {"committed": 1}
    with pytest.raises(DatabaseAway):
        bench.commit(a)
    for _ in range(3):
        bench.faults.away = {step: 1}
        with pytest.raises(DatabaseAway):
            bench.commit(a, b)
    assert bench.commit(a, b) == [1, 2]
    assert bench.commit(c) == [3]
    assert bench.stored() == [b"a", b"b", b"c"]


def test_an_error_after_it_was_found_out_is_told_to_the_others_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = command(1, b"a"), command(2, b"b")
    bench.faults.away = {"committed": 1}
    with pytest.raises(DatabaseAway):
        bench.commit(a)
    full = StoreFull(store="memory:", stream_id="", position=0, reason="full")
    monkeypatch.setattr(_committer, "plan_commit", _raising(full))
    assert bench.commit(a, b) == [1, full]


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def test_a_conflict_found_in_a_doubtful_commit_is_told(bench: Bench) -> None:
    bench.commit(command(1, b"a"))
    stale, good = command(1, b"stale"), command(2, b"good")
    bench.faults.away = {"committed": 1}
    with pytest.raises(DatabaseAway):
        bench.commit(stale, good)
    conflict, position = bench.commit(stale, good)
    assert isinstance(conflict, VersionConflict)
    assert (conflict.actual, position) == (1, 2)
    assert bench.stored() == [b"a", b"good"]


def test_a_doubtful_commit_whose_callers_left_is_settled_by_the_next(bench: Bench) -> None:
    bench.faults.away = {"committed": 1}
    with pytest.raises(DatabaseAway):
        bench.commit(command(1, b"a"))
    assert bench.commit(command(1, b"b", 1)) == [2]
    assert bench.stored() == [b"a", b"b"]


def test_another_commit_in_the_place_of_a_lost_one_is_not_taken_for_it(bench: Bench) -> None:
    mine = command(1, b"mine")
    bench.faults.away = {"commit": 1}
    with pytest.raises(DatabaseAway):
        bench.commit(mine)
    assert BatchCommitter(bench.memory).commit([command(1, b"somebody else's")]) == [1]
    (outcome,) = bench.commit(mine)
    assert isinstance(outcome, VersionConflict)
    assert bench.stored() == [b"somebody else's"]


def test_what_others_appended_is_seen(bench: Bench) -> None:
    other = BatchCommitter(bench.memory)
    for version in range(0, 10, 2):
        assert bench.commit(command(1, b"mine", version)) == [version + 1]
        assert other.commit([command(1, b"other", version + 1)]) == [version + 2]
    (conflict,) = bench.commit(command(1, b"late", 9))
    assert conflict.actual == 10


def test_more_streams_than_are_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_committer, "TIPS_KEPT", 3)
    for version in range(4):
        for stream in range(8):
            assert bench.commit(command(stream, b"x", version)) == [8 * version + stream + 1]
    batch = [command(stream, b"y", 4) for stream in range(8)]
    assert bench.commit(*batch) == list(range(33, 41))
    bench.stored()
