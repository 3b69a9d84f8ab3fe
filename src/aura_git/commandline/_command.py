"""Running one git command: in a fixed environment, within a time limit, with typed errors.

Output goes to files in memory, not to pipes, so a git whose caller is killed is not ended by SIGPIPE but finishes its
work. Each git leads its own process group, and the whole group is ended with it, or when the time is up.
"""

import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from copy import copy
from typing import IO, NamedTuple

import attrs

from aura_contracts.errors import GitError, GitFailed, GitTimeout, NotARepository
from aura_contracts.ports.git import held_locks
from aura_git.commandline._environment import git_environment, with_settings
from aura_git.commandline._leftovers import VARIABLE, end_group, end_left_by, new_token

_GRACE = 1.0
"""Seconds that git has to remove its lock files after SIGTERM."""

RETRY_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Seconds to wait before each retry of a command that another git blocks."""

_LOCKED = re.compile(r"Unable to create '(.+?\.lock)': File exists", re.DOTALL)
_HALF_MADE = re.compile(r"failed to read (.+?)/commondir: ")
"""What git says when it lists the worktrees while another git is making one."""

_REASON = re.compile(r"^(?:fatal|error): (.*)", re.MULTILINE)


class Completed(NamedTuple):
    """A command that has ended with one of the expected exit codes."""

    code: int
    out: bytes
    err: str
    cut: bool = False
    """There was more output than the limit; the rest was discarded."""

    @property
    def text(self) -> str:
        """The output as text, without the final newline."""
        return os.fsdecode(self.out).removesuffix("\n")


class GitCommand:
    """Runs git commands. Immutable, and safe to use from several threads. `timeout` is in seconds, per command."""

    def __init__(
        self, executable: str, environment: Mapping[str, str], timeout: float, version: tuple[int, int] = (0, 0)
    ) -> None:
        self.executable = executable
        self.timeout = timeout
        self.version = version
        self.environment = git_environment(environment)
        self.runs_programs = False

    def configured(self, settings: Mapping[str, str]) -> "GitCommand":
        """Return a copy with more configuration, which wins over every file."""
        other = copy(self)
        other.environment = with_settings(self.environment, settings)
        return other

    def running_programs(self) -> "GitCommand":
        """Return a copy for commands that may run programs of the user's: what these leave running is ended."""
        other = copy(self)
        other.runs_programs = True
        return other

    def on_work_tree(self, git_dir: str, work_tree: str) -> "GitCommand":
        """Return a copy for a repository whose files are in a folder elsewhere."""
        return self.with_variables({"GIT_DIR": git_dir, "GIT_WORK_TREE": work_tree})

    def with_variables(self, variables: Mapping[str, str]) -> "GitCommand":
        """Return a copy with more environment variables."""
        other = copy(self)
        other.environment = {**self.environment, **variables}
        return other

    def run(
        self,
        repo: str,
        *arguments: str,
        stdin: bytes = b"",
        codes: Collection[int] = (0,),
        variables: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> Completed:
        """Run ``git <arguments>`` in `repo`; `codes` are the exit codes that are not errors.

        The repository must be at `repo` itself: git does not search the folders above it. With `limit`, only that many
        bytes of output are kept, and git is stopped when there are more.

        Raises `NotARepository`, `GitTimeout`, and `GitFailed` for any other exit code.
        """
        if not os.path.isabs(repo):
            raise NotARepository(repository=repo, remedy="name the repository by its absolute path")
        environment = {**self.environment, **(variables or {})}
        environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(os.path.realpath(repo))
        argv = [self.executable, "-C", repo, *arguments]
        pauses = iter(RETRY_PAUSES)
        while True:
            done = self._once(repo, argv, environment, stdin, limit)
            if done.code in codes or done.cut:
                return done
            pause = next(pauses, None)
            if pause is None or not (_LOCKED.search(done.err) or _HALF_MADE.search(done.err)):
                raise self.failure(repo, arguments, done)
            time.sleep(pause)

    def failure(self, repo: str, arguments: Sequence[str], done: Completed) -> GitError:
        """Return the error that a command's output stands for."""
        if "not a git repository" in done.err or "fatal: cannot change to" in done.err:
            return NotARepository(repository=repo)
        command = f"git {_name(arguments)}"
        if locked := _LOCKED.search(done.err):
            return GitFailed(
                repository=repo,
                command=command,
                reason=f"{locked[1]} exists{_age(locked[1])}: another git is running, or one was killed at work",
                remedy=f"if no git is running there, try again after: rm {shlex.quote(locked[1])}",
            )
        if half_made := _HALF_MADE.search(done.err):
            return half_made_worktree(repo, command, half_made[1])
        if "dubious ownership" in done.err:
            return GitFailed(
                repository=repo,
                command=command,
                reason="the repository belongs to another user",
                remedy=f"if you trust it: git config --global --add safe.directory {shlex.quote(repo)}",
            )
        reasons = _REASON.findall(done.err) or [done.err.strip() or f"exit code {done.code}"]
        return GitFailed(repository=repo, command=command, reason="; ".join(dict.fromkeys(reasons)))

    def _once(
        self, repo: str, argv: Sequence[str], environment: Mapping[str, str], stdin: bytes, limit: int | None
    ) -> Completed:
        command = f"git {_name(argv[3:])}"
        token = new_token()
        try:
            with _memory(stdin) as source, _memory() as out, _memory() as err:
                process = subprocess.Popen(  # noqa: S603 - without a shell; the executable is the caller's choice
                    argv,
                    stdin=source,
                    stdout=out if limit is None else subprocess.PIPE,
                    stderr=err,
                    env={**environment, VARIABLE: token},
                    start_new_session=True,
                    pass_fds=held_locks.get(),
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
                    end_group(process.pid)
                output = _all_of(out) if head is None else head[: limit or 0]
                cut = head is not None and len(head) > len(output)
                return Completed(process.returncode, output, _all_of(err).decode("utf-8", "replace"), cut)
        except TimeoutError:
            raise GitTimeout(repository=repo, command=command, seconds=self.timeout) from None
        except (OSError, ValueError) as error:  # no such program; too many open files; a NUL byte in an argument
            raise GitFailed(repository=repo, command=command, reason=f"cannot be run: {error}") from error
        finally:
            if self.runs_programs:
                end_left_by(token)


@attrs.frozen
class LocalCommand:
    """Runs git in one repository. Raises `GitError`."""

    command: GitCommand
    path: str

    def __call__(
        self,
        *arguments: str,
        stdin: bytes = b"",
        codes: Collection[int] = (0,),
        variables: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> Completed:
        """See `GitCommand.run`."""
        return self.command.run(self.path, *arguments, stdin=stdin, codes=codes, variables=variables, limit=limit)


_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def _age(file: str) -> str:
    """Return how old a file is, in words: the lock of a git that runs is seldom older than seconds."""
    try:
        seconds = max(0.0, time.time() - os.stat(file).st_mtime)
    except OSError:
        return ""
    length, unit = next((one for one in _UNITS if seconds >= 2 * one[0]), _UNITS[-1])
    return f", made {seconds / length:.0f} {unit} ago" if seconds >= 1 else ""


def half_made_worktree(repo: str, command: str, directory: str) -> GitFailed:
    """Return the error for a worktree that an interrupted ``git worktree add`` left behind in `directory`."""
    return GitFailed(
        repository=repo,
        command=command,
        reason=f"{directory} belongs to a half made worktree: a `git worktree add` was interrupted",
        remedy=f"if no git is running there, remove the folder {directory} and try again",
    )


def _name(arguments: Sequence[str]) -> str:
    """Return the name of the git command."""
    return arguments[2] if arguments[0] == "-c" else arguments[0]


def _memory(content: bytes = b"") -> IO[bytes]:
    """Return a nameless file with `content`: in memory where the system can, so that a full disk does not matter."""
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
    """Wait until `process` has ended, without polling where the system supports it; return False on timeout."""
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
    """Read slightly more than `limit` bytes of output, then stop `process`."""
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
    """End `process` and everything it started: SIGTERM so that it can clean up, then SIGKILL."""
    _signal(process, signal.SIGTERM)
    _wait(process, _GRACE)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
