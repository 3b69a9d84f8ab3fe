"""JSON codec: what was sent is what is received, whatever it is; and whatever is received, nothing breaks."""

from datetime import UTC, datetime
from math import isfinite

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aura_contracts.errors import FrameTooLarge, LocalProtocolError, RemoteProtocolError, UnknownMethod
from aura_contracts.output import Chunk, OutputSource
from aura_worker_protocol import TO_ENGINE, TO_WORKER
from aura_worker_protocol.codec import Call, Cancellation, Ignored, Notification, Refusal, Response, Unreadable
from aura_worker_protocol.frames import INVALID_PARAMS, METHOD_NOT_FOUND, PARSE_ERROR
from aura_worker_protocol.json_codec import JsonCodec
from aura_worker_protocol.messages import AppendOutput, Heartbeat, ListExecutors, OutputAccepted, StartProcess
from strategies import structs

REQUESTS = {**TO_WORKER, **TO_ENGINE}
CODEC = JsonCodec(REQUESTS)
EXECUTION = "0192f0c1-2d3e-7abc-8def-000000000001"
NOW = datetime(2026, 1, 4, 12, 30, tzinfo=UTC)

few = settings(max_examples=settings.default.max_examples // 5)  # of each method

every_request = pytest.mark.parametrize("kind", [pytest.param(kind, id=method) for method, kind in REQUESTS.items()])


def require_finite(value):
    """Skip what JSON has no number for."""
    if isinstance(value, float):
        assume(isfinite(value))
    elif isinstance(value, dict):
        for inner in value.values():
            require_finite(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            require_finite(inner)


@every_request
@few
@given(data=st.data())
def test_a_request_arrives_as_it_was_sent(kind, data):
    request = data.draw(structs(kind))
    require_finite(msgspec.to_builtins(request))
    assert CODEC.decode(CODEC.request(5, request)) == Call(5, request)
    assert CODEC.decode(CODEC.notification(request)) == Notification(request)


@pytest.mark.deep_but_first
@every_request
@few
@given(data=st.data())
def test_an_answer_arrives_as_it_was_sent(kind, data):
    result = data.draw(structs(kind.result))
    require_finite(msgspec.to_builtins(result))
    request = data.draw(structs(kind))
    answered = CODEC.decode(CODEC.answer("a", result))
    assert isinstance(answered, Response)
    assert CODEC.result(request, answered.result) == result


def test_methods_are_named_once():
    assert len(REQUESTS) == len(TO_WORKER) + len(TO_ENGINE)
    for method, kind in REQUESTS.items():
        assert kind.method == method


@pytest.mark.parametrize(
    ("frame", "number"),
    [
        (b"", PARSE_ERROR),
        (b"{", PARSE_ERROR),
        (b"\xff\xfe", PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', PARSE_ERROR),
        (b"[" * 100_000, PARSE_ERROR),
        (b"null", None),
        (b"[]", None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"executors.list","params":{}}]', None),
        (b"{}", None),
        (b'{"jsonrpc":"1.0","id":1,"method":"executors.list"}', None),
        (b'{"jsonrpc":"2.0"}', None),
        (b'{"jsonrpc":"2.0","id":1}', None),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"executors.list"}', None),
        (b'{"jsonrpc":"2.0","id":true,"method":"executors.list"}', None),
        (b'{"jsonrpc":"2.0","id":null,"method":"executors.list"}', None),
        (b'{"jsonrpc":"2.0","id":null,"result":{}}', None),
        (b'{"jsonrpc":"2.0","result":{}}', None),
        (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}', None),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}', None),
    ],
)
def test_what_is_no_message_is_told_apart(frame, number):
    unreadable = CODEC.decode(frame)
    assert isinstance(unreadable, Unreadable)
    assert unreadable.id is None
    assert isinstance(unreadable.error, RemoteProtocolError)
    if number is not None and not frame.startswith(b"[["):
        assert unreadable.number == number


@pytest.mark.parametrize("params", ["[]", "7", '{"names": 3}', '{"names": ["\xff"]}'])
def test_wrong_parameters_are_refused_to_who_sent_them(params):
    frame = f'{{"jsonrpc":"2.0","id":3,"method":"executors.list","params":{params}}}'.encode("latin-1")
    unreadable = CODEC.decode(frame)
    assert isinstance(unreadable, Unreadable)
    assert (unreadable.id, unreadable.number) == (3, INVALID_PARAMS)
    assert "executors.list" in str(unreadable.error)


