"""Invalid input: it is refused, with the field and a remedy, and alone."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, cast
from uuid import UUID

import anyio
import anyio.lowlevel
import msgspec
import pytest

from aura_contracts.errors import (
    AuraError,
    EventTooLarge,
    InvalidId,
    InvalidInput,
    InvalidText,
    NaiveDatetime,
    UnknownEventType,
)
from aura_contracts.events import Append, Fact, Snapshot
from aura_contracts.ids import TaskId
from aura_contracts.ports import EventLog
from aura_contracts.task import TaskCreated, TaskQueued, TaskSpec
from aura_store.testing.log_conformance.fixtures import StoreFixtures
from aura_store.testing.log_conformance.samples import (
    NOW,
    Unheard,
    append,
    everything,
    fact,
    refusal_of,
    stream_id,
    titles,
    together,
)

NAIVE = NOW.replace(tzinfo=None)
ENDLESS: dict[str, Any] = {}
ENDLESS["again"] = ENDLESS


def _created(**fields: Any) -> TaskCreated:
    return TaskCreated(task_id=TaskId(stream_id(1)), spec=TaskSpec(**{"title": "x", **fields}))


def _with_context(value: Any) -> Append:
    return append(1, 0, _created(context={"deep": [{"value": value}]}))


def _with_key(key: Any) -> Append:
    return append(1, 0, _created(context={"deep": [{key: 1}]}))


def _with_fact(**fields: Any) -> Append:
    return Append(stream_id(1), 0, (msgspec.structs.replace(fact("x"), **fields),))


REFUSED: dict[str, tuple[Any, type[AuraError], str]] = {
    "naive time": (_with_fact(time=NAIVE), NaiveDatetime, "time"),
    "naive time inside": (_with_context(NAIVE), NaiveDatetime, "context"),
    "naive time inside, with fractions": (_with_context(NAIVE.replace(microsecond=0)), NaiveDatetime, "context"),
    "time that UTC does not have": (
        _with_fact(time=datetime.max.replace(tzinfo=timezone(timedelta(hours=-8)))),
        InvalidInput,
        "time",
    ),
    "time that is a string": (_with_fact(time="2026-01-04"), InvalidInput, "time"),
    "NUL": (append(1, 0, "a\0b"), InvalidText, "title"),
    "NUL inside": (_with_context("a\0b"), InvalidText, "context"),
    "NUL in a key": (_with_key("a\0b"), InvalidText, "context"),
    "NUL in an actor": (_with_fact(actor="human:\0"), InvalidText, "actor"),
    "half a surrogate pair": (append(1, 0, "a\ud800b"), InvalidText, "title"),
    "half a surrogate pair inside": (_with_context("\udfff"), InvalidText, "context"),
    "half a surrogate pair in a key": (_with_key("\ud800"), InvalidText, "context"),
    "half a surrogate pair in an id": (_with_fact(causation_id="\ud800"), InvalidText, "causation_id"),
    "number for a string": (append(1, 0, _created(title=7)), InvalidInput, "title"),
    "string for a number": (
        append(1, 0, _created(retry=msgspec.structs.replace(_created().spec.retry, max_attempts="3"))),
        InvalidInput,
        "retry.max_attempts",
    ),
    "word that is not in the list": (append(1, 0, _created(priority="soon")), InvalidInput, "priority"),
    "None for a string": (append(1, 0, _created(title=None)), InvalidInput, "title"),
    "None for an id": (_with_fact(correlation_id=None), InvalidInput, "correlation_id"),
    "object that is not JSON": (_with_context(object()), InvalidInput, "task.created"),
    "value that holds itself": (append(1, 0, _created(context=ENDLESS)), InvalidInput, "task.created"),
    "not a number": (_with_context(float("nan")), InvalidInput, "context"),
    "infinite number": (_with_context(float("inf")), InvalidInput, "context"),
    "number of ten thousand digits": (_with_context(10**10_000), InvalidInput, "task.created"),
    "event of another catalogue": (append(1, 0, Unheard(text="x")), UnknownEventType, "conformance.unheard"),
    "event of 10 MB": (append(1, 0, "x" * 10_000_000), EventTooLarge, "task.edited"),
    "event of 10 MB in a context": (_with_context(["x" * 1000] * 10_000), EventTooLarge, "task.created"),
    "event without its circumstances": (Append(stream_id(1), 0, (cast("Fact", TaskQueued()),)), InvalidInput, "facts"),
    "facts that are None": (Append(stream_id(1), 0, cast("tuple[Fact, ...]", None)), InvalidInput, "facts"),
    "stream id in upper case": (Append(stream_id(0xABC).upper(), 0, (fact("x"),)), InvalidId, "stream_id"),
    "stream id without hyphens": (Append(stream_id(1).replace("-", ""), 0, (fact("x"),)), InvalidId, "stream_id"),
    "stream id that is a word": (Append("task-1", 0, (fact("x"),)), InvalidId, "stream_id"),
    "stream id with a suffix": (Append(stream_id(1) + "\n", 0, (fact("x"),)), InvalidId, "stream_id"),
    "stream id that is not a string": (Append(cast("str", UUID(int=1)), 0, (fact("x"),)), InvalidId, "stream_id"),
    "expected version below 0": (append(1, -1, "x"), InvalidInput, "expected_version"),
    "expected version that is a string": (append(1, cast("int", "0"), "x"), InvalidInput, "expected_version"),
    "expected version None": (append(1, cast("int", None), "x"), InvalidInput, "expected_version"),
    "no facts": (append(1, 0), InvalidInput, "appends"),
    "something else": (fact("x"), InvalidInput, "appends"),
}
"""The appends, the error that refuses them, and the field that it names."""


class RefusalConformance(StoreFixtures):
    """What is refused."""

    async def test_what_cannot_be_stored_is_refused(self, log: EventLog) -> None:
        for case, (bad, kind, field) in REFUSED.items():
            for appends in ([bad], [append(2, 0, "good"), bad], [bad, append(2, 0, "good")]):
                if case == "no facts" and len(appends) > 1:
                    continue  # it only asserts a version then
                refusal = await refusal_of(log, *appends)
                assert type(refusal) is kind, case
                assert field in (refusal.field if isinstance(refusal, InvalidInput) else str(refusal)), case
                assert refusal.remedy, case
                assert len(str(refusal).encode()) < 2000, case
            assert await log.head() == 0, case
        assert await log.append(append(1, 0, "the log still works")) == 1

    async def test_an_append_of_nothing_is_refused(self, log: EventLog) -> None:
        with pytest.raises(InvalidInput) as caught:
            await log.append()
        assert caught.value.field == "appends"

    async def test_bad_input_fails_alone(self, log: EventLog) -> None:
        bad = [bad for bad, _, _ in REFUSED.values()]
        good = [append(100 + number, 0, "good") for number in range(len(bad))]
        outcomes = await together(log, [[one] for pair in zip(good, bad, strict=True) for one in pair])
        assert [isinstance(outcome, int) for outcome in outcomes] == [True, False] * len(bad)
        assert titles(await everything(log)) == ["good"] * len(good)

    async def test_questions_that_make_no_sense_are_refused(self, log: EventLog) -> None:
        await log.append(append(1, 0, "a", "b"))
        numbers = (-1, 2**63, 1.5, "1")
        calls: list[tuple[str, Callable[[], Any]]] = []
        for bad in cast("tuple[Any, ...]", numbers):
            calls += [
                ("after", partial(log.page, bad)),
                ("after", partial(log.sealed_page, bad)),
                ("after", partial(log.wait, bad)),
                ("after", partial(log.stream, stream_id(1), after=bad)),
                ("upto", partial(log.stream, stream_id(1), upto=bad)),
                ("upto", partial(log.facts, stream_id(1), upto=bad)),
                ("upto", partial(log.sealed_stream, stream_id(1), upto=bad)),
                ("version", partial(log.save_snapshot, Snapshot(stream_id(1), bad, "", b""))),
                ("position", partial(log.save_cursor, "audit", bad)),
                ("limit", partial(log.page, limit=bad)),
                ("limit", partial(log.sealed_page, limit=bad)),
            ]
        calls += [("limit", lambda: log.page(limit=0)), ("limit", lambda: log.sealed_page(limit=0))]
        for bad in cast("tuple[Any, ...]", ("task-1", stream_id(0xABC).upper(), "\ud800", UUID(int=1))):
            calls += [
                ("stream_id", partial(log.stream, bad)),
                ("stream_id", partial(log.facts, bad)),
                ("stream_id", partial(log.sealed_stream, bad)),
                ("stream_id", partial(log.page, stream_id=bad)),
                ("stream_id", partial(log.load_snapshot, bad)),
                ("stream_id", partial(log.save_snapshot, Snapshot(bad, 1, "", b""))),
            ]
        calls += [("topics", lambda: log.page(topics="task.edited")), ("topics", lambda: log.page(topics=["\ud800"]))]
        calls += [("topics", lambda: log.page(topics=["task.creatd"])), ("topics", lambda: log.page(topics=["tsk.*"]))]
        for field, call in calls:
            with anyio.fail_after(self.patience), pytest.raises(InvalidInput) as caught:
                await call()
            assert caught.value.field == field
            assert caught.value.remedy
        assert await log.head() == 2
