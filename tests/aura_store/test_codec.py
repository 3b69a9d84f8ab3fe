"""The codec: what goes in comes out, old versions come out new, and whatever cannot come out does not go in."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.cryptography import AESCipher
from eventsourcing.utils import Environment
from hypothesis import assume, given
from hypothesis import strategies as st

import strategies
from aura_contracts.catalogue import AGGREGATES, CATALOGUE, EventCatalogue
from aura_contracts.errors import (
    EventTooLarge,
    InvalidInput,
    LogDamaged,
    NaiveDatetime,
    NewerEventVersion,
    UndecodableEvent,
    UnknownEventType,
)
from aura_contracts.events import Event, Fact, Instant
from aura_contracts.ids import TaskId
from aura_contracts.lease import LeaseGranted, WorkerIdentity
from aura_contracts.task import TaskCreated, TaskSpec
from aura_store.log._codec import FactCodec, to_utc
from aura_store.log._zstd import ZstdCompressor
from aura_store.testing.log_conformance import ALICE, NOW, as_fact, fact, stream_id

STREAM = stream_id(1)
CIPHER = AESCipher(Environment(env={"CIPHER_KEY": base64.b64encode(bytes(32)).decode()}))

CODECS = {
    "plain": FactCodec(CATALOGUE),
    "zlib": FactCodec(CATALOGUE, compressor=ZlibCompressor()),
    "zstd": FactCodec(CATALOGUE, compressor=ZstdCompressor()),
    "encrypted": FactCodec(CATALOGUE, cipher=CIPHER),
    "both": FactCodec(CATALOGUE, compressor=ZlibCompressor(), cipher=CIPHER),
}
codecs = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())


# --- There and back ---------------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
@codecs
@given(facts=st.lists(st.one_of(*map(strategies.facts, AGGREGATES)), min_size=1, max_size=4))
def test_every_event_comes_back_as_it_was(codec: FactCodec, facts: list[Fact]) -> None:
    stored: list[tuple[Fact, str, bytes]] = []
    for one in facts:
        try:
            stored.append((to_utc(one), *codec.encode(STREAM, to_utc(one))))
        except InvalidInput as refusal:
            assert "number" in str(refusal)  # noqa: PT017 - infinities and NaN are all that the strategies overdo
    assume(stored)
    rows = [(at, STREAM, at, name, state) for at, (_, name, state) in enumerate(stored, 1)]
    assert [as_fact(record) for record in codec.records(rows)] == [one for one, _, _ in stored]
    replayed = codec.facts([row[2:] for row in rows])
    assert replayed is not None
    assert [(f.event, f.time, f.actor) for f in replayed] == [(f.event, f.time, f.actor) for f, _, _ in stored]
    for (one, _, _), row in zip(stored, rows, strict=True):
        assert codec.decode(1, STREAM, row[3], row[4]).event == one.event


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_in_json_is_named_where_none_is_not_allowed_either(number: float) -> None:
    names = {"lease_id": STREAM, "execution_id": STREAM, "worker_id": STREAM}
    granted = LeaseGranted(**names, identity=WorkerIdentity(host="h", instance="i"), epoch=1, grace=number)
    with pytest.raises(InvalidInput, match=rf"lease.granted@1 event.grace: {number} is not a number in JSON"):
        CODECS["plain"].encode(STREAM, fact(granted))


def test_what_is_stored_is_json_that_any_tool_reads() -> None:
    name, state = CODECS["plain"].encode(STREAM, fact("ü", cause="why"))
    assert name == "task.edited@1"
    event, *circumstances = json.loads(state)
    assert event["changes"]["title"] == "ü"
    assert circumstances == ["2026-01-04T12:00:00.123456Z", "human:alice", "talk", "why"]


def test_encrypted_is_not_readable_and_never_twice_the_same() -> None:
    one, two = (CODECS["both"].encode(STREAM, fact("secret" * 9))[1] for _ in range(2))
    assert one != two
    assert b"secret" not in one


@given(time=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-8)), timezone(timedelta(hours=9))])))
def test_times_are_stored_in_utc(time: datetime) -> None:
    try:
        stored = to_utc(fact("x", time=time))
    except InvalidInput as refusal:
        assert time.year in (1, 9999)
        assert refusal.field == "time"  # noqa: PT017
    else:
        assert stored.time == time
        assert stored.time.tzinfo is UTC


# --- What cannot be stored --------------------------------------------------------------------------------------------


class Meeting(Event, frozen=True, kw_only=True):
    """Times at every depth, some of which insist on a zone, and some of which do not."""

    topic = "test.meeting"
    at: Instant | None = None
    loose: datetime | None = None
    many: tuple[datetime, ...] = ()
    by_name: dict[str, Instant] = {}
    anything: dict[str, Any] = {}
    share: float | None = None


MEETINGS = FactCodec(CATALOGUE.extended([Meeting]))
NAIVE = NOW.replace(tzinfo=None)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (Meeting(at=NAIVE), "at"),
        (Meeting(loose=NAIVE), "loose"),
        (Meeting(many=(NOW, NAIVE)), "many[1]"),
        (Meeting(by_name={"x": NAIVE}), "by_name"),
        (Meeting(anything={"x": [{"y": (NAIVE,)}]}), "anything"),
        (Meeting(anything={"x": {NAIVE: 1}}), "anything"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_naive_time_is_refused_at_any_depth(event: Event, field: str) -> None:
    with pytest.raises(NaiveDatetime) as caught:
        MEETINGS.encode(STREAM, fact(event))
    assert field in caught.value.field


def test_a_text_that_looks_like_a_naive_time_is_a_text() -> None:
    event = Meeting(anything={"x": "2026-01-04T12:00:00", "2026-01-04T12:00:00": NOW.isoformat()}, at=NOW)
    name, state = MEETINGS.encode(STREAM, fact(event))
    assert MEETINGS.decode(1, STREAM, name, state).event == event


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_lacks_does_not_become_none(number: float) -> None:
    for event in (Meeting(share=number), Meeting(anything={"x": [number]})):
        with pytest.raises(InvalidInput) as caught:
            MEETINGS.encode(STREAM, fact(event))
        assert "event." in caught.value.field
        assert str(number) in caught.value.reason


def test_an_event_may_be_as_large_as_the_limit_and_no_larger() -> None:
    codec = FactCodec(CATALOGUE, event_limit=1000, compressor=ZlibCompressor())
    room = 1000 - len(FactCodec(CATALOGUE).encode(STREAM, fact("x" * 9))[1]) + 9
    codec.encode(STREAM, fact("x" * room))
    with pytest.raises(EventTooLarge) as caught:
        codec.encode(STREAM, fact("x" * (room + 1)))
    assert (caught.value.size, caught.value.limit, caught.value.stream_id) == (1001, 1000, STREAM)


# --- Old versions -----------------------------------------------------------------------------------------------------


class Named(Event, frozen=True, kw_only=True):
    """Version 1 had ``name``; version 2 split it; version 3 counts."""

    topic = "test.named"
    version = 3
    first: str
    last: str
    letters: int


def split_name(fields: dict[str, Any]) -> dict[str, Any]:
    first, last = fields.pop("name").split(" ")
    return {**fields, "first": first, "last": last}


def count_letters(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "letters": len(fields["first"] + fields["last"])}


NAMED = EventCatalogue({}).extended([Named], {("test.named", 1): split_name, ("test.named", 2): count_letters})
HISTORY = [
    ("test.named@1", {"name": "Ada Lovelace"}),
    ("test.named@2", {"first": "Ada", "last": "Lovelace"}),
    ("test.named@3", {"first": "Ada", "last": "Lovelace", "letters": 11}),
]


def stored_as(fields: Any) -> bytes:
    return msgspec.json.encode([fields, "2026-01-04T12:00:00Z", ALICE, "talk", "cause"])


@pytest.mark.parametrize("packed", [False, True])
def test_old_versions_are_read_as_the_newest(packed: bool) -> None:
    codec = FactCodec(NAMED, compressor=ZlibCompressor(), cipher=CIPHER) if packed else FactCodec(NAMED)
    rows = [(n, STREAM, n, name, codec.pack(stored_as(old))) for n, (name, old) in enumerate(HISTORY, 1)]
    newest = Named(first="Ada", last="Lovelace", letters=11)
    for _ in range(2):  # the second time the way up is known
        assert [record.event for record in codec.records(rows)] == [newest] * 3
        assert [record.version for record in codec.records(rows)] == [1, 2, 3]
    assert codec.encode(STREAM, fact(newest))[0] == "test.named@3"


def test_a_topic_is_looked_for_in_all_its_versions() -> None:
    codec = FactCodec(NAMED.extended([Meeting]))
    assert codec.label_prefixes(["test.named", "test.meeting"]) == ("test.named@", "test.meeting@")
    assert codec.label_prefixes(["test.*"]) == ("test.",)
    assert codec.label_prefixes([]) == ()


@pytest.mark.parametrize("topics", ["task.created", ["task.*d"], ["*"], ["task.created@1"], [""], ["task%"], [7]])
def test_what_is_no_topic_is_refused(topics: object) -> None:
    with pytest.raises(InvalidInput) as refusal:
        FactCodec(NAMED).label_prefixes(topics)  # type: ignore[arg-type]
    assert refusal.value.field == "topics"


@pytest.mark.parametrize(("topic", "meant"), [("test.namd", "test.named"), ("tset.*", "task.created")])
def test_a_topic_that_no_event_has_is_refused_because_it_would_be_waited_for_forever(topic: str, meant: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        FactCodec(NAMED).label_prefixes([topic])
    assert meant in refusal.value.remedy


def test_a_newer_version_says_what_to_upgrade() -> None:
    with pytest.raises(NewerEventVersion) as caught:
        FactCodec(NAMED).records([(7, STREAM, 2, "test.named@4", stored_as({}))])
    assert (caught.value.known, caught.value.found, caught.value.topic) == (3, 4, "test.named")
    assert (caught.value.position, caught.value.stream_id) == (7, STREAM)
    assert "upgrade" in caught.value.remedy


@pytest.mark.parametrize("name", ["test.unheard@1", "test.named", "test.named@0", "test.named@-1", "test.named@x", ""])
def test_an_unknown_label_is_named(name: str) -> None:
    with pytest.raises(UnknownEventType) as caught:
        FactCodec(NAMED).records([(7, STREAM, 2, name, stored_as({}))])
    assert (caught.value.position, caught.value.stream_id) == (7, STREAM)
    assert repr(name) in str(caught.value)


# --- Damaged bytes ----------------------------------------------------------------------------------------------------


@codecs
@given(st.binary(max_size=60))
def test_bytes_that_are_no_event_are_damage_with_a_place(codec: FactCodec, state: bytes) -> None:
    with pytest.raises(UndecodableEvent) as caught:
        codec.records([(7, STREAM, 2, "task.edited@1", state)])
    assert (caught.value.position, caught.value.stream_id, caught.value.topic) == (7, STREAM, "task.edited@1")
    assert caught.value.remedy
    assert codec.facts([(1, "task.edited@1", state)]) is None


@codecs
@given(data=st.data())
def test_an_event_with_a_changed_byte_is_another_event_or_damage(codec: FactCodec, data: st.DataObject) -> None:
    name, state = codec.encode(STREAM, fact("some text that is long enough to be compressed, aaaaaaaaaaaaaaaa"))
    at = data.draw(st.integers(0, len(state) - 1))
    changed = state[:at] + bytes([state[at] ^ data.draw(st.integers(1, 255))]) + state[at + 1 :]
    try:
        codec.records([(7, STREAM, 2, name, changed)])
    except LogDamaged as damage:
        assert damage.position == 7  # noqa: PT017


@given(fields=strategies.json_values())
def test_old_fields_that_were_never_written_are_damage(fields: Any) -> None:
    try:
        FactCodec(NAMED).records([(7, STREAM, 2, "test.named@1", stored_as(fields))])
    except UndecodableEvent as damage:
        assert damage.position == 7  # noqa: PT017
    else:
        assert isinstance(fields, dict)
        assert "name" in fields


def test_the_wrong_key_reads_nothing() -> None:
    other = FactCodec(
        CATALOGUE, cipher=AESCipher(Environment(env={"CIPHER_KEY": base64.b64encode(bytes(31) + b"x").decode()}))
    )
    name, state = CODECS["encrypted"].encode(STREAM, fact("x"))
    with pytest.raises(UndecodableEvent):
        other.records([(1, STREAM, 1, name, state)])


@pytest.mark.parametrize(
    ("context", "place"),
    [
        ({1: "x"}, "event.spec.context"),
        ({"a": {"1": 1, 1: 2}}, "event.spec.context['a']"),
        ({"a": b"bytes"}, "event.spec.context['a']"),
        ({"a": [{1, 2}]}, "event.spec.context['a'][0]"),
        ({"a": NOW}, "event.spec.context['a']"),
    ],
)
def test_what_would_come_back_as_something_else_does_not_go_in(context: dict[Any, Any], place: str) -> None:
    event = TaskCreated(task_id=TaskId(STREAM), spec=TaskSpec(title="T", context=context))
    with pytest.raises(InvalidInput, match="would be read back as") as refusal:
        FactCodec(CATALOGUE).encode(STREAM, fact(event))
    assert refusal.value.field == f"task.created@1 {place}"


def test_a_tuple_may_come_back_as_a_list() -> None:
    event = TaskCreated(task_id=TaskId(STREAM), spec=TaskSpec(title="T", context={"a": (1, ("x",))}))
    name, state = FactCodec(CATALOGUE).encode(STREAM, fact(event))
    assert FactCodec(CATALOGUE).decode(1, STREAM, name, state).event.spec.context == {"a": [1, ["x"]]}
