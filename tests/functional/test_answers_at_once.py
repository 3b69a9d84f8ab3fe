"""Answers at one moment, from several processes; and one answer to several questions, of which some are refused."""

import json
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing

import anyio
import pytest

from aura_cli.rendering.errors import as_commands
from aura_contracts.approval import ApprovalStatus, VoteCast
from aura_contracts.execution import FollowUpRequested
from aura_contracts.task import TaskStatus
from command_line import ENVIRONMENT, call_aura
from engines import events_of, next_question, scripted, settled, write
from repositories import content

pytestmark = pytest.mark.anyio

ANSWER = """\
import json, sys

from aura_contracts.errors import AuraError
from aura_engine import open_engine_sync

store, home, question, by, verb = sys.argv[1:]
with open_engine_sync(store, home=home, user=by, record_only=True) as engine:
    engine.approvals.get(question)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        answer = getattr(engine.approvals, verb)
        told = {"status": (answer(question) if verb == "approve" else answer(question, f"no, says {by}")).status}
    except AuraError as error:
        told = {"code": error.code, **error.facts(), "remedy": error.remedy}
    print(json.dumps(told), flush=True)
"""
"""Answers when it is told to; the engine is open by then."""


def answers_at_once(place, question, answers):
    """Have a process for each (name, verb) answer, all at once; return what each was told."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", ANSWER, f"sqlite:///{place / 'aura.db'}", place / "home", question, *one],
                    env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for one in answers
        ]  # fmt: skip
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("now\n")
            process.stdin.flush()
        return [json.loads(process.communicate(timeout=60)[0]) for process in processes]


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([("alice", "approve"), ("bob", "reject")], id="two-people", marks=pytest.mark.deep),
        pytest.param([("alice", "approve"), ("alice", "approve")], id="one-twice"),
        pytest.param(
            [("alice", "reject"), ("bob", "request_changes"), ("carol", "approve"), ("alice", "approve")],
            id="four",
            marks=pytest.mark.deep,
        ),
    ],
)
async def test_of_answers_from_several_processes_at_once_one_counts(opened, repository, tmp_path, answers):
    steps = scripted([write("a", "1")], [write("b", "2")])
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], reviewers=["bob", "carol"], **steps)
        asked = await next_question(engine, run.id)
    told = await anyio.to_thread.run_sync(answers_at_once, tmp_path, asked.id, answers)
    (won,) = [n for n, one in enumerate(told) if "status" in one and "code" not in one]
    (by, verb), status = answers[won], told[won]["status"]
    assert status == {"approve": "approved", "reject": "rejected", "request_changes": "needs_changes"}[verb]
    for (name, _), one in zip(answers, told, strict=True):
        if one is not told[won]:
            assert (one["code"], one["answered_by"], one["status"]) == ("already_answered", by, status)
            assert ("you answered" in one["remedy"]) is (name == by)
    async with opened() as engine:
        votes = [event.ballot for event in await events_of(engine, asked.id) if isinstance(event, VoteCast)]
        assert [(vote.reviewer, vote.decision) for vote in votes] == [(by, status)]
        await engine.resume(run.id)
        task = await settled(engine, run.id)
        assert task.status is (TaskStatus.COMPLETED if verb == "approve" else TaskStatus.AWAITING_APPROVAL)
        events = await events_of(engine, task.execution_id)
        heard = [event.feedback for event in events if isinstance(event, FollowUpRequested)]
        assert heard == ([] if verb == "approve" else [f"no, says {by}"])


# --- One answer to several --------------------------------------------------------------------------------------------


async def plans(engine, *terms):
    """Create a task with a plan that waits for an answer, for each of the terms; return the questions."""
    asked = []
    for one in terms:
        task = await engine.tasks.create("Go", approval="plan", **one)
        await engine.tasks.assign(task.id, executor="custom", options={"base_command": "true"})
        asked.append(await engine.tasks.submit(task.id, "I go"))
    return asked


async def mixed(engine, repository):
    """Return questions of which alice can answer the first and the last, and why not the others, by id."""
    reviewed = {"reviewers": ["bob"]}
    fine, own, gone, done, voted = await plans(
        engine, {}, {**reviewed, "no_self_approval": True}, {}, reviewed, {**reviewed, "quorum": 2}
    )
    run = await engine.run("Go", repositories=[str(repository)], **scripted([write("a", "1")]))
    last = await next_question(engine, run.id)
    await engine.tasks.cancel(gone.task_id)
    await engine.approvals.reject(done.id, "no", by="bob")
    await engine.approvals.approve(voted.id)
    refusals = {
        own.id: ("not_allowed", "what they asked for or wrote themselves", "leave it to bob"),
        gone.id: ("question_withdrawn", "alice cancelled the task", "aura approval list"),
        done.id: ("already_answered", "bob has answered", "the decision stands"),
        voted.id: ("rule_violated", "alice has voted", "it waits for bob"),
        "ffffffff": ("not_found", "there is no approval ffffffff", "aura approval list"),
    }
    return [fine.id, *refusals, last.id], refusals, run.id


async def test_answers_to_several_count_beside_those_that_are_refused(opened, repository):
    async with opened() as engine:
        named, refusals, task_id = await mixed(engine, repository)
        before = {one: await engine.approvals.get(one) for one in list(refusals)[:-1]}
        outcomes = await engine.approvals.answer_all("approved", approvals=named)
        assert [one.approval for one in outcomes] == named
        for outcome in outcomes:
            if outcome.approval in refusals:
                code, message, remedy = refusals[outcome.approval]
                assert (outcome.answered, outcome.refused.code) == (None, code)
                assert message in outcome.refused.message
                assert remedy in as_commands(outcome.refused.remedy)
            else:
                assert (outcome.answered.status, outcome.refused) == (ApprovalStatus.APPROVED, None)
        assert {one: await engine.approvals.get(one) for one in before} == before
        assert (await settled(engine, task_id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "a") == "1"


@pytest.mark.deep
def test_the_command_line_names_each_that_is_refused(opened, repository, tmp_path):
    async def prepare():
        async with opened() as engine:
            return await mixed(engine, repository)

    named, refusals, _ = anyio.run(prepare)
    place = {"AURA_STORE": f"sqlite:///{tmp_path / 'aura.db'}", "AURA_HOME": str(tmp_path / "home")}
    answer = call_aura("approval", "approve", *named, **place, AURA_USER="alice")
    assert answer.code == 1
    assert "2 answers recorded, 5 refused\n" in answer.err
    lines = answer.out.splitlines()
    assert [lines[0], lines[6]] == [f"approval {one} is approved" for one in (named[0], named[-1])]
    for line, (approval_id, words) in zip(lines[1:6], refusals.items(), strict=True):
        assert line.startswith(f"approval {approval_id} is not answered: ")
        assert all(word in line for word in words[1:])
    assert content(repository, "main", "a") == "1"


async def test_a_store_that_fails_for_one_answer_does_not_hide_what_became_of_the_others(opened, tmp_path):
    async with opened() as engine:
        first, failing, last = await plans(engine, {}, {}, {})
        with closing(sqlite3.connect(tmp_path / "aura.db")) as database, database:
            database.execute(
                "CREATE TRIGGER full BEFORE INSERT ON stored_events"
                f" WHEN NEW.originator_id = '{failing.id}' BEGIN SELECT RAISE(ABORT, 'no space is left'); END"
            )
        outcomes = await engine.approvals.answer_all("approved", approvals=[first.id, failing.id, last.id])
        assert [None if one.answered is None else one.answered.status for one in outcomes] == [
            ApprovalStatus.APPROVED,
            None,
            ApprovalStatus.APPROVED,
        ]
        assert "no space is left" in outcomes[1].refused.message
        assert (await engine.approvals.get(failing.id)).status is ApprovalStatus.PENDING
