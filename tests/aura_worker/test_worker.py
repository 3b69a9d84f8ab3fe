"""The worker on its connection: hello, heartbeats, executors, workspaces, and how it leaves."""

import threading

import anyio
import pytest
from worker_stage import WORKER, Plain, Stage, StagedExecutors, script, token_of

from aura_contracts.errors import (
    DirtyWorktree,
    ProtocolError,
    RemoteError,
    UnknownExecutor,
    WorkerUnavailable,
    WorkspaceError,
)
from aura_contracts.execution import Outcome
from aura_contracts.ports.git_values import ChangedFile, ChangeKind, Diff
from aura_contracts.ports.workspaces import (
    CollectedWork,
    MergedWorkspace,
    Orphan,
    PreparedWorkspace,
    RepositoryDescription,
    RepositoryDiff,
    TakenSnapshot,
    WorkspaceCondition,
    WorkspaceSpec,
)
from aura_contracts.workspace import ConflictedFiles, MergeStyle, RepositoryCommit, Worktree
from aura_worker_protocol import TO_WORKER, Peer, Role, memory_pair
from aura_worker_protocol.messages import (
    CollectWork,
    DescribeRepository,
    DiffWork,
    FindOrphans,
    Hello,
    InspectWorkspace,
    ListExecutors,
    MergeWork,
    PrepareWorkspace,
    RemoveOrphan,
    RemoveWorktrees,
    ResetToSnapshot,
    TakeSnapshot,
    WarmPool,
)
from byte_transport import byte_pair
from conditions import until
from staged_processes import StagedRunner

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[memory_pair, byte_pair])
def pair(request):
    """Makes the two ends of a connection: within the process, and over bytes."""
    return request.param


ONE, OTHER = "0192f0c1-2d3e-7abc-8def-000000000011", "0192f0c1-2d3e-7abc-8def-000000000012"


def workspace(workspace_id=ONE, **given):
    return WorkspaceSpec(
        **{
            "id": workspace_id,
            "title": "Greet",
            "slug": "greet",
            "branch": "aura/x",
            "repositories": (),
            "root": "/root",
            **given,
        }
    )


# --- Connection -------------------------------------------------------------------------------------------------------


async def test_it_says_hello_and_sends_heartbeats(pair):
    stage = Stage(pair=pair)
    stage.engine.heartbeat = 0.005
    async with stage.connected():
        (hello,) = stage.engine.hellos
        assert (hello.worker_id, hello.identity.instance, hello.version) == (WORKER, "one", "1")
        assert hello.processes == ()
        await until(lambda: stage.engine.heartbeats >= 3)


def test_it_carries_out_everything_that_can_be_asked():
    assert set(Stage().worker()._handlers()) == set(TO_WORKER.values())


async def test_it_returns_when_the_engine_closes(pair):
    stage, worker = Stage(pair=pair), Stage(pair=pair).worker()
    ours, theirs = pair()
    peer = Peer(ours, Role.ENGINE, stage.engine.handlers())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.run)
        tasks.start_soon(worker.run, theirs)
        await peer.wait_ready()
        peer.close()


async def test_a_refused_hello_is_raised(pair):
    async def refuse(hello):
        raise ProtocolError(reason="another version")

    ours, theirs = pair()
    peer = Peer(ours, Role.ENGINE, {Hello: refuse})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.run)
        with pytest.raises(ProtocolError, match="another version"):
            await Stage(pair=pair).worker().run(theirs)


async def test_an_engine_that_is_gone_is_said(pair):
    ours, theirs = pair()
    await ours.aclose()
    with pytest.raises(WorkerUnavailable):
        await Stage(pair=pair).worker().run(theirs)


async def test_an_engine_that_breaks_the_protocol_is_said():
    ours, theirs = byte_pair()
    worker = Stage().worker()
    async with anyio.create_task_group() as tasks:

        async def run():
            with pytest.raises(ProtocolError):
                await worker.run(theirs)

        tasks.start_soon(run)
        await ours.send(b"garbage")
    await ours.aclose()


async def test_leaving_it_closes_the_connection(pair):
    stage, worker = Stage(pair=pair), Stage(pair=pair).worker()
    ours, theirs = pair()
    peer = Peer(ours, Role.ENGINE, stage.engine.handlers())
    async with anyio.create_task_group() as engine, anyio.create_task_group() as tasks:
        engine.start_soon(peer.run)
        tasks.start_soon(worker.run, theirs)
        await peer.wait_ready()
        tasks.cancel_scope.cancel()
    with pytest.raises(WorkerUnavailable):
        await peer.request(ListExecutors())


