"""Connection: the table, row by row, and the account of requests; no I/O. The same rules for bytes and for messages."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aura_contracts.errors import (
    AuraError,
    ExecutableNotFound,
    LocalProtocolError,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
    UnknownMethod,
    WorkerUnavailable,
)
from aura_contracts.ids import WorkerIdentity
from aura_worker_protocol import Connection, ConnectionState, Result, Role
from aura_worker_protocol._state import TABLE, ConnectionStep
from aura_worker_protocol.connection import Abandon, Fail, Nothing, Reply, Serve, Settle
from aura_worker_protocol.json_codec import JsonCodec
from aura_worker_protocol.messages import (
    ExecutorsListed,
    ForgetProcess,
    Heartbeat,
    Hello,
    ListExecutors,
    Welcome,
)
from aura_worker_protocol.transport import MemoryCodec

HELLO = Hello(
    protocol=1,
    worker_id="0192f0c1-2d3e-7abc-8def-000000000001",
    identity=WorkerIdentity(host="here", instance="one"),
    version="1",
)
WELCOME = Welcome(engine_id="e")


@pytest.fixture(params=[JsonCodec, MemoryCodec])
def codec(request):
    """Makes the codec of a connection: one of bytes, one of messages."""
    return request.param


def connected(codec=JsonCodec, **options):
    """Return an engine's and a worker's end that have greeted each other."""
    engine, worker = Connection(Role.ENGINE, codec, **options), Connection(Role.WORKER, codec, **options)
    number, frame = worker.request(HELLO)
    served = engine.receive(frame)
    assert served == Serve(number, HELLO)
    assert worker.receive(engine.answer(number, WELCOME)) == Settle(number, WELCOME)
    return engine, worker


def asked(engine, worker, request=None):
    """Have the engine ask; return the number and what the worker is to do."""
    number, frame = engine.request(request or ListExecutors())
    return number, worker.receive(frame)


# --- The table --------------------------------------------------------------------------------------------------------


def opening(role, codec):
    return Connection(role, codec)


def greeting(role, codec):
    connection = Connection(role, codec)
    if role is Role.WORKER:
        connection.request(HELLO)
    else:
        connection.receive(Connection(Role.WORKER, codec).request(HELLO)[1])
    return connection


def ready(role, codec):
    engine, worker = connected(codec)
    return engine if role is Role.ENGINE else worker


def closing(role, codec):
    """Closing, with a hello that is not answered where that can be."""
    connection = greeting(role, codec)
    connection.close()
    return connection


def closed(role, codec):
    connection = ready(role, codec)
    connection.end()
    return connection


MAKE = {
    ConnectionState.OPENING: opening,
    ConnectionState.GREETING: greeting,
    ConnectionState.READY: ready,
    ConnectionState.CLOSING: closing,
    ConnectionState.CLOSED: closed,
}


def other_end(role, codec):
    """Return an end that has greeted and can make frames for one of `role`."""
    engine, worker = connected(codec)
    return worker if role is Role.ENGINE else engine


def take(connection, step, codec):  # noqa: C901, PLR0911 - one case per step
    """Do `step` on `connection`; return whether it was possible."""
    role = connection.role
    call = ListExecutors() if role is Role.ENGINE else Heartbeat()
    match step:
        case ConnectionStep.HELLO_SENT:
            connection.request(HELLO)
        case ConnectionStep.HELLO_RECEIVED:
            return isinstance(connection.receive(Connection(Role.WORKER, codec).request(HELLO)[1]), Serve)
        case ConnectionStep.WELCOME_SENT:
            return connection.answer(1, WELCOME) is not None
        case ConnectionStep.HELLO_REFUSAL_SENT:
            return connection.refuse(1, ProtocolError(reason="no")) is not None
        case ConnectionStep.WELCOME_RECEIVED:
            return isinstance(connection.receive(codec({}).answer(1, WELCOME)), Settle)
        case ConnectionStep.HELLO_REFUSAL_RECEIVED:
            return isinstance(connection.receive(codec({}).refusal(1, ProtocolError(reason="no"))), Settle)
        case ConnectionStep.CALL_SENT:
            connection.notify(call)
        case ConnectionStep.CALL_RECEIVED:
            heard = Heartbeat() if role is Role.ENGINE else ListExecutors()
            return not isinstance(connection.receive(other_end(role, codec).notify(heard)), Fail)
        case ConnectionStep.CLOSE:
            connection.close()
        case ConnectionStep.END:
            connection.end()
    return True


STEPS = [
    step for step in ConnectionStep if step not in {ConnectionStep.RESPONSE_SENT, ConnectionStep.RESPONSE_RECEIVED}
]


@pytest.mark.parametrize("state", ConnectionState)
@pytest.mark.parametrize("role", Role)
def test_a_step_is_possible_where_the_table_has_it(role, state, codec):
    for step in STEPS:
        connection = MAKE[state](role, codec)
        assert connection.state is state
        try:
            possible = take(connection, step, codec)
        except (LocalProtocolError, WorkerUnavailable):
            possible = False
        after = TABLE[role][state].get(step)
        assert possible == (after is not None), step
        assert connection.state is (after or state), step


@pytest.mark.parametrize("closing_first", [False, True])
@pytest.mark.parametrize("role", Role)
def test_responses_pass_while_ready_and_closing(role, closing_first, codec):
    engine, worker = connected(codec)
    request = ListExecutors() if role is Role.ENGINE else Heartbeat()
    ours, theirs = (engine, worker) if role is Role.ENGINE else (worker, engine)
    number, frame = ours.request(request)
    assert isinstance(theirs.receive(frame), Serve)
    if closing_first:
        ours.close()
        theirs.close()
    result = ExecutorsListed(executors=()) if role is Role.ENGINE else Result()
    assert ours.receive(theirs.answer(number, result)) == Settle(number, result)


@pytest.mark.parametrize("role", Role)
def test_every_state_has_its_rows_and_can_be_closed(role):
    assert set(TABLE[role]) == set(ConnectionState)
    for row in TABLE[role].values():
        assert {ConnectionStep.CLOSE, ConnectionStep.END} <= row.keys()


@pytest.mark.parametrize("role", Role)
def test_every_state_is_reached(role):
    reached, new = set(), {ConnectionState.OPENING}
    while new:
        reached |= new
        new = {after for state in new for after in TABLE[role][state].values()} - reached
    assert reached == set(ConnectionState)


# --- Greeting ---------------------------------------------------------------------------------------------------------


def test_another_version_of_the_protocol_is_refused(codec):
    engine, worker = Connection(Role.ENGINE, codec), Connection(Role.WORKER, codec)
    number, frame = worker.request(Hello(**{**_fields(HELLO), "protocol": 2}))
    failed = engine.receive(frame)
    assert isinstance(failed, Fail)
    settled = worker.receive(failed.frame)
    assert isinstance(settled, Settle)
    assert settled.id == number
    assert isinstance(settled.outcome, ProtocolError)
    assert "version 1" in str(settled.outcome)
    assert worker.state is ConnectionState.CLOSING


def _fields(struct):
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


@pytest.mark.parametrize(
    "frame",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"worker.hello","params":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"worker.howdy","params":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"worker.heartbeat","params":{}}',
        b'{"jsonrpc":"2.0","method":"worker.heartbeat","params":{}}',
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_whoever_does_not_begin_with_hello_is_closed_out(frame):
    failed = Connection(Role.ENGINE, JsonCodec).receive(frame)
    assert isinstance(failed, Fail)
    assert isinstance(failed.error, RemoteProtocolError | UnknownMethod)


def test_hello_is_not_a_notification_and_is_sent_once(codec):
    _, frame = Connection(Role.WORKER, codec).request(HELLO)
    engine, worker = connected(codec)
    assert isinstance(Connection(Role.ENGINE, codec).receive(codec({}).notification(HELLO)), Fail)
    failed = engine.receive(frame)
    assert isinstance(failed, Fail)
    assert isinstance(failed.error, RemoteProtocolError)
    with pytest.raises(LocalProtocolError, match="hello sent"):
        worker.request(HELLO)


# --- Requests ---------------------------------------------------------------------------------------------------------


def test_responses_find_their_requests_in_any_order(codec):
    engine, worker = connected(codec)
    numbers = [asked(engine, worker)[0] for _ in range(10)]
    for number in reversed(numbers):
        settled = engine.receive(worker.answer(number, ExecutorsListed(executors=())))
        assert settled == Settle(number, ExecutorsListed(executors=()))


def test_an_error_comes_out_as_it_was(codec):
    engine, worker = connected(codec)
    number, _ = asked(engine, worker)
    error = ExecutableNotFound(token="t", executable="cowsay", reason="not on the path")
    settled = engine.receive(worker.refuse(number, error))
    assert isinstance(settled, Settle)
    assert type(settled.outcome) is ExecutableNotFound
    assert str(settled.outcome) == str(error)


def test_a_response_to_nothing_is_dropped(codec):
    engine, worker = connected(codec)
    number, _ = asked(engine, worker)
    frame = worker.answer(number, ExecutorsListed(executors=()))
    assert isinstance(engine.receive(frame), Settle)
    assert isinstance(engine.receive(frame), Nothing)
    assert isinstance(engine.receive(codec({}).answer("x", Result())), Nothing)
    assert isinstance(engine.receive(codec({}).refusal(99, ProtocolError(reason="x"))), Nothing)
    assert engine.state is ConnectionState.READY


def test_an_answer_of_the_wrong_type_is_an_error_of_its_request(codec):
    engine, worker = connected(codec)
    number, _ = asked(engine, worker)
    settled = engine.receive(worker.answer(number, Result()))
    assert isinstance(settled, Settle)
    assert isinstance(settled.outcome, RemoteProtocolError)


def test_an_error_about_the_connection_ends_it(codec):
    engine, _ = connected(codec)
    failed = engine.receive(codec({}).refusal(None, RemoteProtocolError(reason="I do not understand")))
    assert isinstance(failed, Fail)
    assert isinstance(failed.error, LocalProtocolError)
    assert failed.frame is None
    assert "I do not understand" in str(failed.error)


def test_unreadable_parameters_are_refused_alone():
    engine, worker = connected()
    reply = worker.receive(b'{"jsonrpc":"2.0","id":5,"method":"process.start","params":{}}')
    assert isinstance(reply, Reply)
    assert b'"id":5' in reply.frame
    assert worker.state is ConnectionState.READY
    assert isinstance(engine.receive(reply.frame), Nothing)


def test_an_id_in_use_is_against_the_protocol(codec):
    engine, worker = connected(codec)
    _, frame = engine.request(ListExecutors())
    assert isinstance(worker.receive(frame), Serve)
    assert isinstance(worker.receive(frame), Fail)


def test_requests_under_way_are_limited(codec):
    engine, worker = connected(codec, request_limit=3)
    for _ in range(3):
        asked(engine, worker)
    with pytest.raises(LocalProtocolError, match="too many pending requests"):
        engine.request(ListExecutors())
    engine.receive(worker.answer(1, ExecutorsListed(executors=())))
    asked(engine, worker)


def test_a_side_that_asks_without_limit_is_closed_out(codec):
    _, worker = connected(codec, request_limit=3)
    greedy, _ = connected(codec)
    actions = [worker.receive(greedy.request(ListExecutors())[1]) for _ in range(7)]
    assert isinstance(actions[-1], Fail)
    assert all(isinstance(action, Serve) for action in actions[:-1])


def test_a_cancelled_request_still_counts_until_it_is_settled(codec):
    engine, worker = connected(codec, request_limit=1)
    number, _ = asked(engine, worker)
    assert worker.receive(engine.cancel(number)) == Abandon(number)
    with pytest.raises(ProtocolError):
        engine.request(ListExecutors())
    settled = engine.receive(worker.refuse_cancelled(number))
    assert isinstance(settled, Settle)
    assert isinstance(settled.outcome, AuraError)
    asked(engine, worker)


def test_a_cancellation_that_crosses_the_response_does_nothing(codec):
    engine, worker = connected(codec)
    number, _ = asked(engine, worker)
    cancellation = engine.cancel(number)
    worker.answer(number, ExecutorsListed(executors=()))
    assert isinstance(worker.receive(cancellation), Nothing)
    assert worker.refuse_cancelled(number) is None
    assert engine.cancel(99) is None


def test_a_result_that_is_too_large_becomes_an_error():
    engine, worker = connected(partial(JsonCodec, frame_limit=500))
    number, _ = asked(engine, worker)
    error = worker.answer(number, WELCOME.__class__(engine_id="e" * 500))
    settled = engine.receive(error)
    assert isinstance(settled, Settle)
    assert isinstance(settled.outcome, RemoteProtocolError), "the fault of the side that answers"
    assert "larger than 500" in str(settled.outcome)


def test_a_request_that_cannot_be_sent_was_not_made():
    engine, worker = connected()
    with pytest.raises(LocalProtocolError):
        engine.request(ListExecutors(names=("\ud800",)))
    assert engine.end() == ()
    assert worker.state is ConnectionState.READY


def test_the_end_says_what_will_never_be_settled(codec):
    engine, worker = connected(codec)
    numbers = [asked(engine, worker)[0] for _ in range(3)]
    engine.receive(worker.refuse(numbers[1], RemoteError(remote_code="x", reason="x", details={})))
    assert list(engine.end()) == [numbers[0], numbers[2]]
    assert engine.end() == ()
    assert worker.end() == ()
    assert worker.answer(numbers[0], Result()) is None
    with pytest.raises(WorkerUnavailable):
        engine.request(ListExecutors())


def test_while_closing_requests_are_refused(codec):
    engine, worker = connected(codec)
    worker.close()
    number, reply = asked(engine, worker)
    assert isinstance(reply, Reply)
    settled = engine.receive(reply.frame)
    assert isinstance(settled, Settle)
    assert settled.id == number
    assert isinstance(settled.outcome, WorkerUnavailable)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_garbage_never_raises(frames):
    engine, _ = connected()
    for frame in frames:
        assert isinstance(engine.receive(frame), Fail)


class TwoEnds(RuleBasedStateMachine):
    """Two ends with frames on their way in both directions: each request is settled exactly once, by its own answer."""

    codec = JsonCodec

    def __init__(self):
        super().__init__()
        self.engine, self.worker = connected(self.codec, request_limit=4)
        self.wire = {Role.ENGINE: [], Role.WORKER: []}
        self.serving, self.open = {}, {}

    @rule(token=st.text(st.characters(codec="utf-8"), max_size=5))
    @precondition(lambda self: len(self.open) < 4)
    def ask(self, token):
        number, frame = self.engine.request(ForgetProcess(token=token))
        self.open[number] = token
        self.wire[Role.WORKER].append(frame)

    @rule(data=st.data())
    @precondition(lambda self: self.open)
    def cancel(self, data):
        frame = self.engine.cancel(data.draw(st.sampled_from(sorted(self.open))))
        if frame is not None:
            self.wire[Role.WORKER].append(frame)

    @rule()
    @precondition(lambda self: self.wire[Role.WORKER])
    def worker_hears(self):
        match self.worker.receive(self.wire[Role.WORKER].pop(0)):
            case Serve(number, request):
                assert number not in self.serving
                self.serving[number] = request.token
            case Abandon(number):
                assert number in self.serving
                self._respond(number, self.worker.refuse_cancelled(number))
            case other:
                assert isinstance(other, Nothing)

    @rule(data=st.data(), well=st.booleans())
    @precondition(lambda self: self.serving)
    def worker_responds(self, data, well):
        number = data.draw(st.sampled_from(sorted(self.serving)))
        error = RemoteError(remote_code="x", reason="no", details={})
        self._respond(number, self.worker.answer(number, Result()) if well else self.worker.refuse(number, error))

    def _respond(self, number, frame):
        assert frame is not None
        del self.serving[number]
        self.wire[Role.ENGINE].append(frame)

    @rule()
    @precondition(lambda self: self.wire[Role.ENGINE])
    def engine_hears(self):
        settled = self.engine.receive(self.wire[Role.ENGINE].pop(0))
        assert isinstance(settled, Settle)
        self.open.pop(settled.id)

    @invariant()
    def both_stay_ready(self):
        assert self.engine.state is self.worker.state is ConnectionState.READY

    def teardown(self):
        assert set(self.engine.end()) == set(self.open)


class TwoEndsOfMemory(TwoEnds):
    codec = MemoryCodec


test_two_ends = TwoEnds.TestCase
test_two_ends_of_memory = TwoEndsOfMemory.TestCase
