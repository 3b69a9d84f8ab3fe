"""Group commit: who shares a transaction with whom, and what becomes of those who leave.

The committer is a gate: it says when it has taken a batch, and goes on when it is told to.
"""

import queue
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.lowlevel
import anyio.to_thread
import attrs
import pytest

from aura_contracts.errors import AuraError, StoreUnavailable, VersionConflict
from aura_store.log._group_commit import BATCH_LIMIT, CommitOutcome, EncodedCommand, GroupCommit
from aura_store.log._recorder import DatabaseAway
from aura_store.log._seal import EncodedAppend

pytestmark = pytest.mark.anyio

HANG = 60
"""Seconds after which a test is called hanging."""

AWAY = DatabaseAway("gone")
Step = Callable[[list[str]], Sequence[CommitOutcome]]


class Gate:
    """A committer whose commits last until `let` says how they end. Positions count the commands."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.decided: list[str] = []
        self._taken: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
        self._ends: queue.SimpleQueue[BaseException | Step | None] = queue.SimpleQueue()
        self.open = False

    def commit(self, commands: Sequence[EncodedCommand]) -> Sequence[CommitOutcome]:
        names = [command[0].stream_id for command in commands]
        self.batches.append(names)
        self._taken.put(names)
        end = None if self.open else self._ends.get(timeout=HANG)
        if isinstance(end, BaseException):
            raise end
        if end is not None:
            return end(names)
        self.decided += names
        return range(len(self.decided) - len(names) + 1, len(self.decided) + 1)

    async def taken(self) -> list[str]:
        """Wait until the next batch is being committed; return what is in it."""
        return await anyio.to_thread.run_sync(lambda: self._taken.get(timeout=HANG))

    def let(self, end: BaseException | Step | None = None) -> None:
        """Let one commit end: well, with an error, or with outcomes of one's own."""
        self._ends.put(end)


@attrs.define
class Patience:
    """Gives up after so many attempts; remembers for how many pauses it was asked."""

    attempts: int = 1000
    pauses: list[int] = attrs.field(factory=list)

    def pause(self, attempt: int) -> float:
        self.pauses.append(attempt)
        return 0

    def give_up(self, waited: float, away: DatabaseAway, attempts: int) -> AuraError | None:
        if attempts < self.attempts:
            return None
        return StoreUnavailable(store="gate", reason=str(away), waited=waited, attempts=attempts)


