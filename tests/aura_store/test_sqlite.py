"""SQLite as a store: files that are damaged, foreign, locked up or full, and what a person is told about them."""

# ruff: noqa: ASYNC240 - nothing else runs in these loops

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from aura_contracts.errors import (
    AuraError,
    EventOutOfOrder,
    LogDamaged,
    StoreFull,
    StoreMisconfigured,
    StoreReadOnly,
    StoreUnavailable,
    UnknownEventType,
)
from aura_contracts.events import EventRecord, Snapshot
from aura_contracts.task import TaskQueued
from aura_store import open_log
from aura_store.adapters import Patience, open_recorder
from aura_store.audit import verify
from aura_store.log._recorder import DatabaseAway, WriteTransaction
from aura_store.sqlite import _sqlite_recorder as module
from aura_store.sqlite._sqlite_recorder import SQLiteRecorder
from aura_store.testing.log_conformance import append, assert_sealed, everything, everything_sealed, stream_id, titles

pytestmark = pytest.mark.anyio

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER_KEY = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def execute(path: Path, statement: str, *arguments: Any) -> list[Any]:
    """Do to the file what a person with the `sqlite3` program might do."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement, arguments).fetchall()


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A log of 40 events in 4 streams, closed."""
    file = tmp_path / "log.db"
    async with open_log(url_of(file)) as log:
        for version in range(10):
            await log.append(*(append(stream, version, f"{stream}/{version} {'x' * 200}") for stream in range(4)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.db"], "a closed log is one file"
    return file


async def read_all(path: Path) -> list[EventRecord]:
    async with open_log(url_of(path), outage_timeout=0) as log:
        return await everything(log)


# --- Damaged files ----------------------------------------------------------------------------------------------------


async def test_a_file_cut_off_anywhere_is_damage(path: Path) -> None:
    before, whole = await read_all(path), path.read_bytes()
    lengths = {15, 16, 99, 100, 101, 4095, 4096, 4097, len(whole) - 1, *range(512, len(whole), 2048 + 512)}
    for length in sorted(lengths):
        path.write_bytes(whole[:length])
        try:
            assert await read_all(path) == before, f"only what was not in use may be missing: {length}"
            assert length == len(whole) - 1
        except LogDamaged as damage:
            assert "backup" in damage.remedy  # noqa: PT017


@pytest.mark.parametrize("content", [b"\0" * 8192, b"once upon a time " * 500, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "log.db"
    file.write_bytes(content)
    with pytest.raises(LogDamaged) as caught:
        await read_all(file)
    assert file.read_bytes() == content
    if not content.startswith(b"SQLite"):
        assert "another kind of file" in caught.value.reason
        assert "--store" in caught.value.remedy


@pytest.mark.deep_but_first
@pytest.mark.parametrize("seed", range(3))
async def test_changed_bytes_are_noticed_or_change_nothing(path: Path, seed: int) -> None:
    """Whatever byte is changed: what is read is what was written, or somebody says where it is not."""
    before = await read_all(path)
    whole = path.read_bytes()
    dice = random.Random(seed)
    noticed = 0
    for _ in range(40):
        at = dice.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ dice.randrange(1, 256)]) + whole[at + 1 :])
        for leftover in path.parent.glob("log.db-*"):
            leftover.unlink()
        try:
            async with open_log(url_of(path), outage_timeout=0) as log:
                report = await verify(log)
                if report.first_bad is not None:
                    assert 0 <= report.first_bad.position <= 40
                    noticed += 1
                else:
                    assert await everything(log) == before, f"byte {at}"
        except AuraError as error:
            assert error.remedy, f"byte {at}"  # noqa: PT017
            noticed += 1
    assert noticed > 10


@pytest.mark.parametrize(
    ("statement", "position"),
    [
        ("UPDATE stored_events SET state = replace(state, 'x', 'y') WHERE rowid = 17", 17),
        ("UPDATE stored_events SET topic = 'task.created@1' WHERE rowid = 17", 17),
        ("UPDATE stored_events SET digest = zeroblob(32) WHERE rowid = 17", 17),
        ("DELETE FROM stored_events WHERE rowid = 17", 17),
        ("UPDATE stored_events SET originator_id = 'x' WHERE rowid = 17", 17),
    ],
)
async def test_a_changed_event_is_named(path: Path, statement: str, position: int) -> None:
    execute(path, statement)
    async with open_log(url_of(path)) as log:
        report = await verify(log)
    assert report.first_bad is not None
    assert report.first_bad.position == position


async def test_events_missing_at_the_end_are_noticed_when_the_log_is_opened(path: Path) -> None:
    execute(path, "DELETE FROM stored_events WHERE rowid > 37")
    with pytest.raises(LogDamaged) as caught:
        await read_all(path)
    assert caught.value.position == 38


async def test_a_version_missing_in_a_stream_is_noticed_when_it_is_read(path: Path) -> None:
    execute(path, "DELETE FROM stored_events WHERE rowid = 17")  # stream 0, version 5
    async with open_log(url_of(path)) as log:
        for read in (log.stream, log.facts):
            with pytest.raises(EventOutOfOrder) as caught:
                await read(stream_id(0))
            assert caught.value.stream_id == stream_id(0)
            assert "version 5" in caught.value.reason
        assert len(await log.stream(stream_id(1))) == 10
        assert len(await log.stream(stream_id(0), after=5)) == 5


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE stored_events SET topic = CAST(x'ff' AS TEXT) WHERE rowid = 17", LogDamaged),
        ("UPDATE stored_events SET topic = 'task.unheard@1' WHERE rowid = 17", UnknownEventType),
        ("UPDATE stored_events SET topic = x'00' WHERE rowid = 17", LogDamaged),
        ("UPDATE stored_events SET state = 7 WHERE rowid = 17", LogDamaged),
        ("UPDATE stored_events SET state = '[]' WHERE rowid = 17", LogDamaged),
        ("UPDATE stored_events SET originator_version = 'x' WHERE rowid = 17", LogDamaged),
        ("UPDATE log_head SET position = 'x'", LogDamaged),
        ("UPDATE log_head SET position = 99", LogDamaged),
        ("UPDATE log_head SET position = -1", LogDamaged),
        ("DELETE FROM log_head", LogDamaged),
        ("DELETE FROM log_meta", StoreMisconfigured),
        ("UPDATE log_meta SET value = '2' WHERE key = 'format'", StoreMisconfigured),
        ("DROP TABLE log_head", StoreMisconfigured),
        ("DROP TABLE stored_snapshots", StoreMisconfigured),
    ],
)
async def test_tables_that_somebody_edited(path: Path, statement: str, kind: type[AuraError]) -> None:
    execute(path, statement)
    with pytest.raises(kind) as caught:
        async with open_log(url_of(path), outage_timeout=0) as log:
            await everything(log)
            await log.append(append(9, 0, "x"))
            await log.stream(stream_id(0))
    assert caught.value.remedy


