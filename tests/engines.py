"""Engines in this process: a repository, engines on one log, what the scripted agent is to do, and waiting for it."""

from contextlib import aclosing

import anyio
import pytest

from aura_contracts.task import RetryPolicy
from aura_engine import open_engine
from repositories import make_repository

ONCE = RetryPolicy(max_attempts=1)
AT_ONCE = RetryPolicy(base_delay=0.01, max_delay=0.01)


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path / "app", {"README": "hello\n", "a.txt": "one\ntwo\nthree\n"})


@pytest.fixture
def opened(tmp_path):
    """Opens engines on one log, with one home."""

    def open_one(**options):
        given = {"home": tmp_path / "home", "user": "alice", **options}
        return open_engine(f"sqlite:///{tmp_path / 'aura.db'}", **given)

    return open_one


def scripted(*rounds):
    return {"executor": "scripted", "options": {"rounds": [list(steps) for steps in rounds]}}


def write(path, text):
    return {"write": {"path": path, "text": text}}


async def settled(engine, task_id, seconds=60):
    """Wait until a task has ended or waits for a decision about its work; tool calls are not waited for. Return it."""
    with anyio.fail_after(seconds):
        run = await engine.attach(task_id)
        async with aclosing(run.events()) as records:
            async for _ in records:
                pass
        return await run.task()


async def next_question(engine, task_id, seconds=60):
    """Return the first question about a task that waits for a human, as soon as there is one."""
    with anyio.fail_after(seconds):
        run = await engine.attach(task_id)
        async with aclosing(run.questions()) as questions:
            async for question in questions:
                return question
    raise AssertionError("the task has ended without a question")


async def everything(engine, task_id):
    """Yield all events of a task from the first one on, until it is settled."""
    run = await engine.attach(task_id)
    async with aclosing(run.events(after=0)) as records:
        async for record in records:
            yield record


async def open_questions(engine, task_id=None):
    """Return the questions that wait for a human, oldest first."""
    return (await engine.approvals.list(pending=True, descending=False, **_about(task_id))).rows


async def all_questions(engine, task_id=None):
    """Return every question that was asked, oldest first."""
    return (await engine.approvals.list(descending=False, **_about(task_id))).rows


async def events_of(engine, stream_id):
    """Return what has happened in one stream, oldest first."""
    return [record.event for record in await engine.events.list(stream=stream_id)]


def _about(task_id):
    return {} if task_id is None else {"task": task_id}
