"""Folders in no repository: nothing in them changes before it is merged, and then only what was."""

import os
import stat
from contextlib import nullcontext
from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds import World, command_line_git, new_id, tree

from aura_contracts.errors import GitFailed, InsideGitDirectory, Recovery, RefChanged, UnsuitableFolder, WorkspaceError
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import PLAIN_TARGET, MergeStyle, Repository
from aura_workspace import LocalWorkspaces, _plain_folders
from aura_workspace._plain_folders import PlainFolders
from repositories import git

OF_PROGRAMS = (
    *(".ssh", ".aws/cli", ".config/gh", ".local/share", ".mozilla", ".thunderbird", ".pki", ".cargo", ".npm"),
    "Library/Keychains",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plain = tmp_path / "plain"
    (plain / "deep").mkdir(parents=True)
    (plain / "notes.txt").write_text("precious\n")
    (plain / "deep/run.sh").write_text("#!/bin/sh\n")
    (plain / "deep/run.sh").chmod(0o750)
    (plain / "secret").write_text("one\n")
    (plain / "secret").chmod(0o600)
    (plain / "link").symlink_to("notes.txt")
    return plain


def spec_of(world: World, folder: Path):
    plain = Repository("plain", str(folder), PLAIN_TARGET, plain=True)
    return replace(world.spec(), repositories=(plain,))


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def merged(world: World, spec, style: MergeStyle = MergeStyle.MERGE, *, finish_only: bool = False):
    collected = world.workspaces.collect(spec, "work")
    heads = {head.repository: head.commit for head in collected.heads}
    trees = tuple(replace(one, head=heads[one.repository]) for one in spec.worktrees)
    return world.workspaces.merge(replace(spec, worktrees=trees), style, "merged", finish_only=finish_only)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("style", MergeStyle)
def test_work_is_done_in_a_worktree_and_reaches_the_folder_when_it_is_merged(world, folder, style):
    before = content(folder)
    spec = world.prepared(spec_of(world, folder))
    assert content(tree(spec)) == {**before, ".git": content(tree(spec))[".git"]}
    (tree(spec) / "notes.txt").unlink()
    (tree(spec) / "new").mkdir()
    (tree(spec) / "new/x").write_text("x\n")
    (tree(spec) / "secret").write_text("two\n")
    (tree(spec) / "deep/run.sh").write_text("#!/bin/sh\ntrue\n")
    assert content(folder) == before
    assert merged(world, spec, style).commits
    script = "#!/bin/sh\ntrue\n"
    assert content(folder) == {"deep/run.sh": script, "link": "notes.txt", "new/x": "x\n", "secret": "two\n"}
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "deep/run.sh").stat().st_mode) == 0o750
    world.workspaces.remove(spec, delete_branch=True)
    assert not world.left_over()


def test_what_a_human_changed_meanwhile_stays_and_is_merged(world, folder):
    spec = world.prepared(spec_of(world, folder))
    (tree(spec) / "new").write_text("from the agent\n")
    (folder / "notes.txt").write_text("changed by hand\n")
    (folder / "mine").write_text("made by hand\n")
    assert merged(world, spec).commits
    assert content(folder)["notes.txt"] == "changed by hand\n"
    assert content(folder)["mine"] == "made by hand\n"
    assert content(folder)["new"] == "from the agent\n"


def test_the_same_file_changed_by_both_is_a_conflict_that_changes_nothing(world, folder):
    spec = world.prepared(spec_of(world, folder))
    (tree(spec) / "notes.txt").write_text("from the agent\n")
    (tree(spec) / "new").write_text("x\n")
    (folder / "notes.txt").write_text("changed by hand\n")
    before = content(folder)
    assert merged(world, spec).conflicts[0].paths == ("notes.txt",)
    assert content(folder) == before
    git(tree(spec), "merge", "-q", "-X", "ours", PLAIN_TARGET)  # as the question says: resolved on the branch
    assert merged(world, spec).commits
    assert content(folder)["notes.txt"] == "from the agent\n"


