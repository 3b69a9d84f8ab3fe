"""A world of paper for whole engines: agents, files and crashes at the moment the test says; the engines are real.

    engine ──► real worker ──► PaperRunner      agents that end when and how the test says
           │               └─► PaperWorkspaces  branches as lists of files, and what was merged
           └─► real SQLite through MortalRecorder, which dies at a step of a commit

Agents and files outlive the engines, as those of a machine do.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs
from paper_post import FAULTS, PaperPost

from aura_contracts.execution import Outcome
from aura_contracts.ids import ExecutionId, WorkerId, WorkerIdentity, WorkspaceId
from aura_contracts.ports.executors import AgentRun, Capability, Executor, Launch
from aura_contracts.ports.git_values import ChangedFile, ChangeKind, Diff
from aura_contracts.ports.processes import ProcessSpec
from aura_contracts.ports.workspaces import (
    CollectedWork,
    MergedWorkspace,
    PreparedWorkspace,
    RepositoryDescription,
    RepositoryDiff,
    TakenSnapshot,
    WorkspaceCondition,
    WorkspaceSpec,
)
from aura_contracts.store_url import StoreUrl
from aura_contracts.workspace import ConflictedFiles, RepositoryCommit, Worktree
from aura_executors.registry import ExecutorRegistry
from aura_executors.scripted.transcript import ScriptedConversation
from aura_store import open_log
from aura_store._open import open_recorder
from aura_store.log._recorder import WriteTransaction
from aura_store.sqlite._sqlite_recorder import SQLiteRecorder
from aura_store.testing.faults import Faults, FaultyTransaction
from aura_worker import Worker
from staged_processes import StagedProcess, StagedRunner

WORKER = WorkerId("0192f0c1-2d3e-7abc-8def-00000000aaaa")
REPOSITORY = "app"


# --- Agents -----------------------------------------------------------------------------------------------------------


class PaperExecutor(Executor):
    """An agent that the test plays."""

    name = "paper"
    capability = Capability(permissions=True, protocol=True)

    def launch(self, run: AgentRun) -> Launch:
        return Launch(argv=("true", run.prompt))

    def converse(self, run: AgentRun) -> ScriptedConversation:
        return ScriptedConversation()


@attrs.frozen
class Start:
    """The start of an agent: for which execution, and what it was asked."""

    execution_id: ExecutionId
    prompt: str
    process: StagedProcess


class PaperRunner(StagedRunner):
    """Keeps the agents that were started, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[Start] = []

    async def start(self, spec: ProcessSpec) -> StagedProcess:
        known = spec.token in self.processes
        process = await super().start(spec)
        if not known:
            self.starts.append(Start(ExecutionId(spec.env["AURA_EXECUTION_ID"]), spec.argv[1], process))
        return process

    @property
    def at_work(self) -> list[Start]:
        """The agents that have not ended."""
        return [start for start in self.starts if not start.process.ended]


# --- Files ------------------------------------------------------------------------------------------------------------


@attrs.define
class Branch:
    """A branch with its files, those that are not committed yet, and whether its worktree is there."""

    files: list[str] = attrs.field(factory=list)
    uncommitted: list[str] = attrs.field(factory=list)
    prepared: bool = False
    conflict: bool = False
    """Whether its next merge meets changes of others."""
    asks: bool = False
    """Whether the agent that wrote last said that its work requires an approval."""

    @property
    def head(self) -> str:
        return commit_of(self.files)


@attrs.frozen
class Merge:
    """What reached the target."""

    workspace_id: WorkspaceId
    head: str
    asks: bool


def commit_of(files: Sequence[str]) -> str:
    return hashlib.sha1("\n".join(files).encode(), usedforsecurity=False).hexdigest()


@attrs.define
class PaperWorkspaces:
    """Workspaces in one repository. Implements `aura_contracts.ports.workspaces.WorkspaceProvider`."""

    branches: dict[WorkspaceId, Branch] = attrs.field(factory=dict)
    merges: list[Merge] = attrs.field(factory=list)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def at(self, folder: str) -> Branch:
        """Return the branch whose worktree is this folder."""
        return self.branches[WorkspaceId(folder.split("/")[2])]

    def describe(
        self, path: str, *, in_place: bool = False, target_branch: str = "", copy_globs: Sequence[str] = ()
    ) -> RepositoryDescription:
        return RepositoryDescription(path=path, name=REPOSITORY, repository=True, branch="main", head=commit_of(()))

    def prepare(self, spec: WorkspaceSpec) -> PreparedWorkspace:
        with self._lock:
            branch = self.branches.setdefault(spec.id, Branch())
            branch.prepared = True
            tree = Worktree(REPOSITORY, f"/paper/{spec.id}/{REPOSITORY}", base_commit=commit_of(()), head=branch.head)
            return PreparedWorkspace(root=f"/paper/{spec.id}", worktrees=(tree,))

    def repair(self, spec: WorkspaceSpec) -> None:
        pass

    def inspect(self, spec: WorkspaceSpec) -> WorkspaceCondition:
        branch = self.branches.get(spec.id, Branch())
        missing = () if branch.prepared else (REPOSITORY,)
        return WorkspaceCondition(exists=branch.prepared, dirty=bool(branch.uncommitted), missing=missing)

    def collect(self, spec: WorkspaceSpec, message: str, *, from_branch: bool = False) -> CollectedWork:
        with self._lock:
            branch = self.branches[spec.id]
            branch.files += branch.uncommitted
            branch.uncommitted = []
            count = len(branch.files)
            outcome = Outcome(changed_files=count, lines_added=count, commits={REPOSITORY: branch.head})
            return CollectedWork(outcome=outcome, heads=(RepositoryCommit(REPOSITORY, branch.head),), clean=True)

    def diff(self, spec: WorkspaceSpec, *, patch: bool, patch_limit: int = 0) -> tuple[RepositoryDiff, ...]:
        branch = self.branches[spec.id]
        names = [*branch.files, *branch.uncommitted]
        files = tuple(ChangedFile(path=name, kind=ChangeKind.ADDED, added=1) for name in names)
        return (RepositoryDiff(repository=REPOSITORY, diff=Diff(files=files, patch=b"" if patch else None)),)

    def snapshot(self, spec: WorkspaceSpec, ref: str, *, whole: bool = False) -> TakenSnapshot:
        return TakenSnapshot(commits=(RepositoryCommit(REPOSITORY, self.branches[spec.id].head),))

    def merge(self, spec: WorkspaceSpec, style: str, message: str, *, finish_only: bool = False) -> MergedWorkspace:
        with self._lock:
            branch = self.branches[spec.id]
            commits = (RepositoryCommit(REPOSITORY, branch.head),)
            if any((one.workspace_id, one.head) == (spec.id, branch.head) for one in self.merges):
                return MergedWorkspace(commits=commits)
            if finish_only or not branch.files:
                return MergedWorkspace()
            if branch.conflict:
                branch.conflict = False
                return MergedWorkspace(conflicts=(ConflictedFiles(REPOSITORY, ("README",)),))
            self.merges.append(Merge(spec.id, branch.head, branch.asks))
            return MergedWorkspace(commits=commits)

    def remove(self, spec: WorkspaceSpec, *, delete_branch: bool) -> None:
        with self._lock:
            branch = self.branches.setdefault(spec.id, Branch())
            branch.prepared, branch.uncommitted = False, []


