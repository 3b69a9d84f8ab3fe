"""The process table: finding and ending everything that a process started.

Three ways lead to a descendant, because each has a gap: the parents (lost when a parent dies, unless a process is the
reaper of all descendants, which Linux offers), the token in the environment (lost when it is cleared), the session
(left with ``setsid``). On Linux the supervisor is the reaper: what it started is gone when it has no children left.
Elsewhere all three are looked for in the list of processes. A control group is a fourth way, which has no gap, where
the system permits one (`aura_executors.supervisor.control_group`).

A pid is used again, so a process is known by pid and start time; what is found is signalled at once.

Standard library only, and no other module of AURA: the supervisor loads this module.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

LINUX = sys.platform.startswith("linux")

TOKEN_VARIABLE = "AURA_PROCESS_TOKEN"  # noqa: S105 - the name of a variable, not a secret
"""The variable in the environment of everything that a process started."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
"""See prctl(2)."""

_EXEC_READS = 1000
"""How often a process in execve(2) is looked at, a millisecond apart: on a busy machine, it waits for a processor."""

_STATE, _PARENT, _THREADS, _STARTED, _ENVIRONMENT = 0, 1, 17, 19, slice(47, 49)
"""Fields of /proc/PID/stat after the name: numbers 3, 4, 20, 22, 50 and 51 of proc_pid_stat(5)."""


