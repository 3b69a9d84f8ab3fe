"""The worker with real processes under real supervisors."""

import fcntl
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime

import pytest
import worker_stage
from msgspec.structs import replace
from worker_stage import Stage, end_of

from aura_contracts.entries import Message, PermissionRequested, SessionStarted
from aura_contracts.errors import ExecutableNotFound, NoCommit, NotARepository, WorkingDirectoryMissing
from aura_contracts.failures import FailureReason
from aura_contracts.ids import WorkspaceId
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import Answer
from aura_contracts.ports.processes import ExitCause
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.run_plan import RunPlan, Script
from aura_contracts.workspace import MergeStyle, Repository
from aura_executors import ExecutorRegistry, SupervisedRunner
from aura_executors.custom import CustomExecutor
from aura_executors.scripted import ScriptedExecutor
from aura_git import CommandLineGit
from aura_worker import _processes
from aura_worker_protocol.messages import (
    AnswerPermission,
    CollectWork,
    DescribeRepository,
    DiffWork,
    FindOrphans,
    ForgetProcess,
    InspectWorkspace,
    InterruptProcess,
    ListExecutors,
    MergeWork,
    PrepareWorkspace,
    RemoveWorktrees,
    ResetToSnapshot,
    TakeSnapshot,
)
from aura_workspace import LocalWorkspaces
from conditions import until

pytestmark = pytest.mark.anyio


def script(*words, **given):
    """A token of its own for each: whoever carries the token of a process that ends is ended with it."""
    return worker_stage.script(*words, token=str(uuid.uuid4()), **given)


def agent(*words, **given):
    return worker_stage.agent(*words, token=str(uuid.uuid4()), **given)


def runner_in(folder):
    return SupervisedRunner(folder, clock=lambda: datetime.now(UTC), python=sys.executable)


@pytest.fixture
async def stage(tmp_path, anyio_backend):
    executors = ExecutorRegistry([CustomExecutor(), ScriptedExecutor()], plugins=())
    async with runner_in(tmp_path / "home") as runner:
        yield Stage(runner=runner, executors=executors, environment=dict(os.environ))
        for token in await runner.tokens():
            await runner.forget(token)


