"""What is in the way of a task: it ends with a reason that a person can act on, and nothing waits for ever."""

import shutil
import threading
from contextlib import aclosing
from datetime import UTC, datetime

import anyio
import pytest

from aura_contracts import Append, Fact
from aura_contracts.actors import human, system
from aura_contracts.approval import ApprovalKind, ApprovalStatus, WithdrawApproval
from aura_contracts.catalogue import CATALOGUE
from aura_contracts.entries import Message, Usage, UsageReported
from aura_contracts.errors import (
    AggregateNotFound,
    AuraError,
    EngineClosed,
    InvalidId,
    InvalidInput,
    LogDamaged,
    StoreMisconfigured,
    StoreUnavailable,
    TemplateError,
    WorkerUnavailable,
)
from aura_contracts.events import Event
from aura_contracts.execution import AgentErrorReported, ExecutionStatus, MessageSaid, ProcessExited, ProcessStarted
from aura_contracts.failures import FailureReason
from aura_contracts.ports.executors import Conversation, Executor, Launch
from aura_contracts.task import TaskStatus
from aura_contracts.workspace import MergeAbandoned, WorkspaceStatus
from aura_engine.runtime import collection, driver, log_tail, merges
from aura_engine.runtime.gateway import Gateway
from aura_store import open_log
from aura_worker_protocol.messages import MergeWork
from aura_workspace import LocalWorkspaces
from aura_workspace._merge import MergeOperation
from engines import AT_ONCE, ONCE, events_of, everything, open_questions, scripted, settled, write
from repositories import branches, content, git, make_repository, worktrees

pytestmark = pytest.mark.anyio

NOBODY = "0192f0c1-2d3e-7abc-8def-0123456789ab"


async def stage(engine, task_id, *statuses):
    """Wait until the newest execution of a task is in one of these stages."""
    run = await engine.attach(task_id)
    with anyio.fail_after(60):
        async with aclosing(run.events(after=0, until_end=True)) as records:
            async for _ in records:
                view = await engine.tasks.view(task_id)
                if view.execution is not None and view.execution.status in statuses:
                    return view
    raise AssertionError(f"the task has ended and was never seen in {statuses}")


@pytest.mark.deep
async def test_a_repository_that_is_gone_when_its_work_is_approved_is_asked_about(opened, repository, tmp_path):
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await settled(engine, run.id)
        repository.rename(tmp_path / "away")
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, run.id)
        assert f"its repository {repository} is gone; put it back" in question.proposed_solution
        (tmp_path / "away").rename(repository)
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


