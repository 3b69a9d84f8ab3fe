"""Copying untracked files: what is asked for, nothing from outside, nothing over what is there, and never committed."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import World, tree

from aura_contracts.errors import InvalidInput, WorkspaceError
from aura_workspace._copied_files import copy_untracked, require_inside
from repositories import git


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    top = tmp_path / "source"
    for name in (".env", "config/a.local", "config/b.local", "config/c", "deep/er/x.local", ".git/config", "run.sh"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    (top / "run.sh").chmod(0o750)
    (top / ".env").chmod(0o600)
    return top


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def names(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir() or path.is_symlink())


def test_files_and_folders_with_their_permissions(source: Path, target: Path) -> None:
    (source / "config").chmod(0o700)
    copied = copy_untracked(source, target, [".env", "config/*.local", "deep", "run.sh", "no-such-file", "**/x.local"])
    assert copied == [".env", "config/a.local", "config/b.local", "deep/er/x.local", "run.sh"]
    assert names(target) == sorted(copied)
    assert (target / "run.sh").stat().st_mode & 0o777 == 0o750
    assert (target / ".env").stat().st_mode & 0o777 == 0o600
    assert (target / "config").stat().st_mode & 0o777 == 0o700


def test_everything_is_everything_but_gits_own_folder(source: Path, target: Path) -> None:
    copy_untracked(source, target, ["*", "**/*"])
    assert names(target) == [name for name in names(source) if not name.startswith(".git/")]


def test_what_is_there_already_stays(source: Path, target: Path) -> None:
    (target / ".env").write_text("tracked")
    (target / "config").write_text("a file here")
    assert copy_untracked(source, target, [".env", "config/*", "config"]) == []
    assert (target / ".env").read_text() == "tracked"


def test_links_that_lead_out_of_the_repository_are_not_followed(source: Path, target: Path, tmp_path: Path) -> None:
    (source / "out").symlink_to(tmp_path / "outside")
    (source / "out-file").symlink_to("../outside/secret")
    (source / "config/out").symlink_to("../../outside")
    (source / "in").symlink_to("config/c")
    (source / "absolute").symlink_to(source / "run.sh")
    copied = copy_untracked(source, target, ["out/secret", "out", "out-file", "config", "in", "absolute", "out/*"])
    assert copied == ["config/a.local", "config/b.local", "config/c", "in"]
    assert (target / "in").readlink() == Path("config/c")
    assert not any("out" in name for name in names(target))


def test_links_in_the_worktree_are_not_written_through(source: Path, target: Path, tmp_path: Path) -> None:
    (target / "config").symlink_to(tmp_path / "outside")
    (target / ".env").symlink_to(tmp_path / "outside" / "new")
    assert copy_untracked(source, target, ["config/*", "config", ".env"]) == []
    assert names(tmp_path / "outside") == ["secret"]


def test_what_is_no_file_is_left_out(source: Path, target: Path) -> None:
    os.mkfifo(source / "config/pipe")
    assert "config/pipe" not in copy_untracked(source, target, ["config"])


@pytest.mark.parametrize(
    "pattern", ["", " ", "/etc/passwd", "../x", "a/../../b", "C:\\x", "\\\\host\\x", "a\\..\\b", "\0"]
)
def test_patterns_that_leave_the_repository_are_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="does not stay below the repository"):
        require_inside(pattern)


@given(st.lists(st.sampled_from(["..", ".", "a", "*", "**", "/", "~", "c:", "\\"]), max_size=6))
def test_a_pattern_that_is_accepted_stays_inside(parts: list[str]) -> None:
    pattern = "/".join(parts)
    try:
        require_inside(pattern)
    except InvalidInput:
        return
    assert os.path.normpath("/top/" + pattern).startswith("/top")


# --- In a workspace ---------------------------------------------------------------------------------------------------


def test_copies_are_no_work(world: World) -> None:
    """`.env` is ignored, `local.toml` is not: neither is shown, committed, or counted."""
    (world.api / ".env").write_text("KEY=1\n")
    (world.api / "local.toml").write_text("x = 1\n")
    (world.api / "ä b.toml").write_text("x = 1\n")
    (world.api / "README").write_text("edited, and not wanted\n")
    spec = world.prepared(world.spec(copy_globs=(".env", "*.toml", "README")))
    top = tree(spec)
    assert (top / ".env").exists()
    assert (top / "README").read_text() == "hello\n"
    assert not world.workspaces.inspect(spec).dirty
    assert world.workspaces.diff(spec, patch=True)[0].diff.files == ()
    assert world.workspaces.diff(spec, patch=True)[0].diff.patch == b""

    (top / "work").write_text("work\n")
    (top / "local.toml").write_text("x = 2\n")
    found = world.workspaces.diff(spec, patch=True)[0].diff
    assert [file.path for file in found.files] == ["work"]
    assert b"toml" not in (found.patch or b"")
    collected = world.workspaces.collect(spec, "work")
    assert (collected.outcome.changed_files, collected.clean) == (1, True)
    assert git(top, "show", "--name-only", "--format=", "HEAD") == "work"
    assert world.workspaces.merge(spec, "merge", "m").conflicts == ()  # type: ignore[arg-type]


def test_copies_that_the_agent_staged_are_not_committed_either(world: World) -> None:
    (world.api / "local.toml").write_text("x = 1\n")
    spec = world.prepared(world.spec(copy_globs=("*.toml",)))
    (tree(spec) / "work").write_text("work\n")
    git(tree(spec), "add", "-A")
    assert world.workspaces.collect(spec, "work").outcome.changed_files == 1
    assert git(tree(spec), "ls-files", "*.toml") == ""
    assert (tree(spec) / "local.toml").read_text() == "x = 1\n"


def test_a_copy_that_the_agent_committed_is_work_from_then_on(world: World) -> None:
    (world.api / "local.toml").write_text("x = 1\n")
    spec = world.prepared(world.spec(copy_globs=("*.toml",)))
    git(tree(spec), "add", "local.toml")
    git(tree(spec), "commit", "-qm", "on purpose")
    (tree(spec) / "local.toml").write_text("x = 2\n")
    assert world.workspaces.inspect(spec).dirty
    world.workspaces.collect(spec, "work")
    assert git(tree(spec), "show", "HEAD:local.toml") == "x = 2"


def test_patterns_are_judged_before_anything_is_made(world: World) -> None:
    with pytest.raises(WorkspaceError, match="does not stay below"):
        world.workspaces.prepare(world.spec(copy_globs=("../secret",)))
    assert world.left_over() == []


def test_a_copy_that_fails_undoes_the_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (world.api / "local.toml").write_text("x")
    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(WorkspaceError, match="No space left on device"):
        world.workspaces.prepare(world.spec(copy_globs=("*.toml",)))
    assert world.left_over() == []