async def test_a_process_that_never_finishes_starting_delays_no_other(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(_processes, "TRANSITION", 0.1)
    folder = tmp_path / "home" / "processes" / str(uuid.uuid4())
    folder.mkdir(parents=True)
    request = script("echo done", directory=str(tmp_path))
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with stage.connected() as engine:
            assert [(known.token, known.running) for known in stage.engine.hellos[-1].processes] == [
                (folder.name, True)
            ]
            await engine.request(request)
            assert (await engine.request(end_of(request))).exit.exit_code == 0


async def test_a_script_writes_to_both_streams_and_fails(stage, tmp_path):
    text = 'echo "$AURA_STAGE in $AURA_WORKSPACE"\necho err >&2\nexit 7'
    async with stage.connected() as engine:
        request = script(text, directory=str(tmp_path))
        await engine.request(request)
        finished = await engine.request(end_of(request))
    assert finished.exit.exit_code == 7
    assert finished.failure.reason is FailureReason.STAGE_ERROR
    by_source = dict.fromkeys(OutputSource, b"")
    for chunk in stage.engine.chunks:
        by_source[chunk.source] += chunk.raw
    assert by_source[OutputSource.STDOUT].decode() == f"Setup in {tmp_path}\n"
    assert by_source[OutputSource.STDERR] == b"err\n"


async def test_what_cannot_be_started_is_said(stage, tmp_path):
    async with stage.connected() as engine:
        with pytest.raises(WorkingDirectoryMissing):
            await engine.request(script(directory=str(tmp_path / "gone")))
        missing = agent(executor="custom", options={"base_command": "no-such-program"}, directory=str(tmp_path))
        with pytest.raises(ExecutableNotFound):
            await engine.request(missing)
    assert not await stage.runner.tokens()


@pytest.mark.deep_but_first
async def test_much_output_arrives_byte_by_byte(stage, tmp_path):
    code = "import sys\nfor n in range(200_000): sys.stdout.write(f'{n} ' + 'x' * 40 + '\\n')"
    request = script(f'{sys.executable} -c "{code}"', directory=str(tmp_path))
    async with stage.connected() as engine:
        await engine.request(request)
        finished = await engine.request(end_of(request))
    assert finished.failure is None
    assert stage.engine.output == b"".join(b"%d " % n + b"x" * 40 + b"\n" for n in range(200_000))


async def test_a_restarted_worker_and_a_restarted_runner_lose_nothing(stage, tmp_path):
    go_on = tmp_path / "go on"
    text = f'echo one\nwhile [ ! -e "{go_on}" ]; do sleep 0.01; done\necho two\nexit 3'
    request = script(text, directory=str(tmp_path))
    async with stage.connected() as engine:
        first = await engine.request(request)
        await until(lambda: stage.engine.output == b"one\n")
    async with runner_in(tmp_path / "home") as runner:
        again = Stage(runner=runner, executors=stage.executors, environment=stage.environment, engine=stage.engine)
        async with again.connected() as engine:
            assert [process.running for process in stage.engine.hellos[-1].processes] == [True]
            request = replace(request, next_record=stage.engine.next)
            assert await engine.request(request) == first
            go_on.touch()
            finished = await engine.request(end_of(request))
            await engine.request(ForgetProcess(token=request.token))
        assert not await runner.tokens()
    assert stage.engine.output == b"one\ntwo\n"
    assert finished.exit.exit_code == 3


@pytest.mark.deep
async def test_an_agent_asks_and_is_answered(stage, tmp_path):
    steps = [
        {"ask": {"tool": "shell", "then": [{"say": "thank you"}, {"write": {"path": "out", "text": "x"}}]}},
        {"print": "done"},
    ]
    request = agent("go", "scripted", options={"steps": steps}, directory=str(tmp_path))

    def found(kind):
        return [entry for entry in stage.engine.entries if isinstance(entry, kind)]

    async with stage.connected() as engine:
        await engine.request(request)
        await until(lambda: found(PermissionRequested))
        (question,) = found(PermissionRequested)
        answer = AnswerPermission(token=request.token, request_id=question.request_id, answer=Answer(granted=True))
        await engine.request(answer)
        finished = await engine.request(end_of(request))
    assert finished.failure is None
    assert [entry.text for entry in found(Message)] == ["thank you"]
    assert found(SessionStarted)
    assert (tmp_path / "out").read_text() == "x"


async def test_an_agent_is_told_its_prompt_and_interrupted(stage, tmp_path):
    options = {"base_command": "sh", "params": ["-c", 'echo "$AURA_PROMPT"; exec sleep 60']}
    request = agent("what to do", "custom", options=options, directory=str(tmp_path), plan=RunPlan())
    async with stage.connected() as engine:
        await engine.request(request)
        await until(lambda: stage.engine.output == b"what to do\n")
        await engine.request(InterruptProcess(token=request.token, reason="enough"))
        finished = await engine.request(end_of(request))
    assert finished.failure.reason is FailureReason.CANCELLED


async def test_a_process_of_a_past_epoch_is_ended(stage, tmp_path):
    request = script(script=Script("echo one; exec sleep 60"), directory=str(tmp_path))
    stage.engine.epoch = 2
    async with stage.connected() as engine:
        await engine.request(request)
        running = await stage.runner.find(request.token)
        assert (await running.wait()).cause is ExitCause.INTERRUPTED


async def test_executors_that_are_installed_are_listed(stage):
    async with stage.connected() as engine:
        listed = await engine.request(ListExecutors())
    assert [info.name for info in listed.executors] == ["custom", "scripted"]


def git(folder, *words):
    identity = ("-c", "user.name=Alice", "-c", "user.email=alice@example.com")
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.deep_but_first
async def test_a_workspace_from_beginning_to_end(stage, tmp_path):
    """A script changes files in a worktree; the work is shown, saved, collected, merged, and the worktree removed."""
    source = tmp_path / "project"
    source.mkdir()
    git(source, "init", "-q", "-b", "main")
    (source / "greeting").write_text("hello\n")
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "first")
    stage.workspaces = LocalWorkspaces(tmp_path / "home", CommandLineGit(environment=os.environ))
    async with stage.connected() as engine:
        found = await engine.request(DescribeRepository(path=str(source)))
        assert (found.repository, found.branch, found.head) == (True, "main", git(source, "rev-parse", "HEAD"))
        with pytest.raises(NotARepository):
            await engine.request(DescribeRepository(path=str(tmp_path / "gone")))
        git(source, "init", "-q", str(tmp_path / "empty"))
        with pytest.raises(NoCommit):
            await engine.request(DescribeRepository(path=str(tmp_path / "empty")))

        spec = workspace(Repository(name=found.name, path=found.path, target_branch="main"))
        prepared = await engine.request(PrepareWorkspace(workspace=spec))
        assert await engine.request(PrepareWorkspace(workspace=spec)) == prepared
        spec = replace(spec, root=prepared.root, worktrees=prepared.worktrees)

        write = script("echo HELLO > greeting; printf 'x' > $'caf\\xe9'", directory=prepared.directory)
        await engine.request(write)
        assert (await engine.request(end_of(write))).failure is None
        assert (await engine.request(InspectWorkspace(workspace=spec))).dirty

        shown = await engine.request(DiffWork(workspace=spec))
        assert [(file.path, file.kind) for file in shown.files] == [("caf\\xe9", "added"), ("greeting", "modified")]
        assert "+HELLO" in shown.patch
        ref = "refs/aura/snapshots/one"
        assert (await engine.request(TakeSnapshot(workspace=spec, ref=ref))).commits
        await engine.request(ResetToSnapshot(workspace=spec, ref=ref))

        collected = await engine.request(CollectWork(workspace=spec, message="Greet louder"))
        assert (collected.outcome.changed_files, collected.clean) == (2, True)
        assert await engine.request(CollectWork(workspace=spec, message="Greet louder")) == collected
        merge = MergeWork(workspace=spec, style=MergeStyle.SQUASH, message="Greet louder")
        merged = await engine.request(merge)
        assert merged.conflicts == ()
        assert [one.commit for one in merged.commits] == [git(source, "rev-parse", "main")]
        assert (source / "greeting").read_text() == "HELLO\n"
        assert (await engine.request(FindOrphans(living=(spec.id,)))).orphans == ()
        await engine.request(RemoveWorktrees(workspace=spec, delete_branch=True))
        assert not (await engine.request(InspectWorkspace(workspace=spec))).exists


def workspace(*repositories):
    return WorkspaceSpec(
        id=WorkspaceId("0192f0c1-2d3e-7abc-8def-000000000021"),
        title="Greet louder",
        slug="greet-louder",
        branch="aura/0192f0c1-greet-louder",
        repositories=repositories,
    )
