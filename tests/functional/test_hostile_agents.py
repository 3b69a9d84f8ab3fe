"""Agents that misbehave, and machines that fail them: each ends in a typed failure, and nothing is left behind.

Each run has an engine in a process of its own (`run_driver.py`), so that its memory, and that of the supervisors, can
be told. Every process that it starts carries a mark in its environment, by which it is found wherever it went.
``AURA_DEEP=1`` plays the full size as well: 2 GiB without a newline.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from hashlib import sha256
from pathlib import Path

import anyio
import attrs
import pytest

from aura_contracts.errors import WorkspaceObstacle
from aura_contracts.failures import RETRYABLE, FailureReason
from aura_contracts.output import OutputRecorded, OutputSource
from aura_contracts.workspace import WorkspaceStatus
from aura_engine import open_engine
from aura_store import open_log
from aura_store.audit import verify
from repositories import content, git, make_repository, worktrees

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found through /proc")

DRIVER = Path(__file__).parent / "run_driver.py"
DEEP = os.environ.get("AURA_DEEP") == "1"
PATIENCE = 900.0 if DEEP else 60.0
MEMORY = 200 * 1024 * 1024
MIB = 1024 * 1024


@attrs.define
class Ended:
    """How a run ended, as the driver says it."""

    status: str = ""
    failure: dict | None = None
    error: dict | None = None
    peak: int = 0
    supervisors: int = 0
    """The most memory that a supervisor had."""

    @property
    def reason(self):
        return FailureReason(self.failure["reason"]) if self.failure else None

    @property
    def message(self):
        return self.failure["message"] if self.failure else ""


@attrs.define
class Site:
    """A repository, a store and a home, and runs on them."""

    root: Path
    repository: Path
    store: Path
    home: Path
    mark: str = attrs.field(factory=lambda: uuid.uuid4().hex)

    @property
    def url(self):
        return f"sqlite:///{self.store / 'aura.db'}"

    @property
    def witness(self):
        return self.root / "witness"

    def words(self, script, *, grace=30.0, cancel_at="", resume=False, **request):
        """Return the command that has `script` work as the agent."""
        options = {"base_command": "sh", "params": ["-c", script]}
        asked = {"executor": "hasty", "options": options, "repositories": [str(self.repository)], "approval": "auto"}
        order = {"url": self.url, "home": str(self.home), "grace": grace, "witness": str(self.witness)}
        order |= {"request": {**asked, **request}, "cancel_at": cancel_at, "resume": resume}
        return [sys.executable, str(DRIVER), json.dumps(order)]

    def run(self, script, *, before=(), **more):
        """Have it work, and wait for the end; `before` are words to put before the command."""
        words = [*before, *self.words(script, **more)]
        environment = {**os.environ, "AURA_TEST_MARK": self.mark}
        process = subprocess.Popen(
            words, env=environment, cwd=self.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        supervisors = self._watch(process)
        answer = process.stdout.read()
        process.stdout.close()
        assert process.returncode == 0, answer
        return Ended(**json.loads(answer), supervisors=supervisors)

    @property
    def seen(self):
        """The file that is there once a supervisor was looked at: agents that are too quick wait for it."""
        return self.root / "seen"

    def _watch(self, process):
        """Wait for the end; return the most memory that a supervisor had meanwhile. What it says fits into the pipe."""
        peak, deadline = 0, time.monotonic() + PATIENCE
        while process.poll() is None:
            assert time.monotonic() < deadline, "it hangs"
            peak = max([peak, *map(_peak, self.supervisors())])
            if peak:
                self.seen.touch()
            time.sleep(0.05)
        return peak

    def supervisors(self):
        """Return the ids of all supervisors: they have no environment, and name the folder of all processes."""
        return [pid for pid in _pids() if f"{self.home}/processes" in _command(pid)]

    def processes(self):
        """Return the ids of all processes that carry the mark, and of their supervisors."""
        return [*self.supervisors(), *(pid for pid in _pids() if self.mark in _read(pid, "environ"))]

    def check_processes(self, patience=PATIENCE):
        """What runs comes to its end by itself."""
        deadline = time.monotonic() + patience
        while left := self.processes():
            assert time.monotonic() < deadline, [_command(pid) for pid in left]
            time.sleep(0.02)

    def check_log(self):
        """The log is in order, and has all that anybody was told of; return how much was written on stdout.

        As bytes and their SHA-256.
        """
        return anyio.run(self._check_log)

    async def _check_log(self):
        told = set(self.witness.read_text().splitlines())
        size, digest = 0, sha256()
        async with open_log(self.url, read_only=True) as log:
            report = await verify(log)
            assert report.first_bad is None, report.first_bad
            async for record in log.read(page_size=8):
                told.discard(f"{record.position} {record.stream_id} {record.event.topic}")
                if isinstance(record.event, OutputRecorded):
                    for chunk in record.event.chunks:
                        if chunk.source is OutputSource.STDOUT:
                            size += len(chunk.raw)
                            digest.update(chunk.raw)
        assert not told, "what was told is kept"
        return size, digest.hexdigest()

    def check_clean(self, *, recorded=0, discard=False):
        """No process, nothing kept of one, and no worktree but `recorded` ones of which the log knows; clear those.

        With `discard`, they hold what no safety copy can.
        """
        self.check_processes()
        self.check_log()
        assert list((self.home / "processes").iterdir()) == []
        for workspace in anyio.run(self._clear, recorded, discard):
            assert workspace.status is WorkspaceStatus.REMOVED
        if self.repository.exists():
            assert worktrees(self.repository) == []
        assert not list((self.home / "workspaces").rglob("README"))

    async def _clear(self, expected, discard):
        async with open_engine(self.url, home=self.home, user="alice") as engine:
            there = [workspace.id for workspace in (await engine.workspaces.list(removed=False)).rows]
            assert len(there) == expected
            if discard:
                for one in there:
                    with pytest.raises(WorkspaceObstacle, match="--discard"):
                        await engine.workspaces.clean(one)
            return [await engine.workspaces.clean(one, discard=discard) for one in there]


def _pids():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _read(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _command(pid):
    return _read(pid, "cmdline").replace("\0", " ")


def _peak(pid):
    found = re.search(r"VmHWM:\s*(\d+) kB", _read(pid, "status"))
    return int(found[1]) * 1024 if found else 0


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path, tmp_path / "app", tmp_path, tmp_path / "home")
    make_repository(made.repository)
    yield made
    for pid in made.processes():
        os.kill(pid, signal.SIGKILL)


def check_memory(ended):
    print(f"\nmemory: engine {ended.peak / MIB:.0f} MiB, supervisor {ended.supervisors / MIB:.0f} MiB")  # noqa: T201 - the figures, with `pytest -s`
    assert 0 < ended.peak < MEMORY
    assert 0 < ended.supervisors < MEMORY


# --- Agents that do not want to leave ---------------------------------------------------------------------------------

STAY = "while :; do sleep 1; done"
STUBBORN = f"""
trap '' INT TERM HUP
( ( ( setsid sh -c '{STAY}' & {STAY} ) & {STAY} ) & {STAY} ) > /dev/null 2>&1 &
"""
"""Children, three deep and one of them in a session of its own, that ignore what can be ignored."""


@pytest.mark.deep
@pytest.mark.parametrize("cancel_at", ["execution.setup_finished", "execution.process_started", "working"])
def test_children_that_ignore_signals_end_with_the_task_that_is_cancelled(site, cancel_at):
    ended = site.run(f"{STUBBORN} echo working; {STAY}", cancel_at=cancel_at)
    assert ended.status == "cancelled"
    site.check_processes()
    site.check_clean(recorded=1)


@pytest.mark.deep
def test_children_that_ignore_signals_end_with_their_parent_that_is_done(site):
    ended = site.run(f"{STUBBORN} echo more > new.txt")
    assert (ended.status, ended.failure) == ("completed", None)
    site.check_processes()
    site.check_clean()
    assert content(site.repository, "main", "new.txt") == "more"


@pytest.mark.deep
def test_an_agent_that_closes_its_output_is_not_taken_for_one_that_ended(site):
    ended = site.run("exec >&- 2>&-; sleep 0.3; echo more > new.txt")
    assert (ended.status, ended.failure) == ("completed", None)
    assert content(site.repository, "main", "new.txt") == "more"
    site.check_clean()


@pytest.mark.parametrize(
    ("script", "limit", "message"),
    [
        pytest.param(
            f"exec >&- 2>&-; {STAY}",
            {"idle_timeout": 0.5},
            "wrote nothing for 0.5 s",
            id="closed output",
            marks=pytest.mark.deep,
        ),
        pytest.param(f"{STUBBORN} {STAY}", {"idle_timeout": 0.5}, "wrote nothing for 0.5 s", id="silence"),
        pytest.param(
            f"{STUBBORN} yes",
            {"timeout": 0.5},
            "ran for more than 0.5 s",
            id="endless",
            marks=pytest.mark.deep,
        ),
    ],
)
def test_time_limits_end_an_agent(site, script, limit, message):
    ended = site.run(script, **limit)
    assert (ended.status, ended.reason) == ("failed", FailureReason.TIMEOUT)
    assert message in ended.message
    check_memory(ended)
    site.check_clean(recorded=1)


# --- Agents that fail -------------------------------------------------------------------------------------------------


@pytest.mark.deep
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_an_agent_that_is_killed_says_by_which_signal(site, number):
    ended = site.run(f"echo more > new.txt; kill -{number} $$")
    assert (ended.status, ended.reason, ended.failure["signal"]) == ("failed", FailureReason.AGENT_ERROR, number)
    assert f"signal {number}" in ended.message
    site.check_clean(recorded=1)


@pytest.mark.deep
def test_an_agent_that_is_not_there_says_what_to_do(site):
    ended = site.run("", setup="true", options={"base_command": "no-such-program"}, retry={"max_attempts": 3})
    assert (ended.status, ended.reason) == ("failed", FailureReason.EXECUTABLE_NOT_FOUND)
    assert "no-such-program" in ended.message
    assert FailureReason.EXECUTABLE_NOT_FOUND not in RETRYABLE
    site.check_clean(recorded=1)


# --- Agents that write much -------------------------------------------------------------------------------------------


@pytest.mark.deep
def test_a_million_lines_are_kept_in_order(site):
    lines = 1_000_000
    ended = site.run(f"seq {lines}; until [ -e {site.seen} ]; do sleep 0.02; done")
    assert (ended.status, ended.failure) == ("completed", None)
    check_memory(ended)
    site.check_clean()
    expected = "".join(f"{number}\n" for number in range(1, lines + 1)).encode()
    assert site.check_log() == (len(expected), sha256(expected).hexdigest())


@pytest.mark.deep
def test_output_without_a_newline_ends_at_the_limit(site):
    ended = site.run(f"{STUBBORN} yes | tr -d '\\n'", output_limit=64 * MIB)
    assert (ended.status, ended.reason) == ("failed", FailureReason.OUTPUT_LIMIT)
    assert f"more than {64 * MIB} bytes" in ended.message
    check_memory(ended)
    assert site.check_log()[0] == 64 * MIB
    site.check_clean(recorded=1)


@pytest.mark.skipif(not DEEP, reason="writes 2 GiB: set AURA_DEEP=1 to run it")
@pytest.mark.parametrize("limit", [None, 4096 * MIB])
def test_two_gibibytes_without_a_newline(site, limit):
    size = 2048 * MIB
    began = time.monotonic()
    more = {} if limit is None else {"output_limit": limit}
    ended = site.run(f"head -c {size} /dev/zero | tr '\\0' x", **more)
    print(f"\n{time.monotonic() - began:.0f} s, {(site.store / 'aura.db').stat().st_size / MIB:.0f} MiB in the store")  # noqa: T201 - the figures, with `pytest -s`
    check_memory(ended)
    if limit is None:
        assert (ended.status, ended.reason) == ("failed", FailureReason.OUTPUT_LIMIT)
        assert site.check_log()[0] == 512 * MIB
    else:
        assert (ended.status, ended.failure) == ("completed", None)
        assert site.check_log()[0] == size
    site.check_clean(recorded=1 if limit is None else 0)


# --- What is deleted under an agent -----------------------------------------------------------------------------------


@pytest.mark.deep
def test_the_repository_is_deleted(site):
    ended = site.run(f"echo more > new.txt; rm -rf '{site.repository}'", retry={"max_attempts": 2, "base_delay": 0.01})
    assert (ended.status, ended.reason) == ("failed", FailureReason.WORKSPACE_ERROR)
    assert str(site.home / "workspaces") in ended.message
    site.check_clean(recorded=1, discard=True)


@pytest.mark.deep
def test_the_worktree_is_deleted(site):
    ended = site.run('rm -rf "$PWD"', retry={"max_attempts": 2, "base_delay": 0.01})
    assert (ended.status, ended.reason) == ("failed", FailureReason.WORKSPACE_ERROR)
    assert str(site.home / "workspaces") in ended.message
    site.check_clean(recorded=1)


@pytest.mark.deep
def test_the_home_is_deleted(site):
    ended = site.run(f"rm -rf '{site.home}'; echo gone; {STAY}")
    assert (ended.status, ended.reason) == ("failed", FailureReason.STORAGE_FULL)
    assert "could not be stored" in ended.message
    site.check_processes()
    site.check_log()


# --- A full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _may_mount():
    words = ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]
    if shutil.which("unshare") is None or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be made: needs Linux, and root")


@pytest.fixture
def small_disk(_may_mount, tmp_path):
    """A folder to mount a small disk at, and a shell program that does so, and keeps a copy of what was on it."""
    (tmp_path / "small").mkdir()
    return tmp_path / "small"


def on_a_small_disk(folder, size, before=":"):
    """Return the words that run a program with a disk of `size` at `folder`; what was on it is copied to ``.kept``."""
    keep = f'code=$?; cp -a "{folder}/." "{folder}.kept"; exit $code'
    return ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size={size} none "{folder}"; {before}; "$@"; {keep}', "sh"]


@pytest.mark.deep
def test_the_disk_of_the_store_is_full(site, small_disk):
    site.store = small_disk
    ended = site.run(f"{STUBBORN} yes", before=on_a_small_disk(small_disk, "3m"), grace=0.5)
    assert ended.error["type"] == "StoreFull"
    assert "free space on the disk that holds the database" in ended.error["message"]
    check_memory(ended)
    site.check_processes()
    site.store = Path(f"{small_disk}.kept")
    assert site.check_log()[0] > 0


@pytest.mark.deep
def test_a_run_goes_on_when_there_is_room_in_the_store_again(site, small_disk):
    """The second engine finds the agent where the first one left it; not a byte is lost or doubled."""
    site.store = small_disk
    lines = 400_000
    make_room = f'mount -o remount,size=64m "{small_disk}"'
    first = shlex.join(site.words(f"seq {lines}; sleep 1"))
    ended = site.run("", before=on_a_small_disk(small_disk, "3m", f"{first} > first; {make_room}"), resume=True)
    assert "StoreFull" in (site.root / "first").read_text()
    assert (ended.status, ended.error) == ("completed", None)
    site.check_processes()
    site.store = Path(f"{small_disk}.kept")
    expected = "".join(f"{number}\n" for number in range(1, lines + 1)).encode()
    assert site.check_log() == (len(expected), sha256(expected).hexdigest())


@pytest.mark.deep
def test_the_disk_of_the_home_is_full(site, small_disk):
    site.home = small_disk
    ended = site.run(f"{STUBBORN} yes", before=on_a_small_disk(small_disk, "2m"))
    assert (ended.status, ended.reason) == ("failed", FailureReason.STORAGE_FULL)
    assert "No space left" in ended.message
    check_memory(ended)
    site.check_processes()
    assert site.check_log()[0] > 0


@pytest.mark.deep
def test_an_agent_fills_the_disk_of_the_repository(site, small_disk):
    move = f'mv "{site.repository}" "{small_disk}/app"'
    site.repository = small_disk / "app"
    script = "head -c 3000000 /dev/urandom > big; true"
    ended = site.run(script, before=on_a_small_disk(small_disk, "2m", move))
    assert (ended.status, ended.reason) == ("failed", FailureReason.WORKSPACE_ERROR)
    assert "No space left" in ended.message
    site.check_processes()
    site.repository = Path(f"{small_disk}.kept/app")
    git(site.repository, "fsck", "--strict")
    assert git(site.repository, "rev-list", "--count", "main") == "1"
    assert (site.home / "workspaces").exists(), "the work is where it was"
    site.check_log()
