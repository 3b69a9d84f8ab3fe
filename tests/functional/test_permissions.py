"""Permissions survive: whoever is killed while an agent waits for an answer, a human is asked once and obeyed once.

``AURA_KILLS`` is how often each case is played: 1 by default, 10 for a thorough run.
"""

import json
import os
import signal

import anyio
import pytest

from aura_contracts.approval import ApprovalGranted, ApprovalRequested
from aura_contracts.execution import PermissionAnswered, PermissionAsked
from aura_engine import open_engine
from conditions import until
from repositories import content
from sites import PATIENCE, children_of, made_site, wait

pytestmark = pytest.mark.anyio

KILLS = range(int(os.environ.get("AURA_KILLS", "1")))

CALL = {"tool": "Append", "arguments": {"path": "hello.txt", "text": "hello"}}
ROUND = [
    {"session": "its-own"},
    {"ask": {**CALL, "then": [{"append": {"path": "hello.txt", "text": "hello\n"}}]}},
    {"say": "done"},
]
WORDS = ("--executor", "scripted", "--prompt", "Greet", "--approval", "auto", "--option", f"steps={json.dumps(ROUND)}")


@pytest.fixture
def anyio_backend():
    """What is tested runs in processes of its own, on its own event loop."""
    return "asyncio"


@pytest.fixture
def site(tmp_path):
    with made_site(tmp_path, WORDS) as made:
        yield made


def victims(site, process, who):
    """Return the ids of those who are to be killed, AURA first, so that it cannot see the others go."""
    supervisors = site.supervisors()
    all_of_them = {"aura": [process.pid], "supervisor": supervisors, "agent": children_of(supervisors)}
    return [pid for name in ("aura", "supervisor", "agent") if name in who for pid in all_of_them[name]]


def kill(site, process, who):
    for pid in victims(site, process, who):
        os.kill(pid, signal.SIGKILL)
    if "aura" in who:
        process.wait()


def actions(records, kind):
    return [record.event for record in records if isinstance(record.event, kind)]


async def asked(site, number=1):
    """Return the approval's id, once the question was asked this often."""
    with anyio.fail_after(PATIENCE):
        await site.hears_of("approval.requested")
        await until(lambda: is_asked(site, number))
    return actions(await site.records(), PermissionAsked)[-1].approval_id


async def is_asked(site, number):
    return len(actions(await site.records(), PermissionAsked)) >= number


async def check(site, *, granted=True):
    """One question, one answer, and the call was made once, or never."""
    await site.is_quiet()
    records = await site.records()
    questions = [record for record in records if isinstance(record.event, ApprovalRequested)]
    assert len(questions) == 1, "a human was asked once"
    assert len({one.approval_id for one in actions(records, PermissionAsked)}) == 1
    assert sum(isinstance(record.event, ApprovalGranted) for record in records) == granted
    if granted:
        assert content(site.repository, "main", "hello.txt") == "hello"
    else:
        assert not (site.repository / "hello.txt").exists()


async def approve_only(site, approval):
    """Answer as somebody does whose program drives nothing: the answer is on record, and that is all."""
    options = {"home": site.root / "home", "user": "alice", "drive_all": False}
    async with open_engine(site.store, **options) as engine:
        await engine.approvals.approve(approval)


SAMPLE = ("aura+supervisor+agent",)
LIKE_IT = ("aura", "aura+agent", "supervisor", "supervisor+agent", "agent")


@pytest.mark.parametrize("number", KILLS)
@pytest.mark.parametrize("who", [*SAMPLE, *(pytest.param(one, marks=pytest.mark.deep) for one in LIKE_IT)])
async def test_a_question_survives_and_is_answered_afterwards(site, who, number):
    process = site.run()
    approval = await asked(site)
    kill(site, process, who)
    if "aura" in who:
        process = site.run()
        with anyio.fail_after(PATIENCE):
            await until(lambda: "resuming task" in site.said)
    if who != "aura":
        assert await asked(site, number=2) == approval, "the same call is the same question"
    site.aura("approval", "approve", approval)
    assert wait(process) == 0, site.said
    await check(site)


@pytest.mark.deep
@pytest.mark.parametrize("number", KILLS)
@pytest.mark.parametrize("who", ["aura", "aura+agent", "aura+supervisor+agent"])
async def test_an_answer_that_is_given_meanwhile_is_not_asked_for_again(site, who, number):
    process = site.run()
    approval = await asked(site)
    kill(site, process, who)
    await approve_only(site, approval)
    assert wait(site.run()) == 0, site.said
    await check(site)


@pytest.mark.deep
async def test_who_answers_goes_on_with_the_task(site):
    process = site.run()
    approval = await asked(site)
    kill(site, process, "aura+supervisor+agent")
    site.aura("approval", "approve", approval)
    await check(site)


async def test_a_refusal_survives_too(site):
    process = site.run()
    approval = await asked(site)
    kill(site, process, "aura+supervisor+agent")
    site.aura("approval", "reject", approval, "--feedback", "Not this file.", code=1)
    await check(site, granted=False)
    told = {one.token: one.granted for one in actions(await site.records(), PermissionAnswered)}
    assert list(told.values())[-1:] == [False], "and the agent was told"
