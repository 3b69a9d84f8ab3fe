"""AgentSession at the worker: conversations that are built again, that break, and that say what nobody can store."""

import anyio
import pytest
from worker_stage import Stage, StagedExecutors, agent, end_of, token_of

from aura_contracts.entries import Message, PermissionRequested, Unknown
from aura_contracts.errors import ProcessError
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import AgentRun, Answer, Conversation, Executor, Launch, Send
from aura_worker_protocol.messages import AnswerPermission, TellAgent
from conditions import until

pytestmark = pytest.mark.anyio


class Odd(Executor):
    """Understands lines: ``ask ID``, ``break``; answers each other line with it."""

    name = "odd"

    def launch(self, run: AgentRun) -> Launch:
        return Launch(argv=("odd",), interactive=True)

    def converse(self, run: AgentRun) -> Conversation:
        return Oddity()


class Oddity(Conversation):
    blocked = "not \0 permitted \ud800"

    def receive(self, source, data):
        for line in data.decode().splitlines():
            match line.split():
                case ["ask", request_id]:
                    yield PermissionRequested(request_id=request_id, tool="t", fingerprint="f")
                case ["break"]:
                    raise ValueError("I do not understand")
                case _:
                    yield Message(text=line)
                    yield Send(f"heard {line}\n".encode())

    def answer(self, request_id, answer):
        return [Send(f"{request_id}: {answer.granted}\n".encode())]

    def tell(self, message_id, text):
        return [Send(f"told {text}\n".encode())] if text != "later" else ()

    def end(self, exit):
        return [Message(text="fits"), Message(text="\ud800"), Message(text="x" * 17_000_000)]

    def judge(self, exit):
        return Failure(FailureReason.REFUSED, "no \0 \ud800" + "x" * 100_000)


def oddities():
    return Stage(executors=StagedExecutors({"odd": Odd()}))


def start_of(stage):
    return agent(executor="odd", next_record=stage.engine.next)


def process(stage):
    return stage.runner.processes[token_of()]


def answer_to(request_id, *, granted=True):
    return AnswerPermission(token=token_of(), request_id=request_id, answer=Answer(granted=granted))


async def test_what_was_said_and_answered_before_a_restart_is_written_once_and_in_order():
    stage = oddities()
    for number in range(3):
        async with stage.connected() as engine:
            await engine.request(start_of(stage))
            process(stage).say(f"line {number}\nask {number}\n".encode())
            await until(lambda: stage.engine.next == process(stage).next)
            for asked in range(number + 1):  # as an engine does, which tells all that was decided
                await engine.request(answer_to(str(asked)))
    heard = [f"heard line {number}\n{number}: True\n" for number in range(3)]
    assert process(stage).written == "".join(heard).encode()


async def test_a_message_is_written_once_and_not_before_the_agent_takes_it():
    stage = oddities()
    for number in range(2):
        async with stage.connected() as engine:
            await engine.request(start_of(stage))
            for message_id, text in (("a", "one"), ("b", "later"), ("a", "one"), ("b", "two" if number else "later")):
                await engine.request(TellAgent(token=token_of(), message_id=message_id, text=text))
            await until(lambda many=number + 1: process(stage).written.count(b"told") == many)
    assert process(stage).written == b"told one\ntold two\n"


async def test_a_message_for_a_process_that_was_not_started_is_refused():
    stage = oddities()
    async with stage.connected() as engine:
        with pytest.raises(ProcessError):
            await engine.request(TellAgent(token=token_of(), message_id="a", text="one"))


async def test_a_connection_that_breaks_while_it_is_told_what_was_said_is_no_harm():
    stage = oddities()
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        for number in range(8):
            process(stage).say(f"line {number}\n".encode())
        await until(lambda: stage.engine.next == 9)
    worker, reads, read = stage.worker(), [], stage.engine._read

    async def reading(request):
        reads.append(request.after)
        if len(reads) == 2:
            await anyio.sleep_forever()
        return await read(request)

    stage.engine._read = reading
    async with stage.connected(worker) as engine, anyio.create_task_group() as tasks:
        tasks.start_soon(engine.request, start_of(stage))
        await until(lambda: len(reads) == 2)
        tasks.cancel_scope.cancel()
    async with stage.connected(worker) as engine:
        await engine.request(start_of(stage))
        process(stage).say(b"last\n")
        await until(lambda: stage.engine.next == 10)
    assert [entry.text for entry in stage.engine.entries] == [*(f"line {number}" for number in range(8)), "last"]
    assert process(stage).written.count(b"heard") == 9


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_agent_whose_conversation_broke_hears_no_more_and_is_not_waited_for(caplog, restarted):
    stage = oddities()
    worker = stage.worker()
    async with stage.connected(worker) as engine:
        await engine.request(start_of(stage))
        process(stage).say(b"ask 1\nbreak\n")
        await until(lambda: process(stage).closed)
        await until(lambda: process(stage).pauses[-1:] == [False])
    async with stage.connected(stage.worker() if restarted else worker) as engine:
        await engine.request(start_of(stage))
        await engine.request(answer_to("1"))
        process(stage).end()
        await engine.request(end_of(agent()))
    assert process(stage).written == b""
    assert "I do not understand" in caplog.text


async def test_what_is_said_of_the_end_can_be_stored():
    stage = oddities()
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        process(stage).end()
        finished = await engine.request(end_of(agent()))
    fits, odd, huge = finished.entries
    assert fits == Message(text="fits")
    assert isinstance(odd, Unknown)
    assert isinstance(huge, Unknown)
    assert finished.blocked == "not \ufffd permitted ?"
    assert finished.failure.message.startswith("no \ufffd ?x")
    assert len(finished.failure.message) == 10_000
