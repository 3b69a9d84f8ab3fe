"""The whole way, from prompt to merge, with real repositories, real processes and a real log."""

from contextlib import aclosing

import anyio
import pytest

from aura_contracts.approval import ApprovalKind, ApprovalStatus
from aura_contracts.errors import ExecutableNotFound, InvalidInput
from aura_contracts.execution import ExecutionStatus
from aura_contracts.failures import FailureReason
from aura_contracts.output import OutputRecorded, OutputSource
from aura_contracts.task import ApprovalMode, TaskStatus
from aura_contracts.workspace import WorkspaceStatus
from aura_engine import RunRequest, open_engine
from aura_engine.runtime.standby import lock_of
from aura_store import locks_for
from engines import AT_ONCE, all_questions, everything, next_question, open_questions, scripted, settled, write
from repositories import branches, content, git, worktrees

pytestmark = pytest.mark.anyio


async def output_of(engine, task_id):
    """Return what was written, by source."""
    written = dict.fromkeys(OutputSource, b"")
    async with aclosing(everything(engine, task_id)) as records:
        async for record in records:
            if isinstance(record.event, OutputRecorded):
                for chunk in record.event.chunks:
                    written[chunk.source] += chunk.raw
    return written


async def has_written(engine, task_id, text):
    """Wait until `text` was written and recorded."""
    written = b""
    async with aclosing(everything(engine, task_id)) as records:
        async for record in records:
            if isinstance(record.event, OutputRecorded):
                written += b"".join(chunk.raw for chunk in record.event.chunks)
                if text in written:
                    return
    raise AssertionError(f"the task is settled and has never written {text!r}")


async def test_changes_are_approved_and_merged(opened, repository):
    (repository / "README").write_text("hello, not committed\n")
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted([write("new.txt", "more\n")]))
        assert (await run.task()).status is TaskStatus.IN_PROGRESS
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.AWAITING_APPROVAL
        (question,) = await open_questions(engine, run.id)
        assert question.kind is ApprovalKind.CHANGES
        assert "new.txt" in question.proposed_solution
        assert "new.txt" not in git(repository, "ls-tree", "--name-only", "main")

        await engine.approvals.approve(question.id)
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.COMPLETED
        view = await engine.tasks.view(run.id)
        ends = [event.event.topic async for event in run.events(after=0) if event.event.topic.endswith(".completed")]
        assert ends == ["execution.completed", "task.completed"]

    assert content(repository, "main", "new.txt") == "more"
    assert (repository / "new.txt").read_text() == "more\n"
    assert (repository / "README").read_text() == "hello, not committed\n", "the user's own work is untouched"
    assert view.execution.status is ExecutionStatus.DONE
    assert view.workspace.status is WorkspaceStatus.REMOVED
    assert worktrees(repository) == []
    assert branches(repository) == {"main"}


@pytest.mark.deep
async def test_a_rejection_goes_back_to_the_agent_with_the_feedback(opened, repository):
    rounds = (
        [write("new.txt", "more\n")],
        [{"expect_prompt": "louder, please"}, {"edit": {"path": "new.txt", "old": "more", "new": "MORE"}}],
    )
    async with opened() as engine:
        run = await engine.run("Say more", repositories=[str(repository)], **scripted(*rounds))
        await settled(engine, run.id)
        await engine.approvals.reject(run.id, "louder, please")
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.approve(run.id)
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.COMPLETED
        assert task.rejections == 1
    assert content(repository, "main", "new.txt") == "MORE"


