"""What git leaves running: a filter, say, that starts a process in the background. It is ended, as an agent's is.

Everything that git starts has `VARIABLE` in its environment: which process of AURA's called git, and a token for the
call. It is found by that on Linux; elsewhere only git's process group is ended. Who clears their environment is not
found: AURA's git runs only programs that the user has configured, see `aura_git.repository._pins`.
"""

import os
import re
import signal
from contextlib import suppress
from functools import cache
from itertools import count

from aura_contracts.process_table import send, start_time, values_of

VARIABLE = "AURA_GIT"

_ROUNDS = 5
"""Times to look again: a process that is being ended may start another one."""

_TOKEN = re.compile(r"[0-9]{1,9}-[0-9]*-[0-9]+")
"""What `new_token` returns where there is ``/proc``. Any process may have anything else in its environment."""

_numbers = count()


def new_token() -> str:
    """Return a token for one call of git: of this process, which is known by pid and start time."""
    return f"{this_process()}-{next(_numbers)}"


def this_process() -> str:
    """Return the pid of this process and when it started, as far as that can be known."""
    return _named(os.getpid())


@cache
def _named(pid: int) -> str:
    return f"{pid}-{start_time(pid) or ''}"


def is_running(process: str) -> bool:
    """Whether the process that `this_process` named, in whichever process, has not ended."""
    pid, _, started = process.partition("-")
    if started:
        return start_time(int(pid)) == started
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def end_group(leader: int) -> None:
    """End what is left in the process group of a git that has ended and was not waited for yet."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_left_by(token: str) -> None:
    """End what the call of git with this token has left running."""
    for _ in range(_ROUNDS):
        found = [pid for pid, tokens in values_of(VARIABLE).items() if token in tokens]
        if not found:
            return
        send(found, signal.SIGKILL)


def end_holders_left_by_the_dead(lock: str) -> None:
    """End what calls whose caller was killed left running, if it has the file of the lock open.

    What a git at work has started is not disturbed.
    """
    left: dict[str, list[int]] = {}
    at_work = set[str]()
    for pid, tokens in values_of(VARIABLE).items():
        for token in filter(_TOKEN.fullmatch, tokens):
            if not is_running(token.rpartition("-")[0]):
                left.setdefault(token, []).append(pid)
                if _is_git(pid):
                    at_work.add(token)
    for token, pids in left.items():
        if token not in at_work:
            send((pid for pid in pids if _has_open(pid, lock)), signal.SIGKILL)


def _has_open(pid: int, path: str) -> bool:
    with suppress(OSError):
        file, folder = os.stat(path), f"/proc/{pid}/fd"
        for name in os.listdir(folder):
            with suppress(OSError):  # closed by now
                if os.path.samestat(os.stat(f"{folder}/{name}"), file):
                    return True
    return False


def _is_git(pid: int) -> bool:
    """Whether it is git itself, or was started as it was: git runs some of its commands as other programs."""
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:
        return file.read().startswith(b"git")
    return False