# --- The store --------------------------------------------------------------------------------------------------------


class MortalRecorder(SQLiteRecorder):
    """SQLite for an engine that may die at any step of a commit."""

    def __init__(self, path: Path, faults: Faults) -> None:
        super().__init__(path)
        self.faults = faults

    @contextmanager
    def writing(self, stream_ids: Sequence[str] = ()) -> Iterator[WriteTransaction]:
        self.faults.strike("begin")
        with super().writing(stream_ids) as transaction:
            yield FaultyTransaction(transaction, self.faults)
            self.faults.strike("commit")
        self.faults.strike("committed")


@asynccontextmanager
async def open_mortal_log(url, *, clock, read_only=False, **_):
    """Open a log as `aura_store.open_log` does, for an engine that may die."""
    faults = FAULTS.get(None)
    if faults is None:
        async with open_log(url, clock=clock, read_only=read_only) as log:
            yield log
        return
    path = StoreUrl.parse(url).path
    assert path is not None
    async with open_recorder(MortalRecorder(path, faults), clock=clock) as log:
        yield log


# --- All of it --------------------------------------------------------------------------------------------------------


@attrs.define
class PaperWorld:
    """The machine that the engines run on."""

    runner: PaperRunner = attrs.field(factory=PaperRunner)
    asked: list[tuple[str, str]] = attrs.field(factory=list)
    """What agents asked permission for, by the token of the process."""
    workspaces: PaperWorkspaces = attrs.field(factory=PaperWorkspaces)
    post: PaperPost = attrs.field(factory=PaperPost)

    @asynccontextmanager
    async def worker(self, *_):
        """Open the worker of an engine; all of them are this machine's."""
        yield Worker(
            worker_id=WORKER,
            identity=WorkerIdentity(host="paper", instance="one"),
            workspaces=self.workspaces,
            runner=self.runner,
            executors=ExecutorRegistry([PaperExecutor()], plugins=()),
            environment={},
            make_tools=lambda *_: None,
            version="1",
        )

    def ask(self, start: Start, call: str) -> None:
        """Have an agent ask permission for a call."""
        token, number = start.process.spec.token, len(self.asked)
        self.asked.append((token, f"request-{number}"))
        named = {"request_id": f"request-{number}", "call_id": f"call-{number}"}
        what = {"tool": "Bash", "fingerprint": call, "arguments": {"command": call}}
        _say(start, {"type": "permission_request", **named, **what})

    def asked_by(self, start: Start) -> list[str]:
        """Return the names of what a process asked for, in order."""
        return [request for token, request in self.asked if token == start.process.spec.token]

    def answers_to(self, start: Start) -> list[dict]:
        """Return the answers that a process has received."""
        return [
            json.loads(line)["answer"] for line in start.process.written.splitlines() if line.startswith(b'{"answer"')
        ]

    def make(self, start: Start, request: str, granted: bool) -> None:
        """Have an agent tell how a call ended that it asked for."""
        output = "made" if granted else "not permitted"
        call = request.replace("request", "call")
        _say(start, {"type": "tool_result", "call_id": call, "success": granted, "output": output})

    def give_up(self, start: Start) -> None:
        """Have an agent go on without what it has asked for."""
        _say(start, {"type": "tool_result", "call_id": "", "success": False, "output": "not permitted"})

    def finish(self, start: Start, *, said: dict, writes: str | None = None, failure: str | None = None) -> None:
        """Have an agent end: with a last message, and a file that it has written; or with a failure."""
        branch = self.workspaces.at(start.process.spec.cwd)
        if writes is not None:
            branch.uncommitted.append(writes)
        branch.asks = said.get("requires_approval") is True
        reason = None if failure is None else {"reason": "AgentError", "message": failure}
        _say(start, {"type": "message", "text": json.dumps(said)}, {"type": "finished", "failure": reason})
        start.process.end(0 if failure is None else 1)


def _say(start: Start, *entries: dict) -> None:
    for entry in entries:
        start.process.say(json.dumps({"aura": entry}).encode() + b"\n")
