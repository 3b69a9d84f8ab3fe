"""``aura workspace``: worktrees of tasks, and their safety copies."""

from pathlib import Path

import pytest

from command_line import call_aura
from repositories import branches, git, worktrees


@pytest.fixture
def task_id(place):
    """A task with a worktree, whose agent has written a file, and which was called off."""
    task_id = call_aura("task", "create", "Say more", "--json").objects[0]["id"]
    words = ("--executor", "custom", "--base-command", "sh", "--param", "-c", "--param", "echo one > new.txt")
    assert call_aura("task", "assign", task_id, *words).code == 0
    assert call_aura("task", "cancel", task_id).code == 0
    return task_id


def shown(task_id):
    return call_aura("workspace", "show", task_id, "--json").objects[0]


@pytest.mark.deep
def test_a_workspace_is_listed_and_shown(place, task_id):
    (row,) = call_aura("workspace", "list", "--json").objects
    assert (row["status"], row["task_id"]) == ("ready", task_id)
    found = shown(row["id"])
    assert found == shown(task_id)
    assert (found["condition"]["exists"], found["condition"]["dirty"]) == (True, False)
    assert "now: everything is committed" in call_aura("workspace", "show", task_id).out
    assert "new.txt" in call_aura("workspace", "diff", task_id, "--stat").out


def test_a_diff_can_be_applied(place, task_id):
    patch = call_aura("workspace", "diff", task_id).out
    (place.parent / "work.patch").write_text(patch)
    git(place, "apply", "../work.patch")
    assert (place / "new.txt").read_text() == "one\n"
    (data,) = call_aura("workspace", "diff", task_id, "--json").objects
    assert data["patch"] == patch
    assert [file["path"] for file in data["files"]] == ["new.txt"]


@pytest.mark.deep
def test_a_safety_copy_is_made_and_restored(place, task_id):
    file = Path(shown(task_id)["worktrees"][0]["path"]) / "new.txt"
    file.write_text("two\n")
    taken = call_aura("workspace", "snapshot", task_id)
    assert taken.code == 0, taken.err
    file.write_text("three\n")
    restored = call_aura("workspace", "restore", task_id, "1")
    assert restored.code == 0, restored.err
    assert file.read_text() == "two\n"
    assert "the files before are kept as refs/aura/snapshots/" in restored.err
    copies = shown(task_id)["snapshots"]
    assert [copy["reason"] for copy in copies] == ["requested", "restore"]
    assert git(place, "show", f"{copies[1]['ref']}:new.txt") == "three"
    answer = call_aura("workspace", "restore", task_id, "7", "--json")
    assert (answer.code, answer.error["code"]) == (1, "invalid_input")
    assert copies[0]["ref"] in answer.error["remedy"]


@pytest.mark.deep
def test_what_is_cleaned_away_is_kept(place, task_id):
    found = shown(task_id)
    (Path(found["worktrees"][0]["path"]) / "new.txt").write_text("two\n")
    answer = call_aura("workspace", "clean", task_id)
    assert answer.code == 0, answer.err
    assert worktrees(place) == []
    assert found["branch"] in branches(place)
    (row,) = call_aura("workspace", "list", "--all", "--json").objects
    assert row["status"] == "removed"
    assert git(place, "show", f"{row['snapshots'][-1]['ref']}:new.txt") == "two"
    assert call_aura("workspace", "list", "--json").objects == []
    assert "now: removed" in call_aura("workspace", "show", task_id).out


def test_the_pool_is_filled(place):
    (made,) = call_aura("workspace", "warm", "--count", "1", "--json").objects
    assert (made["id"], made["made"]) == (str(place), 1)
    assert call_aura("workspace", "warm", "--count", "1", "--json").objects[0]["made"] == 0


def test_a_workspace_that_is_not_there(place, task_id):
    answer = call_aura("workspace", "show", "ffff", "--json")
    assert (answer.code, answer.error["code"]) == (1, "not_found")
    assert answer.error["remedy"] == "`aura workspace list` lists the workspaces"


def test_a_pool_has_a_size_that_a_disk_holds(place):
    answer = call_aura("workspace", "warm", place, "--count", "101", "--json")
    assert (answer.code, answer.error["facts"]["field"]) == (1, "count")
