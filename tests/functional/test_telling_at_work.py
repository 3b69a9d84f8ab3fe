"""A human writes to an agent that takes messages in the middle of its turn: at once, once, and never lost.

The agent speaks the protocol of claude 2.1.329: it reports a message as queued, and as completed once the turn with it
is over.
"""

import sys

import pytest
from anyio import to_thread

from aura_contracts.execution import (
    CodingChangedNothing,
    FollowUpRequested,
    HumanMessageTaken,
    MessageQueued,
    MessageSaid,
    ProcessStarted,
)
from aura_contracts.task import TaskStatus
from command_line import run_aura
from conditions import until
from engines import AT_ONCE, events_of, settled

pytestmark = pytest.mark.anyio

CLAUDE = """\
#!{python}
import json, os, sys, threading, time
from pathlib import Path

go, mode, place = Path("{go}"), "{mode}", Path("{place}")
place.mkdir(exist_ok=True)
turn = len(list(place.iterdir()))
(place / str(turn)).touch()
heard, wakes = [], threading.Event()


def out(kind, **fields):
    print(json.dumps(dict(type=kind, session_id="5e551011-0000-4000-8000-000000000001", **fields)), flush=True)


def became(message, state):
    out("command_lifecycle", command_uuid=message["uuid"], state=state)


def read():
    for line in sys.stdin:
        message = json.loads(line)
        if "uuid" in message:
            heard.append(message)
            became(message, "queued")
            wakes.set()


first = json.loads(sys.stdin.readline())
out("system", subtype="init", model="m", capabilities=[] if mode == "deaf" else ["msg_lifecycle_v1"])
threading.Thread(target=read, daemon=True).start()
if turn == 0:
    if mode == "dies":
        wakes.wait()
        os._exit(3)
    while not go.exists():
        time.sleep(0.01)
said = [text["text"] for message in heard for text in message["message"]["content"]]
text = f"I heard {{said}}. " + json.dumps(dict(proposal="x", confidence=0.9, requires_approval=False, error=None))
out("assistant", message={{"id": f"a{{turn}}", "content": [{{"type": "text", "text": text}}]}})
for message in heard:
    became(message, "completed")
out("result", subtype="success", is_error=False, result=text)
"""


@pytest.fixture
def claude(tmp_path):
    """Makes the agent; it works until `go` exists."""

    def make(mode=""):
        program = tmp_path / "claude"
        program.write_text(
            CLAUDE.format(python=sys.executable, go=tmp_path / "go", mode=mode, place=tmp_path / "turns")
        )
        program.chmod(0o755)
        return {"executor": "claude", "options": {"executable": str(program)}, "approval": "auto", "retry": AT_ONCE}

    return make


async def happened(engine, execution_id, kind, many=1):
    """Wait until so many events of a kind are on record; return them."""

    async def found():
        return len([one for one in await events_of(engine, execution_id) if isinstance(one, kind)]) >= many

    await until(found)
    return [one for one in await events_of(engine, execution_id) if isinstance(one, kind)]


async def begun(engine, task_id):
    """Wait until the agent has named its session; return the execution's id."""

    async def named():
        execution = (await engine.tasks.view(task_id)).execution
        return execution is not None and execution.session_id

    await until(named)
    return (await engine.tasks.get(task_id)).execution_id


async def test_a_message_reaches_the_agent_in_its_turn_once_and_is_answered(opened, repository, claude, tmp_path):
    async with opened() as engine, opened(record_only=True) as other:
        run = await engine.run("Go", repositories=[str(repository)], reviewers=["bob"], **claude())
        execution_id = await begun(engine, run.id)
        await other.tasks.tell(run.id, "/make it blue")
        await other.tasks.tell(run.id, "and quick", by="bob")
        taken = await happened(engine, execution_id, HumanMessageTaken, 2)
        assert [one.entry.answered for one in taken] == [False, False]
        left = (await engine.tasks.view(run.id)).execution.messages
        assert [one.text for one in left] == ["/make it blue", "and quick"], "they wait until they are answered"
        (tmp_path / "go").touch()
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        events = await events_of(engine, execution_id)
        assert (await engine.tasks.view(run.id)).execution.messages == ()
        assert (await engine.store.check()).ok
    queued = [event.message.id for event in events if isinstance(event, MessageQueued)]
    taken = [event.entry for event in events if isinstance(event, HumanMessageTaken)]
    assert [(one.message_id, one.answered) for one in taken] == [
        (one, done) for done in (False, True) for one in queued
    ]
    (said,) = [event.entry.text for event in events if isinstance(event, MessageSaid)]
    assert said.startswith("I heard ['alice: /make it blue', 'bob: and quick']")
    assert not [event for event in events if isinstance(event, FollowUpRequested)]


