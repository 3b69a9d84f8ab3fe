"""What an agent may do about its own task, as far as the log is concerned."""

import anyio
import attrs
import pytest

from agents_at_work import ALICE, ENGINE, agent_at_work, put_to_work
from aura_contracts.actors import agent, human
from aura_contracts.approval import (
    APPROVAL,
    ApprovalKind,
    ApprovalStatus,
    Approve,
    ExpireApproval,
    Question,
    Reject,
    RequestApproval,
    RequestChanges,
    WithdrawApproval,
)
from aura_contracts.errors import ActorNotAllowed, AggregateNotFound, RuleViolated, VersionConflict
from aura_contracts.execution import EXECUTION
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.task import (
    ApprovalMode,
    CancelTask,
    CreateTask,
    DeleteTask,
    EditTask,
    Priority,
    ReparentTask,
    TaskChanges,
)
from aura_engine.agent_tools import api
from aura_engine.agent_tools.access import ScopeEnded, TaskScope, TokenRefused
from aura_engine.agent_tools.api import OwnTask
from aura_engine.permissions.inquiries import choice_of, inquiries_of, withdraw_inquiries
from aura_engine.policy.evidence import evidence_of
from aura_engine.policy.sources import PolicySources
from aura_engine.runtime.context import review_of, subtask_spec
from conditions import until

pytestmark = pytest.mark.anyio

SOON = 60.0
"""Seconds within which everything happens here."""


# --- Reading and telling ----------------------------------------------------------------------------------------------


async def test_a_task_is_read_with_what_surrounds_it():
    async with agent_at_work(description="At once", context={"issue": 7}) as work:
        above = await work.create("The release")
        below = await work.create("A part", work.task_id)
        gone = await work.create("Another part", work.task_id)
        await work.create("Something else")
        await work.bus.handle(ALICE, work.task_id, ReparentTask(parent_id=above))
        await work.bus.handle(ALICE, gone, DeleteTask())
        story = await work.own.read()
        assert (story.task.title, story.task.description, story.task.context) == (
            "Fix the login", "At once", {"issue": 7},
        )  # fmt: skip
        assert story.parent is not None
        assert story.parent.title == "The release"
        assert [one.id for one in story.subtasks] == [below]
        assert (list(story.feedback), list(story.questions)) == ([], [])


async def test_subtasks_that_come_and_go_are_seen():
    async with agent_at_work() as work:
        own = work.own
        first = await work.create("First", work.task_id)
        assert [one.id for one in await own.subtasks()] == [first]
        second = await work.create("Second")
        await work.bus.handle(ALICE, second, ReparentTask(parent_id=work.task_id))
        await work.bus.handle(ALICE, first, ReparentTask(parent_id=None))
        assert [one.id for one in await own.subtasks()] == [second]


async def test_progress_is_recorded_in_the_agents_name():
    async with agent_at_work() as work:
        await work.own.report("half of it", step="tests", percent=50)
        await work.own.report("more")
        assert await work.actions() == [
            ("progress_reported", {"message": "half of it", "step": "tests", "percent": 50}),
            ("progress_reported", {"message": "more"}),
        ]
        facts = await work.bus.log.facts(work.execution_id)
        assert facts[-1].actor == agent(work.agent_id)


async def test_progress_has_an_end(monkeypatch):
    monkeypatch.setattr(api, "PROGRESS_LIMIT", 2)
    async with agent_at_work() as work:
        await work.own.report("one")
        await work.own.report("two")
        with pytest.raises(RuleViolated, match="at most 2"):
            await work.own.report("three")


# --- Subtasks ---------------------------------------------------------------------------------------------------------


async def test_a_subtask_is_reviewed_as_its_parent_is():
    async with agent_at_work(reviewers=("bob",), approval_mode=ApprovalMode.BOTH, project="web") as work:
        task, created = await work.own.create_subtask("Clean up", "Later", priority=Priority.LOW)
        assert created
        assert (task.parent_id, task.created_by) == (work.task_id, agent(work.agent_id))
        assert (task.reviewers, task.approval_mode, task.project) == (("alice", "bob"), ApprovalMode.BOTH, "web")
        assert await work.actions() == [("subtask_created", {"subtask_id": task.id, "title": "Clean up"})]


