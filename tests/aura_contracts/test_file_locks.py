"""Locks on files and folders: one holder, no file left, and an end with the process."""

import multiprocessing
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from aura_contracts.file_locks import lock_file, lock_folder, try_lock


def test_a_lock_is_held_by_one_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    lock = try_lock(tmp_path / "locks" / "x")
    assert try_lock(tmp_path / "locks" / "x") is None
    lock.release()
    lock.release()
    assert list((tmp_path / "locks").iterdir()) == []
    with lock_file(tmp_path / "locks" / "x", 0) as held:
        assert held.holds
        assert lock_file(tmp_path / "locks" / "x", 0.01) is None
    assert not held.holds


def _hold_and_die(path: Path, ready: Any) -> None:
    assert try_lock(path) is not None
    ready.set()
    os._exit(9)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold_and_die, args=(tmp_path / "x", ready))
    process.start()
    process.join()
    assert ready.is_set()
    assert (tmp_path / "x").exists()
    try_lock(tmp_path / "x").release()


def test_a_lock_under_contention_is_never_held_twice(tmp_path: Path) -> None:
    holders, most = 0, 0

    def work() -> None:
        nonlocal holders, most
        for _ in range(50):
            with lock_file(tmp_path / "x", 60):
                holders += 1
                most = max(most, holders)
                holders -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_lock_whose_file_was_replaced_holds_nothing_and_leaves_the_other(tmp_path: Path) -> None:
    lost = try_lock(tmp_path / "x")
    (tmp_path / "x").unlink()
    with try_lock(tmp_path / "x") as held:
        assert not lost.holds
        lost.release()
        assert held.holds


def test_a_link_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        try_lock(tmp_path / "x")
    assert not (tmp_path / "elsewhere").exists()


def test_who_waits_may_end_what_holds_the_lock(tmp_path: Path) -> None:
    lock = try_lock(tmp_path / "x")
    with lock_file(tmp_path / "x", 60, meanwhile=lock.release) as held:
        assert held.holds


def test_shared_locks_of_a_folder_keep_out_those_for_one(tmp_path: Path) -> None:
    with lock_folder(tmp_path, 0, shared=True), lock_folder(tmp_path, 0, shared=True):
        assert lock_folder(tmp_path, 0) is None
    with lock_folder(tmp_path, 0):
        assert lock_folder(tmp_path, 0, shared=True) is None
    assert tmp_path.is_dir()