# --- Executors --------------------------------------------------------------------------------------------------------


async def test_executors_are_described(pair):
    stage = Stage(pair=pair)
    async with stage.connected() as engine:
        (info,) = (await engine.request(ListExecutors())).executors
        assert (info.name, info.availability.reason) == ("plain", "it is only a test")
        assert (await engine.request(ListExecutors(names=("plain",)))).executors == (info,)
        with pytest.raises(UnknownExecutor) as caught:
            await engine.request(ListExecutors(names=("plain", "cowsay")))
    assert caught.value.known == ("plain",)


async def test_executors_are_looked_for_at_once(pair):
    meeting = threading.Barrier(3, timeout=30)

    class Together(Plain):
        def availability(self, environment):
            meeting.wait()
            return super().availability(environment)

    stage = Stage(pair=pair, executors=StagedExecutors({name: Together() for name in "abc"}))
    async with stage.connected() as engine:
        assert len((await engine.request(ListExecutors())).executors) == 3


# --- Workspaces -------------------------------------------------------------------------------------------------------


class Answers:
    """Workspaces that answer what they are told to, and remember what they were asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __getattr__(self, name):
        def ask(*args, **kwargs):
            self.asked.append((name, args, kwargs))
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return answer(*args, **kwargs) if callable(answer) else answer

        return ask


async def asked(pair, workspaces, request):
    async with Stage(pair=pair, workspaces=workspaces).connected() as engine:
        return await engine.request(request)


@pytest.mark.parametrize("error", [ValueError("embedded null byte"), RuntimeError("can't start new thread")])
async def test_a_runner_that_cannot_get_ready_disturbs_no_process(error):
    class Unready(StagedRunner):
        async def prepare(self):
            raise error

    prepared = PreparedWorkspace(root="/root", worktrees=(Worktree("r", "/root/r", "a", "b"),))
    stage = Stage(runner=Unready(), workspaces=Answers(prepare=prepared))
    async with stage.connected() as engine:
        await engine.request(script("make"))
        assert await engine.request(PrepareWorkspace(workspace=workspace())) == prepared
        stage.runner.processes[token_of()].say(b"still here")
        await until(lambda: stage.engine.output == b"still here")


async def test_every_request_reaches_the_workspaces(pair):
    commits = (RepositoryCommit("r", "a" * 40),)
    outcome = Outcome(changed_files=1)
    orphan = Orphan(workspace_id=ONE, path="/o", repository="/p", branch="b", dirty=True, reason="its marker")
    workspaces = Answers(
        prepare=PreparedWorkspace(root="/root", worktrees=(Worktree("r", "/root/r", "a", "b"),)),
        inspect=WorkspaceCondition(exists=True, dirty=False),
        collect=CollectedWork(outcome=outcome, heads=commits, clean=True),
        snapshot=TakenSnapshot(commits=commits),
        restore=None,
        merge=MergedWorkspace(commits=commits),
        remove=None,
        orphans=(orphan,),
        remove_orphan=commits,
        warm=3,
        describe=RepositoryDescription(path="/p", name="p", repository=True, branch="main", head="a" * 40),
    )
    spec = workspace()
    async with Stage(pair=pair, workspaces=workspaces).connected() as engine:
        assert (await engine.request(PrepareWorkspace(workspace=spec))).directory == "/root/r"
        assert await engine.request(InspectWorkspace(workspace=spec)) == WorkspaceCondition(exists=True, dirty=False)
        assert (await engine.request(CollectWork(workspace=spec, message="m"))).outcome == outcome
        assert (await engine.request(TakeSnapshot(workspace=spec, ref="x"))).commits == commits
        await engine.request(ResetToSnapshot(workspace=spec, ref="x"))
        assert (await engine.request(MergeWork(workspace=spec, style=MergeStyle.SQUASH, message="m"))).commits
        await engine.request(RemoveWorktrees(workspace=spec, delete_branch=True))
        assert (await engine.request(FindOrphans(living=(ONE,)))).orphans == (orphan,)
        assert (await engine.request(RemoveOrphan(orphan=orphan, ref="x"))).commits == commits
        assert (await engine.request(WarmPool(repository="/p", count=3))).made == 3
        assert (await engine.request(DescribeRepository(path="/p"))).branch == "main"
    assert [name for name, _, _ in workspaces.asked] == list(workspaces.answers)
    assert workspaces.asked[6] == ("remove", (spec,), {"delete_branch": True})


async def test_a_diff_is_made_fit_to_be_stored(pair):
    files = (
        ChangedFile(path="caf\udce9", kind=ChangeKind.RENAMED, old_path="\udcff", added=1, removed=2),
        ChangedFile(path="image", kind=ChangeKind.ADDED, added=None, removed=None),
    )
    one = RepositoryDiff(repository="one", diff=Diff(files=files, patch=b"+caf\xe9\0\n", truncated=True))
    other = RepositoryDiff(repository="other", diff=Diff(patch=b"+x\n"))
    found = await asked(pair, Answers(diff=(one, other)), DiffWork(workspace=workspace()))
    assert [(file.repository, file.path, file.old_path, file.added) for file in found.files] == [
        ("one", "caf\\xe9", "\\xff", 1),
        ("one", "image", None, None),
    ]
    assert found.patch == "# repository one\n+caf\\xe9\\x00\n# repository other\n+x\n"
    assert found.truncated
    workspaces = Answers(diff=(RepositoryDiff(repository="one", diff=Diff(patch=b"+x\n")),))
    assert (await asked(pair, workspaces, DiffWork(workspace=workspace()))).patch == "+x\n"


async def test_no_patch_is_made_where_none_is_wanted(pair):
    workspaces = Answers(diff=())
    assert (await asked(pair, workspaces, DiffWork(workspace=workspace(), patch_limit=0))).patch == ""
    assert workspaces.asked[0][2]["patch"] is False


async def test_conflicts_are_made_fit_to_be_stored(pair):
    merged = MergedWorkspace(conflicts=(ConflictedFiles("r", ("caf\udce9",)),))
    request = MergeWork(workspace=workspace(), style=MergeStyle.MERGE, message="m")
    assert (await asked(pair, Answers(merge=merged), request)).conflicts == (ConflictedFiles("r", ("caf\\xe9",)),)


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        (DirtyWorktree(repository="r", worktree="w", paths=("a\udce9",)), DirtyWorktree, r'"a\\\\xe9"'),
        (OSError(28, "No space left on device", "/root/x"), WorkspaceError, r"000011 at /root/x: No space left"),
        (OSError("no number"), WorkspaceError, r"000011 at /root: no number"),
        (KeyError("a program error"), RemoteError, "KeyError"),
    ],
)
async def test_errors_of_workspaces_come_out_as_they_were(pair, raised, kind, said):
    async with Stage(pair=pair, workspaces=Answers(inspect=raised)).connected() as engine:
        with pytest.raises(kind, match=said):
            await engine.request(InspectWorkspace(workspace=workspace()))


async def test_one_workspace_is_worked_on_by_one_at_a_time_and_two_at_once(pair):
    inside, most = set(), []
    guard = threading.Lock()
    meeting = threading.Barrier(2, timeout=30)

    def inspect(spec):
        with guard:
            assert spec.id not in inside
            inside.add(spec.id)
            most.append(len(inside))
        meeting.wait()
        with guard:
            inside.remove(spec.id)
        return WorkspaceCondition(exists=True, dirty=False)

    async with (
        Stage(pair=pair, workspaces=Answers(inspect=inspect)).connected() as engine,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(5):
            tasks.start_soon(engine.request, InspectWorkspace(workspace=workspace(ONE)))
            tasks.start_soon(engine.request, InspectWorkspace(workspace=workspace(OTHER)))
    assert max(most) == 2
    assert len(most) == 10


async def test_work_on_files_that_was_begun_is_brought_to_its_end(pair):
    begun, go_on, done = threading.Event(), threading.Event(), []

    def remove(spec, *, delete_branch):
        begun.set()
        go_on.wait(30)
        done.append(spec.id)

    async with Stage(pair=pair, workspaces=Answers(remove=remove)).connected() as engine:
        reply = await engine.begin(RemoveWorktrees(workspace=workspace()))
        await until(begun.is_set)
        engine.close()
        with pytest.raises(WorkerUnavailable):
            await reply.wait()
        go_on.set()
    assert done == [ONE]
