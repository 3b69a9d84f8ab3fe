"""What is in the way of a task: it ends with a reason that a person can act on, and nothing waits for ever."""

import shutil

import anyio
import pytest

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import InvalidInput
from aura_contracts.execution import ExecutionStatus
from aura_contracts.failures import FailureReason
from aura_contracts.task import RetryPolicy, TaskStatus
from aura_contracts.workspace import WorkspaceStatus
from aura_engine.bootstrap import open_engine
from repositories import content, git, make_repository

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(base_delay=0.01, max_delay=0.01)
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path / "app", {"README": "hello\n", "a.txt": "one\ntwo\nthree\n"})


@pytest.fixture
def opened(tmp_path):
    """Opens engines on one log, with one home."""

    def open_one(**options):
        return open_engine(f"sqlite:///{tmp_path / 'aura.db'}", home=tmp_path / "home", user="alice", **options)

    return open_one


def scripted(*rounds):
    return {"executor": "scripted", "options": {"rounds": [list(steps) for steps in rounds]}}


def write(path, text):
    return {"write": {"path": path, "text": text}}


async def settled(engine, task_id, seconds=20):
    with anyio.fail_after(seconds):
        return await engine.settled(task_id)


async def stage(engine, task_id, *statuses):
    """Wait until the newest execution of a task is in one of these stages."""
    with anyio.fail_after(20):
        while True:
            head = await engine.log.head()
            view = await engine.view(task_id)
            if view.execution is not None and view.execution.status in statuses:
                return view
            await engine.log.wait(head)