@attrs.define
class Callers:
    """Starts appends as tasks, each in a scope of its own, and keeps what they were told."""

    commits: GroupCommit
    tasks: anyio.abc.TaskGroup
    told: dict[str, CommitOutcome] = attrs.field(factory=dict)
    scopes: dict[str, anyio.CancelScope] = attrs.field(factory=dict)

    async def submit(self, *names: str) -> None:
        """Start these, one after the other; return when all of them wait."""
        for name in names:
            self.scopes[name] = anyio.CancelScope()
            await self.tasks.start(self._one, name)
        await anyio.lowlevel.checkpoint()

    async def _one(self, name: str, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with self.scopes[name]:
            task_status.started()
            self.told[name] = await self.commits.submit([EncodedAppend(name, 0, [("x@1", b"")])])


@asynccontextmanager
async def calling(gate: Gate, patience: Patience | None = None):
    commits = GroupCommit(gate, patience or Patience())
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as tasks:
            yield Callers(commits, tasks)
        await commits.aclose()


async def test_who_comes_while_a_commit_is_under_way_shares_the_next() -> None:
    gate = Gate()
    async with calling(gate) as callers:
        await callers.submit("a")
        assert await gate.taken() == ["a"]
        await callers.submit("b", "c", "d")
        gate.let()
        assert await gate.taken() == ["b", "c", "d"]
        await callers.submit("e")
        gate.let()
        assert await gate.taken() == ["e"]
        gate.let()
    assert callers.told == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert gate.batches == [["a"], ["b", "c", "d"], ["e"]]


async def test_whom_one_commit_wakes_share_the_next() -> None:
    gate, rounds = Gate(), 5

    async with calling(gate) as callers:

        async def append_again_and_again(name: str) -> None:
            for number in range(rounds):
                await callers.commits.submit([EncodedAppend(f"{name}{number}", 0, [("x@1", b"")])])

        await callers.submit("first")
        await gate.taken()
        for name in "abcd":
            callers.tasks.start_soon(append_again_and_again, name)
        await anyio.lowlevel.checkpoint()
        gate.open = True
        gate.let()
    expected = [[f"{name}{number}" for name in "abcd"] for number in range(rounds)]
    assert [sorted(batch) for batch in gate.batches[1:]] == expected


async def test_a_batch_has_a_limit_and_the_order_stays() -> None:
    gate = Gate()
    names = [str(number) for number in range(2 * BATCH_LIMIT + 10)]
    async with calling(gate) as callers:
        await callers.submit("first")
        await gate.taken()
        await callers.submit(*names)
        gate.open = True
        gate.let()
    assert [len(batch) for batch in gate.batches] == [1, BATCH_LIMIT, BATCH_LIMIT, 10]
    assert gate.decided == ["first", *names]


async def test_who_leaves_before_the_commit_begins_is_not_in_it() -> None:
    gate = Gate()
    async with calling(gate) as callers:
        await callers.submit("a")
        await gate.taken()
        await callers.submit("b", "c", "d")
        for name in ("b", "d"):
            callers.scopes[name].cancel()
        await callers.submit("e")
        gate.let()
        assert await gate.taken() == ["c", "e"]
        gate.let()
    assert callers.told == {"a": 1, "c": 2, "e": 3}


async def test_who_leaves_during_the_commit_is_carried_to_the_end() -> None:
    gate = Gate()
    async with calling(gate) as callers:
        await callers.submit("a")
        await gate.taken()
        callers.scopes["a"].cancel()
        await callers.submit("b")
        gate.let()
        assert await gate.taken() == ["b"]
        gate.let()
    assert gate.decided == ["a", "b"]
    assert callers.told == {"b": 2}


async def test_everybody_leaves_and_the_next_is_served() -> None:
    gate = Gate()
    async with calling(gate) as callers:
        for stage in range(5):
            await callers.submit(*(f"{stage} {number}" for number in range(10)))
            for scope in callers.scopes.values():
                scope.cancel()
            await anyio.lowlevel.checkpoint()
        gate.open = True
        gate.let()
        await callers.submit("last")
    assert "last" in callers.told
    assert len(gate.decided) == len(set(gate.decided))


@pytest.mark.parametrize("seed", range(10))
async def test_a_storm_of_cancellations(seed: int) -> None:
    """Whoever is told something was decided once; whoever stays is told; whoever leaves was decided once or never."""
    dice = random.Random(seed)
    gate = Gate()
    gate.open = True
    async with calling(gate) as callers:
        for number in range(200):
            await callers.submit(str(number))
            if dice.random() < 0.5:
                callers.scopes[str(dice.randrange(number + 1))].cancel()
            for _ in range(dice.randrange(3)):
                await anyio.lowlevel.checkpoint()
    assert len(gate.decided) == len(set(gate.decided))
    stayed = {name for name, scope in callers.scopes.items() if not scope.cancel_called}
    assert stayed <= set(callers.told) <= set(gate.decided)
    assert all(gate.decided[position - 1] == name for name, position in callers.told.items())


async def test_each_is_told_its_own_outcome() -> None:
    gate = Gate()
    conflict = VersionConflict(stream_id="b", expected=1, actual=2)
    async with calling(gate) as callers:
        await callers.submit("first")
        await gate.taken()
        await callers.submit("a", "b", "c")
        gate.let()
        await gate.taken()
        gate.let(lambda _: [7, conflict, 8])
    assert callers.told == {"first": 1, "a": 7, "b": conflict, "c": 8}


@pytest.mark.parametrize("wrong", [ZeroDivisionError("a bug"), MemoryError(), KeyboardInterrupt(), lambda _: [7]])
async def test_a_failing_commit_is_told_to_its_callers_and_the_next_is_served(
    wrong: BaseException | Callable[[list[str]], list[int]],
) -> None:
    """One that leaves an outcome out has failed, too."""
    gate = Gate()
    async with calling(gate) as callers:
        await callers.submit("first")
        await gate.taken()
        await callers.submit("a", "b")
        gate.let()
        await gate.taken()
        await callers.submit("c")
        gate.let(wrong)
        assert await gate.taken() == ["c"]
        gate.let()
    told = [callers.told[name] for name in ("a", "b")]
    assert all(one is wrong for one in told) or (callable(wrong) and all(isinstance(one, ValueError) for one in told))
    assert (callers.told["first"], callers.told["c"]) == (1, 2)


async def test_when_the_database_is_away_it_is_tried_again_with_the_same_commands() -> None:
    gate, patience = Gate(), Patience()
    async with calling(gate, patience) as callers:
        await callers.submit("a")
        await gate.taken()
        await callers.submit("b", "c")
        for _ in range(3):
            gate.let(AWAY)
            assert await gate.taken() == ["a"]
        gate.let()
        assert await gate.taken() == ["b", "c"]
        gate.let(AWAY)
        await gate.taken()
        gate.let()
    assert patience.pauses == [1, 2, 3, 1]
    assert callers.told == {"a": 1, "b": 2, "c": 3}


async def test_who_has_waited_long_enough_is_told_and_the_next_is_tried() -> None:
    gate = Gate()
    async with calling(gate, Patience(attempts=3)) as callers:
        await callers.submit("a")
        await gate.taken()
        await callers.submit("b")
        for _ in range(3):
            gate.let(AWAY)
            await gate.taken()
        gate.let()
    assert gate.batches == [["a"], ["a"], ["a"], ["b"]]
    refusal = callers.told["a"]
    assert isinstance(refusal, StoreUnavailable)
    assert (refusal.attempts, refusal.reason) == (3, "gone")
    assert callers.told["b"] == 1


async def test_closing_decides_what_was_accepted_and_ends_the_thread() -> None:
    gate = Gate()
    commits = GroupCommit(gate, Patience())
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as tasks:
            callers = Callers(commits, tasks)
            await callers.submit("a")
            await gate.taken()
            await callers.submit("b", "c")
            gate.open = True
            gate.let()
            await commits.aclose()
            assert gate.decided == ["a", "b", "c"]
    assert callers.told == {"a": 1, "b": 2, "c": 3}
    assert not [thread for thread in threading.enumerate() if thread.name == "aura-commit"]


async def test_closing_what_was_never_used_is_nothing() -> None:
    commits = GroupCommit(Gate(), Patience())
    with anyio.fail_after(HANG):
        await commits.aclose()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # it starts loops of its own
async def test_a_loop_that_ends_without_closing_leaves_no_trouble() -> None:
    """The program was interrupted: nobody waits any more, and the thread must not raise."""
    failures: list[object] = []
    hook, threading.excepthook = threading.excepthook, failures.append
    try:
        for backend in ("asyncio", "trio"):
            await anyio.to_thread.run_sync(_run_and_leave, backend)
    finally:
        threading.excepthook = hook
    assert failures == []


def _run_and_leave(backend: str) -> None:
    gate = Gate()
    commits = GroupCommit(gate, Patience())

    async def leave() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                callers = Callers(commits, tasks)
                await callers.submit("a")
                await gate.taken()
                scope.cancel()

    anyio.run(leave, backend=backend)
    gate.let()
    with suppress(RuntimeError):
        anyio.run(commits.aclose, backend=backend)
    assert gate.decided == ["a"]


async def test_a_command_from_another_event_loop_is_refused() -> None:
    """Its caller could not be woken, and would wait for ever."""
    gate = Gate()
    async with calling(gate) as callers:
        await callers.submit("a")
        command = [EncodedAppend("b", 0, [("x@1", b"")])]
        with pytest.raises(RuntimeError, match="event loop"):
            await anyio.to_thread.run_sync(anyio.run, callers.commits.submit, command)
        gate.let()
    assert gate.decided == ["a"]
