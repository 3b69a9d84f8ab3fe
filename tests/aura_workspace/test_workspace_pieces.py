"""The small pieces: locks, markers, links, patches, and what the package offers by name."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import World

import aura_workspace
from aura_contracts.ports.git_values import Diff
from aura_workspace._checkouts import find_source
from aura_workspace._copied_files import without_added
from aura_workspace._worktrees import (
    MARKER_FILE,
    Marker,
    change_marker,
    has_pointer,
    linked_git_dir,
    read_marker,
    write_marker,
)
from repositories import git


def test_the_public_names_are_pinned() -> None:
    assert aura_workspace.__all__ == ["LocalWorkspaces"]


# --- Markers ----------------------------------------------------------------------------------------------------------

paths = st.text(min_size=1).map(lambda text: os.fsdecode(text.encode("utf-8", "surrogatepass")))


@given(st.lists(paths | st.binary(min_size=1).map(os.fsdecode), max_size=5))
def test_a_marker_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, copied: list[str]) -> None:
    folder = tmp_path_factory.mktemp("marker")
    marker = Marker(
        workspace_id="x", repository="r", branch="b", path="/p", base_commit="c", ready=True, copied=tuple(copied)
    )
    write_marker(folder, marker)
    assert read_marker(folder) == marker
    assert all(marker.hides(path) for path in copied)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"workspace_id": 1}', "\xff"])
def test_a_marker_that_cannot_be_read_proves_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / MARKER_FILE).write_text(content, encoding="latin-1")
    assert read_marker(tmp_path) is None
    assert change_marker(tmp_path, ready=True) is None


def test_a_marker_of_a_later_version_proves_nothing(tmp_path: Path) -> None:
    write_marker(tmp_path, Marker(workspace_id="x", repository="r", branch="b", path="/p", base_commit="c", version=2))
    assert read_marker(tmp_path) is None


def test_a_folder_hides_what_is_in_it() -> None:
    marker = Marker(workspace_id="", repository="", branch="", path="", base_commit="", copied=("a/", "b"))
    assert [marker.hides(path) for path in ("a/x", "a/b/c", "a", "b", "b/x", "ab")] == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]


# --- Links ------------------------------------------------------------------------------------------------------------


def test_only_a_worktree_that_is_pointed_back_to_is_linked(world: World) -> None:
    git(world.api, "worktree", "add", "-q", str(world.folder / "linked"))
    assert linked_git_dir(world.folder / "linked") == world.api / ".git/worktrees/linked"
    assert linked_git_dir(world.api) is None
    assert linked_git_dir(world.folder / "nowhere") is None
    (world.folder / "linked").rename(world.folder / "moved")
    assert linked_git_dir(world.folder / "moved") is None
    assert has_pointer(world.folder / "moved")
    assert not has_pointer(world.api)


def test_a_repository_has_one_key_from_wherever_it_is_seen(world: World) -> None:
    git(world.api, "worktree", "add", "-q", str(world.folder / "linked"))
    keys = {find_source(world.git, str(path)).key for path in (world.api, world.api / "src", world.folder / "linked")}
    assert len(keys) == 1
    assert find_source(world.git, str(world.web)).key not in keys


# --- Patches ----------------------------------------------------------------------------------------------------------

NAMES = ("plain", "with space", "tab\t", 'quo"te', "back\\slash", "ümlaut", os.fsdecode(b"latin-\xe9"), "b/c d", "-x")


def test_hidden_files_are_cut_out_of_a_patch_whatever_their_name(world: World) -> None:
    for name in NAMES:
        (world.api / name).parent.mkdir(exist_ok=True)
        (world.api / name).write_bytes(b"diff --git a/x b/x\n\0binary\n" if "q" in name else b"diff --git a/x b/x\nx\n")
    (world.api / "README").write_text("edited\n")
    whole = world.git.diff(str(world.api), "HEAD", patch=True)
    assert {file.path for file in whole.files} == {*NAMES, "README"}
    rest = without_added(whole, lambda path: path != "ümlaut")
    assert [file.path for file in rest.files] == ["README", "ümlaut"]
    assert rest.patch is not None
    assert rest.patch.count(b"\ndiff --git ") + rest.patch.startswith(b"diff --git ") == 2
    assert without_added(whole, lambda _: False) == whole
    assert without_added(Diff(files=whole.files), lambda _: True).patch is None