@pytest.mark.deep_but_first
@pytest.mark.parametrize("delivered", [True, False])
def test_what_a_merge_had_delivered_when_it_was_killed_is_found(world, folder, monkeypatch, delivered):
    spec = world.prepared(spec_of(world, folder))
    (tree(spec) / "new").write_text("x\n")
    assert merged(world, spec, finish_only=True).commits == ()

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    def deliver_unnoted(self, plain):
        repository = self.repository_of(plain.path)
        old, new = self._git.resolve(repository, "HEAD"), self._git.resolve(repository, PLAIN_TARGET)
        self._git.update_folder(repository, plain.path, old, new)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(PlainFolders, "_deliver", deliver_unnoted if delivered else die)
        with pytest.raises(Killed):
            merged(world, spec)
    assert bool(merged(world, spec, finish_only=True).commits) == delivered
    assert ("new" in content(folder)) == delivered


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("me", "it is a home folder"),
        (".", "it contains the home folder"),
        *((f"me/{name}", "programs keep the keys and settings of .*/me there") for name in OF_PROGRAMS),
        ("/", "it is the root of the file system"),
        ("/etc", "it belongs to the system"),
        ("link", "it is a home folder"),
    ],
)
def test_what_is_no_project_is_refused_however_small(world, tmp_path, path, reason):
    home = tmp_path / "users" / "me"
    for folder in (*OF_PROGRAMS, "project", "project/.config"):
        (home / folder).mkdir(parents=True)
    (home.parent / "link").symlink_to("me")
    world.workspaces = LocalWorkspaces(world.home, world.git, user_home=home)
    with pytest.raises(UnsuitableFolder, match=reason) as refused:
        world.workspaces.describe(str(home.parent / path))
    assert "in_place=True" in refused.value.remedy
    world.workspaces.describe(str(home / "project"))
    world.workspaces.describe(str(home / "project" / ".config"))
    with pytest.raises(WorkspaceError, match=reason):
        world.prepared(spec_of(world, (home.parent / path).resolve()))


@pytest.mark.parametrize(("entry", "refused"), [("lost+found", True), ("src", False)])
def test_a_drive_is_refused_and_a_folder_that_is_mounted_for_a_container_is_not(
    world, folder, monkeypatch, entry, refused
):
    (folder / entry).mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    with pytest.raises(UnsuitableFolder, match="root of a drive") if refused else nullcontext():
        world.workspaces.describe(str(folder))


def test_a_file_changed_at_the_last_moment_is_not_overwritten(world, folder, monkeypatch):
    spec = world.prepared(spec_of(world, folder))
    (tree(spec) / "notes.txt").write_text("from the agent\n")
    (tree(spec) / "new").write_text("x\n")
    deliver = PlainFolders._deliver

    def late(self, plain):
        (folder / "notes.txt").write_text("changed by hand\n")
        deliver(self, plain)

    with monkeypatch.context() as patched:
        patched.setattr(PlainFolders, "_deliver", late)
        with pytest.raises(RefChanged) as refused:
            merged(world, spec)
    assert refused.value.recovery is Recovery.LATER  # it is merged again, which finds the conflict
    assert content(folder)["notes.txt"] == "changed by hand\n"
    assert "new" not in content(folder)
    assert merged(world, spec).conflicts[0].paths == ("notes.txt",)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_crash_before_the_delivery_is_over_loses_nothing(world, folder, monkeypatch, by_hand):
    spec = world.prepared(spec_of(world, folder))
    (tree(spec) / "notes.txt").write_text("from the agent\n")
    (tree(spec) / "new").write_text("x\n")

    class Killed(BaseException):
        pass

    def killed(self, plain):
        (folder / "new").write_text("x\n")  # the first of the files
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(PlainFolders, "_deliver", killed)
        with pytest.raises(Killed):
            merged(world, spec)
    if by_hand:
        (folder / "mine").write_text("made by hand\n")
    merged(world, spec)
    assert content(folder)["notes.txt"] == "from the agent\n"
    assert content(folder)["new"] == "x\n"
    assert ("mine" in content(folder)) is by_hand


@pytest.mark.deep
def test_two_tasks_on_one_folder_merge_one_after_the_other(world, folder):
    one, two = world.prepared(spec_of(world, folder)), world.prepared(spec_of(world, folder))
    (tree(one) / "one").write_text("1\n")
    (tree(two) / "two").write_text("2\n")
    assert merged(world, one).commits
    assert merged(world, two).commits
    assert {"one", "two"} <= content(folder).keys()