def test_parameters_may_be_left_out():
    assert CODEC.decode(b'{"jsonrpc":"2.0","id":3,"method":"executors.list"}') == Call(3, ListExecutors())


def test_an_unknown_method_is_refused_and_an_unknown_notification_ignored():
    unreadable = CODEC.decode(b'{"jsonrpc":"2.0","id":"x","method":"task.steal","params":[1]}')
    assert isinstance(unreadable, Unreadable)
    assert unreadable.id == "x"
    assert isinstance(unreadable.error, UnknownMethod)
    refused = CODEC.decode(CODEC.refusal("x", unreadable.error))
    assert b"%d" % METHOD_NOT_FOUND in CODEC.refusal("x", unreadable.error)
    assert isinstance(refused, Refusal)
    assert isinstance(refused.error, UnknownMethod)
    assert isinstance(CODEC.decode(b'{"jsonrpc":"2.0","method":"$/progress","params":[1]}'), Ignored)
    assert isinstance(CODEC.decode(b'{"jsonrpc":"2.0","method":"executors.list","params":[1]}'), Ignored)
    assert isinstance(CODEC.decode(b'{"jsonrpc":"2.0","method":"$/cancelRequest","params":{}}'), Ignored)


def test_unknown_fields_are_passed_over():
    frame = b'{"jsonrpc":"2.0","id":3,"method":"executors.list","params":{"names":["a"],"more":1},"trace":{}}'
    assert CODEC.decode(frame) == Call(3, ListExecutors(names=("a",)))


def test_a_cancellation_names_the_request():
    assert CODEC.decode(CODEC.cancellation(12)) == Cancellation(12)


@given(st.binary(max_size=200))
def test_garbage_is_unreadable(frame):
    assert isinstance(CODEC.decode(frame), Unreadable)


@given(st.data())
def test_a_frame_with_a_broken_byte_breaks_nothing(data):
    frame = bytearray(CODEC.request(1, data.draw(structs(StartProcess))))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    assert CODEC.decode(bytes(frame)) is not None


def test_a_frame_that_is_too_large_is_neither_sent_nor_read():
    small = JsonCodec(REQUESTS, frame_limit=1000)
    chunk = Chunk.of(OutputSource.STDOUT, NOW, b"x" * 1000)
    request = AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=1, chunks=(chunk,))
    with pytest.raises(FrameTooLarge) as caught:
        small.request(1, request)
    assert caught.value.size > caught.value.limit == 1000
    unreadable = small.decode(CODEC.request(1, request))
    assert isinstance(unreadable, Unreadable)
    assert isinstance(unreadable.error, RemoteProtocolError)
    assert "larger than 1000" in str(unreadable.error)


def test_an_error_that_is_too_large_is_said_in_short():
    small = JsonCodec(REQUESTS, frame_limit=1000)
    refused = small.decode(small.refusal(1, UnknownMethod(method="x" * 5000, reason="unknown")))
    assert isinstance(refused, Refusal)
    assert "UnknownMethod" in str(refused.error)


def test_what_no_frame_can_hold_is_refused_here():
    with pytest.raises(LocalProtocolError):
        CODEC.request(1, ListExecutors(names=("\ud800",)))


def test_a_result_of_another_type_is_malformed():
    with pytest.raises(RemoteProtocolError, match=r"output\.append"):
        CODEC.result(
            AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=1, chunks=()),
            msgspec.Raw(b'{"next":"soon"}'),
        )


def test_output_of_any_bytes_fits_a_frame():
    """A batch is 1 MiB; control characters take the most room in JSON."""
    for raw in (b"\x01" * 65_536, b"\x00" * 65_536, b"\xff" * 65_536, "\u20ac".encode() * 21_845):
        chunks = tuple(Chunk.of(OutputSource.STDERR, NOW, raw) for _ in range(16))
        request = AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=1, chunks=chunks)
        asked = CODEC.decode(CODEC.request(1, request))
        assert isinstance(asked, Call)
        assert b"".join(chunk.raw for chunk in asked.request.chunks) == raw * 16


def test_accepted_output_and_a_heartbeat_are_short():
    assert len(CODEC.answer(1, OutputAccepted(next=1))) < 60
    assert len(CODEC.notification(Heartbeat())) < 80
