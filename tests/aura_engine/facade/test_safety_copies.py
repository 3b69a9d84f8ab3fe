"""Safety copies: each has a ref of its own, what is recorded has been done, and a read-only engine makes none."""

from pathlib import Path

import anyio
import pytest

from aura_contracts.errors import InvalidInput, StoreReadOnly, WorkspaceError
from aura_contracts.ports.workspaces import Orphan
from aura_contracts.workspace import SnapshotRestored
from engines import events_of, scripted, settled, write
from repositories import git

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ended(opened, repository):
    """The id of a cancelled task whose worktree is still there, with one safety copy."""
    async with opened() as engine:
        run = await engine.run("Write", repositories=[str(repository)], **scripted([write("b.txt", "one\n")]))
        await run.idle()
        tree = Path((await engine.workspaces.get(run.id)).worktrees[0].path)
        (tree / "b.txt").write_text("two\n")
        await engine.workspaces.snapshot(run.id)
        await run.cancel()
        await settled(engine, run.id)
        assert (await engine.workspaces.inspect(run.id)).exists
    return run.id


def refs(repository):
    return git(repository, "for-each-ref", "--format=%(refname)", "refs/aura").split()


@pytest.mark.deep
async def test_copies_taken_at_once_have_refs_of_their_own_also_from_two_engines(opened, repository, ended):
    async with opened() as one, opened() as other, anyio.create_task_group() as group:
        for engine in (one, other, one, other):
            group.start_soon(engine.workspaces.snapshot, ended)
    async with opened(read_only=True) as engine:
        recorded = [copy.ref for copy in (await engine.workspaces.get(ended)).snapshots]
    assert len(recorded) == 5
    assert sorted(recorded) == sorted(refs(repository))


async def test_a_restoration_that_fails_is_not_recorded(opened, repository, ended):
    async with opened() as engine:
        (copy,) = (await engine.workspaces.get(ended)).snapshots
        git(repository, "update-ref", "-d", copy.ref)
        with pytest.raises(WorkspaceError, match="has no snapshot"):
            await engine.workspaces.restore(ended, copy.ref)
        workspace = await engine.workspaces.get(ended)
        assert workspace.snapshots[0].restored_at is None
        assert not any(isinstance(event, SnapshotRestored) for event in await events_of(engine, workspace.id))


@pytest.mark.deep_but_first
@pytest.mark.parametrize("name", [lambda ref: ref, lambda ref: ref.rpartition("/")[2], lambda _: "1"])
async def test_a_copy_is_restored_by_ref_end_of_ref_or_number(opened, ended, name):
    async with opened() as engine:
        workspace = await engine.workspaces.get(ended)
        tree = Path(workspace.worktrees[0].path)
        (tree / "b.txt").write_text("three\n")
        restored = await engine.workspaces.restore(ended, name(workspace.snapshots[0].ref))
        assert (tree / "b.txt").read_text() == "two\n"
        assert [copy.restored_at is None for copy in restored.snapshots] == [False, True]
        with pytest.raises(InvalidInput, match="not a safety copy"):
            await engine.workspaces.restore(ended, "3")


async def test_work_in_place_is_copied_before_an_older_copy_replaces_it(opened, repository):
    async with opened() as engine:
        steps = scripted([write("b.txt", "one\n")])
        run = await engine.run("Write", repositories=[str(repository)], in_place=True, approval="auto", **steps)
        await run.result()
        await engine.workspaces.snapshot(run.id)
        (repository / "b.txt").write_text("two\n")
        restored = await engine.workspaces.restore(run.id, "1")
        assert (repository / "b.txt").read_text() == "one\n"
        assert git(repository, "show", f"{restored.snapshots[-1].ref}:b.txt").strip() == "two"


@pytest.mark.deep
async def test_a_read_only_engine_changes_no_files(opened, repository, ended):
    async with opened(read_only=True) as engine:
        workspace = await engine.workspaces.get(ended)
        tree = Path(workspace.worktrees[0].path)
        (tree / "b.txt").write_text("three\n")
        before = refs(repository), git(repository, "worktree", "list")
        where = {"path": str(tree.parent), "repository": str(repository), "branch": workspace.branch}
        orphan = Orphan(workspace_id=workspace.id, **where, dirty=True, reason="a test")
        for command in (
            lambda: engine.workspaces.snapshot(ended),
            lambda: engine.workspaces.restore(ended, "1"),
            lambda: engine.workspaces.clean(ended),
            lambda: engine.workspaces.warm(str(repository), 2),
            lambda: engine.workspaces.remove_orphan(orphan),
            lambda: engine.resume(ended),
        ):
            with pytest.raises(StoreReadOnly):
                await command()
        assert (refs(repository), git(repository, "worktree", "list")) == before
        assert (tree / "b.txt").read_text() == "three\n"
        assert (await engine.workspaces.diff(ended)).files