@pytest.mark.deep
async def test_a_task_is_retried_while_its_agent_is_busy_with_another(opened, repository, tmp_path):
    go = tmp_path / "go"
    async with opened() as engine:
        script = f"test -e {go} && echo more > new.txt"
        shell = {"executor": "custom", "repositories": [str(repository)], "retry": ONCE}
        first = await engine.run("One", options={"base_command": "sh", "params": ["-c", script]}, **shell)
        assert (await settled(engine, first.id)).status is TaskStatus.FAILED
        wait = f"while ! test -e {tmp_path / 'end'}; do sleep 0.05; done"
        second = await engine.run("Two", options={"base_command": "sh", "params": ["-c", wait]}, **shell)
        view = await stage(engine, second.id, ExecutionStatus.CODING_INITIAL)
        assert view.agent.current_task_id == second.id
        go.touch()
        await engine.tasks.retry(first.id)
        await engine.resume(first.id)
        assert (await settled(engine, first.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.approve(first.id)
        assert (await settled(engine, first.id)).status is TaskStatus.COMPLETED
        (tmp_path / "end").touch()
        assert (await settled(engine, second.id)).status is TaskStatus.COMPLETED


async def blocked(engine, repository):
    """Return the view of a task that is blocked by a conflict."""
    edit = scripted([{"edit": {"path": "a.txt", "old": "two", "new": "zwei"}}])
    run = await engine.run("Translate", repositories=[str(repository)], **edit)
    await settled(engine, run.id)
    (repository / "a.txt").write_text("one\ndeux\nthree\n")
    git(repository, "commit", "-q", "-am", "theirs")
    await engine.approvals.approve(run.id)
    assert (await settled(engine, run.id)).status is TaskStatus.BLOCKED
    return await engine.tasks.view(run.id)


async def test_what_a_human_does_about_a_conflict_is_not_cleaned_away(opened, repository, tmp_path):
    async with opened() as engine:
        view = await blocked(engine, repository)
        tree = tmp_path.__class__(view.workspace.worktrees[0].path)
        (tree / "a.txt").write_text("one\nboth\nthree\n")
        with pytest.raises(InvalidInput, match="task"):
            await engine.workspaces.clean(view.workspace.id)
        assert (tree / "a.txt").read_text() == "one\nboth\nthree\n"

        await engine.tasks.cancel(view.task.id)
        await settled(engine, view.task.id)
        await engine.workspaces.clean(view.workspace.id)
        workspace = await engine.workspaces.get(view.workspace.id)
    assert workspace.status is WorkspaceStatus.REMOVED
    assert not tree.exists()
    assert content(repository, workspace.snapshots[-1].ref, "a.txt") == "one\nboth\nthree"


async def test_a_repository_that_is_gone_when_a_conflict_is_resolved_is_asked_about(opened, repository):
    async with opened() as engine:
        view = await blocked(engine, repository)
        (question,) = await open_questions(engine, view.task.id)
        assert question.kind is ApprovalKind.MERGE_CONFLICT
        shutil.rmtree(repository)
        await engine.approvals.approve(question.id)
        assert (await settled(engine, view.task.id)).status is TaskStatus.BLOCKED
        (again,) = await open_questions(engine, view.task.id)
    assert again.id != question.id


async def test_a_repository_that_was_gone_is_tried_again_when_it_is_back(opened, repository, tmp_path):
    setup = scripted([write("new.txt", "more\n")])
    async with opened(executions=1) as engine:
        hold = scripted([{"wait_for": str(tmp_path / "go")}])
        other = make_repository(tmp_path / "other")
        first = await engine.run("Hold", repositories=[str(other)], **hold)
        await stage(engine, first.id, ExecutionStatus.CODING_INITIAL)
        run = await engine.run("Say more", repositories=[str(repository)], retry=ONCE, **setup)
        repository.rename(tmp_path / "away")
        (tmp_path / "go").touch()
        assert (await settled(engine, run.id)).status is TaskStatus.FAILED
        (tmp_path / "away").rename(repository)
        await engine.tasks.retry(run.id)
        await engine.resume(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL


async def test_a_task_that_waits_for_room_is_called_off_at_once(opened, repository, tmp_path):
    async with opened(executions=1) as engine:
        hold = scripted([{"wait_for": str(tmp_path / "go")}])
        first = await engine.run("Hold", repositories=[str(repository)], **hold)
        await stage(engine, first.id, ExecutionStatus.CODING_INITIAL)
        run = await engine.run("Wait", repositories=[str(repository)], **hold)
        await engine.tasks.cancel(run.id)
        assert (await settled(engine, run.id, 5)).status is TaskStatus.CANCELLED
        (tmp_path / "go").touch()
        assert (await settled(engine, first.id)).status is TaskStatus.COMPLETED


async def test_nothing_is_left_of_a_task_that_is_called_off_while_its_worktree_is_made(opened, repository, monkeypatch):
    made, go = threading.Event(), threading.Event()
    prepare = LocalWorkspaces.prepare

    def slowly(self, spec):
        prepared = prepare(self, spec)
        made.set()
        go.wait(60)
        return prepared

    monkeypatch.setattr(LocalWorkspaces, "prepare", slowly)
    async with opened() as engine:
        run = await engine.run("Write", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await anyio.to_thread.run_sync(made.wait, 30)
        await engine.tasks.cancel(run.id)
        go.set()
        assert (await settled(engine, run.id)).status is TaskStatus.CANCELLED
    async with opened() as engine:
        await engine.resume(run.id)
        assert (await engine.tasks.view(run.id)).workspace.status is WorkspaceStatus.REMOVED
    assert (branches(repository), worktrees(repository)) == ({"main"}, [])


async def test_an_interrupt_before_the_agent_runs_is_not_lost(opened, repository, tmp_path):
    steps = [{"wait_for": str(tmp_path / "never")}]
    async with opened() as engine:
        run = await engine.run("Work", repositories=[str(repository)], retry=AT_ONCE, **scripted(steps))
        await stage(engine, run.id, ExecutionStatus.PREPARE_WORKSPACE, ExecutionStatus.SETUP)
        await engine.tasks.interrupt(run.id, "stop")
        task = await settled(engine, run.id)
    assert task.status is TaskStatus.FAILED
    assert task.failure.reason is FailureReason.CANCELLED


@pytest.mark.deep
async def test_a_follow_up_that_changes_nothing_asks_about_the_same_work_again(opened, repository):
    async with opened() as engine:
        rounds = ([write("new.txt", "more\n")], [{"print": "I like it as it is"}])
        run = await engine.run("Say more", repositories=[str(repository)], **scripted(*rounds))
        await settled(engine, run.id)
        await engine.approvals.reject(run.id, "less")
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


@pytest.mark.deep
async def test_work_of_before_is_asked_about_again_after_a_follow_up_that_failed(opened, repository):
    async with opened() as engine:
        rounds = ([write("new.txt", "more\n")], [{"fail": {"exit_code": 3}}], [{"print": "I like it as it is"}])
        run = await engine.run("Say more", repositories=[str(repository)], retry=ONCE, **scripted(*rounds))
        await settled(engine, run.id)
        await engine.approvals.reject(run.id, "less")
        assert (await settled(engine, run.id)).status is TaskStatus.FAILED
        await engine.tasks.retry(run.id)
        await engine.resume(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


async def test_what_was_committed_after_the_question_is_not_merged_unseen(opened, repository):
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
        tree = view.workspace.worktrees[0].path
        (repository.__class__(tree) / "unseen.txt").write_text("unseen\n")
        git(tree, "add", "-A")
        git(tree, "commit", "-q", "-m", "unseen")
        await engine.approvals.approve(run.id)
        await settled(engine, run.id)
    assert "unseen.txt" not in git(repository, "ls-tree", "--name-only", "main")


async def test_a_decision_without_an_engine_to_carry_it_out_is_recorded(opened, repository):
    async with opened() as engine:
        view = await blocked(engine, repository)
        (question,) = await open_questions(engine, view.task.id)
    async with opened(record_only=True) as engine:
        await engine.approvals.approve(question.id)
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.APPROVED
        assert (await engine.tasks.get(view.task.id)).status is TaskStatus.BLOCKED


class Speaker(Executor):
    """Says what no log holds, beside what one does."""

    name = "speaker"

    def launch(self, run):
        return Launch(argv=("sh", "-c", "echo more > new.txt; echo done"))

    def converse(self, run):
        return Talk()


class Talk(Conversation):
    def receive(self, source, data):
        return [
            Message(text="a\0b"),
            Message(text="x" * 1_500_000),
            UsageReported(usage=Usage(input_tokens=-1)),
            Message(text="heard"),
        ]


async def test_words_that_cannot_be_recorded_do_not_stop_the_task(opened, repository):
    async with opened(executors=[Speaker()]) as engine:
        run = await engine.run("Speak", executor="speaker", repositories=[str(repository)], retry=ONCE)
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        view = await engine.tasks.view(run.id)
        events = await events_of(engine, view.execution.id)
    assert "heard" in [event.entry.text for event in events if isinstance(event, MessageSaid)]
    errors = [event.entry.message for event in events if isinstance(event, AgentErrorReported)]
    assert len([error for error in errors if "left out" in error]) == 2


class Broken(Exception):
    """A defect."""


async def test_what_ends_the_engine_is_raised_as_it_is(opened, repository, monkeypatch):
    async def tail(*_, **__):
        raise LogDamaged(store="here", reason="an event is missing")
        yield

    with pytest.raises(LogDamaged):
        async with opened() as engine:
            monkeypatch.setattr(type(engine._core.log), "tail", tail)
            async with opened(drive_all=True):
                await anyio.sleep_forever()


async def test_an_outage_of_any_length_does_not_end_the_engine(opened, repository, monkeypatch):
    monkeypatch.setattr(log_tail, "TAIL_PAUSE", 0.01)
    async with opened() as engine:
        log, failures = type(engine._core.log), iter(range(3))
        tail = log.tail

        async def away(self, *arguments, **more):
            if next(failures, None) is not None:
                raise StoreUnavailable(store="here", reason="gone", waited=0.0, attempts=1)
            async with aclosing(tail(self, *arguments, **more)) as records:
                async for record in records:
                    yield record

        monkeypatch.setattr(log, "tail", away)
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
    assert next(failures, None) is None


async def test_a_defect_is_raised_as_it_is(opened, repository, monkeypatch):
    def broken(*_):
        raise Broken

    monkeypatch.setattr(driver, "next_step", broken)
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([]))
        with pytest.raises(Broken):
            await settled(engine, run.id)


async def test_an_error_that_will_not_pass_is_raised_and_logged_without_a_traceback(
    opened, repository, monkeypatch, caplog
):
    async def unreachable(*_):
        raise StoreMisconfigured(store="here", reason="the user may not log in any more", remedy="ask")

    monkeypatch.setattr(driver, "driver_view", unreachable)
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([]))
        with pytest.raises(StoreMisconfigured):
            await run.result()
    about = [record for record in caplog.records if "no longer driven" in record.getMessage()]
    assert [record.exc_info for record in about] == [None]


async def test_a_cancelled_task_without_an_execution_frees_its_agent(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Think")
        task = await engine.tasks.assign(task.id, executor="scripted")
        agent = (await engine.tasks.view(task.id)).agent
        assert agent.current_task_id == task.id
        await engine.tasks.cancel(task.id)
        assert (await engine.tasks.view(task.id)).agent.current_task_id is None


@pytest.mark.deep
async def test_work_in_place_is_rejected_and_goes_on(opened, repository):
    async with opened() as engine:
        edit = {"edit": {"path": "new.txt", "old": "more", "new": "MORE"}}
        rounds = ([write("new.txt", "more\n")], [edit])
        run = await engine.run("Say more", repositories=[str(repository)], in_place=True, **scripted(*rounds))
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.reject(run.id, "louder")
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert (repository / "new.txt").read_text() == "MORE\n"


@pytest.mark.deep
async def test_a_rejected_plan_is_made_again(opened, repository):
    async with opened() as engine:
        rounds = (
            [{"say": "first plan"}],
            [{"expect_prompt": "smaller"}, {"say": "second plan"}],
            [{"expect_prompt": "second plan"}, write("new.txt", "more\n")],
        )
        run = await engine.run("Say more", repositories=[str(repository)], approval="plan", **scripted(*rounds))
        await settled(engine, run.id)
        await engine.approvals.reject(run.id, "smaller")
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        (question,) = await open_questions(engine, run.id)
        assert question.proposed_solution == "second plan"
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


@pytest.mark.deep
async def test_of_two_repositories_one_is_left_as_it_was(opened, repository, tmp_path):
    other = make_repository(tmp_path / "other")
    before = git(other, "rev-parse", "main")
    async with opened() as engine:
        steps = [write("app/new.txt", "more\n")]
        run = await engine.run("Say more", repositories=[str(repository), str(other)], **scripted(steps))
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"
    assert git(other, "rev-parse", "main") == before


async def test_another_one_decides_for_who_delegated(opened, repository):
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await settled(engine, run.id)
        (question,) = await open_questions(engine, run.id)
        await engine.approvals.delegate(question.id, "bob")
        await engine.approvals.approve(question.id, by="bob")
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED


@pytest.mark.deep
async def test_an_engine_is_closed_in_the_middle_of_every_stage(opened, repository):
    stages = [ExecutionStatus.PREPARE_WORKSPACE, ExecutionStatus.SETUP, ExecutionStatus.CODING_INITIAL]
    stages += [ExecutionStatus.CLEANUP, ExecutionStatus.REVIEW, ExecutionStatus.DONE]
    async with opened() as engine:
        run = await engine.run(
            "Say more",
            repositories=[str(repository)],
            setup="echo setup",
            cleanup="echo cleanup",
            approval="auto",
            **scripted([write("new.txt", "more\n")]),
        )
    for index in range(len(stages)):
        async with opened(drive_all=True) as engine:
            await stage(engine, run.id, *stages[index:])
    async with opened(drive_all=True) as engine:
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        assert (await engine.tasks.view(run.id)).task.executions == 1
    assert content(repository, "main", "new.txt") == "more"


async def test_misuse_is_said(opened, repository):
    async with opened() as engine:
        nouns = (engine.attach, engine.tasks.view, engine.approvals.approve, engine.tasks.execute, engine.tasks.cancel)
        for asked in nouns:
            with pytest.raises(AggregateNotFound):
                await asked(NOBODY)
        for wrong, error in ((NOBODY, AggregateNotFound), ("nonsense", InvalidId)):
            with pytest.raises(error):
                await settled(engine, wrong)
        run = await engine.run("Look", repositories=[str(repository)], **scripted([]))
        await settled(engine, run.id)
    with pytest.raises(EngineClosed):
        await engine.run("More", **scripted([]))
    with pytest.raises(EngineClosed):
        await engine.resume(run.id)
    with pytest.raises(AuraError):
        await settled(engine, run.id)


class Noted(Event, frozen=True, kw_only=True):
    """An event of a program's own."""

    topic = "note.written"


async def test_a_run_passes_over_events_of_other_programs(opened, repository, tmp_path):
    go, url = tmp_path / "go", f"sqlite:///{tmp_path / 'aura.db'}"
    work = scripted([{"wait_for": str(go)}])
    async with opened() as engine, open_log(url, catalogue=CATALOGUE.extended([Noted])) as log:
        run = await engine.run("Wait", repositories=[str(repository)], approval="auto", **work)
        await stage(engine, run.id, ExecutionStatus.CODING_INITIAL)
        with anyio.fail_after(60):
            async with aclosing(run.events()) as records:
                await anext(records)
                fact = Fact(Noted(), datetime.now(UTC), human("bob"), "note", "note")
                await log.append(Append(NOBODY, 0, (fact,)))
                go.touch()
                topics = [record.event.topic async for record in records]
    assert "task.completed" in topics
    assert Noted.topic not in topics


# --- Decisions that outlive what failed -------------------------------------------------------------------------------


async def starts_of(engine, task_id):
    """Return how often an agent was started for a task."""
    events = [event async for event in everything(engine, task_id)]
    return sum(isinstance(record.event, ProcessStarted) and record.event.token.coding for record in events)


async def check_that_the_question_comes_back(engine, run, remove):
    """Approve a task that something keeps from being merged, twice; remove it with `remove`; it is merged then."""
    await engine.approvals.approve(run.id)
    for time in (1, 2):
        assert (await settled(engine, run.id)).status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, run.id)
        assert question.kind is ApprovalKind.MERGE_CONFLICT
        assert "merge in progress" in question.proposed_solution
        assert "Approve to try again" in question.proposed_solution
        if time == 2:
            remove()
        await engine.approvals.approve(question.id)
    assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert await starts_of(engine, run.id) == 1, "its work was done"


async def cancelled_on_the_way_to_a_merge(engine, repository, monkeypatch, owner, name, request=object):
    """Return the topics of a task that is cancelled as a function is called, with such a last argument."""
    function = getattr(owner, name)

    async def cancelling(*arguments):
        if isinstance(arguments[-1], request):
            monkeypatch.setattr(owner, name, function)
            await engine.tasks.cancel(run.id)
        return await function(*arguments)

    run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
    await settled(engine, run.id)
    monkeypatch.setattr(owner, name, cancelling)
    await engine.approvals.approve(run.id)
    assert (await settled(engine, run.id)).status is TaskStatus.CANCELLED
    return [record.event.topic for record in await engine.events.list(task=run.id)]


async def test_a_task_that_is_cancelled_before_its_merge_begins_is_not_merged(opened, repository, monkeypatch):
    before = git(repository, "rev-parse", "main")
    async with opened() as engine:
        topics = await cancelled_on_the_way_to_a_merge(engine, repository, monkeypatch, merges, "save")
    assert "workspace.merge_started" not in topics
    assert git(repository, "rev-parse", "main") == before


@pytest.mark.deep
async def test_a_merge_that_was_made_while_its_task_was_cancelled_is_on_record(opened, repository, monkeypatch):
    async with opened() as engine:
        gateway = type(engine._core.runtime.gateway)
        topics = await cancelled_on_the_way_to_a_merge(engine, repository, monkeypatch, gateway, "request", MergeWork)
    assert "workspace.merged" in topics
    assert "workspace.merge_abandoned" not in topics
    assert content(repository, "main", "new.txt") == "more"


@pytest.mark.deep_but_first
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("merged", [True, False])
async def test_a_task_that_is_cancelled_after_its_engine_died_in_a_merge_tells_what_was_merged(
    opened, repository, tmp_path, monkeypatch, merged, plain
):
    place = repository
    if plain:
        place = tmp_path / "plain"
        place.mkdir()
    dead = anyio.Event()

    async def die(gateway, request, answer=Gateway.request):
        if isinstance(request, MergeWork) and not dead.is_set():
            if merged:
                await answer(gateway, request)
            dead.set()
            await anyio.sleep_forever()
        return await answer(gateway, request)

    monkeypatch.setattr(Gateway, "request", die)
    work = {"approval": "auto", **scripted([write("new.txt", "more\n")])}
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(place)], **work)
        await dead.wait()
    async with opened() as engine:
        await engine.tasks.cancel(run.id)
        await engine.resume(run.id)
        await settled(engine, run.id)
        topics = [record.event.topic for record in await engine.events.list(task=run.id)]
        assert ("workspace.merged" in topics, "workspace.merge_abandoned" in topics) == (merged, not merged)
        assert ((await engine.tasks.view(run.id)).workspace.merges != ()) == merged
    if plain:
        assert (place / "new.txt").exists() == merged
    else:
        assert ("new.txt" in git(repository, "ls-tree", "--name-only", "main")) == merged


@pytest.mark.deep
@pytest.mark.parametrize("decision", ["rejected", "withdrawn", "rejected when a target is away"])
async def test_a_conflict_given_up_after_half_of_a_merge_tells_what_was_merged(
    opened, repository, tmp_path, monkeypatch, decision
):
    """The worker was killed between two repositories; meanwhile a human changed the second."""
    second = make_repository(tmp_path / "second", {"b.txt": "one\n"})

    def lose(operation, plan, merge=MergeOperation._merge):
        if plan.checkout.repository.path == str(second):
            monkeypatch.setattr(MergeOperation, "_merge", merge)
            (second / "b.txt").write_text("deux\n")
            git(second, "commit", "-q", "-am", "theirs")
            raise WorkerUnavailable(reason="it was killed")
        return merge(operation, plan)

    monkeypatch.setattr(MergeOperation, "_merge", lose)
    work = scripted([write("app/new.txt", "more\n"), write("second/b.txt", "zwei\n")], [write("app/last.txt", "x\n")])
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository), str(second)], **work)
        await settled(engine, run.id)
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, run.id)
        assert "second: b.txt changed on main as well" in question.proposed_solution
        if decision == "rejected when a target is away":
            repository.rename(tmp_path / "away")
        if decision == "withdrawn":
            await engine._core.bus.handle(system("engine"), question.id, WithdrawApproval(reason="nobody is there"))
        else:
            await engine.approvals.reject(question.id, "Say it later")
        task = await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
        abandoned = [
            one.reason for one in await events_of(engine, view.workspace.id) if isinstance(one, MergeAbandoned)
        ]
    assert task.status is (TaskStatus.AWAITING_APPROVAL if decision == "rejected" else TaskStatus.FAILED)
    assert view.execution.follow_ups == (decision != "withdrawn")
    if decision == "rejected when a target is away":
        (reason,) = abandoned
        assert "whether it has merged anything is not known" in reason
    else:
        assert not abandoned
        assert [one.repository for merge in view.workspace.merges for one in merge.commits] == ["app"]
        assert content(repository, "main", "new.txt") == "more"


