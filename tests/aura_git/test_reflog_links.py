"""Symbolic links in place of reflogs: each is removed before git writes, and folders without any are read once."""

import os
import time
from types import SimpleNamespace

import pytest

from aura_git.repository import _links
from aura_git.repository._links import LinkRemover, links_of


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """The logs of two branches, that were made a while ago."""
    folder = tmp_path / "common" / "logs" / "refs" / "heads" / "team"
    folder.mkdir(parents=True)
    (folder / "one").write_text("log\n")
    (folder.parent / "main").write_text("log\n")
    monkeypatch.setattr(_links, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + 2 * _links._SETTLED))
    return folder


@pytest.fixture
def read(logs, monkeypatch):
    """The folders that were read."""
    seen, reading = [], _links._remove_in
    known = {folder.stat().st_ino: folder.name for folder in (logs, logs.parent)}

    def noting(folder):
        seen.append(known.get(os.fstat(folder).st_ino, "another"))
        return reading(folder)

    monkeypatch.setattr(_links, "_remove_in", noting)
    return seen


def link(path, target):
    """Make a link at a moment that differs from that of the folder's last change."""
    before = path.parent.stat().st_ctime_ns
    while path.parent.stat().st_ctime_ns == before:
        path.unlink(missing_ok=True)
        path.symlink_to(target)


def remove(remover, logs, users=None):
    common = str(logs.parents[3])
    remover.remove(common, common, users or {})


def test_a_folder_without_links_is_read_again_only_after_a_change(logs, read, tmp_path):
    remover = LinkRemover()
    for _ in range(3):
        remove(remover, logs)
    assert read == ["heads", "team"]
    link(logs / "one", tmp_path / "key")
    remove(remover, logs)
    assert not (logs / "one").is_symlink()
    assert read == ["heads", "team", "team"]


def test_a_folder_that_has_just_changed_is_read_again(logs, read, monkeypatch):
    monkeypatch.setattr(_links, "time", time)
    remover = LinkRemover()
    remove(remover, logs)
    remove(remover, logs)
    assert read == ["heads", "team"] * 2


def test_another_folder_in_its_place_is_read(logs, read, tmp_path):
    remover = LinkRemover()
    remove(remover, logs)
    other = logs.with_name("other")
    other.mkdir()
    link(other / "one", tmp_path / "key")
    logs.rename(logs.with_name("away"))
    other.rename(logs)
    remove(remover, logs)
    assert not (logs / "one").is_symlink()


def test_what_is_behind_a_link_to_a_folder_is_not_touched(logs, tmp_path):
    home = tmp_path / "home"
    (home / "inner").mkdir(parents=True)
    link(home / "inner" / "mine", tmp_path / "key")
    for place in (logs / "two", logs, logs.parent, logs.parents[1], logs.parents[2]):
        if place.exists():
            place.rename(tmp_path / f"away-{place.name}")
        place.symlink_to(home)
        remove(LinkRemover(), logs)
        assert not place.is_symlink()
        place.mkdir(exist_ok=True)
    assert (home / "inner" / "mine").is_symlink()


@pytest.mark.parametrize("name", ["logs", "logs/refs", "logs/refs/heads"])
def test_a_link_of_the_users_stays_while_it_leads_where_it_did(logs, tmp_path, name):
    common = logs.parents[3]
    place, moved, other = common / name, tmp_path / "moved", tmp_path / "other"
    place.rename(moved)
    place.symlink_to(moved)
    users = links_of(str(common))
    remover = LinkRemover()
    link(logs / "one", tmp_path / "key")
    remove(remover, logs, users)
    assert place.is_symlink()
    assert not (logs / "one").is_symlink()
    moved.rename(other)
    moved.symlink_to(other)
    remove(remover, logs, users)
    assert not place.is_symlink()


def test_folders_that_are_gone_are_forgotten(logs):
    remover = LinkRemover()
    remove(remover, logs)
    (logs / "one").unlink()
    logs.rmdir()
    remove(remover, logs)
    assert [known.folders for known in remover._known.values()] == [{}]


def test_folders_nested_too_deep_for_a_branch_are_left(logs):
    folder = logs
    for _ in range(400):
        folder /= "d"
        folder.mkdir()
    link(logs / "two", logs)
    remove(LinkRemover(), logs)
    assert not (logs / "two").is_symlink()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_cannot_be_read_but_written_through_is_refused(logs):
    logs.chmod(0o300)
    with pytest.raises(PermissionError):
        remove(LinkRemover(), logs)
