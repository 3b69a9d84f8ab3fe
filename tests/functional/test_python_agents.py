"""Python agents: functions in the engine's process with the lifecycle of any other agent."""

import anyio
import pytest

from aura_contracts.errors import InvalidInput, RunFailed
from aura_engine import open_engine
from engines import ONCE

pytestmark = pytest.mark.anyio


async def result_of(engine, task_id):
    with anyio.fail_after(60):
        return await (await engine.attach(task_id)).result()


async def write_greeting(call):
    """Writes a greeting."""
    call.say(f"asked: {call.prompt}")
    await anyio.Path(call.folder / "greeting").write_text("hello\n")
    return "The greeting is written."


def write_plainly(call):
    call.say(f"asked: {call.prompt}")
    (call.folder / "greeting").write_text(call.arguments["text"])


def fail(call):
    raise ValueError("not today")


async def answer_wrongly(call):
    return 42


@pytest.mark.deep
async def test_a_function_works_in_the_worktree_of_its_task(opened, repository):
    """By the pool, and by its name as an executor; its messages are in the conversation."""
    async with opened(agents={"greeter": write_greeting, "plain": write_plainly}) as engine:
        (greeter,) = (await engine.agents.list(executor="greeter")).rows
        assert (greeter.type, greeter.description) == ("greeter", "Writes a greeting.")
        task = await engine.tasks.create("Greet", repositories=[str(repository)], approval="auto")
        await engine.tasks.assign(task.id, agent_type="greeter")
        done = await result_of(engine, task.id)
        assert (done.assigned_agent, done.result["changed_files"]) == (greeter.id, 1)
        assert (repository / "greeting").read_text() == "hello\n"
        said = [r.event.entry.text for r in await engine.events.list(types=["execution.message_said"], limit=9)]
        assert said == ["asked: Greet", "The greeting is written."]
        options = {"arguments": {"text": "hello again\n"}}
        where = {"repositories": [str(repository)], "approval": "auto"}
        run = await engine.run("Greet", executor="plain", options=options, **where)
        await result_of(engine, run.id)
        assert (repository / "greeting").read_text() == "hello again\n"


@pytest.mark.parametrize(("function", "reason"), [(fail, "ValueError: not today"), (answer_wrongly, "it returned int")])
async def test_what_it_raises_is_its_failure(opened, repository, function, reason):
    async with opened(agents={"failing": function}) as engine:
        run = await engine.run("Go", executor="failing", repositories=[str(repository)], retry=ONCE)
        with pytest.raises(RunFailed, match=reason), anyio.fail_after(60):
            await run.result()


async def test_a_run_that_is_cancelled_cancels_the_function(opened, repository):
    begun, cancelled = anyio.Event(), anyio.Event()

    async def wait(call):
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with opened(agents={"waiting": wait}) as engine:
        run = await engine.run("Go", executor="waiting", repositories=[str(repository)])
        with anyio.fail_after(60):
            await begun.wait()
            await run.cancel()
            await cancelled.wait()


@pytest.mark.deep
async def test_an_engine_without_the_function_leaves_the_task_to_one_that_has_it(opened, repository):
    async with opened(agents={"greeter": write_greeting}):
        pass
    async with opened() as other:
        task = await other.tasks.create("Greet", repositories=[str(repository)], approval="auto")
        task = await other.tasks.assign(task.id, agent_type="greeter")
        assert task.pooled
    async with opened(agents={"greeter": write_greeting}, drive_all=True) as engine:
        await result_of(engine, task.id)


@pytest.mark.parametrize(
    ("agents", "field"), [({"Wrong Name": fail}, "agents.Wrong Name"), ({"right": 42}, "agents.right"), ([], "agents")]
)
async def test_what_is_no_function_is_refused(agents, field):
    with pytest.raises(InvalidInput) as refused:
        async with open_engine("memory:", user="alice", agents=agents or [1]):
            pass
    assert refused.value.field == field