def test_ignored_files_stay_out_of_the_copy_and_are_left_alone(world, folder):
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "run.log").write_text("one\n")
    spec = world.prepared(spec_of(world, folder))
    assert not (tree(spec) / "run.log").exists()
    (tree(spec) / "new").write_text("x\n")
    assert merged(world, spec).commits
    assert content(folder)["run.log"] == "one\n"


def test_an_empty_folder_can_be_worked_on(world, tmp_path):
    (tmp_path / "empty").mkdir()
    spec = world.prepared(spec_of(world, tmp_path / "empty"))
    (tree(spec) / "first").write_text("1\n")
    assert merged(world, spec).commits
    assert content(tmp_path / "empty") == {"first": "1\n"}


def test_the_copies_are_for_their_user_only(world, folder):
    world.prepared(spec_of(world, folder))
    (kept,) = (world.home / "folders").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_a_folder_that_is_gone_is_named(world, folder):
    spec = world.prepared(spec_of(world, folder))
    (tree(spec) / "new").write_text("x\n")
    folder.rename(folder.with_name("moved"))
    with pytest.raises(GitFailed, match="the folder is gone"):
        merged(world, spec)
    folder.with_name("moved").rename(folder)
    assert merged(world, spec).commits


# --- What cannot be copied --------------------------------------------------------------------------------------------


def why_unsuitable(world, folder):
    with pytest.raises(UnsuitableFolder) as refused:
        world.workspaces.describe(str(folder))
    return refused.value.reason


def test_a_folder_with_a_repository_in_it_is_not_copied(world, folder, tmp_path):
    git(folder, "init", "-q", "deep")
    assert why_unsuitable(world, folder) == f"{folder / 'deep'} is a repository of its own"
    assert not world.workspaces.describe(str(folder), in_place=True).repository
    with pytest.raises(WorkspaceError, match="repository of its own"):
        world.workspaces.prepare(spec_of(world, folder))
    assert not (world.home / "folders").exists()


def test_too_many_files_or_bytes_are_not_copied(world, folder, monkeypatch):
    monkeypatch.setattr(_plain_folders, "FILE_LIMIT", 3)
    assert "more than 3 files" in why_unsuitable(world, folder)
    monkeypatch.setattr(_plain_folders, "FILE_LIMIT", 4)
    assert not world.workspaces.describe(str(folder)).repository
    monkeypatch.setattr(_plain_folders, "BYTE_LIMIT", 10)
    assert "MiB" in why_unsuitable(world, folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_named(world, folder):
    (folder / "secret").chmod(0)
    assert why_unsuitable(world, folder) == f"{folder / 'secret'} cannot be read"


def test_the_home_of_aura_is_left_out_of_a_folder_around_it(tmp_path):
    folder = tmp_path / "all"
    (folder / "notes.txt").parent.mkdir()
    (folder / "notes.txt").write_text("precious\n")
    home = folder / "my [home]"
    workspaces = LocalWorkspaces(home, command_line_git(), patience=0.2)
    plain = Repository("all", str(folder), PLAIN_TARGET, plain=True)
    spec = WorkspaceSpec(id=new_id(), title="t", slug="t", branch="aura/t", repositories=(plain,))
    made = workspaces.prepare(spec)
    assert sorted(path.name for path in Path(made.directory).iterdir()) == [".git", "notes.txt"]


@pytest.mark.parametrize("where", ["home", "home/workspaces"])
def test_the_inside_of_the_home_is_not_copied(world, tmp_path, where):
    (world.home / "workspaces").mkdir(parents=True)
    assert "AURA keeps its own data" in why_unsuitable(world, tmp_path / where)


def test_the_inside_of_a_git_folder_is_refused(world, tmp_path):
    git(world.api, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(world.web), "web")
    (tmp_path / "remains/.git/hooks").mkdir(parents=True)
    insides = (world.api / ".git", world.api / ".git/refs", world.api / ".git/modules/web")
    for inside in (*insides, tmp_path / "remains/.git/hooks"):
        with pytest.raises(InsideGitDirectory):
            world.workspaces.describe(str(inside))