async def test_who_asked_for_a_task_does_not_decide_about_its_parts_either():
    async with agent_at_work(reviewers=("bob",), no_self_approval=True) as work:
        part, _ = await work.own.create_subtask("Clean up")
        spec = subtask_spec(part, "Sweep", "", priority=Priority.LOW)
        below = await work.bus.handle(
            ENGINE, (part_id := TaskId(work.bus.ids())), CreateTask(task_id=part_id, spec=spec)
        )
        for task in (part, below):
            assert (task.requester, evidence_of(task).creator) == ("alice", "alice")
            assert (review_of(task)["reviewers"], review_of(task)["barred"]) == (("bob",), ("alice",))
            with pytest.raises(ActorNotAllowed):
                await work.bus.handle(ALICE, task.id, EditTask(changes=TaskChanges(reviewers=("alice",))))
            with pytest.raises(RuleViolated):
                await work.bus.handle(human("bob"), task.id, EditTask(changes=TaskChanges(reviewers=("alice",))))
            await work.bus.handle(ALICE, task.id, CancelTask())


async def test_the_same_words_are_the_same_subtask():
    async with agent_at_work() as work:
        task, _ = await work.own.create_subtask("Clean up", "Later")
        assert await work.own.create_subtask("Clean up", "Later") == (task, False)
        other, created = await work.own.create_subtask("Clean up", "Now")
        assert created
        assert other.id != task.id
        assert len(await work.actions()) == 2


async def test_a_run_creates_so_many_subtasks_whoever_counts(monkeypatch):
    monkeypatch.setattr(api, "SUBTASK_LIMIT", 10)
    async with agent_at_work() as work:
        hands = [work.own for _ in range(4)]  # as of four servers
        refused = []

        async def create(number: int) -> None:
            try:
                await hands[number % 4].create_subtask(f"Part {number}")
            except RuleViolated as error:
                refused.append(error.rule)

        async with anyio.create_task_group() as group:
            for number in range(14):
                group.start_soon(create, number)
        assert refused == ["limit"] * 4
        assert len(await work.own.subtasks()) == 10


async def test_subtasks_of_subtasks_have_an_end(monkeypatch):
    monkeypatch.setattr(api, "DEPTH_LIMIT", 3)
    async with agent_at_work() as work:
        above = await work.create("Above")
        await work.bus.handle(ALICE, work.task_id, ReparentTask(parent_id=above))
        await work.own.create_subtask("At the edge")
        top = await work.create("Top")
        await work.bus.handle(ALICE, above, ReparentTask(parent_id=top))
        await work.own.create_subtask("At the very edge")
        await work.bus.handle(ALICE, top, ReparentTask(parent_id=await work.create("Topmost")))
        with pytest.raises(RuleViolated, match="3 others above"):
            await work.own.create_subtask("Beyond it")


async def test_a_title_has_to_be_one():
    async with agent_at_work() as work:
        with pytest.raises(RuleViolated):
            await work.own.create_subtask("  ")
        assert await work.actions() == []


# --- Asking -----------------------------------------------------------------------------------------------------------


async def test_a_question_is_answered():
    async with agent_at_work(reviewers=("bob",)) as work:
        own = work.own
        asked = await own.ask("May I drop the column?")
        assert (asked.kind, asked.status) == (ApprovalKind.QUESTION, ApprovalStatus.PENDING)
        assert (asked.requested_by, asked.reviewers) == (agent(work.agent_id), ("alice", "bob"))
        assert (await own.wait(asked.id)).status is ApprovalStatus.PENDING
        with pytest.raises(ActorNotAllowed):
            await work.bus.handle(agent(work.agent_id), asked.id, Approve())
        await work.bus.handle(human("bob"), asked.id, Reject(feedback="Somebody reads it"))
        told = await own.wait(asked.id)
        assert (told.status, told.feedback) == (ApprovalStatus.REJECTED, "Somebody reads it")
        await own.wait(asked.id)
        assert await work.actions() == [
            ("inquiry_made", {"approval_id": asked.id}),
            ("inquiry_answered", {"approval_id": asked.id, "status": "rejected"}),
        ]


async def test_who_waits_is_told_at_once():
    async with agent_at_work() as work:
        own = work.own
        asked = await own.ask("May I?")
        told = []

        async def wait() -> None:
            told.append(await own.wait(asked.id, SOON))

        with anyio.fail_after(SOON):
            async with anyio.create_task_group() as group:
                group.start_soon(wait)
                await own.report("waiting")
                await work.bus.handle(ALICE, asked.id, RequestChanges(feedback="On a copy"))
        assert (told[0].status, told[0].feedback) == (ApprovalStatus.NEEDS_CHANGES, "On a copy")