@pytest.mark.deep
async def test_setup_and_cleanup_run_before_and_after_the_agent(opened, repository):
    async with opened() as engine:
        run = await engine.run(
            "Say more",
            repositories=[str(repository)],
            setup="echo prepared > setup.log; echo from setup",
            cleanup="tr a-z A-Z < new.txt > upper.txt; rm setup.log; echo from cleanup >&2",
            approval="auto",
            **scripted([{"print": "from agent"}, write("new.txt", "more\n")]),
        )
        written = await output_of(engine, run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert written[OutputSource.STDOUT].startswith(b"from setup\n")
    assert b"from agent\n" in written[OutputSource.STDOUT]
    assert written[OutputSource.STDERR].endswith(b"from cleanup\n")
    assert content(repository, "main", "upper.txt") == "MORE"
    assert "setup.log" not in git(repository, "ls-tree", "--name-only", "main")


async def test_a_run_that_changes_nothing_ends_and_asks_nobody(opened, repository):
    async with opened() as engine:
        run = await engine.run("Look around", repositories=[str(repository)], **scripted([{"print": "nothing to do"}]))
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.COMPLETED
        assert not await all_questions(engine, run.id)
    assert worktrees(repository) == []
    assert branches(repository) == {"main"}


@pytest.mark.deep
async def test_a_plan_is_approved_before_anything_is_changed(opened, repository):
    rounds = (
        [{"say": "I shall add new.txt"}],
        [{"expect_prompt": "I shall add new.txt"}, write("new.txt", "more\n")],
    )
    async with opened() as engine:
        run = await engine.run(
            "Say more", repositories=[str(repository)], approval=ApprovalMode.BOTH, **scripted(*rounds)
        )
        await settled(engine, run.id)
        (question,) = await open_questions(engine, run.id)
        assert (question.kind, question.proposed_solution) == (ApprovalKind.PLAN, "I shall add new.txt")
        await engine.approvals.approve(run.id)
        await settled(engine, run.id)
        (question,) = await open_questions(engine, run.id)
        assert question.kind is ApprovalKind.CHANGES
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


async def test_a_failing_agent_is_tried_again_and_then_fails_the_task(opened, repository):
    async with opened() as engine:
        steps = [{"print": "trying"}, {"fail": {"exit_code": 7, "message": "no"}}]
        run = await engine.run("Fail", repositories=[str(repository)], retry=AT_ONCE, **scripted(steps))
        written = await output_of(engine, run.id)
        task = await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
    assert task.status is TaskStatus.FAILED
    assert view.execution.status is ExecutionStatus.FAILED
    assert view.execution.failure.exit_code == 7
    assert written[OutputSource.STDOUT].count(b"trying\n") == 3


async def test_a_program_that_is_not_there_fails_at_once_with_what_to_do(opened, repository):
    async with opened() as engine:
        work = {"executor": "custom", "repositories": [str(repository)], "options": {"base_command": "no-such-program"}}
        with pytest.raises(ExecutableNotFound, match="no-such-program"):
            await engine.run("Work", **work)
        run = await engine.run("Work", **work, setup="true")  # a script that might install it
        task = await settled(engine, run.id)
    assert task.status is TaskStatus.FAILED
    assert task.failure.reason is FailureReason.EXECUTABLE_NOT_FOUND
    assert "no-such-program" in task.failure.message


@pytest.mark.deep
async def test_the_second_of_two_contradicting_changes_is_stopped_before_it_touches_anything(opened, repository):
    def change(text):
        return scripted([{"edit": {"path": "a.txt", "old": "two", "new": text}}])

    async with opened() as engine:
        tasks = [
            await engine.run(f"Change it to {text}", repositories=[str(repository)], **change(text))
            for text in ("zwei", "deux")
        ]
        for task in tasks:
            assert (await settled(engine, task.id)).status is TaskStatus.AWAITING_APPROVAL
        first, second = tasks
        await engine.approvals.approve(first.id)
        assert (await settled(engine, first.id)).status is TaskStatus.COMPLETED
        merged = git(repository, "rev-parse", "main")
        await engine.approvals.approve(second.id)
        task = await settled(engine, second.id)
        assert task.status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, second.id)
        assert question.kind is ApprovalKind.MERGE_CONFLICT
        assert "a.txt" in question.proposed_solution
        assert git(repository, "rev-parse", "main") == merged
        assert git(repository, "status", "--porcelain") == ""
        view = await engine.tasks.view(second.id)
        tree = view.workspace.worktrees[0].path

        # A human resolves it on the branch, and approves anew what is now something else.
        with pytest.raises(AssertionError, match="merge"):
            git(tree, "merge", "main")
        (repository.__class__(tree) / "a.txt").write_text("one\nzwei, deux\nthree\n")
        git(tree, "commit", "-q", "-am", "both")
        await engine.approvals.approve(question.id, "both of them")
        task = await settled(engine, second.id)
        assert task.status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.approve(second.id)
        assert (await settled(engine, second.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "a.txt") == "one\nzwei, deux\nthree"


async def test_a_cancelled_run_leaves_no_process_and_keeps_its_work(opened, repository, tmp_path):
    steps = [write("new.txt", "half\n"), {"print": "half done"}, {"wait_for": str(tmp_path / "never")}]
    async with opened() as engine:
        run = await engine.run("Work", repositories=[str(repository)], **scripted(steps))
        await has_written(engine, run.id, b"half done")
        await engine.tasks.cancel(run.id, "changed my mind")
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.CANCELLED
        view = await engine.tasks.view(run.id)
        assert view.execution.status is ExecutionStatus.CANCELLED
        assert view.agent.current_task_id is None
        condition = await engine.workspaces.inspect(view.workspace.id)
        assert condition.dirty, "its work is where it was"
        await engine.workspaces.clean(view.workspace.id)
        workspace = await engine.workspaces.get(view.workspace.id)
    assert [copy.ref for copy in workspace.snapshots], "and saved before it is cleared away"
    assert worktrees(repository) == []


async def test_an_engine_that_is_closed_leaves_the_agent_to_the_next_one(opened, repository, tmp_path):
    steps = [{"print": "one"}, {"wait_for": str(tmp_path / "go")}, {"print": "two"}, write("new.txt", "more\n")]
    async with opened() as engine:
        run = await engine.run("Work", repositories=[str(repository)], **scripted(steps))
        await has_written(engine, run.id, b"one")
    (tmp_path / "go").touch()
    async with opened(drive_all=True) as engine:
        written = await output_of(engine, run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        view = await engine.tasks.view(run.id)
    lines = [line for line in written[OutputSource.STDOUT].splitlines() if not line.startswith(b"{")]
    assert lines == [b"one", b"two"]
    assert view.task.executions == 1


async def test_permission_is_asked_of_a_human(opened, repository):
    asking = {"ask": {"tool": "shell", "arguments": {"command": "rm"}, "then": [write("yes.txt", "y\n")]}}
    async with opened() as engine:
        run = await engine.run("Work", repositories=[str(repository)], **scripted([asking]))
        question = await next_question(engine, run.id)
        assert question.kind is ApprovalKind.TOOL_CALL
        assert question.tool_call.arguments == {"command": "rm"}
        await engine.approvals.approve(question.id)
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.APPROVED
        (question,) = await open_questions(engine, run.id)
        assert "yes.txt" in question.proposed_solution


async def test_a_question_outlives_the_engine_that_heard_it(opened, repository):
    asking = {"ask": {"tool": "shell", "arguments": {"command": "rm"}, "then": [write("yes.txt", "y\n")]}}
    async with opened() as engine:
        run = await engine.run("Work", repositories=[str(repository)], **scripted([asking]))
        question = await next_question(engine, run.id)
    async with opened(record_only=True) as engine:  # decided while nobody drives the task
        await engine.approvals.approve(question.id)
    async with opened(drive_all=True) as engine:
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        (question,) = await open_questions(engine, run.id)
        assert "yes.txt" in question.proposed_solution
        assert (await engine.tasks.view(run.id)).task.executions == 1


@pytest.mark.deep
async def test_no_more_than_the_limit_work_at_once(opened, repository, tmp_path):
    steps = [{"print": "working"}, {"wait_for": str(tmp_path / "go")}]
    async with opened(executions=1) as engine:
        tasks = [await engine.run("Work", repositories=[str(repository)], **scripted(steps)) for _ in range(2)]
        await has_written(engine, tasks[0].id, b"working")
        statuses = {(await engine.tasks.view(task.id)).execution.status for task in tasks}
        assert statuses == {ExecutionStatus.CODING_INITIAL, ExecutionStatus.QUEUED}
        (tmp_path / "go").touch()
        for task in tasks:
            assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED


@pytest.mark.deep
async def test_a_run_whose_engine_was_killed_is_resumed_although_its_lock_has_not_ended_yet(
    repository, tmp_path, postgres_url
):
    """The session of the killed engine is ended by the test, which stands for the server, during the wait."""
    request = RunRequest(prompt="Go", repositories=(str(repository),), **scripted([write("a", "1")]))
    async with open_engine(postgres_url, home=tmp_path / "home", user="alice", record_only=True) as recorder:
        run = await recorder.start(request)
    session = locks_for(postgres_url)
    assert await session.acquire(lock_of(run.id))
    async with open_engine(postgres_url, home=tmp_path / "home", user="alice") as engine:
        tried = anyio.Event()

        async def acquire(key, acquire=engine._core.locks.acquire):
            taken = await acquire(key)
            tried.set()
            return taken

        engine._core.locks.acquire = acquire
        async with anyio.create_task_group() as group:

            async def end():
                await tried.wait()
                await session.aclose()

            group.start_soon(end)
            found = await engine.resume_interrupted(request)
        assert found is not None
        assert found.id == run.id
        await settled(engine, run.id)


@pytest.mark.deep
async def test_two_engines_share_a_postgresql_log_and_each_task_has_one(repository, tmp_path, postgres_url):
    def opened_there(name):
        return open_engine(postgres_url, home=tmp_path / name, user="alice")

    async with opened_there("home") as one, opened_there("home") as other:
        request = scripted([write("new.txt", "more\n")])
        run = await one.run("Say more", repositories=[str(repository)], **request)
        await other.resume(run.id)
        assert not other._core.follower.drives(run.id), "the first one has it"
        assert (await settled(other, run.id)).status is TaskStatus.AWAITING_APPROVAL
        await other.approvals.approve(run.id)
        assert (await settled(one, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


async def test_nonsense_is_refused_before_anything_is_recorded(opened, repository):
    async with opened() as engine:
        for wrong in ({"prompt": " "}, {"executor": ""}, {"timeout": -1.0}):
            asked = {"prompt": "Work", "executor": "scripted", "repositories": [str(repository)], **wrong}
            with pytest.raises(InvalidInput):
                await engine.run(asked.pop("prompt"), **asked)
        assert await engine.events.head() == 0