async def test_a_damaged_snapshot_is_no_snapshot(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    async with open_log(url_of(file), compression="zlib") as log:
        await log.save_snapshot(Snapshot(stream_id(1), 5, "task/1", b"state"))
        execute(file, "UPDATE stored_snapshots SET state = x'00'")
        assert await log.load_snapshot(stream_id(1)) is None


async def test_vacuum_does_not_renumber(path: Path) -> None:
    async with open_log(url_of(path)) as log:
        before = await everything_sealed(log)
        execute(path, "VACUUM")
        assert await everything_sealed(log) == before
        assert await log.append(append(9, 0, "x")) == 41
        assert_sealed(await everything_sealed(log))


# --- Files that are something else ------------------------------------------------------------------------------------


async def test_a_database_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "theirs.db"
    execute(file, "CREATE TABLE stored_events (originator_id TEXT, body TEXT)")
    execute(file, "INSERT INTO stored_events VALUES ('a', 'b')")
    with pytest.raises(StoreMisconfigured, match="not AURA's") as caught:
        await read_all(file)
    assert "database of its own" in caught.value.remedy
    assert execute(file, "SELECT * FROM stored_events") == [("a", "b")]
    assert execute(file, "SELECT name FROM sqlite_master") == [("stored_events",)]


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "made", ["TABLE tasks (id TEXT)", "TABLE a AS SELECT 1; CREATE VIEW stored AS SELECT * FROM a"]
)
@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_the_database_of_another_program_is_refused_and_untouched(
    tmp_path: Path, made: str, mode: str, read_only: bool
) -> None:
    file = tmp_path / "theirs.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(f"PRAGMA journal_mode={mode}; CREATE {made}")
    before = file.read_bytes()
    with pytest.raises(StoreMisconfigured, match="database of another program: it has") as caught:
        async with open_log(url_of(file), read_only=read_only):
            pass
    assert "file of its own" in caught.value.remedy
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]


async def test_a_program_may_keep_tables_of_its_own_in_a_log(tmp_path: Path) -> None:
    file = tmp_path / "shared.db"
    async with open_log(url_of(file)) as log:
        await log.append(append(1, 0, "x"))
    execute(file, "CREATE TABLE theirs (body TEXT)")
    async with open_log(url_of(file)) as log:
        await log.append(append(1, 1, "y"))
    assert titles(await read_all(file)) == ["x", "y"]


