"""Processes at the worker: nothing that was written is lost or doubled, whatever breaks in between."""

import anyio
import pytest
from worker_stage import Stage, StagedExecutors, agent, end_of, refusal, script, token_of

from aura_contracts.entries import ErrorReported, Message, PermissionRequested, Unknown
from aura_contracts.errors import (
    ExecutableNotFound,
    InvalidInput,
    ProcessError,
    RemoteError,
    RuleViolated,
    StoreFull,
    StoreUnavailable,
    UnknownExecutor,
    WorkerUnavailable,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Conversation, Executor, Launch, Send
from aura_contracts.ports.processes import ExitCause
from aura_contracts.run_plan import Script
from aura_worker import _pump
from aura_worker._pump import IN_FLIGHT
from aura_worker_protocol import memory_pair
from aura_worker_protocol.messages import (
    AnswerPermission,
    AppendOutput,
    ForgetProcess,
    InterruptProcess,
    KnownProcess,
)
from byte_transport import byte_pair
from conditions import until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Try again soon."""
    monkeypatch.setattr(_pump, "_PAUSES", (0.001,))


def process(stage, token=""):
    return stage.runner.processes[token or token_of()]


async def test_a_script_runs_and_its_output_arrives():
    stage = Stage()
    async with stage.connected() as engine:
        started = await engine.request(script("make"))
        assert started.process.identity.token == token_of()
        process(stage).say(b"one\n")
        process(stage).say(b"\xff\n", OutputSource.STDERR)
        await until(lambda: stage.engine.output == b"one\n\xff\n")
        await until(lambda: process(stage).acknowledged == 2)
        process(stage).end()
        finished = await engine.request(end_of(script()))
        assert finished.exit.exit_code == 0
        assert finished.failure is None
    assert process(stage).spec.argv[0] == "bash"


async def test_a_script_that_fails_fails_its_stage():
    stage = Stage()
    async with stage.connected() as engine:
        await engine.request(script("exit 7"))
        process(stage).end(7)
        finished = await engine.request(end_of(script()))
    assert finished.failure == Failure(FailureReason.STAGE_ERROR, "it exited with 7", "Setup", 7)


async def test_starting_twice_starts_once_and_awaiting_twice_answers_the_same():
    stage = Stage()
    async with stage.connected() as engine:
        assert await engine.request(script()) == await engine.request(script())
        process(stage).say(b"x")
        process(stage).end(3)
        first = await engine.request(end_of(script()))
        await engine.request(script())
        assert await engine.request(end_of(script())) == first
    assert stage.runner.started == [token_of()]
    assert stage.engine.output == b"x"


async def test_the_end_is_told_only_when_everything_was_accepted():
    stage = Stage()
    async with stage.connected() as engine:
        stage.engine.gate = anyio.Event()
        await engine.request(script())
        process(stage).say(b"last words")
        process(stage).end()
        with anyio.move_on_after(0.02):
            await engine.request(end_of(script()))
            pytest.fail("the engine does not have the output")
        stage.engine.gate.set()
        await engine.request(end_of(script()))
    assert stage.engine.output == b"last words"


async def test_start_errors_are_those_of_the_request():
    stage = Stage()
    async with stage.connected() as engine:
        with pytest.raises(UnknownExecutor):
            await engine.request(agent(executor="cowsay"))
        with pytest.raises(InvalidInput):
            await engine.request(script(script=Script("x" * 200_000)))
        with pytest.raises(InvalidInput):
            await engine.request(script(script=None))

        class Missing(Executor):
            name = "missing"

            def launch(self, run: AgentRun) -> Launch:
                return Launch(argv=("missing",))

        stage.executors.given["missing"] = Missing()
        with pytest.raises(ExecutableNotFound):
            await engine.request(agent(executor="missing"))
        with pytest.raises(ProcessError, match="was not asked to start"):
            await engine.request(end_of(script()))
    assert stage.runner.started == []


# --- Connections that break -------------------------------------------------------------------------------------------


async def test_after_a_reconnect_nothing_is_lost_and_nothing_doubled():
    """The connection breaks off at every stage of every batch; the same worker connects again."""
    stage = Stage()
    worker = stage.worker()
    said = b""

    def arrived() -> bool:
        return stage.engine.output == said

    for number in range(30):
        async with stage.connected(worker) as engine:
            stage.engine.gate = anyio.Event()
            await engine.request(script(next_record=stage.engine.next))
            for _ in range(number % 7):
                process(stage).say(b"line %d\n" % number)
                said += b"line %d\n" % number
            if number % 3:
                await until(lambda: stage.engine.waiting or arrived())
                stage.engine.gate.set()
            if number % 3 == 2:
                await until(arrived)
    async with stage.connected(worker) as engine:
        stage.engine.gate.set()
        await engine.request(script(next_record=stage.engine.next))
        process(stage).end()
        await engine.request(end_of(script()))
    assert stage.engine.output == said
    assert process(stage).acknowledged == len(stage.engine.chunks)


async def test_a_restarted_worker_goes_on_where_the_engine_is():
    stage = Stage()
    async with stage.connected() as engine:
        await engine.request(script())
        process(stage).say(b"one\n")
        await until(lambda: stage.engine.output)
    process(stage).say(b"two\n")
    async with stage.connected() as engine:
        assert stage.engine.hellos[-1].processes == (KnownProcess(token=token_of(), running=True),)
        with pytest.raises(ProcessError):
            await engine.request(end_of(script()))
        await engine.request(script(next_record=2))
        await until(lambda: stage.engine.output == b"one\ntwo\n")
        process(stage).end(4)
    async with stage.connected() as engine:
        assert stage.engine.hellos[-1].processes == (KnownProcess(token=token_of(), running=False),)
        await engine.request(script(next_record=3))
        finished = await engine.request(end_of(script()))
    assert finished.exit.exit_code == 4
    assert finished.failure is not None
    assert stage.engine.output == b"one\ntwo\n"
    assert stage.runner.started == [token_of()]


async def test_whoever_waits_for_the_end_is_told_when_the_connection_breaks():
    stage = Stage()
    told = []

    async def wait(engine):
        with pytest.raises(WorkerUnavailable):
            await engine.request(end_of(script()))
        told.append(True)

    async with anyio.create_task_group() as tasks, stage.connected() as engine:
        await engine.request(script())
        tasks.start_soon(wait, engine)
        await anyio.wait_all_tasks_blocked()
    assert told
    assert process(stage).exit is None


# --- Engines that do not take it --------------------------------------------------------------------------------------


async def test_output_that_cannot_be_stored_is_handed_over_again():
    stage = Stage()
    unavailable = StoreUnavailable(store="s", reason="locked", waited=1.0, attempts=1)
    full = StoreFull(store="s", stream_id="x", position=1, reason="no room")
    broken = RemoteError(remote_code="internal", reason="KeyError: 1", details={})
    stage.engine.troubles = [unavailable, full, broken, unavailable]
    async with stage.connected() as engine:
        await engine.request(script())
        for number in range(20):
            process(stage).say(b"%d" % number * 70_000)
        process(stage).end()
        finished = await engine.request(end_of(script()))
    assert finished.failure is None
    assert stage.engine.output == b"".join(b"%d" % number * 70_000 for number in range(20))
    assert stage.engine.troubles == []


async def test_an_engine_that_has_less_than_was_accepted_gets_it_again():
    """Records that were not acknowledged are still there."""
    stage = Stage()
    async with stage.connected() as engine:
        await engine.request(script())
        accept = stage.engine._append
        forgetful = [True]

        async def forget_the_batch(batch):
            accepted = await accept(batch)
            if forgetful:
                forgetful.clear()
                stage.engine.chunks.clear()
                return type(accepted)(next=1)
            return accepted

        engine._handlers = {**engine._handlers, AppendOutput: forget_the_batch}
        process(stage).say(b"once")
        process(stage).end()
        await engine.request(end_of(script()))
    assert stage.engine.output == b"once"
    assert not forgetful


async def test_whoever_holds_a_past_epoch_ends_its_process():
    stage = Stage()
    async with stage.connected() as engine:
        await engine.request(script())
        stage.engine.epoch = 2
        process(stage).say(b"too late")
        with pytest.raises(RuleViolated) as caught:
            await engine.request(end_of(script()))
        assert caught.value.rule == "stale_epoch"
        assert process(stage).interrupts
        assert process(stage).exit.cause is ExitCause.INTERRUPTED
        assert process(stage).acknowledged == 0
        await engine.request(script(epoch=2))
        await engine.request(end_of(script(epoch=2)))
    assert stage.engine.output == b"too late"


async def test_a_process_that_reports_to_another_engine_is_left_alone():
    stage = Stage()
    async with stage.connected() as engine:
        await engine.request(script())
        stage.engine.troubles = [refusal("taken_over")]
        process(stage).say(b"goes on")
        with pytest.raises(RuleViolated) as caught:
            await engine.request(end_of(script()))
        assert caught.value.rule == "taken_over"
        assert process(stage).interrupts == []
        await engine.request(script(epoch=1))
        process(stage).end()
        await engine.request(end_of(script()))
    assert stage.engine.output == b"goes on"


async def test_a_new_epoch_takes_over_and_the_old_one_asks_in_vain():
    stage = Stage()
    async with stage.connected() as engine:
        await engine.request(script())
        process(stage).say(b"one ")
        await until(lambda: stage.engine.output)
        stage.engine.epoch = 2
        await engine.request(script(epoch=2, next_record=2))
        process(stage).say(b"two")
        process(stage).end()
        for request in (script(), end_of(script())):
            with pytest.raises(RuleViolated, match="epoch 2"):
                await engine.request(request)
        await engine.request(end_of(script(epoch=2)))
    assert stage.engine.output == b"one two"
    assert process(stage).interrupts == []


# --- Amounts ----------------------------------------------------------------------------------------------------------


async def test_only_so_much_waits_for_the_engine():
    stage = Stage()
    async with stage.connected() as engine:
        stage.engine.gate = anyio.Event()
        await engine.request(script())
        for _ in range(20):
            process(stage).say(b"x" * 1_048_576)
        await anyio.wait_all_tasks_blocked()
        assert process(stage).acknowledged == 0
        assert len(engine._serving) == IN_FLIGHT
        stage.engine.gate.set()
        process(stage).end()
        await engine.request(end_of(script()))
    assert len(stage.engine.output) == 20 * 1_048_576


async def test_many_small_writes_become_few_batches():
    stage = Stage()
    async with stage.connected() as engine:
        stage.engine.gate = anyio.Event()
        await engine.request(script())
        for number in range(1000):
            process(stage).say(b"%d\n" % number)
            await anyio.lowlevel.checkpoint()
        stage.engine.gate.set()
        process(stage).end()
        await engine.request(end_of(script()))
    assert stage.engine.output == b"".join(b"%d\n" % number for number in range(1000))
    assert len(stage.engine.batches) < 10


async def test_processes_do_not_wait_for_one_another():
    stage = Stage()
    async with stage.connected() as engine:
        for number in range(10):
            await engine.request(script(token=token_of(number)))
        process(stage, token_of(7)).end(7)
        finished = await engine.request(end_of(script(token=token_of(7))))
    assert finished.exit.exit_code == 7


# --- Ending and forgetting --------------------------------------------------------------------------------------------


async def test_interrupting_ends_the_process():
    stage = Stage()
    async with stage.connected() as engine:
        await engine.request(InterruptProcess(token="unknown"))
        await engine.request(script())
        await engine.request(InterruptProcess(token=token_of(), reason="enough"))
        finished = await engine.request(end_of(script()))
        await engine.request(InterruptProcess(token=token_of(), reason="again"))
    assert finished.failure == Failure(FailureReason.CANCELLED, "interrupted", "Setup")
    assert process(stage).interrupts == ["enough", "again"]


async def test_a_process_from_before_a_restart_can_be_interrupted_and_forgotten():
    stage = Stage()
    async with stage.connected() as engine:
        await engine.request(script())
    async with stage.connected() as engine:
        await engine.request(InterruptProcess(token=token_of()))
        assert process(stage).interrupts
        await engine.request(ForgetProcess(token=token_of()))
        await engine.request(ForgetProcess(token=token_of()))
    assert stage.runner.processes == {}


async def test_a_forgotten_process_is_unknown():
    stage = Stage()
    async with stage.connected() as engine:
        await engine.request(script())
        await engine.request(ForgetProcess(token=token_of()))
        with pytest.raises(ProcessError):
            await engine.request(end_of(script()))


# --- Agents -----------------------------------------------------------------------------------------------------------


class Parrot(Executor):
    """Understands lines: ``ask ID`` asks, ``break`` breaks it, ``big N`` is N long; all others are messages."""

    name = "parrot"

    def launch(self, run: AgentRun) -> Launch:
        return Launch(argv=("parrot",), interactive=True)

    def converse(self, run: AgentRun) -> Conversation:
        return Parroting()


class Parroting(Conversation):
    def __init__(self) -> None:
        self.line = b""
        self.lines = 0

    def receive(self, source, data):
        *lines, self.line = (self.line + data).split(b"\n")
        self.lines += len(lines)
        for line in lines:
            match line.split():
                case [b"ask", request_id]:
                    yield PermissionRequested(request_id=request_id.decode(), tool="t", fingerprint="f")
                case [b"break"]:
                    raise ValueError("I do not understand")
                case [b"big", size]:
                    yield Message(text="x" * int(size))
                case [b"odd"]:
                    yield Message(text="\ud800")
                case _:
                    yield Message(text=line.decode())
                    yield Send(b"heard %s\n" % line)

    def answer(self, request_id, answer):
        return [Send(b"%r\n" % answer.granted, close=not answer.granted)]

    def end(self, exit):
        return [Message(text=f"end after {self.lines}")]

    def judge(self, exit):
        return Failure(FailureReason.REFUSED, f"{self.lines} lines")


def parrots(**given) -> Stage:
    return Stage(executors=StagedExecutors({"parrot": Parrot()}), **given)


def texts(stage):
    return [getattr(entry, "text", getattr(entry, "request_id", entry)) for entry in stage.engine.entries]


async def test_an_agent_is_understood_answered_and_judged():
    stage = parrots()
    start = agent(executor="parrot")
    async with stage.connected() as engine:
        await engine.request(start)
        process(stage).say(b"hel")
        process(stage).say(b"lo\nask 1\n")
        await until(lambda: texts(stage) == ["hello", "1"])
        answer = AnswerPermission(token=start.token, request_id="1", answer=Answer(granted=True))
        await engine.request(answer)
        await engine.request(answer)
        await until(lambda: process(stage).written == b"heard hello\nTrue\n")
        refused = AnswerPermission(token=start.token, request_id="2", answer=Answer(granted=False))
        await engine.request(refused)
        assert process(stage).closed
        process(stage).end()
        finished = await engine.request(end_of(start))
    assert finished.failure == Failure(FailureReason.REFUSED, "2 lines", "CodingInitial")
    assert texts(stage) == ["hello", "1"]
    assert [one.record for one in stage.engine.parsed] == [2]
    assert finished.entries == (Message(text="end after 2"),)


async def test_entries_come_once_and_in_order_also_when_connections_break():
    stage = parrots()
    worker = stage.worker()
    for number in range(20):
        async with stage.connected(worker) as engine:
            stage.engine.gate = anyio.Event()
            await engine.request(agent(executor="parrot", next_record=stage.engine.next))
            process(stage).say(b"%d\n" % number)
            if number % 3:
                await until(lambda number=number: stage.engine.waiting or f"{number}" in texts(stage))
            if number % 3 == 2:
                stage.engine.gate.set()
                await until(lambda: stage.engine.next == process(stage).next)
    async with stage.connected(worker) as engine:
        stage.engine.gate.set()
        await engine.request(agent(executor="parrot", next_record=stage.engine.next))
        await until(lambda: len(stage.engine.chunks) == 20)
        process(stage).end()
        first = await engine.request(end_of(agent()))
    async with stage.connected(worker) as engine:
        await engine.request(agent(executor="parrot", next_record=stage.engine.next))
        assert await engine.request(end_of(agent())) == first
    assert texts(stage) == [*map(str, range(20))]
    assert first.entries == (Message(text="end after 20"),)
    assert process(stage).written == b"".join(b"heard %d\n" % number for number in range(20))


async def test_a_restarted_worker_understands_what_was_said_before_and_says_nothing_twice():
    stage = parrots()
    async with stage.connected() as engine:
        await engine.request(agent(executor="parrot"))
        process(stage).say(b"one\nask ")
        await until(lambda: texts(stage) == ["one"])
    process(stage).say(b"7\n")
    async with stage.connected(stage.worker()) as engine:
        await engine.request(agent(executor="parrot", next_record=stage.engine.next))
        await until(lambda: texts(stage) == ["one", "7"])
        process(stage).end()
        finished = await engine.request(end_of(agent()))
    assert finished.entries == (Message(text="end after 2"),)
    assert process(stage).written == b"heard one\n", "and the agent is told nothing twice"


async def test_a_worker_that_takes_a_process_back_hears_what_was_said_to_another():
    stage = parrots()
    stage.engine.past = "taken_over"
    start = agent(executor="parrot")
    async with stage.connected() as engine:
        await engine.request(start)
        process(stage).say(b"one\n")
        await until(lambda: texts(stage) == ["one"])
        stage.engine.epoch = 2
        async with stage.connected() as other:
            await other.request(agent(executor="parrot", epoch=2, next_record=stage.engine.next))
            process(stage).say(b"two\n")
            with pytest.raises(RuleViolated):
                await engine.request(end_of(start))
            process(stage).say(b"three\n")
            await until(lambda: texts(stage) == ["one", "two", "three"])
        stage.engine.epoch = 3
        await engine.request(agent(executor="parrot", epoch=3, next_record=stage.engine.next))
        process(stage).end()
        finished = await engine.request(end_of(agent(epoch=3)))
    assert finished.entries == (Message(text="end after 3"),)


async def test_entries_are_stored_with_their_output_or_not_at_all():
    stage = parrots()
    unavailable = StoreUnavailable(store="s", reason="locked", waited=1.0, attempts=1)
    stage.engine.troubles = [unavailable, unavailable]
    async with stage.connected() as engine:
        await engine.request(agent(executor="parrot"))
        process(stage).say(b"one\n")
        process(stage).say(b"two\n")
        await until(lambda: len(stage.engine.chunks) == 2)
        process(stage).end()
        await engine.request(end_of(agent()))
    assert texts(stage) == ["one", "two"]
    assert [(one.record, len(one.entries)) for one in stage.engine.parsed] == [(1, 1), (2, 1)]


async def test_a_conversation_that_breaks_does_not_hold_up_the_output(caplog):
    stage = parrots()
    async with stage.connected() as engine:
        await engine.request(agent(executor="parrot"))
        process(stage).say(b"break\n")
        process(stage).say(b"more\n")
        process(stage).end()
        finished = await engine.request(end_of(agent()))
    assert stage.engine.output == b"break\nmore\n"
    (error,) = stage.engine.entries
    assert isinstance(error, ErrorReported)
    assert "I do not understand" in error.message
    assert finished.failure is not None
    assert "I do not understand" in caplog.text


@pytest.mark.parametrize("pair", [memory_pair, byte_pair])
async def test_entries_that_fit_no_frame_are_left_out_and_said_so(pair):
    stage = parrots(pair=pair)
    async with stage.connected() as engine:
        await engine.request(agent(executor="parrot"))
        process(stage).say(b"one\nbig 17000000\nbig 5000000\nbig 5000000\nodd\ntwo\n")
        process(stage).end()
        await engine.request(end_of(agent()))
    one, huge, big, late, odd, two = stage.engine.entries
    assert (one.text, two.text) == ("one", "two")
    assert all(isinstance(entry, Unknown) for entry in (huge, late, odd))
    assert len(big.text) == 5_000_000


async def test_records_whose_entries_fit_no_single_frame_go_in_several():
    stage = parrots(pair=byte_pair)
    async with stage.connected() as engine:
        stage.engine.gate = anyio.Event()
        await engine.request(agent(executor="parrot"))
        process(stage).say(b"first\n")
        await until(lambda: stage.engine.waiting)
        for _ in range(4):
            process(stage).say(b"big 7000000\n")
        process(stage).end()
        stage.engine.gate.set()
        await engine.request(end_of(agent()))
    assert [entry.text[:1] for entry in stage.engine.entries] == ["f", "x", "x", "x", "x"]
    assert stage.engine.output == b"first\n" + b"big 7000000\n" * 4
    assert [batch.first for batch in stage.engine.batches] == [1, 2, 4]


async def test_an_agent_that_takes_no_input_any_more_is_still_heard():
    stage = parrots()
    async with stage.connected() as engine:
        await engine.request(agent(executor="parrot"))
        process(stage).closed = True
        process(stage).say(b"one\n")
        await until(lambda: texts(stage) == ["one"])
        process(stage).say(b"two\n")
        process(stage).end()
        await engine.request(end_of(agent()))
    assert stage.engine.output == b"one\ntwo\n"


async def test_an_answer_to_a_process_that_was_not_started_is_refused():
    stage = parrots()
    async with stage.connected() as engine:
        with pytest.raises(ProcessError):
            await engine.request(AnswerPermission(token=token_of(), request_id="1", answer=Answer(granted=True)))


# --- Secrets ----------------------------------------------------------------------------------------------------------


async def test_secrets_of_the_worker_are_masked_before_they_leave_it():
    stage = Stage(environment={"PATH": "/usr/bin:/bin", "API_TOKEN": "3f9c2b7e1d"})
    async with stage.connected() as engine:
        await engine.request(agent("do it"))
        process(stage).say(b"the token is 3f9c2b7e1d, and in two: 3f9c2b7")
        process(stage).say(b"e1d\n")
        await until(lambda: process(stage).acknowledged == 2)
        process(stage).end()
        finished = await engine.request(end_of(agent("do it")))
    assert stage.engine.output == b"the token is [redacted], and in two: [redacted][redacted]\n"
    assert "3f9c2b7e1d" not in str(stage.engine.entries)
    assert "3f9c2b7e1d" not in str(finished)
