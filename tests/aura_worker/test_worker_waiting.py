"""Agents that wait for a human: their time does not count, whoever asks, answers, or is restarted meanwhile."""

import anyio
import pytest
from worker_stage import Stage, StagedExecutors, agent, token_of

from aura_contracts.entries import Finished, PermissionRequested, PermissionWithdrawn, ToolFinished
from aura_contracts.ports.executors import AgentRun, Answer, Conversation, Executor, Launch, Send
from aura_worker_protocol.messages import AnswerPermission, NoteWaiting
from conditions import until

pytestmark = pytest.mark.anyio


class Asker(Executor):
    """Understands lines: ``ask ID [CALL]``, ``withdraw ID``, ``made CALL``, ``done``."""

    name = "asker"

    def launch(self, run: AgentRun) -> Launch:
        return Launch(argv=("asker",), interactive=True)

    def converse(self, run: AgentRun) -> Conversation:
        return Asking()


class Asking(Conversation):
    def receive(self, source, data):
        for line in data.decode().splitlines():
            match line.split():
                case ["ask", request_id, *call]:
                    yield PermissionRequested(
                        request_id=request_id, tool="t", fingerprint="f", call_id=call[0] if call else ""
                    )
                case ["withdraw", request_id]:
                    yield PermissionWithdrawn(request_id=request_id)
                case ["made", call]:
                    yield ToolFinished(call_id=call)
                case ["done"]:
                    yield Finished()

    def answer(self, request_id, answer):
        return [Send(f"{request_id} {answer.granted}\n".encode())]


def asker() -> Stage:
    return Stage(executors=StagedExecutors({"asker": Asker()}))


def start_of(stage):
    return agent(executor="asker", next_record=stage.engine.next)


def answer(request_id):
    return AnswerPermission(token=token_of(), request_id=request_id, answer=Answer(granted=True))


async def hears(process, *pauses):
    await until(lambda: process.pauses == [*pauses])


async def test_limits_stand_still_from_the_question_to_the_answer():
    stage = asker()
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        process = stage.runner.processes[token_of()]
        await hears(process, False)
        process.say(b"ask 1\n")
        await hears(process, False, True)
        await engine.request(answer("1"))
        assert process.pauses == [False, True, False]
        assert process.written == b"1 True\n"
        await engine.request(answer("1"))
        process.say(b"made 1\n")
        await until(lambda: len(stage.engine.parsed) == 2)
        assert process.pauses == [False, True, False]


async def test_all_questions_must_be_answered_withdrawn_or_past():
    stage = asker()
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        process = stage.runner.processes[token_of()]
        await hears(process, False)
        process.say(b"ask 1 a\nask 2 b\nask 3 c\nask 4\n")
        await hears(process, False, True)
        await engine.request(answer("1"))
        process.say(b"withdraw 2\n")
        process.say(b"made x\n")
        await until(lambda: len(stage.engine.parsed) == 3)
        assert process.pauses == [False, True], "one is open"
        process.say(b"made c\n")
        await hears(process, False, True, False)


async def test_who_is_done_waits_for_nobody():
    stage = asker()
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        process = stage.runner.processes[token_of()]
        await hears(process, False)
        process.say(b"ask 1 a\n")
        await hears(process, False, True)
        process.say(b"done\n")
        await hears(process, False, True, False)


async def test_a_restarted_worker_says_again_what_holds():
    stage = asker()
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        process = stage.runner.processes[token_of()]
        await hears(process, False)
        process.say(b"ask 1 a\n")
        await hears(process, False, True)
        await until(lambda: stage.engine.next == process.next)
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        await hears(process, False, True, True)
        await engine.request(answer("1"))
        await hears(process, False, True, True, False)
    process.say(b"made a\n")
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        await until(lambda: stage.engine.next == process.next)
        await until(lambda: process.pauses[-1] is False)


async def test_an_agent_that_waits_with_the_tools_of_aura_has_its_clock_stopped():
    stage = asker()
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        process = stage.runner.processes[token_of()]
        for seconds in (60.0, 60.0, 0.0):
            await engine.request(NoteWaiting(token=token_of(), seconds=seconds))
        await hears(process, False, True, False)
        process.say(b"ask 1\n")
        await hears(process, False, True, False, True)
        await engine.request(NoteWaiting(token=token_of(), seconds=60.0))
        await engine.request(answer("1"))
        await engine.request(NoteWaiting(token=token_of(), seconds=0.0))
        await hears(process, False, True, False, True, False)


async def test_the_clock_goes_on_when_a_wait_is_not_repeated_in_time():
    stage = asker()
    async with stage.connected() as engine:
        await engine.request(start_of(stage))
        process = stage.runner.processes[token_of()]
        await hears(process, False)
        await engine.request(NoteWaiting(token=token_of(), seconds=0.02))
        await hears(process, False, True, False)
        await engine.request(NoteWaiting(token=token_of(), seconds=0.5))
        await engine.request(NoteWaiting(token=token_of(), seconds=60.0))
        await anyio.sleep(0.7)
        assert process.pauses == [False, True, False, True]


async def test_a_wait_ends_with_its_connection_until_it_is_noted_again():
    stage = asker()
    worker = stage.worker()
    async with stage.connected(worker) as engine:
        await engine.request(start_of(stage))
        process = stage.runner.processes[token_of()]
        await hears(process, False)
        await engine.request(NoteWaiting(token=token_of(), seconds=60.0))
        await hears(process, False, True)
    async with stage.connected(worker) as engine:
        await engine.request(start_of(stage))
        await hears(process, False, True, False)
