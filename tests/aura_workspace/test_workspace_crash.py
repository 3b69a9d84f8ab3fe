"""Whoever works on a workspace is killed at each step; doing it again brings it to its end, and nothing is left over.

`AURA_CRASH_STRIDE` is how far the steps that are tried lie apart (default 29; 1 tries all, and takes many minutes).
"""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from worlds import GIT, World, command_line_git, tip, tree

from aura_contracts.errors import WorkspaceError
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import MergeStyle
from aura_workspace import LocalWorkspaces
from aura_workspace._worktrees import linked_git_dir, read_marker
from repositories import git

STRIDE = int(os.environ.get("AURA_CRASH_STRIDE", "29"))
HERE = Path(__file__).parent

Crash = Callable[[World, str, WorkspaceSpec, int], bool]


@pytest.fixture(scope="module")
def crash() -> Iterator[Crash]:
    """Do something in another process that is killed at a step; False when it was done before that."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "crashing.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"},
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def crash(world: World, operation: str, spec: WorkspaceSpec, step: int) -> bool:
        order = {"home": str(world.home), "operation": operation, "spec": msgspec.to_builtins(spec), "step": step}
        print(json.dumps(order), file=process.stdin, flush=True)
        answer = process.stdout.readline().strip()  # type: ignore[union-attr]
        assert answer in {"killed", "done 0"}
        return answer == "killed"

    yield crash
    process.stdin.close()
    process.wait()
    process.stdout.close()


STEPS = range(1, 10_000, STRIDE)
"""The steps to be killed at; each test breaks off at the first that is not reached."""


def assert_ready(world: World, spec: WorkspaceSpec) -> None:
    for number, repository in enumerate((world.api, world.web)):
        top = tree(spec, number)
        assert git(top, "status", "--porcelain", "--branch", "-uall") == f"## {spec.branch}\n?? local/x.toml"
        assert (top / ".env").read_text() == "KEY=1\n"
        marker = read_marker(linked_git_dir(top))  # type: ignore[arg-type]
        assert marker is not None
        assert marker.ready
        assert set(marker.copied) == {".env", "local/x.toml"}
        listed = git(repository, "worktree", "list", "--porcelain")
        assert listed.count("worktree ") == 2
        assert "prunable" not in listed
    assert not world.workspaces.inspect(spec).dirty
    assert not list(world.home.glob("pool/*/[0-9]*"))
    assert not list(world.home.glob("locks/*"))


@pytest.mark.deep_but_first
@pytest.mark.parametrize("warm", [False, True])
def test_killed_while_preparing(world: World, crash: Crash, warm: bool) -> None:
    for repository in (world.api, world.web):
        (repository / ".env").write_text("KEY=1\n")
        (repository / "local").mkdir()
        (repository / "local" / "x.toml").write_text("x = 1\n")
    killed = 0
    for step in STEPS:
        if warm:
            world.workspaces.warm(str(world.api), 1)
        spec = world.spec(world.api, world.web, copy_globs=(".env", "local"))
        if not crash(world, "prepare", spec, step):
            break
        killed += 1
        spec = world.prepared(spec)
        if warm:
            world.workspaces.prepare(other := world.spec())  # takes what is still in the pool
            world.workspaces.remove(other, delete_branch=True)
        assert_ready(world, spec)
        world.workspaces.remove(spec, delete_branch=True)
        assert world.left_over() == [], step
    assert killed * STRIDE >= 29


def test_killed_while_preparing_and_given_up(world: World, crash: Crash) -> None:
    """What a torn preparation left is removed with the workspace, or when the next attempt fails."""
    killed = 0
    for step in STEPS:
        spec = world.spec(world.api, world.web)
        if not crash(world, "prepare", spec, step):
            break
        killed += 1
        if killed % 2:
            world.workspaces.remove(spec, delete_branch=True)
        else:
            broken = msgspec.structs.replace(spec, repositories=(spec.repositories[0],) * 2)
            with pytest.raises(Exception, match="same repository"):
                world.workspaces.prepare(broken)
            world.workspaces.remove(spec, delete_branch=True)
        world.workspaces.orphans(())
        assert world.left_over() == [], step
    assert killed * STRIDE >= 29


def test_killed_while_removing(world: World, crash: Crash) -> None:
    killed = 0
    for step in STEPS:
        spec = world.prepared(world.spec(world.api, world.web))
        if not crash(world, "remove", spec, step):
            break
        killed += 1
        if killed % 2:  # either it is removed for good, or made again: whole, not half deleted
            spec = world.prepared(spec)
            assert git(tree(spec), "status", "--porcelain") == ""
        world.workspaces.remove(spec, delete_branch=True)
        assert world.left_over() == [], step
    assert killed * STRIDE >= 10


def test_killed_while_removing_orphans(world: World, crash: Crash) -> None:
    killed = 0
    for step in STEPS:
        spec = world.prepared(world.spec(world.api, world.web))
        (tree(spec) / "unsaved").write_text("precious\n")
        if not crash(world, "remove_orphans", spec, step):
            break
        killed += 1
        for orphan in world.workspaces.orphans(()):
            world.workspaces.remove_orphan(orphan, "refs/aura/orphans/test")
        assert git(world.api, "show", "refs/aura/orphans/test:unsaved") == "precious"
        git(world.api, "update-ref", "-d", "refs/aura/orphans/test")
        world.workspaces.remove(spec, delete_branch=True)
        assert world.left_over() == [], step
    assert killed * STRIDE >= 10


@pytest.mark.deep
def test_killed_while_collecting(world: World, crash: Crash) -> None:
    (world.api / "local.toml").write_text("x\n")
    killed = 0
    for step in STEPS:
        spec = world.prepared(world.spec(world.api, world.web, copy_globs=("*.toml",)))
        for number in (0, 1):
            (tree(spec, number) / "new").write_text(f"{step}\n")
        git(tree(spec), "add", "-A")
        crashed = crash(world, "collect", spec, step)
        collected = world.workspaces.collect(spec, "work")
        assert (collected.outcome.changed_files, collected.clean) == (2, True)
        assert git(tree(spec), "rev-list", "--count", f"main..{spec.branch}") == "1"
        assert (tree(spec) / "local.toml").exists()
        world.workspaces.remove(spec, delete_branch=True)
        for repository in (world.api, world.web):
            git(repository, "branch", "-D", spec.branch)
        if not crashed:
            break
        killed += 1
    assert killed * STRIDE >= 10


@pytest.mark.deep
def test_killed_while_merging(world: World, crash: Crash) -> None:
    killed = 0
    for step in STEPS:
        spec = world.prepared(world.spec(world.api, world.web))
        for number in (0, 1):
            (tree(spec, number) / f"new{step}").write_text("new\n")
        world.workspaces.collect(spec, "work")
        before = [tip(repository, "main") for repository in (world.api, world.web)]
        crashed = crash(world, "merge", spec, step)
        merged = world.workspaces.merge(spec, MergeStyle.SQUASH, "merge")
        assert [c.commit for c in merged.commits] == [tip(world.api, "main"), tip(world.web, "main")]
        for repository, old in zip((world.api, world.web), before, strict=True):
            assert git(repository, "rev-list", "--count", f"{old}..main") == "1"
            assert git(repository, "status", "--porcelain") == ""
        world.workspaces.remove(spec, delete_branch=True)
        assert world.left_over() == [], step
        if not crashed:
            break
        killed += 1
    assert killed * STRIDE >= 10


@pytest.mark.deep
def test_git_goes_on_while_its_caller_is_dead_and_the_next_one_prepares(world: World, tmp_path: Path) -> None:
    """Killed in the middle of a git command, at each that writes: that git is at work while preparing begins again."""
    fake = tmp_path / "git"
    fake.write_text(
        '#!/bin/sh\ncase "$*" in *"worktree add"*|*checkout*|*"worktree move"*|*update-ref*)\n'
        f"echo x >> '{tmp_path}/calls'\n"
        f"[ $(wc -l < '{tmp_path}/calls') -eq $(cat '{tmp_path}/step') ] && kill -9 $PPID;;\n"
        f'esac\nexec {GIT} "$@"\n'
    )
    fake.chmod(stat.S_IRWXU)
    for number in range(4):
        (world.api / f"file{number}.slow").write_text("x\n")
    (world.api / ".gitattributes").write_text("*.slow filter=slow\n")
    git(world.api, "config", "filter.slow.smudge", "sleep 0.1; cat")
    git(world.api, "config", "filter.slow.clean", "cat")
    git(world.api, "add", "-A")
    git(world.api, "commit", "-qm", "files that take their time")
    patient = LocalWorkspaces(world.home, command_line_git(), patience=30)
    for step in range(1, 4):
        (tmp_path / "calls").write_text("")
        (tmp_path / "step").write_text(str(step))
        spec = world.spec()
        assert _prepare_elsewhere(world, spec, fake) == -9
        spec = _prepared_with(patient, spec)
        assert git(tree(spec), "status", "--porcelain", "--branch") == f"## {spec.branch}"
        patient.remove(spec, delete_branch=True)
        patient.orphans(())
        assert world.left_over() == [], step


@pytest.mark.deep
def test_a_workspace_stays_locked_until_the_git_of_a_killed_caller_has_ended(world: World, tmp_path: Path) -> None:
    go, fake = tmp_path / "go", tmp_path / "git"
    fake.write_text(
        '#!/bin/sh\ncase "$*" in *"worktree add"*)\n'
        f"kill -9 $PPID; while ! test -e '{go}'; do sleep 0.01; done;;\n"
        f'esac\nexec {GIT} "$@"\n'
    )
    fake.chmod(stat.S_IRWXU)
    spec = world.spec()
    assert _prepare_elsewhere(world, spec, fake) == -9
    impatient = LocalWorkspaces(world.home, world.git, patience=0)
    try:
        with pytest.raises(WorkspaceError, match="another operation on it"):
            impatient.prepare(spec)
    finally:
        go.touch()
    patient = LocalWorkspaces(world.home, world.git, patience=30)
    assert git(tree(_prepared_with(patient, spec)), "status", "--porcelain", "--branch") == f"## {spec.branch}"


def _prepare_elsewhere(world: World, spec: WorkspaceSpec, executable: Path) -> int:
    """Prepare in a process of its own, with this git; return its exit code."""
    program = (
        "import msgspec, sys; from pathlib import Path; from worlds import command_line_git\n"
        "from aura_workspace import LocalWorkspaces; from aura_contracts.ports.workspaces import WorkspaceSpec\n"
        f"spec = msgspec.json.decode({msgspec.json.encode(spec)!r}, type=WorkspaceSpec)\n"
        f"LocalWorkspaces(Path({str(world.home)!r}), command_line_git({str(executable)!r})).prepare(spec)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"}
    return subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode


def _prepared_with(workspaces: LocalWorkspaces, spec: WorkspaceSpec) -> WorkspaceSpec:
    made = workspaces.prepare(spec)
    return msgspec.structs.replace(spec, root=made.root, worktrees=made.worktrees)