async def _waits(work):
    return (await work.bus.require(EXECUTION, work.execution_id)).awaited


async def test_who_stops_waiting_changes_nothing():
    async with agent_at_work() as work:
        asked = await work.own.ask("May I?")
        for _ in range(2):
            async with anyio.create_task_group() as group:
                group.start_soon(work.own.wait, asked.id, SOON)
                await until(lambda: _waits(work))
                group.cancel_scope.cancel()
        assert await work.own.ask("May I?") == asked
        assert [name for name, _ in await work.actions()] == ["inquiry_made", "inquiry_awaited"]


async def test_a_wait_is_recorded_when_it_lasts_longer_than_the_last_one(monkeypatch):
    monkeypatch.setattr(api, "_NOTED_WAIT", 0.02)
    monkeypatch.setattr(api, "BETWEEN_WAITS", 0.01)
    async with agent_at_work() as work:
        asked = await work.own.ask("May I?")
        await work.own.wait(asked.id, 0.1)
        waits = [said["until"] for name, said in await work.actions() if name == "inquiry_awaited"]
        assert len(waits) > 1, "a wait whose process is killed soon ends"
        assert waits == sorted(waits)
        assert await work.own.wait(asked.id) == asked
        execution = await work.bus.require(EXECUTION, work.execution_id)
        assert list(execution.awaited) == [asked.id]


async def test_the_same_words_are_the_same_question_until_the_answer_was_told():
    async with agent_at_work() as first:
        asked = await first.own.ask("May I?")
        second = await first.again()
        assert await second.own.ask("May I?") == asked
        await second.bus.handle(ALICE, asked.id, Approve(feedback="Go"))
        third = await second.again()
        answered = await third.own.ask("May I?")
        assert (answered.id, answered.feedback) == (asked.id, "Go")
        await third.own.wait(asked.id)
        last = await third.again()
        new = await last.own.ask("May I?")
        assert new.id != asked.id
        assert new.status is ApprovalStatus.PENDING
        assert [one.id for one in (await last.own.read()).questions] == [asked.id, new.id]


async def test_two_who_ask_the_same_at_once_ask_once():
    async with agent_at_work() as work:
        asked = []

        async def ask(words: str) -> None:
            asked.append((await work.own.ask(words)).id)

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(ask, "May I?")
                group.start_soon(ask, "Or not?")
        assert len(asked) == 8
        assert len(set(asked)) == 2
        assert len(await inquiries_of(work.bus, work.task_id)) == 2


async def test_questions_have_an_end(monkeypatch):
    monkeypatch.setattr(api, "INQUIRY_LIMIT", 1)
    async with agent_at_work() as work:
        await work.own.ask("May I?")
        await work.own.ask("May I?")
        with pytest.raises(RuleViolated, match="1 questions"):
            await work.own.ask("And this?")


@pytest.mark.parametrize(
    ("feedback", "choice"),
    [(None, "red"), ("2", "dark\tblue"), ("2.", "dark\tblue"), ("Dark Blue", "dark\tblue"), ("0", None), ("3", None),
     ("9" * 30, None), ("²", None), ("whatever you like", None)],
)  # fmt: skip
async def test_a_question_may_offer_choices(feedback, choice):
    async with agent_at_work() as work:
        asked = await work.own.ask("Which colour?", ["red", "dark\tblue"])
        assert "\n2. dark blue" in asked.proposed_solution
        await work.bus.handle(ALICE, asked.id, Approve(feedback=feedback))
        told = await work.own.wait(asked.id)
        assert choice_of(told) == (choice and choice.replace("\t", " "))


async def test_a_no_is_none_of_the_choices():
    async with agent_at_work() as work:
        asked = await work.own.ask("Which colour?", ["red", "blue"])
        await work.bus.handle(ALICE, asked.id, Reject(feedback="1"))
        assert choice_of(await work.own.wait(asked.id)) is None
        assert choice_of(await work.own.ask("Any colour?")) is None


async def test_questions_that_nobody_answered_are_taken_back():
    async with agent_at_work() as work:
        first, second = await work.own.ask("May I?"), await work.own.ask("And this?")
        await work.bus.handle(ALICE, first.id, Approve())
        async with work.bus.unit(ENGINE) as unit:
            await withdraw_inquiries(unit, work.task_id, "the task is over")
        told = [await work.own.wait(one.id) for one in (first, second)]
        assert [one.status for one in told] == [ApprovalStatus.APPROVED, ApprovalStatus.WITHDRAWN]