async def test_what_was_written_before_the_agent_ran_reaches_it_in_its_turn(opened, repository, claude, tmp_path):
    setup = f"while [ ! -e {tmp_path}/ready ]; do sleep 0.01; done"
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], setup=setup, **claude())
        execution_id = (await engine.tasks.get(run.id)).execution_id
        await happened(engine, execution_id, ProcessStarted)
        await engine.tasks.tell(run.id, "make it blue")
        (tmp_path / "ready").touch()
        await happened(engine, execution_id, HumanMessageTaken)
        (tmp_path / "go").touch()
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        assert not [one for one in await events_of(engine, execution_id) if isinstance(one, FollowUpRequested)]


@pytest.mark.deep
async def test_an_agent_that_dies_with_a_message_gets_it_again(opened, repository, claude):
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **claude("dies"))
        execution_id = await begun(engine, run.id)
        await engine.tasks.tell(run.id, "make it blue")
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        events = await events_of(engine, execution_id)
    told = [event.feedback for event in events if isinstance(event, FollowUpRequested)]
    answered = [event for event in events if isinstance(event, HumanMessageTaken) and event.entry.answered]
    assert bool(told) is not bool(answered), "with the retried turn, or after it"
    assert told in ([], ["alice: make it blue"])


async def test_a_message_outlives_the_engine_that_passed_it_on(opened, repository, claude, tmp_path):
    """The next engine's worker feeds the conversation again, and the agent is not told a second time."""
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **claude())
        execution_id = await begun(engine, run.id)
        await engine.tasks.tell(run.id, "make it blue")
        await happened(engine, execution_id, HumanMessageTaken)
    async with opened() as engine:
        await engine.resume(run.id)
        await engine.tasks.tell(run.id, "and quick")
        await happened(engine, execution_id, HumanMessageTaken, 2)
        (tmp_path / "go").touch()
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        events = await events_of(engine, execution_id)
    (said,) = [event.entry.text for event in events if isinstance(event, MessageSaid)]
    assert said.startswith("I heard ['alice: make it blue', 'alice: and quick']")


@pytest.mark.deep
async def test_an_agent_that_confirms_nothing_gets_it_when_its_turn_ends(opened, repository, claude, tmp_path):
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **claude("deaf"))
        execution_id = await begun(engine, run.id)
        await engine.tasks.tell(run.id, "make it blue")
        (tmp_path / "go").touch()
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        events = await events_of(engine, execution_id)
    assert [event.feedback for event in events if isinstance(event, FollowUpRequested)] == ["alice: make it blue"]
    assert not [event for event in events if isinstance(event, HumanMessageTaken)]
    assert [event for event in events if isinstance(event, CodingChangedNothing)]


@pytest.mark.deep_but_first
@pytest.mark.parametrize(("mode", "words"), [("", "has it, in the middle of its turn"), ("deaf", "when its turn ends")])
async def test_the_command_line_says_whether_the_agent_has_it(opened, repository, claude, tmp_path, mode, words):
    place = {"AURA_STORE": f"sqlite:///{tmp_path / 'aura.db'}", "AURA_HOME": str(tmp_path / "home"), "AURA_USER": "bob"}
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], reviewers=["bob"], **claude(mode))
        await begun(engine, run.id)
        answer = await to_thread.run_sync(lambda: run_aura("task", "tell", run.id, "make it blue", **place))
        assert (answer.code, words in answer.out) == (0, True), answer.out + answer.err
        (tmp_path / "go").touch()
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