async def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "log.db"
    async with open_log(url_of(file)) as log:
        await log.append(append(1, 0, "x"))
    assert file.is_file()


@pytest.mark.parametrize("name", ["what?mode=ro.db", "50% #1.db", "file:x.db", "with space.db", "ü.db", ":memory:.db"])
async def test_a_path_is_a_path(tmp_path: Path, name: str) -> None:
    """Nothing in the name of a file means anything to SQLite, and none of them makes it less durable."""
    file = tmp_path / name
    async with open_log(url_of(file)) as log:
        await log.append(append(1, 0, "x"))
        assert (tmp_path / f"{name}-wal").exists()
    assert titles(await read_all(file)) == ["x"]
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


async def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may change its directory while the log is open: connections are made when they are needed."""
    monkeypatch.chdir(tmp_path)
    async with open_log("sqlite:///log.db") as log:
        await log.append(append(1, 0, "x"))
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        await log.append(append(1, 1, "y"))
        assert titles(await everything(log)) == ["x", "y"]
    assert not (tmp_path / "elsewhere" / "log.db").exists()


@pytest.mark.parametrize("place", ["folder", "file/log.db", "x" * 300 + "/log.db", "a\0b"])
async def test_a_place_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreMisconfigured) as caught:
        await read_all(tmp_path / place)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("made", "opened", "reason"),
    [
        ({}, {"encryption_key": KEY}, "encryption"),
        ({"encryption_key": KEY}, {}, "encryption"),
        ({"encryption_key": KEY}, {"encryption_key": OTHER_KEY}, "another encryption key"),
        ({}, {"encryption_key": "not base64"}, "key is unusable"),
        ({}, {"encryption_key": "c2hvcnQ="}, "key is unusable"),
        ({}, {"compression": "zlib"}, "compression"),
        ({"compression": "zlib"}, {}, "compression"),
        ({"compression": "zlib"}, {"compression": "zstd"}, "compression"),
        ({}, {"compression": "rar"}, "rar"),
    ],
)
async def test_a_log_is_opened_as_it_was_made(tmp_path: Path, made: Any, opened: Any, reason: str) -> None:
    url = url_of(tmp_path / "log.db")
    async with open_log(url, **made) as log:
        await log.append(append(1, 0, "x"))
    with pytest.raises(StoreMisconfigured, match=reason) as caught:
        async with open_log(url, **opened):
            pass
    assert caught.value.remedy
    assert not any(key in str(caught.value) for key in (KEY, OTHER_KEY))
    async with open_log(url, **made) as log:
        assert titles(await everything(log)) == ["x"]


@pytest.mark.parametrize("url", ["", "sqlite:", "sqlite://log.db", "sqlite:///", "log.db", "mysql://host/db"])
async def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(StoreMisconfigured) as caught:
        async with open_log(url):
            pass
    assert "sqlite:///PATH" in caught.value.remedy


# --- Reading only -----------------------------------------------------------------------------------------------------


async def test_opened_for_reading_it_reads_what_others_write_and_writes_nothing(path: Path) -> None:
    async with open_log(url_of(path)) as writer, open_log(url_of(path), read_only=True) as reader:
        await writer.append(append(9, 0, "new"))
        assert await reader.wait(40) == 41
        assert titles(await reader.page(40)) == ["new"]
        with pytest.raises(StoreReadOnly) as caught:
            await reader.append(append(9, 1, "x"))
        assert (caught.value.stream_id, caught.value.position) == (stream_id(9), 42)
        assert caught.value.remedy
        with pytest.raises(StoreReadOnly):
            await reader.save_snapshot(Snapshot(stream_id(9), 1, "task/1", b""))
        assert await writer.head() == 41


async def test_a_closed_log_is_read_without_changing_a_byte(path: Path) -> None:
    before = path.read_bytes()
    async with open_log(url_of(path), read_only=True) as log:
        assert len(await everything(log)) == 40
    assert path.read_bytes() == before


class Flickering(SQLiteRecorder):
    """A file that is away at times, and counts who wants to write to it."""

    away = False
    wishes = 0

    def head(self) -> int:
        if self.away:
            raise DatabaseAway("gone")
        return super().head()

    def writing(self, stream_ids: Sequence[str] = ()) -> AbstractContextManager[WriteTransaction]:
        self.wishes += 1
        return super().writing(stream_ids)


async def test_a_reader_does_not_note_outages_again_and_again(path: Path) -> None:
    recorder = Flickering(path, read_only=True)
    async with open_recorder(recorder, patience=Patience(outage_timeout=0)) as log:
        recorder.away = True
        with pytest.raises(StoreUnavailable):
            await log.head()
        recorder.away = False
        for _ in range(5):
            assert await log.head() == 40
    assert recorder.wishes == 1


async def test_a_missing_file_is_not_made_for_a_reader(tmp_path: Path) -> None:
    with pytest.raises(StoreMisconfigured, match="no such file"):
        async with open_log(url_of(tmp_path / "log.db"), read_only=True):
            pass
    assert list(tmp_path.iterdir()) == []


async def test_an_empty_file_is_not_a_log_for_a_reader(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()
    with pytest.raises(StoreMisconfigured, match="no log in this file"):
        async with open_log(url_of(tmp_path / "log.db"), read_only=True):
            pass
    assert (tmp_path / "log.db").stat().st_size == 0


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
@pytest.mark.parametrize("read_only", [False, True])
async def test_what_is_not_a_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], None], read_only: bool
) -> None:
    make(tmp_path / "log.db")
    with anyio.fail_after(60), pytest.raises(StoreMisconfigured, match="not a file"):
        async with open_log(url_of(tmp_path / "log.db"), read_only=read_only):
            pass


AS_NOBODY = """
import json, os, sys
import anyio
from aura_contracts.errors import AuraError
from aura_store import open_log
from aura_store.testing.log_conformance import append
import aura_store._open, aura_store.sqlite._sqlite_recorder, anyio._backends._asyncio, concurrent.futures.thread

