"""Locks: one engine has a task, whatever it dies of; then another may."""

import subprocess
import sys

import pytest

from aura_contracts.errors import StoreReadOnly
from aura_store._locks import FileLocks, MemoryLocks, locks_for
from conditions import until

pytestmark = pytest.mark.anyio

HOLDER = """
import anyio, sys
from aura_store._locks import locks_for
async def main():
    locks = locks_for(sys.argv[1])
    print(await locks.acquire("task:1"), flush=True)
    sys.stdin.read()
anyio.run(main)
"""


def holding(url):
    """Start a process that takes the lock and holds it until its standard input is closed, or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "True\n"
    return process


async def check_that_it_ends_with_its_process(url):
    locks = locks_for(url)

    async def is_free():
        return not await locks.held_elsewhere("task:1")

    try:
        process = holding(url)
        try:
            assert not await locks.acquire("task:1")
            assert await locks.held_elsewhere("task:1")
            assert await locks.acquire("task:2"), "others are free"
        finally:
            process.kill()
            process.communicate()
        await until(is_free)  # a server hears of it a little later
        assert await locks.acquire("task:1")
        assert await locks.acquire("task:1"), "taking it twice is harmless"
        assert not await locks.held_elsewhere("task:1"), "it is here, not elsewhere"
        await locks.release("task:1")
        await locks.release("task:1")
        other = holding(url)
        other.communicate()
        await until(is_free)
    finally:
        await locks.aclose()


async def test_a_lock_beside_a_file_ends_with_its_process(tmp_path):
    await check_that_it_ends_with_its_process(f"sqlite:///{tmp_path / 'aura.db'}")
    assert not list(tmp_path.rglob("*.lock")), "released locks leave no files"


async def test_a_lock_in_a_server_ends_with_its_process(postgres_url):
    await check_that_it_ends_with_its_process(postgres_url)


async def test_a_lock_that_is_deleted_while_somebody_waits_for_it_is_not_two_locks(tmp_path):
    one, other = FileLocks(tmp_path), FileLocks(tmp_path)
    for _ in range(20):
        assert await one.acquire("key")
        assert not await other.acquire("key")
        await one.release("key")
        assert await other.acquire("key")
        assert not await one.acquire("key")
        await other.release("key")


@pytest.mark.parametrize("name", ["link.db", "folder/aura.db", "../{here}/aura.db", "aura.db?mode=ro"])
@pytest.mark.parametrize("prefix", ["", "{folder}/"])
async def test_all_paths_to_a_file_lead_to_its_locks(tmp_path, monkeypatch, name, prefix):
    (tmp_path / "link.db").symlink_to("aura.db")
    (tmp_path / "folder").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    one = locks_for(f"sqlite:///{tmp_path / 'aura.db'}")
    other = locks_for("sqlite:///" + f"{prefix}{name}".format(folder=tmp_path, here=tmp_path.name))
    monkeypatch.chdir("/")
    assert await one.acquire("task:1")
    assert await other.held_elsewhere("task:1")
    assert not await other.acquire("task:1")
    await one.release("task:1")
    assert await other.acquire("task:1")
    await other.aclose()


async def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreReadOnly):
        await FileLocks(tmp_path / "file" / "locks").acquire("key")


async def test_a_log_in_memory_has_no_others():
    locks = locks_for("memory:")
    assert isinstance(locks, MemoryLocks)
    assert await locks.acquire("key")
    assert not await locks.held_elsewhere("key")
    await locks.aclose()
