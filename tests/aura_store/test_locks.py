"""Locks: one engine has a task, whatever it dies of; then another may."""

import shutil
import subprocess
import sys

import anyio
import pytest

from aura_contracts.errors import StoreMisconfigured, StoreReadOnly, StoreUnavailable
from aura_store._locks import FileLocks, MemoryLocks, locks_for
from aura_store.postgres import _advisory_locks
from conditions import until
from databases import end_lock_sessions

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


# --- Locks that end before their holder -------------------------------------------------------------------------------


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_lock_whose_file_is_taken_away_is_lost_once_and_can_be_taken_again(tmp_path, replaced):
    one, other = FileLocks(tmp_path), FileLocks(tmp_path)
    assert await one.acquire("key")
    assert await one.acquire("kept")
    (file,) = [path for path in tmp_path.iterdir() if path == one._path("key")]
    file.unlink()
    if replaced:
        file.touch()
    assert set(await one.lost()) == {"key"}
    assert not await one.lost(), "it is told once"
    assert await one.acquire("key")
    assert not await other.acquire("key")
    assert not await other.acquire("kept")
    await one.aclose()
    assert not list(tmp_path.glob("*.lock"))


async def test_a_lock_that_another_process_took_meanwhile_is_left_to_it(tmp_path):
    one, other = FileLocks(tmp_path), FileLocks(tmp_path)
    assert await one.acquire("key")
    one._path("key").unlink()
    assert await other.acquire("key")
    await one.release("key")
    assert not await one.acquire("key"), "releasing what was lost does not release the lock of another"
    assert not await other.lost()
    await other.release("key")
    assert await one.acquire("key")


async def test_a_lock_that_another_process_took_meanwhile_cannot_be_taken_twice(tmp_path):
    one, other = FileLocks(tmp_path), FileLocks(tmp_path)
    assert await one.acquire("key")
    one._path("key").unlink()
    assert await other.acquire("key")
    assert not await one.acquire("key")
    await other.release("key")
    assert await one.acquire("key")
    assert not await other.acquire("key")


async def test_releasing_a_lock_whose_folder_is_gone_does_not_raise(tmp_path):
    locks = FileLocks(tmp_path / "locks")
    assert await locks.acquire("key")
    assert await locks.acquire("other")
    shutil.rmtree(tmp_path / "locks")
    (tmp_path / "locks").touch()
    await locks.release("key")
    assert set(await locks.lost()) == {"other"}
    await locks.aclose()


async def test_locks_end_with_their_session_and_can_be_taken_again(postgres, postgres_url):
    one, other = locks_for(postgres_url), locks_for(postgres_url)
    try:
        assert await one.acquire("task:1")
        assert await one.acquire("task:2")
        assert not await one.lost()
        end_lock_sessions(postgres, postgres_url)
        assert set(await one.lost()) == {"task:1", "task:2"}
        assert not await one.lost(), "they are told once"
        assert await other.acquire("task:2")
        assert await one.acquire("task:1")
        assert not await one.acquire("task:2")
        assert await one.held_elsewhere("task:2")
        assert not await one.held_elsewhere("task:1")
    finally:
        await one.aclose()
        await other.aclose()


@pytest.mark.parametrize("taken_meanwhile", [False, True])
async def test_to_take_a_lock_once_more_tells_whether_it_is_still_held(postgres, postgres_url, taken_meanwhile):
    """Nothing else asks the session of an engine that drives nothing."""
    one, other = locks_for(postgres_url), locks_for(postgres_url)
    try:
        assert await one.acquire("service")
        end_lock_sessions(postgres, postgres_url)
        if taken_meanwhile:
            await until(lambda: other.acquire("service"))
        assert await one.acquire("service") is not taken_meanwhile
    finally:
        await one.aclose()
        await other.aclose()


async def test_releasing_a_lock_whose_session_has_ended_does_not_raise(postgres, postgres_url):
    locks = locks_for(postgres_url)
    assert await locks.acquire("task:1")
    assert await locks.acquire("task:2")
    end_lock_sessions(postgres, postgres_url)
    await locks.release("task:1")
    assert set(await locks.lost()) == {"task:2"}
    await locks.aclose()
    await locks.aclose()


async def test_asking_whether_a_lock_is_held_does_not_take_it(postgres_url):
    one, other = locks_for(postgres_url), locks_for(postgres_url)
    try:
        for key in (f"task:{number}" for number in range(50)):  # keys have either sign
            assert not await other.held_elsewhere(key)
            assert await one.acquire(key)
            assert await other.held_elsewhere(key)
    finally:
        await one.aclose()
        await other.aclose()


@pytest.mark.deep_but_first
@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_a_restart_of_the_server_is_waited_out(restartable_postgres, mode):
    server = restartable_postgres
    locks = locks_for(server.url())
    assert await locks.acquire(f"task:{mode}")
    server.stop(mode)
    answers = []

    async def ask():
        answers.append(await locks.held_elsewhere("task:2"))
        answers.append(await locks.acquire(f"task:{mode}"))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.to_thread.run_sync(server.start)
    assert answers == [False, True]
    await locks.aclose()


async def test_an_outage_is_told_when_it_lasts(tmp_path):
    locks = locks_for(f"postgresql://postgres@/none?host={tmp_path}", outage_timeout=0.1)
    with pytest.raises(StoreUnavailable):
        await locks.acquire("task:1")
    with pytest.raises(StoreUnavailable):
        await locks.held_elsewhere("task:1")
    assert not await locks.lost()
    await locks.release("task:1")
    await locks.aclose()


async def test_a_pooler_that_lends_sessions_by_transaction_is_refused(postgres_url, monkeypatch):
    """Locks would be others' as well. The server's own ids of its processes differ from those that a pooler tells."""
    backends = iter([1, 1, 1, 1, 2])
    monkeypatch.setattr(_advisory_locks, "_backend_of", lambda _: next(backends))
    locks = locks_for(postgres_url)
    with pytest.raises(StoreMisconfigured, match="pooler"):
        await locks.acquire("task:1")
    await locks.aclose()


@pytest.mark.deep
async def test_a_pooler_that_lends_sessions_for_as_long_as_a_client_stays_is_accepted(postgres_url, monkeypatch):
    monkeypatch.setattr(_advisory_locks, "_backend_of", lambda _: 1)
    locks = locks_for(postgres_url)
    assert await locks.acquire("task:1")
    await locks.aclose()