def half_merge(tree):
    """Begin a merge with a conflict in a worktree, and leave it half finished."""
    git(tree, "branch", "theirs")
    git(tree, "checkout", "-q", "theirs")
    (tree / "a.txt").write_text("one\ndeux\nthree\n")
    git(tree, "commit", "-q", "-am", "theirs")
    git(tree, "checkout", "-q", "-")
    (tree / "a.txt").write_text("one\ntwee\nthree\n")
    git(tree, "commit", "-q", "-am", "ours")
    with pytest.raises(AssertionError, match="merge"):
        git(tree, "merge", "-q", "theirs")


@pytest.mark.deep
async def test_a_merge_that_a_human_left_half_finished_in_the_target_does_not_use_up_the_decision(opened, repository):
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await settled(engine, run.id)
        half_merge(repository)
        await check_that_the_question_comes_back(engine, run, lambda: git(repository, "merge", "--abort"))
    assert content(repository, "main", "new.txt") == "more"


@pytest.mark.deep
async def test_a_merge_left_half_finished_in_the_worktree_does_not_use_up_the_decision(opened, repository, tmp_path):
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
        tree = tmp_path.__class__(view.workspace.worktrees[0].path)
        (repository / "a.txt").write_text("one\ndeux\nthree\n")
        git(repository, "commit", "-q", "-am", "theirs")
        (tree / "a.txt").write_text("one\ntwee\nthree\n")
        git(tree, "commit", "-q", "-am", "ours")
        with pytest.raises(AssertionError, match="merge"):
            git(tree, "merge", "-q", "main")
        await engine.approvals.approve(run.id)
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.BLOCKED, task.failure
        (question,) = await open_questions(engine, run.id)
        await engine.approvals.approve(question.id)
        assert (await settled(engine, run.id)).status is TaskStatus.BLOCKED, "it comes back"
        git(tree, "checkout", "-q", "--ours", "a.txt")
        git(tree, "commit", "-q", "-am", "both")
        for _ in range(2):  # what was obstructed, then what the human has added
            (question,) = await open_questions(engine, run.id)
            await engine.approvals.approve(question.id)
            if (await settled(engine, run.id)).status is TaskStatus.COMPLETED:
                break
        assert (await engine.tasks.get(run.id)).status is TaskStatus.COMPLETED
        assert await starts_of(engine, run.id) == 1
    assert content(repository, "main", "a.txt") == "one\ntwee\nthree"


