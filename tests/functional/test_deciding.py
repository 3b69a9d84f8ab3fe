"""Who decides about finished work: levels, quorum, delegates, late answers, several answers at once; on real runs."""

from datetime import timedelta

import anyio
import pytest

from aura_contracts.approval import AnswerSource, ApprovalStatus, Channel, Level
from aura_contracts.errors import (
    ActorNotAllowed,
    AlreadyAnswered,
    InvalidInput,
    QuestionChanged,
    RuleViolated,
)
from aura_contracts.task import TaskChanges, TaskStatus
from aura_engine.host import Host, now
from engines import events_of, next_question, open_questions, scripted, settled, write
from repositories import content

pytestmark = pytest.mark.anyio

LEVELS = (Level(reviewers=("lead",)),)


@pytest.mark.deep
async def test_two_of_the_team_then_the_lead_but_never_who_asked(opened, repository):
    terms = {"reviewers": ["bob", "carol"], "quorum": 2, "levels": LEVELS, "no_self_approval": True}
    steps = scripted([write("new.txt", "x\n")], [write("new.txt", "y\n")])
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **terms, **steps)
        asked = await next_question(engine, run.id)
        assert (asked.awaited, asked.barred) == (("bob", "carol"), ("alice",))
        for name, rule in (("alice", "self_approval"), ("lead", "level"), ("mallory", "seat")):
            with pytest.raises(ActorNotAllowed) as refusal:
                await engine.approvals.approve(asked.id, by=name)
            assert refusal.value.rule == rule

        await engine.approvals.approve(asked.id, by="bob")
        await engine.approvals.delegate(asked.id, "dave", until=now() + timedelta(hours=1), by="carol")
        first = await engine.approvals.approve(asked.id, by="dave", commits=asked.commits)
        assert (first.status, first.level, first.awaited) == (ApprovalStatus.PENDING, 2, ("lead",))
        assert (await engine.tasks.get(run.id)).status is TaskStatus.AWAITING_APPROVAL

        await engine.approvals.request_changes(asked.id, "say y", by="lead")
        again = await next_question(engine, run.id)
        assert (again.level, again.awaited) == (1, ("bob", "carol"))
        with pytest.raises(QuestionChanged):
            await engine.approvals.approve(run.id, by="bob", commits=asked.commits)
        with pytest.raises(AlreadyAnswered, match="lead has answered"):
            await engine.approvals.approve(asked.id, by="bob")
        source = AnswerSource(channel=Channel.HTTP, host="desk", session="tab 3")
        for name in ("bob", "carol", "lead"):
            await engine.approvals.approve(again.id, by=name, commits=again.commits, source=source)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        votes = (await engine.approvals.get(again.id)).votes
    assert content(repository, "main", "new.txt") == "y"
    assert [(vote.reviewer, vote.level, vote.source, vote.commits) for vote in votes] == [
        ("bob", 1, source, again.commits),
        ("carol", 1, source, again.commits),
        ("lead", 2, source, again.commits),
    ]


@pytest.mark.parametrize(
    "terms",
    [
        {"no_self_approval": True},
        {"quorum": 2},
        {"levels": LEVELS, "reviewers": ["lead"], "quorum": 2},
        {"levels": (Level(reviewers=("lead",)), Level(reviewers=("lead",)))},
    ],
)
async def test_a_task_that_nobody_could_approve_is_not_created(opened, terms):
    async with opened() as engine:
        with pytest.raises(RuleViolated):
            await engine.tasks.create("Go", **terms)
        assert not (await engine.tasks.list()).rows
        task = await engine.tasks.create("Go", reviewers=["bob"], no_self_approval=True)
        with pytest.raises(ActorNotAllowed) as refusal:
            await engine.tasks.edit(task.id, TaskChanges(reviewers=("alice", "eve")))
        assert refusal.value.rule == "self_approval"
        with pytest.raises(RuleViolated):
            await engine.tasks.edit(task.id, TaskChanges(reviewers=("alice",)), by="bob")


async def test_of_two_answers_at_one_moment_one_counts_and_the_other_is_told(opened, repository):
    async with opened() as one, opened(record_only=True) as other:
        run = await one.run("Go", repositories=[str(repository)], reviewers=["bob"], **scripted([write("a", "1")]))
        asked = await next_question(one, run.id)
        refused = []

        async def answer(engine, by):
            try:
                await engine.approvals.approve(asked.id, by=by)
            except AlreadyAnswered as error:
                refused.append(error.answered_by)

        async with anyio.create_task_group() as group:
            group.start_soon(answer, one, "alice")
            group.start_soon(answer, other, "bob")
        assert (await settled(one, run.id)).status is TaskStatus.COMPLETED
        (vote,) = (await one.approvals.get(asked.id)).votes
    assert refused == [vote.reviewer]