async def test_a_question_that_is_asked_while_all_are_taken_back_is_not_left_open():
    async with agent_at_work() as work:
        with pytest.raises(VersionConflict):
            async with work.bus.unit(ENGINE) as unit:
                await withdraw_inquiries(unit, work.task_id, "the task is over")
                await work.own.ask("May I?")
                await unit.handle(work.task_id, EditTask(changes=TaskChanges(title="Another one")))


async def test_who_asked_may_take_it_back_and_a_question_does_not_expire():
    async with agent_at_work() as work:
        asked = await work.own.ask("May I?")
        with pytest.raises(RuleViolated):
            await work.bus.handle(ENGINE, asked.id, ExpireApproval())
        await work.bus.handle(agent(work.agent_id), asked.id, WithdrawApproval())
        state = await work.bus.get(APPROVAL, asked.id)
        assert state.status is ApprovalStatus.WITHDRAWN


# --- The scope --------------------------------------------------------------------------------------------------------


async def every_method(own: OwnTask, approval_id: ApprovalId) -> list[str]:
    """Call everything there is; return the codes of the refusals."""
    codes = []
    for call in (
        own.read(),
        own.subtasks(),
        own.report("more"),
        own.create_subtask("Part"),
        own.ask("May I?"),
        own.wait(approval_id),
    ):
        with pytest.raises((ScopeEnded, TokenRefused)) as refused:
            await call
        codes.append(refused.value.code)
    return codes


async def test_nothing_is_taken_in_of_a_run_that_has_ended():
    async with agent_at_work() as work:
        asked = await work.own.ask("May I?")
        own, before = work.own, await work.bus.log.head()
        await work.again()
        begun = await work.bus.log.head()
        assert begun > before
        assert await every_method(own, asked.id) == ["scope_ended"] * 6
        assert await work.bus.log.head() == begun


async def test_a_cancelled_run_has_ended():
    async with agent_at_work() as work:
        await work.end()
        await work.bus.handle(ALICE, work.task_id, CancelTask())
        with pytest.raises(ScopeEnded, match="Failed"):
            await work.own.read()


async def test_a_scope_of_another_store_or_of_a_run_of_another_task_is_none():
    async with agent_at_work() as work:
        other = await put_to_work(work.bus, work.reads, "Something else")
        asked = await work.own.ask("May I?")
        for scope in (
            TaskScope(task_id=work.task_id, execution_id=other.execution_id),
            TaskScope(task_id=work.task_id, execution_id=work.bus.ids()),
        ):
            assert await every_method(OwnTask(work.bus, work.reads, scope), asked.id) == ["token_refused"] * 6


async def test_questions_of_others_and_other_approvals_are_out_of_reach():
    async with agent_at_work() as work:
        other = await put_to_work(work.bus, work.reads, "Something else")
        asked = await other.own.ask("May I?")
        plan = ApprovalId(work.bus.ids())
        request = RequestApproval(
            approval_id=plan,
            question=Question(
                kind=ApprovalKind.PLAN, reviewers=("alice",), task_id=work.task_id, proposed_solution="This way"
            ),
        )
        await work.bus.handle(ENGINE, plan, request)
        for approval_id in (asked.id, plan, work.task_id, work.bus.ids()):
            with pytest.raises(AggregateNotFound):
                await work.own.wait(approval_id, SOON)


# --- Policies ---------------------------------------------------------------------------------------------------------


async def test_a_plan_is_held_back_where_it_is_unknown_whether_a_rule_rejects_it(tmp_path):
    file = tmp_path / "policies.yaml"
    file.write_text("rules:\n  - {reject: model, when: {model: opus}, because: Use another model.}\n")
    async with agent_at_work(approval_mode=ApprovalMode.AUTO) as work:
        own = OwnTask(work.bus, work.reads, work.scope, PolicySources(file))
        assert (await own.submit("I rename it")).status is ApprovalStatus.PENDING


async def test_a_plan_waits_where_callables_judge_that_only_the_engine_can_ask():
    async with agent_at_work(approval_mode=ApprovalMode.AUTO) as work:
        own = OwnTask(work.bus, work.reads, attrs.evolve(work.scope, has_callables=True))
        asked = await own.submit("I rename it")
        assert (asked.status, asked.policy) == (ApprovalStatus.PENDING, None)