async def test_work_that_is_gone_when_it_is_approved_fails_the_task(opened, repository):
    async with opened() as engine:
        task = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await settled(engine, task.id)
        shutil.rmtree(repository)
        await engine.approve_task(task.id)
        task = await settled(engine, task.id)
    assert task.status is TaskStatus.FAILED
    assert task.failure.reason is FailureReason.WORKSPACE_ERROR


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
        await engine.drive(first.id)
        assert (await settled(engine, first.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approve_task(first.id)
        assert (await settled(engine, first.id)).status is TaskStatus.COMPLETED
        (tmp_path / "end").touch()
        assert (await settled(engine, second.id)).status is TaskStatus.COMPLETED


async def blocked(engine, repository):
    """Return the view of a task that is blocked by a conflict."""
    edit = scripted([{"edit": {"path": "a.txt", "old": "two", "new": "zwei"}}])
    task = await engine.run("Translate", repositories=[str(repository)], **edit)
    await settled(engine, task.id)
    (repository / "a.txt").write_text("one\ndeux\nthree\n")
    git(repository, "commit", "-q", "-am", "theirs")
    await engine.approve_task(task.id)
    assert (await settled(engine, task.id)).status is TaskStatus.BLOCKED
    return await engine.view(task.id)


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


async def test_work_that_is_gone_when_its_conflict_is_resolved_fails_the_task(opened, repository):
    async with opened() as engine:
        view = await blocked(engine, repository)
        (question,) = await engine.approvals.pending(view.task.id)
        assert question.kind is ApprovalKind.MERGE_CONFLICT
        shutil.rmtree(repository)
        await engine.approvals.approve(question.id)
        assert (await settled(engine, view.task.id)).status is TaskStatus.FAILED


async def test_a_repository_that_was_gone_is_tried_again_when_it_is_back(opened, repository, tmp_path):
    setup = scripted([write("new.txt", "more\n")])
    async with opened(executions=1) as engine:
        hold = scripted([{"wait_for": str(tmp_path / "go")}])
        other = make_repository(tmp_path / "other")
        first = await engine.run("Hold", repositories=[str(other)], **hold)
        await stage(engine, first.id, ExecutionStatus.CODING_INITIAL)
        task = await engine.run("Say more", repositories=[str(repository)], retry=ONCE, **setup)
        repository.rename(tmp_path / "away")
        (tmp_path / "go").touch()
        assert (await settled(engine, task.id)).status is TaskStatus.FAILED
        (tmp_path / "away").rename(repository)
        await engine.tasks.retry(task.id)
        await engine.drive(task.id)
        assert (await settled(engine, task.id)).status is TaskStatus.AWAITING_APPROVAL


async def test_a_task_that_waits_for_room_is_called_off_at_once(opened, repository, tmp_path):
    async with opened(executions=1) as engine:
        hold = scripted([{"wait_for": str(tmp_path / "go")}])
        first = await engine.run("Hold", repositories=[str(repository)], **hold)
        await stage(engine, first.id, ExecutionStatus.CODING_INITIAL)
        task = await engine.run("Wait", repositories=[str(repository)], **hold)
        await engine.tasks.cancel(task.id)
        assert (await settled(engine, task.id, 5)).status is TaskStatus.CANCELLED
        (tmp_path / "go").touch()
        assert (await settled(engine, first.id)).status is TaskStatus.COMPLETED


async def test_an_interrupt_before_the_agent_runs_is_not_lost(opened, repository, tmp_path):
    setup = f"touch {tmp_path / 'setup'}; while ! test -e {tmp_path / 'go'}; do sleep 0.05; done"
    steps = [{"wait_for": str(tmp_path / "never")}]
    async with opened() as engine:
        task = await engine.run("Work", repositories=[str(repository)], retry=AT_ONCE, **scripted(steps))
        await engine.tasks.interrupt(task.id, "stop")
        task = await settled(engine, task.id)
    assert task.status is TaskStatus.FAILED
    assert task.failure.reason is FailureReason.CANCELLED, setup


async def test_a_follow_up_that_changes_nothing_asks_about_the_same_work_again(opened, repository):
    async with opened() as engine:
        rounds = ([write("new.txt", "more\n")], [{"print": "I like it as it is"}])
        task = await engine.run("Say more", repositories=[str(repository)], **scripted(*rounds))
        await settled(engine, task.id)
        await engine.reject_task(task.id, "less")
        assert (await settled(engine, task.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approve_task(task.id)
        assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


async def test_what_was_committed_after_the_question_is_not_merged_unseen(opened, repository):
    async with opened() as engine:
        task = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        await settled(engine, task.id)
        view = await engine.view(task.id)
        tree = view.workspace.worktrees[0].path
        (repository.__class__(tree) / "unseen.txt").write_text("unseen\n")
        git(tree, "add", "-A")
        git(tree, "commit", "-q", "-m", "unseen")
        await engine.approve_task(task.id)
        await settled(engine, task.id)
    assert "unseen.txt" not in git(repository, "ls-tree", "--name-only", "main")


async def test_a_decision_that_nobody_carries_out_settles_the_task(opened, repository):
    async with opened() as engine:
        view = await blocked(engine, repository)
        (question,) = await engine.approvals.pending(view.task.id)
    async with opened(drive_all=False) as engine:
        await engine.approvals.approve(question.id)
        assert (await settled(engine, view.task.id, 5)).status is TaskStatus.BLOCKED


@pytest.mark.parametrize("text", ["a\0b", "x" * 3_000_000], ids=["NUL", "long"])
async def test_words_that_cannot_be_recorded_do_not_stop_the_task(opened, repository, text):
    async with opened() as engine:
        steps = [{"say": text}, write("new.txt", "more\n")]
        task = await engine.run("Speak", repositories=[str(repository)], retry=ONCE, **scripted(steps))
        assert (await settled(engine, task.id)).status is TaskStatus.AWAITING_APPROVAL


async def test_a_cancelled_task_without_an_execution_frees_its_agent(opened):
    async with opened() as engine:
        task = await engine.create_task("Think")
        task = await engine.assign_task(task.id, executor="scripted")
        agent = (await engine.view(task.id)).agent
        assert agent.current_task_id == task.id
        await engine.tasks.cancel(task.id)
        assert (await engine.view(task.id)).agent.current_task_id is None