async def main(url, read_only):
    report = {}
    try:
        async with open_log(url, read_only=read_only, outage_timeout=0) as log:
            report["read"] = len(await log.page())
            await log.append(append(9, 0, "x"))
            report["appended"] = True
    except AuraError as error:
        report |= {"error": type(error).__name__, "remedy": error.remedy, "facts": error.facts()}
    print(json.dumps(report))

if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
anyio.run(main, sys.argv[1], sys.argv[2] == "True")
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach: pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="aura-sqlite-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(path: Path, *, read_only: bool = False) -> dict[str, Any]:
    """Open, read and append as a user without rights; permissions mean nothing to root."""
    command = [sys.executable, "-W", "error", "-c", AS_NOBODY, url_of(path), str(read_only)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.deep_but_first
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("folder_mode", [0o777, 0o555])
@pytest.mark.parametrize("read_only", [False, True])
async def test_a_file_that_may_not_be_written(path: Path, open_folder: Path, folder_mode: int, read_only: bool) -> None:
    file = open_folder / "log.db"
    shutil.copy(path, file)
    file.chmod(0o444)
    open_folder.chmod(folder_mode)
    report = as_nobody(file, read_only=read_only)
    assert report["error"] == "StoreReadOnly"
    assert "writable" in report["remedy"]
    if read_only or folder_mode == 0o777:
        assert report["read"] == 40
        assert report["facts"]["stream_id"] == stream_id(9)
        assert report["facts"]["position"] == 41


def test_a_file_on_a_file_system_that_may_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite cannot open such a database for writing, because there is no place for the WAL."""
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    recorder = SQLiteRecorder(tmp_path / "log.db")
    assert isinstance(recorder.translate(error), StoreMisconfigured)
    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.R_OK)
    assert isinstance(recorder.translate(error), StoreReadOnly)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o000, 0o755), (0o644, 0o000)])
@pytest.mark.parametrize("read_only", [False, True])
async def test_a_file_that_may_not_even_be_read(
    path: Path, open_folder: Path, file_mode: int, folder_mode: int, read_only: bool
) -> None:
    file = open_folder / "log.db"
    shutil.copy(path, file)
    file.chmod(file_mode)
    open_folder.chmod(folder_mode)
    report = as_nobody(file, read_only=read_only)
    assert report["error"] == "StoreMisconfigured"
    assert report["remedy"]


# --- A full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "aura", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(
            f"cannot mount a disk ({mounted.stderr.decode().strip()}); run as root, or with: unshare -rm pytest"
        )
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


async def test_on_a_full_disk_nothing_that_was_acknowledged_is_lost(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    file = small_disk / "log.db"
    acknowledged: list[str] = []
    async with open_log(url_of(file), outage_timeout=1) as log:
        with pytest.raises(StoreFull) as caught:
            for number in range(1000):
                text = f"{number} {'x' * 5000}"
                await log.append(append(1, number, text))
                acknowledged.append(text)
        assert len(acknowledged) > 5
        assert caught.value.stream_id == stream_id(1)
        assert caught.value.position == len(acknowledged) + 1
        assert "free space" in caught.value.remedy
        for _ in range(3):
            with pytest.raises(StoreFull):
                await log.append(append(2, 0, "y" * 50_000))
        assert titles(await everything(log)) == acknowledged
        ballast.unlink()
        assert await log.append(append(1, len(acknowledged), "room again")) == len(acknowledged) + 1
    async with open_log(url_of(file)) as log:
        assert titles(await everything(log)) == [*acknowledged, "room again"]
        assert_sealed(await everything_sealed(log))
        assert (await verify(log)).first_bad is None


async def test_a_log_cannot_be_made_on_a_full_disk(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * 4096)
    with pytest.raises(StoreFull) as caught:
        async with open_log(url_of(small_disk / "log.db"), outage_timeout=0):
            pass
    assert caught.value.remedy
    (small_disk / "ballast").unlink()
    async with open_log(url_of(small_disk / "log.db")) as log:
        assert await log.append(append(1, 0, TaskQueued())) == 1


async def test_at_the_limit_on_file_size_the_store_is_full(tmp_path: Path) -> None:
    """The system tells it as another error than a full disk, and SQLite as one that may pass."""
    program = """
import resource, sys, anyio
from aura_contracts.errors import StoreFull
from aura_store import open_log
from aura_store.testing.log_conformance import append
async def main():
    async with open_log(sys.argv[1], outage_timeout=1) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        count = 0
        try:
            while True:
                await log.append(append(1, count, "x" * 5000))
                count += 1
        except StoreFull as full:
            print(count, full.reason, full.remedy)
anyio.run(main)
"""
    words = (sys.executable, "-c", program, url_of(tmp_path / "log.db"))
    done = await anyio.run_process(words)
    count, _, rest = done.stdout.decode().partition(" ")
    assert "limit on the size of a file" in rest
    assert "raise the limit" in rest
    assert len(titles(await read_all(tmp_path / "log.db"))) == int(count) > 5


async def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with open_log(url_of(tmp_path / "made" / "log.db")) as log:
            await log.append(append(1, 0, "x"))
            found = [tmp_path / "made", *(tmp_path / "made").iterdir()]
            assert len(found) > 2
            assert not [file for file in found if file.stat().st_mode & 0o077]
    finally:
        os.umask(before)


# --- Locks ------------------------------------------------------------------------------------------------------------


async def test_a_failed_transaction_lets_go_of_its_lock(path: Path) -> None:
    """Also while somebody keeps the error, and with it the frames, and with them the statement that was stopped."""
    recorder = SQLiteRecorder(path, lock_timeout=0.05)
    row = recorder.select_sealed(0, 1)[0]
    kept: list[BaseException] = []
    for _ in range(2):
        try:
            with recorder.writing() as transaction:
                assert transaction.move_head(transaction.head(), 99)
                transaction.insert([row])
        except AuraError as error:
            kept.append(error)
    assert len(kept) == 2
    other = SQLiteRecorder(path, lock_timeout=0.05)
    with other.writing() as transaction:
        assert transaction.head() == 40
        with pytest.raises(DatabaseAway), recorder.writing():
            pass
    recorder.close()
    other.close()


# --- Watching ---------------------------------------------------------------------------------------------------------


async def test_a_head_that_could_not_be_read_is_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change that announced it is seen once: a watcher that passed over it would sleep until the next commit."""
    recorder = SQLiteRecorder(path)
    read, failures = module.the_head, [DatabaseAway("the disk is slow")]

    def head(rows: list[Any]) -> int:
        if failures:
            raise failures.pop()
        return read(rows)

    monkeypatch.setattr(module, "the_head", head)
    limit = threading.Timer(5, recorder.stop_watching)
    limit.start()
    assert next(recorder.heads(), None) == 40
    limit.cancel()
    recorder.close()


async def test_a_second_handle_leaves_the_first_its_locks(tmp_path: Path) -> None:
    """POSIX: closing a file ends all locks of the process on it. Another process would then delete the WAL in use."""
    url, wal = f"sqlite:///{tmp_path / 'log.db'}", tmp_path / "log.db-wal"
    async with open_log(url) as first:
        await first.head()
        before = wal.stat().st_ino
        async with open_log(url) as second:
            await second.head()
        script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM log_head'); c.close()"
        await anyio.run_process([sys.executable, "-c", script, str(tmp_path / "log.db")])
        assert wal.stat().st_ino == before
