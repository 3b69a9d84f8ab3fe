"""Control groups (version 2, Linux): the system's own list of an agent's processes, which they cannot leave unnoticed.

A process that clears its environment, starts a session of its own and loses its parent is still in the group; and the
group survives the supervisor. It is used in addition, where it may be: a hierarchy of version 2 is mounted,
and the group of the supervisor takes a child (as root, or where systemd has delegated it to the user). Nothing else
depends on it. No controllers are enabled: the group limits nothing, and its parent may still hold processes.

A process is born in its group (Linux 5.7), or there is no group: moving one in takes 10 ms and more, because the system
waits until all processors have noticed.

See ``Documentation/admin-guide/cgroup-v2.rst`` of the kernel, and clone3(2). Standard library only: the supervisor
loads this module.
"""

import os
import signal
import struct
import time
from contextlib import suppress

_REMOVAL = 1.0
"""Seconds that members have to disappear after they were killed."""


_SYS_CLONE3 = 435
_CLONE_INTO_CGROUP = 0x200000000
_CLONE_ARGS = struct.Struct("11Q")
"""Flags, three addresses, the signal for the parent, five more, the group: ``struct clone_args`` of clone3(2)."""


class Unavailable(Exception):
    """A group cannot be made here; the text says why."""


class ControlGroup:
    """A control group that exists, or has existed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.refused = ""
        """Why `fork` could not use the group."""

    def fork(self) -> int:
        """As `os.fork`, for a process with one thread: the new one is in the group, and all that it will start.

        The new process is good for starting a program, and little else. Where the system refuses, it is an ordinary one
        outside of the group, and `refused` says why.
        """
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return _clone_into(folder)
            finally:
                os.close(folder)
        except OSError as error:
            self.refused = f"clone3: {error.strerror or error}"
        return os.fork()

    def members(self) -> list[int]:
        """Return the pids of all in the group and the groups that they made below it; zombies are not members."""
        found: set[int] = set()
        for folder in self._folders():
            with suppress(OSError), open(os.path.join(folder, "cgroup.procs"), "rb") as file:
                found.update(int(line) for line in file)
        return sorted(found - {0, os.getpid()})

    def kill(self) -> None:
        """Kill all at once, also what is being started at this moment (Linux 5.14). No effect where that is unknown."""
        with suppress(OSError), open(os.path.join(self.path, "cgroup.kill"), "w", encoding="ascii") as file:
            file.write("1")

    def cpu_seconds(self) -> float:
        """Return the processor time of all that have been in the group; 0 where it is not counted."""
        with suppress(OSError, ValueError), open(os.path.join(self.path, "cpu.stat"), encoding="ascii") as file:
            for line in file:
                name, _, value = line.partition(" ")
                if name == "usage_usec":
                    return int(value) / 1_000_000
        return 0.0

    def remove(self) -> None:
        """End what is left, and remove the group. Blocks for a second at most; then it stays."""
        deadline = time.monotonic() + _REMOVAL
        while not self._remove() and time.monotonic() < deadline:
            self.kill()
            time.sleep(0.002)

    def _remove(self) -> bool:
        for folder in reversed(self._folders()):
            with suppress(OSError):
                os.rmdir(folder)
        return not os.path.isdir(self.path)

    def _folders(self) -> list[str]:
        """Return the group and those below it, each behind the one that it is in."""
        return [folder for folder, _, _ in os.walk(self.path)]


def group_for(token: str) -> ControlGroup:
    """Make a group. Raises `Unavailable` or `OSError`, also when there are others in one of this name."""
    group = ControlGroup(os.path.join(_own_folder(), _name(token)))
    with suppress(FileNotFoundError):
        os.rmdir(group.path)  # of a supervisor that was killed before anything ran
    os.mkdir(group.path, 0o755)
    return group


def group_at(path: str, token: str) -> ControlGroup | None:
    """Return the recorded group; None if it does not exist or belongs to another process."""
    return ControlGroup(path) if path and os.path.basename(path) == _name(token) else None


def _name(token: str) -> str:
    return f"aura-{token}"


def _clone_into(group: int) -> int:
    import ctypes  # noqa: PLC0415 - loaded already if this process is a reaper, and not needed elsewhere

    syscall = ctypes.PyDLL(None, use_errno=True).syscall  # which keeps the interpreter's lock meanwhile
    syscall.restype = ctypes.c_long
    arguments = _CLONE_ARGS.pack(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, group)
    pid: int = syscall(ctypes.c_long(_SYS_CLONE3), arguments, ctypes.c_size_t(len(arguments)))
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


def _own_folder() -> str:
    """Return the folder of the group in which this process is."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            own = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), "")
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split(" ") for line in file if " - cgroup2 " in line]
    except FileNotFoundError as error:
        raise Unavailable("the system has no control groups") from error
    for _, _, _, root, point, *_ in mounts:
        below = "" if root == "/" else root
        if own == root or own.startswith(f"{below}/"):
            return os.path.join(_unescaped(point), own[len(below) :].strip("/"))
    raise Unavailable("no mounted hierarchy of version 2 contains this process")


def _unescaped(path: str) -> str:
    r"""Return a path as proc_pid_mountinfo(5) means it.

    >>> _unescaped(r"/my\040groups")
    '/my groups'
    """
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path
