"""Running git: one command, in an environment that holds no surprise, for a limited time, with errors that say what.

Output goes to files in memory, not to pipes: so a git whose caller is killed is not torn apart by SIGPIPE, but finishes
what it does. Each git leads a process group of its own, and the group is ended when the time is over.
"""

import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import IO, NamedTuple

from aura_contracts.errors import GitError, GitFailed, GitTimeout, NotARepository
from aura_git._environment import git_environment, with_settings

_GRACE = 1.0
"""Seconds that git has to remove its lock files, once it was told to stop."""

_PATIENCE = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Pauses in seconds before a command is tried again that another git is in the way of."""

_LOCKED = re.compile(r"Unable to create '(.+?\.lock)': File exists", re.DOTALL)
_HALF_MADE = re.compile(r"failed to read (.+?)/commondir: ")
"""What git says when it looks through the worktrees while another git is making one."""

_REASON = re.compile(r"^(?:fatal|error): (.*)", re.MULTILINE)


class Completed(NamedTuple):
    """A command that has ended in one of the ways it may."""

    code: int
    out: bytes
    err: str
    cut: bool = False
    """There is more output than was asked for."""

    @property
    def text(self) -> str:
        """The output as text, without the line's end."""
        return os.fsdecode(self.out).removesuffix("\n")


class Command:
    """Runs git commands. Holds no state but what it was made with."""

    def __init__(self, executable: str, environment: Mapping[str, str], timeout: float) -> None:
        self.executable = executable
        self.timeout = timeout
        self.environment = git_environment(environment)

    def configured(self, settings: Mapping[str, str]) -> "Command":
        """Return the same with more configuration."""
        other = Command.__new__(Command)
        other.executable, other.timeout = self.executable, self.timeout
        other.environment = with_settings(self.environment, settings)
        return other

    def run(
        self,
        repo: str,
        *arguments: str,
        stdin: bytes = b"",
        codes: Collection[int] = (0,),
        variables: Mapping[str, str] | None = None,
        search: bool = False,
        limit: int | None = None,
    ) -> Completed:
        """Run ``git <arguments>`` in `repo`; `codes` are the exit codes that are no error.

        The repository must be at `repo` itself: one around it is not meant, unless with `search`. With `limit`, only so
        many bytes of output are kept, and git is stopped when there are more.
        """
        if not os.path.isabs(repo):  # noqa: PTH117 - as text, as it came
            raise NotARepository(repository=repo, remedy="name the repository by its absolute path")
        environment = {**self.environment, **(variables or {})}
        if not search:
            environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(os.path.realpath(repo))  # noqa: PTH120
        argv = [self.executable, "-C", repo, *arguments]
        pauses = iter(_PATIENCE)
        while True:
            done = self._once(repo, argv, environment, stdin, limit)
            if done.code in codes or done.cut:
                return done
            pause = next(pauses, None)
            if pause is None or not (_LOCKED.search(done.err) or _HALF_MADE.search(done.err)):
                raise self.failure(repo, arguments, done)
            time.sleep(pause)

    def failure(self, repo: str, arguments: Sequence[str], done: Completed) -> GitError:
        """Return what a command's failure means."""
        if "not a git repository" in done.err or "fatal: cannot change to" in done.err:
            return NotARepository(repository=repo)
        command = f"git {_name(arguments)}"
        if locked := _LOCKED.search(done.err):
            return GitFailed(
                repository=repo,
                command=command,
                reason=f"{locked[1]} is there: another git is at work, or one was ended before it was done",
                remedy=f"if no git is running there, remove {locked[1]} and try again",
            )
        if half_made := _HALF_MADE.search(done.err):
            return GitFailed(
                repository=repo,
                command=command,
                reason=f"{half_made[1]} is of a worktree that is only half made: a `git worktree add` was torn there",
                remedy=f"if no git is running there, remove the folder {half_made[1]} and try again",
            )
        if "dubious ownership" in done.err:
            return GitFailed(
                repository=repo,
                command=command,
                reason="the repository belongs to another user",
                remedy="if you trust it: git config --global --add safe.directory <its folder>",
            )
        reasons = _REASON.findall(done.err) or [done.err.strip() or f"exit code {done.code}"]
        return GitFailed(repository=repo, command=command, reason="; ".join(dict.fromkeys(reasons)))

    def _once(
        self, repo: str, argv: Sequence[str], environment: Mapping[str, str], stdin: bytes, limit: int | None
    ) -> Completed:
        command = f"git {_name(argv[3:])}"
        try:
            with _memory(stdin) as source, _memory() as out, _memory() as err:
                process = subprocess.Popen(  # noqa: S603 - without a shell; the executable is the caller's choice
                    argv,
                    stdin=source,
                    stdout=out if limit is None else subprocess.PIPE,
                    stderr=err,
                    env=environment,
                    start_new_session=True,
                )
                with process:
                    try:
                        head = None if limit is None else _read_head(process, limit, self.timeout)
                        ended = _wait(process, self.timeout)
                    except BaseException:
                        _end(process)
                        raise
                    if not ended:
                        _end(process)
                        raise GitTimeout(repository=repo, command=command, seconds=self.timeout)
                output = _all_of(out) if head is None else head[: limit or 0]
                cut = head is not None and len(head) > len(output)
                return Completed(process.returncode, output, _all_of(err).decode("utf-8", "replace"), cut)
        except TimeoutError:
            raise GitTimeout(repository=repo, command=command, seconds=self.timeout) from None
        except (OSError, ValueError) as error:  # no such program; too many open files; a NUL byte in an argument
            raise GitFailed(repository=repo, command=command, reason=f"cannot be run: {error}") from error


def _name(arguments: Sequence[str]) -> str:
    """Return which git command it is."""
    return arguments[2] if arguments[0] == "-c" else arguments[0]


def _memory(content: bytes = b"") -> IO[bytes]:
    """Return a file that has no name and that no full disk gets in the way of, where the system has such."""
    file: IO[bytes]
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("git"), "w+b", buffering=0)
    else:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller closes it
    if content:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        file.seek(0)
    return file


def _all_of(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait until `process` has ended, without polling where the system tells; False when it has not by then."""
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        finally:
            os.close(descriptor)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _read_head(process: subprocess.Popen[bytes], limit: int, seconds: float) -> bytes:
    """Read what `process` prints, up to a little more than `limit` bytes; then tell it to stop."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    read = bytearray()
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN | select.POLLHUP)
    while len(read) <= limit:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            return bytes(read)
        read += chunk
    _signal(process, signal.SIGTERM)
    return bytes(read)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End `process` and all it started: first so that it can clean up, then so that it must."""
    _signal(process, signal.SIGTERM)
    _wait(process, _GRACE)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
