"""The transport within a process keeps the contract of `Transport`, and what it passes cannot be changed from afar."""

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from aura_contracts.errors import DirtyWorktree, RemoteError, RemoteProtocolError, UnknownMethod
from aura_worker_protocol import TO_ENGINE, TO_WORKER, memory_pair
from aura_worker_protocol.codec import Call, Cancellation, Ignored, Notification, Refusal, Response, Unreadable
from aura_worker_protocol.messages import AppendOutput, Heartbeat, ListExecutors
from aura_worker_protocol.request import Result
from aura_worker_protocol.transport import MemoryCodec, unshared
from strategies import structs

REQUESTS = {**TO_WORKER, **TO_ENGINE}
CODEC = MemoryCodec(REQUESTS)

few = settings(max_examples=settings.default.max_examples // 5)  # of each method

every_request = pytest.mark.parametrize("kind", [pytest.param(kind, id=method) for method, kind in REQUESTS.items()])


# --- The transport ----------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_frames_arrive_whole_and_in_order_in_both_directions():
    one, other = memory_pair()
    for number in range(3):
        await one.send(Cancellation(number))
        await other.send(Cancellation(-number))
    assert [await other.receive() for _ in range(3)] == [Cancellation(0), Cancellation(1), Cancellation(2)]
    assert [await one.receive() for _ in range(3)] == [Cancellation(0), Cancellation(-1), Cancellation(-2)]
    await one.aclose()
    await other.aclose()


@pytest.mark.anyio
async def test_sending_waits_while_the_buffer_is_full():
    one, other = memory_pair(buffer=2)
    await one.send(Cancellation(1))
    await one.send(Cancellation(2))
    with anyio.move_on_after(0.01) as scope:
        await one.send(Cancellation(3))
    assert scope.cancelled_caught
    assert [await other.receive(), await other.receive()] == [Cancellation(1), Cancellation(2)]
    with anyio.move_on_after(0.01) as scope:
        await other.receive()
    assert scope.cancelled_caught
    await one.send(Cancellation(4))
    assert await other.receive() == Cancellation(4)
    await one.aclose()
    await other.aclose()


@pytest.mark.anyio
async def test_what_was_sent_before_closing_is_received_and_then_the_end():
    one, other = memory_pair()
    await one.send(Cancellation(1))
    await one.aclose()
    await one.aclose()
    assert await other.receive() == Cancellation(1)
    with pytest.raises(anyio.EndOfStream):
        await other.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await other.send(Cancellation(2))
    with pytest.raises(anyio.ClosedResourceError):
        await one.send(Cancellation(3))
    with pytest.raises(anyio.ClosedResourceError):
        await one.receive()
    await other.aclose()


# --- The codec --------------------------------------------------------------------------------------------------------


def types_in(described):
    """Yield every type that a value of this type can hold, once."""
    found, waiting = set(), [described]
    while waiting:
        described = waiting.pop()
        match described:
            case inspect.StructType(cls=kind) if kind not in found:
                found.add(kind)
                waiting += [field.type for field in described.fields]
            case inspect.UnionType(types=inner) | inspect.TupleType(item_types=inner):
                waiting += inner
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                waiting.append(item)
            case inspect.DictType(value_type=value):
                waiting.append(value)
        yield described


def mutable_in(value):
    """Return the dictionaries and lists in `value`, at any depth."""
    match value:
        case dict():
            return [value, *(found for inner in value.values() for found in mutable_in(inner))]
        case list():
            return [value, *(found for inner in value for found in mutable_in(inner))]
        case tuple():
            return [found for inner in value for found in mutable_in(inner)]
        case msgspec.Struct():
            return [found for name in value.__struct_fields__ for found in mutable_in(getattr(value, name))]
    return []


@every_request
def test_messages_are_frozen_and_hold_nothing_that_cannot_be_copied(kind):
    for message in (kind, kind.result):
        for described in types_in(inspect.type_info(message)):
            assert not isinstance(described, inspect.CustomType | inspect.SetType | inspect.ByteArrayType)
            if isinstance(described, inspect.StructType):
                assert described.cls.__struct_config__.frozen, described.cls


@pytest.mark.deep_but_first
@every_request
@few
@given(data=st.data())
def test_what_arrives_is_equal_and_cannot_be_changed_from_the_other_side(kind, data):
    for sent in (data.draw(structs(kind)), data.draw(structs(kind.result))):
        received = unshared(sent)
        assert msgspec.to_builtins(received) == msgspec.to_builtins(sent)
        assert not {id(one) for one in mutable_in(received)} & {id(one) for one in mutable_in(sent)}


def test_output_is_shared_not_copied():
    request = AppendOutput(execution_id="e", epoch=1, token="t", first=1, chunks=())
    assert CODEC.request(1, request).request.chunks is request.chunks
    assert unshared(Heartbeat()) == Heartbeat()


def test_messages_pass_as_they_are():
    assert CODEC.decode(CODEC.request(1, ListExecutors())) == Call(1, ListExecutors())
    assert CODEC.decode(CODEC.notification(Heartbeat())) == Notification(Heartbeat())
    assert CODEC.decode(CODEC.cancellation(1)) == Cancellation(1)
    assert CODEC.decode(CODEC.answer(1, Result())) == Response(1, Result())


def test_a_method_that_the_other_side_does_not_have_is_refused():
    worker = MemoryCodec(TO_WORKER)
    unreadable = worker.decode(CODEC.request(1, Heartbeat()))
    assert isinstance(unreadable, Unreadable)
    assert unreadable.id == 1
    assert isinstance(unreadable.error, UnknownMethod)
    assert isinstance(worker.decode(CODEC.notification(Heartbeat())), Ignored)


def test_an_answer_of_another_type_is_refused():
    with pytest.raises(RemoteProtocolError, match=r"executors\.list"):
        CODEC.result(ListExecutors(), Result())


def test_an_error_arrives_as_over_a_wire():
    error = DirtyWorktree(repository="r", worktree="w", paths=("caf\udce9",))
    refusal = CODEC.refusal(1, error)
    assert isinstance(refusal, Refusal)
    assert refusal.error is not error
    assert isinstance(refusal.error, DirtyWorktree)
    assert refusal.error.paths == ("caf\\xe9",)
    assert isinstance(CODEC.refusal(1, KeyError("x")).error, RemoteError)