def load_prctl() -> Callable[[int, int], int] | None:
    """Return prctl(2) for two numbers; None where it does not exist."""
    if not LINUX:
        return None
    import ctypes  # noqa: PLC0415 - 3 ms, and there is no other way

    prctl = ctypes.CDLL(None).prctl
    return lambda option, value: int(prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def become_reaper(prctl: Callable[[int, int], int] | None) -> bool:
    """Make orphaned descendants the children of this process, if the system can."""
    return prctl is not None and prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0


def die_with_parent(prctl: Callable[[int, int], int] | None, parent: int) -> None:
    """Be killed when the process `parent`, which started this one, dies; at once if it is dead already."""
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(127)


# --- What runs --------------------------------------------------------------------------------------------------------


def _stat(pid: int) -> list[str]:
    """Return the fields after the name of /proc/PID/stat; raises `OSError` if the process does not exist."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].decode("ascii", "replace").split()


def _lives(fields: list[str]) -> bool:
    """Whether it is not a zombie; the first thread of a process may be one while others run."""
    return fields[_STATE] not in "ZX" or int(fields[_THREADS]) > 1


def start_time(pid: int) -> str | None:
    """Return when the process started, as the system writes it; None if it does not exist, or only as a zombie."""
    if not LINUX:
        return _ps_start_time(pid)
    try:
        fields = _stat(pid)
    except OSError:
        return None
    return fields[_STARTED] if _lives(fields) else None


def descendants(root: int) -> list[int]:
    """Return the pids of all living descendants of `root`; every process between must be alive."""
    return _below({root}, _parents())


def values_of(variable: str) -> dict[int, list[str]]:
    """Return the values of an environment variable, normally one, by the pids of the living processes that have it.

    Never of this process, and only where there is ``/proc``.
    """
    found = {}
    prefix = f"{variable}=".encode()
    for pid in _pids():
        with suppress(OSError):  # gone, or not ours
            environment = _environment(pid)
            if prefix in environment and pid != os.getpid() and start_time(pid) is not None:
                entries = [entry for entry in environment.split(b"\0") if entry.startswith(prefix)]
                if entries:  # what was found may be in another variable's value
                    found[pid] = [os.fsdecode(entry.removeprefix(prefix)) for entry in entries]
    return found


def _environment(pid: int) -> bytes:
    """Return its environment: of its program before or after, while it is replacing its program.

    While it does, it seems to have none. Then the kernel does not say where that is in memory, or for an instant that
    it is of no length, as that of a process without one always is.
    """
    before = None
    for _ in range(_EXEC_READS):
        with open(f"/proc/{pid}/environ", "rb") as file:
            if environment := file.read():
                return environment
        start, end = _stat(pid)[_ENVIRONMENT]
        if start == end == before != "0" or not _has_program(pid):
            break
        before = end
        time.sleep(0.001)
    return b""


def _has_program(pid: int) -> bool:
    """Whether it is neither a zombie nor a thread of the kernel."""
    try:
        os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False
    return True


def processes_with_token(token: str, *, session: int = 0) -> list[int]:
    """Return the pids of everything that has `token` in its environment, or is in `session`, and their descendants.

    Never this process.
    """
    parents = _parents()
    if LINUX:
        found = {pid for pid, values in values_of(TOKEN_VARIABLE).items() if token in values}
    else:
        found = _ps_processes_with_token(f"{TOKEN_VARIABLE}={token}")
    if session:
        found |= {pid for pid in parents if _in_session(pid, session)}
    found.discard(os.getpid())
    return sorted({*found, *_below(found, parents)} - {os.getpid()})


def _in_session(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session and (not LINUX or start_time(pid) is not None)
    except OSError:
        return False


def _parents() -> dict[int, int]:
    """Return the parent of every living process."""
    if not LINUX:
        return _ps_parents()
    parents = {}
    for pid in _pids():
        with suppress(OSError):
            fields = _stat(pid)
            if _lives(fields):
                parents[pid] = int(fields[_PARENT])
    return parents


def _pids() -> list[int]:
    """Return the pids in ``/proc``; none where that does not exist."""
    with suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return []


def _below(roots: set[int], parents: dict[int, int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    seen = set(roots)
    ahead = list(roots)
    while ahead:
        for pid in children.get(ahead.pop(), ()):
            if pid not in seen:
                seen.add(pid)
                found.append(pid)
                ahead.append(pid)
    return found


# --- Signals ----------------------------------------------------------------------------------------------------------


def send(pids: Iterable[int], number: int) -> list[int]:
    """Send a signal to each and return those that exist."""
    reached = []
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            reached.append(pid)
    return reached


def kill_processes_with_token(
    token: str, *, session: int = 0, session_started: str = "", timeout: float = 30.0
) -> set[int]:
    """Kill everything that `processes_with_token` finds, until nothing is found; return their pids.

    Looks into the session only if its first process lives and started at `session_started`: numbers are used again.
    Blocks. Gives up after `timeout` seconds: what hangs in the kernel, or belongs to another user, stays.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + timeout
    if session and start_time(session) != session_started:
        session = 0
    while found := processes_with_token(token, session=session):
        killed.update(send(found, signal.SIGKILL))
        if time.monotonic() > deadline:
            break
        time.sleep(0.002)
    return killed


def reap(pid: int, started: str) -> bool:
    """Reap the process if it is a child of this one after all; return whether there is still something to reap.

    A detached process becomes the child of the reaper: normally process 1, and a worker may be that.
    """
    try:
        fields = _stat(pid) if LINUX else []
        if not fields or int(fields[_PARENT]) != os.getpid() or fields[_STARTED] != started:
            return False
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except (OSError, ChildProcessError):
        return False


# --- Without /proc ----------------------------------------------------------------------------------------------------


def _ps(*arguments: str) -> list[str]:
    import subprocess  # noqa: PLC0415 - 10 ms that Linux need not pay

    return subprocess.run(  # noqa: S603 - constant arguments
        ("/bin/ps", *arguments), capture_output=True, check=False, text=True, errors="replace", env={"LC_ALL": "C"}
    ).stdout.splitlines()


def _ps_start_time(pid: int) -> str | None:
    lines = _ps("-o", "stat=", "-o", "lstart=", "-p", str(pid))
    state, _, started = lines[0].strip().partition(" ") if lines else ("Z", "", "")
    return None if state.startswith("Z") else started.strip()


def _ps_parents() -> dict[int, int]:
    rows = (line.split() for line in _ps("-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="))
    return {int(row[0]): int(row[1]) for row in rows if not row[2].startswith("Z")}


def _ps_processes_with_token(entry: str) -> set[int]:
    """``-E`` adds the environment to the command line, for processes of the same user."""
    rows = (line.split(None, 1) for line in _ps("-A", "-E", "-ww", "-o", "pid=", "-o", "command="))
    return {int(row[0]) for row in rows if len(row) == 2 and entry in row[1].split()}