async def test_a_template_that_is_broken_when_work_is_rejected_does_not_use_up_the_decision(
    opened, repository, monkeypatch
):
    async def broken(*_, **__):
        raise TemplateError(template="follow_up", line=1, reason="unexpected end of template")

    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await settled(engine, run.id)
        monkeypatch.setattr(type(engine._core.runtime.prompts), "asking", broken)
        with pytest.raises(TemplateError):
            await engine.approvals.reject(run.id, "more than more")
        (question,) = await open_questions(engine, run.id)
        await engine.approvals.approve(question.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED


async def test_work_that_git_refuses_to_commit_fails_without_running_the_agent_again(opened, repository, monkeypatch):
    """The agent leaves a merge half finished in its worktree."""
    monkeypatch.setattr(collection, "_COLLECT_PAUSES", (0.0,))
    half = (
        "git branch theirs && echo more > new.txt && git add . && git commit -qm ours && git checkout -q theirs &&"
        " echo less > new.txt && git add . && git commit -qm theirs && git checkout -q - && ! git merge -q theirs"
    )
    agent = {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", half]}}
    async with opened() as engine:
        run = await engine.run("Merge", repositories=[str(repository)], retry=AT_ONCE, **agent)
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.FAILED
        assert task.failure.reason is FailureReason.WORKSPACE_ERROR
        assert "merge in progress" in task.failure.message
        assert await starts_of(engine, run.id) == 1
        events = [record.event async for record in everything(engine, run.id)]
    assert any(isinstance(event, ProcessExited) for event in events), "how it ended is on record"
