"""Starting the agent: from the worker's request to a process that is about to become the agent.

The new process stops just before it becomes the agent, until `Launched.release`: by then it is on record. So what is on
record may have run, and what is not has not.

Standard library only: the supervisor loads this module.
"""

import errno
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from struct import Struct

from aura_contracts.process_table import TOKEN_VARIABLE, die_with_parent

Prctl = Callable[[int, int], int] | None

REQUEST_HEAD = Struct("<QQ")
"""Lengths of the request and of the first input, which follow. Before it come one byte and the lock of the folder."""

NOT_FOUND = "executable_not_found"
NO_DIRECTORY = "working_directory_missing"
FAILED = "process_start_failed"


class LaunchRequest:
    """What the worker asked for: `aura_contracts.ports.processes.ProcessSpec`, and settings of the runner.

    Arguments, environment and folder are bytes as the system takes them; times are seconds.
    """

    folder: bytes
    token: str
    argv: list[bytes]
    cwd: bytes
    env: dict[bytes, bytes]
    input: bytes | None
    interactive: bool
    first_record: int
    timeout: float | None
    idle_timeout: float | None
    grace: float
    output_limit: int
    after_interrupt: float
    after_terminate: float
    socket: str
    unacknowledged: int
    segment_size: int
    drain_time: float
    control_group: bool

    def __init__(self, content: dict[str, object], given: bytes) -> None:
        self.__dict__.update(content)
        self.argv = [item.encode("latin-1") for item in self.__dict__["argv"]]
        self.cwd = self.__dict__["cwd"].encode("latin-1")
        self.folder = self.__dict__["folder"].encode("latin-1")
        self.env = {k.encode("latin-1"): v.encode("latin-1") for k, v in self.__dict__["env"].items()}
        self.env[TOKEN_VARIABLE.encode()] = self.token.encode()
        self.input = given if content["has_input"] else None


def encode_request(content: dict[str, object], given: bytes | None) -> bytes:
    """Return what `read_request` reads; bytes that are not text come as text of one character per byte (Latin-1)."""
    encoded = json.dumps({**content, "has_input": given is not None}).encode()
    return REQUEST_HEAD.pack(len(encoded), len(given or b"")) + encoded + (given or b"")


def receive_lock(file: int) -> int | None:
    """Wait for the lock of the folder on a socket; None if the worker needs no supervisor any more, or died."""
    connection = socket.socket(fileno=file)
    try:
        _, files, _, _ = socket.recv_fds(connection, 1, 1)
    finally:
        connection.detach()
    return files[0] if files else None


def read_request(file: int) -> LaunchRequest | None:
    """Read a request to its end; None if it is not whole, because the worker died while it wrote."""
    pieces = []
    while piece := os.read(file, 1 << 20):
        pieces.append(piece)
    whole = b"".join(pieces)
    if len(whole) < REQUEST_HEAD.size:
        return None
    length, given = REQUEST_HEAD.unpack_from(whole)
    if len(whole) != REQUEST_HEAD.size + length + given:
        return None
    end = REQUEST_HEAD.size + length
    return LaunchRequest(json.loads(whole[REQUEST_HEAD.size : end]), whole[end:])


class Launched:
    """A process that waits for `release` to become the agent. `stdin` is None when it got /dev/null."""

    def __init__(self, pid: int, stdin: int | None, outputs: tuple[int, int], gate: int, failure: int) -> None:
        self.pid = pid
        self.stdin = stdin
        self.outputs = outputs
        self._gate = gate
        self._failure = failure

    def release(self) -> tuple[str, str] | None:
        """Let it become the agent; return why it did not: one of the words above and a message."""
        with suppress(BrokenPipeError):
            os.write(self._gate, b"!")
        os.close(self._gate)
        reported = b""
        while piece := os.read(self._failure, 4096):
            reported += piece
        os.close(self._failure)
        if not reported:
            return None
        kind, _, message = reported.decode(errors="replace").partition("\n")
        return kind, message


def launch(request: LaunchRequest, prctl: Prctl, fork: Callable[[], int] = os.fork) -> Launched:
    """Make the process that will be the agent: in a session of its own, with its pipes and nothing else of ours."""
    needs_stdin = request.input is not None or request.interactive
    stdin_read, stdin_write = os.pipe() if needs_stdin else (os.open(os.devnull, os.O_RDONLY), None)
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    gate_read, gate_write = os.pipe()
    failure_read, failure_write = os.pipe()
    parent = os.getpid()
    pid = fork()
    if pid == 0:
        try:
            os.close(gate_write)
            os.setsid()
            die_with_parent(prctl, parent)
            _reset_signals()
            for number, file in enumerate((stdin_read, out_write, err_write)):
                os.dup2(file, number)
            failure = _become(request) if os.read(gate_read, 1) else ()
        except BaseException as error:  # noqa: BLE001 - whatever it is, this process must not continue as a supervisor
            failure = FAILED, repr(error)
        os.write(failure_write, "\n".join(failure).encode(errors="replace")[:4096])
        os._exit(127)
    for file in (stdin_read, out_write, err_write, gate_read, failure_write):
        os.close(file)
    for file in (out_read, err_read, *((stdin_write,) if stdin_write is not None else ())):
        os.set_blocking(file, False)
    return Launched(pid, stdin_write, (out_read, err_read), gate_write, failure_read)


def _reset_signals() -> None:
    """Undo what the supervisor, or the worker's parent, ignores: an agent starts like one in a fresh shell."""
    signal.set_wakeup_fd(-1)
    for number in range(1, signal.NSIG):
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _become(request: LaunchRequest) -> tuple[str, str]:
    """Become the agent; return why not."""
    try:
        os.chdir(request.cwd)
    except OSError as error:
        return NO_DIRECTORY, error.strerror or str(error)
    try:
        return _execute(request)
    except (OSError, ValueError) as error:
        return FAILED, getattr(error, "strerror", None) or str(error)


def _execute(request: LaunchRequest) -> tuple[str, str]:
    """Execute the first that can be executed among the files that the name may mean, as execvp(3) does."""
    name = request.argv[0]
    if b"/" in name:
        candidates = [name]
    else:
        path = request.env.get(b"PATH", os.fsencode(os.defpath))
        candidates = [os.path.join(folder or b".", name) for folder in path.split(b":")] if name else []
    refused = ""
    for candidate in candidates:
        try:
            os.execve(candidate, request.argv, request.env)  # noqa: S606 - the purpose of it all
        except (FileNotFoundError, NotADirectoryError):
            if os.path.isfile(candidate):
                return NOT_FOUND, f"the interpreter named in the first line of {os.fsdecode(candidate)} is not there"
        except OSError as error:
            if error.errno == errno.ENOEXEC:
                reason = "it is neither a program for this machine nor a script that names its interpreter"
                return NOT_FOUND, f"{os.fsdecode(candidate)}: {reason}"
            if error.errno not in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG):
                raise
            refused = f"{os.fsdecode(candidate)}: {error.strerror}"
    return NOT_FOUND, refused or ("no such file" if b"/" in name else "not found on PATH")
