"""What git leaves running: a filter, say, that starts a process in the background. It is ended, as an agent's is.

Everything that git starts has `VARIABLE` in its environment: which process of AURA's called git, and a token for the
call. It is found by that on Linux; elsewhere only git's process group is ended. Who clears their environment is not
found: AURA's git runs only programs that the user has configured, see `aura_git.repository._pins`.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

VARIABLE = "AURA_GIT"

_STARTED = 19
"""The field of /proc/PID/stat after the name that says when a process started: number 22 of proc_pid_stat(5)."""

_ROUNDS = 5
"""How often is looked again: what is being ended may start something."""

_numbers = count()


def new_token() -> str:
    """Return a token for one call of git: of this process, which is known by pid and start time."""
    pid = os.getpid()
    return f"{pid}-{_start_time(pid)}-{next(_numbers)}"


def end_group(leader: int) -> None:
    """End what is left in the process group of a git that has ended and was not waited for yet."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_left_by(token: str) -> None:
    """End what the call of git with this token has left running."""
    for _ in range(_ROUNDS):
        found = [pid for pid, known, _ in _marked() if known == token]
        if not found:
            return
        _kill(found)


def end_left_by_the_dead() -> None:
    """End what was left by calls whose caller was killed; a git among them first finishes its work."""
    left: dict[str, list[int]] = {}
    at_work = set[str]()
    for pid, token, is_git in _marked():
        caller, started, _ = token.split("-")
        if _start_time(int(caller)) != started:
            left.setdefault(token, []).append(pid)
            if is_git:
                at_work.add(token)
    for token, pids in left.items():
        if token not in at_work:
            _kill(pids)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _marked() -> Iterator[tuple[int, str, bool]]:
    """Yield pid, token and whether it is git, for everything that some git of AURA's started."""
    own, prefix = os.getpid(), f"{VARIABLE}=".encode()
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if not name.isdecimal() or int(name) == own:
                continue
            token = _token(name, prefix)
            if token is not None and token.count("-") == 2 and _start_time(int(name)):
                yield int(name), token, _is_git(name)


def _token(pid: str, prefix: bytes) -> str | None:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return None
    found = next((entry for entry in entries if entry.startswith(prefix)), None)
    return None if found is None else os.fsdecode(found.removeprefix(prefix))


def _is_git(pid: str) -> bool:
    """Whether it is git itself, or was started as it was: git runs some of its commands as other programs."""
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:
        return file.read().startswith(b"git")
    return False


def _start_time(pid: int) -> str:
    """Return when a process started; empty if it does not exist, or only as a zombie."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
        return "" if fields[0] in {b"Z", b"X"} else fields[_STARTED].decode()
    return ""
