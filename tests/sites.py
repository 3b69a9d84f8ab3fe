"""Sites: a repository, a store, a home, and ``aura run`` on them as a process of its own, which may be killed."""

import os
import signal
import subprocess
import sysconfig
import uuid
from collections.abc import Sequence
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path

import anyio
import attrs

from aura_contracts.errors import StoreError
from aura_store import open_log
from aura_store.audit import verify
from conditions import until
from repositories import make_repository

AURA = str(Path(sysconfig.get_path("scripts")) / "aura")
PATIENCE = 60.0
"""Seconds."""


@attrs.define
class Site:
    """Every process that a run starts carries a mark in its environment, by which it is found wherever it went."""

    root: Path
    words: Sequence[str] = ()
    """The arguments of each ``aura run``: the same each time, so that it goes on where it was."""
    mark: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    grace: float = 30.0
    variables: dict = attrs.field(factory=dict)
    started: list = attrs.field(factory=list)

    @property
    def repository(self):
        return self.root / "app"

    @property
    def environment(self):
        own = {"AURA_HOME": str(self.root / "home"), "AURA_USER": "alice", "AURA_TEST_MARK": self.mark}
        return {**os.environ, **own, "AURA_STORE": self.store, "AURA_GRACE": str(self.grace), **self.variables}

    @property
    def store(self):
        return f"sqlite:///{self.root / 'aura.db'}"

    @property
    def said(self):
        """What all runs have written."""
        return (self.root / "out").read_text()

    def run(self, *more):
        """Start ``aura run``."""
        with (self.root / "out").open("ab") as out:
            process = subprocess.Popen(
                [AURA, "run", "--no-tui", *self.words, *more],
                cwd=self.repository,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.started.append(process)
        return process

    def aura(self, *words, code=0):
        """Run a command to its end, which is to be this exit code; return what it prints."""
        done = subprocess.run(
            [AURA, *words],
            cwd=self.repository,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def processes(self):
        """Return the ids of all processes that carry the mark, and of the supervisors of this home."""
        return [*self.carriers(), *self.supervisors()]

    def carriers(self):
        return [pid for pid in _pids() if self.mark in _read(pid, "environ")]

    def supervisors(self):
        home = str(self.root / "home")
        return [pid for pid in _pids() if "supervisor/__main__.py" in (line := _read(pid, "cmdline")) and home in line]

    async def hears_of(self, topic, after=0, number=1):
        """Return the record of the `number`-th event of this topic, as soon as it is there."""
        with anyio.fail_after(PATIENCE):
            await until(self.is_made)
            async with (
                open_log(self.store, read_only=True) as log,
                aclosing(log.tail(after, topics=[topic])) as records,
            ):
                async for record in records:
                    number -= 1
                    if not number:
                        return record
        raise AssertionError("unreachable")

    async def is_made(self):
        if not (self.root / "aura.db").exists():
            return False
        try:
            async with open_log(self.store, read_only=True):
                return True
        except StoreError:
            return False

    async def records(self):
        async with open_log(self.store, read_only=True) as log:
            assert (await verify(log)).first_bad is None
            return [record async for record in log.read()]

    async def is_quiet(self):
        """Return when no process of a run is left."""
        with anyio.fail_after(PATIENCE):
            await until(lambda: not self.processes())


@contextmanager
def made_site(root, words=(), *, kind=Site):
    """Make a site; at the end nothing of it runs."""
    site = kind(root, words)
    make_repository(site.repository)
    try:
        yield site
    finally:
        for process in site.started:
            process.kill()
            process.wait()
        for pid in site.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def wait(process, patience=PATIENCE):
    """Wait for a process to end by itself; return its exit code."""
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def children_of(pids):
    """Return the ids of the processes whose parent is one of these."""
    return [pid for pid in _pids() if any(f"PPid:\t{parent}\n" in _read(pid, "status") for parent in pids)]


def _pids():
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _read(pid, name):
    """Return what the system tells of a process, its words parted by spaces; nothing of one that is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