async def test_several_are_answered_one_by_one_and_one_refusal_stops_no_other(opened, repository):
    async with opened() as engine:
        ids = []
        for reviewers in ([], ["bob"], []):
            task = await engine.tasks.create("Go", reviewers=reviewers, by="bob" if reviewers else None)
            await engine.tasks.assign(
                task.id, executor="custom", options={"base_command": "true"}, by=f"{task.created_by}"
            )
            ids.append((await engine.tasks.submit(task.id, "I do it", by=task.created_by)).id)
        await engine.tasks.cancel((await engine.approvals.get(ids[2])).task_id)
        with pytest.raises(InvalidInput):
            await engine.approvals.answer_all("rejected")
        outcomes = await engine.approvals.answer_all("approved", "fine", approvals=[*ids, "ffffffff"])
        refused = [one.refused.code for one in outcomes[1:]]
        assert refused == ["not_allowed", "question_withdrawn", "not_found"]
        assert outcomes[0].answered.status == "approved"
        assert await engine.approvals.answer_all("approved", kind="changes", by="bob") == []
        (outcome,) = await engine.approvals.answer_all("approved", kind="plan", by="bob")
        assert outcome.approval == ids[1]
        assert await open_questions(engine) == ()


@pytest.mark.deep
async def test_comments_reach_the_agent_and_stay_outdated_once_their_line_is_gone(opened, repository):
    rounds = scripted([write("new.txt", "one\ntwo\n")], [write("new.txt", "zero\none\n2\n")])
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], reviewers=["bob"], **rounds)
        asked = await next_question(engine, run.id)
        for wrong in ({"path": "no.txt", "line": 1}, {"path": "new.txt", "line": 3}, {"path": "new.txt"}):
            with pytest.raises(InvalidInput):
                await engine.approvals.comment(asked.id, "why?", **wrong)
        with pytest.raises(ActorNotAllowed):
            await engine.approvals.comment(asked.id, "hi", path="new.txt", line=1, by="mallory")
        await engine.approvals.comment(asked.id, "why two?", path="new.txt", line=2)
        kept = await engine.approvals.comment(asked.id, "good", path="new.txt", line=1)
        thread = kept.comments[0].id
        answered = await engine.approvals.comment(asked.id, "write 2", reply_to=thread, by="bob")
        assert [one.anchor.content for one in answered.comments] == ["two", "one", "two"]
        assert all(len(one.anchor.blob) == 40 for one in answered.comments)

        await engine.approvals.request_changes(asked.id, "see my comments", commits=asked.commits)
        again = await next_question(engine, run.id)
        prompts = [event.prompt for event in await events_of(engine, again.execution_id) if hasattr(event, "prompt")]
        assert "new.txt:2\n> two\nalice: why two?\nbob: write 2" in prompts[-1]
        placed = await engine.approvals.comments(again.id)
        assert [(one.line, one.outdated) for one in placed] == [(2, True), (2, False), (2, True)]
        assert {one.approval_id for one in placed} == {asked.id}
        with pytest.raises(AlreadyAnswered):
            await engine.approvals.comment(asked.id, "late", path="new.txt", line=1)


async def test_who_a_decision_was_delegated_to_is_not_asked_once_that_has_ended(opened):
    later = [timedelta(0)]
    async with opened(record_only=True, host=Host(clock=lambda: now() + later[0])) as engine:
        task = await engine.tasks.create("Fix it", reviewers=["bob"])
        agent = await engine.agents.add("outside", "scripted")
        await engine.tasks.assign(task.id, agent=agent.id)
        asked = await engine.tasks.submit(task.id, "I would do it thus")
        await engine.approvals.delegate(asked.id, "dave", until=now() + timedelta(hours=1), by="bob")
        assert [one.id for one in (await engine.approvals.list(awaiting="dave")).rows] == [asked.id]
        later[0] = timedelta(hours=2)
        assert (await engine.approvals.list(awaiting="dave")).rows == ()
        assert await engine.approvals.answer_all("approved", by="dave") == []
        (outcome,) = await engine.approvals.answer_all("approved", by="bob")
        assert outcome.answered.status is ApprovalStatus.APPROVED
